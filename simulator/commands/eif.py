"""`attested-kms eif`: enclave image files, without a Nitro instance."""

from __future__ import annotations

import argparse

from simulator.commands.eif_commands import build, describe, pcr, sample, sign, verify
from simulator.commands.ending import tidy_end

HELP = "build, read, measure, sign and verify enclave image files"

_COMMANDS = {
    "build": build,
    "describe": describe,
    "pcr": pcr,
    "sample": sample,
    "sign": sign,
    "verify": verify,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The commands that there are, one module each."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        subparser = commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        command.configure(subparser)
        # The name, so that messages begin with the whole command.
        subparser.set_defaults(run_eif=command.run, name=f"eif {name}")


def run(options: argparse.Namespace) -> int:
    """Run the one that was chosen."""
    with tidy_end():
        return int(options.run_eif(options))
