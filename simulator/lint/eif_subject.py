"""An EIF as a subject: the files of its ramdisks, and what its metadata tell of the image.

What runs is what `cmd` in the ramdisk says. The metadata of nitro-cli repeat the configuration of
the image, where an ENTRYPOINT that was dropped can still be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nsm_fake.eif import ARM64, Eif, EifError
from simulator.images import BadImage, Kind, Limits, cpio
from simulator.images.contents import OpenFile, Span
from simulator.images.layers import Budget
from simulator.images.tree import Node, Tree
from simulator.lint.boot_report import arguments
from simulator.lint.files import MOUNTED, EnclaveFiles
from simulator.lint.settings import inspected, settings
from simulator.lint.subject import Form, Place, Subject, Text, Words

_ROOTFS = "rootfs"
_MOST_LINES = 1 << 20
_KINDS = {
    cpio.DIRECTORY: Kind.DIRECTORY,
    cpio.FILE: Kind.FILE,
    cpio.SYMLINK: Kind.SYMLINK,
    cpio.CHARACTER: Kind.CHARACTER_DEVICE,
    cpio.BLOCK: Kind.BLOCK_DEVICE,
    cpio.FIFO: Kind.FIFO,
}


def from_eif(name: str, path: Path) -> Subject:
    """The subject of an EIF. Raises EifError and BadImage."""
    eif = Eif.open(path)
    eif.check_crc()
    tree = _unpacked(path, eif)
    rootfs = Tree()
    root = tree.directory(_ROOTFS)
    if root is not None:
        rootfs.root = root
    missing = [f"/{each}" for each in ("cmd", "env") if tree.find(each) is None]
    missing += [f"/{_ROOTFS}{each}" for each in MOUNTED if rootfs.directory(each) is None]
    members = _settings(name, eif)
    command = _lines(tree, "cmd")
    if command is not None and arguments(command) != _arguments(members):
        # Of another builder, or without metadata: what runs counts.
        place = Place("cmd in the application's ramdisk")
        members |= {"cmd": Words(command, place), "entrypoint": None}
    env = _lines(tree, "env") or ()
    members["env"] = members.get("env") or tuple(
        Text(line, Place("env in the application's ramdisk")) for line in env
    )
    return Subject(
        name,
        Form.EIF,
        architecture="arm64" if eif.header.flags & ARM64 else "amd64",
        files=EnclaveFiles(rootfs),
        missing=missing,
        **members,
    )


def _arguments(members: dict[str, Any]) -> tuple[str, ...] | None:
    words = members.get("cmd") or members.get("entrypoint")
    return arguments(words.words) if words is not None else None


def _settings(name: str, eif: Eif) -> dict[str, Any]:
    """What the metadata say; nothing where they say nothing that can be read."""
    try:
        described = (eif.metadata() or {}).get("DockerInfo")
        if not isinstance(described, dict) or not isinstance(described.get("Config"), dict):
            return {}
        return settings(inspected(described, name))
    except (EifError, BadImage):
        return {}


def _unpacked(path: Path, eif: Eif) -> Tree:
    """What the kernel unpacks: one ramdisk after the other."""
    tree = Tree()
    file = OpenFile.at(path)
    budget = Budget(Limits())
    for section in eif.ramdisks:
        for header, content in cpio.read(Span(file, section.content, section.size)):
            budget.take_entry()
            node = _node(header, content)
            if node is not None:
                tree.put(header.name, node)
    return tree


def _node(header: cpio.Header, content: Span) -> Node | None:
    kind = _KINDS.get(header.kind)
    if kind is None:
        return None
    target = ""
    if kind is Kind.SYMLINK:
        with content.open() as file:
            target = file.read(4096).decode("utf-8", "surrogateescape")
    return Node(
        kind,
        mode=header.mode,
        uid=header.uid,
        gid=header.gid,
        mtime=header.mtime,
        target=target,
        device=header.device,
        content=content if kind is Kind.FILE else None,
    )


def _lines(tree: Tree, path: str) -> tuple[str, ...] | None:
    entry = tree.find(path)
    if entry is None or entry.content is None:
        return None
    with entry.open() as file:
        text = file.read(_MOST_LINES).decode("utf-8", "surrogateescape")
    return tuple(_split(text))


def _split(text: str) -> Iterator[str]:
    lines = text.split("\n")
    # The last one has a line feed behind it too, or is none.
    yield from lines[:-1] if not lines[-1] else lines
