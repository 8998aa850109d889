"""The command `rpm`, for `rpm -q NAME...` and `rpm -qa`: what is installed. Nothing else of it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from simulator.nitro_cli.main import NO_MACHINE
from simulator.packages import installed
from simulator.packages.catalogue import Package, full_name, known
from simulator.packages.machine import Machine, command, complain, say


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command("rpm", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    options = {word for word in arguments if word.startswith("-")}
    names = [word for word in arguments if not word.startswith("-")]
    shows_all = bool(options & {"-qa", "--all", "-a"})
    asks = shows_all or bool(options & {"-q", "--query"})
    if not asks or options - {"-q", "--query", "-qa", "--all", "-a"} or (shows_all and names):
        complain("rpm (attested-kms): only rpm -q NAME... and rpm -qa are simulated")
        return NO_MACHINE
    machine = Machine.find(os.environ)
    has, catalogue = installed.read(machine.path), known(machine.path)
    if not names and not shows_all:
        complain("rpm: no arguments given for query")
        return 1
    missing = 0
    for name in has if shows_all else names:
        if name in has:
            package = catalogue.get(name) or Package(name, "1.0-1")
            say(full_name(package, machine.rpm_architecture))
        else:
            say(f"package {name} is not installed")
            missing += 1
    return missing
