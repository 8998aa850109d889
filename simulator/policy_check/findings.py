"""What a trap is, and what a check finds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.policy_check.requests import Document
from simulator.policy_check.statements import Statement
from simulator.policy_check.study import Study
from simulator.policy_check.subjects import Subject


class Severity(enum.Enum):
    """How bad a finding is, worst first."""

    ERROR = "error"
    """The key can be used, or its policy got round, without the attestation that is meant; or the
    policy cannot work."""
    WARNING = "warning"
    """It can, under a condition that the policy does not show, or the attestation says too little.
    """
    INFO = "info"
    """Worth knowing; right in some designs."""

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Case:
    """A request that the evaluator answered, which shows the finding."""

    subject: Subject
    action: str
    document: Document
    changed: str = ""
    """What of the document was made different, for example `another PCR0`."""
    allowed: bool = True

    @property
    def text(self) -> str:
        """In words."""
        document = f"{self.document.value}, but {self.changed}" if self.changed else ""
        verdict = "allowed" if self.allowed else "denied"
        return (
            f"{self.subject.label}: {self.action} with {document or self.document.value} is "
            f"{verdict}"
        )


@dataclass(frozen=True, slots=True)
class Found:
    """One place where a policy has a trap."""

    statement: Statement
    severity: Severity
    wrong: str
    """What is wrong there, in a sentence without its full stop."""
    path: str = ""
    """The JSON path in the statement's file; that of the statement if empty."""
    cases: tuple[Case, ...] = ()
    """The requests that show it; none where it is only read off the statement."""

    @property
    def place(self) -> str:
        """The JSON path."""
        return self.path or self.statement.path


@dataclass(frozen=True, slots=True)
class Trap:
    """One known mistake, with what is known of it."""

    id: str
    severities: tuple[Severity, ...]
    """Those that its findings can have, worst first."""
    title: str
    """What it is, in one line."""
    why: str
    fix: str
    source: str
    evidence: Evidence
    """How sure we are that KMS behaves so."""
    look: Callable[[Study], Iterable[Found]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A trap that a policy has."""

    trap: Trap
    found: Found


def merged(findings: Iterable[Found]) -> list[Found]:
    """One for each place, severity and sentence, with the cases of all."""
    kept: dict[tuple[str, str, Severity, str], Found] = {}
    for found in findings:
        key = (found.statement.file.name, found.place, found.severity, found.wrong)
        before = kept.get(key)
        cases = (*before.cases, *found.cases) if before else found.cases
        kept[key] = Found(
            found.statement,
            found.severity,
            found.wrong,
            found.path,
            tuple(dict.fromkeys(cases)),
        )
    return list(kept.values())
