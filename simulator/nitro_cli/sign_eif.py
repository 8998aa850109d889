"""`nitro-cli sign-eif`.

The real one spoils an image when it fails half-way; here the file is replaced as a whole or not at
all. Source: aws-nitro-enclaves-cli v1.4.4, src/lib.rs, and aws-nitro-enclaves-image-format 0.5.0,
src/utils/eif_signer.rs: `inferred`.
"""

from __future__ import annotations

from pathlib import Path

from nsm_fake.eif import EifError, Reading, Signer, sign_eif
from simulator.eif_report import built
from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.image_errors import library_text
from simulator.nitro_cli.rust_text import debug, quoted
from simulator.nitro_cli.session import Session, failed, within
from simulator.nitro_cli.signing import SigningInfoUnreadable, signing_info

_ACTION = "Sign EIF"
_LIBRARY = "src/lib.rs"


def run(session: Session, given: Given) -> int:
    """Sign an image file."""
    path = given.text("eif-path")
    if path is None:
        with within("Parse EIF path", "Failed to construct SignEIF arguments", action=_ACTION):
            raise failed(
                "E01", "`eif-path` argument not found", "src/common/commands_parser.rs", 446
            )
    with within("Failed to sign EIF", action=_ACTION):
        info = _info(session, given)
        if info is None:
            raise failed("E60", "Failed to create EifSigner", _LIBRARY, 311)
        try:
            measurements = sign_eif(Path(path), Signer.load(*info), Reading.AS_NITRO_CLI)
        except EifError as error:
            said = f"Failed to sign image: {library_text(error)}"
            raise failed("E60", said, _LIBRARY, 318) from error
        except OSError as error:
            said = f"Failed to write signature to EIF: Failed to open file: {debug(error)}"
            raise failed("E60", f"Failed to sign image: {said}", _LIBRARY, 318) from error
    session.say("Enclave Image successfully signed.")
    session.print(built(measurements, nitro_cli=session.version))
    return 0


def _info(session: Session, given: Given) -> tuple[bytes, bytes] | None:
    certificate, private_key = given.text("signing-certificate"), given.text("private-key")
    if certificate is None or private_key is None:
        return None
    try:
        return signing_info(certificate, private_key)
    except SigningInfoUnreadable as error:
        session.say(f"Could not read signing info: {quoted(str(error))}")
        return None
