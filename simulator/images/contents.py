"""Where the bytes of a file in an image are, read only when they are asked for."""

from __future__ import annotations

import io
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from simulator.images.errors import BadImage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 64 * 1024


class Content(Protocol):
    """The bytes of one file."""

    @property
    def size(self) -> int:
        """How many there are."""

    def open(self) -> BinaryIO:
        """From their beginning."""


class OpenFile:
    """A file descriptor that many contents share; it is closed with the last of them."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def at(cls, path: Path) -> OpenFile:
        """Open for reading."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    @property
    def size(self) -> int:
        """Its length now."""
        return os.fstat(self.descriptor).st_size


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes within a file."""

    file: OpenFile
    offset: int
    size: int

    def open(self) -> BinaryIO:
        """A reader of its own: several can be at different places."""
        return io.BufferedReader(self.raw(), _BUFFER)

    def raw(self) -> io.RawIOBase:
        """The same without a buffer."""
        return _SpanReader(self)


class _SpanReader(io.RawIOBase):
    def __init__(self, span: Span) -> None:
        self._span = span
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._span.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: max(0, self._span.size - self._at)]
        if not view:
            return 0
        count = os.preadv(self._span.file.descriptor, [view], self._span.offset + self._at)
        if count == 0:
            raise BadImage("a file of the image was cut short while it was read")
        self._at += count
        return count


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file of this machine."""

    path: Path
    size: int

    def open(self) -> BinaryIO:
        """The file, if it still is what was seen."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise BadImage(f"cannot read {self.path}: {error.strerror or error}") from error
        if os.fstat(file.fileno()).st_size != self.size:
            file.close()
            raise BadImage(f"{self.path} changed while it was read; try again when it is at rest")
        return file


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """How many."""
        return len(self.data)

    def open(self) -> BinaryIO:
        """From their beginning."""
        return io.BytesIO(self.data)
