"""The instance metadata service at a port of loopback, as AWS_EC2_METADATA_SERVICE_ENDPOINT has it.

What it answers is `simulator.parent_services.imds`, and the instance's type beside it ("Instance
metadata categories", Amazon EC2 User Guide, documented).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any

from kms_fake.fake import Clock
from kms_fake.http_server import (
    Answer,
    HttpServer,
    Problem,
    StartResponse,
    UnreadableBody,
    on_a_thread,
    read_body,
    send,
)
from simulator.parent_services.imds import Credentials, Imds, Instance

_MOST_BODY = 4096
_ROLE_PATHS = "/latest/meta-data/iam"


class _Application:
    def __init__(self, imds: Imds, *, has_role: bool) -> None:
        self._imds = imds
        self._has_role = has_role

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            read_body(environ, _MOST_BODY)
            answer = self._answer(environ)
        except UnreadableBody:
            answer = Answer(400, b"", {"Connection": "close"})
        return send(answer, environ, start_response, {"Content-Type": "text/plain"})

    def _answer(self, environ: dict[str, Any]) -> Answer:
        headers = Message()
        for name, value in environ.items():
            if name.startswith("HTTP_"):
                headers[name.removeprefix("HTTP_").replace("_", "-")] = str(value)
        path = str(environ.get("PATH_INFO", ""))
        if environ["REQUEST_METHOD"] == "PUT":
            return self._imds.put(path, headers)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return Answer(405, b"")
        answer = self._imds.get(path, headers)
        if answer.status == 200 and path.startswith(_ROLE_PATHS) and not self._has_role:
            return Answer(404, b"")
        if answer.status == 404 and path == "/latest/meta-data/instance-type":
            return Answer(200, self._imds.instance.instance_type.encode())
        return answer


@contextmanager
def serving_metadata(
    instance: Instance, credentials: Credentials, clock: Clock, *, has_role: bool
) -> Iterator[tuple[str, Imds]]:
    """The service's URL while the context is open, and what answers there.

    Without a role there are no credentials. Raises OSError where no port can be had.
    """
    imds = Imds(instance, credentials, clock)
    server = HttpServer(_Application(imds, has_role=has_role), _unreadable, body_limit=_MOST_BODY)
    with on_a_thread(server, "metadata"):
        yield server.endpoint, imds


def _unreadable(_: Problem, found: str) -> Answer:
    return Answer(400, found.encode(), {"Connection": "close"})
