"""doctor: kms.reachable, against real servers on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import pytest

from simulator.doctor import web
from simulator.doctor.checks.kms import CHECKS
from simulator.doctor.host import Host, NetworkNotAsked
from simulator.doctor.model import Finding, Outcome
from simulator.doctor.this_machine import ThisMachine
from simulator.parent_services.private_ca import PrivateCa
from tests.simulator.doctor_hosts import host
from tests.simulator.doctor_servers import Quiet, answering, findings, serving, url

NOWHERE = {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}


def _asked(machine: Host) -> Finding:
    (found,) = findings(CHECKS, "kms.reachable", machine)
    return found


def _here(
    endpoint: str, environ: Mapping[str, str] | None = None, *, network: bool = False
) -> Finding:
    given = {**NOWHERE, "AWS_ENDPOINT_URL_KMS": endpoint, **(environ or {})}
    return _asked(ThisMachine(given, network=network))


@contextmanager
def _tls(ca: PrivateCa) -> Iterator[ThreadingHTTPServer]:
    with serving(Quiet) as server:
        context = ca.server_context(["localhost"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server


def test_an_answer_of_any_status_is_one() -> None:
    with serving(Quiet) as server:
        found = _here(url(server))
    assert found.outcome is Outcome.OK
    assert "(404)" in found.found


def test_a_certificate_of_a_private_authority_is_a_finding_until_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = PrivateCa.create()
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(ca.pem)
    with _tls(ca) as server:
        endpoint = url(server, "https", "localhost")
        found = _here(endpoint)
        assert found.outcome is Outcome.ERROR
        assert "certificate" in found.found
        assert "AWS_CA_BUNDLE" in found.fix
        # boto3 would trust it; what others do is not known.
        assert _here(endpoint, {"AWS_CA_BUNDLE": str(bundle)}).outcome is Outcome.WARNING
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        assert _here(endpoint).outcome is Outcome.OK
        wrong_name = _here(url(server, "https", "127.0.0.1"))
        assert wrong_name.outcome is Outcome.ERROR
        assert "certificate" in wrong_name.found


def test_nobody_at_the_port_of_this_machine_is_a_serve_that_does_not_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = _here(f"http://127.0.0.1:{port}")
    assert found.outcome is Outcome.ERROR
    assert "refused" in found.found
    assert "attested-kms serve" in found.fix


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "NETWORK_SECONDS", 0.05)
    with answering(b"") as endpoint:
        found = _here(endpoint)
    assert found.outcome is Outcome.ERROR
    assert "timed out" in found.found


@pytest.mark.parametrize(
    "raw",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"\xff\xfe\x00\x01", b"HTTP/1.1 nine\r\n\r\n", b"\r\n" * 9],
)
def test_what_speaks_no_http_is_said_to_be_something_else(raw: bytes) -> None:
    with answering(raw) as endpoint:
        found = _here(endpoint)
    assert found.outcome is Outcome.ERROR
    assert found.fix


def test_garbage_in_headers_is_an_answer_or_a_finding() -> None:
    raw = b"HTTP/1.1 200 OK\r\n\xff\xfe: \xff\r\nno colon here\r\nContent-Length: x\r\n\r\n"
    with answering(raw) as endpoint:
        assert _here(endpoint).outcome in (Outcome.OK, Outcome.ERROR)


def test_plain_http_under_https_is_a_finding_with_its_own_fix() -> None:
    with serving(Quiet) as server:
        found = _here(url(server, "https"))
    assert found.outcome is Outcome.ERROR
    assert "http://" in found.fix


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = _here("https://kms.nowhere.test", network=True)
    assert found.outcome is Outcome.ERROR
    assert "resolv.conf" in found.fix


def test_beyond_this_machine_it_is_asked_with_network_only() -> None:
    with pytest.raises(NetworkNotAsked):
        _asked(ThisMachine({**NOWHERE, "AWS_DEFAULT_REGION": "us-east-1"}))


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "https://kms.eu-central-1.amazonaws.com/"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "https://kms.cn-north-1.amazonaws.com.cn/"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:81/"}, "http://127.0.0.1:81/"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:81", "AWS_ENDPOINT_URL_KMS": "http://[::1]:82"},
            "http://[::1]:82/",
        ),
        (
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:81",
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
            "https://kms.us-east-1.amazonaws.com/",
        ),
    ],
)
def test_the_endpoint_is_the_one_of_boto3(
    tmp_path: Path, environ: dict[str, str], asked: str
) -> None:
    machine = host(tmp_path, environ=environ, answers=[{"url": asked, "status": 400}])
    found = _asked(machine)
    assert found.outcome is Outcome.OK, found


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ("[default]\nendpoint_url = http://127.0.0.1:81\n", "http://127.0.0.1:81/"),
        (
            (
                "[default]\nservices = ours\nendpoint_url = http://127.0.0.1:81\n"
                "[services ours]\nkms =\n  endpoint_url = http://127.0.0.1:82\n"
            ),
            "http://127.0.0.1:82/",
        ),
        ("[default]\nregion = us-west-2\n", "https://kms.us-west-2.amazonaws.com/"),
    ],
)
def test_the_endpoint_may_stand_in_the_config_file(tmp_path: Path, config: str, asked: str) -> None:
    machine = host(
        tmp_path,
        environ={"HOME": "/home/me"},
        files={"/home/me/.aws/config": config},
        answers=[{"url": asked, "status": 400}],
    )
    assert _asked(machine).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("environ", "outcome"),
    [
        ({}, Outcome.WARNING),
        ({"AWS_DEFAULT_REGION": ""}, Outcome.WARNING),
        ({"AWS_DEFAULT_REGION": "mars-north-1"}, Outcome.ERROR),
        ({"AWS_DEFAULT_REGION": "us east"}, Outcome.ERROR),
        ({"AWS_ENDPOINT_URL_KMS": "localhost:8080"}, Outcome.ERROR),
        ({"AWS_ENDPOINT_URL_KMS": "http://[::1"}, Outcome.ERROR),
        ({"AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:99999"}, Outcome.ERROR),
        ({"AWS_ENDPOINT_URL_KMS": "file:///etc/passwd"}, Outcome.ERROR),
        ({"AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:80\r\nX: y"}, Outcome.ERROR),
    ],
)
def test_settings_that_name_no_endpoint(
    tmp_path: Path, environ: dict[str, str], outcome: Outcome
) -> None:
    found = _asked(host(tmp_path, environ=environ))
    assert found.outcome is outcome
    assert found.fix


def test_a_services_section_that_is_missing_stops_boto3(tmp_path: Path) -> None:
    files = {"/root/.aws/config": "[default]\nservices = ours\nregion = us-east-1\n"}
    found = _asked(host(tmp_path, environ={"HOME": "/root"}, files=files))
    assert found.outcome is Outcome.ERROR
    assert "services ours" in found.found


def test_a_password_in_the_endpoint_is_not_shown() -> None:
    with serving(Quiet) as server:
        found = _here(f"http://me:hunter2@127.0.0.1:{server.server_address[1]}/?k=hunter2")
    assert "hunter2" not in repr(found)


def test_no_credentials_are_sent() -> None:
    seen: list[str] = []

    class Listening(Quiet):
        def do_GET(self) -> None:  # noqa: N802  # http.server's name.
            seen.append(self.requestline + str(self.headers))
            super().do_GET()

    with serving(Listening) as server:
        pair = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2"}
        _here(url(server), pair)
    assert len(seen) == 1
    assert "hunter2" not in seen[0]
    assert "AKIAEXAMPLE" not in seen[0]
