"""What a run has made, written down before it is, and how it is all undone.

The ledger is a file of JSON lines: {"step": 3, "what": "kms-key", "name": ..., "state": ...}, with
the states `begun` (about to be made; whether it was is known only later), `made`, `undone` and
`not made`. So even after a power cut there is a list. What is undone how is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from real_hw.actions import ActionFailed, Actions
from real_hw.interruption import Interruption

Undoing = Callable[["Entry"], None]
"""Undoes what an entry stands for; `name` is None if nobody knows whether it was made."""


class CleanupFailed(ActionFailed):
    """Something that the run made is still there; the message says what."""


class Entry:
    """One thing that is made, from before it is until it is gone."""

    def __init__(self, ledger: Ledger, step: int, what: str, undo: Undoing) -> None:
        self.what = what
        self.name: str | None = None
        self.is_over = False
        self._ledger = ledger
        self._step = step
        self._undo = undo
        self._note("begun")

    def made(self, name: str) -> None:
        """It is there, under this name."""
        self.name = name
        self._note("made")

    def not_made(self) -> None:
        """It was refused: there is nothing to undo."""
        self.is_over = True
        self._note("not made")

    def undo(self) -> None:
        """Undo it, once. Raises what the undoing raises; then it is still to be undone."""
        if not self.is_over:
            self._undo(self)
            self.is_over = True
            self._note("undone")

    def _note(self, state: str) -> None:
        self._ledger.note(
            {"step": self._step, "what": self.what, "name": self.name, "state": state}
        )


class Ledger:
    """The things that a run makes."""

    def __init__(
        self,
        actions: Actions,
        path: Path,
        interruption: Interruption,
        say: Callable[[str], None],
    ) -> None:
        self._actions = actions
        self._path = path
        self._interruption = interruption
        self._say = say
        self._entries: list[Entry] = []

    def begin(self, what: str, undo: Undoing) -> Entry:
        """Write down that something is about to be made. Raises ActionFailed if that fails."""
        entry = Entry(self, len(self._entries) + 1, what, undo)
        self._entries.append(entry)
        return entry

    @contextmanager
    def making(self, what: str, undo: Undoing) -> Iterator[Entry]:
        """The same for what takes a moment: a signal waits until it has been made and named."""
        with self._interruption.held(f"a thing of the run is being made: {what}"):
            yield self.begin(what, undo)

    def note(self, line: Mapping[str, object]) -> None:
        """Write a line."""
        self._actions.append(self._path, json.dumps(line))

    def undo_all(self) -> None:
        """Undo everything, the last first. Raises CleanupFailed when it is through."""
        failed: list[str] = []
        for entry in reversed(self._entries):
            try:
                entry.undo()
            except Exception as error:  # noqa: BLE001  # Whatever it is, the others must go on.
                failed.append(f"{entry.what} {entry.name or '(perhaps made)'}: {error}")
                self._say(f"not removed: {failed[-1]}")
        if failed:
            raise CleanupFailed(
                f"{len(failed)} of the things that the run made may still be there; "
                f"{self._path} has the list, and attested-kms hardware clean removes what is left: "
                + "; ".join(failed)
            )
