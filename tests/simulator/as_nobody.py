"""Become user 65534, without any privilege, and execute a command: for tests that root runs.

`python as_nobody.py COMMAND ...`, as root. This Python and this clone may lie below folders that
only root enters, such as /root: in a mount namespace of its own each such folder is covered by an
empty one in which just what is needed appears again, at the same path.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from simulator.interpose import kernel  # noqa: E402  # Found by the line above.

NOBODY = 65534
NEEDED = "ATTESTED_KMS_NEEDED_FOLDERS"
"""The variable that names more folders to reach, separated as in PATH."""
_ENTERED_BY_ALL = 0o001


def closed_folder(path: Path) -> Path | None:
    """The topmost folder above `path` that others may not enter."""
    above = reversed(path.parents)
    return next((f for f in above if not f.stat().st_mode & _ENTERED_BY_ALL), None)


def open_up(needed: set[Path]) -> None:
    """Let everybody reach these folders, in this mount namespace."""
    by_cover: dict[Path, list[Path]] = {}
    for path in needed:
        cover = closed_folder(path)
        if cover is not None:
            by_cover.setdefault(cover, []).append(path)
    for cover, paths in by_cover.items():
        held = {path: os.open(path, os.O_PATH) for path in paths}
        kernel.mount("tmpfs", str(cover), "tmpfs", 0, "mode=755")
        for path, descriptor in held.items():
            path.mkdir(parents=True, exist_ok=True)
            kernel.mount(f"/proc/self/fd/{descriptor}", str(path), "", kernel.MS_BIND)
            os.close(descriptor)


def main() -> None:
    """Execute the command that the arguments are."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    folders = {Path(sys.prefix), Path(sys.base_prefix), ROOT}
    folders |= {Path(name) for name in os.environ.get(NEEDED, "").split(os.pathsep) if name}
    open_up({folder.resolve() for folder in folders})
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    environment = {**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    os.execvpe(sys.argv[1], sys.argv[1:], environment)  # noqa: S606  # What it is for.


if __name__ == "__main__":
    main()
