"""The simulator's time: the machine's own, moved as far as a test says."""

from __future__ import annotations

import time
from threading import Lock


class SimulatedClock:
    """A clock that goes on ticking and can be moved. Called, it gives ms since the Unix epoch.

    One clock is shared by the NSM and KMS, as both follow true time on real machines; a test that
    wants skew gives them two. Thread-safe.
    """

    def __init__(self) -> None:
        self._offset_ms = 0
        self._lock = Lock()

    def __call__(self) -> int:
        """Milliseconds since the Unix epoch."""
        return _machine_ms() + self._offset_ms

    @property
    def offset_ms(self) -> int:
        """How far this clock is ahead of the machine's, in milliseconds."""
        return self._offset_ms

    def pass_time(self, seconds: float) -> None:
        """Move the clock by `seconds`; negative moves it back."""
        with self._lock:
            self._offset_ms += round(seconds * 1000)

    def set_offset(self, offset_ms: int) -> None:
        """Put the clock `offset_ms` ahead of the machine's, wherever it was."""
        with self._lock:
            self._offset_ms = offset_ms

    def set_now(self, now_ms: int) -> None:
        """Let the clock show `now_ms` now, milliseconds since the Unix epoch, and go on."""
        self.set_offset(now_ms - _machine_ms())


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000
