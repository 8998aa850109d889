"""How sure we are of a behaviour of the real KMS.

Every rule of this package states it where the rule is defined: separately for the exception type,
for the text and for its place in the order of checks, because they were learnt separately.
"""

import enum


class Evidence(enum.Enum):
    """Where a statement about real KMS comes from, strongest claim first."""

    DOCUMENTED = "documented"
    """An AWS text or service model says so."""
    RECORDED = "recorded"
    """A run of this project's suite on real hardware saw it. Only such a run writes this."""
    REPORTED = "reported"
    """Somebody published a run against the real service; the source names it."""
    INFERRED = "inferred"
    """Concluded from the above."""
    UNKNOWN = "unknown"
    """Nothing settles it; the fake had to choose."""
