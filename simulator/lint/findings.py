"""What a rule is, and what a check finds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.lint.boot_report import BootReport
from simulator.lint.subject import Place, Subject


class Severity(enum.Enum):
    """How bad a finding is, worst first."""

    ERROR = "error"
    """The enclave is not built, or is gone at once."""
    WARNING = "warning"
    """It may be gone, or does something else than the image says."""
    INFO = "info"
    """Something of the image does not count in an enclave."""

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Found:
    """One place where an image has a trap."""

    severity: Severity
    wrong: str
    """What is wrong there, in a sentence without its full stop; with `may` where it is not sure."""
    place: Place | None
    boot: BootReport
    """The boot that it gives."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One known trap, with what is known of it."""

    id: str
    severities: tuple[Severity, ...]
    """Those that its findings can have, worst first."""
    title: str
    """What it is, in one line."""
    why: str
    fix: str
    source: str
    evidence: Evidence
    """How sure we are that an enclave behaves so."""
    look: Callable[[Subject], Iterable[Found]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A trap that an image has."""

    rule: Rule
    found: Found
