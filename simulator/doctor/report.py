"""An examination as text for people and as JSON for programs.

The JSON is that of `simulator/schemas/doctor.schema.json`. What a machine says stands in it, so
that nothing of it may steer a terminal, or be longer than anybody reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from simulator.doctor.examine import Examination
from simulator.doctor.model import Check, Finding, Outcome
from simulator.explanations.table import BY_ID
from simulator.explanations.wrapping import wrapped
from simulator.lint.report import printable

_ONE_LINE = frozenset({Outcome.OK, Outcome.SKIPPED})
_LONGEST = 500
_INDENT = 10
_COUNTED = {
    Outcome.ERROR: ("error", "errors"),
    Outcome.WARNING: ("warning", "warnings"),
    Outcome.NOTE: ("note", "notes"),
    Outcome.OK: ("ok", "ok"),
    Outcome.SKIPPED: ("skipped", "skipped"),
}


def as_json(
    examination: Examination, fail_on: str, exit_code: int, *, whole: bool = False
) -> dict[str, Any]:
    """The examination as the schema describes it; `whole` with the list of what is missing."""
    following = examination.next
    return {
        "format": 1,
        "host": {
            "kind": examination.host.kind.value,
            "name": examination.host.name,
            "role": examination.role.value,
        },
        "findings": [
            _finding(result.check, finding)
            for result in examination.results
            for finding in result.findings
        ],
        "next": None
        if following is None
        else {
            "check": following[0].id,
            "fix": _cut(following[1].fix),
            "command": following[1].command,
        },
        **(_of_preflight(examination) if whole else {}),
        "counts": {outcome.value: examination.count(outcome) for outcome in Outcome},
        "fail_on": fail_on,
        "exit_code": exit_code,
    }


def _of_preflight(examination: Examination) -> dict[str, Any]:
    return {
        "missing": [_missing(*pair) for pair in examination.errors],
        "provenance": {name: _cut(text) for name, text in examination.provenance.items()},
    }


def _missing(check: Check, finding: Finding) -> dict[str, str]:
    return {
        "check": check.id,
        "found": _cut(finding.found),
        "fix": _cut(finding.fix),
        "command": finding.command,
    }


def _finding(check: Check, finding: Finding) -> dict[str, Any]:
    return {
        "check": check.id,
        "title": check.title,
        "outcome": finding.outcome.value,
        "found": _cut(finding.found),
        "why": check.why,
        "fix": _cut(finding.fix),
        "command": finding.command,
        "bug": check.bug or None,
        "evidence": check.evidence.value,
        "source": check.source,
        "explains": list(check.explains),
    }


def as_text(examination: Examination, *, whole: bool = False) -> Iterator[str]:
    """The examination as lines, with what comes next at the end; `whole` with all that is missing.

    The latter is for whoever will mend all of it before the next try.
    """
    end = _all_missing(examination) if whole else _next(examination)
    return map(printable, chain(_text(examination), end))


def _text(examination: Examination) -> Iterator[str]:
    yield f"{examination.host.name}, examined as {examination.role.value}"
    yield ""
    width = max((len(result.check.id) for result in examination.results), default=0)
    is_apart = True
    for result in examination.results:
        is_explained = False
        for finding in result.findings:
            if finding.outcome in _ONE_LINE:
                name = f"{result.check.id:<{width}}"
                yield f"{finding.outcome.value:<8} {name}  {_cut(finding.found)}"
                is_apart = False
                continue
            if not is_apart:
                yield ""
            yield from _block(result.check, finding, is_explained=is_explained)
            yield ""
            is_apart = is_explained = True
    if not is_apart:
        yield ""
    yield f"{examination.host.name}: {_counts(examination)}"


def _block(check: Check, finding: Finding, *, is_explained: bool) -> Iterator[str]:
    """What one finding says; the check's own part once, if it has several."""
    yield f"{finding.outcome.value}: {check.id}: {check.title}"
    yield from _labelled("found", _cut(finding.found))
    if not is_explained:
        yield from _labelled("why", check.why)
    yield from _labelled("fix", _cut(finding.fix))
    yield from _command(finding)
    if not is_explained:
        yield from _labelled("bug", f"{check.bug} of the field notes" if check.bug else "")
        more = f"attested-kms doctor --explain {check.id}"
        yield from _labelled("more", f"{more} ({check.evidence.value})")


def _command(finding: Finding) -> Iterator[str]:
    """To be copied: in one line, however long."""
    if finding.command:
        yield f"{'  run':<{_INDENT}}{finding.command}"


def _labelled(label: str, text: str) -> Iterator[str]:
    if text:
        lines = wrapped(f"  {label:<{_INDENT - 2}}", " " * _INDENT, text)
        yield from lines.split("\n")


def _counts(examination: Examination) -> str:
    counts = [(examination.count(outcome), words) for outcome, words in _COUNTED.items()]
    return ", ".join(f"{count} {words[count != 1]}" for count, words in counts)


def _next(examination: Examination) -> Iterator[str]:
    following = examination.next
    if following is None:
        return
    check, finding = following
    yield f"next: {check.id}"
    yield from _labelled("fix", _cut(finding.fix))
    yield from _command(finding)


def _all_missing(examination: Examination) -> Iterator[str]:
    errors = examination.errors
    if not errors:
        yield "nothing is missing for a run on hardware, as far as could be told"
    else:
        yield f"missing for a run on hardware, in the order in which to mend: {len(errors)}"
    for number, (check, finding) in enumerate(errors, 1):
        yield f"{number:>3}. {check.id}"
        yield from _labelled("found", _cut(finding.found))
        yield from _labelled("fix", _cut(finding.fix))
        yield from _command(finding)
    untold = dict.fromkeys(
        result.check.id
        for result in examination.results
        if any(each.outcome is Outcome.SKIPPED for each in result.findings)
    )
    if untold:
        text = wrapped("not looked at: ", " " * _INDENT, ", ".join(untold))
        yield from text.split("\n")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def listed(checks: Sequence[Check]) -> Iterator[str]:
    """A line for each check: its id, where it is asked, its title."""
    width = max(len(check.id) for check in checks)
    for check in checks:
        yield f"{check.id:<{width}}  {roles(check):<19}  {check.title}"


def roles(check: Check) -> str:
    """Where it is asked, or with which option only."""
    if check.option:
        return check.option
    return ", ".join(sorted((role.value for role in check.roles), reverse=True))


def explained(check: Check) -> Iterator[str]:
    """All that is known of a check without looking at a machine."""
    yield f"{check.id}: {check.title}"
    yield from _labelled("why", check.why)
    yield from _labelled("asked", f"{'with' if check.option else 'on'} {roles(check)}")
    yield from _labelled("after", ", ".join(check.needs))
    yield from _labelled("bug", f"{check.bug} of the field notes" if check.bug else "")
    yield from _labelled("source", f"{check.source} ({check.evidence.value})")
    for name in check.explains:
        explanation = BY_ID[name]
        yield ""
        yield f"{name}, as attested-kms explain has it"
        yield from _labelled("error", explanation.error)
        yield from _labelled("means", explanation.meaning)
        yield from _labelled("fix", explanation.fix)
        for cause in explanation.causes:
            yield from _labelled("cause", f"{cause.what}{f' ({cause.tell})' if cause.tell else ''}")
