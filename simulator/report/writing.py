"""Putting an answer where the user wants it: whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


class Unwritable(Exception):
    """A file cannot be written; the message names it and says why."""


def write_whole(path: Path, text: str) -> None:
    """Put a file with this text in place of what is there. Raises Unwritable."""
    try:
        # Through a link to what it stands for; a name beside it is on the same file system.
        _replace(path.resolve(), text)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unwritable(f"{path} cannot be written ({reason}).") from error


def _replace(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        if path.is_dir():
            raise IsADirectoryError(0, "Is a directory")
        path.write_text(text, encoding="utf-8")  # A device or a pipe, such as /dev/stdout.
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(descriptor, 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
