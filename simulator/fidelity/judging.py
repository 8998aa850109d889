"""Whether the rule table agrees with what was observed: its types, texts and order.

What the table answers to the same request is what the simulator answered to the same observation in
its last run; without that nothing is decided. Real KMS does not say which of its rules refused, so
that an answer is held against the types and texts of the table.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kms_fake.rules import RULES, Rule
from simulator.fidelity.observations import Key, Observation
from simulator.report.reading import Answer

ACCEPTED = frozenset({"opened", "result"})
_ROWS = {rule.id: rule for rule in RULES}
_ORDER = {rule.id: place for place, rule in enumerate(RULES)}
UNKNOWN_TEXT = "(real text unknown)"
ACCEPTED_TEXT = "accepted"
_BY_CASE = "{}"
_FEW = 3


class Facet(enum.Enum):
    """What is stated of a rule, each with evidence of its own."""

    TYPE = "type"
    """The exception, its HTTP status, and that there is one."""
    TEXT = "text"
    ORDER = "order"


class Verdict(enum.Enum):
    """What a record says about a facet."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one observation says about one facet of a rule."""

    rule: str
    """Its id; empty where KMS refused and the table has no rule for it."""
    facet: Facet
    verdict: Verdict
    table: str
    """What the table says."""
    recorded: str
    """What was recorded."""
    observation: Observation


def findings(seen: Sequence[Observation], simulator: Mapping[Key, Answer]) -> tuple[Finding, ...]:
    """Everything that the observations say about the table."""
    return tuple(
        finding
        for observation in seen
        for finding in _findings(observation, simulator.get(observation.key))
    )


def evidence(rule: Rule) -> Mapping[Facet, str]:
    """What the table claims to know, and how."""
    return {
        Facet.TYPE: rule.type_evidence.value,
        Facet.TEXT: rule.text_evidence.value,
        Facet.ORDER: rule.order_evidence.value,
    }


def _findings(observation: Observation, simulated: Answer | None) -> Iterator[Finding]:
    answer = observation.answer
    if answer.outcome not in {*ACCEPTED, "error"}:
        return  # Nobody answered: it says nothing about KMS.
    if simulated is None or simulated.outcome not in {*ACCEPTED, "error"}:
        yield from _undecided(observation)
        return
    expected = _ROWS.get(simulated.rule) if simulated.outcome == "error" else None
    if answer.outcome == "error" and expected is not None:
        yield from _compared(observation, expected)
    elif answer.outcome == "error" and simulated.outcome in ACCEPTED:
        rule = _only([rule for rule in _named(observation) if fits(rule, answer)])
        yield Finding(rule, Facet.TYPE, Verdict.DIFFERS, ACCEPTED_TEXT, _said(answer), observation)
    elif answer.outcome in ACCEPTED and expected is not None:
        told = _error(expected)
        yield Finding(expected.id, Facet.TYPE, Verdict.DIFFERS, told, ACCEPTED_TEXT, observation)


def _undecided(observation: Observation) -> Iterator[Finding]:
    """What was recorded, beside the rules that it is about."""
    answer = observation.answer
    recorded = _said(answer) if answer.outcome == "error" else ACCEPTED_TEXT
    for rule in _named(observation):
        yield Finding(rule.id, Facet.TYPE, Verdict.UNDECIDED, _error(rule), recorded, observation)


def _named(observation: Observation) -> list[Rule]:
    """The rules that the observation is about, in the table's order."""
    return [rule for rule in RULES if rule.id in observation.rules]


def _only(rules: Sequence[Rule]) -> str:
    return rules[0].id if len(rules) == 1 else ""


def _compared(observation: Observation, expected: Rule) -> Iterator[Finding]:
    """KMS refused, and so does the table: whether by the same rule."""
    answer = observation.answer

    def found(facet: Facet, verdict: Verdict, table: str, recorded: str) -> Finding:
        return Finding(expected.id, facet, verdict, table, recorded, observation)

    if not fits(expected, answer):
        others = _speakers(expected, answer)
        if others:
            ids = [rule.id for rule in others]
            first = " or ".join(ids) if len(ids) <= _FEW else f"one of {len(ids)} rules"
            recorded = f"{first} first: {_said(answer)}"
            yield found(Facet.ORDER, Verdict.DIFFERS, f"{expected.id} first", recorded)
            return
    same = answer.code == expected.exception and answer.http_status == expected.http_status
    verdict = Verdict.AGREES if same else Verdict.DIFFERS
    yield found(Facet.TYPE, verdict, _error(expected), _type(answer))
    if not same:
        return
    text = UNKNOWN_TEXT if expected.text is None else expected.text
    agrees = expected.text is not None and _matches(expected.text, answer.message)
    verdict = Verdict.AGREES if agrees else Verdict.DIFFERS
    yield found(Facet.TEXT, verdict, text, answer.message)
    if fits(expected, answer):
        yield from _after(observation, expected)


def _after(observation: Observation, expected: Rule) -> Iterator[Finding]:
    """The rules that the request was to meet as well, and that did not speak."""
    for rule in _named(observation):
        if _ORDER[rule.id] > _ORDER[expected.id] and not fits(rule, observation.answer):
            after = f"after {expected.id}"
            yield Finding(rule.id, Facet.ORDER, Verdict.AGREES, after, after, observation)


def _speakers(expected: Rule, answer: Answer) -> list[Rule]:
    """Other rules whose known text, or whose type alone, says what KMS said."""
    return [
        rule
        for rule in RULES
        if rule is not expected
        and rule.text is not None
        and (rule.text != _BY_CASE or rule.exception != expected.exception)
        and fits(rule, answer)
    ]


def fits(rule: Rule, answer: Answer) -> bool:
    """Whether an error may be this rule's: by type, and by text where that is known."""
    return answer.code == rule.exception and (
        rule.text is None or _matches(rule.text, answer.message)
    )


def _matches(pattern: str, message: str) -> bool:
    parts = (re.escape(part) for part in pattern.split("{}"))
    return re.fullmatch(".*".join(parts), message, re.DOTALL) is not None


def _error(rule: Rule) -> str:
    return f"{rule.exception}, HTTP {rule.http_status}"


def _type(answer: Answer) -> str:
    status = "" if answer.http_status is None else f", HTTP {answer.http_status}"
    return f"{answer.code or 'no type'}{status}"


def _said(answer: Answer) -> str:
    return f"{_type(answer)}: {answer.message or '(empty)'}"
