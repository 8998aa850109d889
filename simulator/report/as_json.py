"""The report for programs: `simulator/schemas/report.schema.json`.

It has what the page's table says, and the refusals; the steps stay in the files of the runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.report.diagram import diagram
from simulator.report.matrix import Matrix, Row, sentence
from simulator.report.reading import Outcome, Place, Shown
from simulator.report.rules import rule_shown


def as_json(matrix: Matrix) -> dict[str, Any]:
    """All of it as JSON values."""
    return {
        "format": 1,
        "hardware": {
            "statement": sentence(matrix),
            "recorded": len(matrix.verified),
            "unverified": len(matrix.rows) - len(matrix.verified),
        },
        "targets": {place.value: _target(matrix, place) for place in matrix.places},
        "scenarios": [_scenario(row, matrix.places) for row in matrix.rows],
        "left_out": list(matrix.warnings),
    }


def _target(matrix: Matrix, place: Place) -> dict[str, Any] | None:
    run = matrix.runs.get(place)
    if run is None:
        return None
    counts = matrix.counts(place)
    return {
        "when": run.when,
        "attested_kms": run.version,
        "transport": run.transport,
        "provenance": dict(run.provenance),
        "deselected": run.deselected,
        "counts": {outcome.value: counts[outcome] for outcome in Outcome},
    }


def _scenario(row: Row, places: tuple[Place, ...]) -> dict[str, Any]:
    told, record = row.told, row.record
    return {
        "id": row.id,
        "summary": told.summary if told else None,
        "docstring": told.docstring if told else None,
        "evidence": told.evidence if told else None,
        "source": told.source if told else None,
        "outcomes": {place.value: _outcome(row.shown.get(place)) for place in places},
        "validation": None
        if record is None
        else {"when": record.when, "instance_type": record.provenance.get("instance_type")},
        "differences": [
            {
                "answer": each.place or None,
                "what": each.what,
                "values": dict(each.values),
                "reason": each.reason or None,
            }
            for each in row.differences
        ],
        "refusals": list(_refusals(row)),
    }


def _outcome(shown: Shown | None) -> Mapping[str, Any] | None:
    if shown is None:
        return None
    return {"outcome": shown.outcome.value, "reason": shown.reason, "seconds": shown.seconds}


def _refusals(row: Row) -> Iterator[dict[str, Any]]:
    for target, steps in row.steps.items():
        for event in diagram(steps).events:
            if not event.rule:
                continue
            rule = rule_shown(event.rule)
            yield {
                "target": target,
                "step": event.step,
                "error": event.text,
                "rule": event.rule,
                "evidence": dict(rule.evidence) if rule else None,
                "source": rule.source if rule else None,
            }
