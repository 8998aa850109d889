"""Reading an enclave image file: where its sections are, what they hold, and its checksum.

Whoever reads an image checks something else, and nobody everything (inferred from source, but for
the hypervisor, whose loader is not public):

- nitro-cli's `describe-eif`, `sign-eif` and the measuring thread of `run-enclave` (`EifReader`)
  walk from one section header to the next until no whole one is left. They check neither magic nor
  version nor the header's table, ignore up to 11 bytes at the end, and compute the checksum only
  for `describe-eif` to show. A section that is announced longer than memory aborts them.
- `run-enclave` looks for a signature first (`PcrSignatureChecker`), and does not notice that
  another section is cut short.
- QEMU's `hw/core/eif.c` follows the header's table, wants magic, version 4 or later, sizes that
  agree and a right checksum, at most 32 sections, one kernel, cmdline, signature and metadata, a
  kernel, a cmdline and a ramdisk, and takes x86_64 only.

`Reading.STRICT` checks what all of them need; `Reading.AS_NITRO_CLI` what `EifReader` does;
`Reading.AS_BOOTED` what QEMU does, for the hypervisor: as the strict one, but blind for what
follows the last section of the header's table (inferred). All take at most 32 sections and bound
what they hold in memory, whatever the file says.
"""

from __future__ import annotations

import enum
import hashlib
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from nsm_fake.eif.errors import (
    END_OF_FILE,
    EifBadCrc,
    EifBadMagic,
    EifBadSection,
    EifBadVersion,
    EifOversized,
    EifTooManySections,
    EifTruncated,
)
from nsm_fake.eif.layout import (
    CRC_OFFSET,
    HEADER_SIZE,
    MAGIC,
    MAX_SECTIONS,
    READABLE_VERSIONS,
    SECTION_HEADER_SIZE,
    Header,
    Section,
    SectionType,
    read_section_header,
)
from nsm_fake.eif.metadata import MAX_METADATA, parse_metadata
from nsm_fake.eif.source import Source

MAX_SIGNATURE = 32768
"""Bytes in the longest signature section (reported; AWS's own tools have no limit)."""

_PADDING_STEP = SECTION_HEADER_SIZE << 16
_LIMITS = {SectionType.SIGNATURE: MAX_SIGNATURE, SectionType.METADATA: MAX_METADATA}


