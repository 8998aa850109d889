"""What a check is, and what it finds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor.host import Host


class Role(enum.Enum):
    """What a machine is for."""

    PARENT = "parent"
    """A parent instance: enclaves run on it, or are to."""
    DEVELOPMENT = "development"
    """A laptop or CI: the project's own tools run on it, and host programs are built."""


class Outcome(enum.Enum):
    """How a check ended, worst first."""

    ERROR = "error"
    """No enclave, no build or no KMS call until it is mended."""
    WARNING = "warning"
    """It may fail, or could not be told."""
    NOTE = "note"
    """Looks like a fault and is none, or is good to know."""
    OK = "ok"
    SKIPPED = "skipped"
    """Not asked; `found` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; each text a sentence without its full stop, for a user."""

    outcome: Outcome
    found: str
    """What is so on this machine: names, numbers, paths."""
    fix: str = ""
    """What to do, for outcomes ERROR and WARNING."""
    command: str = ""
    """A command line for bash, as root, that does the fix as it stands; empty where none can."""


Probe = Callable[[Host], Iterable[Finding]]
"""Looks at the machine; at least one finding. What the interface raises may pass: the runner makes
a warning of it that says what could not be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be right."""

    id: str
    """`area.name`."""
    title: str
    """What must be so, in one line."""
    why: str
    """What goes wrong otherwise, with the error that users see; and the cause."""
    roles: frozenset[Role]
    """On which machines it is asked."""
    probe: Probe
    evidence: Evidence
    source: str
    needs: tuple[str, ...] = ()
    """Checks that come before: if one of them ends in ERROR, this one is SKIPPED."""
    option: str = ""
    """The option of doctor without which it is not asked."""
    replaces: tuple[str, ...] = ()
    """Checks that are not asked where it is: it tells more of the same."""
    bug: str = ""
    """The number of the bug in the field notes from which this project grew."""
    explains: tuple[str, ...] = ()
    """Ids of `attested-kms explain` about the errors that come of it."""
