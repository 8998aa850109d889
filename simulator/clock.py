"""The simulator's time: the machine's own, moved forward as far as a test says."""

from __future__ import annotations

import time
from threading import Lock


class SimulatedClock:
    """A clock that goes on ticking and can be moved. Called, it gives ms since the Unix epoch.

    One clock is shared by the NSM and KMS, as both follow true time on real machines; a test that
    wants skew gives them two.
    """

    def __init__(self) -> None:
        self._offset_ms = 0
        self._lock = Lock()

    def __call__(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000 + self._offset_ms

    def pass_time(self, seconds: float) -> None:
        """Move the clock by `seconds`; negative moves it back."""
        with self._lock:
            self._offset_ms += round(seconds * 1000)