class Reading(enum.Enum):
    """What is checked when an image is opened."""

    STRICT = "strict"
    AS_NITRO_CLI = "as nitro-cli"
    AS_BOOTED = "as what boots it"


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass over the whole file tells."""

    image: bytes
    """SHA-384 of kernel, cmdline and all ramdisks, in the order of the file."""
    bootstrap: bytes
    """SHA-384 of kernel, cmdline and the first ramdisk."""
    application: bytes
    """SHA-384 of the other ramdisks."""
    crc: int


@dataclass(frozen=True, slots=True)
class Eif:
    """An image file: its header and where its sections are. The content stays in the file."""

    path: Path
    header: Header
    sections: tuple[Section, ...]
    """In the order of the file."""

    @classmethod
    def open(cls, path: Path, reading: Reading = Reading.STRICT) -> Eif:
        """Read the header and the headers of all sections. Raises EifError."""
        with Source(path) as source:
            header = read_header(source)
            if reading is not Reading.AS_NITRO_CLI:
                _check_header(path, header)
            most = header.section_count if reading is Reading.AS_BOOTED else None
            sections = tuple(_whole_sections(source, reading, most))
        eif = cls(path, header, sections)
        if reading is not Reading.AS_NITRO_CLI:
            eif._check_table()
            eif._check_kinds()
        return eif

    @property
    def kernel(self) -> Section:
        """The kernel. Raises EifBadSection."""
        return self._only(SectionType.KERNEL)

    @property
    def cmdline(self) -> Section:
        """The kernel's command line. Raises EifBadSection."""
        return self._only(SectionType.CMDLINE)

    @property
    def ramdisks(self) -> tuple[Section, ...]:
        """All ramdisks: the first boots, the others are the application's."""
        return self.all(SectionType.RAMDISK)

    @property
    def signature(self) -> Section | None:
        """The signature; of several the last, as nitro-cli has it."""
        return next(reversed(self.all(SectionType.SIGNATURE)), None)

    def all(self, kind: SectionType) -> tuple[Section, ...]:
        """All sections of one type."""
        return tuple(section for section in self.sections if section.type is kind)

    def read(self, section: Section) -> bytes:
        """The content of a section that fits into memory easily. Raises EifError.

        A signature and metadata have a limit of their own; of a kernel or ramdisk the caller knows
        what it asks for, and `copy` needs no memory.
        """
        return read_content(self.path, section)

    def copy(self, section: Section, file: BinaryIO) -> None:
        """Write the content of a section into `file`. Raises EifError, OSError of `file`."""
        file.writelines(_pieces(self.path, section))

    def scan(self) -> Scan:
        """Hash and sum the whole file in one pass. Raises EifError."""
        image, bootstrap, application = (hashlib.sha384() for _ in range(3))
        crc = zlib.crc32(self.header.encode()[:CRC_OFFSET])
        boot = next(iter(self.ramdisks), None)
        # hashlib works without the interpreter's lock: the second hash goes on beside the rest.
        with Source(self.path) as source, ThreadPoolExecutor(1) as beside:
            for section in self.sections:
                hashers: tuple[Any, ...] = ()
                if section.type in (SectionType.KERNEL, SectionType.CMDLINE) or section is boot:
                    hashers = (image, bootstrap)
                elif section.type is SectionType.RAMDISK:
                    hashers = (image, application)
                source.seek(section.offset)
                for piece in source.pieces(SECTION_HEADER_SIZE):
                    crc = zlib.crc32(piece, crc)
                for piece in source.pieces(section.size):
                    hashed = [beside.submit(hasher.update, piece) for hasher in hashers[1:]]
                    for hasher in hashers[:1]:
                        hasher.update(piece)
                    crc = zlib.crc32(piece, crc)
                    wait(hashed)
        return Scan(image.digest(), bootstrap.digest(), application.digest(), crc)

    def check_crc(self) -> None:
        """Read the file and raise EifBadCrc if its checksum is wrong."""
        self.check_scanned_crc(self.scan())

    def check_scanned_crc(self, scan: Scan) -> None:
        """The same for a file that has been read."""
        if scan.crc != self.header.crc:
            raise EifBadCrc(
                f"{self.path}: its checksum is {scan.crc:08x}, but its header says "
                f"{self.header.crc:08x}: the file has changed since it was built. Build or copy it "
                "again."
            )

    def metadata(self) -> dict[str, Any] | None:
        """The metadata, if there are any (evidence of the names: `parse_metadata`). EifError."""
        found = self.all(SectionType.METADATA)
        if not found:
            return None
        return parse_metadata(self.read(found[-1]), where=str(self.path))

    def _only(self, kind: SectionType) -> Section:
        found = self.all(kind)
        if len(found) != 1:
            raise EifBadSection(
                f"{self.path}: it has {len(found)} {kind.name.lower()} sections; an image that "
                "boots has exactly one."
            )
        return found[0]

    def _check_table(self) -> None:
        """Check that the header's table and the sections tell the same."""
        header = self.header
        if header.section_count != len(self.sections):
            raise EifBadSection(
                f"{self.path}: its header counts {header.section_count} sections, but "
                f"{len(self.sections)} follow it."
            )
        for index, section in enumerate(self.sections):
            told = header.section_offsets[index]
            if told != section.offset:
                raise EifBadSection(
                    f"{self.path}: its header has section {index} ({_name(section)}) at byte "
                    f"{told}, where it overlaps another or leaves a gap; it begins at byte "
                    f"{section.offset}."
                )
            # nitro-cli forgets to write this size when it signs a signed image again.
            if section.type is SectionType.SIGNATURE:
                continue
            size = header.section_sizes[index]
            if size != section.size:
                raise EifBadSection(
                    f"{self.path}: its header gives section {index} ({_name(section)}) {size} "
                    f"bytes, the section itself says {section.size}."
                )

    def _check_kinds(self) -> None:
        """Check that there is what boots, and nothing twice that is read once."""
        self._only(SectionType.KERNEL)
        self._only(SectionType.CMDLINE)
        for kind in (SectionType.SIGNATURE, SectionType.METADATA):
            if self.all(kind)[1:]:
                self._only(kind)
        for section in self.sections:
            _check_size(self.path, section)


def read_content(path: Path, section: Section) -> bytes:
    """The content of a section, within the limit that its type has. Raises EifError."""
    _check_size(path, section)
    return b"".join(bytes(chunk) for chunk in _pieces(path, section))


