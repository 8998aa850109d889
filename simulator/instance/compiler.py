"""`gcc`, `cc`, `g++` and `c++` of the instance: stand-ins, which are there or not.

Version and complaints are those of gcc (`reported`, with gcc 12). Where there would be something
to compile they say that they do not, and end with 70: a build that goes on without its files
would fail at a stranger place.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from simulator.nitro_cli.main import NO_MACHINE
from simulator.nitro_cli.presence import NOT_FOUND, not_found
from simulator.nitro_cli.session import write
from simulator.packages.catalogue import CATALOGUE
from simulator.packages.machine import STDERR, Machine, command, complain, say

_FRONT_ENDS = {"gcc": "cc1", "cc": "cc1", "g++": "cc1plus", "c++": "cc1plus"}
_WITH_VALUE = frozenset({"-o", "-x", "-I", "-L", "-D", "-U", "-include", "-isystem"})


def main(program: str, arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command(program, lambda: _main(program, arguments))


def _main(program: str, arguments: Sequence[str]) -> int:
    machine = Machine.find(os.environ)
    if not machine.has(program):
        write(STDERR, not_found(program))
        return NOT_FOUND
    version = CATALOGUE["gcc"].version
    if "--version" in arguments:
        say(f"{program} (GCC) {version.partition('-')[0]} (attested-kms stand-in)")
        return 0
    if set(arguments) & {"-dumpversion", "-dumpmachine"}:
        is_version = "-dumpversion" in arguments
        say(version.partition(".")[0] if is_version else f"{machine.rpm_architecture}-amazon-linux")
        return 0
    files = _files(arguments)
    if not files:
        complain(f"{program}: fatal error: no input files\ncompilation terminated.")
        return 1
    missing = next((name for name in files if name != "-" and not Path(name).exists()), None)
    if missing is not None:
        complain(
            f"{_FRONT_ENDS[program]}: fatal error: {missing}: No such file or directory\n"
            "compilation terminated."
        )
        return 1
    complain(
        f"attested-kms: {program}: nothing is compiled, and no file is made: the simulated "
        "instance has no compiler of its own"
    )
    return NO_MACHINE


def _files(arguments: Sequence[str]) -> list[str]:
    files = []
    rest = iter(arguments)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif word == "-" or not word.startswith("-"):
            files.append(word)
    return files
