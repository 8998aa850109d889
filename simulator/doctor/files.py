"""Files of the machine that is examined, read without waiting; and those of a machine in a folder.

A machine in a folder is read as from its own root: a link that names an absolute path, or climbs
with `..`, stays below the folder, as for a process after chroot(2).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from simulator.doctor.host import MOST_BYTES, PathKind

_MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""
_KINDS: tuple[tuple[Callable[[int], bool], PathKind], ...] = (
    (stat.S_ISREG, PathKind.FILE),
    (stat.S_ISDIR, PathKind.FOLDER),
    (stat.S_ISCHR, PathKind.DEVICE),
    (stat.S_ISSOCK, PathKind.SOCKET),
)
_NOT_THERE = (FileNotFoundError, NotADirectoryError)


def look(path: str | Path) -> PathKind | None:
    """What is at a path of this system. Raises OSError where it cannot be told."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # A name that is no text stays as it is.
    except _NOT_THERE:
        return None
    return next((kind for is_it, kind in _KINDS if is_it(mode)), PathKind.OTHER)


def read(path: str | Path) -> bytes:
    """The first MOST_BYTES of a file. Raises OSError, also where one would have to wait."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        content = bytearray()
        while len(content) < MOST_BYTES:
            chunk = os.read(descriptor, MOST_BYTES - len(content))
            if not chunk:
                break
            content += chunk
        return bytes(content)
    finally:
        os.close(descriptor)


def entries(path: str | Path) -> list[str]:
    """The names in a folder, sorted. Raises OSError."""
    return sorted(os.listdir(path))  # noqa: PTH208  # Names, not paths.


def may_write(path: str | Path) -> bool:
    """Whether this process may write the file, or make files in the folder."""
    wanted = os.W_OK | os.X_OK if Path(path).is_dir() else os.W_OK
    effective = os.access in os.supports_effective_ids
    return os.access(path, wanted, effective_ids=effective)


def on_path(command: str, path: str, is_program: Callable[[str], bool]) -> str | None:
    """Where the first of the folders of `path`, separated as in PATH, has the program.

    Folders that are not absolute are left out: they name another place everywhere.
    """
    if "/" in command:
        return command if is_program(command) else None
    folders = [each for each in path.split(":") if each.startswith("/")]
    candidates = (f"{each.rstrip('/')}/{command}" for each in folders)
    return next((each for each in candidates if is_program(each)), None)


@contextmanager
def named(path: str) -> Iterator[None]:
    """Let an OSError name the machine's path, not where that is on this system."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def inside(root: Path, path: str) -> Path:
    """Where an absolute path of the machine below `root` is; its last link is followed too.

    What is not there stays as it is named. Raises OSError.
    """
    rest = list(reversed(PurePosixPath(path).parts))
    place: list[str] = []
    links = 0
    while rest:
        name = rest.pop()
        if name == "/":
            place = []
        elif name == "..":
            place = place[:-1]
        else:
            here = root.joinpath(*place, name)
            if not here.is_symlink():
                place.append(name)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            rest += reversed(PurePosixPath(here.readlink()).parts)
    return root.joinpath(*place)
