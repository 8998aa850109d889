"""How a run can end, and the exit code of each end.

A script may end with any of 0 to 255, so no code is free. 124 is what `timeout` gives. The others
lie between what shells make of signals (128 to 192) and 255, which ssh and `exit -1` give; Ctrl-C
is 130 as everywhere. A sentence on standard error always says which end it was, and `--json` too.
"""

from __future__ import annotations

from enum import Enum


class Ended(Enum):
    """The word in JSON, and the exit code; None where it is the script's own."""

    SCRIPT = ("script", None)
    TIMED_OUT = ("timed-out", 124)
    OUTCOME_LOST = ("outcome-lost", 250)
    NOT_STARTED = ("not-started", 251)
    CANCELLED = ("cancelled", 252)
    UNREACHABLE = ("unreachable", 253)
    REFUSED = ("refused", 254)
    USAGE = ("usage", 2)

    def __init__(self, word: str, exit_code: int | None) -> None:
        self.word = word
        self.exit_code = exit_code


class RunFailed(Exception):
    """The run ended otherwise than by the script's end; the message is sentences for the user."""

    def __init__(self, ended: Ended, message: str) -> None:
        super().__init__(message)
        self.ended = ended
