"""The certificate chain of an attestation document: trusted roots, constraints, validity.

The constraints are those of AWS's "attestation_process.md", section 3.2.3: certificates valid at
the time of use, the issuer of each the next, CA bit, path lengths, keyCertSign for CAs and
digitalSignature for the signer; revocation is not checked, as AWS's text demands. Signatures and
constraints do not change with time, so a chain that passed is remembered; the validity is checked
at each call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import SignatureAlgorithmOID

# A fleet of a thousand enclaves, each with the chain before its last renewal. About 6 KB each.
_REMEMBERED_CHAINS = 2048

_ES384 = ec.ECDSA(hashes.SHA384())
_ECDSA_WITH_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")  # AlgorithmIdentifier, RFC 5758.
_VERSION_3 = bytes.fromhex("a003020102")

_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,  # A name's string of a type that X.509 does not know.
    Warning,  # Odd serial numbers and names, where warnings are errors.
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class BadChain(ValueError):
    """The certificates do not form a chain that attests a signer; the message says why."""


class UnreadableCertificate(BadChain):
    """One of them does not even parse."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain whose signatures and constraints hold. Times are milliseconds since the epoch."""

    signer: ec.EllipticCurvePublicKey
    not_before_ms: int
    """The latest beginning of validity of its certificates."""
    not_after_ms: int
    """The earliest end of validity."""

    def valid_at(self, time_ms: int) -> bool:
        """Whether every certificate is valid at `time_ms` (RFC 5280, 4.1.2.5: both ends count)."""
        return self.not_before_ms <= time_ms <= self.not_after_ms


class TrustedRoots:
    """The root certificates that this KMS trusts, and the chains already found good under them."""

    def __init__(self, roots: Iterable[x509.Certificate]) -> None:
        self._roots = frozenset(root.public_bytes(Encoding.DER) for root in roots)
        self._remembered: OrderedDict[tuple[bytes, ...], Chain] = OrderedDict()
        self._lock = Lock()

    def trusts(self, root_der: bytes) -> bool:
        """Whether the DER certificate is one of the roots, byte for byte."""
        return root_der in self._roots

    def chain(self, certificate: bytes, cabundle: Sequence[bytes]) -> Chain:
        """The chain from the signer's DER certificate up to `cabundle[0]`, the root.

        Does not ask whether the root is trusted or the certificates are valid now. Raises
        BadChain.
        """
        key = (certificate, *cabundle)
        with self._lock:
            known = self._remembered.get(key)
            if known is not None:
                self._remembered.move_to_end(key)
                return known
        chain = _verify(read_certificates(key))
        with self._lock:
            self._remembered[key] = chain
            while len(self._remembered) > _REMEMBERED_CHAINS:
                self._remembered.popitem(last=False)
        return chain

    def forget(self) -> None:
        """Verify every chain anew from here on."""
        with self._lock:
            self._remembered.clear()


