"""An enclave of a running `attested-kms serve`, reached over its management listener.

So a program that is run here has the root, the clocks, the keys and the call log of that server.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from simulator.interpose.faults import error_response

_SECONDS = 30.0


class CannotJoin(Exception):
    """Why the server cannot be joined and what to do, in sentences."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it described itself."""

    management_endpoint: str
    kms_endpoint: str
    region: str
    account: str
    token: str | None = None


def find_server(place: str, token: str | None) -> Server:
    """The server at a management endpoint, or of a file with the line that it printed.

    Raises CannotJoin.
    """
    if place.startswith(("http://", "https://")):
        endpoint = place.rstrip("/")
    else:
        line = _read_line(Path(place))
        if "management_endpoint" not in line:
            raise CannotJoin(
                f"The server of {place} has no management listener; start it with "
                "--management-port 0."
            )
        endpoint = str(line["management_endpoint"])
    # What the server says now, not what a file may have kept of another.
    with closing(_Connection(endpoint, token)) as connection:
        said = connection.json("GET", "/server")
    return Server(
        endpoint, str(said["kms_endpoint"]), str(said["region"]), str(said["account"]), token
    )


def _read_line(path: Path) -> Mapping[str, Any]:
    try:
        first, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CannotJoin(
            f"{path} cannot be read ({reason}); give the file that holds what attested-kms serve "
            "printed, or its management_endpoint."
        ) from error
    try:
        description = json.loads(first)
    except ValueError:
        description = None
    if not isinstance(description, dict) or not {"kms_endpoint", "region"} <= set(description):
        raise CannotJoin(
            f"{path} does not begin with the line that attested-kms serve prints when it is ready; "
            "wait for it, or give the management_endpoint."
        )
    return description


@contextmanager
def joined_enclave(
    server: Server, wanted: Mapping[str, object], complain: Callable[[str], None]
) -> Iterator[tuple[Callable[[bytes], bytes], Mapping[str, Any]]]:
    """An enclave of the server, ended with the context: its NSM, and what the server says of it.

    `wanted` are the members of POST /enclaves. A server that ends meanwhile is complained of once,
    and its NSM answers InternalError. Raises CannotJoin.
    """
    connection = _Connection(server.management_endpoint, server.token)
    try:
        enclave = connection.json("POST", "/enclaves", json.dumps(wanted).encode())
    except CannotJoin:
        connection.close()
        raise
    path = f"/enclaves/{enclave['enclave_id']}"
    complained = False

    def handle(request: bytes) -> bytes:
        nonlocal complained
        try:
            return connection.ask("POST", f"{path}/nsm", request)
        except CannotJoin as error:
            if not complained:
                complained = True
                complain(str(error))
            return error_response("InternalError")

    try:
        yield handle, enclave
    finally:
        connection.forget(path)


class _Connection:
    """A kept connection to a management listener. Thread-safe."""

    def __init__(self, endpoint: str, token: str | None) -> None:
        self._endpoint = endpoint
        try:
            parts = urlsplit(endpoint)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if host is None or not endpoint.startswith("http://"):
            raise CannotJoin(
                f"{endpoint} is no management endpoint; it looks like http://127.0.0.1:40871."
            )
        self._connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._lock = Lock()

    def close(self) -> None:
        """Let go of the connection; it is made again if need be."""
        self._connection.close()

    def json(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        """Ask for an object. Raises CannotJoin."""
        answer = self.ask(method, path, body)
        try:
            value = json.loads(answer)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not value:
            raise CannotJoin(
                f"What answers at {self._endpoint} is no management listener of attested-kms "
                "serve; give the management_endpoint that it prints."
            )
        return value

    def ask(self, method: str, path: str, body: bytes) -> bytes:
        """Ask; the body of a success. Raises CannotJoin."""
        with self._lock:
            try:
                self._connection.request(method, path, body or None, self._headers)
                response = self._connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise CannotJoin(
                    f"Nobody answers at {self._endpoint} ({error}); is attested-kms serve "
                    "--management-port still running?"
                ) from error
        if response.status >= 300:
            raise CannotJoin(f"The server at {self._endpoint} says: {_sentence(answer)}")
        return answer

    def forget(self, path: str) -> None:
        """End an enclave, if the server is still there."""
        try:
            self.ask("DELETE", path, b"")
        except CannotJoin:
            return  # The server has ended, and its enclaves with it.
        finally:
            self._connection.close()


def _sentence(answer: bytes) -> str:
    """The sentence of an error of the listener's."""
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode(errors="replace")
