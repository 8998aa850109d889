"""Images, certificates and keys for tests; every argument has a valid default."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from nsm_fake.eif import Measurements, Signer, identity, write_eif

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

KERNEL = b"a kernel that boots nothing"
CMDLINE = b"reboot=k panic=30 console=ttyS0"
BOOT = b"the ramdisk with init"
APPLICATION = b"the ramdisk with the application"

NOW = dt.datetime(2026, 8, 3, tzinfo=dt.UTC)
"""A time at which the certificates are valid by default."""
_YEAR = dt.timedelta(days=365)


def metadata(**given: Any) -> dict[str, Any]:
    return identity(
        **{
            "name": "hello",
            "version": "1.0",
            "build_time": "2026-01-27T19:10:11.123456789+00:00",
            "build_tool": "attested-kms",
            "build_tool_version": "0.1.0",
            "operating_system": "Linux",
            "kernel_version": "4.14.256",
            **given,
        }
    )


def image(
    path: Path,
    *,
    kernel: bytes | Path = KERNEL,
    cmdline: bytes = CMDLINE,
    ramdisks: Sequence[bytes | Path] = (BOOT, APPLICATION),
    told: Mapping[str, Any] | None = None,
    arm64: bool = False,
    signer: Signer | None = None,
) -> Measurements:
    """Write an image file."""
    with path.open("w+b") as file:
        return write_eif(
            file,
            kernel=kernel,
            cmdline=cmdline,
            ramdisks=ramdisks,
            metadata=metadata() if told is None else told,
            arm64=arm64,
            signer=signer,
        )


def private_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1() if curve is None else curve)


def pem_of_key(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate(
    key: PrivateKey,
    *,
    begin: dt.datetime = NOW - _YEAR,
    end: dt.datetime = NOW + _YEAR,
    organization: str = "Tests & Söhne",
) -> bytes:
    """A self-signed certificate in PEM."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, "image signing"),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(end)
        .sign(key, hashes.SHA384())
    )
    return made.public_bytes(Encoding.PEM)


def signer(curve: ec.EllipticCurve | None = None) -> Signer:
    """A certificate and its own key."""
    key = private_key(curve)
    return Signer.load(certificate(key), pem_of_key(key))


def patched(path: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
