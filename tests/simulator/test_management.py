"""The management listener as clients in any language meet it: HTTP and CBOR over real sockets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import cbor2
import pytest

from kms_fake import KmsFake
from kms_fake.roots import root_from_der
from nsm_fake import NsmPki, pcr_of_role_arn
from simulator.clock import SimulatedClock
from simulator.management import Managed, managing

ROLE = "arn:aws:iam::123456789012:role/Web"


@dataclass
class Answered:
    """One answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A keep-alive connection to a management listener."""

    def __init__(self, endpoint: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
        self.headers = headers

    def __call__(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, **headers: str
    ) -> Answered:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        self.connection.request(method, path, content, {**self.headers, **headers})
        response = self.connection.getresponse()
        return Answered(response.status, response.headers, response.read())


@pytest.fixture
def managed() -> Managed:
    pki = NsmPki(b"tests/simulator")
    clock = SimulatedClock()
    return Managed(KmsFake([root_from_der(pki.root_certificate_der)], clock=clock), clock, pki)


@pytest.fixture
def ask(managed: Managed) -> Iterator[Client]:
    with managing(managed) as server:
        client = Client(server.endpoint)
        yield client
        client.connection.close()


def test_an_enclave_is_made_asked_and_ended(ask: Client) -> None:
    made = ask("POST", "/enclaves", {"role_arn": ROLE})
    assert made.status == 201
    enclave = made.json()
    assert enclave["pcrs"]["3"] == pcr_of_role_arn(ROLE).hex()
    path = f"/enclaves/{enclave['enclave_id']}"
    described = ask("POST", f"{path}/nsm", cbor2.dumps("DescribeNSM"))
    assert described.headers["Content-Type"] == "application/cbor"
    assert cbor2.loads(described.body)["DescribeNSM"]["module_id"] == enclave["module_id"]
    assert ask("DELETE", path).status == 204
    assert ask("DELETE", path).status == 404
    assert ask("POST", f"{path}/nsm", cbor2.dumps("DescribeNSM")).status == 404
