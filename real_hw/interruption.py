"""What becomes of SIGTERM, SIGINT and SIGHUP while a run has things to undo.

The first one becomes an exception, so that everything is undone on its way out; while something is
being made that could not be found again, it waits until that has answered. The next ones are told
what is going on and change nothing: whoever is impatient has SIGKILL, and then
`attested-kms hardware clean`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end; its name is the message."""


class Interruption:
    """The signals of one run, from `install` to `restore`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._before: dict[signal.Signals, Any] = {}
        self._arrived: str | None = None
        self._waits_for: str | None = None
        self._undoing = False

    def install(self) -> None:
        """Take the signals. Only the main thread can; in others this does nothing."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # As nohup wants it.
                    self._before[number] = signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def check(self) -> None:
        """Raise Interrupted if a signal came whose exception was lost on its way.

        Python drops exceptions that happen in destructors.
        """
        if self._arrived is not None and not self._undoing:
            raise Interrupted(self._arrived)

    @contextmanager
    def held(self, why: str) -> Iterator[None]:
        """Within the context a signal waits for its end. Raises Interrupted there."""
        before, self._waits_for = self._waits_for, why
        try:
            yield
        finally:
            self._waits_for = before
            if before is None:
                self.check()

    @contextmanager
    def undoing(self) -> Iterator[None]:
        """Within the context, of undoing, signals are told to wait; `check` raises it later."""
        before, self._undoing = self._undoing, True
        try:
            yield
        finally:
            self._undoing = before

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        is_first = self._arrived is None
        self._arrived = self._arrived or name
        if self._undoing or not is_first:
            self._say(f"{name}: what the run made is being removed; please wait for its end")
            return
        if self._waits_for is not None:
            self._say(f"{name}: the run ends as soon as this has answered: {self._waits_for}")
            return
        raise Interrupted(name)
