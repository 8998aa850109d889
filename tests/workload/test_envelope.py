"""Envelopes: the recorded samples, what an independent encoder writes, and arbitrary bytes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.target import Opener as TargetOpener
from scenarios.workload import envelope
from scenarios.workload.envelope import ContentForm, EnvelopeError, OaepHash, Opener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLES = [
    "sdkc-2020-scattered",
    "sdkc-2022-ctx-primitive",
    "edgebit-2022",
    "enclaver-2022",
    "ned-2025",
    "ethsigner-2025",
    "mbedtls-c",
    "enclavia-2026",
    "sessionkeys-mock-2023",
    "brodyxchen-2022-oaep-sha1",
]
BOUNCY_CASTLE_SIZES = [1, 16, 32, 983, 984, 999, 1000, 1024, 2500, 4096]
BOUNCY_CASTLE = [
    f"bouncycastle-1.72/{digest}-pt{size}"
    for digest in ("sha1", "sha256")
    for size in BOUNCY_CASTLE_SIZES
]

any_bytes = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="session")
def samples(shared_vectors: Path) -> Path:
    return shared_vectors / "cms"


@pytest.fixture(scope="session")
def sealed(seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey) -> bytes:
    return seal(b"plaintext", rsa_key.public_key())


def load_key(path: Path) -> rsa.RSAPrivateKey:
    load = load_pem_private_key if path.suffix == ".pem" else load_der_private_key
    key = load(path.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def test_openers_are_named_as_the_contract_names_them() -> None:
    assert {opener.value for opener in Opener} == {opener.value for opener in TargetOpener}
    assert set(envelope.OPENERS) == set(Opener)


@pytest.mark.parametrize("name", SAMPLES + BOUNCY_CASTLE)
def test_a_sample_is_rebuilt_from_its_parts(
    samples: Path, encode_envelope: Callable[..., bytes], name: str
) -> None:
    blob = (samples / f"{name}.ber").read_bytes()
    parts = envelope.parse(blob)
    rebuilt = encode_envelope(
        identifier=parts.subject_key_identifier,
        encrypted_key=parts.encrypted_key,
        iv=parts.iv,
        ciphertext=parts.ciphertext,
        form=parts.content_form.value,
        oaep_hash=parts.oaep_hash.value,
    )
    assert rebuilt == blob


@pytest.mark.parametrize(
    ("name", "key", "plaintext"),
    [
        ("edgebit-2022", "edgebit-2022.key.pem", None),
        ("enclaver-2022", "enclaver-2022.key.pkcs8.der", b"Hello, World"),
        ("ethsigner-2025", "ethsigner-2025.key.pkcs1.der", None),
        ("mbedtls-c", "mbedtls-c.key.pkcs1.der", None),
        ("sessionkeys-mock-2023", "edgebit-2022.key.pem", None),
    ],
)
def test_a_sample_of_kms_with_a_key_opens(
    samples: Path, name: str, key: str, plaintext: bytes | None
) -> None:
    opened = envelope.open_cms((samples / f"{name}.ber").read_bytes(), load_key(samples / key))
    recorded = samples / f"{name}.plaintext.bin"
    match name:
        case "ethsigner-2025":
            assert (len(opened), opened[:1], opened[-1:]) == (154, b"{", b"}")
        case "mbedtls-c" | "sessionkeys-mock-2023":
            assert len(opened) == 32
        case _:
            assert opened == (recorded.read_bytes() if plaintext is None else plaintext)


@pytest.mark.parametrize("size", BOUNCY_CASTLE_SIZES)
def test_a_bouncy_castle_envelope_opens_at_every_size(samples: Path, size: int) -> None:
    folder = samples / "bouncycastle-1.72"
    key = load_key(folder / "recipient.key.pkcs8.der")
    blob = (folder / f"sha256-pt{size}.ber").read_bytes()
    assert envelope.open_cms(blob, key) == bytes(i % 256 for i in range(size))


def test_sha1_parameters_are_read_and_refused(samples: Path) -> None:
    folder = samples / "bouncycastle-1.72"
    blob = (folder / "sha1-pt32.ber").read_bytes()
    assert envelope.parse(blob).oaep_hash is OaepHash.SHA1
    with pytest.raises(EnvelopeError, match="sha1, not sha256"):
        envelope.open_cms(blob, load_key(folder / "recipient.key.pkcs8.der"))


@pytest.mark.parametrize("name", SAMPLES)
def test_no_sample_of_kms_is_der(samples: Path, name: str) -> None:
    with pytest.raises(EnvelopeError, match="indefinite length, which DER forbids"):
        envelope.parse((samples / f"{name}.ber").read_bytes(), envelope.Encoding.DER)


@pytest.mark.parametrize("form", ["constructed", "primitive"])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 32, 991, 992, 4096])
def test_what_was_sealed_opens(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey, size: int, form: str
) -> None:
    plaintext = bytes(i % 251 for i in range(size))
    blob = seal(plaintext, rsa_key.public_key(), form=form)
    assert envelope.parse(blob).content_form is ContentForm(form)
    assert envelope.open_cms(blob, rsa_key) == plaintext


def test_der_is_all_that_the_strict_opener_asks_for(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey
) -> None:
    blob = seal(b"plaintext", rsa_key.public_key(), form="primitive", strict_der=True)
    assert envelope.open_strict_der(blob, rsa_key) == b"plaintext"
    assert envelope.open_cms(blob, rsa_key) == b"plaintext"


def test_the_strict_opener_fails_on_what_kms_sends(
    sealed: bytes, rsa_key: rsa.RSAPrivateKey
) -> None:
    with pytest.raises(EnvelopeError, match=r"indefinite length, which DER forbids \(byte 0"):
        envelope.open_strict_der(sealed, rsa_key)


def test_the_strict_opener_refuses_long_lengths_and_strings_in_pieces(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey
) -> None:
    blob = seal(b"plaintext", rsa_key.public_key(), form="primitive", strict_der=True)
    oid = bytes.fromhex("06092a864886f70d010703")
    longer = blob.replace(oid, b"\x06\x81" + oid[1:])
    # The outer length is two bytes long; it grows with the inner one.
    longer = b"\x30\x82" + (len(longer) - 4).to_bytes(2, "big") + longer[4:]
    assert envelope.open_cms(longer, rsa_key) == b"plaintext"
    with pytest.raises(EnvelopeError, match="longer length than needed"):
        envelope.open_strict_der(longer, rsa_key)
    pieces = seal(b"plaintext", rsa_key.public_key(), form="constructed", strict_der=True)
    with pytest.raises(EnvelopeError, match=r"tag 80.*found tag a0"):
        envelope.open_strict_der(pieces, rsa_key)


def test_the_raw_opener_fails_on_what_kms_sends(sealed: bytes, rsa_key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(EnvelopeError, match=r"no RSA-2048 ciphertext.*CMS EnvelopedData"):
        envelope.open_raw_rsa_oaep(sealed, rsa_key)


def test_the_raw_opener_opens_a_bare_ciphertext(sealed: bytes, rsa_key: rsa.RSAPrivateKey) -> None:
    encrypted_key = envelope.parse(sealed).encrypted_key
    assert len(envelope.open_raw_rsa_oaep(encrypted_key, rsa_key)) == 32
    with pytest.raises(EnvelopeError, match="does not decrypt"):
        envelope.open_raw_rsa_oaep(bytes(256), rsa_key)


def test_an_envelope_for_another_key_is_told_by_its_identifier(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey
) -> None:
    blob = seal(b"plaintext", rsa_key.public_key(), identifier=bytes(32))
    with pytest.raises(EnvelopeError, match=r"for the key 0{64}.*since this enclave booted"):
        envelope.open_cms(blob, rsa_key)


@pytest.mark.parametrize(
    "damage",
    [
        {"encrypted_key": bytes(256)},
        {"encrypted_key": b"short"},
        {"ciphertext": bytes(16)},  # No valid padding, the key being fixed.
        {"ciphertext": bytes(15)},
        {"ciphertext": b""},
        {"ciphertext": b"", "form": "primitive"},
    ],
)
def test_all_failures_of_decryption_look_alike(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey, damage: dict[str, Any]
) -> None:
    blob = seal(b"plaintext", rsa_key.public_key(), **damage)
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_cms(blob, rsa_key)
    assert str(caught.value) == (
        "the envelope does not decrypt with this enclave's key: "
        "it was made for another key, or damaged"
    )
    assert caught.value.__suppress_context__


def test_a_content_key_of_the_wrong_length_looks_the_same(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey
) -> None:
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
    short = rsa_key.public_key().encrypt(bytes(16), oaep)
    blob = seal(b"plaintext", rsa_key.public_key(), encrypted_key=short)
    with pytest.raises(EnvelopeError, match="does not decrypt"):
        envelope.open_cms(blob, rsa_key)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("06092a864886f70d010703", "06092a864886f70d010702", "id-envelopedData is due"),
        ("020102318201", "020100318201", "EnvelopedData's version 2 is due"),
        ("0201028020", "0201008020", "KeyTransRecipientInfo's version 2 is due"),
        ("0201028020", "0201023020", "subjectKeyIdentifier is due .tag 80., found tag 30"),
        ("06092a864886f70d010107", "06092a864886f70d010101", "RSAES-OAEP is due"),
        ("06092a864886f70d010108", "06092a864886f70d010109", "MGF1 is due"),
        ("0609608648016503040201", "0609608648016503040203", "unknown hash"),
        ("302fa00f", "302fa20f", "RSAES-OAEP-params goes on"),
        ("06092a864886f70d010701", "06092a864886f70d010702", "id-data is due"),
        ("060960864801650304012a", "0609608648016503040102", "aes256-CBC is due"),
        ("301d060960864801650304012a0410", "301d060960864801650304012a040f", "goes on where"),
    ],
)
def test_another_layout_is_refused_with_its_place(
    sealed: bytes, old: str, new: str, problem: str
) -> None:
    assert bytes.fromhex(old) in sealed
    with pytest.raises(EnvelopeError, match=problem):
        envelope.parse(sealed.replace(bytes.fromhex(old), bytes.fromhex(new), 1))


def test_hash_and_mask_hash_must_be_the_same(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey
) -> None:
    with pytest.raises(EnvelopeError, match="RSAES-OAEP with sha256 but MGF1 with sha1"):
        envelope.parse(seal(b"plaintext", rsa_key.public_key(), mask_hash="sha1"))


def test_an_iv_of_another_length_is_refused(
    seal: Callable[..., bytes], rsa_key: rsa.RSAPrivateKey
) -> None:
    with pytest.raises(EnvelopeError, match="IV of AES-256-CBC has 12 bytes"):
        envelope.parse(seal(b"plaintext", rsa_key.public_key(), iv=bytes(12)))


def test_every_truncation_and_any_trailing_byte_is_refused(sealed: bytes) -> None:
    for length in range(len(sealed)):
        with pytest.raises(EnvelopeError):
            envelope.parse(sealed[:length])
    with pytest.raises(EnvelopeError, match="bytes follow after the end"):
        envelope.parse(sealed + b"\0")


@given(blob=st.binary(max_size=600))
@any_bytes
def test_arbitrary_bytes_are_refused_by_every_opener(
    blob: bytes, rsa_key: rsa.RSAPrivateKey
) -> None:
    for opener in envelope.OPENERS.values():
        with pytest.raises(EnvelopeError):
            opener(blob, rsa_key)


@given(position=st.integers(min_value=0), value=st.integers(0, 255), cut=st.integers(0, 3))
@any_bytes
def test_damaged_envelopes_open_or_are_refused(
    sealed: bytes, rsa_key: rsa.RSAPrivateKey, position: int, value: int, cut: int
) -> None:
    place = position % len(sealed)
    damaged = sealed[:place] + bytes([value]) + sealed[place + cut :]
    with contextlib.suppress(EnvelopeError):
        assert isinstance(envelope.open_cms(damaged, rsa_key), bytes)
