"""The management listener: enclaves, clocks and records of a running simulator, over HTTP.

It is not a part of AWS, and never on KMS's port. It listens where KMS does; from elsewhere than
this machine it takes a token, and on this machine it refuses what a browser sends for another
site. Every error is JSON, `{"error": SENTENCE}`.
"""

from __future__ import annotations

import hmac
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kms_fake import KmsFake, cloudtrail_events
from kms_fake.catalogue import catalogue
from kms_fake.fake import DEFAULT_REGION
from kms_fake.http_server import (
    LOOPBACK,
    Answer,
    HttpServer,
    Problem,
    StartResponse,
    UnreadableBody,
    is_loopback,
    on_a_thread,
    read_body,
    send,
)
from nsm_fake import ClockOutsideValidityError, NsmPki
from simulator.clock import BadTime, Clocks, SimulatedClock
from simulator.enclaves import BadEnclave, Enclaves, NoSuchEnclave, TooManyEnclaves

MAX_BODY = 64 * 1024
"""Bytes of one request: an NSM request has at most 4096, a certificate a few thousand."""

DROPPED = "x-attested-kms-dropped-calls"
"""The header that says how many calls are no longer kept: 1,000 are."""

_JSON = "application/json"
_LINES = "application/jsonl"
_CBOR = "application/cbor"
_STATUS = {
    Problem.NOT_HTTP: 400,
    Problem.BODY: 400,
    Problem.TOO_LONG: 413,
    Problem.TIMEOUT: 408,
}


class Refused(Exception):
    """The request is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers


class UnsafeListener(ValueError):
    """The listener would be open to others; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask, by what a request's headers say."""

    host: str
    token: str | None = None

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise UnsafeListener(
                f"The management listener would be open to whoever reaches {self.host}; give "
                "--management-token (or ATTESTED_KMS_MANAGEMENT_TOKEN), or listen on 127.0.0.1."
            )
        if self.token is not None and not re.fullmatch(r"[!-~]+", self.token, re.ASCII):
            raise UnsafeListener(
                "The management token cannot be sent in a header; give visible ASCII characters "
                "without a space."
            )

    def check(self, environ: Mapping[str, Any]) -> None:
        """Raise Refused unless the request may be answered."""
        if self.token is not None:
            expected = f"Bearer {self.token}".encode()
            given = str(environ.get("HTTP_AUTHORIZATION", "")).encode("utf-8", "replace")
            if not hmac.compare_digest(given, expected):
                raise Refused(
                    401,
                    "This listener takes requests with its token only: send the header "
                    "Authorization: Bearer TOKEN.",
                    {"WWW-Authenticate": "Bearer"},
                )
            return
        # A page of another site, in a browser on this machine, reaches loopback ports too.
        if "HTTP_ORIGIN" in environ:
            raise Refused(403, "A browser sent this for a site (header Origin), which is refused.")
        name = _host_name(str(environ.get("HTTP_HOST", "")))
        if name != self.host and not is_loopback(name):
            raise Refused(
                403,
                f"The header Host names {name!r}, and only this machine's own names are answered "
                "(localhost, 127.0.0.1, [::1]).",
            )


def _host_name(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode() + b"\n", {"Content-Type": _JSON})


def _error(status: int, sentence: str, headers: Mapping[str, str] = {}) -> Answer:
    answer = _json({"error": sentence}, status)
    return Answer(status, answer.body, {**answer.headers, **headers})


def _unreadable(problem: Problem, found: str) -> Answer:
    return _error(_STATUS[problem], found, {"Connection": "close"})


def _json_object(body: bytes) -> dict[str, Any]:
    """The members of a request; those of an empty body are none. Raises Refused."""
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Refused(400, "The body is JSON, but not an object.")
    return value


class Managed:
    """What the listener manages: a KMS and its clock, and enclaves under `pki` with theirs.

    `region` is that of enclaves which name none. Without `enclave_clock` theirs is a new one.
    """

    def __init__(
        self,
        fake: KmsFake,
        kms_clock: SimulatedClock,
        pki: NsmPki,
        *,
        region: str = DEFAULT_REGION,
        enclave_clock: SimulatedClock | None = None,
    ) -> None:
        self.fake = fake
        self.kms_clock = kms_clock
        self.enclave_clock = enclave_clock or SimulatedClock()
        self.enclaves = Enclaves(pki, self.enclave_clock, region=region)
        self.server: Mapping[str, object] = {}
        """What the server printed when it was ready, for who knows the management port alone."""


_Endpoint = Callable[[bytes, str], Answer]
"""Answers a body; the text is the enclave id of the path."""


