"""Systems Manager as an HTTP server on a port of loopback, for real clients.

It runs shell commands for whoever asks it, so it asks who that is: a request must be signed with
the access key that this server alone has, which is made anew each time. The signature itself is
not checked.
"""

from __future__ import annotations

import json
import re
import secrets
import string
import sys
import traceback
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.core.request import Request

from kms_fake.errors import REQUEST_ID_HEADER, RULE_HEADER
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
from simulator.systems_manager import instance as instances
from simulator.systems_manager import rules
from simulator.systems_manager.faults import Faults
from simulator.systems_manager.front import response_class
from simulator.systems_manager.refusals import SsmRefusal
from simulator.systems_manager.request_model import service_model
from simulator.systems_manager.service import SystemsManager

MAX_BODY = 2 * 1024 * 1024
_CONTENT_TYPE = "application/x-amz-json-1.1"
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/\d{8}/[^/]+/ssm/aws4_request")
_TARGET = re.compile(r"AmazonSSM\.(\w+)")
_LETTERS = string.ascii_uppercase + "234567"


class CannotListen(Exception):
    """The port cannot be had; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client signs with."""

    access_key_id: str
    secret_access_key: str

    @classmethod
    def new(cls) -> Credentials:
        """A pair that nobody else knows."""
        name = "".join(secrets.choice(_LETTERS) for _ in range(16))
        return cls(f"AKIA{name}", secrets.token_urlsafe(30))


@dataclass(frozen=True, slots=True)
class Served:
    """A service that answers."""

    endpoint: str
    region: str
    instance_id: str
    credentials: Credentials
    why_not_laid_out: str
    """Why scripts see this system's files and not the instance's; empty where they see those."""

    def to_json(self) -> str:
        """The line that says so."""
        return json.dumps(
            {
                "ssm_endpoint": self.endpoint,
                "region": self.region,
                "instance_id": self.instance_id,
                "aws_access_key_id": self.credentials.access_key_id,
                "aws_secret_access_key": self.credentials.secret_access_key,
            }
        )


class _Application:
    """The WSGI application around one service."""

    def __init__(self, service: SystemsManager, credentials: Credentials) -> None:
        self._responses = response_class(service)
        self._credentials = credentials

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            answer = self._answer(environ)
        except SsmRefusal as refusal:
            answer = _refused(refusal)
        except UnreadableBody as error:
            answer = _unreadable(error.problem, error.found)
            answer = answer._replace(headers={**answer.headers, "Connection": "close"})
        except Exception:  # noqa: BLE001  # The last line: a mistake of ours must not end a client.
            traceback.print_exc(file=sys.stderr)
            answer = Answer(500, b'{"__type":"InternalServerError"}')
        headers = {"Content-Type": _CONTENT_TYPE, REQUEST_ID_HEADER: str(uuid.uuid4())}
        return send(answer, environ, start_response, headers)

    def _answer(self, environ: dict[str, Any]) -> Answer:
        # Before its body is read: a stranger's may be anything.
        self._check_caller(environ.get("HTTP_AUTHORIZATION", ""))
        body = read_body(environ, MAX_BODY)
        target = _TARGET.fullmatch(environ.get("HTTP_X_AMZ_TARGET", ""))
        if environ["REQUEST_METHOD"] != "POST" or target is None:
            raise rules.OPERATION.refuse(
                "A request is a POST whose X-Amz-Target names an operation of AmazonSSM."
            )
        if target[1] not in service_model().operation_names:
            raise rules.OPERATION.refuse(f"Systems Manager has no operation {target[1]}.")
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise rules.REQUEST.refuse("The body is not UTF-8.") from error
        return self._by_moto(environ, body, target[1])

    def _check_caller(self, authorization: str) -> None:
        match = _CREDENTIAL.match(authorization)
        if match is None:
            raise rules.NO_CREDENTIALS.refuse("no credentials")
        if not secrets.compare_digest(match[1], self._credentials.access_key_id):
            raise rules.ACCESS_KEY.refuse("another access key")

    def _by_moto(self, environ: dict[str, Any], body: bytes, operation: str) -> Answer:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").title(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        request = Request.from_primitives(
            environ["REQUEST_METHOD"],
            f"http://{environ.get('HTTP_HOST', 'localhost')}/",
            {**headers, "Content-Type": environ.get("CONTENT_TYPE", "")},
            body,
        )
        try:
            status, _, answer = self._responses.dispatch(request, request.url, request.headers)
        except NotImplementedError as error:
            raise rules.OPERATION.refuse(f"moto: {error}") from error
        except SsmRefusal:
            raise
        except Exception as error:
            if operation in rules.ALL:
                raise
            # moto raises Python errors for requests that it did not foresee.
            found = f"moto could not answer: {type(error).__name__}: {error}"
            raise rules.MOTO.refuse(found) from error
        content = answer if isinstance(answer, bytes) else str(answer).encode()
        return Answer(int(status), content)


def _unreadable(problem: Problem, found: str) -> Answer:
    answer = _refused(rules.REQUEST.refuse(found))
    return answer._replace(status=413) if problem is Problem.TOO_LONG else answer


def _refused(refusal: SsmRefusal) -> Answer:
    headers = {"Content-Type": _CONTENT_TYPE, RULE_HEADER: refusal.rule}
    return Answer(refusal.http_status, json.dumps(refusal.body()).encode(), headers)


@contextmanager
def serving(
    machine: Path | None = None,
    *,
    port: int = 0,
    region: str | None = None,
    faults: Sequence[str] = (),
    second: float = 1.0,
) -> Iterator[Served]:
    """A Systems Manager for one simulated machine, answering while the context is open.

    `machine` is its folder; None is the one that the environment names. `faults` are written as
    `faults.GRAMMAR` says. `second` is how long a second of timeouts lasts. At the end every process
    that came of a script is killed.

    Raises NoInstance, BadFault, CannotListen.
    """
    wrong = Faults.parse(faults)
    credentials = Credentials.new()
    with instances.found(machine, region) as instance:
        service = SystemsManager(instance, wrong, second)
        try:
            server = _listening(_Application(service, credentials), port)
            with on_a_thread(server, "ssm"):
                yield Served(
                    server.endpoint,
                    instance.region,
                    instance.instance_id,
                    credentials,
                    instance.why_not_laid_out,
                )
        finally:
            service.close()


def _listening(application: _Application, port: int) -> HttpServer:
    try:
        return HttpServer(application, _unreadable, body_limit=MAX_BODY, host=LOOPBACK, port=port)
    except OSError as error:
        raise CannotListen(
            f"Port {port} of {LOOPBACK} cannot be used ({error.strerror or error}); give another "
            "one, or 0 for any free one."
        ) from error
