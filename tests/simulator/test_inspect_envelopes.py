"""`attested-kms inspect --cms` on envelopes: of KMS, of others, damaged."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from asn1crypto.x509 import Name
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)

from kms_fake.envelope import ContentForm, seal
from tests.simulator.inspected import document, inspect, rsa_key, spki

PLAINTEXT = b"only this enclave reads me"
CONSTRUCTED, PRIMITIVE = ContentForm.CONSTRUCTED, ContentForm.PRIMITIVE


def sealed(plaintext: bytes = PLAINTEXT, *, form: ContentForm = CONSTRUCTED) -> bytes:
    return seal(plaintext, rsa_key().public_key(), spki(), form)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.write_bytes(pem(PrivateFormat.PKCS8))
    return path


def pem(form: PrivateFormat) -> bytes:
    return rsa_key().private_bytes(Encoding.PEM, form, NoEncryption())


def inspected(blob: bytes, *arguments: str | Path) -> dict[str, Any]:
    ran = inspect("-", "--cms", "--json", *arguments, stdin=blob)
    assert ran.err == ""
    return ran.report


def failing(report: dict[str, Any]) -> dict[str, str]:
    """Parsers that cannot read it, each with its reasons."""
    return {each["parser"]: " / ".join(each["reasons"]) for each in report["cannot_read"]}


def test_an_envelope_of_kms_opens(key_file: Path) -> None:
    report = inspected(sealed(), "--key", key_file)
    assert (report["exit_code"], report["of_kms"], report["difference"]) == (0, True, None)
    assert (report["encoding"], report["indefinite_lengths"], report["version"]) == ("BER", 5, 2)
    (recipient,) = report["recipients"]
    assert (recipient["version"], recipient["identifier"]) == (2, "subjectKeyIdentifier")
    assert (recipient["oaep_hash"], recipient["oaep_mask"]) == ("sha256", "sha256")
    assert (report["content"]["cipher"], report["content"]["chunks"]) == ("AES-256-CBC", [32])
    opened = report["opened"]
    assert opened["opens"]
    assert opened["ski_is_of_key"] is True
    assert opened["key_sha256"] == recipient["ski"]
    assert opened["plaintext_hex"] == PLAINTEXT.hex()
    assert opened["plaintext_text"] == PLAINTEXT.decode()


def test_the_report_for_people_says_the_same(key_file: Path) -> None:
    ran = inspect("-", "--cms", "--key", key_file, stdin=sealed())
    assert (ran.code, ran.err) == (0, "")
    for words in (
        "an envelope as KMS sends them  yes",
        "opens with the key             yes",
        f"text        {PLAINTEXT.decode()}",
        "Parsers that cannot read it",
    ):
        assert words in ran.out


@pytest.mark.parametrize(
    ("size", "form", "chunks"),
    [
        (0, CONSTRUCTED, [16]),
        (16, PRIMITIVE, [32]),
        (1024, CONSTRUCTED, [1000, 40]),
        (4096, CONSTRUCTED, [1000, 1000, 1000, 1000, 112]),
    ],
)
def test_content_forms(key_file: Path, size: int, form: ContentForm, chunks: list[int]) -> None:
    report = inspected(sealed(bytes(size), form=form), "--key", key_file)
    assert (report["exit_code"], report["content"]["form"]) == (0, form.value)
    assert (report["content"]["chunks"], report["opened"]["plaintext_bytes"]) == (chunks, size)
    assert report["opened"]["plaintext_text"] is None


def test_a_long_plaintext_is_cut_for_people_only(key_file: Path) -> None:
    ran = inspect("-", "--cms", "--key", key_file, stdin=sealed(bytes(4096)))
    assert "... (--json has all)" in ran.out


@pytest.mark.parametrize(
    "encode",
    [base64.b64encode, base64.urlsafe_b64encode, lambda blob: blob.hex().encode()],
    ids=["base64", "base64url", "hex"],
)
def test_encodings(encode: Any) -> None:
    blob = sealed()
    assert inspected(encode(blob))["input"]["bytes"] == len(blob)
    twice = inspected(base64.b64encode(encode(blob)))
    assert twice["notes"][0].startswith("this is base64 of")


def test_keys_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for encoding in (Encoding.PEM, Encoding.DER):
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            path.write_bytes(rsa_key().private_bytes(encoding, form, NoEncryption()))
            assert inspected(sealed(), "--key", path)["opened"]["opens"]


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(rsa_key(1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    report = inspected(sealed(), "--key", path)
    assert (report["exit_code"], report["of_kms"]) == (1, True)
    assert report["opened"]["ski_is_of_key"] is False
    assert "for another key" in report["opened"]["problem"]
    assert "does not open" in inspect("-", "--cms", "--key", path, stdin=sealed()).out


def test_damaged_content_does_not_open(key_file: Path) -> None:
    damaged = bytearray(sealed())
    damaged[-30] ^= 1  # In the last block, whose padding is then wrong or the text is.
    report = inspected(bytes(damaged), "--key", key_file)
    assert report["of_kms"]
    assert report["opened"]["plaintext_hex"] != PLAINTEXT.hex()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"", "it is no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----\n", "it is no private key"),
        (spki(), "it is no private key"),
        (
            ec.derive_private_key(7, ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "not an RSA key",
        ),
        (
            rsa_key().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
            ),
            "locked by a password",
        ),
    ],
    ids=["empty", "junk", "public", "ec", "locked"],
)
def test_a_bad_key_is_a_sentence(tmp_path: Path, key: bytes, words: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(key)
    ran = inspect("-", "--cms", "--key", path, stdin=sealed())
    assert ran.code == 2
    assert words in ran.sentence
    assert str(path) in ran.sentence


# Parsers.


def test_the_parsers_that_cannot_read_bers_envelopes_are_named() -> None:
    report = inspected(sealed())
    reasons = failing(report)
    assert set(reasons) == {
        "Go encoding/asn1",
        "RustCrypto der, cms",
        "pyca/cryptography pkcs7_decrypt_der",
        "node-forge",
        "RSA-OAEP decryption of the whole blob",
    }
    assert "indefinite length at byte 0 and 4 more" in reasons["Go encoding/asn1"]
    assert "1 OCTET STRING(s)" in reasons["RustCrypto der, cms"]
    assert "subjectKeyIdentifier" in reasons["node-forge"]
    assert "where a ciphertext of this RSA key alone has 256" in reasons.popitem()[1]
    assert "AWS Nitro Enclaves SDK for C" in report["read_it"]
    assert "openssl cms -decrypt" in report["read_it"]


def as_der(blob: bytes) -> bytes:
    """What a conversion from BER to DER makes of it: the same envelope, definite lengths."""
    info = cms.ContentInfo.load(blob)
    info["content"]["encrypted_content_info"]["encrypted_content"] = info["content"][
        "encrypted_content_info"
    ]["encrypted_content"].native
    der: bytes = info.dump(force=True)
    return der


def test_der_is_told_from_ber_and_strict_parsers_read_it(key_file: Path) -> None:
    report = inspected(as_der(sealed()), "--key", key_file)
    assert (report["encoding"], report["of_kms"], report["exit_code"]) == ("DER", True, 0)
    assert report["opened"]["plaintext_text"] == PLAINTEXT.decode()
    assert any("this is DER" in note for note in report["notes"])
    reasons = failing(report)
    assert "Go encoding/asn1" not in reasons
    assert reasons["pyca/cryptography pkcs7_decrypt_der"].startswith("the recipient is by subject")


def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "recipient")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=rsa_key().public_key(),
        serial_number=1,
        not_valid_before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        not_valid_after=dt.datetime(2040, 1, 1, tzinfo=dt.UTC),
    )
    return builder.sign(rsa_key(), hashes.SHA256())


def of_pyca() -> bytes:
    """Version 0, issuer and serial number, PKCS#1 v1.5, AES-128, DER: what pyca writes."""
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(PLAINTEXT).add_recipient(certificate())
    return builder.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def of_localstack() -> bytes:
    """KMS's keys and content in the layout of LocalStack: versions 0, issuer and serial, DER."""
    info = cms.ContentInfo.load(as_der(sealed()))
    content = info["content"]
    recipient = content["recipient_infos"][0].chosen
    rid = cms.RecipientIdentifier(
        "issuer_and_serial_number",
        {"issuer": Name.build({"common_name": "recipient"}), "serial_number": 1},
    )
    recipient["version"] = "v0"
    recipient["rid"] = rid
    content["version"] = "v0"
    content["recipient_infos"] = [cms.RecipientInfo("ktri", recipient)]
    der: bytes = info.dump(force=True)
    return der


