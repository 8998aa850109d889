"""The files of an image: a tree in memory, whose contents stay where they are.

Paths that would leave the image (`..`, absolute ones, those through symbolic links) are contained
as containerd does it: each directory on the way is looked up inside the image, whose root is its
own parent. Nothing is created on this machine, so nothing can escape.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from simulator.images.contents import Content
from simulator.images.errors import BadImage

_MOST_LINKS = 255
_DEEPEST = 200
_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_U32 = 0xFFFF_FFFF

GIB = 1024**3


class Kind(enum.StrEnum):
    """What an entry is."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    """Another name of a file whose path is the entry's target."""
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    FIFO = "fifo"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an image may have unpacked: beyond it, it is taken for a bomb."""

    size: int = 4 * GIB
    """Bytes, of all layers together."""
    entries: int = 500_000


@dataclass(slots=True, eq=False)
class Node:
    """A file of any kind without its name: names that share a node are hard links."""

    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    content: Content | None = None
    children: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mode &= 0o7777
        # The ramdisk has 32 bits for it.
        self.mtime = min(max(self.mtime, 0), _U32)
        for name, value in (("user", self.uid), ("group", self.gid)):
            if not 0 <= value <= _U32:
                raise BadImage(f"a file of the image has the {name} ID {value}, which is none")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an image under one name."""

    path: str
    """Relative to the image's root, without a slash at either end; bytes that are no UTF-8 are
    surrogates, as in file names of this machine."""
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: str
    """Of a symbolic link as it stands; of a hard link the path of the entry it is another of."""
    device: tuple[int, int]
    content: Content | None

    def open(self) -> BinaryIO:
        """The content of a file."""
        if self.content is None:
            raise BadImage(f"/{self.path} is a {self.kind} and has no content")
        return self.content.open()

    def read(self, most: int = -1) -> bytes:
        """What is in it, or its first bytes."""
        with self.open() as file:
            return file.read(most)


class Tree:
    """The files of an image, to which layers are applied."""

    def __init__(self) -> None:
        self.root = Node(Kind.DIRECTORY)

    def put(self, path: str, node: Node) -> Node:
        """Give the node this path, in the place of what is there; answers with what is there now.

        A directory over a directory changes that one's attributes and keeps what is in it.
        """
        parent, name = self._place(path)
        if not name:
            return self.root
        old = parent.children.get(name)
        if old is not None and old.kind is node.kind is Kind.DIRECTORY:
            old.mode, old.uid, old.gid, old.mtime = node.mode, node.uid, node.gid, node.mtime
            return old
        parent.children[name] = node
        return node

    def link(self, path: str, target: str) -> Node:
        """Another name for what is at the target, which may not be a directory."""
        directory, name = self._place(target, create=False)
        node = directory.children.get(name)
        if node is None or node.kind is Kind.DIRECTORY:
            what = "is a directory" if node is not None else "does not exist"
            raise BadImage(f"{path} is a hard link to {target}, which {what}")
        return self.put(path, node)

    def remove(self, path: str) -> None:
        """Remove what is there, if anything is."""
        directory, name = self._place(path, create=False)
        directory.children.pop(name, None)

    def kind(self, path: str) -> Kind | None:
        """What stands at a path itself, be it a symbolic link."""
        directory, name = self._place(path, create=False)
        node = directory.children.get(name)
        return None if node is None else node.kind

    def directory(self, path: str) -> Node | None:
        """The directory at a path, whose last part may be a symbolic link too."""
        node = self.node(path)
        return node if node is not None and node.kind is Kind.DIRECTORY else None

    def make_directory(self, path: str) -> Node:
        """The directory at a path, created with its parents where it is missing."""
        node = self._follow(_parts(path), create=True)
        if node is None or node.kind is not Kind.DIRECTORY:
            raise BadImage(f"{path} is not a directory in the image")
        return node

    def node(self, path: str) -> Node | None:
        """The node at a path, with symbolic links followed."""
        return self._follow(_parts(path), create=False)

    def find(self, path: str) -> Entry | None:
        """What a program in the image would open at the path: symbolic links are followed."""
        node = self.node(path)
        return None if node is None else _entry("/".join(_parts(path)), node)

    def walk(self) -> Iterator[Entry]:
        """Every entry, each after its directory, and in each directory in the order of bytes.

        That is the order in which an engine's `export` has them. The first name of a file that has
        several is the file, the others are hard links to it.
        """
        first: dict[int, str] = {}
        stack = [("", iter(_sorted(self.root)))]
        while stack:
            prefix, children = stack[-1]
            for name, node in children:
                path = prefix + name
                seen = None if node.kind is Kind.DIRECTORY else first.setdefault(id(node), path)
                yield _entry(path, node, None if seen == path else seen)
                if node.kind is Kind.DIRECTORY:
                    stack.append((path + "/", iter(_sorted(node))))
                    break
            else:
                stack.pop()

    def copy(self) -> Tree:
        """A tree of its own with the same contents."""
        copies: dict[int, Node] = {}
        tree = Tree()
        tree.root = _copied(self.root, copies)
        return tree

    def _place(self, path: str, *, create: bool = True) -> tuple[Node, str]:
        *above, name = _parts(path) or [""]
        directory = self._follow(above, create=create)
        if directory is None:
            return Node(Kind.DIRECTORY), name
        if directory.kind is not Kind.DIRECTORY:
            raise BadImage(
                f"{path} lies in {'/'.join(above)}, which is a {directory.kind} and no directory"
            )
        return directory, name

    def _follow(self, parts: list[str], *, create: bool) -> Node | None:
        """The node at the parts, with symbolic links followed inside of this tree."""
        ahead = parts[::-1]
        way = [self.root]
        links = 0
        while ahead:
            part = ahead.pop()
            if part == "..":
                way = way[:-1] or way
                continue
            here = way[-1]
            if here.kind is not Kind.DIRECTORY:
                return here if create else None
            node = here.children.get(part)
            if node is None:
                if not create:
                    return None
                node = here.children[part] = Node(Kind.DIRECTORY)
            if node.kind is Kind.SYMLINK:
                links += 1
                way = [self.root] if node.target.startswith("/") else way
                ahead += _split(node.target)[::-1]
            else:
                way.append(node)
            if links > _MOST_LINKS or len(way) > _DEEPEST:
                raise BadImage(f"{'/'.join(parts)} leads through too many links or directories")
        return way[-1]


