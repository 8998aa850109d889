"""What records of hardware observed of rules, and what the simulator answered to the same.

An observation is a step of a scenario that asks instead of asserting. It names the rules of the
table that have to do with it; which of them refused, real KMS does not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulator.report.reading import Answer, Record, Run, Step

Key = tuple[str, str]
"""A scenario's id and the name of an observation in it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of real KMS."""

    record: Record
    name: str
    rules: tuple[str, ...]
    answer: Answer

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.record.scenario, self.name


def observations(records: Iterable[Record]) -> tuple[Observation, ...]:
    """All of those records that are of hardware."""
    return tuple(
        Observation(record, step.text("name"), _rules(step), answer)
        for record in records
        if record.is_of_hardware
        for step in record.steps
        if step.kind == "observation" and (answer := step.answer) is not None
    )


def simulated(run: Run | None) -> Mapping[Key, Answer]:
    """What the simulator answered in its last run."""
    if run is None:
        return {}
    return {
        (shown.id, step.text("name")): answer
        for shown in run.scenarios.values()
        for step in shown.steps
        if step.kind == "observation" and (answer := step.answer) is not None
    }


def _rules(step: Step) -> tuple[str, ...]:
    return tuple(rule for rule in step.items("rules") if isinstance(rule, str))
