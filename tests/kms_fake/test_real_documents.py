"""The verifier against documents that real Nitro hardware signed, and against forged ones."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import Certificate

from kms_fake.call import Call, Settings
from kms_fake.callers import default_caller
from kms_fake.chain import TrustedRoots
from kms_fake.document import NotADocument, read_cose_sign1, read_payload
from kms_fake.keys import MotoKeys
from kms_fake.received import ReceivedDocument
from kms_fake.roots import AWS_ROOT_SHA256, aws_root
from kms_fake.rules import RULES
from kms_fake.shapes import Operation

HOUR_MS = 3_600_000
ACCOUNT = "123456789012"

# The rules that look at the public key and come before anything about the KMS key.
KEY_RULES = [rule for rule in RULES if rule.id.startswith("public-key.")]

QUESTIONS = (
    ReceivedDocument.not_cose,
    ReceivedDocument.bad_payload,
    ReceivedDocument.unreadable_certificate,
    ReceivedDocument.untrusted_root,
    ReceivedDocument.bad_chain,
    ReceivedDocument.expired_chain,
    ReceivedDocument.bad_signature,
    ReceivedDocument.too_old,
    ReceivedDocument.from_the_future,
)


@pytest.fixture(scope="module")
def roots() -> TrustedRoots:
    return TrustedRoots([aws_root()])


def authentic(raw: bytes, roots: TrustedRoots, at_ms: int) -> bool:
    received = ReceivedDocument(raw, roots, at_ms)
    return all(question(received) is None for question in QUESTIONS)


def timestamp(raw: bytes) -> int:
    """The document's own time; any time where it has none that reads."""
    try:
        return read_payload(read_cose_sign1(raw).payload).timestamp_ms
    except NotADocument:
        return 1_700_000_000_000


def test_every_real_document_is_authentic_at_its_time(
    shared_vectors: Path, roots: TrustedRoots, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [path.read_bytes() for path in (shared_vectors / "attestation").glob("*.bin")]
    good = sum(authentic(raw, roots, timestamp(raw)) for raw in documents)
    late = sum(authentic(raw, roots, timestamp(raw) + 4 * HOUR_MS) for raw in documents)
    with capsys.disabled():
        print(f"\nreal documents authentic: {good}/{len(documents)}; four hours later: {late}")
    assert (good, late) == (61, 0)
    assert len(documents) == 61


def test_no_invalid_document_is_authentic(shared_vectors: Path, roots: TrustedRoots) -> None:
    paths = list((shared_vectors / "attestation" / "invalid").glob("*.bin"))
    assert len(paths) == 6
    for path in paths:
        raw = path.read_bytes()
        assert not authentic(raw, roots, timestamp(raw)), path.name


def met(raw: bytes, roots: TrustedRoots) -> str | None:
    """The first rule that a document's public key meets."""
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": raw}
    call = Call(
        operation=Operation.DECRYPT,
        given={"CiphertextBlob": b"any", "Recipient": recipient},
        caller=default_caller(ACCOUNT),
        store=MotoKeys(ACCOUNT, "us-east-1"),
        roots=roots,
        now_ms=timestamp(raw),
        settings=Settings(),
    )
    return next((rule.id for rule in KEY_RULES if rule.refuses(call) is not None), None)


def expected(kind: str, raw: bytes) -> str | None:
    """The rule for what the list beside the documents says the public key is."""
    if kind.startswith(("null", "empty")):
        return "public-key.missing"
    if kind.startswith("SPKI RSA"):
        key = load_der_public_key(read_payload(read_cose_sign1(raw).payload).public_key or b"")
        return None if getattr(key, "key_size", 0) == 2048 else "public-key.size"
    return "public-key.encoding"


def listed_kinds(folder: Path) -> dict[str, str]:
    """File name to the column public_key of the list beside the documents."""
    lines = (folder / "README.md").read_text().splitlines()
    rows = csv.reader((line for line in lines if line.startswith("| `2")), delimiter="|")
    return {row[1].strip().strip("`"): row[7].strip() for row in rows if len(row) > 10}


def test_each_public_key_meets_the_rule_for_what_it_is(
    shared_vectors: Path, roots: TrustedRoots
) -> None:
    folder = shared_vectors / "attestation"
    kinds = listed_kinds(folder)
    documents = {path.name: path.read_bytes() for path in folder.glob("*.bin")}
    assert set(kinds) == set(documents)
    found = {name: met(raw, roots) for name, raw in documents.items()}
    assert found == {name: expected(kinds[name], raw) for name, raw in documents.items()}
    assert sum(kind.startswith("SPKI RSA") for kind in kinds.values()) == 2
    assert list(found.values()).count(None) == 1


def test_the_shipped_root_is_the_one_of_the_documents(shared_vectors: Path) -> None:
    root: Certificate = aws_root()
    newest = max((shared_vectors / "attestation").glob("*.bin")).read_bytes()
    fields = read_payload(read_cose_sign1(newest).payload)
    assert TrustedRoots([root]).trusts(fields.cabundle[0])


def test_the_shipped_root_has_the_published_fingerprint() -> None:
    assert AWS_ROOT_SHA256.startswith("641a0321")
    assert AWS_ROOT_SHA256.endswith("79bb5b")
    assert aws_root().subject.rfc4514_string().startswith("CN=aws.nitro-enclaves")
