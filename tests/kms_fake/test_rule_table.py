"""The measure of the rule table: every row, left out or moved, is missed by a named test.

Each row is disabled, and swapped with the one after it; then every case of `rule_cases` is asked
again. A change that no case notices survives; only a row whose order is marked unknown may survive
being moved. The table is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from kms_fake import KmsFake, KmsRefusal
from kms_fake.evidence import Evidence
from kms_fake.fake import PassedUnfit
from kms_fake.rules import RULES, Rule
from tests.kms_fake.rule_cases import CASES, Case
from tests.kms_fake.world import Request, fake


@dataclass(frozen=True)
class Mutant:
    """A table with one change."""

    name: str
    rules: tuple[Rule, ...]
    may_survive: bool


def mutants() -> Iterator[Mutant]:
    for position, rule in enumerate(RULES):
        rest = (*RULES[:position], *RULES[position + 1 :])
        yield Mutant(f"without {rule.id}", rest, may_survive=False)
    for position, (first, second) in enumerate(pairwise(RULES)):
        swapped = (*RULES[:position], second, first, *RULES[position + 2 :])
        unknown = second.order_evidence is Evidence.UNKNOWN
        yield Mutant(f"{second.id} before {first.id}", swapped, may_survive=unknown)


@dataclass(frozen=True)
class Prepared:
    """A case whose request is built, so that every mutant is asked the same bytes."""

    case: Case
    request: Request
    members: object

    def holds_for(self, kms: KmsFake) -> bool:
        try:
            kms.call(self.request.operation, self.members, caller=self.request.caller())
        except KmsRefusal as refusal:
            return refusal.rule == self.case.rule
        except (PassedUnfit, AttributeError, TypeError):
            return False  # The table let through what cannot be answered.
        return self.case.rule is None


@pytest.fixture(scope="module")
def prepared() -> Sequence[Prepared]:
    requests = [(case, case.request()) for case in CASES]
    return [Prepared(case, request, request.build()) for case, request in requests]


def missed_by(rules: Sequence[Rule], cases: Sequence[Prepared]) -> Iterator[str]:
    """The names of the cases that notice the change."""
    by_settings: dict[str, KmsFake] = {}
    for case in cases:
        settings = case.request.settings
        name = repr(settings)
        if name not in by_settings:
            by_settings[name] = fake(rules, **settings)
        if not case.holds_for(by_settings[name]):
            yield case.case.name


def test_the_table_as_it_is_passes(prepared: Sequence[Prepared]) -> None:
    assert list(missed_by(RULES, prepared)) == []


@pytest.mark.timeout(240)
def test_every_change_of_the_table_is_noticed(
    prepared: Sequence[Prepared], capsys: pytest.CaptureFixture[str]
) -> None:
    lines, survivors = [], []
    for mutant in mutants():
        # The first is enough: all of them take a minute.
        shown = next(missed_by(mutant.rules, prepared), None)
        if shown is None:
            survivors.append(mutant)
            shown = "survives" + (", its order is marked unknown" if mutant.may_survive else "")
        lines.append(f"{mutant.name:75} {shown}")
    with capsys.disabled():  # The table belongs to the output of every run.
        print(
            "\n\nchange of the rule table, the first case that notices it",
            *lines,
            sep="\n",
        )
    assert [mutant.name for mutant in survivors if not mutant.may_survive] == []
