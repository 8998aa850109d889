"""What came of the scenarios of one run, for the report and for programs: `.results/TARGET.json`.

Not evidence: what a run on real hardware showed is kept by `scenarios.records`. The form is in
`simulator/schemas/results.schema.json`; each run of a target overwrites the results of its last.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scenarios.notes import Step

VERSION = 1
CUT_SHORT = "The run ended before it did."


@dataclass(slots=True)
class ScenarioResult:
    """What came of one scenario."""

    id: str
    """`area/name`."""
    nodeid: str
    summary: str
    docstring: str
    evidence: str
    source: str
    outcome: str = "error"
    """`passed`, `failed`, `skipped`, or `error` for what failed before or after it."""
    reason: str = CUT_SHORT
    """Why it was skipped or what failed."""
    seconds: float = 0.0
    steps: list[Step] = field(default_factory=list)

    def ended(self, outcome: str, reason: str = "") -> None:
        """What came of it; the first that is told stays."""
        if self.reason == CUT_SHORT:
            self.outcome, self.reason = outcome, reason


@dataclass(frozen=True, slots=True)
class Run:
    """One run of scenarios against a target."""

    target: str
    transport: str
    """How programs reach NSM and vsock, in words; empty where there is only one way."""
    provenance: Mapping[str, str]
    deselected: int
    """How many scenarios were there and not chosen."""
    scenarios: Sequence[ScenarioResult]


def summary_of(docstring: str) -> str:
    """Its first sentence, on one line."""
    text = " ".join(docstring.split())
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]


def now() -> str:
    """The time in UTC: `2026-11-27T21:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def project_version() -> str:
    """The version of attested-kms; `unknown` where it is not installed."""
    try:
        return version("attested-kms")
    except PackageNotFoundError:
        return "unknown"


def document(run: Run) -> dict[str, Any]:
    """The results as JSON has them."""
    return {
        "version": VERSION,
        "target": run.target,
        "transport": run.transport,
        "when": now(),
        "attested_kms": project_version(),
        "provenance": dict(run.provenance),
        "deselected": run.deselected,
        "scenarios": [asdict(scenario) for scenario in run.scenarios],
    }


def write(run: Run, folder: Path) -> Path:
    """Write the results into `folder`, which is made: the file. Raises OSError."""
    file = folder / f"{run.target}.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(document(run), indent=1, ensure_ascii=False) + "\n")
    return file


def write_whole(file: Path, text: str) -> None:
    """Write the file so that it is there whole or as it was before. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        # mkstemp's files are for the owner alone.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # noqa: PTH101  # The name is text.
        os.replace(name, file)  # noqa: PTH105  # The same.
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108  # The same.
        raise
