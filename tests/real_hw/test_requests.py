from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator

from real_hw import requests
from real_hw.requests import ABSENT, Case, NotShown, Sent
from simulator.schema_check import schema

ROOT = Path(__file__).resolve().parents[2]
DER, SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What --show-requests writes: of the real scenarios, enclave program, proxy and SDK."""
    path = tmp_path_factory.mktemp("told") / "plan.json"
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "scenarios"),
            *("--target", "hardware", "--transport", "fabric"),
            *("--show-requests", "--plan", str(path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    written = json.loads(path.read_text())
    assert list(Draft202012Validator(schema("hardware-plan")).iter_errors(written)) == []
    return {**written["requests"], "printed": finished.stdout.splitlines()}


def success(told: dict[str, Any], operation: str) -> dict[str, Any]:
    [found] = [one for one in told["successes"] if one["operation"] == operation]
    members: dict[str, Any] = found["members"]
    return members


RECIPIENT = {"KeyEncryptionAlgorithm", "AttestationDocument"}


def test_decrypt_has_the_members_that_the_c_sdk_sends(told: dict[str, Any]) -> None:
    """aws-nitro-enclaves-sdk-c, source/kms.c: KeyId and EncryptionAlgorithm only together."""
    members = success(told, "Decrypt")
    assert set(members) == {"CiphertextBlob", "Recipient"}
    assert set(members["Recipient"]) == RECIPIENT
    assert members["Recipient"]["KeyEncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"


def test_generate_data_key_has_the_members_that_the_c_sdk_sends(told: dict[str, Any]) -> None:
    members = success(told, "GenerateDataKey")
    assert set(members) == {"KeyId", "KeySpec", "Recipient"}
    assert set(members["Recipient"]) == RECIPIENT
    assert members["Recipient"]["KeyEncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"


@pytest.mark.parametrize("operation", ["Decrypt", "GenerateDataKey"])
def test_the_document_of_a_success_has_the_key_that_kms_wants(
    told: dict[str, Any], operation: str
) -> None:
    [found] = [one for one in told["successes"] if one["operation"] == operation]
    assert found["attested"]["public_key"] == "DER SubjectPublicKeyInfo, RSA-2048 (294 bytes)"


@pytest.mark.parametrize(
    ("scenario", "member", "error"),
    [
        ("bugs/bug-7-data-key-without-size", "KeySpec", ABSENT),
        (
            "bugs/bug-8-1-no-key-encryption-algorithm",
            "Recipient.KeyEncryptionAlgorithm",
            ABSENT,
        ),
        ("bugs/bug-8-2-no-public-key", "Recipient.AttestationDocument.public_key", ABSENT),
        (
            "bugs/bug-8-3-pkcs1-public-key",
            "Recipient.AttestationDocument.public_key",
            "DER PKCS#1 RSAPublicKey, RSA-2048 (270 bytes)",
        ),
    ],
)
def test_each_error_request_has_one_member_changed(
    told: dict[str, Any], scenario: str, member: str, error: str
) -> None:
    [found] = [one for one in told["errors"] if one["scenario"] == scenario]
    [difference] = found["differences"]
    assert (difference["member"], difference["error"]) == (member, error)
    assert found["refusal"].startswith("ValidationException: ")


def test_the_page_shows_what_is_printed(told: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "reference" / "hardware.md").read_text()
    [block] = [one for one in page.split("```") if one.lstrip().startswith("bug 7, no size")]
    assert [line for line in block.strip().splitlines() if line not in told["printed"]] == []


KEY = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(DER, SPKI)


TIMES = itertools.count()


def document(**attested: Any) -> bytes:
    """An unsigned document; each has a time of its own."""
    payload = {"module_id": "i-0-enc0", "timestamp": next(TIMES), "public_key": KEY}
    return cbor2.dumps([b"", {}, cbor2.dumps(payload | attested), bytes(96)])


def sent(refusal: str | None = None, scenario: str = "a/b", **members: Any) -> Sent:
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document()}
    return Sent(
        scenario, "Decrypt", {"CiphertextBlob": b"12", "Recipient": recipient} | members, refusal
    )


def test_a_document_is_compared_by_what_it_attests() -> None:
    changed = sent("no", Recipient={"AttestationDocument": document(user_data=b"\x01")})
    assert [str(one.member) for one in requests.differences(sent(), changed)] == [
        "Recipient.KeyEncryptionAlgorithm",
        "Recipient.AttestationDocument.user_data",
    ]
    assert requests.differences(sent(), sent("no")) == []


def test_ciphertexts_are_compared_by_length_between_scenarios_only() -> None:
    other = sent("no", CiphertextBlob=b"34")
    assert [one.member for one in requests.differences(sent(), other)] == ["CiphertextBlob"]
    elsewhere = sent("no", "c/d", CiphertextBlob=b"34")
    assert requests.differences(sent(), elsewhere) == []
    longer = sent("no", "c/d", CiphertextBlob=b"345")
    [difference] = requests.differences(sent(), longer)
    assert (difference.success, difference.error) == (
        "<base64 of 2 bytes>",
        "<base64 of 3 bytes>",
    )


def test_the_success_that_is_most_like_the_error_is_taken() -> None:
    near, far = sent(), sent(EncryptionAlgorithm="SYMMETRIC_DEFAULT")
    error = sent("no", KeyId="k")
    assert requests.pair([far, error, near], Case("", "a/b", "Decrypt")) == (error, near)


def test_what_did_not_happen_is_said() -> None:
    with pytest.raises(NotShown, match="a/b sent no Decrypt that was refused"):
        requests.pair([sent()], Case("", "a/b", "Decrypt"))
    with pytest.raises(NotShown, match="No scenario sent a Decrypt that was answered"):
        requests.pair([sent("no")], Case("", "a/b", "Decrypt"))
    with pytest.raises(NotShown, match="bug-7-data-key-without-size sent no GenerateDataKey"):
        requests.check([])


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"KeyId": "k", "GrantTokens": ["t"]}, r"differs .* in 2 members \(KeyId, GrantTokens\)"),
        ({}, r"differs .* in 0 members"),
    ],
)
def test_an_error_request_with_more_changed_is_refused(
    monkeypatch: pytest.MonkeyPatch, members: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setattr(requests, "ERRORS", (Case("bug 0", "a/b", "Decrypt"),))
    with pytest.raises(NotShown, match=sentence):
        requests.check([sent("no", **members), sent()])


def test_the_forms_of_a_key() -> None:
    assert requests.key_form(KEY) == f"DER SubjectPublicKeyInfo, no RSA ({len(KEY)} bytes)"
    numbers = rsa.RSAPublicNumbers(65537, (1 << 2047) + 1).public_key()
    pkcs1 = numbers.public_bytes(DER, PublicFormat.PKCS1)
    assert requests.key_form(pkcs1).startswith("DER PKCS#1 RSAPublicKey, RSA-2048")
    assert requests.key_form(numbers.public_bytes(Encoding.PEM, SPKI)).startswith("PEM, RSA-2048")
    assert requests.key_form(b"none") == "no public key that can be read (4 bytes)"
