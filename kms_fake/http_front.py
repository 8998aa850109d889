"""The KMS as an HTTP server on one port, for any SDK: `AWS_ENDPOINT_URL_KMS=http://127.0.0.1:...`.

Keep-alive HTTP/1.1 by cheroot. Decrypt and GenerateDataKey go straight to `KmsFake`; the other
operations of KMS, and IAM and STS, go to moto, chosen by the service in the request's credential
scope. Whatever a client sends gets one AWS-shaped answer, and the server goes on.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.wsgi import Server
from moto.core.request import Request

from kms_fake import other_refusals, wire
from kms_fake.errors import KmsRefusal, our_text
from kms_fake.fake import KmsFake
from kms_fake.moto_front import is_operation, response_class
from kms_fake.other_refusals import OtherRefusal
from kms_fake.shapes import Operation

LOOPBACK = "127.0.0.1"

MAX_BODY = 2 * 1024 * 1024
"""Bytes of one request: the largest document (262144 bytes) in base64 fits several times."""

# Up to here an oversized body is read and answered; beyond, cheroot ends the connection.
_MAX_BODY_READ = 16 * MAX_BODY

# A half-sent request holds a thread until it times out, so there are more of them than cores.
_THREADS = 100
# cheroot closes idle connections beyond ten, under the hands of clients that pool them.
_KEEP_ALIVE_CONNECTIONS = 1000
# How often cheroot's loop looks whether it should stop.
_STOP_INTERVAL_SECONDS = 0.1

_CREDENTIAL = re.compile(
    r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)
_TARGET = re.compile(r"TrentService\.(?P<operation>\w+)")
_ATTESTED = {operation.value: operation for operation in Operation}

_Answer = tuple[int, dict[str, str], bytes]
_StartResponse = Callable[[str, list[tuple[str, str]]], object]


class KmsApplication:
    """The WSGI application around one `KmsFake`."""

    def __init__(self, fake: KmsFake) -> None:
        self._fake = fake
        self._kms = response_class(fake)

    def __call__(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            status, headers, body = self._answer(environ)
        except KmsRefusal as refusal:
            status, body = refusal.http_status, wire.encode_refusal(refusal)
            headers = {"Connection": "close"} if isinstance(refusal, _BodyNotRead) else {}
        except Exception:  # noqa: BLE001  # The last line: a mistake of ours must not end a client.
            traceback.print_exc(file=sys.stderr)
            status, headers, body = 500, {}, b'{"__type":"KMSInternalException"}'
        if "HTTP_TRANSFER_ENCODING" in environ:
            # cheroot does not always find the end of a chunked body, nor so the next request.
            headers["Connection"] = "close"
        complete = {
            "Content-Type": wire.CONTENT_TYPE,
            "x-amzn-RequestId": str(uuid.uuid4()),
            **headers,
            "Content-Length": str(len(body)),
        }
        start_response(f"{status} {'OK' if status < 400 else 'Error'}", list(complete.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: dict[str, Any]) -> _Answer:
        body = _read_body(environ)
        if environ["REQUEST_METHOD"] != "POST":
            raise other_refusals.OPERATION.refuse("Every operation is a POST.")
        credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if credential is None:
            raise other_refusals.AUTHENTICATION.refuse(
                "The request has no Signature Version 4 Authorization header; any access key and "
                "secret will do."
            )
        account = self._account(environ, credential["key"])
        if credential["service"] != "kms":
            service = _moto_service(credential["service"])
            return self._by_moto(environ, body, service, account)
        target = _TARGET.fullmatch(environ.get("HTTP_X_AMZ_TARGET", ""))
        if target is None:
            raise other_refusals.OPERATION.refuse("X-Amz-Target names no KMS operation.")
        attested = _ATTESTED.get(target["operation"])
        if attested is None:
            if not is_operation(target["operation"]):
                message = f"KMS has no operation {target['operation']}, or moto does not answer it."
                raise other_refusals.OPERATION.refuse(message)
            return self._by_moto(environ, body, self._kms, account)
        answer = self._fake.call(
            attested.value,
            wire.decode_members(attested, body),
            caller=self._fake.caller(credential["key"], account, credential["region"]),
            region=credential["region"],
        )
        return 200, {}, wire.encode_answer(answer)

    def _account(self, environ: dict[str, Any], access_key: str) -> str:
        """Whose request it is; moto's header may say so, but not for callers that are listed."""
        asked: str | None = environ.get("HTTP_X_MOTO_ACCOUNT_ID")
        if asked and access_key not in self._fake.callers:
            return asked
        return self._fake.account_of(access_key)

    def _by_moto(
        self, environ: dict[str, Any], body: bytes, responses: Any, account: str
    ) -> _Answer:
        request = Request.from_primitives(
            environ["REQUEST_METHOD"],
            f"http://{environ.get('HTTP_HOST', 'localhost')}{environ.get('PATH_INFO', '/')}",
            # moto would take access keys that it does not know for those of its own account.
            {**_headers(environ), "X-Moto-Account-Id": account},
            body,
        )
        try:
            status, headers, answer = responses.dispatch(request, request.url, request.headers)
        except NotImplementedError as error:
            raise other_refusals.OPERATION.refuse(f"moto: {error}") from error
        except Exception as error:
            # moto raises Python errors for requests that it did not foresee.
            message = f"moto could not answer: {type(error).__name__}: {error}"
            raise other_refusals.MOTO.refuse(message) from error
        content = answer if isinstance(answer, bytes) else str(answer).encode()
        # moto gives errors of KMS another content type than KMS does.
        kept = {"x-amzn-requestid"} | ({"content-type"} if responses is not self._kms else set())
        shown = {name: str(value) for name, value in headers.items() if name.lower() in kept}
        return int(status), shown, content


