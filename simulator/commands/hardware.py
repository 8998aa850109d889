"""`attested-kms hardware`: what belongs to runs on a real parent instance, beside a run itself."""

from __future__ import annotations

import argparse

from simulator.commands.hardware_commands import clean, policy

HELP = "what a run on a real parent instance needs, and what it leaves"

_COMMANDS = {
    "clean": clean,
    "policy": policy,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The commands that there are, one module each."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        subparser = commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        command.configure(subparser)
        # The name, so that messages begin with the whole command.
        subparser.set_defaults(run_hardware=command.run, name=f"hardware {name}")


def run(options: argparse.Namespace) -> int:
    """Run the one that was chosen."""
    return int(options.run_hardware(options))
