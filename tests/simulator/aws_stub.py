"""AWS on loopback, for boto3 itself: STS, IAM and EC2 in their wire forms, metadata beside them.

The answers are those of the query protocol (IAM, STS: awsQuery; EC2: ec2), as the services' API
references show them.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any

from kms_fake.http_server import Answer
from simulator.parent_services.imds import Credentials, Imds, Instance
from tests.simulator.doctor_servers import serving, url

Request = dict[str, str]
"""The members of a request, as their form has them: `ActionNames.member.1`."""


@dataclass
class Stub:
    """What it answers, and what it was asked."""

    arn: str
    enabled: bool | None = True
    """EnclaveOptions of the instance; None leaves them out, as moto does."""
    denied: set[str] = field(default_factory=set)
    """Actions that IAM says are not allowed."""
    errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    """A status and a code instead of an operation's answer."""
    asked: list[Request] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> tuple[int, str]:
        """Status and XML."""
        operation = request["Action"]
        if operation in self.errors:
            status, code = self.errors[operation]
            return status, _error(operation, code)
        texts = {
            "GetCallerIdentity": self._identity,
            "SimulatePrincipalPolicy": self._simulated,
            "DescribeInstances": self._described,
        }
        return 200, texts[operation](request)

    def _identity(self, _: Request) -> str:
        return _query("GetCallerIdentity", f"<Arn>{self.arn}</Arn><Account>1</Account>")

    def _simulated(self, request: Request) -> str:
        actions = (text for name, text in request.items() if name.startswith("ActionNames."))
        results = "".join(
            f"<member><EvalActionName>{action}</EvalActionName><EvalDecision>"
            f"{'implicitDeny' if action in self.denied else 'allowed'}</EvalDecision></member>"
            for action in actions
        )
        body = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
        return _query("SimulatePrincipalPolicy", body)

    def _described(self, request: Request) -> str:
        name = request["InstanceId.1"]
        told = f"<enclaveOptions><enabled>{str(self.enabled).lower()}</enabled></enclaveOptions>"
        options = "" if self.enabled is None else told
        return (
            '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<reservationSet><item><instancesSet><item><instanceId>{name}</instanceId>{options}"
            "</item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
        )


def _query(operation: str, result: str) -> str:
    inner = f"<{operation}Result>{result}</{operation}Result>"
    return f"<{operation}Response>{inner}</{operation}Response>"


def _error(operation: str, code: str) -> str:
    error = f"<Code>{code}</Code><Message>no {operation}</Message>"
    if operation == "DescribeInstances":
        return f"<Response><Errors><Error>{error}</Error></Errors></Response>"
    return f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"


@contextmanager
def answering(stub: Stub, instance: Instance | None = None) -> Iterator[str]:
    """The URL of both: AWS takes the POSTs, and the metadata service the rest."""
    clock = lambda: 1_769_515_200_000  # noqa: E731  # Noon of 2026-01-27; its renewal is not asked.
    imds = Imds(instance, Credentials.create(), clock) if instance else None

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            request = dict(urllib.parse.parse_qsl(body))
            stub.asked.append(request)
            stub.authorizations.append(self.headers["Authorization"])
            status, text = stub.answer(request)
            self._send(status, text.encode(), "text/xml")

        def do_GET(self) -> None:
            self._metadata("get")

        def do_PUT(self) -> None:
            self._metadata("put")

        def _metadata(self, method: str) -> None:
            asked: Any = getattr(imds, method, _nothing)
            answer: Answer = asked(self.path, self.headers)
            self._send(answer.status, answer.body, "text/plain")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as server:
        yield url(server)


def _nothing(_: str, __: Message) -> Answer:
    return Answer(404, b"")
