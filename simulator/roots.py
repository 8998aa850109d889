"""The roots that a command is told to trust, by the names that users give them."""

from __future__ import annotations

from pathlib import Path

from cryptography.x509 import Certificate

from kms_fake.roots import aws_root, root_from_der, roots_from_file
from nsm_fake import NsmPki

SIMULATED = "sim"
AWS = "aws"


def roots_named(name: str, pki: NsmPki) -> list[Certificate]:
    """The roots that `name` means: `sim`, `aws`, or a file of PEM or DER certificates.

    `pki` is the simulator's. Raises kms_fake.roots.BadRoot for a file that holds no usable root.
    """
    if name == SIMULATED:
        return [root_from_der(pki.root_certificate_der)]
    if name == AWS:
        return [aws_root()]
    return roots_from_file(Path(name))
