"""Which packages a machine has: `packages.json`, one JSON list of names.

A machine that has no such file, one of an older version, has what its files say.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.machine.files import replace_text
from simulator.packages.catalogue import BASE, CLI, DEVEL, with_requirements
from simulator.packages.catalogue import CATALOGUE as PACKAGES
from simulator.packages.contents import BLOBS, at

NAME = "packages.json"


class Damaged(Exception):
    """It cannot be told what is installed; the message says why and what to do."""


def read(machine: Path) -> list[str]:
    """The names, in their order. Raises Damaged."""
    path = machine / NAME
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _by_files(machine)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Damaged(
            f"{path} is damaged: which packages the machine has cannot be told. Make another "
            "machine, attested-kms machine create --force, or write a JSON list of their names."
        )
    return sorted(set(names))


def write(machine: Path, names: Iterable[str]) -> None:
    """Keep the names. Raises OSError."""
    replace_text(machine / NAME, json.dumps(sorted(set(names)), indent=1) + "\n")


def first(*, has_cli: bool, has_devel: bool) -> list[str]:
    """What a new machine has."""
    asked = [name for name, wanted in ((CLI, has_cli), (DEVEL, has_devel)) if wanted]
    return sorted({*BASE, *with_requirements(asked, PACKAGES)})


@contextmanager
def changing(machine: Path) -> Iterator[None]:
    """One at a time, as dnf has a lock of its own. Raises OSError."""
    lock = os.open(machine / "packages.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _by_files(machine: Path) -> list[str]:
    return first(has_cli=True, has_devel=at(machine / "root", BLOBS).exists())
