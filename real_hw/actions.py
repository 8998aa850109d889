"""What the hardware target may do to the world: every command, call, process and file of a run.

One door, so that `--dry-run` can stand in it: `RealActions` (real_hw.doing) does what it is asked,
`PlannedActions` (real_hw.planning) prints it and answers with the stand-in that each question
carries. No code of the target knows which of the two it has. What is to be done, and in which
order, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from scenarios.target import Finished, Members, RawAnswer

COMMAND_SECONDS = 60.0
"""How long a command may take unless it says otherwise."""


class ActionFailed(Exception):
    """An action came to no answer: no network, no such command, too late. A sentence says which.

    Nothing was observed: whoever asks records nothing.
    """


class CallRefused(Exception):
    """AWS answered a call with an error, passed on exactly as given."""

    def __init__(self, code: str, message: str, http_status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


@dataclass(frozen=True, slots=True)
class Command:
    """A command of this machine, run without a shell."""

    words: tuple[str, ...]
    why: str
    """What it is for, in a sentence without its full stop."""
    source: str
    """Who says that it is written so."""
    stand_in: Finished = field(default_factory=lambda: Finished(0, "", ""))
    """What a plan takes for its answer."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """Changes of the variables of this process; None takes one away."""
    seconds: float = COMMAND_SECONDS
    kill_after: str | None = None
    """Kill it, and nothing else, once it has printed a line with this text."""
    folder: Path | None = None
    """Where it runs."""
    interruptible: bool = True
    """Whether a signal to this process may stop the wait for it: false for what makes something
    that could not be found again, such as an enclave that is about to start."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to AWS with the credentials of the parent instance's role."""

    service: str
    """As boto3 names it: `kms`."""
    operation: str
    """As the API names it: `CreateKey`."""
    members: Members
    why: str
    source: str
    stand_in: Members = field(default_factory=dict)
    as_it_stands: bool = False
    """Send the JSON of `members` as it is, instead of what boto3 makes of it; blobs are base64."""
    attempts: int = 3
    """How often to try where AWS is busy; 1 for whatever a scenario observes."""
    raw: Callable[[RawAnswer], None] | None = None
    """Takes the answer as it came, before boto3 reads it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A line of JSON to a process that answers each with one."""

    message: Mapping[str, Any]
    why: str
    stand_in: Mapping[str, Any]
    seconds: float = COMMAND_SECONDS


@dataclass(frozen=True, slots=True)
class Started:
    """How a process is started that goes on beside this one."""

    command: Command
    log: Path
    """Where its standard error goes, which is kept."""
    output: Path | None = None
    """Where its standard output goes; None: it is read here, and has said a line when ready."""


class Process(Protocol):
    """A process that goes on beside this one."""

    def wait_until_ready(self) -> None:
        """Return when it has printed `ready`. Raises ActionFailed with what it said instead."""
        ...

    def ask(self, question: Question) -> Mapping[str, Any]:
        """Its answer. Raises ActionFailed."""
        ...

    def end(self) -> None:
        """End it and wait for it; does nothing if it has ended."""
        ...


class Actions(Protocol):
    """All that a run does outside this process."""

    def run(self, command: Command) -> Finished:
        """Run a command to its end. Raises ActionFailed if it cannot be run or does not end."""
        ...

    def call(self, call: Call) -> Members:
        """The members of the response. Raises CallRefused, NotSent, ActionFailed."""
        ...

    def start(self, started: Started) -> Process:
        """Start a process. Raises ActionFailed."""
        ...

    def make_folder(self, path: Path, why: str) -> None:
        """Make a folder, and those above it. Raises ActionFailed."""
        ...

    def write(self, path: Path, text: str, why: str, *, mode: int = 0o644) -> None:
        """Write a text file anew. Raises ActionFailed."""
        ...

    def append(self, path: Path, line: str) -> None:
        """Add a line to a file, on the disk when this returns. Raises ActionFailed."""
        ...

    def remove(self, path: Path, why: str) -> None:
        """Remove a folder with all that is in it, or a file; nothing if there is none."""
        ...

    def read(self, path: Path, stand_in: str) -> str:
        """A text file. Raises ActionFailed."""
        ...

    def size(self, path: Path, stand_in: int | None) -> int | None:
        """The size of a file in bytes, None where there is none."""
        ...

    def wait(self, seconds: float, why: str) -> None:
        """Let `seconds` pass."""
        ...
