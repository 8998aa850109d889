"""Layers: tar archives that are applied one over the other, with whiteouts, as containerd does.

Their content is left where it is: a compressed layer is unpacked once into a temporary file.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import posixpath
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, BinaryIO

from simulator.images.contents import Content, OpenFile, Span
from simulator.images.errors import BadImage
from simulator.images.tree import GIB, Kind, Limits, Node, Tree

_CHUNK = 1024 * 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_LARGEST_HEADER = 1024 * 1024
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."

# What tarfile raises at one broken header or another, beside its own errors.
_BROKEN_TAR = (tarfile.TarError, ValueError, KeyError, IndexError, TypeError, OverflowError)

_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.CHARACTER_DEVICE,
    tarfile.BLKTYPE: Kind.BLOCK_DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}


class Budget:
    """What is left of the limits while an image is read."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = limits.size
        self._entries = limits.entries

    def take(self, size: int) -> None:
        """Count bytes that are unpacked."""
        self._size -= size
        if self._size < 0:
            raise BadImage(
                f"the image has more than {self._limits.size / GIB:.4g} GiB unpacked, which is "
                "taken for an attack; if it is none, allow more with --image-limit"
            )

    def take_entry(self) -> None:
        """Count a file of a layer."""
        self._entries -= 1
        if self._entries < 0:
            raise BadImage(f"the image has more than {self._limits.entries} files")


class _Gzip:
    """gzip, of several members if need be, in pieces of bounded size."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            piece = self._member.decompress(data, _CHUNK)
            if piece:
                yield piece
            data = self._member.unconsumed_tail
            if self._member.eof:
                data = self._member.unused_data.lstrip(b"\0")
                if data:
                    self._member = zlib.decompressobj(wbits=31)

    @property
    def complete(self) -> bool:
        return self._member.eof


class _Zstandard:
    """zstd, where the standard library has it."""

    def __init__(self) -> None:
        # Not in the type stubs of the oldest Python that this runs on.
        self._new: Callable[[], Any] = import_module("compression.zstd").ZstdDecompressor
        self._frame = self._new()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._frame.needs_input or self._frame.eof):
            if self._frame.eof:
                self._frame = self._new()
            piece = self._frame.decompress(data, _CHUNK)
            data = b""
            if piece:
                yield piece
            if self._frame.eof:
                data = self._frame.unused_data

    @property
    def complete(self) -> bool:
        return bool(self._frame.eof)


def unpacked(content: Content, source: str, budget: Budget) -> Span:
    """The content without its compression: itself, or a temporary file.

    `source` is what messages call it.
    """
    with content.open() as file:
        start = file.read(4)
        if start.startswith(_GZIP):
            decompressor: _Gzip | _Zstandard = _Gzip()
        elif start == _ZSTD:
            decompressor = _zstandard(source)
        else:
            return _span(content)
        file.seek(0)
        return _decompressed(file, decompressor, source, budget)


def _zstandard(source: str) -> _Zstandard:
    try:
        return _Zstandard()
    except ImportError as error:
        raise BadImage(
            f"{source} is compressed with zstd, which Python {sys.version_info.major}."
            f"{sys.version_info.minor} cannot read (3.14 can); `docker save` writes layers "
            "uncompressed, and `skopeo copy --dest-compress-format gzip` makes gzip of them"
        ) from error


def _span(content: Content) -> Span:
    if isinstance(content, Span):
        return content
    with content.open() as file:
        # Contents that are no part of a file are files of this machine.
        return Span(OpenFile(os.dup(file.fileno())), 0, content.size)


def _decompressed(
    file: BinaryIO, decompressor: _Gzip | _Zstandard, source: str, budget: Budget
) -> Span:
    size = 0
    try:
        with tempfile.TemporaryFile() as spool:
            while data := file.read(_CHUNK):
                for piece in decompressor.pieces(data):
                    budget.take(len(piece))
                    size += len(piece)
                    spool.write(piece)
            spool.flush()
            copy = OpenFile(os.dup(spool.fileno()))
    except zlib.error as error:
        raise BadImage(f"{source} is damaged: {error}") from error
    except OSError as error:
        raise BadImage(
            f"cannot unpack {source} into {tempfile.gettempdir()}: {error.strerror or error}"
        ) from error
    if not decompressor.complete:
        raise BadImage(f"{source} is cut short: its compressed data has no end")
    return Span(copy, 0, size)


def sha256(content: Content) -> str:
    """The digest in the form that manifests have it."""
    digest = hashlib.sha256()
    with content.open() as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"


class _Headers(io.BufferedReader):
    """A tar archive for tarfile, which may not be made to read a header of gigabytes."""

    def __init__(self, span: Span, source: str) -> None:
        super().__init__(span.raw(), tarfile.BLOCKSIZE)
        self._source = source

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_HEADER:
            raise BadImage(f"{self._source} has a header of more than {_LARGEST_HEADER} bytes")
        return super().read(size)


def members(span: Span, source: str) -> Iterator[tuple[tarfile.TarInfo, Span]]:
    """The members of a tar archive, and where their content is."""
    count = 0
    with _Headers(span, source) as headers:
        try:
            archive = tarfile.open(  # noqa: SIM115  # It has nothing to close: the file is ours.
                fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape"
            )
            while (member := archive.next()) is not None:
                count += 1
                # tarfile would keep them all.
                archive.members = []  # type: ignore[attr-defined]  # Not in its stubs.
                yield member, _content(member, span, source)
        except _BROKEN_TAR as error:
            if isinstance(error, BadImage):
                raise
            raise BadImage(f"{source} is damaged after {count} files: {error}") from error
    _check_end(span, archive.offset, source)


def _content(member: tarfile.TarInfo, span: Span, source: str) -> Span:
    if member.issparse():
        raise BadImage(f"{source} has a sparse file, {member.name}; save it without")
    size = member.size if member.isreg() else 0
    if size < 0 or member.offset_data + size > span.size:
        raise BadImage(f"{source} is cut short in {member.name}")
    return Span(span.file, span.offset + member.offset_data, size)


def _check_end(span: Span, offset: int, source: str) -> None:
    """tarfile takes a broken header for the end, which is a block of zeros or of the file."""
    with span.open() as file:
        file.seek(min(offset, span.size))
        block = file.read(tarfile.BLOCKSIZE)
    if any(block):
        raise BadImage(f"{source} is damaged at byte {offset}: no header of a file stands there")


def apply_layer(tree: Tree, layer: Span, source: str, budget: Budget) -> None:
    """Apply the layer's files to the tree."""
    fresh: dict[int, Node] = {}
    for member, span in members(layer, source):
        budget.take_entry()
        _apply(tree, member, span, source, fresh)


