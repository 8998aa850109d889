"""One question to an HTTP server, with a limit on the whole of it.

Certificates are checked, redirects are answers, and proxies are those of the environment: as curl
without options. What is on this machine is asked directly.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from simulator.doctor.host import (
    MOST_BYTES,
    NETWORK_SECONDS,
    Answer,
    NetworkNotAsked,
    Unreachable,
)

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEMES = frozenset({"http", "https"})
_WHOLE_SECONDS = 2 * NETWORK_SECONDS
"""NETWORK_SECONDS is the time of each step; names are looked up without a limit of their own."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is what was answered."""

    def redirect_request(self, *_: Any) -> None:
        """Nothing more is asked."""


def is_own(url: str) -> bool:
    """Whether an address is this machine's own by its text: no name is looked up for that."""
    host = _parts(url)[1]
    return host == "localhost" or _is_ip(host, lambda ip: ip.is_loopback)


def is_link_local(url: str) -> bool:
    """Whether it is of the kind that the metadata service of an instance has."""
    return _is_ip(_parts(url)[1], lambda ip: ip.is_link_local)


def _is_ip(host: str, question: Callable[[_Ip], bool]) -> bool:
    try:
        return question(ipaddress.ip_address(host))
    except ValueError:
        return False


def _parts(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, as far as it has them."""
    try:
        split = urllib.parse.urlsplit(url)
        parts = split.scheme, split.hostname or "", split.port
    except ValueError:
        return "", "", None
    return parts


def check_allowed(url: str, *, network: bool) -> None:
    """Raises NetworkNotAsked for an address beyond this machine that nobody has allowed."""
    if not network and not is_own(url):
        raise NetworkNotAsked(f"{where(url)} is asked with --network only")


def where(url: str) -> str:
    """Whom an address names, without what may be secret in it."""
    _, host, port = _parts(url)
    return f"{host or 'an address without a host'}{'' if port is None else f':{port}'}"


def fetch(
    url: str, headers: Mapping[str, str], method: str, seconds: float | None = None
) -> Answer:
    """Ask; `seconds` is for all of it, without it NETWORK_SECONDS for each step.

    Raises Unreachable.
    """
    if _parts(url)[0] not in _SCHEMES:
        raise Unreachable(f"{where(url)} is no http or https address")
    if "@" in urllib.parse.urlsplit(url).netloc:
        # http.client would look up all of it as a name.
        raise Unreachable(f"{where(url)} stands with a user in its address, and is not asked so")
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310  # Checked.
    answers: SimpleQueue[Answer | Unreachable] = SimpleQueue()
    step = NETWORK_SECONDS if seconds is None else seconds
    whole = _WHOLE_SECONDS if seconds is None else seconds
    threading.Thread(target=lambda: answers.put(_ask(request, step)), daemon=True).start()
    try:
        answer = answers.get(timeout=whole)
    except Empty:
        answer = Unreachable(f"{where(url)} did not answer within {whole:g} seconds")
    if isinstance(answer, Unreachable):
        raise answer
    return answer


def _ask(request: urllib.request.Request, seconds: float) -> Answer | Unreachable:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if is_own(request.full_url):
        handlers.append(urllib.request.ProxyHandler({}))
    who = where(request.full_url)
    try:
        opener = urllib.request.build_opener(*handlers)
        with opener.open(request, timeout=seconds) as response:
            return _answer(response)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error)
    except urllib.error.URLError as error:
        return Unreachable(f"{who} cannot be asked ({_reason(error.reason)})")
    except http.client.HTTPException as error:
        return Unreachable(f"{who} does not answer in HTTP ({error or type(error).__name__})")
    except (OSError, ValueError) as error:
        return Unreachable(f"{who} cannot be asked ({_reason(error)})")


def _answer(response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, response.read(MOST_BYTES))


def _reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message}"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error)
