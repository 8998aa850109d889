"""What the service tells the agent and the agent replies: one JSON object a line.

The members of a reply are those of the agent's own (amazon-ssm-agent, agent/contracts/model.go,
PluginRuntimeStatus), as far as the service uses them. Standard library only.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


class Result(enum.Enum):
    """What the agent says of a command: that it has come, and how it ended.

    When a script began it says with its end, as the real one does, which sends a result after each
    step (runpluginutil.go).
    """

    IN_PROGRESS = "InProgress"
    SUCCESS = "Success"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run a script."""

    command_id: str
    commands: Sequence[str]
    folder: str
    """Where the script and what it prints are kept."""
    working_directory: str
    timeout_seconds: float
    environment: Mapping[str, str]
    delay_seconds: float = 0.0
    """How long the message takes to come."""
    times: int = 1
    """How often it comes. The reply is that of the last time."""

    def line(self) -> str:
        """For the agent."""
        return json.dumps({"run": asdict(self)}) + "\n"

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Run:
        """From such a line's object."""
        return cls(**members["run"])


@dataclass(frozen=True, slots=True)
class Cancel:
    """Kill the script of a command, if it runs."""

    command_id: str

    def line(self) -> str:
        """For the agent."""
        return json.dumps({"cancel": self.command_id}) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the agent says of one command."""

    command_id: str
    result: Result
    code: int = -1
    output: str = ""
    """Both streams in one text, cut."""
    stdout: str = ""
    stderr: str = ""
    began: float = field(default=0.0)
    """Seconds since the epoch."""
    ended: float = field(default=0.0)

    def line(self) -> str:
        """For the service."""
        return json.dumps({**asdict(self), "result": self.result.value}) + "\n"

    @classmethod
    def of(cls, line: str) -> Reply:
        """From such a line."""
        members = json.loads(line)
        return cls(**{**members, "result": Result(members["result"])})
