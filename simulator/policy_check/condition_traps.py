"""Traps in how conditions on attestation are written.

Those that let somebody in are reported only if the evaluator shows that they do, unless it cannot
evaluate the policy: then what the statement says must do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from simulator.policy_check.access_traps import without_document
from simulator.policy_check.findings import Case, Found, Severity
from simulator.policy_check.requests import Document
from simulator.policy_check.statements import ATTESTED_ACTIONS, Condition, Statement
from simulator.policy_check.study import Study

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def _conditions(study: Study, *, allows: bool) -> Iterator[tuple[Statement, Condition]]:
    """The conditions on attestation of the statements about attested actions."""
    for statement in study.statements:
        if statement.allows is allows and statement.is_about_any(ATTESTED_ACTIONS):
            for condition in statement.attestation:
                yield statement, condition


# Conditions that a request without a document meets.


def _met_without_document(
    study: Study, is_cause: Callable[[Condition], bool], wrong: str
) -> Iterator[Found]:
    """The Allows that let somebody in without a document, for one cause."""
    if study.evaluator is None:
        for statement, condition in _conditions(study, allows=True):
            if is_cause(condition):
                yield Found(statement, ERROR, wrong.format(condition.operator), condition.path)
    for subject, action, statement, _ in without_document(study):
        case = Case(subject, action, Document.NONE)
        for condition in statement.attestation:
            if is_cause(condition):
                yield Found(
                    statement, ERROR, wrong.format(condition.operator), condition.path, (case,)
                )


def for_all_values(study: Study) -> Iterable[Found]:
    """ForAllValues over a key that may be absent."""
    return _met_without_document(
        study,
        lambda condition: condition.set_operator == "ForAllValues",
        "{} is true of a request without a document",
    )


def if_exists(study: Study) -> Iterable[Found]:
    """An operator with IfExists."""
    return _met_without_document(
        study,
        lambda condition: condition.if_exists and condition.set_operator != "ForAllValues",
        "{} is true of a request without a document",
    )


def negated_operator(study: Study) -> Iterable[Found]:
    """A negated operator."""
    return _met_without_document(
        study,
        lambda condition: (
            condition.negated and condition.set_operator is None and not condition.if_exists
        ),
        "{} is true of a request without a document",
    )


def null_inverted(study: Study) -> Iterable[Found]:
    """Null the wrong way round: an Allow for no document, a Deny for any."""
    yield from _met_without_document(
        study,
        lambda condition: condition.base == "Null" and "true" in condition.values,
        '{} "true" lets in the requests that bring no document',
    )
    for statement, condition in _conditions(study, allows=False):
        alone = len(statement.attestation) == 1
        if alone and condition.base == "Null" and condition.values == ("false",):
            wrong = (
                'Null "false" in a Deny stops the requests that bring a document, not the others'
            )
            yield Found(statement, ERROR, wrong, condition.path)


def deny_ignores_absent(study: Study) -> Iterable[Found]:
    """A Deny that does not stop a request without a document, where one is let in."""
    open_ways = list(dict.fromkeys((who, action) for who, action, _, _ in without_document(study)))
    for statement, condition in _conditions(study, allows=False):
        if condition.holds_when_absent or condition.base == "Null":
            continue
        cases = tuple(
            Case(subject, action, Document.NONE)
            for subject, action in open_ways
            if study.evaluator and study.evaluator.denies_some(statement, subject, action)
        )
        if cases or study.evaluator is None:
            wrong = f"{condition.operator} is false of a request without a document: not denied"
            yield Found(statement, WARNING, wrong, condition.path, cases)


# Keys and values that do not mean what they look like.


def unknown_key(study: Study) -> Iterable[Found]:
    """A condition key of attestation that KMS does not have."""
    cases = [
        (statement, Case(subject, action, Document.NONE))
        for subject, action, statement, _ in without_document(study)
    ]
    for statement in study.statements:
        for condition in statement.conditions:
            if condition.misspelt:
                wrong = (
                    f"KMS has no condition key {condition.key!r}: it is absent from all requests"
                )
                shown = tuple(case for let_in, case in cases if let_in == statement)
                yield Found(statement, ERROR, wrong, condition.path, shown)


_LENGTH = 96
_WILDCARDS = re.compile(r"[*?]")


def _values(study: Study) -> Iterator[tuple[Statement, Condition, str]]:
    """The values that measurements are compared with."""
    for statement in study.statements:
        for condition in statement.conditions:
            if condition.measurement is not None and condition.base.startswith("String"):
                for value in condition.values:
                    yield statement, condition, value


def malformed_measurement(study: Study) -> Iterable[Found]:
    """A value that no measurement can have."""
    for statement, condition, value in _values(study):
        if condition.base.endswith("Like") and _WILDCARDS.search(value):
            continue
        wrong = _malformed(value)
        if wrong:
            yield Found(statement, ERROR, wrong, condition.path)


def _malformed(value: str) -> str | None:
    if value[:2].lower() == "0x":
        return f"{_short(value)} begins with 0x, which no measurement does"
    if _WILDCARDS.search(value):
        return (
            f"{_short(value)} has a wildcard, which only StringLike and StringNotLike read as one"
        )
    if not re.fullmatch(r"[0-9a-fA-F]*", value):
        return f"{_short(value)} is not hexadecimal"
    if len(value) != _LENGTH:
        return f"{_short(value)} has {len(value)} digits where a SHA-384 measurement has {_LENGTH}"
    return None


def _short(value: str) -> str:
    return repr(value if len(value) <= 24 else f"{value[:20]}...")


def upper_case_measurement(study: Study) -> Iterable[Found]:
    """Upper case under an operator that minds it."""
    for statement, condition, value in _values(study):
        minds_case = not condition.base.endswith("IgnoreCase")
        if minds_case and _malformed(value) is None and value != value.lower():
            wrong = f"{condition.operator} compares {_short(value)} with lower case: never equal"
            yield Found(statement, ERROR, wrong, condition.path)


def measurement_wildcard(study: Study) -> Iterable[Found]:
    """A measurement that is only partly asked for."""
    for statement, condition, value in _values(study):
        if condition.base.endswith("Like") and _WILDCARDS.search(value):
            wrong = f"{_short(value)} is met by every measurement that fits the wildcard"
            yield Found(statement, WARNING, wrong, condition.path)


def several_measurements(study: Study) -> Iterable[Found]:
    """Several values for one measurement: several builds."""
    for statement in study.statements:
        for condition in statement.conditions:
            compared = condition.base.startswith("String")
            permits = condition.negated is not statement.allows
            if condition.measurement and compared and permits and len(condition.values) > 1:
                wrong = f"{len(condition.values)} builds are let in"
                yield Found(statement, INFO, wrong, condition.path)
