"""The format byte for byte, the PCRs, and files that are wrong on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsm_fake.eif import (
    Eif,
    EifBadCrc,
    EifBadMagic,
    EifBadSection,
    EifBadVersion,
    EifError,
    EifOversized,
    EifTooManySections,
    EifTruncated,
    EifUnreadable,
    EifUnwritable,
    Reading,
    SectionType,
    check_before_boot,
    file_pcr,
    measure,
)
from nsm_fake.eif.checksum import combined
from tests.nsm_fake.eif_images import (
    APPLICATION,
    BOOT,
    CMDLINE,
    KERNEL,
    NOW,
    image,
    metadata,
    patched,
)

HEADER, SECTION = struct.Struct(">4sHHQQHH32Q32QII"), struct.Struct(">HHQ")
COUNT, OFFSETS, SIZES = 26, 28, 28 + 32 * 8
"""Where the header has its number of sections, and its two tables."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image.eif"


def pcr(*parts: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(parts)).digest()).digest()


def packed(*sections: tuple[int, bytes], flags: int = 0) -> bytes:
    """An image by struct alone."""
    offsets, sizes, body = [0] * 32, [0] * 32, b""
    for index, (kind, content) in enumerate(sections):
        offsets[index], sizes[index] = HEADER.size + len(body), len(content)
        body += SECTION.pack(kind, 0, len(content)) + content
    fields = (b".eif", 4, flags, 1 << 30, 2, 0, len(sections), *offsets, *sizes, 0)
    crc = zlib.crc32(body, zlib.crc32(HEADER.pack(*fields, 0)[:-4]))
    return HEADER.pack(*fields, crc) + body


@pytest.mark.parametrize("arm64", [False, True])
def test_an_image_is_header_kernel_cmdline_metadata_and_ramdisks(path: Path, arm64: bool) -> None:
    image(path, arm64=arm64)
    told = json.dumps(metadata(), separators=(",", ":")).encode()
    assert path.read_bytes() == packed(
        (1, KERNEL), (2, CMDLINE), (5, told), (3, BOOT), (3, APPLICATION), flags=int(arm64)
    )
    assert Eif.open(path).header.is_arm64 is arm64


@pytest.mark.parametrize("others", [(), (APPLICATION,), (APPLICATION, b"and more")])
def test_pcrs_are_of_kernel_cmdline_and_ramdisks(path: Path, others: tuple[bytes, ...]) -> None:
    written = image(path, ramdisks=(BOOT, *others))
    measured = measure(path)
    assert measured == written
    assert measured.pcr0 == pcr(KERNEL, CMDLINE, BOOT, *others)
    assert measured.pcr1 == pcr(KERNEL, CMDLINE, BOOT)
    assert measured.pcr2 == pcr(*others)
    assert measured.as_hex().keys() == {"PCR0", "PCR1", "PCR2"}


def test_metadata_are_in_no_pcr(path: Path) -> None:
    assert image(path) == image(path, told=metadata(name="other"))


def test_the_pcr_of_a_file_is_that_of_its_content(path: Path) -> None:
    path.write_bytes(KERNEL)
    assert file_pcr(path) == pcr(KERNEL)


contents = st.binary(max_size=300)


@given(kernel=contents, cmdline=contents, ramdisks=st.lists(contents, min_size=1, max_size=5))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, kernel: bytes, cmdline: bytes, ramdisks: list[bytes]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    path, disk = folder / "round-trip.eif", folder / "disk"
    disk.write_bytes(ramdisks[-1])
    cmdline = cmdline.replace(b"\0", b" ")
    written = image(path, kernel=kernel, cmdline=cmdline, ramdisks=[*ramdisks[:-1], disk])
    eif = Eif.open(path)
    assert eif.read(eif.kernel) == kernel
    assert eif.read(eif.cmdline) == cmdline
    assert [eif.read(section) for section in eif.ramdisks] == ramdisks
    assert eif.metadata() == metadata()
    eif.check_crc()
    assert measure(path) == written


@given(first=contents, second=contents)
def test_checksums_of_two_parts_make_that_of_the_whole(first: bytes, second: bytes) -> None:
    both = combined(zlib.crc32(first), zlib.crc32(second), len(second))
    assert both == zlib.crc32(first + second)


