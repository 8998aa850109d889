"""All that is known of the rule table's fidelity, put together from the table and the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from kms_fake.rules import RULES, Rule
from simulator.fidelity.judging import Facet, Finding, Verdict, evidence, findings
from simulator.fidelity.observations import observations, simulated
from simulator.report.reading import Record, Run


@dataclass(frozen=True, slots=True)
class Row:
    """One rule: what the table claims of each facet, and what records say."""

    rule: Rule
    evidence: Mapping[Facet, str]
    findings: Mapping[Facet, tuple[Finding, ...]]

    def settled(self, facet: Facet) -> Finding | None:
        """The latest finding that agrees or differs."""
        decided = [each for each in self.findings[facet] if each.verdict is not Verdict.UNDECIDED]
        return max(decided, key=lambda each: each.observation.record.when, default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """The table calls a facet recorded, and no record here says so."""

    rule: str
    facet: Facet


@dataclass(frozen=True, slots=True)
class Survey:
    """The whole table."""

    rows: tuple[Row, ...]
    differences: tuple[Finding, ...]
    claims: tuple[Claim, ...]
    records: int
    """How many records of hardware there are."""
    observations: int
    """How many answers of real KMS they hold."""
    left_out: tuple[str, ...]
    """Records that are not of hardware, by file name."""

    @property
    def undecided(self) -> int:
        """How many observations say nothing, because the simulator has no answer to the same."""
        found = (each for row in self.rows for facet in Facet for each in row.findings[facet])
        return len({each.observation.key for each in found if each.verdict is Verdict.UNDECIDED})

    @property
    def agrees(self) -> bool:
        """Whether no record contradicts the table."""
        return not self.differences and not self.claims

    @property
    def facets(self) -> int:
        """Of all rules."""
        return len(self.rows) * len(Facet)

    @property
    def settled(self) -> int:
        """How many facets a record agrees or differs with."""
        return sum(row.settled(facet) is not None for row in self.rows for facet in Facet)

    def counts(self) -> Mapping[str, int]:
        """How many facets the table calls documented, reported and so on."""
        found = Counter(known for row in self.rows for known in row.evidence.values())
        return {each.value: found[each.value] for each in Evidence}


def survey(records: Sequence[Record], run: Run | None, rules: Sequence[Rule] = RULES) -> Survey:
    """The table beside the records; `run` is the simulator's last, if there is one."""
    seen = observations(records)
    found = findings(seen, simulated(run))
    rows = tuple(_row(rule, found) for rule in rules)
    return Survey(
        rows=rows,
        differences=tuple(each for each in found if each.verdict is Verdict.DIFFERS),
        claims=tuple(_claims(rows)),
        records=sum(record.is_of_hardware for record in records),
        observations=len(seen),
        left_out=tuple(record.path.name for record in records if not record.is_of_hardware),
    )


def _row(rule: Rule, found: Sequence[Finding]) -> Row:
    return Row(
        rule,
        evidence(rule),
        {
            facet: tuple(each for each in found if each.rule == rule.id and each.facet is facet)
            for facet in Facet
        },
    )


def _claims(rows: Sequence[Row]) -> Iterator[Claim]:
    for row in rows:
        for facet, known in row.evidence.items():
            agreed = any(each.verdict is Verdict.AGREES for each in row.findings[facet])
            if known == Evidence.RECORDED.value and not agreed:
                yield Claim(row.rule.id, facet)
