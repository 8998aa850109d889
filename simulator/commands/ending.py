"""What is left of a command that is told to end: nothing half done.

Python makes an exception of Ctrl-C, so that temporary files are removed. SIGTERM, with which
`timeout` and CI end a command, and SIGHUP, with which a terminal does, kill without one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128
"""What a shell adds to a signal's number for the exit code."""


@contextmanager
def tidy_end() -> Iterator[None]:
    """Make those signals an exception too, where nobody has decided otherwise (nohup)."""
    changed = []
    if threading.current_thread() is threading.main_thread():
        changed = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(_BY_SIGNAL + number)
