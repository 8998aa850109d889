"""`nitro-cli pcr`.

Source: aws-nitro-enclaves-cli v1.4.4, src/lib.rs: `inferred`. Its E19 names no file.
"""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

from nsm_fake.eif import EifBadSigner, certificate_pcr
from nsm_fake.pcrs import ZERO_PCR, extended
from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.enclaves import pretty
from simulator.nitro_cli.image_errors import library_text
from simulator.nitro_cli.rust_text import debug
from simulator.nitro_cli.session import Session, failed, within

_LIBRARY = "src/lib.rs"


def run(session: Session, given: Given) -> int:
    """Print the PCR of a file, or PCR8 of a certificate."""
    certificate = given.text("signing-certificate")
    with within("Failed to get the PCR hash of the file contents", action="File PCR"):
        if certificate is not None:
            answer = {"PCR8": _of_certificate(_content(certificate))}
        else:
            digest = hashlib.sha384(_content(given.text("input") or "")).digest()
            answer = {"PCR": extended(ZERO_PCR, digest).hex()}
    session.print(pretty(answer))
    return 0


def _content(path: str) -> bytes:
    """All of it at once, as the real one: it may be a pipe."""
    try:
        # A folder opens, too, for the real one.
        is_folder = Path(path).is_dir()
        file = None if is_folder else Path(path).open("rb")  # noqa: SIM115  # Two failures.
    except OSError as error:
        raise failed("E19", f"Failed to open file: {debug(error)}", _LIBRARY, 574) from error
    try:
        if file is None:
            raise IsADirectoryError(errno.EISDIR, "")
        with file:
            return file.read()
    except OSError as error:
        raise failed("E19", f"Failed to read file: {debug(error)}", _LIBRARY, 581) from error


def _of_certificate(pem: bytes) -> str:
    try:
        return certificate_pcr(pem).hex()
    except EifBadSigner as error:
        raise failed(
            "E57", f"Failed to deserialize .pem: {library_text(error)}", _LIBRARY, 592
        ) from error
