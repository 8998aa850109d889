"""Lines that say what takes its time, so that nobody takes a long step for the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONG_SECONDS = 2.0


def say_on_stderr(line: str) -> None:
    """Print a line."""
    print(f"attested-kms hardware: {line}", file=sys.stderr, flush=True)


class Progress:
    """Says a step when it begins, if it is expected to be long, and what it took if it was."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock

    @contextmanager
    def step(self, what: str, *, expected: float = 0.0) -> Iterator[None]:
        """Something that may take `expected` seconds."""
        began = self._clock()
        if expected >= LONG_SECONDS:
            self._say(f"{what} (about {expected:.0f} s)")
        yield
        took = self._clock() - began
        if took >= LONG_SECONDS:
            self._say(f"{what}: {took:.0f} s")
