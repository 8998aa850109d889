"""`attested-kms eif pcr`."""

from __future__ import annotations

import argparse
from pathlib import Path

from simulator.commands import CommandFailed, show
from simulator.commands.eif_commands import read_file

HELP = "print the PCR of a file, or PCR8 of a signing certificate"
DESCRIPTION = (
    "Print, as JSON, what nitro-cli pcr prints: the PCR of any file's content, or PCR8 of an image "
    "that is signed with a certificate. The PCRs of a whole image are in attested-kms eif describe."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """One of the two kinds of file."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--input", type=Path, metavar="FILE", help="any file")
    group.add_argument(
        "--signing-certificate", type=Path, metavar="PEM", help="a signing certificate"
    )


def run(options: argparse.Namespace) -> int:
    """Hash one file."""
    from nsm_fake.eif import EifError, certificate_pcr, file_pcr
    from nsm_fake.eif.json_text import write_pretty

    try:
        if options.input is not None:
            answer = {"PCR": file_pcr(options.input).hex()}
        else:
            answer = {"PCR8": certificate_pcr(read_file(options.signing_certificate)).hex()}
    except EifError as error:
        raise CommandFailed(str(error), exit_code=2) from error
    show(write_pretty(answer))
    return 0
