"""`attested-kms rehearsal` as a process, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.interpose.plan import Rung
from tests.simulator.supervised import needs

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 100.0


def words(folder: Path, *given: str) -> list[str]:
    """The command line, which tells what is left and what was asked in files of the folder."""
    files = ("--listing", str(folder / "listing.json"), "--log", str(folder / "log.jsonl"))
    return [sys.executable, "-m", "simulator.cli", "rehearsal", *files, *given]


def variables() -> dict[str, str]:
    """With an AWS of the user's own, which nobody may see in there."""
    own = {"PYTHONPATH": str(ROOT), "AWS_PROFILE": "mine", "AWS_ACCESS_KEY_ID": "AKIAMINE"}
    return {**os.environ, **own}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A world that has ended."""

    exit_code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def left(self) -> dict[str, Any]:
        """What was left in it."""
        found: dict[str, Any] = json.loads((self.folder / "listing.json").read_text())
        return found

    @property
    def log(self) -> list[dict[str, Any]]:
        """What was asked in it."""
        lines = (self.folder / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def rehearsed(folder: Path, *given: str) -> Rehearsed:
    """Run a world to its end; skips where there can be none."""
    needs(Rung.NAMESPACES)
    done = subprocess.run(
        words(folder, *given),
        env=variables(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Rehearsed(done.returncode, done.stdout, done.stderr, folder)
