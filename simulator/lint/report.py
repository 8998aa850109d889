"""The result of a check as text for people and as JSON for programs.

The JSON is that of `simulator/schemas/lint.schema.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from simulator.lint.findings import Finding, Severity

if TYPE_CHECKING:
    from simulator.lint.boot_report import BootReport
    from simulator.lint.check import Result

_COUNTED = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def as_json(result: Result, fail_on: str, exit_code: int) -> dict[str, Any]:
    """The result as the schema describes it."""
    return {
        "format": 1,
        "input": {"name": result.subject.name, "form": result.subject.form.value},
        "boot": _boot(result.boot) if result.boot is not None else None,
        "findings": [_finding(finding) for finding in result.findings],
        "undecided": list(result.undecided),
        "counts": {severity.value: count for severity, count in _counts(result).items()},
        "fail_on": fail_on,
        "exit_code": exit_code,
    }


def _counts(result: Result) -> dict[Severity, int]:
    return {
        severity: sum(finding.found.severity is severity for finding in result.findings)
        for severity in Severity
    }


def _boot(boot: BootReport) -> dict[str, Any]:
    return {
        "outcome": boot.outcome.value,
        "may": boot.may,
        "argv": list(boot.argv),
        "dropped": list(boot.dropped),
        "console": list(boot.console),
        "seen": dict(boot.seen()),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    rule, found = finding.rule, finding.found
    return {
        "id": rule.id,
        "severity": found.severity.value,
        "title": rule.title,
        "line": found.place.line if found.place is not None else None,
        "place": found.place.text if found.place is not None else None,
        "wrong": found.wrong,
        "why": rule.why,
        "fix": rule.fix,
        "source": rule.source,
        "evidence": rule.evidence.value,
        "boot": _boot(found.boot),
    }


def as_text(result: Result) -> Iterator[str]:
    """The result as lines, in which nothing of an image can steer a terminal."""
    return map(printable, _text(result))


def printable(line: str) -> str:
    """What anybody may have written, without control characters and halves of characters."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)
    return shown.encode("utf-8", "backslashreplace").decode()


def _text(result: Result) -> Iterator[str]:
    for finding in result.findings:
        yield from _finding_text(result, finding)
        yield ""
    if result.boot is not None:
        yield "the boot that may come" if result.boot.may else "the boot to expect"
        yield from _boot_text(result.boot)
        yield ""
    if result.undecided:
        yield "not decided"
        for sentence in result.undecided:
            yield f"  {sentence}"
        yield ""
    yield f"{result.subject.name}: " + ", ".join(
        f"{count} {_COUNTED[severity]}{'' if count == 1 else 's'}"
        for severity, count in _counts(result).items()
    )


def _finding_text(result: Result, finding: Finding) -> Iterator[str]:
    rule, found = finding.rule, finding.found
    yield f"{found.severity.value}: {rule.id}: {rule.title}"
    if found.place is not None:
        yield f"  where   {found.place}"
    yield f"  wrong   {found.wrong}"
    yield f"  why     {rule.why}"
    yield f"  fix     {rule.fix}"
    yield f"  source  {rule.source} ({rule.evidence.value})"
    if found.boot != result.boot and found.boot.is_dead:
        yield "  the boot that may come" if found.boot.may else "  the boot to expect"
        yield from (f"  {line}" for line in _boot_text(found.boot))


def _boot_text(boot: BootReport) -> Iterator[str]:
    if boot.argv:
        yield f"  runs      {_list(boot.argv)}"
    for dropped in boot.dropped:
        yield f"  ignored   {dropped}"
    for line in boot.console:
        yield f"  console   {line}"
    if not boot.is_dead:
        yield "  then      nothing seen here stops it"
    for command, what in boot.seen():
        yield f"  nitro-cli {command}: {what}"


def _list(words: Sequence[str]) -> str:
    return json.dumps(list(words), ensure_ascii=False)
