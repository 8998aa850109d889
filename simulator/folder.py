"""The folder that a server keeps between its runs: the root certificate, and the seed behind it.

root.pem    the roots that the server trusts; others may read it at this path
seed        the seed of the simulated PKI, where the user gives none; readable by its owner only
lock        held while a server runs, so that no two of them use the folder
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEED = re.compile(r"[0-9a-f]{64}\n?")


class FolderUnusable(Exception):
    """Why the folder cannot be used and what to do, in a sentence."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for this process alone while the context is open.

    Raises FolderUnusable.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise FolderUnusable(
            f"The folder {folder} cannot be used ({error.strerror}); give another --folder."
        ) from error
    with lock:
        try:
            # The system lets go of it when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderUnusable(
                f"Another server uses the folder {folder}; stop it, or give another --folder."
            ) from error
        yield


def seed_of(folder: Path) -> bytes:
    """The seed that the folder keeps; drawn at the first time. Raises FolderUnusable."""
    path = folder / "seed"
    try:
        if not path.exists():
            _write_whole(path, f"{secrets.token_hex(32)}\n".encode(), mode=0o600)
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise FolderUnusable(f"The seed {path} cannot be read ({error}); remove it.") from error
    if not _SEED.fullmatch(text):
        raise FolderUnusable(
            f"{path} holds no seed (64 hexadecimal digits); remove it, and root.pem with it, and "
            "a new root will be made."
        )
    return bytes.fromhex(text)


def keep_root(folder: Path, pem: bytes) -> Path:
    """The path of `root.pem` with this content. Raises FolderUnusable where another root is there.

    Who trusts the one that is there would believe no document, or those of nobody here.
    """
    path = folder / "root.pem"
    try:
        if not path.exists():
            _write_whole(path, pem, mode=0o644)
        elif path.read_bytes() != pem:
            raise FolderUnusable(
                f"{path} is stale: not the root of this server, but of another --seed or --root. "
                "Give those it was made with, or remove it and hand out the new one."
            )
    except OSError as error:
        raise FolderUnusable(f"{path} cannot be used ({error.strerror}).") from error
    return path


def _write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """All of it or nothing, and never for a moment with another mode."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
