"""One endpoint for all that the target asks of AWS: kms, sts, iam, ec2 and tagging.

In front of the KMS fake's own server it knows who calls (only the instance's role, and whoever got
credentials of STS or IAM here), asks the role's policy, lets calls fail that are to fail, and
keeps a log. Signatures are not checked.
"""

from __future__ import annotations

import errno
import io
import socket
import struct
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

from cheroot.wsgi import Gateway_10

from kms_fake import KmsFake
from kms_fake.callers import account_of_access_key
from kms_fake.errors import REQUEST_ID_HEADER
from kms_fake.http_front import MAX_BODY, KmsApplication
from kms_fake.http_server import (
    Answer,
    HttpServer,
    Problem,
    StartResponse,
    UnreadableBody,
    read_body,
    send,
)
from simulator.rehearsal import asked as requests
from simulator.rehearsal import errors, journal
from simulator.rehearsal.answers import Account
from simulator.rehearsal.asked import Asked
from simulator.rehearsal.faults import SERVICES, CallKind, Counted, Faults, Part
from simulator.rehearsal.key_calls import KeyCalls
from simulator.rehearsal.permissions import Decision

_CONNECTION = "attested_kms.connection"
_NO_WAIT = struct.pack("ii", 1, 0)
"""SO_LINGER: a connection that is closed is reset, socket(7)."""


class _Gateway(Gateway_10):
    def get_environ(self) -> Any:
        """With the connection, to be cut."""
        environ: Any = super().get_environ()  # type: ignore[no-untyped-call]  # cheroot has no type for it.
        return {**environ, _CONNECTION: self.req.conn}


class _Cut(ConnectionResetError):
    """The connection has been reset; nobody is left to be answered."""


class Failing:
    """What goes wrong with calls; `tell` sends the rehearsed command a signal."""

    def __init__(self, faults: Faults, tell: Callable[[int], None]) -> None:
        self._counted = Counted(faults.calls)
        self._tell = tell
        self.is_skewed = Part.CLOCK in faults.parts

    def next(self, asked: Asked) -> CallKind | None:
        """What becomes of this call; None also where the command is told to end meanwhile."""
        kind = self._counted.next(asked.service, asked.operation)
        if kind is None or kind.signal is None:
            return kind
        self._tell(kind.signal)
        return None

    def headers(self) -> dict[str, str]:
        """Those of every answer."""
        if not self.is_skewed:
            return {}
        return {"Date": formatdate(time.time() + errors.SKEW_SECONDS, usegmt=True)}


class AwsServer(HttpServer):
    """The endpoint. Raises OSError where no port can be had."""

    def __init__(self, application: AwsApplication) -> None:
        super().__init__(application, _unreadable, body_limit=MAX_BODY)
        self._server.gateway = _Gateway