@dataclass(frozen=True, slots=True)
class ReadCertificate:
    """What a chain is judged by, all of it parsed.

    `cryptography` parses each part of a certificate when it is first asked for, and would raise
    there; and it parses some parts again each time.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePublicKey
    subject: x509.Name
    issuer: x509.Name
    constraints: x509.BasicConstraints | None
    key_usage: x509.KeyUsage | None
    unknown_critical: str | None
    """An extension that is critical and not understood: its object identifier."""
    not_before_ms: int
    not_after_ms: int

    def __str__(self) -> str:
        return f"the certificate of {self.subject.rfc4514_string()}"


def read_certificates(ders: Iterable[bytes]) -> list[ReadCertificate]:
    """Parse DER certificates. Raises UnreadableCertificate, naming the one that does not parse."""
    certificates = []
    for position, der in enumerate(ders):
        name = "certificate" if position == 0 else f"cabundle[{position - 1}]"
        try:
            certificates.append(_read(x509.load_der_x509_certificate(der)))
        except _UNREADABLE as error:
            raise UnreadableCertificate(f"{name} does not parse: {error}") from error
    return certificates


def _read(certificate: x509.Certificate) -> ReadCertificate:
    """Everything of one certificate. Raises one of _UNREADABLE."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        raise ValueError("its key is not a P-384 key")
    constraints = key_usage = unknown_critical = None
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints):
            constraints = extension.value
        elif isinstance(extension.value, x509.KeyUsage):
            key_usage = extension.value
        elif extension.critical:
            unknown_critical = extension.oid.dotted_string
    return ReadCertificate(
        certificate=certificate,
        key=key,
        subject=certificate.subject,
        issuer=certificate.issuer,
        constraints=constraints,
        key_usage=key_usage,
        unknown_critical=unknown_critical,
        not_before_ms=_ms(certificate.not_valid_before_utc),
        not_after_ms=_ms(certificate.not_valid_after_utc),
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _ms(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds() * 1000)


def _verify(certificates: Sequence[ReadCertificate]) -> Chain:
    signer, root, *below = certificates
    path = [signer, *reversed(below), root]
    _check_signer(signer)
    for authorities_below, authority in enumerate(path[1:]):
        _check_authority(authority, authorities_below)
    for subject, issuer in zip(path, [*path[1:], root], strict=True):
        _check_issued(subject, issuer)
    return Chain(
        signer=signer.key,
        not_before_ms=max(certificate.not_before_ms for certificate in path),
        not_after_ms=min(certificate.not_after_ms for certificate in path),
    )


def _check_signer(signer: ReadCertificate) -> None:
    _check_extensions(signer)
    if signer.key_usage is None or not signer.key_usage.digital_signature:
        raise BadChain(f"{signer} may not sign: it has no keyUsage with digitalSignature")
    constraints = signer.constraints
    if constraints is not None and (constraints.ca or constraints.path_length is not None):
        raise BadChain(f"{signer} signs documents and is a CA")


def _check_authority(authority: ReadCertificate, authorities_below: int) -> None:
    _check_extensions(authority)
    if authority.constraints is None or not authority.constraints.ca:
        raise BadChain(f"{authority} issued a certificate and is not a CA")
    allowed = authority.constraints.path_length
    if allowed is not None and allowed < authorities_below:
        raise BadChain(f"{authority} allows {allowed} CAs below it, not more")
    if authority.key_usage is None or not authority.key_usage.key_cert_sign:
        raise BadChain(f"{authority} issued a certificate and has no keyUsage with keyCertSign")


def _check_extensions(certificate: ReadCertificate) -> None:
    if certificate.unknown_critical is not None:
        raise BadChain(f"{certificate} has the critical extension {certificate.unknown_critical}")


def _check_issued(subject: ReadCertificate, issuer: ReadCertificate) -> None:
    """Names, algorithms and signature (RFC 5280, 6.1.3 (a)).

    Not by `verify_directly_issued_by`, which parses the issuer's key again each time.
    """
    certificate = subject.certificate
    signed = certificate.tbs_certificate_bytes
    if subject.issuer != issuer.subject:
        raise BadChain(f"{subject} names another issuer than {issuer}")
    if not _is_ecdsa_with_sha384(certificate, signed):
        raise BadChain(f"{subject} is not signed with ECDSA over SHA-384")
    try:
        issuer.key.verify(certificate.signature, signed, _ES384)
    except InvalidSignature as error:
        raise BadChain(f"{subject} was not signed by {issuer}") from error


def _is_ecdsa_with_sha384(certificate: x509.Certificate, signed: bytes) -> bool:
    """Whether both fields for it say so: what is signed, and beside the signature.

    RFC 5280, 4.1.1.2, demands that they be equal; `cryptography` shows only the outer one. The
    inner one follows the serial number in TBSCertificate (4.1).
    """
    version = signed.find(_VERSION_3, 0, 16)
    if version < 0:
        return False
    serial = version + len(_VERSION_3)
    inner = signed[serial + 2 + signed[serial + 1] :]  # Tag, length and bytes of the INTEGER.
    outer = certificate.signature_algorithm_oid
    return inner.startswith(_ECDSA_WITH_SHA384) and outer == SignatureAlgorithmOID.ECDSA_WITH_SHA384
