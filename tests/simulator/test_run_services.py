"""What a run's parent offers at its vsock ports, as an enclave program meets it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from threading import Thread

import pytest

from simulator.interpose.plan import Rung
from simulator.run_services import BadService, Forward
from tests.simulator.supervised import PRELUDE, needs
from tests.simulator.test_command import served
from tests.simulator.test_run_command import run

PARTS = """
import http.client, json, ssl

class Dialled(http.client.HTTPConnection):
    def __init__(self, port, host="parent", context=None):
        super().__init__(host)
        self.vsock, self.context = port, context
    def connect(self):
        self.sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        self.sock.connect((3, self.vsock))
        if self.context:
            self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host)

def ask(connection, method, path, headers={}, body=None):
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read().decode(), response.headers
"""
KMS = """
kms = Dialled(8000, "kms.us-east-1.amazonaws.com", ssl.create_default_context())
key = {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1",
       "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/kms/aws4_request, "
       "SignedHeaders=host, Signature=00"}
"""


def program(code: str) -> list[str]:
    import sys

    return [sys.executable, "-I", "-c", PRELUDE + PARTS + code]


@pytest.fixture(params=["--isolate", "--no-isolate"])
def isolate(request: pytest.FixtureRequest) -> str:
    needs(Rung.NAMESPACES if request.param == "--isolate" else Rung.OPEN_TRAP)
    return str(request.param)


def test_kms_has_its_name_and_a_certificate_that_is_trusted(isolate: str) -> None:
    code = f"KEY = 'AKIAANY'\n{KMS}\nprint(ask(kms, 'POST', '/', key, '{{}}')[1])"
    finished = run(isolate, "--kms", "--", *program(code))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert json.loads(finished.stdout)["Keys"] == []


def test_a_program_with_roots_of_its_own_is_told_so() -> None:
    code = f"""KEY = 'AKIAANY'
{KMS}
kms.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
try:
    ask(kms, "POST", "/", key, "{{}}")
except ssl.SSLCertVerificationError:
    print("refused")
"""
    finished = run("--kms", "--", *program(code))
    assert finished.stdout == "refused\n"
    assert finished.stderr.startswith("attested-kms run: A client refused KMS's certificate")


def test_the_metadata_service_gives_the_role_behind_pcr3(isolate: str) -> None:
    arn = "arn:aws:iam::210987654321:role/path/Worker"
    code = f"""
imds = Dialled(8002)
ttl = {{"X-aws-ec2-metadata-token-ttl-seconds": "60"}}
token = {{"X-aws-ec2-metadata-token": ask(imds, "PUT", "/latest/api/token", ttl)[1]}}
place = "/latest/meta-data/iam/security-credentials/"
role = ask(imds, "GET", place, token)[1]
KEY = json.loads(ask(imds, "GET", place + role, token)[1])["AccessKeyId"]
print(role, ask(imds, "GET", place)[0])
{KMS}
key["X-Amz-Target"] = "TrentService.CreateKey"
print(json.loads(ask(kms, "POST", "/", key, "{{}}")[1])["KeyMetadata"]["AWSAccountId"])
"""
    options = ("--kms", "--imds", "8002", "--role-arn", arn)
    finished = run(isolate, *options, "--", *program(code))
    assert finished.stderr == ""
    assert finished.stdout.splitlines() == ["Worker 401", "210987654321"]


def test_a_port_leads_to_a_tcp_address(isolate: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())

        thread = Thread(target=serve)
        thread.start()
        code = """
dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
dialled.connect((3, 7777))
dialled.sendall(b"through")
print(dialled.recv(100))
"""
        finished = run(isolate, "--forward", f"7777=127.0.0.1:{port}", "--", *program(code))
        thread.join()
    assert (finished.stdout, finished.stderr) == ("b'THROUGH'\n", "")


def test_the_kms_of_a_joined_server_is_meant(tmp_path: Path, isolate: str) -> None:
    with served("--management-port", "0", "--account", "210987654321") as ready:
        (tmp_path / "server.json").write_text(json.dumps(ready))
        code = f"""KEY = 'AKIAANY'
{KMS}
key["X-Amz-Target"] = "TrentService.CreateKey"
print(json.loads(ask(kms, "POST", "/", key, "{{}}")[1])["KeyMetadata"]["AWSAccountId"])
"""
        joined = ("--join", str(tmp_path / "server.json"), "--kms")
        finished = run(isolate, *joined, "--", *program(code))
        assert (finished.stdout, finished.stderr) == ("210987654321\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--forward", "80"), "'80' forwards nothing"),
        (("--forward", "80=localhost:99999"), "forwards nothing"),
        (("--forward", "80=nowhere.invalid:1"), "No address is known for nowhere.invalid:1"),
        (("--imds", "0"), "is not a vsock port"),
        (("--kms", "--imds", "8000"), "Another program listens at"),
        (("--imds", "80", "--role-arn", "arn:aws:iam::123456789012:user/u"), "role"),
        (("--kms", "--region", "mars"), "'mars' is not an AWS region"),
        (("--parent", "--kms"), "--kms is of enclaves"),
    ],
)
def test_what_cannot_be_offered(arguments: tuple[str, ...], sentence: str) -> None:
    finished = run(*arguments, "--", "true")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert sentence in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_forward_is_read() -> None:
    assert Forward.parse("8001=[::1]:443") == Forward(8001, "::1", 443)
    assert Forward.parse("1=a.example:2") == Forward(1, "a.example", 2)
    with pytest.raises(BadService):
        Forward.parse("4294967295=a:1")