class AwsApplication:
    """The WSGI application of one world."""

    def __init__(
        self,
        fake: KmsFake,
        account: Account,
        keys: KeyCalls,
        failing: Failing,
        log: Path,
    ) -> None:
        self._fake = fake
        self._account = account
        self._keys = keys
        self._failing = failing
        self._log = log
        self._kms = KmsApplication(fake)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        try:
            answer = self._answer(environ, request_id)
        except _Cut:
            raise
        except UnreadableBody as error:
            answer = _unreadable(error.problem, error.found)
        except Exception:  # noqa: BLE001  # The last line: a mistake of ours must not end a client.
            traceback.print_exc(file=sys.stderr)
            answer = Answer(500, b'{"__type":"InternalFailure"}')
        headers = {REQUEST_ID_HEADER: request_id, **self._failing.headers()}
        return send(answer, environ, start_response, headers)

    def _answer(self, environ: dict[str, Any], request_id: str) -> Answer:
        body = read_body(environ, MAX_BODY)

        def forward() -> Answer:
            return _forwarded(self._kms, environ, body)

        asked = requests.read(environ, body)
        if asked is None or asked.service not in SERVICES:
            return forward()
        failing = self._failing.next(asked)
        if failing is CallKind.CUT:
            self._note(asked, None)
            _cut(environ)
        is_late = False
        answer = self._not_let_in(asked, failing, request_id)
        if answer is None and asked.service == "kms":
            answer, is_late = self._keys.answer(asked, forward, request_id)
        elif answer is None:
            answer = self._account.answer(asked, request_id) or forward()
        self._note(asked, answer, is_late=is_late)
        return answer

    def _not_let_in(self, asked: Asked, failing: CallKind | None, request_id: str) -> Answer | None:
        """The refusal, for a reason that is none of the service's own."""
        if not self._knows(asked.access_key):
            return errors.unknown_caller(asked.service, request_id)
        if self._failing.is_skewed:
            return errors.skewed(asked.service, request_id)
        if failing is CallKind.DENIED:
            return errors.denied(asked.service, self._text(asked, explicit=False), request_id)
        if failing is not None:
            answer = errors.expired if failing is CallKind.EXPIRED else errors.throttled
            return answer(asked.service, request_id)
        return None if asked.service == "kms" else self._denied(asked, request_id)

    def _denied(self, asked: Asked, request_id: str) -> Answer | None:
        """The refusal by the role's policy, of other services than KMS."""
        resource = str(asked.members.get("PolicySourceArn", "*"))
        decision = self._account.policy.decide(asked.action, resource, {})
        if decision is Decision.ALLOWED:
            return None
        explicit = decision is Decision.EXPLICIT_DENY
        return errors.denied(asked.service, self._text(asked, explicit=explicit), request_id)

    def _knows(self, access_key: str) -> bool:
        return access_key in self._fake.callers or account_of_access_key(access_key) is not None

    def _text(self, asked: Asked, *, explicit: bool) -> str:
        """Why, as the services word it. EC2 and tagging name no resource where there is but `*`.

        aws/copilot-cli, issue 444 (tag:GetResources, reported; what follows the action inferred);
        for EC2 inferred.
        """
        caller = self._fake.caller(asked.access_key, region=asked.region).principal
        names_it = asked.service not in ("ec2", "tagging")
        resource = asked.members.get("PolicySourceArn", "*")
        reason = (
            "with an explicit deny in an identity-based policy"
            if explicit
            else f"because no identity-based policy allows the {asked.action} action"
        )
        return (
            f"User: {caller.arn} is not authorized to perform: {asked.action} "
            f"{f'on resource: {resource} ' if names_it else ''}{reason}"
        )

    def _note(self, asked: Asked, answer: Answer | None, *, is_late: bool = False) -> None:
        journal.append(
            self._log,
            {
                "kind": "call",
                "service": asked.service,
                "operation": asked.operation,
                "members": requests.shown(asked.members),
                "status": 0 if answer is None else answer.status,
                "error": "cut" if answer is None else errors.code_of(answer),
                **({"late": True} if is_late else {}),
            },
        )


def _forwarded(
    application: Callable[[dict[str, Any], StartResponse], Iterable[bytes]],
    environ: Mapping[str, Any],
    body: bytes,
) -> Answer:
    """The answer of another application, which reads the body anew."""
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        told.append((status, headers))

    inner = {name: value for name, value in environ.items() if name != "HTTP_TRANSFER_ENCODING"}
    inner |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    content = b"".join(application(inner, start))
    status, headers = told[0]
    kept = {name: value for name, value in headers if name.lower() != "content-length"}
    return Answer(int(status.split()[0]), content, kept)


def _cut(environ: Mapping[str, Any]) -> None:
    """Reset the connection. Raises _Cut."""
    connection = environ[_CONNECTION]
    connection.linger = True  # So cheroot does not end it in an orderly way.
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_WAIT)
    connection.socket.close()
    raise _Cut(errno.ECONNRESET, "cut")


def _unreadable(_: Problem, found: str) -> Answer:
    answer = errors.error("kms", "SerializationException", found, 400, "")
    return answer._replace(headers={**answer.headers, "Connection": "close"})
