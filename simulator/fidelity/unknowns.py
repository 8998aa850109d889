"""The suite's open questions: scenarios of `scenarios/test_unknowns.py`, and their records.

Their names are read from the source, without running it; where the suite is not (an installed
wheel has none), from the simulator's last run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.report.reading import Record, Run

_AREA = "unknowns"
_FILE = f"test_{_AREA}.py"


@dataclass(frozen=True, slots=True)
class Unknown:
    """One scenario that asks instead of asserting."""

    id: str
    question: str
    """The first line of its docstring."""
    records: tuple[Record, ...]
    """Of hardware; several where it has parameters."""


def unknowns(suite: Path, run: Run | None, records: Iterable[Record]) -> tuple[Unknown, ...]:
    """All of them, in the order of the suite; none where neither suite nor results are."""
    questions = _in_source(suite / _FILE) or _in_run(run)
    of_hardware = [record for record in records if record.is_of_hardware]
    return tuple(
        Unknown(
            name,
            question,
            tuple(record for record in of_hardware if _is_of(record.scenario, name)),
        )
        for name, question in questions.items()
    )


def _is_of(scenario: str, name: str) -> bool:
    return scenario == name or scenario.startswith(f"{name}[")


def _in_source(path: Path) -> Mapping[str, str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    return {
        f"{_AREA}/{node.name.removeprefix('test_').replace('_', '-')}": _first_line(
            ast.get_docstring(node) or ""
        )
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def _in_run(run: Run | None) -> Mapping[str, str]:
    if run is None:
        return {}
    return {
        shown.id: _first_line(shown.docstring)
        for shown in run.scenarios.values()
        if shown.area == _AREA
    }


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
