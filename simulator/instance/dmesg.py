"""The command `dmesg`: what the instance's kernel has said, plain or with times of day (-T)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

from simulator.machine.configuration import Configuration
from simulator.machine.making import Host
from simulator.nitro_cli.main import NO_MACHINE
from simulator.packages.machine import Machine, command, complain, say

_IGNORED = frozenset({"-k", "--kernel", "-P", "--nopager", "-x", "--decode"})
_TIMES = frozenset({"-T", "--ctime"})
_STAMP = re.compile(r"\[ *(\d+\.\d+)\] (.*)")


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command("dmesg", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    unknown = [word for word in arguments if word not in _IGNORED | _TIMES]
    if unknown:
        complain(f"dmesg (attested-kms): {unknown[0]} is not simulated; only dmesg and dmesg -T")
        return NO_MACHINE
    has_times = bool(set(arguments) & _TIMES)
    for moment, line, text in kernel_lines(Machine.find(os.environ)):
        shown = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(moment))
        say(f"[{shown}] {text}" if has_times else line)
    return 0


def kernel_lines(machine: Machine) -> list[tuple[float, str, str]]:
    """When, in seconds of the epoch; the line; and the line without its time."""
    configuration = Configuration.read(machine.path / "machine.json")
    log = Host.open(machine.path, configuration).log
    lines = []
    for line in log.lines():
        match = _STAMP.fullmatch(line)
        lines.append(
            (log.booted + float(match[1]), line, match[2]) if match else (log.booted, line, line)
        )
    return lines
