"""Where what comes from on a simulated instance: plain values, nothing is mounted here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LAYERED = ("/etc", "/usr", "/var", "/opt", "/srv", "/bin", "/sbin", "/lib")
"""This system's, with what the instance has over it; what is written stays with the machine."""
OWN = ("/root", "/home")
"""The instance's alone."""
KERNEL = ("/dev", "/sys")
"""This system's, with links to what the instance has."""

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of root on Amazon Linux 2023."""

_SETTINGS = "/etc"
_FOLDERS = ("/etc/nitro_enclaves", "/usr/share/nitro_enclaves", "/var/log/nitro_enclaves")
_FILES = ("/etc/os-release", "/etc/passwd", "/etc/group")
"""Only those that the machine has: one of an older version lacks some."""
_PROGRAM_FOLDERS = (
    *("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"),
    # Where these are not those of /usr, as on most systems.
    *("/bin", "/sbin"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """One machine's."""

    root: Path
    """Of the instance's files."""

    def links(self, programs: Mapping[str, str], own_command: Path) -> Iterator[tuple[str, Path]]:
        """Paths of the instance that are links to what the machine has there, or will have.

        `programs` says by its name where a package puts a program. A link that leads nowhere hides
        one of this system that the instance lacks.
        """
        for path in _FOLDERS:
            yield path, self._on_instance(path)
        for path in _FILES:
            if self._on_instance(path).exists():
                yield path, self._on_instance(path)
        for name, path in programs.items():
            yield path, self._on_instance(path)
            for folder in _PROGRAM_FOLDERS:
                other = f"{folder}/{name}"
                if other != path and Path(other).exists() and not Path(folder).is_symlink():
                    yield other, self._on_instance(path)
        yield "/usr/local/bin/attested-kms", own_command
        for top in KERNEL:
            yield from self._of_kernel(top)

    def _of_kernel(self, folder: str) -> Iterator[tuple[str, Path]]:
        """The instance's files and folders, as deep as this system has the folder too."""
        own = self._on_instance(folder)
        for entry in sorted(own.iterdir()) if own.is_dir() else ():
            path = f"{folder}/{entry.name}"
            if Path(path).is_dir() and entry.is_dir():
                yield from self._of_kernel(path)
            else:
                yield path, entry

    def _on_instance(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def kept(written: Iterable[Path], read: Iterable[Path]) -> list[str]:
    """Folders of this system that stay what they are, outermost first.

    `written` must not end in a layer, unless it is in /etc, where nobody has a project: a script
    there is about to change this system. `read` must only not be hidden.
    """
    wanted = [
        path for path in written if _is_below(path, with_targets({*LAYERED, *OWN} - {_SETTINGS}))
    ]
    wanted += [path for path in read if _is_below(path, with_targets(OWN))]
    found: list[Path] = []
    for path in sorted(set(wanted), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return [str(path) for path in found]


def with_targets(tops: Iterable[str]) -> set[str]:
    """The folders, and where they are if they are links: `/home` is `/var/home` on some systems."""
    return {place for top in tops for place in (top, os.path.realpath(top))}


def _is_below(path: Path, tops: Iterable[str]) -> bool:
    return any(path.is_relative_to(top) and str(path) != top for top in tops)
