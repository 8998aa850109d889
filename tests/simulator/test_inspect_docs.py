"""The examples of docs/reference/inspect.md are what the command prints."""

from __future__ import annotations

import base64
import doctest
import json
import re
import shlex
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kms_fake.envelope import ContentForm, seal
from tests.simulator.inspected import ROLE, document, inspect, nsm, rsa_key, spki

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "inspect.md"
EXAMPLES = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
SEED = "docs"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the examples name, and the place to run them in."""
    pkcs1 = document("pkcs1", seed=SEED)
    (tmp_path / "doc.bin").write_bytes(document(seed=SEED))
    (tmp_path / "pkcs1.bin").write_bytes(pkcs1)
    (tmp_path / "twice.b64").write_bytes(base64.b64encode(base64.b64encode(pkcs1)))
    plaintext = b"only this enclave reads me " + bytes(0)
    plaintext = b"only this enclave reads me"
    blob = seal(plaintext, rsa_key().public_key(), spki(), ContentForm.CONSTRUCTED)
    (tmp_path / "envelope.ber").write_bytes(blob)
    key = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    measured = nsm(seed=SEED).identity.pcr0.hex().upper()
    statement = {
        "Sid": "attested",
        "Effect": "Allow",
        "Principal": {"AWS": ROLE},
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:RecipientAttestation:PCR0": measured}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_is_true(example: str) -> None:
    code = None
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", example, re.MULTILINE):
        if command == "echo $?":
            assert int(expected) == code
            continue
        words = shlex.split(command)
        assert words[:2] == ["attested-kms", "inspect"]
        ran = inspect(*words[2:])
        code = ran.code
        assert ran.err == ""
        same = doctest.OutputChecker().check_output(expected, ran.out, doctest.ELLIPSIS)
        assert same, ran.out


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) == 5
