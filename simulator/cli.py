"""The command `attested-kms`: chooses the subcommand, and turns its end into an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from simulator.commands import (
    CommandFailed,
    bugs,
    demo,
    doctor,
    eif,
    explain,
    hardware,
    inspect,
    lint,
    machine,
    nitro_cli,
    policy,
    rehearsal,
    run,
    serve,
    shims,
    ssm,
    user_data,
    vectors,
    vsock_proxy,
)

_COMMANDS = {
    "bugs": bugs,
    "demo": demo,
    "doctor": doctor,
    "eif": eif,
    "explain": explain,
    "hardware": hardware,
    "inspect": inspect,
    "lint": lint,
    "machine": machine,
    "nitro-cli": nitro_cli,
    "policy": policy,
    "rehearsal": rehearsal,
    "run": run,
    "serve": serve,
    "shims": shims,
    "ssm": ssm,
    "user-data": user_data,
    "vectors": vectors,
    "vsock-proxy": vsock_proxy,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0, 1 for a failure, 2 for wrong usage, 130 when interrupted; a command may have more of its own.
    """
    try:
        options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    # It takes as long as all the rest, and an interrupt must find somebody who handles it.
    from importlib.metadata import version

    parser = argparse.ArgumentParser(
        prog="attested-kms",
        description="Test Nitro Enclaves and attested KMS calls on this machine, without AWS.",
    )
    parser.add_argument("--version", action="version", version=version("attested-kms"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        subparser = commands.add_parser(
            name, help=command.HELP, description=command.HELP, **getattr(command, "PARSER", {})
        )
        command.configure(subparser)
        subparser.set_defaults(run=command.run, name=name)
    return parser


if __name__ == "__main__":
    sys.exit(main())
