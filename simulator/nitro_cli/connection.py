"""Asking the broker, and starting it where nobody answers.

One connection per request, on the machine's Unix socket. The request is one line of JSON:

    {"command": "run", "arguments": {...}, "user": UID, "installation": [...]}

`user` is who asks, as permissions have it; `installation` says which copy of this package asks. The
answer are lines of JSON with one member each:

    {"say": "Start allocating memory..."}     a line for standard error, as it happens
    {"notice": "..."}                         a sentence of the simulator's own, for who looks
    {"warning": "..."}                        one that nobody may miss, for standard error
    {"failed": {...}}                         a `Failure`, with its action; the last line
    {"refused": "..."}                        why the broker does not do it at all; the last line
    {"answer": ...}                           what was asked for; the last line

Requests:

    run        eif_path, directory (of the command, for relative paths), memory_mib, cpu_count or
               cpu_ids, enclave_cid (absent: any), debug_mode, enclave_name (absent: the image's),
               logs (absent: the instance's own folder), version (of nitro-cli; absent: 1.4.4)
               answer: the object that run-enclave prints, in its order
    describe   answer: a list of the objects that describe-enclaves --metadata prints, in its order
    display    metadata (whether it is to be printed); as describe, but the process of an enclave
               that cannot print it fails, and ends
               answer: {"enclaves": [...], "failures": [...]}, of `Failure`
    terminate  enclave_id; answer: the object that terminate-enclave prints, or null for a user who
               may not: the real one answers EACCES then, and no object
    status     answer: what the machine is and holds, for `attested-kms machine status`
    allocate   install_dir (NITRO_CLI_INSTALL_DIR; absent: none), directory (of the command)
               run the allocator; answer: {"lines": [...], "errors": [...], "exit_code": 0}, of its
               standard output and its standard error
    stop       end the enclaves and the broker; answer: null
    hold       nothing; answer: null, and the broker stays for as long as the connection is open

A connection that ends without a word was taken by a broker that was about to end: nothing has been
done, and the next broker is asked. (Had it been begun, it ended with that broker.)

A failure is of the kind that the enclave's own process meets on a real instance; what the command
itself finds it raises itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from simulator.detached import Detached, words
from simulator.nitro_cli.places import MachineFolder

Message = dict[str, Any]

SUPERVISED_VARIABLE = "ATTESTED_KMS_SUPERVISED"
"""Set in the environment of a program that `attested-kms run` runs."""

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 20.0
_PAUSE_SECONDS = 0.005
_ATTEMPTS = 5
_LONGEST_ANSWER = 64
"""Bytes, of `hold`."""


class _Detached(Detached):
    """A broker."""

    log_start = 0
    """How long its log was before it."""


_started: list[_Detached] = []


class BrokerUnreachable(Exception):
    """Nobody answers for the machine; the message says why and what to do."""


def request(
    folder: MachineFolder, command: str, arguments: Mapping[str, Any] | None = None
) -> Iterator[Message]:
    """Ask the broker, started if need be; gives the messages as they come.

    Raises BrokerUnreachable, also when the broker refuses, or ends before its last message.
    """
    asked = _request(command, arguments)
    for _ in range(_ATTEMPTS):
        begun = False
        for message in _messages(folder, asked):
            begun = True
            yield message
        if begun:
            return
    raise _ended(folder)


def _messages(folder: MachineFolder, asked: bytes) -> Iterator[Message]:
    """None where the broker was about to end. Raises BrokerUnreachable."""
    begun = last = False
    with connect(folder) as connection, connection.makefile("rb") as lines:
        with suppress(OSError):  # It is gone, or has said why it does not listen.
            connection.sendall(asked)
        try:
            for line in lines:
                message: Message = json.loads(line)
                if "refused" in message:
                    raise BrokerUnreachable(str(message["refused"]))
                begun, last = True, not message.keys() & {"say", "notice", "warning"}
                yield message
        except ConnectionError:
            pass
        except (OSError, ValueError) as error:
            raise BrokerUnreachable(f"The machine's broker does not answer ({error}).") from error
    if begun and not last:
        raise _ended(folder)


def _ended(folder: MachineFolder) -> BrokerUnreachable:
    return BrokerUnreachable(
        f"The machine's broker ended before it answered; its log is {folder.path}/broker.log."
    )


def hold(folder: MachineFolder) -> socket.socket:
    """Keep the broker, started if need be, while the socket is open. Raises BrokerUnreachable."""
    for _ in range(_ATTEMPTS):
        connection = connect(folder)
        with suppress(OSError):
            connection.settimeout(_START_SECONDS)
            connection.sendall(_request("hold", None))
            if connection.recv(_LONGEST_ANSWER):
                connection.settimeout(None)
                return connection
        connection.close()
    raise _ended(folder)


def is_answering(folder: MachineFolder) -> bool:
    """Whether the broker runs. Raises BrokerUnreachable."""
    connection = _try_connect(folder.socket)
    if connection is None:
        return False
    connection.close()
    return True


def installation() -> list[Any]:
    """Which copy of this package runs: its folder, and when it was written."""
    return [str(_ROOT), Path(__file__).stat().st_mtime_ns]


def _request(command: str, arguments: Mapping[str, Any] | None) -> bytes:
    asked = {
        "command": command,
        "arguments": dict(arguments or {}),
        "user": os.geteuid(),
        "installation": installation(),
    }
    return json.dumps(asked).encode() + b"\n"


def connect(folder: MachineFolder) -> socket.socket:
    """A connection to the broker, started if need be. Raises BrokerUnreachable."""
    deadline = time.monotonic() + _START_SECONDS
    started: _Detached | None = None
    while True:
        connection = _try_connect(folder.socket)
        if connection is not None:
            return connection
        try:
            if started is None and not _is_held(folder.lock):
                started = _start(folder)
        except OSError as error:
            raise BrokerUnreachable(
                f"The broker of the machine {folder.path} cannot be started ({error})."
            ) from error
        if started is not None and (code := started.poll()) is not None:
            if code:
                raise BrokerUnreachable(_last_words(folder, started))
            started = None  # Another was there first, or nobody came in time.
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
        raise BrokerUnreachable(f"{path} cannot be used ({error.strerror or error}).") from error
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


def _start(folder: MachineFolder) -> _Detached:
    """Start a broker that outlives this command: a session of its own, no stream of ours.

    Of two that are started at once the second finds the lock held and ends with 0.
    """
    if os.environ.get(SUPERVISED_VARIABLE):
        raise BrokerUnreachable(
            f"Nobody answers for the machine {folder.path}, and no broker can be started from here:"
            " this program runs under attested-kms run, and an enclave that it booted would be "
            "supervised twice, which Linux does not do. Start the broker first, outside: "
            f"attested-kms machine start --machine {folder.path}."
        )
    with (folder.path / "broker.log").open("ab") as log:
        start = log.tell()
        broker = _Detached(
            words("simulator.machine.broker", "main", [str(folder.path)]),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    broker.log_start = start
    # Those that have ended are waited for at the next start.
    _started[:] = [broker, *(one for one in _started if one.poll() is None)]
    return broker


def _last_words(folder: MachineFolder, broker: _Detached) -> str:
    path = folder.path / "broker.log"
    try:
        with path.open("rb") as log:
            log.seek(broker.log_start)
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    if lines:
        return lines[-1]
    return (
        f"The machine's broker ended without a word (exit code {broker.returncode}). Is there room "
        f"for its log, {path}?"
    )
