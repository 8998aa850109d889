"""`attested-kms ssm`: Systems Manager's Run Command, without AWS and with it."""

from __future__ import annotations

import argparse

from simulator.commands.ending import tidy_end
from simulator.commands.ssm_commands import run as run_script
from simulator.commands.ssm_commands import serve

HELP = "run scripts on a parent instance through Systems Manager, simulated or real"

_COMMANDS = {
    "run": run_script,
    "serve": serve,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The commands that there are, one module each."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        subparser = commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        command.configure(subparser)
        # The name, so that messages begin with the whole command.
        subparser.set_defaults(run_ssm=command.run, name=f"ssm {name}")


def run(options: argparse.Namespace) -> int:
    """Run the one that was chosen."""
    with tidy_end():
        return int(options.run_ssm(options))
