"""What COPY and ADD of a Dockerfile do: what is meant by a name, and where it goes to."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from simulator.images.context import matching
from simulator.images.dockerfile import Instruction
from simulator.images.errors import BadImage
from simulator.images.folders import MTIME
from simulator.images.tree import Kind, Node, Tree

_MODE = re.compile("0?[0-7]{1,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """Where COPY puts things."""

    path: str
    is_directory: bool

    @classmethod
    def of(cls, given: str, working_dir: str, several: bool) -> Target:
        """That of the last word; `several` files go into a directory only."""
        return cls(
            posixpath.join("/", working_dir, given),
            several or given.endswith("/") or given in {".", ".."},
        )

    def put(self, tree: Tree, name: str, node: Node) -> None:
        """A file of that name."""
        inside = self.is_directory or tree.directory(self.path) is not None
        tree.put(f"{self.path}/{name}" if inside else self.path, node)

    def put_all(self, tree: Tree, directory: Node, change: Callable[[Node], Node]) -> None:
        """What is in the directory, and not itself."""
        made = tree.make_directory(self.path)
        made.mtime = MTIME
        _merge(made, directory, change)


def _merge(into: Node, directory: Node, change: Callable[[Node], Node]) -> None:
    for name, node in directory.children.items():
        old = into.children.get(name)
        new = change(shared(node))
        if node.kind is Kind.DIRECTORY:
            if old is not None and old.kind is Kind.DIRECTORY:
                new.children = old.children
            _merge(new, node, change)
        into.children[name] = new


def shared(node: Node) -> Node:
    """A node of its own with the same content; what is in a directory comes later."""
    return replace(node, children={})


def matches(tree: Tree, name: str) -> Iterator[tuple[str, Node]]:
    """What a source's name means, which may be a pattern; with the paths."""
    normal = posixpath.normpath(posixpath.join("/", name)).lstrip("/")
    if not any(mark in normal for mark in "*?["):
        node = tree.node(normal)
        if node is not None:
            yield normal, node
        return
    pattern = matching(normal)
    for entry in tree.walk():
        if pattern.fullmatch(entry.path) and (node := tree.node(entry.path)) is not None:
            yield entry.path, node


def changed_by(instruction: Instruction) -> Callable[[Node], Node]:
    """What --chown and --chmod make of a file that is copied."""
    owner, mode = instruction.flag("chown"), instruction.flag("chmod")
    user, _, group = (owner or "0:0").partition(":")
    if not user.isdecimal() or (group and not group.isdecimal()):
        raise BadImage(f"--chown={owner} names a user; only numbers are known here")
    uid, gid = int(user), int(group or user)
    if mode is not None and not _MODE.fullmatch(mode):
        raise BadImage(f"--chmod={mode} is no octal number of up to four digits")

    def change(node: Node) -> Node:
        node.uid, node.gid = (uid, gid) if owner is not None else (node.uid, node.gid)
        if mode is not None and node.kind is not Kind.SYMLINK:
            node.mode = int(mode, 8)
        return node

    return change
