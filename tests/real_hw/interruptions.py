"""Whether a run that is ended at any of its steps leaves nothing but keys that are to be deleted.

    python -m tests.real_hw.interruptions [N ...]

A short run is rehearsed once to the end, and the world writes down every command and call in order.
Then it is rehearsed anew for each kind of step and is ended when the first of that kind appears, in
turns by SIGTERM and by Ctrl-C, which reaches all of the terminal's processes. Afterwards the world
lists what is left. Prints a table; exit code 1 if anything is left, or if the run ended as if
nothing had happened. Not a test of `tox -e py`, as `planted_defects` is none.

What signals do between any two actions is in tests/real_hw/test_interrupted.py; this is the same
with real processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = "bug_8_2 or bug_9 or debug_enclave_against"
"""All that a run makes: keys, both enclaves, images, leaf programs, a scenario's enclave."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PAUSE_SECONDS = 0.02
_SECONDS = 600.0


def rehearsal(folder: Path) -> subprocess.Popen[bytes]:
    """A rehearsal that writes its log, its listing and what it tells to the folder."""
    with (folder / "told.txt").open("wb") as told:
        return subprocess.Popen(  # noqa: S603  # Ours, no shell.
            [
                *(sys.executable, "-m", "simulator.cli", "rehearsal"),
                *("--log", str(folder / "log"), "--listing", str(folder / "listing.json"), "--"),
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "scenarios"),
                *("--target", "rehearsal", "--results", str(folder), "-k", SCENARIOS),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            # A session of its own, so that Ctrl-C can reach all of it.
            start_new_session=True,
        )


def entries(folder: Path) -> list[dict[str, Any]]:
    """What the log says by now."""
    log = folder / "log"
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def kind(entry: dict[str, Any]) -> str:
    """What kind of step an entry is, in words."""
    match entry["kind"]:
        case "call":
            return f"{entry['service']} {entry['operation']}"
        case "command":
            flags = [word for word in entry["words"] if word in ("--debug-mode", "--attach-console")]
            return " ".join([*entry["words"][:2], *flags])
    return ""


def kinds(folder: Path) -> list[str]:
    """The kinds of steps of a whole run, in the order in which they first appear."""
    return list(dict.fromkeys(filter(None, map(kind, entries(folder)))))


def interrupted(folder: Path, step: str, number: signal.Signals) -> tuple[int, list[str]]:
    """End a run when the step appears: its exit code, and what is left."""
    process = rehearsal(folder)
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and step not in map(kind, entries(folder)):
        if time.monotonic() > deadline:
            process.kill()
            raise TimeoutError(f"no step {step!r} within {_SECONDS:.0f} seconds")
        time.sleep(_PAUSE_SECONDS)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    code = process.wait(_SECONDS)
    listing = json.loads((folder / "listing.json").read_text(encoding="utf-8"))
    states = {key["state"] for key in listing["keys"]} - {"PendingDeletion"}
    return code, [*listing["too_much"], *states]


def rows(temporary: Path, chosen: Sequence[int]) -> Iterator[bool]:
    """Run and print each row; whether it is as it should be."""
    whole = temporary / "whole"
    whole.mkdir()
    code = rehearsal(whole).wait(_SECONDS)
    steps = kinds(whole)
    print(f"{'-':3} {'not interrupted':60} exit code {code}, {len(steps)} kinds of steps", flush=True)
    yield code == 0
    for index, step in enumerate(steps, start=1):
        if chosen and index not in chosen:
            continue
        folder = temporary / str(index)
        folder.mkdir()
        number = SIGNALS[index % len(SIGNALS)]
        code, left = interrupted(folder, step, number)
        told = f"exit code {code}, " + (f"LEFT: {'; '.join(left)}" if left else "nothing left")
        print(f"{index:3} {step:60} {number.name:8} {told}", flush=True)
        yield code != 0 and not left


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit code."""
    with TemporaryDirectory(prefix="attested-kms-") as temporary:
        good = list(rows(Path(temporary), [int(one) for one in arguments]))
    print(f"{sum(good)} of {len(good)} runs left nothing but keys that are to be deleted")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
