"""One check, from a subject to its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulator.lint import boots
from simulator.lint.boot_report import BootReport
from simulator.lint.findings import Finding, Severity
from simulator.lint.rules import RULES
from simulator.lint.subject import Form, Subject


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found."""

    subject: Subject
    findings: Sequence[Finding]
    """Worst first, then in the order of the table."""
    boot: BootReport | None
    """The boot that is expected; None where that is not known."""
    undecided: Sequence[str]
    """What could not be told, each with what would help."""

    def reaches(self, severity: Severity) -> bool:
        """Whether anything is as bad as `severity`."""
        return any(finding.found.severity.rank <= severity.rank for finding in self.findings)


def check(subject: Subject) -> Result:
    """Look for every trap."""
    findings = [Finding(rule, found) for rule in RULES for found in rule.look(subject)]
    findings.sort(key=lambda finding: finding.found.severity.rank)
    return Result(subject, findings, _expected(subject, findings), list(_undecided(subject)))


def _expected(subject: Subject, findings: Sequence[Finding]) -> BootReport | None:
    """That of the files, or of the worst finding that is sure; else that of any that may be."""
    found = [finding.found.boot for finding in findings if finding.found.boot.is_dead]
    sure = next((boot for boot in found if not boot.may), None)
    predicted = boots.predicted(subject)
    if predicted is not None and predicted.is_dead:
        return predicted
    return sure or next(iter(found), None) or predicted


_SAVED = "lint the built image: docker save NAME > image.tar, or docker inspect NAME"


def _undecided(subject: Subject) -> Iterator[str]:
    yield from subject.undecided
    if not subject.is_known and subject.command is None:
        yield (
            "Neither CMD nor ENTRYPOINT is set, so the command is that of the base image, which "
            f"is not known here; {_SAVED}."
        )
    if subject.files is None:
        yield (
            "Whether the program, its interpreter, its libraries and certificates of authorities "
            f"are in the image. {_why_unknown(subject)}"
        )


def _why_unknown(subject: Subject) -> str:
    if subject.form is Form.INSPECTED:
        return (
            "Its files are not in what docker inspect prints; give the image: docker save NAME > "
            "image.tar."
        )
    why = f"It cannot be built here: {subject.unbuilt}." if subject.unbuilt else ""
    return f"{why} Lint the built image: docker save NAME > image.tar.".lstrip()
