"""Where a target is known to differ from what was recorded on hardware, each with its reason.

Strict: a difference that is not here fails its scenario, and so does an entry whose difference is
gone. Empty, because nothing has been recorded on hardware yet.
"""

from __future__ import annotations

from dataclasses import dataclass

HELD = frozenset({"sim", "rehearsal"})
"""The targets that are held to the records of hardware."""


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """One fact of one answer of a scenario that is allowed to differ."""

    scenario: str
    """`area/name`."""
    place: str
    """As the failure names it: `Decrypt by enclave, 2`, or the name of an observation."""
    member: str
    """`message`, `code`, ..."""
    reason: str
    """Why it differs and will go on to."""
    targets: frozenset[str] = HELD


KNOWN_DIFFERENCES: tuple[KnownDifference, ...] = ()
