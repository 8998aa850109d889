"""The survey as text for a terminal and as JSON (`simulator/schemas/fidelity.schema.json`)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from simulator.fidelity.judging import UNKNOWN_TEXT, Facet, Finding
from simulator.fidelity.survey import Row, Survey
from simulator.fidelity.unknowns import Unknown
from simulator.lint.report import printable
from simulator.report.reading import Record

_WIDTH = 100
_INDENT = "    "
NEVER = "never"
NO_SUITE = (
    "The open questions of the suite are not known here: run this in a clone of the project, which "
    "has scenarios/test_unknowns.py."
)


def as_text(survey: Survey, unknowns: Sequence[Unknown]) -> Iterator[str]:
    """Lines, in which nothing of a record can steer a terminal."""
    return map(printable, _text(survey, unknowns))


def unverified_text(unknowns: Sequence[Unknown]) -> Iterator[str]:
    """The open questions that no record answers, one a line, and how many."""
    return map(printable, _unverified(unknowns))


def _text(survey: Survey, unknowns: Sequence[Unknown]) -> Iterator[str]:
    width = max(len(row.rule.id) for row in survey.rows)
    yield f"{'rule':{width}}  {'type':10}  {'text':10}  {'order':10}  recorded"
    for row in survey.rows:
        known = "  ".join(f"{row.evidence[facet]:10}" for facet in Facet)
        yield f"{row.rule.id:{width}}  {known}  {_recorded(row)}"
        yield from _filled(row.rule.source)
    yield ""
    if survey.differences or survey.claims:
        yield "Differences between the table and what was recorded:"
        yield from _differences(survey)
        yield ""
    yield from _unverified(unknowns)
    yield ""
    yield from _summary(survey)


def _recorded(row: Row) -> str:
    """Of which facets there is a record, and of when; the table's word stands beside it."""
    found = {facet: row.settled(facet) for facet in Facet}
    dates = {each.observation.record.when[:10] for each in found.values() if each is not None}
    if not dates:
        return NEVER
    names = [
        f"{facet.value}{'' if each.verdict.value == 'agrees' else ' DIFFERS'}"
        for facet, each in found.items()
        if each is not None
    ]
    return f"{max(dates)} ({', '.join(names)})"


def _filled(text: str, indent: str = _INDENT) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _differences(survey: Survey) -> Iterator[str]:
    for each in survey.differences:
        seen = each.observation
        yield f"  {each.facet.value} of {each.rule or 'a rule that the table does not have'}"
        yield from _filled(f"table     {each.table}")
        yield from _filled(f"recorded  {each.recorded or '(empty)'}")
        yield from _filled(f"{seen.name}, in {_of(seen.record)}")
    for claim in survey.claims:
        yield f"  {claim.facet.value} of {claim.rule}"
        yield from _filled("table     recorded")
        yield from _filled("recorded  nothing here: no record agrees with it")


def _of(record: Record) -> str:
    instance = record.provenance.get("instance_type", "an unknown instance type")
    return f"{record.path.name}, {record.when[:10]} on {instance}"


def _unverified(unknowns: Sequence[Unknown]) -> Iterator[str]:
    if not unknowns:
        yield from _filled(NO_SUITE, indent="")
        return
    open_ = [unknown for unknown in unknowns if not unknown.records]
    count = f"{len(open_)} of {len(unknowns)}"
    yield f"Open questions of the suite that hardware has not answered, {count}:"
    for unknown in open_:
        yield f"  {unknown.id}"
        yield from _filled(unknown.question)


def _summary(survey: Survey) -> Iterator[str]:
    counts = ", ".join(f"{count} {known}" for known, count in survey.counts().items())
    yield from _filled(
        f"{survey.facets} facets of {len(survey.rows)} rules: {counts}. A record has something to "
        f"say about {survey.settled}.",
        indent="",
    )
    if survey.left_out:
        names = ", ".join(survey.left_out)
        yield from _filled(f"Left out, for they are not of hardware: {names}.", indent="")
    if survey.undecided:
        are = "answer is" if survey.undecided == 1 else "answers are"
        yield from _filled(
            f"{survey.undecided} {are} undecided: the simulator has not answered the same; `pytest "
            "scenarios --target sim` makes it.",
            indent="",
        )
    if not survey.records:
        yield "Nothing has been recorded on hardware."
        return
    count = len(survey.differences) + len(survey.claims)
    yield (
        f"{_number(survey.records, 'record')} of hardware with "
        f"{_number(survey.observations, 'observation')}: "
        f"{'no difference' if survey.agrees else _number(count, 'difference')}."
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def as_json(survey: Survey, unknowns: Sequence[Unknown], exit_code: int) -> dict[str, Any]:
    """The survey as the schema describes it."""
    return {
        "format": 1,
        "rules": [_row(row) for row in survey.rows],
        "differences": [
            {"rule": each.rule or None, "facet": each.facet.value, **_finding(each)}
            for each in survey.differences
        ],
        "claims_without_record": [
            {"rule": claim.rule, "facet": claim.facet.value} for claim in survey.claims
        ],
        "unknowns": unknowns_json(unknowns) if unknowns else None,
        "facets": {"total": survey.facets, "settled": survey.settled, **survey.counts()},
        "records": {
            "count": survey.records,
            "observations": survey.observations,
            "undecided": survey.undecided,
            "left_out": list(survey.left_out),
        },
        "exit_code": exit_code,
    }


def unknowns_json(unknowns: Sequence[Unknown]) -> list[dict[str, Any]]:
    """The open questions, each with the time of its last record."""
    return [
        {
            "id": unknown.id,
            "question": unknown.question,
            "recorded": max((record.when for record in unknown.records), default=None),
        }
        for unknown in unknowns
    ]


def _row(row: Row) -> dict[str, Any]:
    rule = row.rule
    return {
        "id": rule.id,
        "operations": sorted(operation.value for operation in rule.operations),
        "rule_sets": sorted(rule_set.value for rule_set in rule.rule_sets),
        "exception": rule.exception,
        "http_status": rule.http_status,
        "text": rule.text,
        "source": rule.source,
        "facets": {
            facet.value: {
                "evidence": row.evidence[facet],
                "records": [_finding(each) for each in row.findings[facet]],
            }
            for facet in Facet
        },
    }


def _finding(finding: Finding) -> dict[str, Any]:
    record = finding.observation.record
    return {
        "verdict": finding.verdict.value,
        "table": None if finding.table == UNKNOWN_TEXT else finding.table,
        "recorded": finding.recorded,
        "scenario": record.scenario,
        "observation": finding.observation.name,
        "when": record.when,
        "instance_type": record.provenance.get("instance_type"),
    }
