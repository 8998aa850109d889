"""The signature section of an image: who vouches for its PCR0.

The content is CBOR as serde_cbor writes it: an array of one map with the certificate's PEM text
and a COSE_Sign1, both as arrays of integers, since AWS's types are plain `Vec<u8>`. The COSE_Sign1
is untagged, has the algorithm alone in its protected header, an empty unprotected one, and as
payload the map {register_index: 0, register_value: PCR0}. Nothing but PCR0 is signed; metadata,
header and the certificate itself are not.

ES256, ES384 or ES512 by the key's curve (P-256, P-384, P-521) with the hash of that name; no other
keys. r and s stand side by side, each as long as the curve's field.

Who verifies what (aws-nitro-enclaves-image-format; the hypervisor's check is not public, but an
image with a bad signature does not boot, says AWS's User Guide):

- `describe-eif` verifies the signature and compares the payload with the measured PCR0;
- `run-enclave` verifies the signature and that the certificate is valid now; it compares nothing
  with the image;
- `sign-eif` verifies nothing: it signs with any key beside any certificate.

Reading is as tolerant as serde_cbor, by `cbor_reader`, but that bytes may also be written as
strings here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from nsm_fake.cbor_reader import CborReader, MalformedError
from nsm_fake.eif.errors import EifBadSection, EifBadSignature, EifBadSigner
from nsm_fake.eif.reading import Eif

_ALGORITHM_LABEL = 1
_FIELDS: dict[int | bytes, int] = {b"signing_certificate": 0, 0: 0, b"signature": 1, 1: 1}
"""The fields of a signature by name and by number."""


@dataclass(frozen=True, slots=True)
class _Algorithm:
    """ECDSA on one curve, as COSE names it (RFC 9053)."""

    cose: int
    hash: hashes.HashAlgorithm
    length: int
    """Bytes of r, and of s."""

    @property
    def protected_header(self) -> bytes:
        """The encoded map with the algorithm."""
        return cbor2.dumps({_ALGORITHM_LABEL: self.cose})


_ALGORITHMS = {
    "secp256r1": _Algorithm(-7, hashes.SHA256(), 32),
    "secp384r1": _Algorithm(-35, hashes.SHA384(), 48),
    "secp521r1": _Algorithm(-36, hashes.SHA512(), 66),
}


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate and a private key, which need not belong together."""

    certificate_pem: bytes
    """The whole text of the file: it goes into the image as it is."""
    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, certificate_pem: bytes, private_key_pem: bytes) -> Signer:
        """From the texts of two PEM files. Raises EifBadSigner.

        AWS's signer reads the certificate only after it has written it, and so spoils an image
        with what is no certificate; here it is refused.
        """
        certificate = load_certificate(certificate_pem)
        try:
            key = load_pem_private_key(private_key_pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise EifBadSigner(
                f"The private key does not read ({error}); give an unencrypted PEM file with the "
                "key of an elliptic curve."
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise EifBadSigner(
                "The private key is not that of an elliptic curve; an image is signed with a "
                "P-384, P-256 or P-521 key (openssl ecparam -name secp384r1 -genkey).",
                real_text="Failed to create CoseSign1 with local key: "
                "Not supported: Non-EC keys are not supported",
            )
        _algorithm_of(key.curve)
        return cls(certificate_pem, certificate, key)

    @property
    def certificate_der(self) -> bytes:
        """What PCR8 is made of."""
        return self.certificate.public_bytes(Encoding.DER)

    def defects(self, at: dt.datetime) -> tuple[str, ...]:
        """Why an image with this signature will not run, though AWS's signer would sign it."""
        found = not_valid(self.certificate, at)
        if self.certificate.public_key() != self.private_key.public_key():
            found += ("the certificate belongs to another private key",)
        return found

    def section(self, pcr0: bytes) -> bytes:
        """The content of the signature section of an image with this PCR0."""
        payload = _payload(pcr0)
        algorithm = _algorithm_of(self.private_key.curve)
        protected = algorithm.protected_header
        signed = _to_be_signed(protected, payload)
        r, s = decode_dss_signature(self.private_key.sign(signed, ec.ECDSA(algorithm.hash)))
        raw = r.to_bytes(algorithm.length) + s.to_bytes(algorithm.length)
        message = cbor2.dumps([protected, {}, payload, raw])
        return cbor2.dumps(
            [{"signing_certificate": list(self.certificate_pem), "signature": list(message)}]
        )


@dataclass(frozen=True, slots=True)
class SignatureSection:
    """What stands in an image, not verified."""

    certificate_pem: bytes
    message: bytes
    """COSE_Sign1."""


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """What the signature of an image is worth."""

    certificate: x509.Certificate
    is_genuine: bool
    """Whether the certificate's key made it."""
    covers_image: bool
    """Whether what was signed is the PCR0 of this image."""

    def defects(self, at: dt.datetime) -> tuple[str, ...]:
        """What is wrong at that time; empty for a good signature."""
        found: tuple[str, ...] = ()
        if not self.is_genuine:
            found += ("the signature was not made with the key of the certificate beside it",)
        if not self.covers_image:
            found += ("what was signed is the PCR0 of another image",)
        return found + not_valid(self.certificate, at)


def read_signature(eif: Eif) -> SignatureSection | None:
    """The signature of an image, or None if it has none. Raises EifError."""
    section = eif.signature
    if section is None:
        return None
    return parse_signature(eif.read(section), where=str(eif.path))


def parse_signature(data: bytes, *, where: str) -> SignatureSection:
    """The first of the signatures in the content of a section. Raises EifBadSection."""
    reader = CborReader(data)
    try:
        _, count, depth = reader.container(0)
        found = []
        while not reader.exhausted(count):
            found.append(_read_pcr_signature(reader, depth))
            count = None if count is None else count - 1
        reader.end()
    except MalformedError as error:
        raise EifBadSection(
            f"{where}: its signature section does not read: {error}; sign the image again."
        ) from error
    if not found:
        raise EifBadSection(f"{where}: its signature section is empty; sign the image again.")
    return found[0]


def verify_section(section: SignatureSection, pcr0: bytes | None, *, where: str) -> SignatureReport:
    """Verify a signature against the measured PCR0. Raises EifBadSignature if it does not read.

    Without a PCR0 it is not compared, and counts as covered.
    """
    try:
        certificate = load_certificate(section.certificate_pem)
    except EifBadSigner as error:
        raise EifBadSignature(
            f"{where}: {error}", real_text="Could not deserialize the signing certificate"
        ) from error
    try:
        protected, payload, signature = _read_cose_sign1(section.message)
        is_genuine = _verify(certificate, protected, payload, signature)
    except (MalformedError, EifBadSigner) as error:
        real_text = error.real_text if isinstance(error, EifBadSigner) else None
        raise EifBadSignature(
            f"{where}: its signature does not read: {error}", real_text=real_text
        ) from error
    covers = pcr0 is None or payload == _payload(pcr0)
    return SignatureReport(certificate, is_genuine, covers)


def load_certificate(pem: bytes) -> x509.Certificate:
    """The first certificate in a PEM text. Raises EifBadSigner."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise EifBadSigner(
            f"The signing certificate does not read ({error}); it must be PEM text, beginning "
            "with -----BEGIN CERTIFICATE-----."
        ) from error


def not_valid(certificate: x509.Certificate, at: dt.datetime) -> tuple[str, ...]:
    """Why a certificate is not valid at a time, as a tuple of at most one clause."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at > end:
        return (f"the signing certificate expired at {end:%Y-%m-%d %H:%M:%S} UTC",)
    if at < begin:
        return (f"the signing certificate is not valid before {begin:%Y-%m-%d %H:%M:%S} UTC",)
    return ()


def _read_pcr_signature(reader: CborReader, depth: int) -> SignatureSection:
    """One `PcrSignature`: a map by names or numbers of its fields, or an array."""
    is_map, count, depth = reader.container(depth)
    fields: dict[int, bytes] = {}
    position = 0
    while not reader.exhausted(count):
        count = None if count is None else count - 1
        index = _FIELDS.get(reader.identifier(depth)) if is_map else position
        position += 1
        if index is None or index > 1:
            reader.skip(depth)
        elif index in fields:
            raise MalformedError("a field stands twice")
        else:
            fields[index] = reader.byte_string(depth)
    if len(fields) != 2:
        raise MalformedError("the certificate or the signature is missing")
    return SignatureSection(fields[0], fields[1])


def _read_cose_sign1(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload and signature. Raises MalformedError."""
    reader = CborReader(message)
    is_map, count, depth = reader.container(0)
    if is_map or count not in (None, 4):
        raise MalformedError("it is no COSE_Sign1")
    protected = reader.byte_string(depth)
    if reader.peek() >> 5 != 5:
        raise MalformedError("its unprotected header is no map")
    reader.skip(depth)
    payload, signature = reader.byte_string(depth), reader.byte_string(depth)
    if count is None and not reader.take_break():
        raise MalformedError("it has more than four elements")
    reader.end()
    return protected, payload, signature


def _algorithm_in(protected: bytes) -> int:
    """The algorithm that a protected header names. Raises MalformedError."""
    reader = CborReader(protected)
    is_map, count, depth = reader.container(0)
    if not is_map:
        raise MalformedError("its protected header is no map")
    algorithm = None
    while not reader.exhausted(count):
        count = None if count is None else count - 1
        if reader.peek() != _ALGORITHM_LABEL:
            reader.skip(depth)
            reader.skip(depth)
            continue
        reader.head()
        major, argument = reader.head()
        if major not in (0, 1) or argument is None or algorithm is not None:
            raise MalformedError("its protected header names no algorithm")
        algorithm = argument if major == 0 else -1 - argument
    reader.end()
    if algorithm is None:
        raise MalformedError("its protected header names no algorithm")
    return algorithm


def _verify(
    certificate: x509.Certificate, protected: bytes, payload: bytes, signature: bytes
) -> bool:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EifBadSigner(f"The certificate's key does not read ({error}).") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise EifBadSigner(
            "the certificate's key is not that of an elliptic curve.",
            real_text="Could not verify EIF signature: "
            'UnsupportedError("Non-EC keys are not supported")',
        )
    algorithm = _algorithm_of(key.curve)
    if _algorithm_in(protected) != algorithm.cose or len(signature) != 2 * algorithm.length:
        return False
    r, s = (int.from_bytes(part) for part in _halves(signature))
    try:
        key.verify(
            encode_dss_signature(r, s),
            _to_be_signed(protected, payload),
            ec.ECDSA(algorithm.hash),
        )
    except InvalidSignature:
        return False
    return True


def _halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


def _algorithm_of(curve: ec.EllipticCurve) -> _Algorithm:
    algorithm = _ALGORITHMS.get(curve.name)
    if algorithm is None:
        raise EifBadSigner(
            f"The curve {curve.name} signs no images; P-384 (secp384r1), P-256 and P-521 do."
        )
    return algorithm


def _payload(pcr0: bytes) -> bytes:
    """`PcrInfo`: what is signed."""
    return cbor2.dumps({"register_index": 0, "register_value": list(pcr0)})


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052."""
    return cbor2.dumps(["Signature1", protected, b"", payload])
