"""ELF programs: what the kernel and the dynamic linker will look for when one is started.

A reader of headers, segments and the dynamic section; nothing is loaded. All of it is read as bytes
that anybody may have written: an offset outside of the file is `BadElf`, never more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"\x7fELF"

_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_LITTLE, _BIG = 1, 2
_CLASS64 = 2
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 14, 15, 29
_MOST_SEGMENTS = 1024
_LARGEST_DYNAMIC = 1024 * 1024
_LONGEST = 4096


class BadElf(ValueError):
    """A file that begins as ELF does, and cannot be read as it."""


@dataclass(frozen=True, slots=True)
class Elf:
    """What there is to know of a program or library before it is started."""

    architecture: str
    """As `uname -m` has it, or the number of one that is not known here."""
    interpreter: str | None
    """The dynamic linker that the kernel opens; None for a static program, and for libraries."""
    needed: tuple[str, ...]
    """The shared libraries it names."""
    search: tuple[str, ...]
    """Where it has them looked for first (RUNPATH or RPATH), $ORIGIN as it stands."""
    soname: str | None
    loaded: int
    """Bytes of the file that running it takes; behind them is what debuggers read."""

    @property
    def static(self) -> bool:
        """Whether it starts without any other file."""
        return self.interpreter is None and not self.needed


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def is_elf(start: bytes) -> bool:
    """Whether the first bytes of a file are those of ELF."""
    return start.startswith(MAGIC)


def read_elf(file: BinaryIO) -> Elf:
    """Read a program or a library of 64 bits."""
    start = _at(file, 0, 64)
    if not is_elf(start):
        raise BadElf("it is no ELF file")
    if start[4] != _CLASS64 or start[5] not in {_LITTLE, _BIG}:
        raise BadElf("it is not for 64 bits, as enclaves are")
    order = "<" if start[5] == _LITTLE else ">"
    machine = struct.unpack_from(f"{order}H", start, 18)[0]
    segments = _segments(file, order, start)
    interpreter = next(
        (
            _text(_at(file, one.offset, min(one.size, _LONGEST)))
            for one in segments
            if one.kind == _PT_INTERP
        ),
        None,
    )
    dynamic = _dynamic(file, order, segments)
    return Elf(
        architecture=_MACHINES.get(machine, str(machine)),
        interpreter=interpreter,
        needed=tuple(dynamic.get(_DT_NEEDED, ())),
        search=tuple(
            part
            for value in dynamic.get(_DT_RUNPATH) or dynamic.get(_DT_RPATH) or ()
            for part in value.split(":")
            if part
        ),
        soname=next(iter(dynamic.get(_DT_SONAME, ())), None),
        loaded=max((one.offset + one.size for one in segments), default=0),
    )


def without_sections(program: bytes, elf: Elf) -> bytes:
    """The program without what is not loaded: symbols for debuggers, and the table of sections."""
    kept = bytearray(program[: elf.loaded])
    order = "<" if kept[5] == _LITTLE else ">"
    struct.pack_into(f"{order}Q", kept, 40, 0)
    struct.pack_into(f"{order}HH", kept, 60, 0, 0)
    return bytes(kept)


def _segments(file: BinaryIO, order: str, start: bytes) -> list[_Segment]:
    (offset,) = struct.unpack_from(f"{order}Q", start, 32)
    size, count = struct.unpack_from(f"{order}HH", start, 54)
    if count and (size < 56 or count > _MOST_SEGMENTS):
        raise BadElf("its segments cannot be read")
    table = _at(file, offset, size * count) if count else b""
    found = []
    for number in range(count):
        kind, _, place, address, _, length = struct.unpack_from(
            f"{order}IIQQQQ", table, number * size
        )
        found.append(_Segment(kind, place, address, length))
    return found


def _dynamic(file: BinaryIO, order: str, segments: list[_Segment]) -> dict[int, list[str]]:
    """The texts of the dynamic section by their tags."""
    segment = next((one for one in segments if one.kind == _PT_DYNAMIC), None)
    if segment is None:
        return {}
    if segment.size > _LARGEST_DYNAMIC:
        raise BadElf("its dynamic section is too large")
    data = _at(file, segment.offset, segment.size - segment.size % 16)
    pairs = list(struct.iter_unpack(f"{order}qQ", data))
    tables = [value for tag, value in pairs if tag == _DT_STRTAB]
    if not tables:
        return {}
    strings = _file_offset(tables[0], segments)
    found: dict[int, list[str]] = {}
    for tag, value in pairs:
        if tag == 0:
            break
        if tag in {_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH}:
            found.setdefault(tag, []).append(_string(file, strings + value))
    return found


def _file_offset(address: int, segments: list[_Segment]) -> int:
    for one in segments:
        if one.kind == _PT_LOAD and one.address <= address < one.address + one.size:
            return one.offset + address - one.address
    raise BadElf("its strings are outside of its segments")


def _string(file: BinaryIO, offset: int) -> str:
    _seek(file, offset)
    return _text(file.read(_LONGEST))


def _text(data: bytes) -> str:
    end = data.find(b"\0")
    if end < 0:
        raise BadElf("a text in it has no end")
    return data[:end].decode("utf-8", "surrogateescape")


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    _seek(file, offset)
    data = file.read(size)
    if len(data) != size:
        raise BadElf("it is cut short")
    return data


def _seek(file: BinaryIO, offset: int) -> None:
    if offset >= 1 << 62:
        raise BadElf("an offset in it is outside of it")
    file.seek(offset)
