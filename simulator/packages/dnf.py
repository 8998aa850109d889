"""The command `dnf`, and `yum`, which is the same on Amazon Linux 2023: one command line.

install, reinstall, remove, list, and those that find nothing to do. Lines, streams and exit codes
are those of dnf 4.14; the table of a transaction, with sizes and progress, is a short form of our
own. What it does otherwise: metadata are never fetched, nobody needs to be root, requirements that
nobody needs any more stay, and names are names, no patterns. A command that is not here ends with
70.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.nitro_cli.session import write
from simulator.packages import contents, installed, services
from simulator.packages.catalogue import (
    Package,
    full_name,
    full_version,
    known,
    requiring,
    with_requirements,
)
from simulator.packages.command_line import Asked, Unusable, read
from simulator.packages.machine import STDOUT, Machine, command, complain, notice, say

_NOT_HERE = 70
_PROMPT = "Is this ok [y/N]: "
_NO_ALLOCATOR = (
    "there is no package aws-nitro-enclaves-allocator: the allocator is in aws-nitro-enclaves-cli."
)


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command("dnf", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    try:
        asked = read(arguments)
    except Unusable as error:
        complain(str(error))
        return error.exit_code
    if asked.version or asked.help:
        say("4.14.0" if asked.version else f"dnf (attested-kms): {', '.join(_COMMANDS)}")
        return 0
    run = _COMMANDS.get(asked.command)
    if run is None:
        return _unknown(asked.command)
    machine = Machine.find(os.environ)
    with installed.changing(machine.path):
        return run(
            _Work(asked, machine, known(machine.path), installed.read(machine.path)),
        )


def _unknown(name: str) -> int:
    if name in _REAL:
        complain(
            f"dnf (attested-kms): {name or 'no command'} is not simulated; those that are: "
            f"{', '.join(_COMMANDS)}"
        )
        return _NOT_HERE
    complain(f"No such command: {name}. Please use /usr/bin/dnf --help")
    complain(f"It could be a DNF plugin command, try: \"dnf install 'dnf-command({name})'\"")
    return 1


@dataclass(frozen=True, slots=True)
class _Work:
    asked: Asked
    machine: Machine
    catalogue: dict[str, Package]
    has: list[str]

    def info(self, text: str) -> None:
        """A line that --quiet silences."""
        if not self.asked.quiet:
            say(text)

    def package(self, name: str) -> Package:
        """Also one that has left the catalogue since."""
        return self.catalogue.get(name) or Package(name, "1.0-1")

    def full(self, name: str) -> str:
        return full_name(self.package(name), self.machine.rpm_architecture)


def _install(work: _Work) -> int:
    missing, wanted = [], []
    for name in work.asked.names:
        if name in work.has:
            work.info(f"Package {work.full(name)} is already installed.")
        elif name in work.catalogue:
            wanted.append(name)
        else:
            work.info(f"No match for argument: {name}")
            missing.append(name)
    if missing and not work.asked.lenient:
        # All or nothing: the names that it has are not installed either.
        complain(f"Error: Unable to find a match: {' '.join(missing)}")
        _explain(missing)
        return 1
    wanted = list(dict.fromkeys(wanted))
    needed = [
        name
        for name in with_requirements(wanted, work.catalogue)
        if name not in work.has and name not in wanted
    ]
    parts = {"Installing:": wanted, "Installing dependencies:": needed}
    if not wanted or not _agreed(work, parts):
        return _nothing(work) if not wanted else _aborted()
    chosen = [*wanted, *needed]
    for name in chosen:
        contents.put(work.machine.root, name, work.machine.architecture)
    installed.write(work.machine.path, [*work.has, *chosen])
    _done(work, "Installed:", chosen)
    return 0


def _explain(missing: Sequence[str]) -> None:
    if "aws-nitro-enclaves-allocator" in missing:
        notice(_NO_ALLOCATOR)
    notice(
        "nothing was installed. The simulator's catalogue is small: a name that Amazon Linux 2023 "
        "has and it has not goes into catalogue.txt of the machine's folder."
    )


def _remove(work: _Work) -> int:
    there = []
    for name in work.asked.names:
        if name in work.has:
            there.append(name)
        else:
            work.info(f"No match for argument: {name}")
    if not there:
        complain("No packages marked for removal.")
        return _nothing(work)
    there = list(dict.fromkeys(there))
    dependent = [
        other
        for other in work.has
        if other not in there
        and any(other in requiring(name, work.has, work.catalogue) for name in there)
    ]
    if not _agreed(work, {"Removing:": there, "Removing dependent packages:": dependent}):
        return _aborted()
    chosen = [*there, *dependent]
    for name in chosen:
        services.forget(work.machine.path, name)
        contents.take(work.machine.root, name, work.machine.architecture)
    installed.write(work.machine.path, [name for name in work.has if name not in chosen])
    _done(work, "Removed:", chosen)
    return 0


def _agreed(work: _Work, parts: dict[str, list[str]]) -> bool:
    """Show what is to be done, and ask."""
    asks = not work.asked.yes
    show = say if asks else work.info
    show("Dependencies resolved.")
    for title, names in parts.items():
        if names:
            show(title)
        for name in sorted(names):
            package = work.package(name)
            show(f" {name}  {work.machine.rpm_architecture}  {full_version(package)}")
    if not asks:
        return True
    if work.asked.no:
        return False
    while True:
        write(STDOUT, _PROMPT)
        answer = sys.stdin.readline() if sys.stdin is not None else ""
        if answer.strip().lower() in {"y", "yes"}:
            return True
        if not answer or answer.strip().lower() in {"", "n", "no"}:
            return False


def _aborted() -> int:
    complain("Operation aborted.")
    return 1


def _nothing(work: _Work) -> int:
    for line in ("Dependencies resolved.", "Nothing to do.", "Complete!"):
        work.info(line)
    return 0


def _reinstall(work: _Work) -> int:
    """Files that are gone come back; settings that are there stay as they are."""
    chosen = [name for name in dict.fromkeys(work.asked.names) if name in work.has]
    for name in work.asked.names:
        if name in work.catalogue and name not in work.has:
            work.info(f"Package {name} available, but not installed.")
        if name not in work.has:
            work.info(f"No match for argument: {name}")
    if not chosen:
        complain("Error: No packages marked for reinstall.")
        return 1
    if not _agreed(work, {"Reinstalling:": chosen}):
        return _aborted()
    for name in chosen:
        contents.put(work.machine.root, name, work.machine.architecture)
    _done(work, "Reinstalled:", chosen)
    return 0


def _done(work: _Work, title: str, names: Sequence[str]) -> None:
    work.info("")
    say_all = [title, *(f"  {work.full(name)}" for name in sorted(names)), "", "Complete!"]
    for line in say_all:
        work.info(line)


def _list(work: _Work) -> int:
    names = list(work.asked.names)
    which = names.pop(0) if names and names[0] in {"installed", "available", "all"} else "all"
    which = "installed" if work.asked.installed else which
    parts = {
        "Installed Packages": [name for name in work.has if which != "available"],
        "Available Packages": [
            name for name in sorted(work.catalogue) if name not in work.has and which != "installed"
        ],
    }
    found = False
    for title, all_names in parts.items():
        chosen = [name for name in all_names if not names or name in names]
        if not chosen:
            continue
        found = True
        say(title)
        for name in chosen:
            repository = "@amazonlinux" if name in work.has else "amazonlinux"
            shown = f"{name}.{work.machine.rpm_architecture}"
            say(f"{shown:<50} {full_version(work.package(name)):<24} {repository}")
    if not found:
        complain("Error: No matching Packages to list")
        return 1
    return 0


def _upgrade(work: _Work) -> int:
    missing = [name for name in work.asked.names if name not in work.has]
    for name in missing:
        work.info(f"No match for argument: {name}")
    if missing and len(missing) == len(work.asked.names):
        complain("Error: No packages marked for upgrade.")
        return 1
    return _nothing(work)


def _makecache(work: _Work) -> int:
    work.info("Metadata cache created.")
    return 0


def _silent(_: _Work) -> int:
    return 0


_COMMANDS: dict[str, Callable[[_Work], int]] = {
    "install": _install,
    "reinstall": _reinstall,
    "remove": _remove,
    "erase": _remove,
    "list": _list,
    "upgrade": _upgrade,
    "update": _upgrade,
    "makecache": _makecache,
    "check-update": _silent,
    "clean": _silent,
}
_REAL = frozenset(
    [
        "alias",
        "autoremove",
        "check",
        "deplist",
        "distro-sync",
        "downgrade",
        "group",
        "groupinstall",
        "help",
        "history",
        "info",
        "localinstall",
        "mark",
        "module",
        "provides",
        "repolist",
        "repoquery",
        "repository-packages",
        "search",
        "shell",
        "swap",
        "updateinfo",
        "upgrade-minimal",
        "builddep",
        "config-manager",
        "copr",
        "download",
    ]
) | {""}
