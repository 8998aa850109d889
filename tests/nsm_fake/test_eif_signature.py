"""Signatures of images: made, verified, replaced; and hostile files of every kind."""

from __future__ import annotations

import datetime as dt
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from nsm_fake.eif import (
    Eif,
    EifBadSection,
    EifBadSignature,
    EifBadSigner,
    EifError,
    EifTooManySections,
    EifUnwritable,
    Reading,
    Signer,
    certificate_pcr,
    check_before_boot,
    measure,
    replacing,
    sign_eif,
    verify_signature,
)
from tests.nsm_fake.eif_images import (
    APPLICATION,
    BOOT,
    NOW,
    certificate,
    image,
    patched,
    pem_of_key,
    private_key,
    signer,
)

CURVES = {
    "P-256": (ec.SECP256R1(), "a10126", 64),
    "P-384": (ec.SECP384R1(), "a1013822", 96),
    "P-521": (ec.SECP521R1(), "a1013823", 132),
}
DAY = dt.timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image.eif"


def section_of(path: Path) -> Any:
    eif = Eif.open(path)
    assert eif.signature is not None
    return cbor2.loads(eif.read(eif.signature))


@pytest.mark.parametrize(("curve", "protected", "length"), CURVES.values(), ids=CURVES)
def test_a_signature_is_cose_over_pcr0(
    path: Path, curve: ec.EllipticCurve, protected: str, length: int
) -> None:
    used = signer(curve)
    written = image(path, signer=used)
    ((told),) = section_of(path)
    assert list(told) == ["signing_certificate", "signature"]
    assert bytes(told["signing_certificate"]) == used.certificate_pem
    header, unprotected, payload, raw = cbor2.loads(bytes(told["signature"]))
    assert (header.hex(), unprotected, len(raw)) == (protected, {}, length)
    assert payload == cbor2.dumps({"register_index": 0, "register_value": list(written.pcr0)})
    report = verify_signature(path)
    assert report is not None
    assert report.defects(NOW) == ()
    assert written.pcr8 == measure(path).pcr8 == certificate_pcr(used.certificate_pem)
    digest = hashlib.sha384(used.certificate_der).digest()
    assert written.pcr8 == hashlib.sha384(bytes(48) + digest).digest()
    check_before_boot(path, NOW)


def test_signing_later_is_as_signing_at_once(path: Path, tmp_path: Path) -> None:
    used = signer()
    image(path)
    measured = sign_eif(path, used)
    assert measured == image(tmp_path / "at-once.eif", signer=used) == measure(path)
    eif = Eif.open(path)
    eif.check_crc()
    assert [section.type for section in eif.sections] == [1, 2, 5, 3, 3, 4]
    assert verify_signature(path) is not None


def test_another_signature_replaces_the_first(path: Path) -> None:
    image(path, signer=signer(ec.SECP256R1()))
    before = Eif.open(path)
    other = signer(ec.SECP521R1())
    assert sign_eif(path, other).pcr8 == certificate_pcr(other.certificate_pem)
    eif = Eif.open(path)
    eif.check_crc()
    assert before.signature is not None
    assert eif.signature is not None
    assert eif.signature.size > before.signature.size
    # As AWS's signer leaves it.
    assert eif.header.section_sizes == before.header.section_sizes
    report = verify_signature(path)
    assert report is not None
    assert report.defects(NOW) == ()


def test_what_follows_a_replaced_signature_moves(path: Path) -> None:
    """No tool of AWS's writes such an image, but its signer takes it."""
    image(path, signer=signer(ec.SECP256R1()), ramdisks=(BOOT,))
    whole = path.read_bytes()
    eif = Eif.open(path)
    ramdisk, signature = eif.sections[3:]
    path.write_bytes(
        whole[: ramdisk.offset] + whole[signature.offset :] + whole[ramdisk.offset : ramdisk.end]
    )
    told = ramdisk.offset + signature.size + 12
    patched(path, 28 + 3 * 8, ramdisk.offset.to_bytes(8) + told.to_bytes(8))
    patched(path, 28 + 35 * 8, signature.size.to_bytes(8) + ramdisk.size.to_bytes(8))
    sign_eif(path, signer(ec.SECP384R1()))
    signed = Eif.open(path)
    signed.check_crc()
    assert signed.read(signed.ramdisks[0]) == BOOT
    report = verify_signature(path)
    assert report is not None
    assert report.covers_image


def test_a_full_table_has_no_room_for_a_signature(path: Path) -> None:
    image(path, ramdisks=[b"x"] * 29)
    with pytest.raises(EifTooManySections, match="no room for a signature"):
        sign_eif(path, signer())


