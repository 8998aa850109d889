"""An HTTP/1.1 server by cheroot around a WSGI application: what the listeners have in common.

Keep-alive, limits, and one answer to whatever comes. It knows nothing of what is asked: the
listener says in its own words (`Worded`) what could not be read.
"""

from __future__ import annotations

import enum
import ipaddress
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Thread
from types import MappingProxyType
from typing import Any, NamedTuple

from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.wsgi import Server

LOOPBACK = "127.0.0.1"

# Up to so many times its limit a body is read and answered; beyond, cheroot ends the connection.
_READ_BEYOND_LIMIT = 16
# A half-sent request holds a thread until it times out, so there are more of them than cores.
_THREADS = 100
# cheroot closes idle connections beyond ten, under the hands of clients that pool them.
_KEEP_ALIVE_CONNECTIONS = 1000
# How often cheroot's loop looks whether it should stop.
_STOP_INTERVAL_SECONDS = 0.1


StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Problem(enum.Enum):
    """Why a request could not be read."""

    NOT_HTTP = "not HTTP"
    BODY = "a broken body"
    TOO_LONG = "too long a body"
    TIMEOUT = "not in time"


class Answer(NamedTuple):
    """One HTTP answer; Content-Length is added when it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})


Worded = Callable[[Problem, str], Answer]
"""How a listener answers what could not be read; the text says what was found."""


class UnreadableBody(Exception):
    """What came is not the whole body, so that the connection cannot be used again."""

    def __init__(self, problem: Problem, found: str) -> None:
        super().__init__(found)
        self.problem = problem
        self.found = found


def read_body(environ: Mapping[str, Any], limit: int) -> bytes:
    """The body of a request, at most `limit` bytes. Raises UnreadableBody."""
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    length = limit + 1 if chunked else int(environ.get("CONTENT_LENGTH") or 0)
    try:
        body: bytes = environ["wsgi.input"].read(min(length, limit + 1))
    except TimeoutError as error:
        message = "The rest of the body did not come in time."
        raise UnreadableBody(Problem.TIMEOUT, message) from error
    except (ValueError, OSError) as error:  # A broken chunk; a client that has gone.
        raise UnreadableBody(Problem.BODY, f"The body does not read: {error}.") from error
    if not chunked and len(body) < min(length, limit + 1):
        raise UnreadableBody(Problem.BODY, "The body is shorter than its Content-Length.")
    if len(body) > limit:
        raise UnreadableBody(Problem.TOO_LONG, f"The body is longer than {limit} bytes.")
    return body


def send(
    answer: Answer,
    environ: Mapping[str, Any],
    start_response: StartResponse,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Iterable[bytes]:
    """The WSGI response that is `answer`, with `headers` where it has no others."""
    headers = {**headers, **answer.headers}
    if answer.status != 204:  # It has no body (RFC 9110, section 8.6).
        headers["Content-Length"] = str(len(answer.body))
    if "HTTP_TRANSFER_ENCODING" in environ:
        # cheroot does not always find the end of a chunked body, nor so the next request.
        headers["Connection"] = "close"
    status = f"{answer.status} {'OK' if answer.status < 400 else 'Error'}"
    start_response(status, list(headers.items()))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


class _Request(HTTPRequest):
    """A request whose refusal by cheroot itself is in the listener's words too."""

    def read_request_headers(self) -> bool:
        """Read them; refuse a Content-Length that is not a plain number."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]  # cheroot has no type for it.
            return False
        length = self.inheaders.get(b"Content-Length", b"0")
        if not length.isdigit():
            self.simple_response("400 Bad Request", "Malformed Content-Length.")
            return False
        return True

    def send_headers(self) -> None:
        """Send them; where they close the connection, do not wait for the rest of the body."""
        if (b"Connection", b"close") in self.outheaders:
            self.close_connection = True
        super().send_headers()

    def simple_response(self, status: object, msg: str = "") -> None:
        """Answer what is not HTTP, or not in time; then the connection is closed."""
        problem = Problem.TIMEOUT if str(status).startswith("408") else Problem.NOT_HTTP
        answer = self.server.worded(problem, msg or f"The request was not read: {status}.")
        headers = {
            **answer.headers,
            "Content-Length": str(len(answer.body)),
            "Connection": "close",
        }
        lines = [f"{self.server.protocol} {status}"]
        lines += (f"{name}: {value}" for name, value in headers.items())
        self.close_connection = True
        with suppress(OSError):  # The client is gone; nothing is left to tell it.
            self.conn.wfile.write("\r\n".join([*lines, "", ""]).encode() + answer.body)


class _Connection(HTTPConnection):
    """A connection that closes its writer when it closes.

    cheroot leaves that to the garbage collector, which from Python 3.13 on prints a complaint
    where the client has gone before its answer.
    """

    RequestHandlerClass = _Request

    def close(self) -> None:
        """Close writer, reader and socket."""
        with suppress(OSError):  # The client is gone; nothing is left to tell it.
            self.wfile.close()
        super().close()


class _Server(Server):
    """cheroot's server, silent about clients that go or stall: they are no error of the server."""

    worded: Worded

    def error_log(
        self,
        msg: str = "",
        level: int = logging.INFO,
        traceback: bool = False,  # cheroot's signature.
    ) -> None:
        """Say what went wrong here."""
        if level >= logging.ERROR:
            logging.getLogger(__name__).log(level, msg, exc_info=traceback)


class HttpServer:
    """An application listening on `host`. `endpoint` is its URL; port 0 chooses a free port.

    Requests are answered on threads, several at once. Raises OSError where the port cannot be had.
    """

    def __init__(
        self,
        application: Application,
        worded: Worded,
        *,
        body_limit: int,
        host: str = LOOPBACK,
        port: int = 0,
        request_timeout_seconds: float = 10,
    ) -> None:
        self._server = _Server(
            (host, port),
            application,
            numthreads=_THREADS,
            request_queue_size=128,
            timeout=request_timeout_seconds,  # type: ignore[arg-type]  # cheroot takes fractions.
        )
        self._server.worded = worded
        self._server.ConnectionClass = _Connection
        self._server.max_request_body_size = _READ_BEYOND_LIMIT * body_limit
        self._server.expiration_interval = _STOP_INTERVAL_SECONDS
        self._server.keep_alive_conn_limit = _KEEP_ALIVE_CONNECTIONS
        self._server.prepare()
        bound_host, bound_port = self._server.bind_addr[:2]
        shown = f"[{bound_host}]" if ":" in str(bound_host) else bound_host
        self.endpoint = f"http://{shown}:{bound_port}"

    def serve(self) -> None:
        """Answer requests until `stop`."""
        self._server.serve()

    def stop(self) -> None:
        """Stop listening; requests under way are finished first."""
        self._server.stop()


@contextmanager
def on_a_thread(server: HttpServer, name: str) -> Iterator[None]:
    """`server` answers on a thread of this process while the context is open."""
    thread = Thread(target=server.serve, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join()
