"""The result of a check as text for people and as JSON for programs.

The JSON is that of `simulator/schemas/policy-check.schema.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from simulator.policy_check.check import Result
from simulator.policy_check.findings import Finding, Severity
from simulator.policy_check.requests import Document
from simulator.policy_check.statements import ATTESTED_ACTIONS
from simulator.policy_check.study import Outcome
from simulator.policy_check.subjects import Subject

NO_KEY = (
    "kms:GenerateRandom uses no key, so no key policy speaks of it: only IAM policies can ask for "
    "a document there."
)
NOT_SEEN = (
    "Not seen by this check: grants that exist already, organization policies, permission "
    "boundaries, and IAM policies that were not given."
)

_HEADINGS = {
    Document.NONE: "no document",
    Document.ANY: "any document",
    Document.MEETING: "one that meets the policy",
    Document.DEBUG: "debug enclave's",
    Document.GIVEN: "the given one",
}
_NAMES = {
    Document.NONE: "none",
    Document.ANY: "any",
    Document.MEETING: "meeting",
    Document.DEBUG: "debug",
    Document.GIVEN: "given",
}


_COUNTED = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def _counts(result: Result) -> dict[Severity, int]:
    return {
        severity: sum(finding.found.severity is severity for finding in result.findings)
        for severity in Severity
    }


def _documents(result: Result) -> list[Document]:
    return [
        document
        for document in Document
        if document is not Document.GIVEN or result.with_given_document
    ]


def notes(result: Result) -> Iterator[str]:
    """What a reader must know beside the table."""
    yield NO_KEY
    services = sorted({name for each in result.study.statements for name in each.services})
    if services:
        yield f"AWS services that the key policy names are not in the table: {', '.join(services)}."
    yield NOT_SEEN


def as_json(result: Result, fail_on: str, exit_code: int) -> dict[str, Any]:
    """The result as the schema describes it."""
    return {
        "format": 1,
        "policy": result.policy.name,
        "identity": [file.name for file in result.identities],
        "key": {"arn": result.study.key.arn, "account": result.study.key.account},
        "unsupported": result.unsupported,
        "access": [_row(result, subject, action) for subject, action in result.study.questions()],
        "findings": [_finding(finding) for finding in result.findings],
        "notes": list(notes(result)),
        "counts": {severity.value: count for severity, count in _counts(result).items()},
        "fail_on": fail_on,
        "exit_code": exit_code,
    }


def _row(result: Result, subject: Subject, action: str) -> dict[str, Any]:
    return {
        "principal": {
            "label": subject.label,
            "kind": subject.kind.value,
            "arn": subject.principal.arn,
            "iam": subject.iam.value,
        },
        "action": action,
        "documents": {
            _NAMES[document]: _answer(result.study.outcome(subject, action, document))
            for document in _documents(result)
        },
    }


def _answer(outcome: Outcome) -> dict[str, Any]:
    return {"allowed": outcome.allowed, "assuming": dict(outcome.assuming)}


def _finding(finding: Finding) -> dict[str, Any]:
    trap, found = finding.trap, finding.found
    return {
        "id": trap.id,
        "severity": found.severity.value,
        "title": trap.title,
        "file": found.statement.file.name,
        "path": found.place,
        "sid": found.statement.sid,
        "wrong": found.wrong,
        "why": trap.why,
        "fix": trap.fix,
        "source": trap.source,
        "evidence": trap.evidence.value,
        "shown_by": "evaluation" if found.cases else "reading",
        "cases": [
            {
                "principal": case.subject.principal.arn,
                "label": case.subject.label,
                "action": case.action,
                "document": _NAMES[case.document],
                "changed": case.changed or None,
                "allowed": case.allowed,
            }
            for case in found.cases
        ],
    }


def as_text(result: Result) -> Iterator[str]:
    """The result as lines."""
    if result.unsupported:
        yield f"Not evaluated: {result.unsupported}"
        yield "What follows is only what can be read off the statements."
    else:
        yield f"Who can use the key of {result.policy.name} ({result.study.key.account})"
        yield from _table(result)
    yield ""
    yield from notes(result)
    for _, group in groupby(result.findings, key=lambda each: (each.found.severity, each.trap.id)):
        yield ""
        yield from _group_text(list(group))
    yield ""
    yield ", ".join(
        f"{count} {_COUNTED[severity]}{'' if count == 1 else 's'}"
        for severity, count in _counts(result).items()
    )


def _table(result: Result) -> Iterator[str]:
    documents = _documents(result)
    assumptions: list[Mapping[str, str]] = []
    rows = [["principal", "action", *(_HEADINGS[document] for document in documents)]]
    for subject in result.study.subjects:
        grouped: dict[tuple[str, ...], list[str]] = {}
        for action in ATTESTED_ACTIONS:
            cells = tuple(
                _cell(result.study.outcome(subject, action, document), assumptions)
                for document in documents
            )
            grouped.setdefault(cells, []).append(action.removeprefix("kms:"))
        for cells, actions in grouped.items():
            label = subject.label if cells == next(iter(grouped)) else ""
            names = "all four" if len(actions) == len(ATTESTED_ACTIONS) else ", ".join(actions)
            rows.append([label, names, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells_text = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells_text)).rstrip()
    for number, assumed in enumerate(assumptions, start=1):
        pairs = ", ".join(f"{key} = {value}" for key, value in assumed.items())
        yield f"  [{number}] if the request has {pairs}"


def _cell(outcome: Outcome, assumptions: list[Mapping[str, str]]) -> str:
    if not outcome.allowed:
        return "-"
    if not outcome.assuming:
        return "YES"
    if outcome.assuming not in assumptions:
        assumptions.append(outcome.assuming)
    return f"YES [{assumptions.index(outcome.assuming) + 1}]"


_CASES_SHOWN = 3


def _group_text(findings: list[Finding]) -> Iterator[str]:
    """The findings of one trap and severity: each place, then what is true of all."""
    trap = findings[0].trap
    yield f"{findings[0].found.severity.value}: {trap.id}: {trap.title}"
    for finding in findings:
        found = finding.found
        sid = f' ("{found.statement.sid}")' if found.statement.sid else ""
        yield f"  where   {found.statement.file.name}: {found.place}{sid}"
        yield f"  wrong   {found.wrong}"
        for case in found.cases[:_CASES_SHOWN]:
            yield f"  shown   {case.text}"
        if len(found.cases) > _CASES_SHOWN:
            yield f"  shown   and {len(found.cases) - _CASES_SHOWN} more"
    yield f"  why     {trap.why}"
    yield f"  fix     {trap.fix}"
    yield f"  source  {trap.source} ({trap.evidence.value})"
