"""Unpacking an enclave's ramdisks into a folder, as its kernel unpacks them into its root.

Archives of the format newc, plain or compressed, one after the other, the later over the earlier.
Source: init/initramfs.c of Linux, read and not run (inferred): what does not fit is left out
without a word; what is no archive ends its ramdisk with one line on the console.

Nothing is made outside of the folder, whatever names and links an archive holds: a path means what
it would mean if the folder were `/` (openat2(2), RESOLVE_IN_ROOT). Devices are left out, for they
would be this machine's: an enclave's are in the `/dev` that its init mounts. Without root all files
belong to the user.
"""

from __future__ import annotations

import binascii
import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from simulator.interpose.kernel import open_in_root


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


_MAGICS = (b"070701", b"070702")
_MAGIC_BYTES = 6
_OLD_MAGIC = b"070707"
_DIGITS = 8
_HEAD_BYTES = _MAGIC_BYTES + 13 * _DIGITS
_LONGEST_NAME = 4096
_LAST_NAME = b"TRAILER!!!"
_ALIGNMENT = 4
_PIECE = 1 << 20
_DECOMPRESSORS: dict[bytes, Callable[[io.BufferedReader], _Readable]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x5d\0\0": lzma.LZMAFile,
}
_LONGEST_MAGIC = 6
_OUR_REASONS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE})


class OutOfMemory(Exception):
    """The enclave's memory does not hold what its ramdisks unpack to."""


class _Malformed(Exception):
    """What the kernel says of a ramdisk."""


@dataclass(frozen=True, slots=True)
class _Head:
    """What an archive says of one file, beside its content."""

    identity: tuple[int, int, int]
    """What the names of one file have in common."""
    mode: int
    owner: int
    group: int
    links: int
    modified: int
    size: int

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)


class _Stream:
    """The bytes of a ramdisk, and how many have been read."""

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self.position = 0

    def read(self, count: int) -> bytes:
        """Up to so many bytes. Raises _Malformed."""
        try:
            content = self._file.read(count)
        except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            raise _Malformed("uncompression error") from error
        self.position += len(content)
        return content

    def align(self) -> None:
        """Go on to the next multiple of four."""
        self.read(-self.position % _ALIGNMENT)

    def skip(self, count: int) -> None:
        """Leave so many bytes out."""
        while count > 0 and (read := len(self.read(min(count, _PIECE)))):
            count -= read


