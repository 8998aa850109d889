"""The command `journalctl`: what the units of the instance's packages have said, or its kernel.

-u UNIT, -n N, -k, and what changes nothing here (--no-pager, -x, -e, -b); `inferred`, of systemd
252. A line has no host's name and no process's number. Other options end with 70.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.instance.dmesg import kernel_lines
from simulator.nitro_cli.main import NO_MACHINE
from simulator.packages import services
from simulator.packages.machine import Machine, command, complain, say

_IGNORED = frozenset(
    ["x", "e", "b", "a", "l", "--no-pager", "--catalog", "--pager-end", "--boot", "--all", "--full"]
)
_WITH_VALUE = {"-u": "unit", "--unit": "unit", "-n": "lines", "--lines": "lines"}
_KERNEL = frozenset({"k", "--dmesg"})
_QUIET = frozenset({"q", "--quiet"})
_END = 1000
"""How many lines -e shows."""


class _Unusable(Exception):
    """A command line that is not simulated, or none; the message says which."""

    def __init__(self, message: str, exit_code: int = NO_MACHINE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(slots=True)
class _Asked:
    units: list[str] = field(default_factory=list)
    last: int | None = None
    kernel: bool = False
    quiet: bool = False


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command("journalctl", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    try:
        asked = _read(arguments)
    except _Unusable as error:
        complain(str(error))
        return error.exit_code
    machine = Machine.find(os.environ)
    if asked.kernel:
        lines = [
            f"{time.strftime('%b %d %H:%M:%S', time.gmtime(moment))} kernel: {text}"
            for moment, _, text in kernel_lines(machine)
        ]
    else:
        lines = services.journal(machine.path, asked.units)
    for line in lines if asked.last is None else lines[len(lines) - min(asked.last, len(lines)) :]:
        say(line)
    if not lines and not asked.quiet:
        say("-- No entries --")
    return 0


def _read(arguments: Sequence[str]) -> _Asked:
    """Raises _Unusable."""
    asked = _Asked()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE:
            _set(asked, _WITH_VALUE[name], value if equals else None, rest)
        elif word.startswith("--"):
            _switch(asked, word)
        elif word.startswith("-") and len(word) > 1:
            # Letters stand together, and the value of the last may too: -xeu UNIT, -n5.
            for index, letter in enumerate(word[1:], 2):
                if f"-{letter}" in _WITH_VALUE:
                    _set(asked, _WITH_VALUE[f"-{letter}"], word[index:] or None, rest)
                    break
                _switch(asked, letter)
        else:
            raise _Unusable(f"journalctl (attested-kms): the match {word} is not simulated")
    return asked


def _switch(asked: _Asked, name: str) -> None:
    if name in _KERNEL:
        asked.kernel = True
    elif name in _QUIET:
        asked.quiet = True
    elif name not in _IGNORED:
        shown = name if name.startswith("-") else f"-{name}"
        raise _Unusable(
            f"journalctl (attested-kms): the option {shown} is not simulated; those that are: -u, "
            "-n, -k, --no-pager"
        )
    if name in ("e", "--pager-end") and asked.last is None:
        asked.last = _END


def _set(asked: _Asked, what: str, value: str | None, rest: list[str]) -> None:
    if what == "unit":
        if value is None and not rest:
            raise _Unusable("journalctl: option requires an argument -- 'u'", 1)
        name = value if value is not None else rest.pop(0)
        asked.units.append(services.full_name(name))
        return
    if value is None and rest and (rest[0].isdigit() or rest[0] == "all"):
        value = rest.pop(0)
    if value not in (None, "all") and not str(value).isdigit():
        raise _Unusable(f"Failed to parse lines '{value}'", 1)
    asked.last = None if value == "all" else 10 if value is None else int(value)
