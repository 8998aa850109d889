"""The command `attested-kms` as a user runs it: real processes, exit codes, messages."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import boto3
import cbor2
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificates

from kms_fake import RuleSet
from kms_fake.roots import aws_root
from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki, system_clock
from simulator import cli, demo
from simulator.commands import serve

COMMAND = [sys.executable, "-m", "simulator.cli"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_told_of() -> None:
    with Path("/dev/full").open("wb") as full:
        finished = subprocess.run(
            [*COMMAND, "explain", "--list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "attested-kms explain: Standard output cannot be written (No space left on device).\n"
    assert (finished.returncode, finished.stderr) == (1, said)


def test_what_a_terminal_cannot_show_is_shown_by_its_number() -> None:
    code = "from simulator.commands import show; show('k\\u00f6ln \\udcff')"
    for encoding, shown in (("ascii", "k\\xf6ln \\udcff\n"), ("utf-8", "k\u00f6ln \\udcff\n")):
        finished = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
            check=True,
        )
        assert finished.stdout.decode() == shown


@contextmanager
def served(*arguments: str) -> Iterator[dict[str, Any]]:
    """The ready line of a server that is stopped at the end and must then have exited with 0."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)  # An impatient user changes nothing.
            errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "")


def client(endpoint: str) -> Any:
    return boto3.client(
        "kms",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106  # No secret.
        config=Config(retries={"total_max_attempts": 1}),
    )


def document_of(pki: NsmPki) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    identity = EnclaveIdentity.create(clock=system_clock)
    module = NitroSecurityModule(identity, pki, system_clock)
    fields = {"user_data": None, "nonce": None, "public_key": spki}
    answer = cbor2.loads(module.handle(cbor2.dumps({"Attestation": fields})))
    document: bytes = answer["Attestation"]["document"]
    return document


def decrypt(endpoint: str, document: bytes) -> dict[str, Any]:
    kms = client(endpoint)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    recipient = {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": document,
    }
    answer: dict[str, Any] = kms.decrypt(CiphertextBlob=blob, Recipient=recipient)
    return answer


def test_serve_prints_one_line_and_serves_until_it_is_stopped() -> None:
    with served() as ready:
        assert set(ready) == {"kms_endpoint", "root_certificate", "rules", "account", "region"}
        assert ready["rules"] == "aws"
        (root,) = load_pem_x509_certificates(Path(ready["root_certificate"]).read_bytes())
        assert "NotAWS" in root.subject.rfc4514_string()
        with pytest.raises(ClientError, match=r"document\.root"):
            decrypt(ready["kms_endpoint"], document_of(NsmPki()))
    assert not Path(ready["root_certificate"]).exists()


def test_a_seed_gives_the_same_root_and_its_documents_are_believed() -> None:
    pki = NsmPki(b"a seed")
    with served("--seed", "a seed", "--rules", "field-notes") as ready:
        assert Path(ready["root_certificate"]).read_bytes() == pki.root_certificate_pem
        assert ready["rules"] == "field-notes"
        with pytest.raises(ClientError, match="You must specify an encryption algorithm"):
            decrypt(ready["kms_endpoint"], document_of(pki))
    with served("--seed", "a seed") as ready:
        answer = decrypt(ready["kms_endpoint"], document_of(pki))
        assert answer["CiphertextForRecipient"]


def test_roots_replace_the_built_in_one(tmp_path: Path) -> None:
    pki = NsmPki()
    der, pem = tmp_path / "root.der", tmp_path / "root.pem"
    der.write_bytes(pki.root_certificate_der)
    pem.write_bytes(pki.root_certificate_pem)
    with served("--root", str(der), "--root", "aws") as ready:
        roots = load_pem_x509_certificates(Path(ready["root_certificate"]).read_bytes())
        assert len(roots) == 2
        assert roots[1] == aws_root()
        assert decrypt(ready["kms_endpoint"], document_of(pki))["CiphertextForRecipient"]
    with served("--root", "sim", str(pem)) as ready:
        assert decrypt(ready["kms_endpoint"], document_of(pki))["CiphertextForRecipient"]
    with served("--root", "aws") as ready, pytest.raises(ClientError, match=r"document\.root"):
        decrypt(ready["kms_endpoint"], document_of(pki))


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port))
    assert result.returncode == 1
    assert result.stderr.startswith(f"attested-kms serve: Port {port} of 127.0.0.1 cannot be used")
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot read the root certificate"),
        (b"", "holds no usable root certificate"),
        (b"junk", "holds no usable root certificate"),
        (b"-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n", "holds no usable"),
    ],
)
def test_a_bad_root_is_a_sentence(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "root.pem"
    if content is not None:
        path.write_bytes(content)
    result = run("serve", "--root", str(path))
    assert result.returncode == 1
    assert complaint in result.stderr
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing"], ["serve", "--port", "x"], ["serve", "--port", "65536"], ["serve", "--rules"]],
    ids=str,
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: attested-kms")


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["demo", "--help"]])
def test_help(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "attested-kms" in result.stdout


def test_the_rule_sets_on_offer_are_those_there_are() -> None:
    assert set(serve.RULE_SETS) == {rule_set.value for rule_set in RuleSet}
    assert serve.RULE_SETS[0] == RuleSet.AWS.value


def test_version() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.strip()[0].isdigit()


def test_the_demo_shows_the_flow_and_the_four_mistakes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["demo"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "Please specify either number of bytes or key spec.",
        "You must specify an encryption algorithm in this request.",
        "You must specify a recipient public key in this request.",
        "Invalid public key",
        'inside the enclave: "only this enclave reads me"',
    ):
        assert text in shown
    assert shown.count("the enclave opens") == 4


def test_the_users_own_aws_takes_no_part() -> None:
    """Each of these alone would make it fail."""
    hostile = {
        "AWS_PROFILE": "absent",
        "AWS_CONFIG_FILE": __file__,
        "AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:9",
        "AWS_CA_BUNDLE": "/absent",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "NO_PROXY": "",
    }
    result = subprocess.run(
        [*COMMAND, "demo"],
        env={**os.environ, **hostile},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_demo_that_fails_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_show_flow", Mock(side_effect=demo.DemoFailed("a step went wrong")))
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == "attested-kms demo: a step went wrong\n"


def test_a_client_that_is_no_sdk_gets_aws_shaped_json() -> None:
    """The answer to a bare request, as curl would send it."""
    with served() as ready:
        connection = http.client.HTTPConnection(urlsplit(ready["kms_endpoint"]).netloc)
        body = json.dumps({"CiphertextBlob": base64.b64encode(b"junk").decode()})
        connection.request("POST", "/", body, {"X-Amz-Target": "TrentService.Decrypt"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
    assert (response.status, answer["__type"]) == (400, "MissingAuthenticationTokenException")
