"""What a document says, told one by one: certificates, PCRs, public key.

Facts for the reader and no verdicts. The meanings of PCRs are those of AWS's "Where to get an
enclave's measurements"; debug mode is what 42 real debug documents show: PCR0, PCR1 and PCR2 zero,
PCR4 set.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from kms_fake.chain import UnreadableCertificate, read_certificates
from kms_fake.document import AttestationDocument
from kms_fake.recipient_key import read_spki
from nsm_fake import pcr_of_instance_id, pcr_of_role_arn
from simulator.inspection import given
from simulator.inspection.moments import in_words


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate of the document, by its place in the payload."""

    place: str
    """`cabundle[0]` (the root) and so on, then `certificate` (the signer)."""
    subject: str | None
    issuer: str | None
    not_before: str | None
    not_after: str | None
    valid: bool | None
    """At the time of judging."""
    key: str | None
    sha256: str
    """Of the DER, hexadecimal."""
    problem: str | None
    """Why it cannot be read."""


def certificates_of(fields: AttestationDocument, now_ms: int) -> tuple[CertificateFacts, ...]:
    """The certificates, root first."""
    places = [(f"cabundle[{index}]", der) for index, der in enumerate(fields.cabundle)]
    places.append(("certificate", fields.certificate))
    return tuple(_certificate(place, der, now_ms) for place, der in places)


def _certificate(place: str, der: bytes, now_ms: int) -> CertificateFacts:
    digest = hashlib.sha256(der).hexdigest()
    try:
        (read,) = read_certificates([der])
    except UnreadableCertificate as error:
        problem = str(error).removeprefix("certificate ")
        return CertificateFacts(place, None, None, None, None, None, None, digest, problem)
    return CertificateFacts(
        place=place,
        subject=read.subject.rfc4514_string(),
        issuer=read.issuer.rfc4514_string(),
        not_before=in_words(read.not_before_ms),
        not_after=in_words(read.not_after_ms),
        valid=read.not_before_ms <= now_ms <= read.not_after_ms,
        key="P-384",
        sha256=digest,
        problem=None,
    )


@dataclass(frozen=True, slots=True)
class PcrFacts:
    """One platform configuration register."""

    index: int
    value: str
    """Hexadecimal, lower case: the value that policies are compared with."""
    zero: bool
    meaning: str | None
    """What AWS measures into it."""
    explained: str | None
    """What this value is known to come from."""


_MEANINGS = {
    0: "the whole image",
    1: "kernel, command line and boot ramdisk",
    2: "the application's ramdisks",
    3: "the IAM role of the parent instance",
    4: "the instance id of the parent instance",
    8: "the certificate that signed the image",
}
_NO_APPLICATION = (
    "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c"
    "10edb30948c90ba67310f7b964fc500a"
)
_FIRST_OF_THE_APPLICATION = 16
_ZEROS = {
    3: "the parent instance has no role",
    8: "the image is not signed, or the enclave is in debug mode",
}


def is_debug(fields: AttestationDocument) -> bool | None:
    """Whether the enclave runs in debug mode; None for a NitroTPM, which has no such mode."""
    if fields.nitro_tpm:
        return None
    measured = [fields.pcrs.get(index) for index in (0, 1, 2)]
    zero = all(value is not None and not any(value) for value in measured)
    return zero and any(fields.pcrs.get(4, b""))


def instance_id_of(module_id: str) -> str:
    """The instance id that a module id begins with; all of it where it has not that form."""
    return module_id.rpartition("-enc")[0] or module_id.rpartition("-tpm")[0] or module_id


def pcrs_of(fields: AttestationDocument, roles: Iterable[str]) -> tuple[PcrFacts, ...]:
    """The registers, ascending. `roles` are ARNs of IAM roles that PCR3 may come from."""
    known = {} if fields.nitro_tpm else _known_values(fields.module_id, roles)
    return tuple(
        PcrFacts(
            index=index,
            value=value.hex(),
            zero=not any(value),
            meaning=None if fields.nitro_tpm else _MEANINGS.get(index),
            explained=None if fields.nitro_tpm else _explained(index, value, known),
        )
        for index, value in sorted(fields.pcrs.items())
    )


def _known_values(module_id: str, roles: Iterable[str]) -> Mapping[tuple[int, bytes], str]:
    known: dict[tuple[int, bytes], str] = {}
    instance_id = instance_id_of(module_id)
    sources = [(4, pcr_of_instance_id, instance_id), *((3, pcr_of_role_arn, arn) for arn in roles)]
    for index, measure, text in sources:
        try:
            known[index, measure(text)] = text
        except ValueError:
            continue  # Not an id or a role of AWS's form: nothing was measured from it.
    return known


def _explained(index: int, value: bytes, known: Mapping[tuple[int, bytes], str]) -> str | None:
    if (index, value) in known:
        return f"is that of {known[index, value]}"
    if any(value):
        if index == 2 and value.hex() == _NO_APPLICATION:
            return "is that of no ramdisk: all is in the boot ramdisk"
        if index == 4:
            return "is not that of the instance in the module id"
        return "locked by the application" if index >= _FIRST_OF_THE_APPLICATION else None
    return _ZEROS.get(index)


class PublicKeyKind(enum.StrEnum):
    """What the public key of a document is."""

    ABSENT = "absent"
    EMPTY = "empty"
    SPKI_RSA = "spki-rsa"
    SPKI_OTHER = "spki-other"
    NON_CANONICAL = "non-canonical-spki"
    PKCS1 = "pkcs1"
    PEM = "pem"
    TEXT = "text"
    EC_POINT = "ec-point"
    CERTIFICATE = "certificate"
    PRIVATE_KEY = "private-key"
    RAW_32 = "raw-32-bytes"
    OTHER = "other"


