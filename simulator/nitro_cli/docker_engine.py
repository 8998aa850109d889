"""The Docker engine of this system, if its command is installed and it answers.

It is asked for images that the machine does not hold itself; the instance's own stand-in has just
those, and is passed over. Nothing is pulled: an image must be
there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator import shim

_ANSWERS_SECONDS = 20


def has(image: str) -> bool:
    """Whether there is an engine that has the image."""
    return _docker("image", "inspect", image, seconds=_ANSWERS_SECONDS)


def answers() -> bool:
    """Whether there is an engine."""
    return _docker("version", seconds=_ANSWERS_SECONDS)


def build(image: str, folder: Path) -> bool:
    """Build an image from a folder with a Dockerfile; whether that went well."""
    return _docker("build", "--quiet", "--tag", image, str(folder))


@contextmanager
def saved(image: str) -> Iterator[Path | None]:
    """The archive of an image, while the context is open; None if it cannot be had."""
    with TemporaryDirectory(prefix="attested-kms-image-") as folder:
        archive = Path(folder, "image.tar")
        yield archive if _docker("save", "--output", str(archive), image) else None


def _docker(*arguments: str, seconds: float | None = None) -> bool:
    command = _command()
    if command is None:
        return False
    try:
        finished = subprocess.run(  # noqa: S603  # No shell.
            [command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return finished.returncode == 0


def _command() -> str | None:
    for folder in os.get_exec_path():
        command = shutil.which("docker", path=folder)
        if command is not None and not shim.is_shim(Path(command)):
            return command
    return None
