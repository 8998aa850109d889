"""Which runs are recorded and where, and which scenarios are due to be recorded again.

The rule: only documents under the root of AWS make evidence. Whatever a target says of itself, its
records go beside the scenarios only with that root; everything else is a rehearsal, recorded only
into a folder that was named for it, and never into that of the hardware.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scenarios.records import (
    AWS_ROOT_SHA256,
    HARDWARE,
    REHEARSAL,
    BadRecord,
    Record,
    read,
    write,
)
from scenarios.results import ScenarioResult, now, project_version

NEVER = frozenset({"sim", "host"})
"""Targets whose passes are no evidence even of a rehearsal."""


def days(text: str) -> float:
    """The value of --revalidate-older-than. Raises argparse.ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of days; give 0 or more, such as 30"
        )
    return number


@dataclass(frozen=True, slots=True)
class Destination:
    """Where records of this run go."""

    target: str
    """HARDWARE or REHEARSAL."""
    folder: Path


def destination(
    target: str, root_sha256: str | None, beside_scenarios: Path, named: Path | None
) -> Destination | str:
    """Where a run on `target` is recorded, or the sentence that says why it is not.

    `root_sha256` is of the enclave's documents; `named` is the folder given for records.
    """
    if target in NEVER:
        return ""
    if target == HARDWARE and root_sha256 == AWS_ROOT_SHA256:
        return Destination(HARDWARE, named or beside_scenarios)
    if named is None:
        root = f"has the SHA-256 {root_sha256}" if root_sha256 else "is not known"
        return (
            f"Nothing was recorded: the root certificate of the enclave's documents {root}, and "
            "only that of AWS makes evidence. --records FOLDER keeps records of a rehearsal."
        )
    if beside_scenarios.resolve() in (named.resolve(), *named.resolve().parents):
        return (
            f"Nothing was recorded: {named} is where records of hardware are, and this run is not "
            "under the root certificate of AWS. Give --records another folder."
        )
    return Destination(REHEARSAL, named)


def record(result: ScenarioResult, where: Destination, file: str, known: Mapping[str, str]) -> None:
    """Record a scenario that passed; `known` is the target's provenance. Raises BadRecord, OSError.

    Which rule refused is left out: real KMS does not tell, and a rehearsal must not look richer.
    """
    if result.outcome != "passed":
        raise ValueError(f"{result.id} {result.outcome}: only what passed is recorded")
    kept = Record(
        scenario=result.id,
        target=where.target,
        when=now(),
        attested_kms=project_version(),
        provenance=dict(known),
        seconds=result.seconds,
        steps=[_without_rule(step) for step in result.steps],
    )
    write(kept, where.folder / file)


def _without_rule(step: Mapping[str, object]) -> dict[str, object]:
    answer = step.get("answer")
    if not isinstance(answer, Mapping):
        return dict(step)
    return {**step, "answer": {name: it for name, it in answer.items() if name != "rule"}}


def found(file: Path, scenario: str, *, target: str | None = None) -> Record | None:
    """The record of a scenario, or None where there is none. Raises BadRecord."""
    if not file.exists():
        return None
    kept = read(file, target=target)
    if kept.scenario != scenario:
        raise BadRecord(file, f"the record is of {kept.scenario}, and this is {scenario}'s name")
    return kept


@dataclass(slots=True)
class Due:
    """Which scenarios --revalidate-older-than chooses, counted."""

    days: float
    fresh: int = 0
    missing: int = 0
    old: int = 0

    def chooses(self, kept: Record | None) -> bool:
        """Whether a scenario with this record is due; counts it."""
        if kept is None:
            self.missing += 1
        elif kept.age_days() >= self.days:
            self.old += 1
        else:
            self.fresh += 1
            return False
        return True

    def __str__(self) -> str:
        older = f"{self.days:g} days"
        if not (self.missing or self.old):
            return f"All {self.fresh} scenarios have a record of less than {older}: nothing is due."
        return (
            f"{self.missing + self.old} scenarios are due: {self.missing} have no record and "
            f"{self.old} one of {older} or more; {self.fresh} are fresher and left out."
        )
