"""The roots that a KMS may be told to trust: AWS's own, and those that users bring as files."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from kms_fake.chain import BadChain, read_certificates

if TYPE_CHECKING:
    from pathlib import Path

AWS_ROOT_SHA256 = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
"""SHA-256 of the DER of AWS Nitro Enclaves Root G1, as seen in every real document's cabundle."""


class BadRoot(ValueError):
    """A file does not hold root certificates; the message names it and says what it should be."""


@cache
def aws_root() -> x509.Certificate:
    """AWS Nitro Enclaves Root G1, the root of the commercial Regions.

    Its fingerprint is asserted, so that a damaged package cannot trust something else. Raises
    BadRoot.
    """
    name = "aws_nitro_enclaves_root_g1.pem"
    pem = resources.files("kms_fake").joinpath("data").joinpath(name).read_bytes()
    root = x509.load_pem_x509_certificate(pem)
    if root.fingerprint(hashes.SHA256()).hex() != AWS_ROOT_SHA256:
        raise BadRoot(f"{name} of this installation is not AWS Nitro Enclaves Root G1; reinstall")
    return root


def root_from_der(der: bytes) -> x509.Certificate:
    """The root certificate in `der`. Raises BadRoot."""
    try:
        return read_certificates([der])[0].certificate
    except BadChain as error:
        raise BadRoot(f"not a root of attestation documents: {error}") from error


def roots_from_file(path: Path) -> list[x509.Certificate]:
    """The certificates of a file: PEM (one or more) or DER (one). Raises BadRoot."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadRoot(f"cannot read the root certificate {path}: {error.strerror}") from error
    try:
        if b"-----BEGIN" in content:
            found = x509.load_pem_x509_certificates(content)
        else:
            found = [x509.load_der_x509_certificate(content)]
        return [root_from_der(root.public_bytes(Encoding.DER)) for root in found]
    except ValueError as error:
        raise BadRoot(
            f"{path} holds no usable root certificate ({error}); give PEM or DER of an X.509 "
            "certificate with a P-384 key"
        ) from error
