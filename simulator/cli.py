"""The command `attested-kms`: chooses the subcommand, and turns its end into an exit code."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from simulator.commands import CommandFailed

COMMANDS = (
    "bugs",
    "demo",
    "doctor",
    "eif",
    "explain",
    "fidelity",
    "hardware",
    "inspect",
    "lint",
    "machine",
    "nitro-cli",
    "policy",
    "rehearsal",
    "report",
    "run",
    "serve",
    "shims",
    "ssm",
    "user-data",
    "vectors",
    "vsock-proxy",
)
"""Each is a module of simulator.commands, imported when it is asked for: a script starts dozens."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0, 1 for a failure, 2 for wrong usage, 130 when interrupted; a command may have more of its own.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        options = _parser(words).parse_args(words)
        return _run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except CommandFailed as error:
        print(f"attested-kms {options.name}: {error}", file=sys.stderr)
        return error.exit_code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the one command that the words begin with, or of all."""
    parser = argparse.ArgumentParser(
        prog="attested-kms",
        description="Test Nitro Enclaves and attested KMS calls on this machine, without AWS.",
    )
    parser.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        help="show program's version number and exit",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in [word for word in words[:1] if word in COMMANDS] or COMMANDS:
        command = _module(name)
        subparser = commands.add_parser(
            name, help=command.HELP, description=command.HELP, **getattr(command, "PARSER", {})
        )
        command.configure(subparser)
        subparser.set_defaults(run=command.run, name=name)
    return parser


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"simulator.commands.{name.replace('-', '_')}")


class _Version(argparse.Action):
    """The version that is installed, looked up when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from importlib.metadata import version

        print(version("attested-kms"))
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
