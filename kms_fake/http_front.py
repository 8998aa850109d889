"""The KMS as an HTTP server on one port, for any SDK: `AWS_ENDPOINT_URL_KMS=http://127.0.0.1:...`.

Decrypt and GenerateDataKey go straight to `KmsFake`; the other operations of KMS, and IAM and STS,
go to moto, chosen by the service in the request's credential scope. Whatever a client sends gets
one AWS-shaped answer, and the server (`kms_fake.http_server`) goes on.
"""

from __future__ import annotations

import re
import sys
import traceback
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.core.request import Request

from kms_fake import other_refusals, wire
from kms_fake.errors import REQUEST_ID_HEADER, RULE_HEADER, KmsRefusal
from kms_fake.fake import KmsFake
from kms_fake.http_server import (
    LOOPBACK,
    Answer,
    HttpServer,
    Problem,
    StartResponse,
    UnreadableBody,
    on_a_thread,
    read_body,
    send,
)
from kms_fake.moto_front import is_operation, response_class
from kms_fake.record import BY_MOTO, Origin
from kms_fake.shapes import Operation

MAX_BODY = 2 * 1024 * 1024
"""Bytes of one request: the largest document (262144 bytes) in base64 fits several times."""

_UNREADABLE = {
    Problem.NOT_HTTP: other_refusals.NOT_HTTP,
    Problem.BODY: other_refusals.BODY,
    Problem.TOO_LONG: other_refusals.BODY_LENGTH,
    Problem.TIMEOUT: other_refusals.TIMEOUT,
}

_CREDENTIAL = re.compile(
    r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)
_TARGET = re.compile(r"TrentService\.(?P<operation>\w+)")
_ATTESTED = {operation.value: operation for operation in Operation}


class KmsApplication:
    """The WSGI application around one `KmsFake`."""

    def __init__(self, fake: KmsFake) -> None:
        self._fake = fake
        self._kms = response_class(fake)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        try:
            answer = self._answer(environ, request_id)
        except KmsRefusal as refusal:
            answer = _refused(refusal)
        except UnreadableBody as error:
            answer = _unreadable(error.problem, error.found)
            answer = answer._replace(headers={**answer.headers, "Connection": "close"})
        except Exception:  # noqa: BLE001  # The last line: a mistake of ours must not end a client.
            traceback.print_exc(file=sys.stderr)
            answer = Answer(500, b'{"__type":"KMSInternalException"}')
        headers = {"Content-Type": wire.CONTENT_TYPE, REQUEST_ID_HEADER: request_id}
        return send(answer, environ, start_response, headers)

    def _answer(self, environ: dict[str, Any], request_id: str) -> Answer:
        body = read_body(environ, MAX_BODY)
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
            service = self._moto_service(credential["service"])
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
        origin = Origin(
            access_key=credential["key"],
            request_id=request_id,
            source_address=environ.get("REMOTE_ADDR"),
            user_agent=environ.get("HTTP_USER_AGENT"),
            body_length=len(body),
        )
        answer = self._fake.answer(
            attested.value,
            wire.decode_members(attested, body),
            account=account,
            region=credential["region"],
            origin=origin,
        )
        return Answer(200, wire.encode_answer(answer))

    def _account(self, environ: dict[str, Any], access_key: str) -> str:
        """Whose request it is; moto's header may say so, but not for callers that are listed."""
        asked: str | None = environ.get("HTTP_X_MOTO_ACCOUNT_ID")
        if asked and access_key not in self._fake.callers:
            return asked
        return self._fake.account_of(access_key)

    def _moto_service(self, service: str) -> Any:
        if service == "iam":
            from kms_fake.iam_front import LimitedIamResponse

            return LimitedIamResponse
        if service == "sts":
            from kms_fake.sts_front import sts_response_class

            return sts_response_class(self._fake)
        raise other_refusals.SERVICE.refuse(f"{service} is not served here; kms, iam, sts are.")

    def _by_moto(
        self, environ: dict[str, Any], body: bytes, responses: Any, account: str
    ) -> Answer:
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
        kept = {REQUEST_ID_HEADER, RULE_HEADER}
        if responses is not self._kms:
            kept.add("content-type")  # moto gives errors of KMS another than KMS does.
        shown = {name: str(value) for name, value in headers.items() if name.lower() in kept}
        refused = {RULE_HEADER: BY_MOTO} if int(status) >= 400 else {}
        return Answer(int(status), content, {**refused, **shown})


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").title(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return {**headers, "Content-Type": environ.get("CONTENT_TYPE", "")}


def _unreadable(problem: Problem, found: str) -> Answer:
    return _refused(_UNREADABLE[problem].refuse(found))


def _refused(refusal: KmsRefusal) -> Answer:
    headers = {"Content-Type": wire.CONTENT_TYPE, RULE_HEADER: refusal.rule}
    return Answer(refusal.http_status, wire.encode_refusal(refusal), headers)


class KmsServer(HttpServer):
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
        super().__init__(
            KmsApplication(fake),
            _unreadable,
            body_limit=MAX_BODY,
            host=host,
            port=port,
            request_timeout_seconds=request_timeout_seconds,
        )


@contextmanager
def serving(
    fake: KmsFake,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    request_timeout_seconds: float = 10,
) -> Iterator[KmsServer]:
    """A `KmsServer` answering on a thread of this process while the context is open."""
    server = KmsServer(fake, host=host, port=port, request_timeout_seconds=request_timeout_seconds)
    with on_a_thread(server, "kms"):
        yield server
