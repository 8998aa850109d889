"""Actions that are told and not done: what a run would do, in its order.

Nothing is started, sent or written. Each answer is the stand-in that the question carries.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real_hw.actions import Call, Command, Question, Started
from scenarios.target import Finished, Members

Say = Callable[[str], None]
"""Takes a line without its end."""


@dataclass(frozen=True, slots=True)
class PlannedProcess:
    """A process that nobody started."""

    say: Say

    def wait_until_ready(self) -> None:
        """It is."""

    def ask(self, question: Question) -> Mapping[str, Any]:
        """The stand-in."""
        self.say(f"ask    {question.why}")
        return question.stand_in

    def end(self) -> None:
        """Nothing is there to end."""


class PlannedActions:
    """Tells each action in a line that begins with its kind, and why in a line below."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def run(self, command: Command) -> Finished:
        """The stand-in of a command."""
        self._tell("run", words_of(command), command.why, command.source)
        return command.stand_in

    def call(self, call: Call) -> Members:
        """The stand-in of a call."""
        text = f"{call.service} {call.operation} {json.dumps(shown(call.members))}"
        self._tell("call", text, call.why, call.source)
        return call.stand_in

    def start(self, started: Started) -> PlannedProcess:
        """A process that nobody started."""
        command = started.command
        self._tell("start", words_of(command), command.why, command.source)
        return PlannedProcess(self._say)

    def make_folder(self, path: Path, why: str) -> None:
        """Tell it."""
        self._tell("make", f"{path}/", why)

    def write(self, path: Path, text: str, why: str, *, mode: int = 0o644) -> None:
        """Tell it."""
        self._tell("write", f"{path} ({len(text.encode())} bytes, mode {mode:o})", why)

    def append(self, path: Path, line: str) -> None:
        """Say nothing: the ledger tells what the plan tells."""

    def remove(self, path: Path, why: str) -> None:
        """Tell it."""
        self._tell("remove", str(path), why)

    def read(self, path: Path, stand_in: str) -> str:  # noqa: ARG002  # A plan reads nothing.
        """The stand-in."""
        return stand_in

    def size(self, path: Path, stand_in: int | None) -> int | None:  # noqa: ARG002  # The same.
        """The stand-in."""
        return stand_in

    def wait(self, seconds: float, why: str) -> None:
        """Tell it."""
        self._tell("wait", f"{seconds:g} s", why)

    def _tell(self, kind: str, what: str, why: str, source: str = "") -> None:
        self._say(f"{kind:6} {what}")
        self._say(f"       # {why}{f' [{source}]' if source else ''}")


def words_of(command: Command) -> str:
    """A command as a shell takes it, with the variables that it gets."""
    changes = [
        f"{name}={shlex.quote(value)}"
        for name, value in command.environment.items()
        if value is not None
    ]
    gone = [f"-u {name}" for name, value in command.environment.items() if value is None]
    front = ["env", *gone, *changes] if gone else changes
    return " ".join((*front, shlex.join(command.words)))


def shown(value: Any) -> Any:
    """Members of a request as JSON shows them: of bytes how many there are."""
    match value:
        case bytes():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {name: shown(item) for name, item in value.items()}
        case list() | tuple():
            return [shown(item) for item in value]
    return value