def test_a_section_is_copied_into_a_file(path: Path, tmp_path: Path) -> None:
    big = os.urandom(700_000)
    image(path, ramdisks=(BOOT, big))
    eif = Eif.open(path)
    with (tmp_path / "copy").open("wb") as file:
        eif.copy(eif.ramdisks[1], file)
    assert (tmp_path / "copy").read_bytes() == big


def test_a_changed_byte_is_noticed_by_the_checksum(path: Path) -> None:
    image(path)
    patched(path, path.stat().st_size - 1, b"?")
    with pytest.raises(EifBadCrc, match=r"checksum is .* but its header says .* has changed"):
        Eif.open(path).check_crc()


Break = Callable[[Path], None]


def _set(offset: int, data: bytes) -> Break:
    return lambda path: patched(path, offset, data)


def _u64(offset: int, value: int) -> Break:
    return _set(offset, value.to_bytes(8))


def _cut(size: int) -> Break:
    return lambda path: os.truncate(path, path.stat().st_size + size)


def _made_of(*sections: tuple[int, bytes]) -> Break:
    def write(path: Path) -> None:
        path.write_bytes(packed(*sections))

    return write


def _full_and_one_more(path: Path) -> None:
    path.write_bytes(packed((1, KERNEL), *[(3, b"")] * 31) + SECTION.pack(3, 0, 0))


def _with(*more: tuple[int, bytes]) -> Break:
    return _made_of((1, KERNEL), (2, CMDLINE), (3, BOOT), *more)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda path: os.truncate(path, 0), EifTruncated, "it is empty"),
        (lambda path: os.truncate(path, 547), EifTruncated, "it has only 547 bytes"),
        (_cut(-1), EifTruncated, "the ramdisk section at byte .* ends 1 bytes before its end"),
        (_cut(11), EifTruncated, "11 bytes follow the last section, too few"),
        (_set(0, b"\x7fELF"), EifBadMagic, "begins with b'.x7fELF', not with b'.eif'"),
        (_set(4, b"\0\5"), EifBadVersion, "version 5 of the format is not known; versions 2 to 4"),
        (_set(4, b"\0\1"), EifBadVersion, "version 1 "),
        (_set(COUNT, b"\0\x21"), EifTooManySections, "counts 33 sections, and has room for 32"),
        (_set(COUNT, b"\0\4"), EifBadSection, "counts 4 sections, but 5 follow"),
        (_u64(OFFSETS + 8, 600), EifBadSection, r"section 1 \(cmdline\) at byte 600, .* overlaps"),
        (_u64(OFFSETS, 1 << 40), EifBadSection, r"section 0 \(kernel\) at byte 1099511627776"),
        (_u64(SIZES, 7), EifBadSection, r"gives section 0 \(kernel\) 7 bytes, .* says 27"),
        (_set(548, b"\0\6"), EifBadSection, r"is of type 6, which is none of 1 \(kernel\)"),
        (_set(548, b"\0\0"), EifBadSection, "is of type 0"),
        (_u64(552, (1 << 64) - 1), EifTruncated, "says that it has 18446744073709551615 bytes"),
        (_with((1, KERNEL)), EifBadSection, "it has 2 kernel sections"),
        (_with((5, b"{}"), (5, b"{}")), EifBadSection, "it has 2 metadata sections"),
        (_made_of((1, KERNEL), (3, BOOT)), EifBadSection, "it has 0 cmdline sections"),
        (_with((4, bytes(32769))), EifOversized, "32769 bytes, more than the 32768"),
        (_with((5, bytes((1 << 20) + 1))), EifOversized, "more than the 1048576"),
        (_full_and_one_more, EifTooManySections, "more than 32 sections"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    path: Path, wrong: Break, error: type[EifError], says: str
) -> None:
    image(path)
    wrong(path)
    with pytest.raises(error, match=says) as raised:
        Eif.open(path)
    assert str(raised.value).startswith(str(path))