class _BodyNotRead(KmsRefusal):
    """What came is not the whole body, so that the connection cannot be used again."""

    def __init__(self, row: OtherRefusal, found: str) -> None:
        super().__init__(row.exception, our_text(found, row.id), row.http_status, row.id)


def _read_body(environ: dict[str, Any]) -> bytes:
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    length = MAX_BODY + 1 if chunked else int(environ.get("CONTENT_LENGTH") or 0)
    try:
        body: bytes = environ["wsgi.input"].read(min(length, MAX_BODY + 1))
    except TimeoutError as error:
        message = "The rest of the body did not come in time."
        raise _BodyNotRead(other_refusals.TIMEOUT, message) from error
    except (ValueError, OSError) as error:  # A broken chunk; a client that has gone.
        raise _BodyNotRead(other_refusals.BODY, f"The body does not read: {error}.") from error
    if not chunked and len(body) < min(length, MAX_BODY + 1):
        raise _BodyNotRead(other_refusals.BODY, "The body is shorter than its Content-Length.")
    if len(body) > MAX_BODY:
        message = f"The body is longer than {MAX_BODY} bytes."
        raise _BodyNotRead(other_refusals.BODY_LENGTH, message)
    return body


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").title(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return {**headers, "Content-Type": environ.get("CONTENT_TYPE", "")}


def _moto_service(service: str) -> Any:
    if service == "iam":
        from moto.iam.responses import IamResponse

        return IamResponse
    if service == "sts":
        from moto.sts.responses import TokenResponse

        return TokenResponse
    raise other_refusals.SERVICE.refuse(f"{service} is not served here; kms, iam, sts are.")


class _Request(HTTPRequest):
    """A request whose refusal by cheroot itself is AWS-shaped too."""

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
        """Answer what is not HTTP, or not in time, with JSON; then the connection is closed."""
        late = str(status).startswith("408")
        row = other_refusals.TIMEOUT if late else other_refusals.NOT_HTTP
        body = wire.encode_refusal(row.refuse(msg or f"The request was not read: {status}."))
        head = (
            f"{self.server.protocol} {status}\r\nContent-Type: {wire.CONTENT_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.close_connection = True
        with suppress(OSError):  # The client is gone; nothing is left to tell it.
            self.conn.wfile.write(head.encode() + body)


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

    def error_log(
        self,
        msg: str = "",
        level: int = logging.INFO,
        traceback: bool = False,  # cheroot's signature.
    ) -> None:
        """Say what went wrong here."""
        if level >= logging.ERROR:
            logging.getLogger(__name__).log(level, msg, exc_info=traceback)


class KmsServer:
    """A `KmsFake` listening on `host`, an address or a name. `endpoint` is its URL.

    Port 0 chooses a free port. Beyond loopback nothing keeps strangers out. Requests are answered
    on threads, several at once.

    Raises OSError where the port cannot be had.
    """

    def __init__(
        self,
        fake: KmsFake,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        request_timeout_seconds: float = 10,
    ) -> None:
        self._server = _Server(
            (host, port),
            KmsApplication(fake),
            numthreads=_THREADS,
            request_queue_size=128,
            timeout=request_timeout_seconds,  # type: ignore[arg-type]  # cheroot takes fractions.
        )
        self._server.ConnectionClass = _Connection
        self._server.max_request_body_size = _MAX_BODY_READ
        self._server.expiration_interval = _STOP_INTERVAL_SECONDS
        self._server.keep_alive_conn_limit = _KEEP_ALIVE_CONNECTIONS
        self._server.prepare()
        bound, bound_port = self._server.bind_addr[:2]
        self.endpoint = f"http://{f'[{bound}]' if ':' in bound else bound}:{bound_port}"

    def serve(self) -> None:
        """Answer requests until `stop`."""
        self._server.serve()

    def stop(self) -> None:
        """Stop listening; requests under way are finished first."""
        self._server.stop()


@contextmanager
def serving(
    fake: KmsFake, *, host: str = LOOPBACK, port: int = 0, request_timeout_seconds: float = 10
) -> Iterator[KmsServer]:
    """A `KmsServer` answering on a thread of this process while the context is open."""
    server = KmsServer(fake, host=host, port=port, request_timeout_seconds=request_timeout_seconds)
    thread = Thread(target=server.serve, name="kms", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