def test_a_certificate_file_may_not_be_endless(path: Path) -> None:
    key = private_key()
    chain = certificate(key) * 60
    image(path)
    before = path.read_bytes()
    with pytest.raises(EifUnwritable, match="more than the 32768"):
        sign_eif(path, Signer.load(chain, pem_of_key(key)))
    assert path.read_bytes() == before


def test_the_signature_of_another_key_is_not_genuine(path: Path) -> None:
    foreign = Signer.load(certificate(private_key()), pem_of_key(private_key()))
    assert foreign.defects(NOW) == ("the certificate belongs to another private key",)
    image(path, signer=foreign)
    report = verify_signature(path)
    assert report is not None
    assert report.defects(NOW) == (
        "the signature was not made with the key of the certificate beside it",
    )
    with pytest.raises(EifBadSignature) as raised:
        check_before_boot(path, NOW)
    assert raised.value.real_text == "The EIF signature is not valid"


def test_the_signature_of_another_curve_is_not_genuine(path: Path) -> None:
    key = pem_of_key(private_key(ec.SECP256R1()))
    image(path, signer=Signer.load(certificate(private_key()), key))
    report = verify_signature(path)
    assert report is not None
    assert not report.is_genuine


def test_run_enclave_does_not_compare_the_image_with_its_signature(path: Path) -> None:
    image(path, signer=signer())
    eif = Eif.open(path)
    patched(path, eif.ramdisks[1].content, b"T")
    report = verify_signature(path)
    assert report is not None
    assert report.defects(NOW) == ("what was signed is the PCR0 of another image",)
    check_before_boot(path, NOW)


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (NOW - 400 * DAY, "is not valid before 2025-08-03 00:00:00 UTC"),
        (NOW + 400 * DAY, "expired at 2027-08-03 00:00:00 UTC"),
    ],
)
def test_a_certificate_has_its_time(path: Path, at: dt.datetime, says: str) -> None:
    used = signer()
    image(path, signer=used)
    (defect,) = used.defects(at)
    assert says in defect
    report = verify_signature(path)
    assert report is not None
    assert report.defects(at) == (defect,)
    with pytest.raises(EifBadSignature, match=says) as raised:
        check_before_boot(path, at)
    assert raised.value.real_text == "The signing certificate is expired"


def test_an_image_without_a_signature_is_not_wrong(path: Path) -> None:
    image(path)
    assert verify_signature(path) is None
    check_before_boot(path, NOW)


def test_run_enclave_overlooks_a_section_that_is_cut_short(path: Path) -> None:
    image(path)
    path.write_bytes(path.read_bytes()[:-1])
    check_before_boot(path, NOW)
    patched(path, 552, (1 << 62).to_bytes(8))
    check_before_boot(path, NOW)
    path.write_bytes(b"")
    with pytest.raises(EifError) as raised:
        check_before_boot(path, NOW)
    assert "Error while reading EIF header" in (raised.value.real_text or "")


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_only_three_curves_sign(rsa_key: rsa.RSAPrivateKey) -> None:
    good = certificate(private_key())
    encrypted = private_key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    for key, says in (
        (pem_of_key(rsa_key), "not that of an elliptic curve"),
        (pem_of_key(private_key(ec.SECP256K1())), "curve secp256k1 signs no images"),
        (b"no key", "private key does not read"),
        (encrypted, "give an unencrypted PEM file"),
    ):
        with pytest.raises(EifBadSigner, match=says):
            Signer.load(good, key)
    with pytest.raises(EifBadSigner, match="signing certificate does not read"):
        Signer.load(b"no certificate", pem_of_key(private_key()))
    with pytest.raises(EifBadSigner):
        certificate_pcr(b"no certificate")


def _with_signature(path: Path, content: bytes) -> None:
    """An image whose signature section holds anything."""
    image(path)
    eif = Eif.open(path)
    count, end = eif.header.section_count, path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\0\4\0\0" + len(content).to_bytes(8) + content)
    patched(path, 26, (count + 1).to_bytes(2))
    patched(path, 28 + 8 * count, end.to_bytes(8))


def _told(certificate_pem: bytes, message: bytes, **more: Any) -> bytes:
    told = {"signing_certificate": list(certificate_pem), "signature": list(message), **more}
    return cbor2.dumps([told])


