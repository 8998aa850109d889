"""What a run is doing, on standard error, once it takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

_FIRST = 2.0
_LONGEST = 60.0


@dataclass
class Progress:
    """Says at growing distances what goes on, and how long the run has taken.

    `say` takes a line; `clock` gives seconds; both are replaced in tests.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _doing: str = ""
    _began: float = 0.0
    _distance: float = _FIRST
    _next: float = 0.0

    def __post_init__(self) -> None:
        """The first line comes two seconds from now."""
        self._began = self.clock()
        self._next = self._began + _FIRST

    def begin(self, doing: str) -> None:
        """What is done from now on; said when the time for a line has come."""
        self._doing = doing

    def tick(self, state: str) -> None:
        """It still goes on: `state` is what the service calls it."""
        now = self.clock()
        if now < self._next:
            return
        self.say(f"{self._doing}: {state}, {now - self._began:.0f} s")
        self._distance = min(self._distance * 2, _LONGEST)
        self._next = now + self._distance


def on_standard_error(line: str) -> None:
    """As the command's own messages are written."""
    print(f"attested-kms ssm run: {line}", file=sys.stderr, flush=True)


def nowhere(_line: str) -> None:
    """For --quiet."""
