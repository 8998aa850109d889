"""The bytes of an enclave image file (EIF): its header, and the header of each section.

A header of 548 bytes, then sections, each 12 bytes of its own header and its content, one directly
after the other. All integers are big-endian. The header repeats where each section begins and how
long its content is. No padding anywhere.

Source: aws-nitro-enclaves-image-format, `src/defs/mod.rs`, the same in 0.5.0 (nitro-cli 1.4.4) and
0.7.0 (nitro-cli 1.5.0).
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

MAGIC = b".eif"
VERSION = 4
"""What is written. 2 brought the checksum, 3 the signature, 4 the metadata."""
READABLE_VERSIONS = range(2, VERSION + 1)
MAX_SECTIONS = 32
ARM64 = 0x1
"""The flag of the header for the aarch64 architecture; without it, x86_64."""
DEFAULT_MEMORY = 1 << 30
"""Bytes; written into every header, and read by nothing that is public."""
DEFAULT_CPUS = 2

_HEADER = struct.Struct(">4sHHQQHH32Q32QII")
_SECTION_HEADER = struct.Struct(">HHQ")
HEADER_SIZE = _HEADER.size
SECTION_HEADER_SIZE = _SECTION_HEADER.size
CRC_OFFSET = HEADER_SIZE - 4
"""The checksum is the header's last field, and covers all but itself."""


class SectionType(enum.IntEnum):
    """What a section holds. 0 is reserved for `invalid`."""

    KERNEL = 1
    CMDLINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


@dataclass(frozen=True, slots=True)
class Section:
    """Where one section is."""

    type: SectionType
    flags: int
    offset: int
    """Of its header, from the beginning of the file."""
    size: int
    """Of its content, which follows the header."""

    @property
    def content(self) -> int:
        """The offset of its content."""
        return self.offset + SECTION_HEADER_SIZE

    @property
    def end(self) -> int:
        """The offset of what follows it."""
        return self.content + self.size


def section_header(kind: SectionType, size: int) -> bytes:
    """The 12 bytes in front of a section's content; flags are always written as 0."""
    return _SECTION_HEADER.pack(kind, 0, size)


def read_section_header(data: bytes) -> tuple[int, int, int]:
    """Type, flags and size, from 12 bytes."""
    kind, flags, size = _SECTION_HEADER.unpack(data)
    return kind, flags, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first 548 bytes."""

    version: int = VERSION
    flags: int = 0
    default_memory: int = DEFAULT_MEMORY
    default_cpus: int = DEFAULT_CPUS
    section_count: int
    section_offsets: tuple[int, ...]
    """32 of them; those beyond the count are 0."""
    section_sizes: tuple[int, ...]
    """Likewise."""
    crc: int = 0
    magic: bytes = MAGIC
    reserved: int = 0
    unused: int = 0

    @property
    def is_arm64(self) -> bool:
        """Whether the image is for aarch64."""
        return bool(self.flags & ARM64)

    def encode(self) -> bytes:
        """The 548 bytes."""
        return _HEADER.pack(
            self.magic,
            self.version,
            self.flags,
            self.default_memory,
            self.default_cpus,
            self.reserved,
            self.section_count,
            *self.section_offsets,
            *self.section_sizes,
            self.unused,
            self.crc,
        )

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """From 548 bytes, whatever they say."""
        magic, version, flags, memory, cpus, reserved, count, *rest = _HEADER.unpack(data)
        *table, unused, crc = rest
        return cls(
            magic=magic,
            version=version,
            flags=flags,
            default_memory=memory,
            default_cpus=cpus,
            reserved=reserved,
            section_count=count,
            section_offsets=tuple(table[:MAX_SECTIONS]),
            section_sizes=tuple(table[MAX_SECTIONS:]),
            unused=unused,
            crc=crc,
        )

    @classmethod
    def of(cls, offsets: list[int], sizes: list[int], *, flags: int) -> Header:
        """The header for sections at these offsets, still without its checksum."""
        room = (0,) * (MAX_SECTIONS - len(offsets))
        return cls(
            flags=flags,
            section_count=len(offsets),
            section_offsets=(*offsets, *room),
            section_sizes=(*sizes, *room),
        )
