"""`attested-kms machine shell`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from simulator.commands import CommandFailed

_BY_SIGNAL = 128
"""What a shell adds to a signal's number for the exit code."""

HELP = "run a script or a shell on the machine, with its files at their real paths"
DESCRIPTION = (
    "Run a program on the machine: its files are at their real paths, programs that are not "
    "installed there are not found, and what is written to /etc, /usr, /var, /opt and /root stays "
    "with the machine. /tmp, the current folder, processes and the network are this system's. "
    "Without a program it is a shell. Exit code: the program's; 70 where there can be no shell."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """What to run."""
    parser.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        metavar="-- PROGRAM ...",
        help="what to run (default: an interactive bash)",
    )


def run(options: argparse.Namespace) -> int:
    """Run it."""
    from simulator.machine_shell import shell
    from simulator.nitro_cli.places import MachineFolder

    words = options.program[1:] if options.program[:1] == ["--"] else options.program
    folder = MachineFolder.locate(os.environ, options.machine)
    try:
        status = shell.run(folder, words or shell.INTERACTIVE, os.environ)
    except shell.BadPlace as error:
        raise CommandFailed(str(error), exit_code=2) from error
    except OSError as error:
        place = Path(error.filename) if error.filename else folder.path
        raise CommandFailed(f"{place} cannot be used ({error.strerror}).") from error
    return status if status >= 0 else _BY_SIGNAL - status
