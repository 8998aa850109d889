"""The table of the field notes' bugs names what there is: scenarios, explanations, README."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kms_fake.evidence import Evidence
from simulator.bugs import BUGS, Bug, find
from simulator.doctor.checks import CHECKS
from simulator.explanations.table import EXPLANATIONS
from tests.project.bug_table import BEGIN, with_bugs
from tests.project.readme_rules import README

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
NUMBERS = [bug.number for bug in BUGS]


def scenarios() -> Iterator[tuple[str, Evidence]]:
    """Each scenario's id, as the root conftest makes it, and the name of its evidence marker."""
    for file in sorted(SCENARIOS.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                area, name = file.stem.removeprefix("test_"), node.name.removeprefix("test_")
                [evidence] = (
                    mark.func.attr
                    for mark in node.decorator_list
                    if isinstance(mark, ast.Call)
                    and isinstance(mark.func, ast.Attribute)
                    and mark.func.attr in {each.value for each in Evidence}
                )
                yield f"{area}/{name}".replace("_", "-"), Evidence(evidence)


def numbered(scenario: str) -> str | None:
    """The bug that a scenario's id has: `bugs/bug-8-1-...` is of 8.1."""
    found = re.search(r"/bug-(\d+)(?:-(\d+))?-", scenario)
    return found and ".".join(filter(None, found.groups()))


def test_every_bug_of_the_notes_is_there() -> None:
    wanted = [str(number) for number in range(1, 10)]
    wanted[8:8] = ["8.1", "8.2", "8.3"]
    assert [*wanted, "checklist"] == NUMBERS


def test_the_scenarios_are_those_of_the_suite_with_their_evidence() -> None:
    suite = dict(scenarios())
    named = {shown.id: shown.evidence for bug in BUGS for shown in bug.scenarios}
    assert named == {each: suite.get(each) for each in named}


@pytest.mark.parametrize("bug", BUGS, ids=NUMBERS)
def test_a_scenario_with_its_number_is_in_the_table(bug: Bug) -> None:
    numbered_so = {each for each, _ in scenarios() if numbered(each) == bug.number}
    named = {shown.id for shown in bug.scenarios}
    assert named
    assert numbered_so <= named
    assert {numbered(each) for each in named} <= {bug.number, None}


def test_no_scenario_has_a_number_that_there_is_not() -> None:
    assert {numbered(each) for each, _ in scenarios()} - {None, *NUMBERS} == set()


@pytest.mark.parametrize("bug", BUGS, ids=NUMBERS)
def test_the_explanations_are_those_with_its_number(bug: Bug) -> None:
    known = {explanation.id for explanation in EXPLANATIONS}
    numbered_so = {each.id for each in EXPLANATIONS if each.field_note == bug.number}
    assert numbered_so <= set(bug.explains) <= known


@pytest.mark.parametrize("bug", BUGS, ids=NUMBERS)
def test_the_checks_of_doctor_are_those_with_its_number(bug: Bug) -> None:
    known = {check.id for check in CHECKS}
    numbered_so = {check.id for check in CHECKS if check.bug == bug.number}
    assert numbered_so <= set(bug.checks) <= known


@pytest.mark.parametrize("bug", BUGS, ids=NUMBERS)
def test_every_text_can_be_read(bug: Bug) -> None:
    for text in (bug.symptom, bug.cause, bug.fix, bug.correction):
        assert "\n" not in text
        assert "  " not in text
    assert not bug.title.endswith(".")
    assert bug.source


def test_a_bug_comes_with_its_parts() -> None:
    assert [bug.number for bug in find("8")] == ["8", "8.1", "8.2", "8.3"]
    assert [bug.number for bug in find("8.1")] == ["8.1"]
    assert find("10") == []


def test_the_table_of_the_readme_is_made_from_it() -> None:
    text = README.read_text()
    assert BEGIN in text
    assert with_bugs(text) == text, "run python -m tests.project.bug_table"
