"""Archives of the format cpio newc: the ramdisks of an enclave.

The writer writes what github.com/surma/gocpio writes, which linuxkit makes ramdisks with: inodes
count from 721, every file has one link and every directory two, the device that holds them is 3:1,
and the whole is padded to 512 bytes after its trailer.

The reader takes any writer's archives, several in a row and padding between them as Linux does, and
is for files that anybody may have made: whatever stands in them costs a `BadArchive` and no more
memory than one name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from simulator.images.contents import Content, Span
from simulator.images.errors import BadImage

_MAGICS = (b"070701", b"070702")
_HEADER = 110
_TRAILER = "TRAILER!!!"
_FIRST_INODE = 721
_BLOCK = 512
_CHUNK = 1024 * 1024
_LONGEST_NAME = 4096
_LARGEST = 0xFFFF_FFFF
_HEX = frozenset(b"0123456789abcdefABCDEF")

DIRECTORY, FILE, SYMLINK, CHARACTER, BLOCK, FIFO, SOCKET = 4, 8, 10, 2, 6, 1, 12
"""The kinds of files, as the upper bits of a mode have them."""


class BadArchive(BadImage):
    """An archive that cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an archive says of one file."""

    name: str
    kind: int
    mode: int
    """Permissions, without the kind."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    device: tuple[int, int] = (0, 0)
    """Of a device."""
    inode: int = 0
    links: int = 1


class Writer:
    """Writes one archive."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inode = _FIRST_INODE
        self._length = 0

    def add(self, header: Header, content: Content | bytes = b"") -> None:
        """One file; the inode is counted here."""
        size = len(content) if isinstance(content, bytes) else content.size
        if size > _LARGEST:
            raise BadArchive(f"{header.name} has {size} bytes; the format has room for {_LARGEST}")
        name = header.name.encode("utf-8", "surrogateescape") + b"\0"
        fields = (
            self._inode,
            header.mode & 0o7777 | header.kind << 12,
            header.uid,
            header.gid,
            2 if header.kind == DIRECTORY else 1,
            header.mtime,
            size,
            *(3, 1),
            *header.device,
            len(name),
            0,
        )
        self._inode += 1
        self._write(b"070701" + b"".join(b"%08x" % field for field in fields) + name)
        self._pad(4)
        if isinstance(content, bytes):
            self._write(content)
        else:
            begin = self._length
            with content.open() as source:
                while data := source.read(_CHUNK):
                    self._write(data)
            if self._length - begin != size:
                raise BadArchive(f"{header.name} changed while it was read")
        self._pad(4)

    def close(self) -> None:
        """End the archive; the file stays open."""
        self.add(Header(_TRAILER, 0, 0))
        self._pad(_BLOCK)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._length += len(data)

    def _pad(self, multiple: int) -> None:
        self._write(bytes(-self._length % multiple))


def read(span: Span) -> Iterator[tuple[Header, Span]]:
    """The files of the archives in a span, each with where its content is."""
    at = 0
    with span.open() as file:
        while at < span.size:
            file.seek(at)
            start = file.read(4)
            if not any(start):
                # Padding between archives, and after the last.
                at += 4
                continue
            header, size, at = _header(file, at, span.size)
            if at + size > span.size:
                raise BadArchive(f"{header.name!r} has {size} bytes, and the archive fewer")
            if header.name != _TRAILER:
                yield header, Span(span.file, span.offset + at, size)
            at = _aligned(at + size)


def _header(file: BinaryIO, at: int, end: int) -> tuple[Header, int, int]:
    """The header at a place, the size of the content, and where that begins."""
    file.seek(at)
    data = file.read(_HEADER)
    if len(data) < _HEADER:
        raise BadArchive(f"the archive is cut short at byte {at}, within a header")
    if data[:6] not in _MAGICS or not _HEX.issuperset(data[6:]):
        raise BadArchive(f"there is no header of a file at byte {at} of the archive")
    inode, mode, uid, gid, links, mtime, size, major, minor, *device, length, _ = (
        int(data[place : place + 8], 16) for place in range(6, _HEADER, 8)
    )
    if not 1 <= length <= _LONGEST_NAME or at + _HEADER + length > end:
        raise BadArchive(f"the file at byte {at} of the archive has a name of {length} bytes")
    name = file.read(length)
    if name.find(b"\0") != length - 1:
        raise BadArchive(f"the file at byte {at} of the archive has a name with a zero byte in it")
    header = Header(
        name=name[:-1].decode("utf-8", "surrogateescape"),
        kind=mode >> 12 & 0xF,
        mode=mode & 0o7777,
        uid=uid,
        gid=gid,
        mtime=mtime,
        device=(device[0], device[1]),
        inode=(major << 64) | (minor << 32) | inode,
        links=links,
    )
    return header, size, _aligned(at + _HEADER + length)


def _aligned(at: int) -> int:
    return at + -at % 4
