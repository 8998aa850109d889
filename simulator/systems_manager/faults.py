"""What is to go wrong with commands on purpose, as `attested-kms run --fault` says it of vsock.

A fault is written TARGET=ACTION: `2=lost`. Targets are the number of a command, counted from 1 in
the order in which they are sent, `each` for all that have no number, and `agent`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

GRAMMAR = "N=lost|twice|delay:SECONDS|unseen:CALLS (N is a number, or each), agent=offline"
"""What can be written, for messages."""

_SPEC = re.compile(
    r"(?P<target>[1-9][0-9]{0,5}|each|agent)=(?P<action>[a-z]+)(?::(?P<value>[0-9.]+))?", re.ASCII
)
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
_CALLS = re.compile(r"[0-9]{1,6}", re.ASCII)


class BadFault(ValueError):
    """No fault is written so: the message says what is wrong and what can be written."""


@dataclass(frozen=True, slots=True)
class CommandFault:
    """What happens to one command."""

    lost: bool = False
    """It never comes to the agent: it stays Pending until its delivery times out."""
    twice: bool = False
    """The agent runs it twice, one after the other has begun."""
    delay_seconds: float = 0.0
    """How long it is Delayed."""
    unseen_calls: int = 0
    """To how many calls of GetCommandInvocation the invocation does not exist yet."""


NOTHING = CommandFault()


@dataclass(frozen=True, slots=True)
class Faults:
    """All that is to go wrong."""

    commands: Mapping[int, CommandFault] = field(default_factory=dict)
    """By the command's number, from 1."""
    each: CommandFault = NOTHING
    """Of all others."""
    is_offline: bool = False
    """The agent takes nothing: every command stays Pending until its delivery times out."""

    def of(self, number: int) -> CommandFault:
        """What happens to the command with this number."""
        return self.commands.get(number, self.each)

    @classmethod
    def parse(cls, specs: Iterable[str]) -> Faults:
        """The faults of `specs`; a later one of the same target adds to the earlier.

        Raises BadFault.
        """
        faults = cls()
        for spec in specs:
            match = _SPEC.fullmatch(spec)
            if match is None:
                raise BadFault(f"{spec!r} is not a fault; write {GRAMMAR}.")
            target, action, value = match["target"], match["action"], match["value"]
            if target == "agent":
                if (action, value) != ("offline", None):
                    raise BadFault(f"{spec!r} is not a fault; write agent=offline.")
                faults = replace(faults, is_offline=True)
            elif target == "each":
                faults = replace(faults, each=_with(spec, faults.each, action, value))
            else:
                number = int(target)
                before = faults.commands.get(number, NOTHING)
                one = {number: _with(spec, before, action, value)}
                faults = replace(faults, commands={**faults.commands, **one})
        return faults


def _with(spec: str, before: CommandFault, action: str, value: str | None) -> CommandFault:
    match action, value:
        case "lost", None:
            return replace(before, lost=True)
        case "twice", None:
            return replace(before, twice=True)
        case "delay", str() if _SECONDS.fullmatch(value):
            return replace(before, delay_seconds=float(value))
        case "unseen", str() if _CALLS.fullmatch(value):
            return replace(before, unseen_calls=int(value))
    raise BadFault(f"{spec!r} is not a fault; write {GRAMMAR}.")
