"""The command `nitro-enclaves-allocator`: the broker runs the allocator, this says what it said.

It has no options, as the real one, and ends with the real one's exit code; with 70 where there is
no machine to ask, as nitro-cli does.
"""

from __future__ import annotations

import os

from simulator.nitro_cli.connection import BrokerUnreachable, request
from simulator.nitro_cli.main import NO_MACHINE, panic
from simulator.nitro_cli.places import FolderRefused, MachineFolder
from simulator.nitro_cli.presence import NOT_FOUND, is_missing, not_found
from simulator.nitro_cli.session import CannotPrint, working_directory, write

_STDOUT, _STDERR = 1, 2
_NAME = "nitro-enclaves-allocator"

_INSTALL_DIR = "NITRO_CLI_INSTALL_DIR"


def main() -> int:
    """Run it; returns the exit code."""
    try:
        return _main()
    except CannotPrint as error:
        return panic(error)


def _main() -> int:
    if is_missing(os.environ, _NAME):
        write(_STDERR, not_found(_NAME))
        return NOT_FOUND
    try:
        for message in request(MachineFolder.locate(os.environ), "allocate", _arguments()):
            match message:
                case {"answer": {"lines": lines, "errors": errors, "exit_code": int(exit_code)}}:
                    write(_STDERR, "".join(f"{line}\n" for line in errors))
                    write(_STDOUT, "".join(f"{line}\n" for line in lines))
                    return exit_code
                case {"warning": str(text)}:
                    write(_STDERR, f"attested-kms: {text}\n")
                case {"notice": str(text)} if os.isatty(_STDERR):
                    write(_STDERR, f"attested-kms: {text}\n")
    except (BrokerUnreachable, FolderRefused) as error:
        write(_STDERR, f"{_NAME} (attested-kms): {error}\n")
    return NO_MACHINE


def _arguments() -> dict[str, str]:
    """Where its file is, if not below the machine's root."""
    install_dir = os.environ.get(_INSTALL_DIR)
    return {"install_dir": install_dir, "directory": working_directory()} if install_dir else {}
