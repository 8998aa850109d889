"""Whether the rule table agrees with what was observed: its types, texts and order.

What the table answers to the request is taken from the simulator's last run where that has the
same observation. Where it has not, the first of the observation's rules in the table's order is
expected to refuse, and a request that was accepted decides nothing: rules are named for what they
leave alone as well (a document just young enough).
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
    concerned = sorted(
        (_ROWS[rule] for rule in observation.rules if rule in _ROWS),
        key=lambda rule: _ORDER[rule.id],
    )
    if simulated is None:
        expected = concerned[0] if concerned else None
    else:
        expected = _ROWS.get(simulated.rule) if simulated.outcome == "error" else None
    if expected is None:
        if simulated is not None and simulated.outcome in ACCEPTED and answer.outcome == "error":
            yield _refused_after_all(observation, concerned)
    elif answer.outcome in ACCEPTED:
        verdict = Verdict.UNDECIDED if simulated is None else Verdict.DIFFERS
        yield Finding(expected.id, Facet.TYPE, verdict, _error(expected), "accepted", observation)
    else:
        yield from _compared(observation, expected, concerned)


def _refused_after_all(observation: Observation, concerned: Sequence[Rule]) -> Finding:
    """KMS refused what the simulator accepts."""
    fitting = [rule for rule in concerned if fits(rule, observation.answer)]
    rule = fitting[0].id if len(fitting) == 1 else ""
    said = _said(observation.answer)
    return Finding(rule, Facet.TYPE, Verdict.DIFFERS, "accepted", said, observation)


def _compared(
    observation: Observation, expected: Rule, concerned: Sequence[Rule]
) -> Iterator[Finding]:
    """KMS refused, and so does the table: whether by the same rule."""
    answer = observation.answer
    others = [rule for rule in concerned if rule is not expected]
    fitting = [rule for rule in others if fits(rule, answer)]

    def found(facet: Facet, verdict: Verdict, table: str, recorded: str) -> Finding:
        return Finding(expected.id, facet, verdict, table, recorded, observation)

    if fitting and not fits(expected, answer):
        first = " or ".join(rule.id for rule in fitting)
        yield found(Facet.ORDER, Verdict.DIFFERS, f"{expected.id} first", f"{first} first")
        return
    same = answer.code == expected.exception and answer.http_status in {
        None,
        expected.http_status,
    }
    verdict = Verdict.AGREES if same else Verdict.DIFFERS
    yield found(Facet.TYPE, verdict, _error(expected), _type(answer))
    if not same:
        return
    text = UNKNOWN_TEXT if expected.text is None else expected.text
    if fitting:
        # Two rows of the table would have said the same: which of them did is not known.
        yield found(Facet.TEXT, Verdict.UNDECIDED, text, answer.message)
        yield found(Facet.ORDER, Verdict.UNDECIDED, f"{expected.id} first", "one of several")
        return
    agrees = expected.text is not None and _matches(expected.text, answer.message)
    verdict = Verdict.AGREES if agrees else Verdict.DIFFERS
    yield found(Facet.TEXT, verdict, text, answer.message)
    if others and agrees:
        first = f"{expected.id} first"
        yield found(Facet.ORDER, Verdict.AGREES, first, first)


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
