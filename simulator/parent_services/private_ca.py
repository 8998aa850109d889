"""A certificate authority of this process alone: made fresh, its key never kept, and it says so.

The profile is what strict verifiers ask (RFC 5280; Python 3.13's VERIFY_X509_STRICT; webpki): on
the authority critical basicConstraints with path length 0 and critical keyUsage, on the server's
certificate subjectAltName, extendedKeyUsage and authorityKeyIdentifier, key identifiers on both.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANIZATION = "NotAWS, simulated by attested-kms"

# A clock a little behind ours must not find the certificates in its future.
_BACKDATED = dt.timedelta(hours=1)
# Longer than a simulator runs, and far below the 825 days that some verifiers allow at most.
_LIFETIME = dt.timedelta(days=90)


@dataclass(frozen=True, slots=True)
class PrivateCa:
    """An authority that certifies servers under any name."""

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls) -> PrivateCa:
        """A new one with a P-256 key, valid for 90 days."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("attested-kms simulator CA, trust it in tests only")
        now = dt.datetime.now(dt.UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _builder(name, name, key, now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @property
    def pem(self) -> bytes:
        """The certificate that clients must trust, in PEM with a newline at its end."""
        return self.certificate.public_bytes(Encoding.PEM)

    def server_context(self, names: Sequence[str]) -> ssl.SSLContext:
        """A TLS server for DNS `names`, of which the first is in the subject too; new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issue(key, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Python reads a key from a file alone; it is there for a moment, for this user only.
        with TemporaryDirectory(prefix="attested-kms-") as folder:
            path = Path(folder) / "server.pem"
            secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(secret + certificate.public_bytes(Encoding.PEM))
            context.load_cert_chain(path)
        return context

    def _issue(self, key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
        subject = _name(names[0])
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        of_issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.value)
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        return (
            _builder(subject, self.certificate.subject, key, dt.datetime.now(dt.UTC))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(own, critical=False)
            .add_extension(of_issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
