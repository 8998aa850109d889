"""The bugs as text for people and as JSON for programs (simulator/schemas/bugs.schema.json)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from simulator.bugs import Bug

_WIDTH = 100
_LABEL = 14


def as_json(bugs: Sequence[Bug]) -> dict[str, Any]:
    """The bugs as the schema describes them."""
    return {"format": 1, "bugs": [_entry(bug) for bug in bugs]}


def _entry(bug: Bug) -> dict[str, Any]:
    return {
        "number": bug.number,
        "title": bug.title,
        "symptom": bug.symptom,
        "cause": bug.cause,
        "fix": bug.fix,
        "correction": bug.correction or None,
        "evidence": bug.evidence.value,
        "source": bug.source,
        "scenarios": [
            {"id": shown.id, "evidence": shown.evidence.value} for shown in bug.scenarios
        ],
        "explains": list(bug.explains),
        "checks": list(bug.checks),
    }


def as_text(bugs: Sequence[Bug]) -> str:
    """A block for each bug."""
    return "\n\n".join("\n".join(_block(bug)) for bug in bugs)


def _block(bug: Bug) -> Iterator[str]:
    yield f"{bug.number}  {bug.title}"
    yield _labelled("Symptom", bug.symptom)
    yield _labelled("Cause", bug.cause)
    yield _labelled("", f"({bug.evidence.value}: {bug.source})")
    yield _labelled("Fix", bug.fix)
    if bug.correction:
        yield _labelled("Field notes", bug.correction)
    for number, shown in enumerate(bug.scenarios):
        yield _labelled("" if number else "Scenarios", f"{shown.id} ({shown.evidence.value})")
    if bug.explains:
        yield _labelled("Explained", ", ".join(bug.explains))
    if bug.checks:
        yield _labelled("Doctor", ", ".join(bug.checks))


def _labelled(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        width=_WIDTH,
        initial_indent=f"  {label:<{_LABEL}}",
        subsequent_indent=" " * (_LABEL + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
