"""nitro-cli and docker in a world: written down, and failed where they are to fail.

The commands themselves are the usual stand-ins. Standard library only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from simulator import shim
from simulator.nitro_cli.main import VERSION_VARIABLE
from simulator.nitro_cli.places import VARIABLE, MachineFolder
from simulator.nitro_cli.session import Session, failed, write
from simulator.nitro_cli.versions import VERSIONS
from simulator.rehearsal import journal

_STDERR = 2
_OF_DAEMON = frozenset(f"E{number}" for number in (*range(19, 30), *range(31, 37), 59))
"""What the enclave's process finds; the command then says E39 (host.md 2.2: reported)."""
_ACTIONS = {
    "build-enclave": "Build Enclave",
    "run-enclave": "Run Enclave",
    "describe-enclaves": "Describe Enclaves",
    "terminate-enclave": "Terminate Enclave",
}


def main(program: str, arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    told = _told()
    log = Path(told["log"])
    process = os.getpid()
    _note(log, {"kind": "command", "words": [program, *arguments], "process": process})
    code = _planned(program, arguments, told["faults"])
    if code is None:
        code = _run(program, arguments)
    _note(log, {"kind": "ended", "process": process, "exit_code": code})
    return code


def _told() -> dict[str, Any]:
    folder = os.environ.get(VARIABLE, "")
    told: dict[str, Any] = json.loads(Path(folder, journal.NAME).read_text())
    return told


def _note(log: Path, entry: dict[str, object]) -> None:
    with suppress(OSError):  # The world has ended before its command.
        journal.append(log, entry)


def _run(program: str, arguments: Sequence[str]) -> int:
    module, _ = shim.ALL[program]
    code: int = import_module(f"simulator.{module}").main(list(arguments))
    return code


def _planned(program: str, arguments: Sequence[str], faults: Sequence[Any]) -> int | None:
    command = next((word for word in arguments if not word.startswith("-")), "")
    for fault in faults:
        if (fault["program"], fault["command"]) == (program, command):
            if program == "nitro-cli":
                return _fail_nitro_cli(command, fault["code"])
            write(_STDERR, f"docker (attested-kms): {command} fails, as --fail says\n")
            return int(fault["code"])
    return None


def _fail_nitro_cli(command: str, code: str) -> int:
    """Its own text for the code, and an error log that names the rehearsal."""
    version = os.environ.get(VERSION_VARIABLE) or VERSIONS[0]
    session = Session(MachineFolder.locate(os.environ), os.environ, version)
    action = _ACTIONS.get(command, command)
    said = f"attested-kms rehearsal: {command} fails, as --fail says"
    exit_code = session.fail(failed(code, said, "src/lib.rs", 0, action=action).failure)
    if command == "run-enclave" and code in _OF_DAEMON:
        session.say("Failed connections: 1")
        exit_code = session.fail(failed("E39", said, "src/lib.rs", 0, action=action).failure)
    return exit_code
