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
from simulator.rehearsal.faults import SIGNALS, Span

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
    code = None
    kind = _planned(program, _command_of(arguments), told["faults"], log)
    if kind in SIGNALS:
        _tell(SIGNALS[kind])
    elif kind is not None:
        code = _fail(program, _command_of(arguments), kind)
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


def _command_of(arguments: Sequence[str]) -> str:
    return next((word for word in arguments if not word.startswith("-")), "")


def _planned(program: str, command: str, faults: Sequence[Any], log: Path) -> str | None:
    """How it is to fail, this time; None if it is not."""
    for fault in faults:
        if (fault["program"], fault["command"]) != (program, command):
            continue
        # The line of this one is there already.
        index = _times(program, command, log) - 1
        if Span(**fault["span"]).has(index):
            return str(fault["kind"])
    return None


def _times(program: str, command: str, log: Path) -> int:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    words = [line["words"] for line in lines if line["kind"] == "command"]
    return sum(one[0] == program and _command_of(one[1:]) == command for one in words)


def _tell(number: int) -> None:
    """Send the rehearsed command a signal."""
    process = Path(os.environ[VARIABLE], journal.COMMAND)
    while not process.exists():  # It has just begun.
        os.sched_yield()
    with suppress(ProcessLookupError):
        os.kill(int(process.read_text()), number)


def _fail(program: str, command: str, kind: str) -> int:
    if program == "nitro-cli":
        return _fail_nitro_cli(command, kind)
    write(_STDERR, f"docker (attested-kms): {command} fails, as --fail says\n")
    return int(kind)


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
