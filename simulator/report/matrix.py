"""The suite's scenarios beside the targets: what was shown where, and what of it on hardware.

A run says of itself that it was on hardware; it counts as one only if the NSM's documents were
signed under AWS's root. Verified on hardware is a scenario with a record of such a run. A pass
elsewhere never is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.report.comparing import Difference, differences
from simulator.report.reading import Outcome, Place, Record, Run, Shown, Step, under_aws_root

RECORD = "record"
"""The name of a record of hardware among the targets that are compared."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario, wherever it ran."""

    id: str
    shown: Mapping[Place, Shown]
    record: Record | None
    """Of hardware."""
    differences: tuple[Difference, ...]

    @property
    def area(self) -> str:
        """The part of the suite it belongs to."""
        return self.id.partition("/")[0]

    @property
    def told(self) -> Shown | None:
        """A run that knows its docstring, evidence and source; None if only a record is left."""
        return next((self.shown[place] for place in Place if place in self.shown), None)

    @property
    def steps(self) -> Mapping[str, tuple[Step, ...]]:
        """What it did, by the target's name or RECORD; only where it did something."""
        found = {place.value: shown.steps for place, shown in self.shown.items() if shown.steps}
        if self.record is not None and self.record.steps:
            found[RECORD] = self.record.steps
        return found


@dataclass(frozen=True, slots=True)
class Matrix:
    """All of it."""

    runs: Mapping[Place, Run]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    """What was left out, and why."""

    @property
    def places(self) -> tuple[Place, ...]:
        """The columns: the three of every report, and the host if it ran."""
        return tuple(place for place in Place if place is not Place.HOST or place in self.runs)

    @property
    def verified(self) -> tuple[Record, ...]:
        """The records of hardware."""
        return tuple(row.record for row in self.rows if row.record is not None)

    def counts(self, place: Place) -> Counter[Outcome]:
        """How many scenarios came out how."""
        return Counter(row.shown[place].outcome for row in self.rows if place in row.shown)


def matrix(runs: Mapping[Place, Run], records: Sequence[Record]) -> Matrix:
    """Runs and records, scenario by scenario, in the order of their names. Raises BadFile."""
    warnings = [
        f"{record.path.name} is left out: it is a record of {record.target}, not of hardware."
        for record in records
        if not record.is_of_hardware
    ]
    accepted = dict(runs)
    hardware = runs.get(Place.HARDWARE)
    if hardware is not None and not under_aws_root(hardware.provenance):
        del accepted[Place.HARDWARE]
        warnings.insert(
            0,
            f"{hardware.path.name} is left out: it calls itself a run on hardware, and does not "
            "say that its attestation documents were signed under AWS's root.",
        )
    by_scenario = {record.scenario: record for record in records if record.is_of_hardware}
    names = {name for run in accepted.values() for name in run.scenarios} | set(by_scenario)
    rows = tuple(_row(name, accepted, by_scenario.get(name)) for name in sorted(names))
    warnings += [
        f"{row.record.path.name} is of a scenario that no run here knows: {row.id}."
        for row in rows
        if row.record is not None and row.told is None
    ]
    return Matrix(accepted, rows, tuple(warnings))


def _row(name: str, runs: Mapping[Place, Run], record: Record | None) -> Row:
    shown = {
        place: runs[place].scenarios[name]
        for place in Place
        if place in runs and name in runs[place].scenarios
    }
    row = Row(name, shown, record, ())
    outcomes = {
        place.value: each.outcome
        for place, each in shown.items()
        if each.outcome is not Outcome.SKIPPED
    }
    if record is not None:
        outcomes[RECORD] = Outcome.PASSED
    did = {target: steps for target, steps in row.steps.items() if target in outcomes}
    return Row(name, shown, record, differences(name, outcomes, did))


def sentence(matrix: Matrix) -> str:
    """What has been recorded on hardware, in plain words."""
    verified, total = matrix.verified, len(matrix.rows)
    if not verified:
        return (
            "Nothing has been recorded on hardware. Each of the scenarios below is unverified on "
            "real Nitro hardware and real KMS: a pass in the simulator or in the rehearsal is not "
            "a pass on hardware."
        )
    last = max(verified, key=lambda record: record.when)
    instance = last.provenance.get("instance_type", "an unknown instance type")
    rest = total - len(verified)
    unverified = (
        "None is unverified on hardware."
        if rest == 0
        else f"The other {rest} {'is' if rest == 1 else 'are'} unverified on hardware: a pass in "
        "the simulator or in the rehearsal is not a pass on hardware."
    )
    return (
        f"{len(verified)} of {total} scenarios have been recorded on hardware, the last on "
        f"{last.when[:10]} on {instance}. {unverified}"
    )