class Ramdisks:
    """A folder that ramdisks are unpacked into. A context manager.

    `limit` is how many bytes the enclave's memory has for their files.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._left = limit
        self._may_give_away = os.geteuid() == 0
        self._folders: dict[bytes, _Head] = {}
        """Those that get their modes and times last."""
        self._named: dict[tuple[int, int, int], bytes] = {}
        """The first name of what has several."""
        self._parent: tuple[bytes, int] | None = None
        """The folder that was used last, and a descriptor of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._let_go()
        os.close(self._root)

    def unpack(self, file: io.BufferedReader) -> str | None:
        """Unpack one ramdisk; returns what the kernel complains of.

        Raises OutOfMemory with all unpacked that has room, and OSError where this machine has none.
        """
        try:
            self._unpack(_Stream(_decompressed(file)))
        except _Malformed as malformed:
            return f"Initramfs unpacking failed: {malformed}"
        return None

    def finish(self) -> None:
        """Give folders their modes and times, which unpacking would be hindered by or change."""
        for path, head in reversed(self._folders.items()):
            with suppress(OSError):
                folder = self._open_folder(path)
                found = Path(f"/proc/self/fd/{folder}")
                found.chmod(stat.S_IMODE(head.mode))
                os.utime(found, (head.modified, head.modified))
        self._folders.clear()

    def _unpack(self, stream: _Stream) -> None:
        while first := stream.read(1):
            if first == b"\0":
                continue
            if first != b"0":
                raise _Malformed("junk in compressed archive")
            if stream.position % _ALIGNMENT != 1:
                raise _Malformed("broken padding")
            text = first + stream.read(_HEAD_BYTES - 1)
            if len(text) < _HEAD_BYTES:
                return  # What is cut short is as if it were not there.
            head, name_length = _read_head(text)
            if not 0 < name_length <= _LONGEST_NAME:
                stream.skip(name_length)
                stream.align()
                stream.skip(head.size)
                continue
            path = stream.read(name_length).partition(b"\0")[0]
            stream.align()
            end = stream.position + head.size
            if path == _LAST_NAME:
                self._named.clear()
            else:
                self._make(path, head, stream)
            stream.skip(end - stream.position)
            stream.align()

    def _make(self, path: bytes, head: _Head, stream: _Stream) -> None:
        """Make one file. What cannot be is left out, as by the kernel."""
        parent, _, name = path.strip(b"/").rpartition(b"/")
        if name == b"..":
            return
        try:
            folder = self._open_folder(parent)
        except OSError:
            return
        if head.kind == stat.S_IFDIR:
            self._make_folder(folder, name, path, head)
        elif not name or name == b".":
            return
        elif head.kind == stat.S_IFLNK:
            self._make_link(folder, name, head, stream)
        elif head.kind == stat.S_IFREG:
            self._make_file(folder, name, path, head, stream)
        elif head.kind in (stat.S_IFIFO, stat.S_IFSOCK):
            with suppress(OSError):
                _clear(folder, name, head.kind)
                os.mknod(name, head.mode, dir_fd=folder)
                self._give_away(folder, name, head)

    def _make_folder(self, folder: int, name: bytes, path: bytes, head: _Head) -> None:
        if name and name != b".":
            try:
                _clear(folder, name, head.kind)
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
                self._give_away(folder, name, head)
            except OSError as error:
                _leave_out(error)
                return
        self._folders.pop(path, None)
        self._folders[path] = head

    def _make_link(self, folder: int, name: bytes, head: _Head, stream: _Stream) -> None:
        if head.size > _LONGEST_NAME:
            return
        target = stream.read(head.size).partition(b"\0")[0]
        try:
            _clear(folder, name, None)
            os.symlink(target, name, dir_fd=folder)
            self._give_away(folder, name, head)
            os.utime(name, (head.modified,) * 2, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            _leave_out(error)

    def _make_file(
        self, folder: int, name: bytes, path: bytes, head: _Head, stream: _Stream
    ) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        first = self._named.get(head.identity) if head.links > 1 else None
        try:
            if first is None:
                flags |= os.O_TRUNC
                _clear(folder, name, stat.S_IFREG)
            else:
                _clear(folder, name, None)
                self._link(first, folder, name)
            file = os.open(name, flags, 0o600, dir_fd=folder)
        except OSError as error:
            _leave_out(error)
            return
        if head.links > 1:
            self._named.setdefault(head.identity, path)
        try:
            self._fill(file, head.size, stream)
            if self._may_give_away:
                os.fchown(file, head.owner, head.group)
            os.fchmod(file, stat.S_IMODE(head.mode))
            os.utime(file, (head.modified, head.modified))
        finally:
            os.close(file)

    def _link(self, first: bytes, folder: int, name: bytes) -> None:
        """Give a file another name."""
        parent, _, base = first.strip(b"/").rpartition(b"/")
        there = open_in_root(self._root, parent)
        try:
            os.link(base, name, src_dir_fd=there, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(there)

    def _fill(self, file: int, size: int, stream: _Stream) -> None:
        while size > 0 and (piece := stream.read(min(size, _PIECE))):
            size -= len(piece)
            kept = memoryview(piece)[: self._left]
            self._left -= len(kept)
            rest = kept
            while rest:
                rest = rest[os.write(file, rest) :]
            if len(kept) < len(piece):
                raise OutOfMemory

    def _open_folder(self, path: bytes) -> int:
        """A descriptor of a folder that exists. Raises OSError."""
        if self._parent is None or self._parent[0] != path:
            opened = open_in_root(self._root, path)
            self._let_go()
            self._parent = path, opened
        return self._parent[1]

    def _let_go(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    def _give_away(self, folder: int, name: bytes, head: _Head) -> None:
        if self._may_give_away:
            os.chown(name, head.owner, head.group, dir_fd=folder, follow_symlinks=False)


def _decompressed(file: io.BufferedReader) -> _Readable:
    start = file.peek(_LONGEST_MAGIC)
    for magic, decompressor in _DECOMPRESSORS.items():
        if start.startswith(magic):
            return decompressor(file)
    return file


def _read_head(text: bytes) -> tuple[_Head, int]:
    """What a head says, and the length of the name that follows. Raises _Malformed."""
    magic = text[:_MAGIC_BYTES]
    if magic == _OLD_MAGIC:
        raise _Malformed("incorrect cpio method used: use -H newc option")
    if magic not in _MAGICS:
        raise _Malformed("no cpio magic")
    inode, mode, owner, group, links, modified, size, major, minor, _, _, name_length, _ = (
        _number(text[start : start + _DIGITS]) for start in range(_MAGIC_BYTES, len(text), _DIGITS)
    )
    head = _Head((inode, major, minor), mode, owner, group, links, modified, size)
    return head, name_length


def _number(digits: bytes) -> int:
    """What simple_strtoul() takes them for."""
    try:
        return int.from_bytes(binascii.unhexlify(digits))
    except binascii.Error:
        return 0


def _clear(folder: int, name: bytes, kind: int | None) -> None:
    """Remove what has the name already and is of another kind, or of any for None."""
    try:
        found = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return
    if found == kind:
        return
    if found == stat.S_IFDIR:
        os.rmdir(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _leave_out(error: OSError) -> None:
    """Whether to go on without a file. Raises the error where this machine is the reason."""
    if error.errno in _OUR_REASONS:
        raise error