@pytest.mark.parametrize("blob", [of_pyca(), of_localstack()], ids=["pyca", "localstack"])
def test_other_writers_envelopes_are_described_and_not_kms_s(blob: bytes, key_file: Path) -> None:
    report = inspected(blob, "--key", key_file)
    assert (report["exit_code"], report["of_kms"], report["encoding"]) == (1, False, "DER")
    assert "version 2 is due" in report["difference"]
    (recipient,) = report["recipients"]
    assert (report["version"], recipient["version"]) == (0, 0)
    assert recipient["identifier"] == "issuerAndSerialNumber"
    assert (recipient["issuer"], recipient["serial"]) == ("CN=recipient", "01")
    assert report["opened"]["opens"]  # It opens; a client that wants KMS's layout refuses it.
    assert report["opened"]["ski_is_of_key"] is None
    assert report["opened"]["plaintext_text"] == PLAINTEXT.decode()
    reasons = failing(report)
    assert "versions 0, 0" in reasons["AWS Nitro Enclaves SDK for C"]
    assert "issuerAndSerialNumber" in reasons["edgebit nitro-enclaves-sdk-go"]
    assert "node-forge" in report["read_it"]
    assert any("LocalStack" in note for note in report["notes"])
    text = inspect("-", "--cms", "--key", key_file, stdin=blob).out
    assert "an envelope as KMS sends them  NO" in text
    assert "CN=recipient, serial number 01" in text