def test_nitro_cli_reads_what_a_loader_would_not(path: Path) -> None:
    measured = image(path)
    patched(path, 0, b"EIF?\0\7")
    patched(path, COUNT, bytes(2 + 32 * 16))
    with path.open("ab") as file:
        file.write(b"eleven more")
    eif = Eif.open(path, Reading.AS_NITRO_CLI)
    assert [section.type for section in eif.sections] == [1, 2, 5, 3, 3]
    assert eif.scan().image == hashlib.sha384(KERNEL + CMDLINE + BOOT + APPLICATION).digest()
    assert measured.pcr0 == pcr(KERNEL, CMDLINE, BOOT, APPLICATION)
    with pytest.raises(EifBadCrc):
        eif.check_crc()


@pytest.mark.parametrize("size", [1, 12, 500, 1 << 20])
def test_an_image_that_is_padded_with_zeros(path: Path, size: int) -> None:
    measured = image(path)
    os.truncate(path, path.stat().st_size + size)
    check_before_boot(path, NOW)
    eif = Eif.open(path, Reading.AS_BOOTED)
    eif.check_crc()
    assert eif.scan().image == hashlib.sha384(KERNEL + CMDLINE + BOOT + APPLICATION).digest()
    assert measured.pcr0 == pcr(KERNEL, CMDLINE, BOOT, APPLICATION)
    if size >= 12:
        with pytest.raises(EifBadSection) as raised:
            Eif.open(path, Reading.AS_NITRO_CLI)
        assert raised.value.real_text == "Found invalid EIF section"


def test_a_signature_behind_padding_is_found(path: Path) -> None:
    image(path)
    with path.open("ab") as file:
        file.write(bytes(1200) + b"\0\4" + bytes(9) + b"\1" + b"x")
    with pytest.raises(EifError):
        check_before_boot(path, NOW)


NOT_FOUND = 'Os { code: 2, kind: NotFound, message: "No such file or directory" }'
END = 'Error { kind: UnexpectedEof, message: "failed to fill whole buffer" }'


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda path: os.truncate(path, 0), f"Error while reading EIF header: {END}"),
        (_cut(-1), f"Error while reading kernel from EIF: {END}"),
        (_set(548, b"\0\6"), 'Error extracting EIF section header: "Invalid section type"'),
        (_set(548, b"\0\0"), "Found invalid EIF section"),
        (
            lambda path: path.unlink(),
            f"Failed to open the EIF file: {NOT_FOUND}",
        ),
    ],
)
def test_errors_know_what_aws_library_says(path: Path, wrong: Break, text: str) -> None:
    image(path)
    wrong(path)
    with pytest.raises(EifError) as raised:
        Eif.open(path, Reading.AS_NITRO_CLI)
    assert raised.value.real_text == text


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_only_a_regular_file_is_read(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(EifUnreadable):
        measure(path)


def test_a_file_that_shrinks_while_it_is_read_is_said(path: Path) -> None:
    image(path)
    eif = Eif.open(path)
    os.truncate(path, path.stat().st_size - 5)
    with pytest.raises(EifTruncated, match="became shorter"):
        eif.scan()


def test_measuring_holds_little_in_memory(path: Path, tmp_path: Path) -> None:
    big = tmp_path / "sparse"
    big.touch()
    os.truncate(big, 32 << 20)
    tracemalloc.start()
    try:
        written = image(path, ramdisks=(BOOT, big))
        assert measure(path) == written
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        ({"cmdline": b"quiet\0"}, EifUnwritable, "NUL"),
        ({"ramdisks": ()}, EifUnwritable, "at least one ramdisk"),
        ({"ramdisks": [b""] * 30}, EifTooManySections, "30 ramdisks make 33 sections"),
        ({"kernel": Path("/nowhere/bzImage")}, EifUnreadable, "/nowhere/bzImage cannot be read"),
        ({"told": {"ImageName": "x"}}, EifUnwritable, "BuildMetadata is missing"),
        ({"told": metadata(version=1.0)}, EifUnwritable, "ImageVersion: missing, or not text"),
    ],
)
def test_parts_that_make_no_image_are_refused(
    path: Path, parts: dict[str, object], error: type[EifError], says: str
) -> None:
    with pytest.raises(error, match=says):
        image(path, **parts)  # type: ignore[arg-type]


def test_as_many_ramdisks_as_there_is_room_for(path: Path) -> None:
    image(path, ramdisks=[b"x"] * 29)
    assert len(Eif.open(path).all(SectionType.RAMDISK)) == 29
