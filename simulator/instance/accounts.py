"""`/etc/passwd` and `/etc/group` of the instance: who is there, and who is in which group.

Names and groups are those of Amazon Linux 2023 as it is launched, as far as the way to an enclave
goes; which groups ec2-user is in is cloud-init's (`inferred`). The group `ne` is made by %pre of
the package of nitro-cli (SPECS/aws-nitro-enclaves-cli.spec), `docker` by that of docker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.machine.files import replace_text

USERS = "/etc/passwd"
GROUPS = "/etc/group"

FIRST_USERS = """\
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:Kernel Overflow User:/:/sbin/nologin
ec2-user:x:1000:1000:EC2 Default User:/home/ec2-user:/bin/bash
"""
FIRST_GROUPS = """\
root:x:0:
adm:x:4:ec2-user
wheel:x:10:ec2-user
systemd-journal:x:190:ec2-user
nobody:x:65534:
ec2-user:x:1000:
"""
_FIRST_NUMBER = 1000
_NOBODY = 65534
_USER_FIELDS, _GROUP_FIELDS = 7, 4


@dataclass(frozen=True, slots=True)
class User:
    """An account."""

    name: str
    number: int
    group: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group, and who is in it beside those whose own group it is."""

    name: str
    number: int
    members: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """As /etc/group has it."""
        return f"{self.name}:x:{self.number}:{','.join(self.members)}\n"


def users(root: Path) -> Mapping[str, User]:
    """By name; a file that is not there is that of a new instance. Raises OSError."""
    found = {}
    for name, _, number, group, _, home, shell in _rows(root, USERS, FIRST_USERS, _USER_FIELDS):
        if number.isdigit() and group.isdigit():
            found[name] = User(name, int(number), int(group), home, shell)
    return found


def groups(root: Path) -> Mapping[str, Group]:
    """By name, in the file's order; what is no line of such a file is skipped. Raises OSError."""
    found = {}
    for name, _, number, members in _rows(root, GROUPS, FIRST_GROUPS, _GROUP_FIELDS):
        if number.isdigit():
            listed = tuple(member for member in members.split(",") if member)
            found[name] = Group(name, int(number), listed)
    return found


def add_group(root: Path, name: str) -> None:
    """Without effect if it is there (groupadd -f). Raises OSError."""
    known = groups(root)
    if name in known:
        return
    taken = {group.number for group in known.values() if _FIRST_NUMBER <= group.number < _NOBODY}
    number = max(taken, default=_FIRST_NUMBER - 1) + 1
    _write(root, [*known.values(), Group(name, number)])


def add_member(root: Path, user: str, names: Iterable[str]) -> None:
    """Put a user into groups, all of which are there. Raises OSError."""
    wanted = set(names)
    _write(
        root,
        [
            replace(group, members=(*group.members, user))
            if group.name in wanted and user not in group.members
            else group
            for group in groups(root).values()
        ],
    )


def _rows(root: Path, path: str, first: str, count: int) -> Iterable[list[str]]:
    try:
        text = (root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = first
    rows = (line.split(":") for line in text.splitlines())
    return [row for row in rows if len(row) == count]


def _write(root: Path, found: Iterable[Group]) -> None:
    path = root / GROUPS.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, "".join(group.line for group in found))
