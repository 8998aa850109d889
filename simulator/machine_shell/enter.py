"""The process that becomes a program on a simulated instance.

It leaves the mount namespace, or enters that of a program which is there already, lays the instance
out and executes the program. Standard library only; one thread, as unshare(2) wants it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from simulator.interpose import kernel
from simulator.interpose.arch import Architecture, this_architecture
from simulator.machine_shell.layers import Layers
from simulator.machine_shell.layout import KERNEL, LAYERED, OWN

CANNOT_ENTER = 70
"""Exit code where there can be no shell; a line on standard error says why."""
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_ROOT_USER = 0
_EVERY_USER = ["0", "0", "4294967295"]
"""Of the first user namespace (user_namespaces(7), uid_map)."""
_BOTH = {"user": kernel.CLONE_NEWUSER, "mnt": kernel.CLONE_NEWNS}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the process is to do; all are absolute paths."""

    root: str
    """The instance's files."""
    links: str
    """A folder of links, by their paths."""
    state: str
    """Where what is written to layers is kept."""
    others: Sequence[int]
    """Processes that are on the instance; if one of them lives, its view is entered."""
    kept: Sequence[str]
    """Folders of this system that stay as they are, outermost first."""
    folder: str
    """The current folder."""
    home: str
    """The current folder where that one is none of the instance's."""
    words: Sequence[str]
    environment: Mapping[str, str]

    def to_json(self) -> str:
        """Of ASCII."""
        return json.dumps(asdict(self))


class CannotEnter(Exception):
    """There can be no shell; the message says why."""


def main(words: Sequence[str]) -> NoReturn:
    """Become the program: descriptors of an Entry's JSON, and of what is closed once it has."""
    with open(int(words[0]), "rb") as file:  # noqa: PTH123  # A descriptor.
        entry = Entry(**json.load(file))
    os.set_inheritable(int(words[1]), False)
    try:
        _enter(entry)
    except (CannotEnter, OSError) as error:
        print(f"attested-kms machine shell: {_why(error)}", file=sys.stderr)
        sys.exit(CANNOT_ENTER)
    try:
        os.execvpe(entry.words[0], list(entry.words), dict(entry.environment))  # noqa: S606
    except OSError as error:
        print(f"attested-kms machine shell: {entry.words[0]}: {error.strerror}", file=sys.stderr)
        is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        sys.exit(_NOT_FOUND if is_missing else _NOT_EXECUTABLE)


def _why(error: Exception) -> str:
    if isinstance(error, CannotEnter):
        return str(error)
    return (
        f"the instance cannot be laid over this system ({error}). It takes root, or user "
        "namespaces and Linux 5.11. Without them put its commands on PATH: attested-kms shims DIR "
        "--packages"
    )


def _enter(entry: Entry) -> None:
    arch = this_architecture()
    if sys.platform != "linux" or arch is None:
        raise CannotEnter("only Linux on x86_64 can lay an instance over itself.")
    is_root = os.geteuid() == _ROOT_USER
    if not any(_joined(pid, is_root=is_root) for pid in entry.others):
        _leave(is_root=is_root)
        _lay_out(arch, entry)
    try:
        os.chdir(entry.folder)
    except OSError:
        os.chdir(entry.home)


def _joined(pid: int, *, is_root: bool) -> bool:
    """Whether the process was there to be followed: setns(2)."""
    kinds = {"mnt": kernel.CLONE_NEWNS} if is_root else _BOTH
    try:
        places = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kinds[name]) for name in kinds]
    except FileNotFoundError:
        return False
    for descriptor, kind in places:
        kernel.join(descriptor, kind)
        os.close(descriptor)
    return True


def _leave(*, is_root: bool) -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWNS | (0 if is_root else kernel.CLONE_NEWUSER))
    if is_root:
        return
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        Path("/proc/self", name).write_text(content, encoding="ascii")


def _lay_out(arch: Architecture, entry: Entry) -> None:
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    taken = [(path, kernel.take_mounts(arch, path)) for path in entry.kept]
    # Not root of a user namespace, which this one may be as much as one that it was started in.
    is_root = Path("/proc/self/uid_map").read_text(encoding="ascii").split() == _EVERY_USER
    layers = Layers(arch, entry.links, entry.state, entry.kept, is_root)
    for top in LAYERED:
        _layer(entry, layers, top)
    for top in OWN:
        if Path(top).is_dir():
            own = Path(entry.root + top)
            own.mkdir(parents=True, exist_ok=True)
            kernel.mount(str(own), top, "", kernel.MS_BIND)
    for top in KERNEL:
        _beside_links(arch, entry, top)
    for path, mounts in taken:
        Path(path).mkdir(parents=True, exist_ok=True)
        kernel.put_mounts(arch, mounts, path)


def _layer(entry: Entry, layers: Layers, top: str) -> None:
    """Over a folder, or over the one that it is a link to, unless it is in another's layer."""
    place = os.path.realpath(top)
    others = (os.path.realpath(other) for other in (*LAYERED, *OWN) if other != top)
    is_link = Path(top).is_symlink()
    if not Path(place).is_dir() or (is_link and any(_is_in(place, other) for other in others)):
        return
    links = Path(entry.links + top)
    if is_link and links.is_dir():
        Path(entry.links + place).parent.mkdir(parents=True, exist_ok=True)
        links.rename(entry.links + place)
    layers.lay(place)


def _is_in(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def _beside_links(arch: Architecture, entry: Entry, top: str) -> None:
    """A folder of the kernel with links in it, which is none to lay a layer over.

    Without root no device of an overlay can be opened, and what is mounted below `/sys` hinders
    one.
    """
    links = Path(entry.links + top)
    if not links.is_dir():
        return
    new = Path(entry.state, "new")
    new.mkdir(exist_ok=True)
    kernel.mount("tmpfs", str(new), "tmpfs", kernel.MS_NOSUID, "mode=755")
    _fill(new, Path(top), links)
    kernel.put_mounts(arch, kernel.take_mounts(arch, str(new)), top)
    kernel.detach(str(new))


def _fill(new: Path, old: Path, links: Path) -> None:
    linked = list(links.iterdir())
    for link in linked:
        if link.is_symlink():
            (new / link.name).symlink_to(link.readlink())
        else:
            (new / link.name).mkdir()
            _fill(new / link.name, old / link.name, link)
    hidden = {link.name for link in linked}
    for path in old.iterdir():
        if path.name not in hidden:
            _same(path, new / path.name)


def _same(path: Path, target: Path) -> None:
    """A file, a folder or a link, once more at another path."""
    if path.is_symlink():
        target.symlink_to(path.readlink())
        return
    if path.is_dir():
        target.mkdir()
    else:
        target.touch()
    kernel.mount(str(path), str(target), "", kernel.MS_BIND | kernel.MS_REC)
