"""Asking the broker, and starting it where nobody answers.

One connection per request, on the machine's Unix socket. The request is one line of JSON:

    {"command": "run", "arguments": {...}, "user": UID}

and the answer lines of JSON with one member each:

    {"say": "Start allocating memory..."}     a line for standard error, as it happens
    {"notice": "..."}                         a sentence of the simulator's own, for standard error
    {"failed": {...}}                         a `Failure`; the last line
    {"answer": ...}                           what was asked for; the last line

Requests:

    run        eif_path, directory (of the command, for relative paths), memory_mib, cpu_count or
               cpu_ids, enclave_cid (absent: any), debug_mode, enclave_name (absent: the image's)
               answer: the object that run-enclave prints, in its order
    describe   answer: a list of the objects that describe-enclaves --metadata prints, in its order
    terminate  enclave_id; answer: the object that terminate-enclave prints
    status     answer: what the machine is and holds, for `attested-kms machine status`
    allocate   run the allocator; answer: {"lines": [...], "exit_code": 0}
    stop       end the enclaves and the broker; answer: null

A failure is of the kind that the enclave's own process meets on a real instance; what the command
itself finds it raises itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.nitro_cli.places import MachineFolder

Message = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 20.0
_PAUSE_SECONDS = 0.005


class BrokerUnreachable(Exception):
    """Nobody answers for the machine; the message says why and what to do."""


def request(
    folder: MachineFolder, command: str, arguments: Mapping[str, Any] | None = None
) -> Iterator[Message]:
    """Ask the broker, started if need be; gives the messages as they come.

    Raises BrokerUnreachable, also when the broker ends before its last message.
    """
    asked = {"command": command, "arguments": dict(arguments or {}), "user": os.geteuid()}
    last = False
    with connect(folder) as connection:
        try:
            connection.sendall(json.dumps(asked).encode() + b"\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    message: Message = json.loads(line)
                    last = not ("say" in message or "notice" in message)
                    yield message
        except (OSError, ValueError) as error:
            raise BrokerUnreachable(f"The machine's broker does not answer ({error}).") from error
    if not last:
        raise BrokerUnreachable(
            f"The machine's broker ended before it answered; its log is {folder.path}/broker.log."
        )


def connect(folder: MachineFolder) -> socket.socket:
    """A connection to the broker, started if need be. Raises BrokerUnreachable."""
    deadline = time.monotonic() + _START_SECONDS
    started: subprocess.Popen[bytes] | None = None
    while True:
        connection = _try_connect(folder.socket)
        if connection is not None:
            return connection
        if started is None and not _is_held(folder.lock):
            started = _start(folder)
        if started is not None and started.poll() not in (None, 0):
            raise BrokerUnreachable(_last_words(folder))
        if time.monotonic() > deadline:
            raise BrokerUnreachable(
                f"The machine's broker does not answer at {folder.socket}; its log is "
                f"{folder.path}/broker.log."
            )
        time.sleep(_PAUSE_SECONDS)


def _try_connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise BrokerUnreachable(f"{path} cannot be used ({error.strerror}).") from error
    return connection


def _is_held(lock: Path) -> bool:
    """Whether a broker runs or starts: it holds the lock for as long as it lives."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _start(folder: MachineFolder) -> subprocess.Popen[bytes]:
    """Start a broker that outlives this command: a session of its own, no stream of ours.

    Of two that are started at once the second finds the lock held and ends with 0.
    """
    with (folder.path / "broker.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # Ours, no shell.
            [sys.executable, "-m", "simulator.machine.broker", str(folder.path)],
            cwd="/",
            env={**os.environ, "PYTHONPATH": _search_path()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _search_path() -> str:
    before = os.environ.get("PYTHONPATH")
    return str(_ROOT) if not before else f"{_ROOT}{os.pathsep}{before}"


def _last_words(folder: MachineFolder) -> str:
    try:
        lines = (folder.path / "broker.log").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "The machine's broker ended without a word."
