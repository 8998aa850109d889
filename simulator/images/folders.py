"""A folder as an image: `rootfs/` with its files, and `config.json` beside it.

The form of an OCI bundle's files with an OCI image's configuration. What differs between two copies
of a folder does not count: times are all one, and everything belongs to root, so that the same
files always give the same measurements. Permissions count.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from simulator.images.contents import HostFile
from simulator.images.errors import BadImage
from simulator.images.layers import Budget
from simulator.images.tree import Kind, Limits, Node, Tree

CONFIG = "config.json"
ROOTFS = "rootfs"

MTIME = 1_492_533_000
"""2017-04-18 16:30 UTC, which linuxkit gives to the files that it makes itself."""


def folder_tree(folder: Path, limits: Limits) -> Tree:
    """The files below a folder."""
    tree = Tree()
    add_folder(tree.root, folder, Budget(limits), {})
    return tree


def add_folder(
    node: Node, folder: Path, budget: Budget, known: dict[tuple[int, int], Node]
) -> None:
    """Put what is in the folder into the node."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        raise BadImage(f"cannot read {folder}: {error.strerror or error}") from error
    for entry in entries:
        path = Path(entry.path)
        child = file_node(path, budget, known)
        if child is None:
            continue
        node.children[entry.name] = child
        if child.kind is Kind.DIRECTORY:
            add_folder(child, path, budget, known)


def file_node(path: Path, budget: Budget, known: dict[tuple[int, int], Node]) -> Node | None:
    """The node for a file of this machine, or None for a socket, which no archive can have."""
    try:
        status = path.lstat()
        kind = _kind(status.st_mode)
        target = str(path.readlink()) if kind is Kind.SYMLINK else ""
    except OSError as error:
        raise BadImage(f"cannot read {path}: {error.strerror or error}") from error
    if kind is None:
        return None
    budget.take_entry()
    key = (status.st_dev, status.st_ino)
    if key in known:
        return known[key]
    device = status.st_rdev if kind in {Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE} else 0
    node = Node(
        kind,
        mode=stat.S_IMODE(status.st_mode),
        mtime=MTIME,
        target=target,
        device=(os.major(device), os.minor(device)),
    )
    if kind is Kind.FILE:
        budget.take(status.st_size)
        if not os.access(path, os.R_OK):
            raise BadImage(f"cannot read {path}: permission denied")
        node.content = HostFile(path, status.st_size)
    if status.st_nlink > 1 and kind is not Kind.DIRECTORY:
        known[key] = node
    return node


def _kind(mode: int) -> Kind | None:
    return {
        stat.S_IFDIR: Kind.DIRECTORY,
        stat.S_IFREG: Kind.FILE,
        stat.S_IFLNK: Kind.SYMLINK,
        stat.S_IFCHR: Kind.CHARACTER_DEVICE,
        stat.S_IFBLK: Kind.BLOCK_DEVICE,
        stat.S_IFIFO: Kind.FIFO,
    }.get(stat.S_IFMT(mode))