class ManagementApplication:
    """The WSGI application around one simulator."""

    def __init__(self, managed: Managed, access: Access) -> None:
        self._managed = managed
        self._calls = managed.fake.calls
        self._enclaves = managed.enclaves
        self._clocks = Clocks(managed.kms_clock, managed.enclave_clock)
        self._access = access
        self._routes: dict[str, dict[str, _Endpoint]] = {
            "/enclaves": {"GET": self._list_enclaves, "POST": self._create_enclave},
            "/enclaves/{}": {"DELETE": self._delete_enclave},
            "/enclaves/{}/nsm": {"POST": self._ask_nsm},
            "/clock": {"GET": self._show_clocks, "PUT": self._set_clocks},
            "/calls": {"GET": self._show_calls, "DELETE": self._forget_calls},
            "/cloudtrail": {"GET": self._show_events},
            "/rules": {"GET": self._show_rules},
            "/server": {"GET": self._show_server},
        }

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            answer = self._answer(environ)
        except Refused as refused:
            answer = _error(refused.status, refused.sentence, refused.headers)
        except UnreadableBody as error:
            answer = _unreadable(error.problem, error.found)
        except Exception:  # noqa: BLE001  # The last line: a mistake of ours must not end a client.
            traceback.print_exc(file=sys.stderr)
            answer = _error(500, "The management listener failed; its own output says where.")
        return send(answer, environ, start_response)

    def _answer(self, environ: dict[str, Any]) -> Answer:
        body = read_body(environ, MAX_BODY)
        self._access.check(environ)
        path = environ.get("PATH_INFO", "")
        if environ.get("QUERY_STRING"):
            raise Refused(400, f"{path} takes no query.")
        named = re.fullmatch(r"/enclaves/([^/]+)(/nsm)?", path)
        route = f"/enclaves/{{}}{named[2] or ''}" if named else path
        endpoints = self._routes.get(route)
        if endpoints is None:
            known = ", ".join(self._routes).replace("{}", "ID")
            raise Refused(404, f"There is no {path}; there are {known}.")
        method = environ["REQUEST_METHOD"]
        if method not in endpoints:
            allowed = ", ".join(endpoints)
            sentence = f"{path} takes {allowed}, not {method}."
            raise Refused(405, sentence, {"Allow": allowed})
        return endpoints[method](body, named[1] if named else "")

    def _list_enclaves(self, _body: bytes, _id: str) -> Answer:
        return _json([enclave.describe() for enclave in self._enclaves.all()])

    def _create_enclave(self, body: bytes, _id: str) -> Answer:
        try:
            enclave = self._enclaves.create(_json_object(body))
        except BadEnclave as error:
            raise Refused(400, str(error)) from error
        except (TooManyEnclaves, ClockOutsideValidityError) as error:
            raise Refused(409, str(error)) from error
        return _json(enclave.describe(), 201)

    def _delete_enclave(self, _body: bytes, enclave_id: str) -> Answer:
        try:
            self._enclaves.remove(enclave_id)
        except NoSuchEnclave as error:
            raise _no_such_enclave(enclave_id) from error
        return Answer(204, b"")

    def _ask_nsm(self, body: bytes, enclave_id: str) -> Answer:
        try:
            response = self._enclaves.get(enclave_id).nsm.handle(body)
        except NoSuchEnclave as error:
            raise _no_such_enclave(enclave_id) from error
        except ClockOutsideValidityError as error:
            raise Refused(409, str(error)) from error
        return Answer(200, response, {"Content-Type": _CBOR})

    def _show_clocks(self, _body: bytes, _id: str) -> Answer:
        return _json(self._clocks.state())

    def _set_clocks(self, body: bytes, _id: str) -> Answer:
        try:
            self._clocks.set(_json_object(body))
        except BadTime as error:
            raise Refused(400, str(error)) from error
        return _json(self._clocks.state())

    def _show_calls(self, _body: bytes, _id: str) -> Answer:
        return self._lines(record.as_json() for record in self._calls)

    def _forget_calls(self, _body: bytes, _id: str) -> Answer:
        self._calls.clear()
        return Answer(204, b"")

    def _show_events(self, _body: bytes, _id: str) -> Answer:
        return self._lines(cloudtrail_events(self._calls))

    def _lines(self, values: Iterable[object]) -> Answer:
        body = "".join(f"{json.dumps(value)}\n" for value in values).encode()
        return Answer(200, body, {"Content-Type": _LINES, DROPPED: str(self._calls.dropped)})

    def _show_server(self, _body: bytes, _id: str) -> Answer:
        return _json(self._managed.server)

    def _show_rules(self, _body: bytes, _id: str) -> Answer:
        return _json(catalogue())


def _no_such_enclave(enclave_id: str) -> Refused:
    return Refused(
        404, f"There is no enclave {enclave_id!r}: POST /enclaves makes one and says its id."
    )


@contextmanager
def managing(
    managed: Managed,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    token: str | None = None,
) -> Iterator[HttpServer]:
    """The management listener, answering on a thread while the context is open.

    Raises UnsafeListener, and OSError where the port cannot be had.
    """
    application = ManagementApplication(managed, Access(host, token))
    server = HttpServer(application, _unreadable, body_limit=MAX_BODY, host=host, port=port)
    with on_a_thread(server, "management"):
        yield server