MESSAGE = cbor2.dumps([bytes.fromhex("a1013822"), {}, b"payload", bytes(96)])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends too early"),
        (b"\x80", "its signature section is empty"),
        (b"\x01", "neither an array nor a map"),
        (cbor2.dumps([{"signature": [1]}]), "the certificate or the signature is missing"),
        (_told(b"", b"") + b"\0", "1 bytes follow its end"),
        (b"\x81\xa2\x69signature\x80\x69signature\x80", "a field stands twice"),
        (_told(b"\x01", b"").replace(b"\x81\x01", b"\x81\x19\1\0"), "not a number from 0 to 255"),
        (b"\x9b" + b"\xff" * 8, "ends too early"),
    ],
)
def test_a_section_that_holds_no_signature(path: Path, content: bytes, says: str) -> None:
    _with_signature(path, content)
    with pytest.raises(EifBadSection, match=says):
        measure(path)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "ends too early"),
        (MESSAGE + b"\0", "1 bytes follow"),
        (cbor2.dumps([b"", {}, b"", b"", b""]), "no COSE_Sign1"),
        (cbor2.dumps([bytes.fromhex("a0"), {}, b"", bytes(96)]), "names no algorithm"),
        (cbor2.dumps([bytes.fromhex("a1016141"), {}, b"", bytes(96)]), "names no algorithm"),
        (cbor2.dumps([b"\x80", {}, b"", bytes(96)]), "protected header is no map"),
        (cbor2.dumps([bytes.fromhex("a1013822"), [], b"", bytes(96)]), "unprotected header is no"),
    ],
)
def test_a_signature_that_does_not_read(path: Path, message: bytes, says: str) -> None:
    _with_signature(path, _told(certificate(private_key()), message))
    with pytest.raises(EifBadSignature, match=says):
        verify_signature(path)


def test_unknown_fields_headers_and_tags_are_overlooked(path: Path) -> None:
    used = signer()
    section = cbor2.loads(used.section(image(path).pcr0))[0]
    message = b"\xd2" + bytes(section["signature"])
    _with_signature(path, _told(used.certificate_pem, message, more={"a": [1]}))
    report = verify_signature(path)
    assert report is not None
    assert report.defects(NOW) == ()


@pytest.mark.parametrize("raw", [bytes(96), b"\xff" * 96, b"short"])
def test_numbers_that_are_no_signature(path: Path, raw: bytes) -> None:
    message = cbor2.dumps([bytes.fromhex("a1013822"), {}, b"payload", raw])
    _with_signature(path, _told(certificate(private_key()), message))
    report = verify_signature(path)
    assert report is not None
    assert (report.is_genuine, report.covers_image) == (False, False)


def test_a_certificate_that_cannot_have_signed(path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    for pem, says in ((b"nothing", "does not read"), (certificate(rsa_key), "elliptic curve")):
        _with_signature(path, _told(pem, MESSAGE))
        with pytest.raises(EifBadSignature, match=says):
            verify_signature(path)
    _with_signature(path, _told(b"nothing", MESSAGE))
    with pytest.raises(EifBadSignature, match=str(path)):
        measure(path)


# ---- Hostile files ----


def examine(path: Path) -> None:
    """Everything that reads an image; whatever is wrong with it must be an EifError."""
    for reading in Reading:
        with suppress(EifError):
            eif = Eif.open(path, reading)
            eif.scan()
            eif.metadata()
    for question in (measure, verify_signature, lambda file: check_before_boot(file, NOW)):
        with suppress(EifError):
            question(path)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("hostile") / "image.eif"
    image(path, signer=signer(ec.SECP256R1()))
    return path, path.read_bytes()


@given(st.data())
def test_a_mutated_file_costs_an_eif_error_at_most(
    signed: tuple[Path, bytes], data: st.DataObject
) -> None:
    path, whole = signed
    content = bytearray(whole)
    # Headers, metadata and signature are where it matters; they are most of the file.
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    examine(path)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_signature_cost_an_eif_error_at_most(
    signed: tuple[Path, bytes], content: bytes
) -> None:
    path, _ = signed
    _with_signature(path, content)
    examine(path)
    pem = cbor2.loads(signed_section(signed))[0]["signing_certificate"]
    _with_signature(path, _told(bytes(pem), content))
    examine(path)


def signed_section(signed: tuple[Path, bytes]) -> bytes:
    path, whole = signed
    path.write_bytes(whole)
    eif = Eif.open(path)
    assert eif.signature is not None
    return eif.read(eif.signature)


# ---- Replacing a file ----


def test_a_file_that_was_not_written_to_its_end_changes_nothing(path: Path) -> None:
    path.write_bytes(b"old")
    path.chmod(0o640)
    with suppress(KeyboardInterrupt), replacing(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_replaced_file_keeps_its_mode_and_its_link(path: Path) -> None:
    path.write_bytes(b"old")
    path.chmod(0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)


def test_measuring_tells_ramdisks_of_a_signed_image(path: Path) -> None:
    written = image(path, signer=signer(), ramdisks=(BOOT, APPLICATION, b"third"))
    assert measure(path) == written
    assert written.as_hex().keys() == {"PCR0", "PCR1", "PCR2", "PCR8"}
