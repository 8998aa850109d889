"""Every trap on policies that have it and on policies that have not."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from simulator.policy_check.findings import Severity
from simulator.policy_check.traps import TRAPS
from tests.simulator.policy_cases import EXAMPLES
from tests.simulator.policy_world import SAFE, Example, Pair


def cases(side: str) -> list[Any]:
    return [
        pytest.param(trap, pair, example, id=f"{trap}-{example.name}")
        for trap, pair in EXAMPLES.items()
        for example in getattr(pair, side)
    ]


def test_every_trap_has_both_sides_and_every_example_a_trap() -> None:
    assert list(EXAMPLES) == [trap.id for trap in TRAPS]
    assert [trap for trap, pair in EXAMPLES.items() if not (pair.has and pair.has_not)] == []


@pytest.mark.parametrize(("trap", "pair", "example"), cases("has"))
def test_found_where_it_is(trap: str, pair: Pair, example: Example) -> None:
    found = [each for each in example.check().findings if each.trap.id == trap]
    assert found
    assert found[0].found.severity.value == pair.severities.get(example.name, "error")


@pytest.mark.parametrize(("trap", "pair", "example"), cases("has_not"))
def test_not_found_where_it_is_not(trap: str, pair: Pair, example: Example) -> None:
    del pair
    assert trap not in {finding.trap.id for finding in example.check().findings}


def test_severities_are_those_of_the_table() -> None:
    seen = defaultdict(set)
    for pair in EXAMPLES.values():
        for example in pair.has:
            for finding in example.check().findings:
                seen[finding.trap.id].add(finding.found.severity)
    assert seen == {trap.id: set(trap.severities) for trap in TRAPS}


def test_severities_stand_worst_first() -> None:
    for trap in TRAPS:
        assert list(trap.severities) == sorted(trap.severities, key=lambda each: each.rank)


@pytest.mark.parametrize("example", SAFE, ids=lambda example: example.name)
def test_safe_policies_have_neither_errors_nor_warnings(example: Example) -> None:
    result = example.check()
    assert result.unsupported is None
    bad = [each for each in result.findings if each.found.severity is not Severity.INFO]
    assert [(each.trap.id, each.found.wrong) for each in bad] == []