def _apply(
    tree: Tree, member: tarfile.TarInfo, span: Span, source: str, fresh: dict[int, Node]
) -> None:
    directory, _, name = posixpath.normpath("/" + member.name.lstrip("/")).rpartition("/")
    if name == _OPAQUE:
        opaque = tree.directory(directory)
        if opaque is not None:
            _clear(opaque, fresh)
    elif f"/{_RESERVED}" in f"{directory}/{name}":
        # Directories of the storage driver aufs, which are no files of the image.
        return
    elif name.startswith(_WHITEOUT):
        tree.remove(f"{directory}/{name.removeprefix(_WHITEOUT)}")
    elif (kind := _KINDS.get(member.type)) is Kind.HARDLINK:
        node = tree.link(member.name, member.linkname)
        fresh[id(node)] = node
    elif kind is None:
        raise BadImage(f"{source} has a file of a kind that no image has: {member.name}")
    else:
        node = tree.put(member.name, _node(kind, member, span))
        fresh[id(node)] = node


def _node(kind: Kind, member: tarfile.TarInfo, span: Span) -> Node:
    return Node(
        kind,
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime=int(member.mtime) if math.isfinite(member.mtime) else 0,
        target=member.linkname if kind is Kind.SYMLINK else "",
        device=(member.devmajor, member.devminor),
        content=span if kind is Kind.FILE else None,
    )


def _clear(directory: Node, fresh: dict[int, Node]) -> bool:
    """Remove what layers below have put there; whether anything of this layer is left."""
    for name, node in list(directory.children.items()):
        kept = _clear(node, fresh) if node.children else False
        if not kept and id(node) not in fresh:
            del directory.children[name]
    return bool(directory.children)
