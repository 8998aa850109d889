"""The commands of `attested-kms eif`, one module each.

A module has the texts HELP and DESCRIPTION, `configure(parser)` and `run(options)`, as a
subcommand of `attested-kms` has. What takes time to import is imported by `run`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from simulator.commands import CommandFailed


def add_image(parser: argparse.ArgumentParser) -> None:
    """The image file that the command is about."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="an enclave image file (.eif)")


def add_nitro_cli_version(parser: argparse.ArgumentParser) -> None:
    """Whose way of naming the hash is wanted."""
    parser.add_argument(
        "--nitro-cli-version",
        choices=("1.4.4", "1.5.0"),
        default="1.4.4",
        help="print HashAlgorithm as this version does (default: 1.4.4)",
    )


def read_file(path: Path) -> bytes:
    """The content of a small file that the user named. Raises CommandFailed."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.", exit_code=2) from error
