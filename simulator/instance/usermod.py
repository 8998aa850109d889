"""The command `usermod`, for `usermod -aG GROUP,... USER`: the instance's /etc/group. Nothing else.

Who is in a group is what its file says; here nobody is refused or let in by it. Lines and exit
codes are those of shadow-utils (`inferred`, man usermod(8): 6 for a user or a group that is not
there).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from simulator.instance import accounts
from simulator.nitro_cli.main import NO_MACHINE
from simulator.packages.installed import changing
from simulator.packages.machine import Machine, command, complain

_NOT_THERE = 6
_APPEND = frozenset({"-a", "--append"})
_GROUPS = frozenset({"-G", "--groups", "-aG"})


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command("usermod", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    asked = _read(arguments)
    if asked is None:
        complain("usermod (attested-kms): only usermod -aG GROUP,... USER is simulated")
        return NO_MACHINE
    names, user = asked
    machine = Machine.find(os.environ)
    with changing(machine.path):
        if user not in accounts.users(machine.root):
            complain(f"usermod: user '{user}' does not exist")
            return _NOT_THERE
        missing = [name for name in names if name not in accounts.groups(machine.root)]
        for name in missing:
            complain(f"usermod: group '{name}' does not exist")
        if missing:
            return _NOT_THERE
        accounts.add_member(machine.root, user, names)
    return 0


def _read(arguments: Sequence[str]) -> tuple[list[str], str] | None:
    """The groups and the user; None for anything else."""
    groups, users, appends = list[str](), list[str](), False
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _APPEND:
            appends = True
        elif name in _GROUPS:
            appends = appends or name == "-aG"
            groups = [one for one in (value if equals else next(rest, "")).split(",") if one]
        elif word.startswith("-"):
            return None
        else:
            users.append(word)
    return (groups, users[0]) if appends and groups and len(users) == 1 else None
