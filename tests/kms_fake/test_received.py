"""What makes a document believable: structure, chain, constraints, time, each broken alone."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from kms_fake import chain
from kms_fake.chain import TrustedRoots
from kms_fake.received import MAX_AGE_MS, ReceivedDocument
from tests.kms_fake.world import (
    AUTHORITY,
    NOW_MS,
    PCRS,
    ROOT,
    SIGNER,
    Document,
    Link,
    certificate,
    p384_key,
)

QUESTIONS = (
    "not_cose",
    "bad_payload",
    "unreadable_certificate",
    "untrusted_root",
    "bad_chain",
    "expired_chain",
    "bad_signature",
    "too_old",
    "from_the_future",
)


def received(raw: bytes, now_ms: int = NOW_MS) -> ReceivedDocument:
    roots = TrustedRoots([x509.load_der_x509_certificate(certificate(ROOT))])
    return ReceivedDocument(raw, roots, now_ms)


def first_problem(raw: bytes, now_ms: int = NOW_MS) -> str | None:
    document = received(raw, now_ms)
    return next((name for name in QUESTIONS if getattr(document, name)() is not None), None)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"indefinite": False},
        {"tagged": True},
        {"without": ["user_data", "nonce", "public_key"]},
        {"fields": {"user_data": bytes(1024), "nonce": bytes(1024)}},
        {"fields": {"later": "an unknown field"}},
        {"public_key": b""},
        {"public_key": bytes(4000)},
        {"chain": (ROOT, Link(subject="authority", issuer="root"))},
        {"timestamp_ms": NOW_MS - MAX_AGE_MS},
        {"timestamp_ms": NOW_MS + MAX_AGE_MS},
        {"signer": Link(subject="signer", issuer="authority", ca=False, basic_constraints=False)},
    ],
    ids=str,
)
def test_believed(arguments: dict[str, Any]) -> None:
    assert first_problem(Document(**arguments).build()) is None


def leaf(**changes: Any) -> Link:
    """SIGNER with something changed."""
    return replace(SIGNER, **changes)


def ca(**changes: Any) -> Link:
    """AUTHORITY with something changed, and no bound on its path."""
    return replace(AUTHORITY, path_length=None, **changes)


DEEPER = Link(subject="deeper", issuer="authority")
UNDER_DEEPER = Link(subject="signer", issuer="deeper", ca=False)


@pytest.mark.parametrize(
    ("problem", "arguments"),
    [
        ("not_cose", {"protected": bytes.fromhex("a10126")}),  # ES256
        ("not_cose", {"protected": bytes.fromhex("a2013822182a00")}),
        ("not_cose", {"protected": b""}),
        ("not_cose", {"unprotected": {4: b"key id"}}),
        ("not_cose", {"unprotected": []}),
        ("not_cose", {"fields": {"later": bytes(16384)}}),
        ("bad_payload", {"fields": {"module_id": ""}}),
        ("bad_payload", {"fields": {"module_id": b"bytes"}}),
        ("bad_payload", {"fields": {"digest": "SHA512"}}),
        ("bad_payload", {"fields": {"timestamp": 0}}),
        ("bad_payload", {"fields": {"timestamp": True}}),
        ("bad_payload", {"fields": {"timestamp": 1.0}}),
        ("bad_payload", {"pcrs": {}}),
        ("bad_payload", {"pcrs": {32: bytes(48)}}),
        ("bad_payload", {"pcrs": {True: bytes(48)}}),
        ("bad_payload", {"pcrs": {0: bytes(47)}}),
        ("bad_payload", {"fields": {"pcrs": {0: "text"}}}),
        ("bad_payload", {"fields": {"nitrotpm_pcrs": PCRS}}),
        ("bad_payload", {"fields": {"certificate": b""}}),
        ("bad_payload", {"fields": {"certificate": bytes(1025)}}),
        ("bad_payload", {"fields": {"cabundle": []}}),
        ("bad_payload", {"fields": {"cabundle": {}}}),
        ("bad_payload", {"fields": {"public_key": "text"}}),
        ("bad_payload", {"fields": {"user_data": bytes(1025)}}),
        ("bad_payload", {"fields": {"nonce": bytes(1025)}}),
        ("bad_payload", {"fields": {"public_key": cbor2.CBORTag(24, b"")}}),
        ("bad_payload", {"without": ["module_id"]}),
        ("bad_payload", {"without": ["certificate"]}),
        ("unreadable_certificate", {"fields": {"certificate": b"junk"}}),
        ("unreadable_certificate", {"chain": (ROOT, AUTHORITY), "fields": {"cabundle": [b"\x30"]}}),
        ("untrusted_root", {"chain": (Link(subject="root", issuer="root", path_length=5),)}),
        ("untrusted_root", {"chain": (AUTHORITY,)}),
        ("bad_chain", {"chain": (ROOT,)}),
        ("bad_chain", {"signer": leaf(signed_by="root")}),
        ("bad_chain", {"signer": leaf(issuer="root", signed_by="authority")}),
        ("bad_chain", {"signer": leaf(ca=True)}),
        ("bad_chain", {"signer": leaf(key_usage=False)}),
        ("bad_chain", {"signer": leaf(digital_signature=False)}),
        ("bad_chain", {"signer": leaf(unknown_critical=True)}),
        ("bad_chain", {"signer": leaf(sha256=True)}),
        ("bad_chain", {"chain": (ROOT, ca(ca=False))}),
        ("bad_chain", {"chain": (ROOT, ca(basic_constraints=False))}),
        ("bad_chain", {"chain": (ROOT, ca(key_usage=False))}),
        ("bad_chain", {"chain": (ROOT, ca(key_cert_sign=False))}),
        ("bad_chain", {"chain": (ROOT, ca(unknown_critical=True))}),
        ("bad_chain", {"chain": (ROOT, AUTHORITY, DEEPER), "signer": UNDER_DEEPER}),
        ("expired_chain", {"signer": leaf(ends_ms=NOW_MS - 1000)}),
        ("expired_chain", {"signer": leaf(begins_ms=NOW_MS + 1000)}),
        ("expired_chain", {"chain": (ROOT, ca(ends_ms=NOW_MS - 1000))}),
        ("bad_signature", {"flip_signature": True}),
        ("too_old", {"timestamp_ms": NOW_MS - MAX_AGE_MS - 1}),
        ("from_the_future", {"timestamp_ms": NOW_MS + MAX_AGE_MS + 1}),
    ],
    ids=str,
)
def test_not_believed(problem: str, arguments: dict[str, Any]) -> None:
    assert first_problem(Document(**arguments).build()) == problem


def test_a_signer_with_another_kind_of_key_is_unreadable() -> None:
    link = leaf(key=ec.generate_private_key(ec.SECP256R1()))
    assert first_problem(Document(signer=link).build()) == "unreadable_certificate"


def duplicated_public_key() -> bytes:
    """A payload that says two public keys: a lenient decoder takes the last one."""
    payload = Document(indefinite=False).payload()
    pair = cbor2.dumps("public_key") + cbor2.dumps(b"another")
    return bytes([payload[0] + 1]) + payload[1:] + pair


def der(tag: int, content: bytes) -> bytes:
    length = len(content)
    head = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
    return bytes([tag]) + head + content


@pytest.mark.parametrize("inner_is_sha256", [True, False])
def test_the_two_fields_for_the_signature_algorithm_must_agree(*, inner_is_sha256: bool) -> None:
    """A certificate that says one algorithm where it is signed and another beside it."""
    made = x509.load_der_x509_certificate(certificate(leaf(sha256=inner_is_sha256)))
    signed = made.tbs_certificate_bytes
    outer = hashes.SHA384() if inner_is_sha256 else hashes.SHA256()
    oid = bytes.fromhex("06082a8648ce3d04030" + ("3" if inner_is_sha256 else "2"))
    signature = p384_key("authority").sign(signed, ec.ECDSA(outer))
    mixed = der(0x30, signed + der(0x30, oid) + der(0x03, b"\x00" + signature))
    assert x509.load_der_x509_certificate(mixed).subject == made.subject
    assert first_problem(Document(fields={"certificate": mixed}).build()) == "bad_chain"


GOOD = Document().build()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(GOOD + b"\x00", id="trailing byte"),
        pytest.param(GOOD[:-1], id="truncated"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xd2\xd2" + GOOD, id="tagged twice"),
        pytest.param(b"\xd8\x12" + GOOD, id="tag in a longer form"),
        pytest.param(b"\xd9\xd9\xf7" + GOOD, id="self-described CBOR"),
        pytest.param(b"\x85" + GOOD[1:] + b"\x00", id="five elements"),
        pytest.param(b"\x81" * 200 + b"\x00", id="deeply nested"),
        pytest.param(b"\x5b" + b"\xff" * 8, id="huge length"),
        pytest.param(cbor2.dumps({}), id="a map"),
    ],
)
def test_not_one_plain_cose_sign1(raw: bytes) -> None:
    assert first_problem(raw) == "not_cose"


@pytest.mark.parametrize("raw", [GOOD, b"\xd2" + GOOD], ids=["untagged", "tagged"])
def test_base64_text_is_called_so(raw: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes):
        document = received(encode(raw))
        assert document.not_cose() == "it is base64 text, so it was encoded twice"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD.hex().encode(), id="hexadecimal"),
        pytest.param(base64.b64encode(b"hello"), id="base64 of something else"),
        pytest.param(base64.b64encode(bytes.fromhex("a16b4174746573746174696f6e")), id="of a map"),
        pytest.param(b"document", id="a file's name"),
        pytest.param(b"fileb://doc.bin", id="a file's name as the AWS CLI sends it"),
    ],
)
def test_other_text_is_not_called_base64(text: bytes) -> None:
    problem = received(text).not_cose()
    assert problem is not None
    assert "base64" not in problem


def test_a_repeated_key_is_refused() -> None:
    payload = duplicated_public_key()
    raw = cbor2.dumps([bytes.fromhex("a1013822"), {}, payload, bytes(96)])
    assert cbor2.loads(payload)["public_key"] == b"another"
    assert first_problem(raw) == "bad_payload"


@pytest.mark.parametrize("tail", [b"\x00", b"\xf6", b"\xff"])
def test_bytes_after_the_payload_are_refused(tail: bytes) -> None:
    payload = Document().payload() + tail
    raw = cbor2.dumps([bytes.fromhex("a1013822"), {}, payload, bytes(96)])
    assert first_problem(raw) == "bad_payload"


def test_a_remembered_chain_is_asked_for_its_dates_again() -> None:
    roots = TrustedRoots([x509.load_der_x509_certificate(certificate(ROOT))])
    raw = Document().build()
    assert ReceivedDocument(raw, roots, NOW_MS).expired_chain() is None
    later = SIGNER.ends_ms + 1000
    assert ReceivedDocument(raw, roots, later).bad_chain() is None
    assert ReceivedDocument(raw, roots, later).expired_chain() is not None


def test_a_chain_is_verified_once_and_forgotten_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = Mock(wraps=chain._verify)
    monkeypatch.setattr(chain, "_verify", verify)
    roots = TrustedRoots([x509.load_der_x509_certificate(certificate(ROOT))])
    for _ in range(3):
        assert ReceivedDocument(Document().build(), roots, NOW_MS).bad_chain() is None
    assert verify.call_count == 1
    roots.forget()
    assert ReceivedDocument(Document().build(), roots, NOW_MS).bad_chain() is None
    assert verify.call_count == 2


def test_a_bad_chain_is_not_remembered_as_good() -> None:
    roots = TrustedRoots([x509.load_der_x509_certificate(certificate(ROOT))])
    bad = Document(signer=leaf(signed_by="root")).build()
    for _ in range(2):
        assert ReceivedDocument(bad, roots, NOW_MS).bad_chain() is not None


def test_the_condition_values_of_an_enclave() -> None:
    values = received(Document(pcrs={0: b"\xab" * 48, 5: bytes(48)}).build()).condition_values()
    assert values == {
        "kms:RecipientAttestation:PCR0": "ab" * 48,
        "kms:RecipientAttestation:PCR5": "00" * 48,
        "kms:RecipientAttestation:ImageSha384": "ab" * 48,
    }


def test_the_condition_values_of_a_nitro_tpm() -> None:
    document = Document(without=["pcrs"], fields={"nitrotpm_pcrs": {4: b"\xab" * 48}})
    assert first_problem(document.build()) is None
    values = received(document.build()).condition_values()
    assert values == {"kms:RecipientAttestation:NitroTPMPCR4": "ab" * 48}


@given(position=st.integers(0, len(GOOD) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, flip: int) -> None:
    damaged = bytearray(GOOD)
    damaged[position] ^= flip
    assert first_problem(bytes(damaged)) is not None


CERTIFICATES = [certificate(link) for link in (SIGNER, ROOT, AUTHORITY)]


@settings(max_examples=400)
@given(which=st.integers(0, 2), position=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_any_changed_byte_that_an_issuer_signed_is_noticed(
    which: int, position: int, flip: int
) -> None:
    signed = x509.load_der_x509_certificate(CERTIFICATES[which]).tbs_certificate_bytes
    damaged = [bytearray(der) for der in CERTIFICATES]
    damaged[which][CERTIFICATES[which].index(signed) + position % len(signed)] ^= flip
    signer, *cabundle = [bytes(der) for der in damaged]
    with pytest.raises(chain.BadChain):
        TrustedRoots([]).chain(signer, cabundle)


@given(length=st.integers(0, len(GOOD) - 1))
def test_any_truncation_is_noticed(length: int) -> None:
    assert first_problem(GOOD[:length]) is not None


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(raw=st.binary(max_size=300) | PLAIN.map(cbor2.dumps))
def test_arbitrary_bytes_are_only_refused(raw: bytes) -> None:
    assert first_problem(raw) is not None


@given(name=st.sampled_from(sorted(cbor2.loads(Document().payload()))), value=PLAIN)
def test_a_field_of_any_type_never_breaks_the_reader(name: str, value: Any) -> None:
    document = Document(fields={name: value})
    problem = first_problem(document.build())
    assert problem is None or problem in QUESTIONS
