"""Certificate and key as build-enclave and sign-eif take them.

A key in KMS, named by its ARN, is not simulated: it cannot be read here.

Source: aws-nitro-enclaves-image-format 0.5.0, src/utils/eif_signer.rs: `inferred`.
"""

from __future__ import annotations

import re
from pathlib import Path

from simulator.nitro_cli.rust_text import debug

_KEY_ARN = re.compile(
    r"arn:(?:aws|aws-cn|aws-us-gov):kms:[a-z0-9-]+:\d{12}:key[:/][a-zA-Z0-9-]+", re.ASCII
)


class SigningInfoUnreadable(Exception):
    """Certificate or key cannot be read; the message is the library's."""


def signing_info(certificate: str, private_key: str) -> tuple[bytes, bytes]:
    """The contents of the two files; whether they can sign shows later. SigningInfoUnreadable."""
    certificate_pem = _read(certificate, "certificate")
    if _KEY_ARN.fullmatch(private_key):
        raise SigningInfoUnreadable(
            f"{private_key} is a key in KMS, and attested-kms signs with local keys alone"
        )
    return certificate_pem, _read(private_key, "key")


def _read(path: str, what: str) -> bytes:
    try:
        file = Path(path).open("rb")  # noqa: SIM115  # Opening and reading fail differently.
    except OSError as error:
        raise SigningInfoUnreadable(f"Could not open the {what} file: {debug(error)}") from error
    with file:
        return file.read()
