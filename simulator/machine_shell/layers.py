"""A layer over a folder of this system: what is written there goes to the machine's folder.

An overlay sees nothing that is mounted below its folder, so that each such mount gets a layer of
its own, and a file that is mounted (a container's `/etc/resolv.conf`) is copied. What no layer can
be laid over is hidden: it would be this system's that a script writes to. Without root the kernel
lays no overlay over a folder with mounts below, for they are locked (mount_namespaces(7)); such a
folder is put together of its entries.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simulator.interpose import kernel
from simulator.interpose.arch import Architecture

_OWN_DEPTH = 1
"""How many levels below the uppermost folders a user without root may write."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Those of one machine, in this process's mount namespace."""

    arch: Architecture
    links: str
    """A folder of links, by their paths: they are seen before this system's files."""
    state: str
    """Where what is written is kept."""
    kept: Sequence[str]
    """Folders that get no layer; somebody else puts them back."""
    is_root: bool

    def lay(self, top: str) -> None:
        """Over one of the uppermost folders. Raises OSError."""
        inner = self._mounts_below(top)
        if inner and not self.is_root:
            self._put_together(top)
            return
        changes, work = Path(f"{self.state}/changed{top}"), Path(f"{self.state}/work{top}")
        self._lay(top, inner, changes, work)

    def _lay(self, top: str, inner: Sequence[str], changes: Path, work: Path) -> None:
        taken = []
        for path in inner:
            if Path(path).is_file():
                self._copy(path)
            else:
                taken.append((path, kernel.take_mounts(self.arch, path)))
        self._overlay(top, top, changes, work, _OWN_DEPTH)
        for path, mounts in taken:
            kernel.put_mounts(self.arch, mounts, path)
            if Path(path).is_dir():
                own = Path(f"{self.state}/mounted{path}")
                try:
                    self._lay(path, self._mounts_below(path), own / ".changed", own / ".work")
                except OSError:
                    kernel.detach(path)

    def _overlay(self, lower: str, target: str, changes: Path, work: Path, depth: int) -> None:
        for folder in (changes, work):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.is_root:
            _own_folders(Path(lower), changes, depth)
        folders = (path for path in (self.links + lower, lower) if Path(path).is_dir())
        options = [
            f"lowerdir={':'.join(map(_escaped, folders))}",
            f"upperdir={_escaped(changes)}",
            f"workdir={_escaped(work)}",
            # Where marks of overlayfs itself are kept: others are root's.
            *([] if self.is_root else ["userxattr"]),
        ]
        kernel.mount("overlay", target, "overlay", 0, ",".join(options))

    def _copy(self, path: str) -> None:
        """A file, among the links, where a script may change it."""
        target = Path(self.links + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # One that cannot be read, such as a namespace that is mounted, is hidden.
        with suppress(OSError):
            shutil.copy(path, target)

    def _put_together(self, top: str) -> None:
        new = Path(f"{self.state}/entries{top}")
        new.mkdir(parents=True, exist_ok=True)
        kernel.mount(str(new), str(new), "", kernel.MS_BIND)
        self._fill(new, Path(top))
        kernel.put_mounts(self.arch, kernel.take_mounts(self.arch, str(new)), top)
        kernel.detach(str(new))

    def _fill(self, new: Path, old: Path) -> None:
        links = Path(self.links + str(old))
        for link in links.iterdir() if links.is_dir() else ():
            _same_link(link, new / link.name)
        for path in old.iterdir():
            target = new / path.name
            if path.is_symlink():
                _same_link(path, target)
            elif not target.is_symlink():
                # What a script has left in its place stays, and what cannot be shown is hidden.
                with suppress(OSError):
                    self._entry(path, target)

    def _entry(self, path: Path, target: Path) -> None:
        if path.is_dir():
            target.mkdir(exist_ok=True)
            if self._mounts_below(str(path)):
                self._fill(target, path)
            else:
                changes, work = (Path(f"{self.state}/{kind}{path}") for kind in ("changed", "work"))
                self._overlay(str(path), str(target), changes, work, 0)
        elif stat.S_ISREG(path.stat().st_mode) and os.access(path, os.W_OK):
            if not target.exists():
                shutil.copy(path, target)
        else:
            target.touch()
            kernel.mount(str(path), str(target), "", kernel.MS_BIND)

    def _mounts_below(self, top: str) -> list[str]:
        """What is mounted below a folder, outermost only (proc(5), mountinfo)."""
        with Path("/proc/self/mountinfo").open("rb") as file:
            places = {os.fsdecode(_plain(line.split()[4])) for line in file}
        found: list[str] = []
        for place in sorted(places, key=len):
            is_ours = any(_is_at_or_below(place, path) for path in (*found, *self.kept))
            if place.startswith(f"{top}/") and not is_ours and not self._is_linked(place):
                found.append(place)
        return found

    def _is_linked(self, path: str) -> bool:
        """Whether the instance has its own there."""
        return any(
            Path(self.links + str(above)).is_symlink() for above in (path, *Path(path).parents)
        )


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _same_link(link: Path, target: Path) -> None:
    if link.is_symlink() and not target.is_symlink() and not target.exists():
        target.symlink_to(link.readlink())


def _own_folders(folder: Path, changes: Path, depth: int) -> None:
    """Make this user the owner of folders, who could put nothing into root's."""
    for inner in folder.iterdir():
        if inner.is_symlink() or not inner.is_dir() or not os.access(inner, os.R_OK | os.X_OK):
            continue
        own = changes / inner.name
        own.mkdir(exist_ok=True)
        if depth:
            _own_folders(inner, own, depth - 1)


def _escaped(folder: str | Path) -> str:
    """A path among overlayfs's options."""
    return "".join(f"\\{letter}" if letter in "\\:," else letter for letter in str(folder))


def _plain(field: bytes) -> bytes:
    """Without the octal escapes of white space."""
    return field.decode("unicode_escape").encode("latin-1")
