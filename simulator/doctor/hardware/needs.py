"""What a run on real hardware needs, in the words of doctor.

`real_hw` says it, and is not imported here: simulator.commands.doctor carries it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permission:
    """An action that the caller must be allowed."""

    action: str
    """`service:Operation`."""
    why: str
    """What the run does with it, a sentence without its full stop."""
    resource: str
    """A resource to ask about, with {partition}, {region} and {account}; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """All of it."""

    cpus: int
    """Of the enclave."""
    memory_mib: int
    """Of the enclave."""
    disk_mib: int
    """For the image."""
    permissions: Sequence[Permission]
    run_tag: str
    """The tag of the keys that the run makes: IAM is asked about such keys alone."""
