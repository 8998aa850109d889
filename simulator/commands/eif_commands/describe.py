"""`attested-kms eif describe`."""

from __future__ import annotations

import argparse

from simulator.commands import CommandFailed, show
from simulator.commands.eif_commands import add_image, add_nitro_cli_version

HELP = "print what an image is: PCRs, certificate, checksum, metadata"
DESCRIPTION = (
    "Print, as JSON, what nitro-cli describe-eif prints of an enclave image file. Exit code: 1 if "
    "its signature was made with another key than that of the certificate beside it, 2 if it is no "
    "image or a damaged one. A wrong checksum is only shown; attested-kms eif verify fails for it."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The image, and whose output."""
    add_image(parser)
    add_nitro_cli_version(parser)


def run(options: argparse.Namespace) -> int:
    """Describe one image."""
    from nsm_fake.eif import EifBadSignature, EifError
    from nsm_fake.eif.json_text import write_pretty
    from simulator.eif_report import describe

    try:
        members = describe(options.image, nitro_cli=options.nitro_cli_version)
    except EifError as error:
        exit_code = 1 if isinstance(error, EifBadSignature) else 2
        raise CommandFailed(str(error), exit_code=exit_code) from error
    show(write_pretty(members))
    return 0
