"""Units for which a process runs: their keeper, which restarts it, and what becomes of both.

The keeper (`simulator.packages.keeper`) stands in for systemd, one for a unit of a machine. It
holds a lock of the machine's folder for as long as it lives, and keeps in a file of that folder
what systemd would know. Who has been killed with it, leaves both behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from simulator.detached import Detached, words
from simulator.machine.files import replace_text
from simulator.packages.installed import Damaged

_PATIENCE_SECONDS = 2.0
_started: list[Detached] = []


class State(StrEnum):
    """What systemctl calls it."""

    ACTIVE = "active"
    ACTIVATING = "activating"
    """Its process has ended, and is about to be started again."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Kept:
    """A unit, as its keeper has it."""

    state: State
    since: float
    """Seconds of the epoch."""
    main_process: int = 0
    exit_code: int = 0
    """Of the last process that ended; negative for a signal."""


def lock_file(machine: Path, unit: str) -> Path:
    """Held by the keeper; in it is the number of its process."""
    return machine / f"{unit}.lock"


def state_file(machine: Path, unit: str) -> Path:
    """What the keeper knows."""
    return machine / f"{unit}.json"


def write(machine: Path, unit: str, kept: Kept) -> None:
    """For the keeper. Raises OSError."""
    replace_text(state_file(machine, unit), json.dumps(asdict(kept)) + "\n")


def read(machine: Path, unit: str) -> Kept | None:
    """None where nothing runs, and nothing has failed. Raises Damaged, OSError."""
    path = state_file(machine, unit)
    with _keeper(machine, unit) as keeper:
        try:
            members = json.loads(path.read_text(encoding="utf-8"))
            kept = Kept(**members)
            kept = Kept(State(kept.state), float(kept.since), kept.main_process, kept.exit_code)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, RecursionError):
            raise Damaged(
                f"{path} is damaged: whether {unit} runs cannot be told. Stop it, with systemctl "
                f"stop {unit}, and start it again."
            ) from None
        if keeper is None and kept.state is not State.FAILED:
            return None  # Killed, and its process with it.
        return kept


def start(machine: Path, unit: str, waiting: Callable[[], None]) -> Kept | None:
    """Start it, and wait until it does what it is for, or has failed; None: its keeper has died.

    `waiting` is called if that takes long. Raises OSError.
    """
    with (machine / "journal.log").open("ab") as log:
        keeper = Detached(
            words("simulator.packages.keeper", "main", [str(machine), unit]),
            cwd="/",
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    # Those that have ended are waited for at the next start.
    _started[:] = [keeper, *(one for one in _started if one.poll() is None)]
    if keeper.stdout is not None:
        with keeper.stdout:
            if not select.select([keeper.stdout], [], [], _PATIENCE_SECONDS)[0]:
                waiting()
            keeper.stdout.read()
    return read(machine, unit)


def stop(machine: Path, unit: str) -> bool:
    """End it and its keeper, and wait for them; whether they ran. Raises OSError."""
    with _keeper(machine, unit) as keeper:
        if keeper is not None:
            with suppress(ProcessLookupError):  # It ends just now.
                os.kill(keeper, signal.SIGTERM)
            with lock_file(machine, unit).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
    state_file(machine, unit).unlink(missing_ok=True)
    return keeper is not None


@contextmanager
def _keeper(machine: Path, unit: str) -> Iterator[int | None]:
    """The keeper's process; None where nobody holds the lock. Raises OSError."""
    path = lock_file(machine, unit)
    if not path.exists():
        yield None
        return
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield None
            return
        yield _number(lock.read())


def _number(text: bytes) -> int | None:
    """Not there yet: it has only just come."""
    return int(text) if text.isdigit() else None
