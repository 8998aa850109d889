"""The files of an image as the enclave's program finds them.

Before it starts the program, init mounts empty filesystems over /dev, /proc, /run, /sys and /tmp:
what the image has there is hidden. Source: init.c of aws-nitro-enclaves-sdk-bootstrap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from simulator.images import BadImage, Entry, Kind
from simulator.images.elf import is_elf
from simulator.images.tree import Tree
from simulator.lint.programs import Program, read_program

MOUNTED = ("/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108  # Names, not files of ours.
_PIECE = 1 << 20


@dataclass
class EnclaveFiles:
    """The files of one image."""

    image: Tree
    _inside: Tree = field(init=False)
    _names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._inside = self.image.copy()
        for path in MOUNTED:
            directory = self._inside.directory(path)
            if directory is not None:
                directory.children.clear()
        self._names = frozenset(
            entry.path.rpartition("/")[2]
            for entry in self._inside.walk()
            if entry.kind is not Kind.DIRECTORY
        )

    def find(self, path: str) -> Entry | None:
        """What the program would open at the path; a relative one is one of `/`."""
        return _find(self._inside, path)

    def has(self, path: str) -> bool:
        """Whether there is anything."""
        return self.find(path) is not None

    def is_hidden(self, path: str) -> bool:
        """Whether the image has a file there that a mount hides."""
        return not self.has(path) and _find(self.image, path) is not None

    def has_name(self, name: str) -> bool:
        """Whether any file, in whatever directory, has this name."""
        return name in self._names

    def is_said(self, *words: bytes) -> bool:
        """Whether a program or a library, wherever it is, has one of the words in it."""
        pattern = re.compile(b"|".join(map(re.escape, words)))
        longest = max(map(len, words))
        return any(
            _is_in(entry, pattern, longest)
            for entry in self._inside.walk()
            if entry.content is not None
        )

    def program(self, entry: Entry) -> Program:
        """What the kernel would take the file for."""
        with entry.open() as file:
            return read_program(file)

    def text(self, path: str, limit: int) -> str | None:
        """The text of a file of up to `limit` bytes; None for a larger one and for no text."""
        entry = self.find(path)
        if entry is None or entry.content is None or entry.size > limit:
            return None
        with entry.open() as file:
            data = file.read()
        try:
            return None if b"\0" in data else data.decode()
        except UnicodeDecodeError:
            return None


def _is_in(entry: Entry, pattern: re.Pattern[bytes], longest: int) -> bool:
    with entry.open() as file:
        piece = file.read(_PIECE)
        if not is_elf(piece):
            return False
        kept = b""
        while piece:
            if pattern.search(kept + piece):
                return True
            kept, piece = piece[-longest:], file.read(_PIECE)
    return False


def _find(tree: Tree, path: str) -> Entry | None:
    try:
        return tree.find(path)
    except BadImage:
        # Too long for any file.
        return None
