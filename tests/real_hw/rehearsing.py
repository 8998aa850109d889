"""A rehearsal as a process of its own, for what plants defects and what ends runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NO_NAMESPACES = 77
"""The exit code where nothing can be rehearsed."""
_SECONDS = 600


def rehearse(project: Path, folder: Path, *options: str, suite: Sequence[str]) -> int:
    """The exit code of a rehearsal of the project's scenarios.

    `options` are those of `attested-kms rehearsal`, `suite` those of pytest. What was told and
    what is left stand in the folder then.
    """
    _listing(folder).unlink(missing_ok=True)
    with _told(folder).open("wb") as output:
        return subprocess.run(  # Ours, no shell.
            [
                *(sys.executable, "-m", "simulator.cli", "rehearsal", *options),
                *("--listing", str(_listing(folder)), "--"),
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("scenarios", "--target", "rehearsal", *suite),
            ],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        ).returncode


def told(folder: Path) -> str:
    """All that it printed."""
    return _told(folder).read_text(encoding="utf-8", errors="replace")


def listing(folder: Path) -> dict[str, Any] | None:
    """What it found left at its end; None where it did not come to that."""
    file = _listing(folder)
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _told(folder: Path) -> Path:
    return folder / "told.txt"


def _listing(folder: Path) -> Path:
    return folder / "listing.json"
