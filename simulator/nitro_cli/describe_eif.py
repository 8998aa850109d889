"""`nitro-cli describe-eif`. Source: aws-nitro-enclaves-cli v1.4.4, src/lib.rs: `inferred`."""

from __future__ import annotations

from pathlib import Path

from nsm_fake.eif import EifBadSignature, EifError, Reading
from nsm_fake.eif.json_text import write_pretty
from simulator.eif_report import NotShown, describe
from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.image_errors import library_text
from simulator.nitro_cli.rust_text import quoted
from simulator.nitro_cli.session import Failed, Session, failed, within

_LIBRARY = "src/lib.rs"


def run(session: Session, given: Given) -> int:
    """Print what an image file is."""
    path = Path(given.text("eif-path") or "")
    with within("Failed to describe EIF", action="Describe EIF"):
        try:
            members = describe(path, nitro_cli=session.version, reading=Reading.AS_NITRO_CLI)
        except EifError as error:
            raise _failure(error) from error
    session.print(write_pretty(members))
    return 0


def _failure(error: EifError) -> Failed:
    text = library_text(error)
    if isinstance(error, NotShown):
        return failed("E17", f"Failed to display EIF describe data: {text}", _LIBRARY, 286)
    if isinstance(error, EifBadSignature):
        # The slip of the pen is the real one's.
        said = f"Failed to get certificate sigining info: {quoted(text)}"
        return failed("E35", said, _LIBRARY, 272)
    return failed("E35", f"Failed to initialize EIF reader: {quoted(text)}", _LIBRARY, 225)