def encoded(path: str) -> bytes:
    """The bytes of a path in an image, whatever they are."""
    return path.encode("utf-8", "surrogateescape")


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


def _parts(path: str) -> list[str]:
    """The names on the way, with `..` taken off as far as the path itself tells, as Clean does."""
    parts: list[str] = []
    for part in _split(path):
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    _check(path, parts)
    return parts


def _check(path: str, parts: list[str]) -> None:
    if "\0" in path:
        raise BadImage(f"a path of the image has a zero byte: {path!r}")
    if len(path) > _LONGEST_PATH or len(parts) > _DEEPEST:
        raise BadImage(
            f"a path of the image has more than {_LONGEST_PATH} characters or {_DEEPEST} "
            f"directories: {path[:80]}..."
        )
    if any(len(encoded(part)) > _LONGEST_NAME for part in parts):
        raise BadImage(f"a name in the image has more than {_LONGEST_NAME} bytes: {path[:80]}...")


def _sorted(directory: Node) -> list[tuple[str, Node]]:
    return sorted(directory.children.items(), key=lambda child: encoded(child[0]))


def _entry(path: str, node: Node, first: str | None = None) -> Entry:
    return Entry(
        path=path,
        kind=node.kind if first is None else Kind.HARDLINK,
        mode=node.mode,
        uid=node.uid,
        gid=node.gid,
        mtime=node.mtime,
        size=0 if node.content is None else node.content.size,
        target=node.target if first is None else first,
        device=node.device,
        content=node.content,
    )


def _copied(node: Node, copies: dict[int, Node]) -> Node:
    """Depth is bounded by that of paths."""
    known = copies.get(id(node))
    if known is None:
        known = copies[id(node)] = Node(
            node.kind,
            node.mode,
            node.uid,
            node.gid,
            node.mtime,
            node.target,
            node.device,
            node.content,
            {name: _copied(child, copies) for name, child in node.children.items()},
        )
    return known