_AS_SPKI = "give the NSM the DER SubjectPublicKeyInfo of an RSA-2048 key"
_FIXES = {
    PublicKeyKind.ABSENT: f"{_AS_SPKI} in the public_key of the Attestation request (bug 8.2)",
    PublicKeyKind.EMPTY: f"an empty public_key counts as none: {_AS_SPKI} (bug 8.2)",
    PublicKeyKind.SPKI_OTHER: f"RSAES_OAEP needs an RSA key: {_AS_SPKI}",
    PublicKeyKind.NON_CANONICAL: "write the SubjectPublicKeyInfo as DER, in its one encoding",
    PublicKeyKind.PKCS1: (
        "this is bug 8.3 of the field notes: write the key as SubjectPublicKeyInfo "
        "(to_public_key_der in Rust, MarshalPKIXPublicKey in Go, PublicFormat."
        "SubjectPublicKeyInfo in Python), not as PKCS#1"
    ),
    PublicKeyKind.PEM: "give the DER inside the PEM, as SubjectPublicKeyInfo",
    PublicKeyKind.TEXT: "the NSM takes bytes: decode the text, and give SubjectPublicKeyInfo",
    PublicKeyKind.EC_POINT: f"an EC point has no form that KMS reads: {_AS_SPKI}",
    PublicKeyKind.CERTIFICATE: f"a certificate is not a key: {_AS_SPKI}",
    PublicKeyKind.PRIVATE_KEY: (
        f"a PRIVATE key is in this document, and everybody who saw it has the key: replace it, and "
        f"{_AS_SPKI}"
    ),
    PublicKeyKind.RAW_32: f"32 bytes are a curve's key or a hash: {_AS_SPKI}",
    PublicKeyKind.OTHER: _AS_SPKI,
}


@dataclass(frozen=True, slots=True)
class PublicKeyFacts:
    """The public key of the document."""

    kind: PublicKeyKind
    bytes: int
    words: str
    bits: int | None
    """Of an RSA key."""
    sha256: str | None
    """Of the SubjectPublicKeyInfo, hexadecimal: what an envelope for it carries as its SKI."""
    fix: str | None
    """What to do so that KMS takes it; None where it does."""


def public_key_of(der: bytes | None) -> PublicKeyFacts:
    """What `der`, a document's public_key, is."""
    kind, words, bits = _public_key_kind(der)
    fix = _FIXES.get(kind)
    if kind is PublicKeyKind.SPKI_RSA and bits != 2048:
        fix = "KMS documents RSA-2048; what it says to other sizes is unknown"
    spki = kind in {PublicKeyKind.SPKI_RSA, PublicKeyKind.SPKI_OTHER}
    digest = hashlib.sha256(der).hexdigest() if der and spki else None
    return PublicKeyFacts(kind, len(der or b""), words, bits, digest, fix)


def _public_key_kind(der: bytes | None) -> tuple[PublicKeyKind, str, int | None]:
    if not der:
        return (
            (PublicKeyKind.ABSENT, "none (null)", None)
            if der is None
            else (PublicKeyKind.EMPTY, "empty bytes", None)
        )
    key = read_spki(der)
    if isinstance(key, rsa.RSAPublicKey):
        return PublicKeyKind.SPKI_RSA, f"SubjectPublicKeyInfo, RSA-{key.key_size}", key.key_size
    if key is not None:
        return PublicKeyKind.SPKI_OTHER, f"SubjectPublicKeyInfo, {_algorithm(key)}", None
    return _unusable_key_kind(der)


def _algorithm(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"elliptic curve {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").strip("_")


_NO_KEYS = {
    given.Kind.CERTIFICATE: (PublicKeyKind.CERTIFICATE, "an X.509 certificate", None),
    given.Kind.PRIVATE_KEY: (PublicKeyKind.PRIVATE_KEY, "a private key", None),
    given.Kind.PEM: (PublicKeyKind.PEM, "PEM text", None),
    given.Kind.TEXT: (PublicKeyKind.TEXT, "text, not a key", None),
    given.Kind.JSON: (PublicKeyKind.TEXT, "JSON text, not a key", None),
    given.Kind.PYTHON: (PublicKeyKind.TEXT, "text, not a key", None),
}
# Bytes and first byte of a curve's point (SEC 1, 2.3.3), whole and compressed.
_EC_POINTS = {(65, 4), (97, 4), (133, 4), *((n, y) for n in (33, 49, 67) for y in (2, 3))}


def _unusable_key_kind(der: bytes) -> tuple[PublicKeyKind, str, int | None]:
    kind = given.kind_of(der)
    if kind is given.Kind.PUBLIC_KEY:
        return _lenient_key_kind(der)
    if kind in _NO_KEYS:
        return _NO_KEYS[kind]
    if (len(der), der[0]) in _EC_POINTS:
        return PublicKeyKind.EC_POINT, f"an elliptic curve point of {len(der)} bytes", None
    if len(der) == 32:
        return PublicKeyKind.RAW_32, "32 raw bytes", None
    return PublicKeyKind.OTHER, f"{len(der)} bytes of no form that KMS reads", None


def _lenient_key_kind(der: bytes) -> tuple[PublicKeyKind, str, int | None]:
    """Of a key that `cryptography` reads and KMS does not."""
    key = load_der_public_key(der)
    if isinstance(key, rsa.RSAPublicKey):
        pkcs1 = key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        if pkcs1 == der:
            return PublicKeyKind.PKCS1, f"PKCS#1 RSAPublicKey, RSA-{key.key_size}", key.key_size
        if key.public_numbers().n % 2 == 0:
            return PublicKeyKind.OTHER, "a changed RSA key: its modulus is even", None
    return PublicKeyKind.NON_CANONICAL, "a public key in BER that is not DER", None