def test_two_recipients_are_described_and_not_kms_s(key_file: Path) -> None:
    info = cms.ContentInfo.load(as_der(sealed()))
    recipient = info["content"]["recipient_infos"][0]
    info["content"]["recipient_infos"] = [recipient, recipient.copy()]
    report = inspected(info.dump(force=True), "--key", key_file)
    assert (report["exit_code"], len(report["recipients"])) == (1, 2)
    assert report["opened"]["problem"] == "it has 2 recipients; KMS's have one"
    assert failing(report)["AWS Nitro Enclaves SDK for C"] == "2 recipients where it wants one"


def test_a_recipient_of_another_kind_is_named() -> None:
    info = cms.ContentInfo.load(as_der(sealed()))
    password = {
        "version": "v0",
        "key_encryption_algorithm": {"algorithm": "aes256_wrap"},
        "encrypted_key": b"wrapped",
    }
    info["content"]["recipient_infos"] = [cms.RecipientInfo("pwri", password)]
    report = inspected(info.dump(force=True))
    (recipient,) = report["recipients"]
    assert (report["exit_code"], recipient["kind"], recipient["version"]) == (1, "Password", None)
    assert "the recipient is by Password" in failing(report)["node-forge"]


@pytest.mark.parametrize(
    ("blob", "reads"),
    [(sealed(), False), (as_der(sealed()), False), (of_pyca(), True), (of_localstack(), False)],
    ids=["kms", "der", "pyca", "localstack"],
)
def test_the_row_of_pyca_is_true(blob: bytes, reads: bool) -> None:
    """The one parser of the table that is here to be asked."""
    name = "pyca/cryptography pkcs7_decrypt_der"
    try:
        pkcs7.pkcs7_decrypt_der(blob, certificate(), rsa_key(), [])
    except Exception:  # noqa: BLE001  # However it fails, it does not read it.
        read = False
    else:
        read = True
    assert read is reads is (name in inspected(blob)["read_it"])