def read_header(source: Source) -> Header:
    """The header, from the beginning of the file. Raises EifTruncated."""
    data = source.read_exactly(HEADER_SIZE)
    if data is None:
        said = f"it has only {source.size} bytes" if source.size else "it is empty"
        raise EifTruncated(
            f"{source.path} is no enclave image: {said}, and the header alone has {HEADER_SIZE}. "
            "A build that failed leaves such a file; build it again.",
            real_text=f"Error while reading EIF header: {END_OF_FILE}",
        )
    return Header.parse(data)


def section_headers(source: Source, *, skips_padding: bool = False) -> Iterator[Section]:
    """The sections from one header to the next, wherever the file ends. Raises EifError.

    A header of zeros is of the invalid type; `skips_padding` goes on after it, as one does who does
    not mind the type.
    """
    position = HEADER_SIZE
    for count in range(MAX_SECTIONS + 1):
        if skips_padding:
            position = _after_padding(source, position)
        source.seek(position)
        data = source.read_exactly(SECTION_HEADER_SIZE)
        if data is None:
            return
        if count == MAX_SECTIONS:
            raise EifTooManySections(
                f"{source.path}: more than {MAX_SECTIONS} sections; the header has no room for "
                "them."
            )
        number, flags, size = read_section_header(data)
        section = Section(_section_type(source.path, number, position), flags, position, size)
        yield section
        position = section.end
        if position > source.size:
            return  # Nothing there, and maybe no position that a file can have.


def _after_padding(source: Source, position: int) -> int:
    """The position after as many headers of zeros as follow."""
    while source.size - position >= SECTION_HEADER_SIZE:
        source.seek(position)
        size = min(source.size - position, _PADDING_STEP)
        content = b"".join(bytes(piece) for piece in source.pieces(size))
        zeros = len(content) - len(content.lstrip(b"\0"))
        position += zeros - zeros % SECTION_HEADER_SIZE
        if zeros < size - size % SECTION_HEADER_SIZE:
            break
    return position


def _whole_sections(source: Source, reading: Reading, most: int | None) -> Iterator[Section]:
    """The sections, none of them cut short. Raises EifError."""
    end = HEADER_SIZE
    for section in islice(section_headers(source), most):
        end = section.end
        if end > source.size:
            raise EifTruncated(
                f"{source.path}: the {_name(section)} section at byte {section.offset} says that "
                f"it has {section.size} bytes, but the file ends {end - source.size} bytes before "
                "its end. The copy is incomplete, or the file is damaged.",
                real_text=f"Error while reading kernel from EIF: {END_OF_FILE}",
            )
        yield section
    if reading is Reading.STRICT and end != source.size:
        raise EifTruncated(
            f"{source.path}: {source.size - end} bytes follow the last section, too few for "
            f"another one's header ({SECTION_HEADER_SIZE}). The copy is incomplete, or the file "
            "is damaged."
        )


def _section_type(path: Path, number: int, position: int) -> SectionType:
    try:
        return SectionType(number)
    except ValueError:
        invalid = "Found invalid EIF section"
        unknown = 'Error extracting EIF section header: "Invalid section type"'
        raise EifBadSection(
            f"{path}: the section at byte {position} is of type {number}, which is none of "
            f"{', '.join(f'{kind} ({kind.name.lower()})' for kind in SectionType)}; the file is "
            "damaged, or what stands before is longer than it says.",
            real_text=unknown if number else invalid,
        ) from None


def _check_header(path: Path, header: Header) -> None:
    if header.magic != MAGIC:
        raise EifBadMagic(
            f"{path} is no enclave image: it begins with {header.magic!r}, not with {MAGIC!r}. "
            "Give the .eif file that nitro-cli build-enclave or attested-kms eif build wrote."
        )
    if header.version not in READABLE_VERSIONS:
        raise EifBadVersion(
            f"{path}: version {header.version} of the format is not known; versions "
            f"{READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]} are."
        )
    if header.section_count > MAX_SECTIONS:
        raise EifTooManySections(
            f"{path}: its header counts {header.section_count} sections, and has room for "
            f"{MAX_SECTIONS}; the file is damaged."
        )


def _check_size(path: Path, section: Section) -> None:
    limit = _LIMITS.get(section.type)
    if limit is not None and section.size > limit:
        raise EifOversized(
            f"{path}: the {_name(section)} section at byte {section.offset} has {section.size} "
            f"bytes, more than the {limit} that one may have; the file is damaged or made to "
            "exhaust its reader."
        )


def _pieces(path: Path, section: Section) -> Iterator[memoryview]:
    """The content of a section; each piece is valid until the next is taken."""
    with Source(path) as source:
        source.seek(section.content)
        yield from source.pieces(section.size)


def _name(section: Section) -> str:
    return section.type.name.lower()
