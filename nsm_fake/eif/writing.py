"""Writing enclave image files, byte for byte as AWS's builder and signer write them.

The order of sections is kernel, command line, metadata, ramdisks, signature, as in `EifBuilder` of
aws-nitro-enclaves-image-format (`src/utils/mod.rs`), and signing later is as in `EifSigner`
(`src/utils/eif_signer.rs`): a first signature is appended, another one replaced where it stands,
and then the size in the header's table stays that of the old one, as AWS's signer forgets it.

Other than AWS's, nothing here holds a file in memory, and signing never leaves a spoilt image
behind: the new one is written beside it and takes its name when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from nsm_fake.eif.checksum import checksum
from nsm_fake.eif.errors import EifTooManySections, EifUnwritable
from nsm_fake.eif.layout import (
    ARM64,
    HEADER_SIZE,
    MAX_SECTIONS,
    SECTION_HEADER_SIZE,
    Header,
    SectionType,
    section_header,
)
from nsm_fake.eif.measuring import Measurements, certificate_pcr, measurements, pcr_of_digest
from nsm_fake.eif.metadata import encode_metadata
from nsm_fake.eif.reading import MAX_SIGNATURE, Eif, Reading
from nsm_fake.eif.signature import Signer
from nsm_fake.eif.source import Source

Content = bytes | Path
"""What goes into a section: the bytes, or the file that holds them."""


def write_eif(
    file: BinaryIO,
    *,
    kernel: Content,
    cmdline: bytes,
    ramdisks: Sequence[Content],
    metadata: Mapping[str, Any],
    arm64: bool = False,
    signer: Signer | None = None,
) -> Measurements:
    """Write an image into an empty file that can be sought in; give the PCRs it will have.

    The first ramdisk is the one that boots, the others are the application's. Raises EifUnwritable
    for parts that make no image, EifUnreadable for a file that cannot be read, OSError of `file`.
    """
    if b"\0" in cmdline:
        raise EifUnwritable("The kernel's command line has a NUL byte in it, where it would end.")
    if not ramdisks:
        raise EifUnwritable("An image needs at least one ramdisk: the one that boots.")
    count = 3 + len(ramdisks) + (signer is not None)
    if count > MAX_SECTIONS:
        raise EifTooManySections(
            f"{len(ramdisks)} ramdisks make {count} sections, and an image has room for "
            f"{MAX_SECTIONS}."
        )
    body = _Body(file)
    image, bootstrap, application = (hashlib.sha384() for _ in range(3))
    body.add(SectionType.KERNEL, kernel, image, bootstrap)
    body.add(SectionType.CMDLINE, cmdline, image, bootstrap)
    body.add(SectionType.METADATA, encode_metadata(metadata))
    for number, ramdisk in enumerate(ramdisks):
        body.add(SectionType.RAMDISK, ramdisk, image, application if number else bootstrap)
    pcr0, pcr1, pcr2 = (pcr_of_digest(h.digest()) for h in (image, bootstrap, application))
    if signer is not None:
        body.add(SectionType.SIGNATURE, _signature_content(signer, pcr0))
    body.finish(Header.of(body.offsets, body.sizes, flags=ARM64 if arm64 else 0))
    pcr8 = None if signer is None else certificate_pcr(signer.certificate_pem)
    return Measurements(pcr0, pcr1, pcr2, pcr8)


def sign_eif(path: Path, signer: Signer, reading: Reading = Reading.STRICT) -> Measurements:
    """Sign an image file, or sign it anew; give the PCRs that it has now.

    Like AWS's signer it takes any certificate; `signer.defects` tells what will not run. The file
    is replaced as a whole or not at all. Raises EifError, OSError if it cannot be written.
    """
    eif = Eif.open(path, reading)
    pcr0 = pcr_of_digest(eif.scan().image)
    content = _signature_content(signer, pcr0)
    old = eif.signature
    if old is None and eif.header.section_count >= MAX_SECTIONS:
        raise EifTooManySections(
            f"{path} has {MAX_SECTIONS} sections already, and no room for a signature."
        )
    with replacing(path) as file:
        body = _Body(file)
        for section in eif.sections:
            if section is old:
                body.add(SectionType.SIGNATURE, content)
            else:
                body.copy(eif, section.offset, SECTION_HEADER_SIZE + section.size)
        if old is None:
            body.add(SectionType.SIGNATURE, content)
        body.finish(_signed_header(eif, len(content)))
    signed = Eif.open(path, reading)
    return measurements(signed, signed.scan())


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` if all goes well, and vanishes otherwise.

    It has the mode of the old one and, where that is allowed, its owner. Raises OSError.
    """
    target = path.resolve()
    old = target.stat() if target.exists() else None
    new = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    mode = 0o666 if old is None else old.st_mode & 0o777
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            if old is not None:
                with suppress(PermissionError):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, old.st_mode & 0o7777)
            yield file
            file.flush()
            os.fsync(descriptor)
        new.replace(target)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def _signature_content(signer: Signer, pcr0: bytes) -> bytes:
    content = signer.section(pcr0)
    if len(content) > MAX_SIGNATURE:
        raise EifUnwritable(
            f"The signature section would have {len(content)} bytes, more than the {MAX_SIGNATURE} "
            "that one may have; leave only the signing certificate in its file."
        )
    return content


def _signed_header(eif: Eif, size: int) -> Header:
    """The header of an image with a signature of `size` bytes, but for its checksum."""
    header = eif.header
    offsets, sizes = list(header.section_offsets), list(header.section_sizes)
    old = eif.signature
    if old is None:
        last = eif.sections[-1].end if eif.sections else HEADER_SIZE
        offsets[header.section_count], sizes[header.section_count] = last, size
        return replace(
            header,
            section_count=header.section_count + 1,
            section_offsets=tuple(offsets),
            section_sizes=tuple(sizes),
        )
    moved = size - old.size
    for index in range(eif.sections.index(old) + 1, len(eif.sections)):
        offsets[index] += moved
    return replace(header, section_offsets=tuple(offsets))


class _Body:
    """The sections of a file that is being written, and the checksum of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._crc = 0
        self._position = HEADER_SIZE
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        file.write(bytes(HEADER_SIZE))

    def add(self, kind: SectionType, content: Content, *hashers: Any) -> None:
        """One more section, whose content goes into the hashers too."""
        if isinstance(content, Path):
            with Source(content) as source:
                self._begin(kind, source.size)
                self._write_from(source, source.size, hashers)
            return
        self._begin(kind, len(content))
        self._write(content, hashers)

    def copy(self, eif: Eif, offset: int, size: int) -> None:
        """A section with its header, as it stands in another file."""
        with Source(eif.path) as source:
            source.seek(offset)
            self._write_from(source, size, ())

    def finish(self, header: Header) -> None:
        """Write the header, with the checksum of the whole."""
        crc = checksum(header, self._crc, self._position - HEADER_SIZE)
        self._file.seek(0)
        self._file.write(replace(header, crc=crc).encode())

    def _begin(self, kind: SectionType, size: int) -> None:
        self.offsets.append(self._position)
        self.sizes.append(size)
        self._write(section_header(kind, size), ())

    def _write_from(self, source: Source, size: int, hashers: Sequence[Any]) -> None:
        for piece in source.pieces(size):
            self._write(piece, hashers)

    def _write(self, data: bytes | memoryview, hashers: Sequence[Any]) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._position += len(data)
        for hasher in hashers:
            hasher.update(data)