# What is no envelope.


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "looks like empty"),
        (document(), "inspect it without --cms"),
        (rsa_key().public_key().encrypt(b"x", PKCS1v15()), "raw RSA ciphertext"),
        (spki(), "looks like a public key"),
        (b"words of a sentence", "looks like text"),
        (sealed()[:-1], "is no CMS envelope, or not all of one"),
        (sealed() + b"\0", "1 bytes follow"),
        (sealed()[:100], "is no CMS envelope, or not all of one"),
        (b"\x30\x03\x02\x01\x01", "ContentInfo is due"),
    ],
    ids=[
        *("empty", "document", "raw-rsa", "spki", "text"),
        *("cut", "longer", "cut-short", "other-sequence"),
    ],
)  # fmt: skip
def test_what_is_no_envelope_is_described(data: bytes, words: str) -> None:
    ran = inspect("-", "--cms", stdin=data)
    assert ran.code == 2
    assert words in ran.sentence


# Real ones.


KEYS = {
    "edgebit-2022.ber": "edgebit-2022.key.pem",
    "sessionkeys-mock-2023.ber": "edgebit-2022.key.pem",
    "enclaver-2022.ber": "enclaver-2022.key.pkcs8.der",
    "ethsigner-2025.ber": "ethsigner-2025.key.pkcs1.der",
    "mbedtls-c.ber": "mbedtls-c.key.pkcs1.der",
}


def test_every_real_sample_is_an_envelope_of_kms(shared_vectors: Path) -> None:
    folder = shared_vectors / "cms"
    samples = sorted(folder.glob("*.ber"))
    assert len(samples) == 10
    for path in samples:
        key = ("--key", folder / KEYS[path.name]) if path.name in KEYS else ()
        ran = inspect(path, "--cms", "--json", *key)
        report = ran.report
        assert (ran.code, report["of_kms"], report["encoding"]) == (0, True, "BER"), path.name
        form = "primitive" if path.name == "sdkc-2022-ctx-primitive.ber" else "constructed"
        assert report["content"]["form"] == form
        if key:
            assert report["opened"]["ski_is_of_key"] is True
    plaintext = (folder / "edgebit-2022.plaintext.bin").read_bytes()
    edgebit = inspect(
        folder / "edgebit-2022.ber", "--cms", "--json", "--key", folder / "edgebit-2022.key.pem"
    )
    assert edgebit.report["opened"]["plaintext_hex"] == plaintext.hex()


def test_sha_1_is_recognised(shared_vectors: Path) -> None:
    report = inspect(
        shared_vectors / "cms" / "brodyxchen-2022-oaep-sha1.ber", "--cms", "--json"
    ).report
    (recipient,) = report["recipients"]
    assert (recipient["oaep_hash"], recipient["oaep_parameters"]) == ("sha1", "empty")
    assert any("RSAES_OAEP_SHA_1" in note for note in report["notes"])
    assert "explicit SHA-256" in failing(report)["enclaver"]


def test_bouncycastles_envelopes_open(shared_vectors: Path) -> None:
    folder = shared_vectors / "cms" / "bouncycastle-1.72"
    samples = sorted(folder.glob("*.ber"))
    assert len(samples) == 20
    for path in samples:
        size = int(path.stem.partition("-pt")[2])
        key = folder / "recipient.key.pkcs8.der"
        report = inspect(path, "--cms", "--json", "--key", key).report
        expected = bytes(index % 256 for index in range(size)).hex()
        assert report["opened"]["plaintext_hex"] == expected, path.name
        assert report["exit_code"] == 0
