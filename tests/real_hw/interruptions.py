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
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.real_hw.rehearsing import NO_NAMESPACES, ROOT, listing, rehearse, told

SCENARIOS = "bug_8_2 or bug_9 or debug_enclave_against"
"""All that a run makes: keys, both enclaves, images, leaf programs, a scenario's enclave."""
SIGNALS = ("sigterm", "sigint", "sighup")
CLEANING = "what the run made is being removed; please wait"
"""What a run says to a signal then."""


def run_in(folder: Path, *options: str) -> int:
    """A rehearsal that writes its log too; its exit code."""
    log = ("--log", str(folder / "log"))
    suite = ("--results", str(folder), "-k", SCENARIOS)
    return rehearse(ROOT, folder, *options, *log, suite=suite)


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


def left(found: dict[str, Any] | None) -> list[str]:
    """What a rehearsal has left that it should not have."""
    if found is None:
        return ["it did not come to its listing"]
    states = {f"a key {key['state']}" for key in found["keys"]} - {"a key PendingDeletion"}
    return [*map(str, found["too_much"]), *states]


def rows(temporary: Path, chosen: Sequence[str]) -> Iterator[bool]:
    """Run and print each row; whether it is as it should be."""
    whole = temporary / "whole"
    whole.mkdir()
    code = run_in(whole)
    if code == NO_NAMESPACES:
        print(told(whole))
        return
    found = steps(whole)
    print(f"{'not told to end':50} exit code {code}, {len(found)} kinds of steps", flush=True)
    yield code == 0 and not left(listing(whole))
    for number, (one, sign) in enumerate(zip(found, itertools.cycle(SIGNALS), strict=False)):
        if chosen and one not in chosen:
            continue
        folder = temporary / str(number)
        folder.mkdir()
        code = run_in(folder, "--fail", f"{one}={sign}")
        listed = listing(folder)
        rest = left(listed)
        keys = len(listed["keys"]) if listed else 0
        # Whoever is told to end while it cleans up has done all that it was to do.
        cleaned_up = CLEANING in told(folder)
        row = f"LEFT: {'; '.join(rest)}" if rest else f"{keys} keys to be deleted, nothing else"
        row += ", while it cleaned up" if cleaned_up else ""
        print(f"{one:40} {sign:8} exit code {code}, {row}", flush=True)
        yield (code != 0 or cleaned_up) and not rest


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit code."""
    with TemporaryDirectory(prefix="attested-kms-") as temporary:
        good = list(rows(Path(temporary), arguments))
    print(f"{sum(good)} of {len(good)} runs left nothing but keys that are to be deleted")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
