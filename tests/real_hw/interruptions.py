"""Whether a run that is ended at any of its steps leaves nothing but keys that are to be deleted.

    python -m tests.real_hw.interruptions [STEP ...]

A short run is rehearsed once to the end, and the world writes down every command and call. Then it
is rehearsed anew for each kind of step, and told to end at the first of that kind, in turns by
SIGTERM, SIGINT and SIGHUP (`attested-kms rehearsal --fail STEP=SIGNAL`). Afterwards the world lists
what is left. Prints a table; exit code 1 if anything is left, or if a run that was not yet cleaning
up ended as if nothing had happened. Not a test of `tox -e py`, as `planted_defects` is none.

What signals do between any two actions is in tests/real_hw/test_interrupted.py; this is the same
with real processes.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = "bug_8_2 or bug_9 or debug_enclave_against"
"""All that a run makes: keys, both enclaves, images, leaf programs, a scenario's enclave."""
SIGNALS = ("sigterm", "sigint", "sighup")
_NO_NAMESPACES = 77
CLEANING = "what the run made is being removed; please wait"
"""What a run says to a signal then."""
_SECONDS = 600.0


def rehearse(folder: Path, *options: str) -> int:
    """A rehearsal that writes its log, its listing and what it tells to the folder; its code."""
    with (folder / "told.txt").open("wb") as told:
        return subprocess.run(  # Ours, no shell.
            [
                *(sys.executable, "-m", "simulator.cli", "rehearsal", *options),
                *("--log", str(folder / "log"), "--listing", str(folder / "listing.json"), "--"),
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "scenarios"),
                *("--target", "rehearsal", "--results", str(folder), "-k", SCENARIOS),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        ).returncode


def step(entry: dict[str, Any]) -> str | None:
    """The step of a line of the log, as --fail names it; None for what is none."""
    match entry:
        case {"kind": "call", "service": service, "operation": operation}:
            return f"{service}.{operation}"
        case {"kind": "command", "words": ["nitro-cli", command, *_]} if command[0] != "-":
            return str(command)
        case {"kind": "command", "words": ["docker", command, *_]}:
            return f"docker-{command}"
    return None


def steps(folder: Path) -> list[str]:
    """The steps of a whole run, each kind once, in the order in which they first appear."""
    lines = (folder / "log").read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(found for line in lines if (found := step(json.loads(line)))))


def left(folder: Path) -> list[str]:
    """What a rehearsal has left that it should not have."""
    listing = json.loads((folder / "listing.json").read_text(encoding="utf-8"))
    states = {f"a key {key['state']}" for key in listing["keys"]} - {"a key PendingDeletion"}
    return [*map(str, listing["too_much"]), *states]


def rows(temporary: Path, chosen: Sequence[str]) -> Iterator[bool]:
    """Run and print each row; whether it is as it should be."""
    whole = temporary / "whole"
    whole.mkdir()
    code = rehearse(whole)
    if code == _NO_NAMESPACES:
        print((whole / "told.txt").read_text(encoding="utf-8"))
        return
    found = steps(whole)
    print(f"{'not told to end':50} exit code {code}, {len(found)} kinds of steps", flush=True)
    yield code == 0 and not left(whole)
    for number, (one, sign) in enumerate(zip(found, itertools.cycle(SIGNALS), strict=False)):
        if chosen and one not in chosen:
            continue
        folder = temporary / str(number)
        folder.mkdir()
        code = rehearse(folder, "--fail", f"{one}={sign}")
        rest = left(folder)
        keys = len(json.loads((folder / "listing.json").read_text(encoding="utf-8"))["keys"])
        # Whoever is told to end while it cleans up has done all that it was to do.
        cleaned_up = CLEANING in (folder / "told.txt").read_text(encoding="utf-8")
        told = f"LEFT: {'; '.join(rest)}" if rest else f"{keys} keys to be deleted, nothing else"
        told += ", while it cleaned up" if cleaned_up else ""
        print(f"{one:40} {sign:8} exit code {code}, {told}", flush=True)
        yield (code != 0 or cleaned_up) and not rest


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit code."""
    with TemporaryDirectory(prefix="attested-kms-") as temporary:
        good = list(rows(Path(temporary), arguments))
    print(f"{sum(good)} of {len(good)} runs left nothing but keys that are to be deleted")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
