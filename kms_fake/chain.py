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
from cryptography.x509.oid import ExtensionOID

_REMEMBERED_CHAINS = 256

_UNDERSTOOD_WHEN_CRITICAL = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
}

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


def read_certificates(ders: Iterable[bytes]) -> list[x509.Certificate]:
    """Parse DER certificates. Raises BadChain, naming the one that does not parse.

    A certificate is parsed with everything that is looked at later, because `cryptography` reads
    each part when it is first asked for and would raise there.
    """
    certificates = []
    for position, der in enumerate(ders):
        name = "certificate" if position == 0 else f"cabundle[{position - 1}]"
        try:
            certificate = x509.load_der_x509_certificate(der)
            key = certificate.public_key()
            _ = (
                *(certificate.extensions, certificate.subject, certificate.issuer),
                *(certificate.not_valid_before_utc, certificate.not_valid_after_utc),
                certificate.signature_hash_algorithm,
            )
        except _UNREADABLE as error:
            raise BadChain(f"{name} does not parse: {error}") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
            raise BadChain(f"{name} does not carry a P-384 key")
        certificates.append(certificate)
    return certificates


def _verify(certificates: Sequence[x509.Certificate]) -> Chain:
    signer, root, *below = certificates
    path = [signer, *reversed(below), root]
    _check_signer(signer)
    for authorities_below, authority in enumerate(path[1:]):
        _check_authority(authority, authorities_below)
    for subject, issuer in zip(path, [*path[1:], root], strict=True):
        _check_issued(subject, issuer)
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadChain("certificate does not carry a P-384 key")
    return Chain(
        signer=key,
        not_before_ms=max(_ms(certificate.not_valid_before_utc) for certificate in path),
        not_after_ms=min(_ms(certificate.not_valid_after_utc) for certificate in path),
    )


def _check_signer(certificate: x509.Certificate) -> None:
    _check_criticals(certificate)
    if not _key_usage(certificate).digital_signature:
        raise BadChain(f"{_name(certificate)} may not sign: keyUsage lacks digitalSignature")
    constraints = _basic_constraints(certificate)
    if constraints is not None and (constraints.ca or constraints.path_length is not None):
        raise BadChain(f"{_name(certificate)} signs documents and is a CA")


def _check_authority(certificate: x509.Certificate, authorities_below: int) -> None:
    _check_criticals(certificate)
    constraints = _basic_constraints(certificate)
    if constraints is None or not constraints.ca:
        raise BadChain(f"{_name(certificate)} issued a certificate and is not a CA")
    if constraints.path_length is not None and constraints.path_length < authorities_below:
        raise BadChain(
            f"{_name(certificate)} allows {constraints.path_length} CAs below it, not more"
        )
    if not _key_usage(certificate).key_cert_sign:
        raise BadChain(f"{_name(certificate)} issued a certificate without keyCertSign")


def _check_issued(subject: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        subject.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise BadChain(f"{_name(subject)} was not issued by {_name(issuer)}") from error
    if not isinstance(subject.signature_hash_algorithm, hashes.SHA384):
        raise BadChain(f"{_name(subject)} is not signed with ECDSA over SHA-384")


def _check_criticals(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD_WHEN_CRITICAL:
            oid = extension.oid.dotted_string
            raise BadChain(f"{_name(certificate)} has the critical extension {oid}")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise BadChain(f"{_name(certificate)} has no keyUsage") from error


def _basic_constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return f"the certificate of {certificate.subject.rfc4514_string()}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _ms(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds() * 1000)
