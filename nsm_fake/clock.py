"""The clock that the fake reads: a function, so that a test can move it.

Nothing in this package reads the time in another way. The unit is that of the `timestamp` of an
attestation document.
"""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Milliseconds since the Unix epoch (UTC, no leap seconds)."""


def system_clock() -> int:
    """The machine's own time, in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000
