"""What runs that were killed left on this instance: read from the ledgers that they wrote.

A run writes down each thing before it makes it (`real_hw.undo`), so that a run that nobody could
stop tidily still tells what may be there. A ledger is believed only in a folder of this user's or
root's own: anybody may write where temporary files are. What is removed in which order is not
known here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEDGER = "ledger.jsonl"

_OVER = frozenset({"undone", "not made"})
_PROCESS = "run"
"""What the entry of the run's own process is."""
_RUN = re.compile(r"attested-kms-[0-9a-z-]{1,40}")


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands in a ledger and that is not known to be gone."""

    what: str
    name: str | None
    """None where nobody knows whether it was made."""

    def __str__(self) -> str:
        return f"{self.what} {self.name or '(perhaps made)'}"


@dataclass(frozen=True, slots=True)
class KilledRun:
    """A run whose ledger has things that are not known to be gone."""

    run: str
    folder: Path
    things: tuple[Thing, ...]
    """The last made first."""
    is_alive: bool = False
    """Whether its process still runs: then it is not ours to touch."""

    def names(self, what: str) -> tuple[str, ...]:
        """The names of the things of a kind, such as `enclave`."""
        return tuple(one.name for one in self.things if what in one.what and one.name is not None)


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """The runs of this instance, and what could not be read."""

    runs: tuple[KilledRun, ...]
    remarks: tuple[str, ...] = ()


def find_runs(folders: Sequence[Path], run: str | None) -> FoundRuns:
    """The runs in these folders with something left, one run or all."""
    runs: list[KilledRun] = []
    remarks: list[str] = []
    for path in sorted(path for folder in folders for path in folder.glob(f"*/{LEDGER}")):
        if not _RUN.fullmatch(path.parent.name) or run not in {None, path.parent.name}:
            continue
        reason = _not_trusted(path)
        if reason is not None:
            remarks.append(f"{path} was not read: {reason}")
            continue
        try:
            entries = list(_lines(path))
        except (OSError, ValueError) as error:
            remarks.append(f"{path} cannot be read, so its run was not touched: {error}")
            continue
        things = tuple(_left(entries))
        if things:
            alive = any(_is_alive(one) for one in entries)
            runs.append(KilledRun(path.parent.name, path.parent, things, alive))
    return FoundRuns(tuple(runs), tuple(remarks))


def _not_trusted(ledger: Path) -> str | None:
    for place in (ledger.parent, ledger):
        if place.is_symlink():
            return f"{place} is a link"
        if place.lstat().st_uid not in {0, os.geteuid()}:
            return f"{place} belongs to somebody else"
    return None


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """The entries. Raises OSError, ValueError. A last line that was cut short says nothing yet."""
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        entry = json.loads(line)
        if not (isinstance(entry, dict) and {"step", "what", "name", "state"} <= entry.keys()):
            raise ValueError(f"its line {number} is no entry of a ledger")
        yield entry


def _left(entries: Sequence[Mapping[str, Any]]) -> Iterator[Thing]:
    # What a run starts and does not end itself ends with it, by its leash.
    last = {one["step"]: one for one in entries if one["what"] not in {_PROCESS, "process"}}
    for step in sorted(last, reverse=True):
        entry = last[step]
        if entry["state"] not in _OVER:
            yield Thing(str(entry["what"]), entry["name"])


def this_process() -> dict[str, object]:
    """The entry by which others can tell that this run still goes on."""
    number = os.getpid()
    name = f"{number} {_started(str(number))}"
    return {"step": 0, "what": _PROCESS, "name": name, "state": "made"}


def _is_alive(entry: Mapping[str, Any]) -> bool:
    """Whether an entry names a process that still runs: its number and when it was started."""
    if entry["what"] != _PROCESS:
        return False
    number, _, started = str(entry["name"]).partition(" ")
    return bool(started) and _started(number) == started


def _started(number: str) -> str | None:
    """When a process was started, in ticks since the machine was; None where there is none."""
    try:
        told = Path("/proc", number, "stat").read_text(encoding="utf-8", errors="replace")
        # Field 22; the second, the program's name, may have spaces and brackets in it (proc(5)).
        return told.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
