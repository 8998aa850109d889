"""The ramdisks of an enclave image, and cpio archives that anybody may have made."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.images import BadImage, open_image
from simulator.images.blobs import blobs_in, placeholders
from simulator.images.contents import OpenFile, Span
from simulator.images.cpio import DIRECTORY, FILE, SYMLINK, BadArchive, Header, Writer, read
from simulator.images.ramdisks import write_application, write_bootstrap
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.packages.contents import BLOBS
from simulator.placeholders import placeholder_files
from tests.simulator.image_archives import (
    folder,
    hardlink,
    layer,
    member,
    saved,
    symlink,
    write_files,
)

HEADER = "070701" + 13 * "%08x"
LINUXKIT_TIME = 1492533000


def span(data: bytes) -> Span:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return Span(OpenFile(os.dup(file.fileno())), 0, len(data))


def padded(data: bytes, multiple: int = 4) -> bytes:
    return data + bytes(-len(data) % multiple)


def packed(fields: tuple[int, ...], name: bytes, content: bytes = b"") -> bytes:
    return padded((HEADER % fields).encode() + name + b"\0") + padded(content)


def test_the_bootstrap_ramdisk_is_linuxkits_to_the_byte() -> None:
    file = io.BytesIO()
    blobs = placeholders("amd64")
    write_bootstrap(file, blobs)
    assert isinstance(blobs.init, bytes)
    assert isinstance(blobs.nsm_ko, bytes)
    init, nsm, time = len(blobs.init), len(blobs.nsm_ko), LINUXKIT_TIME
    expected = (
        packed((721, 0o40755, 0, 0, 2, time, 0, 3, 1, 0, 0, 4, 0), b"dev")
        + packed((722, 0o100755, 0, 0, 1, time, init, 3, 1, 0, 0, 5, 0), b"init", blobs.init)
        + packed((723, 0o100755, 0, 0, 1, time, nsm, 3, 1, 0, 0, 7, 0), b"nsm.ko", blobs.nsm_ko)
        + packed((724, 0, 0, 0, 1, 0, 0, 3, 1, 0, 0, 11, 0), b"TRAILER!!!")
    )
    assert file.getvalue() == padded(expected, 512)


def application(path: Path) -> list[tuple[Header, bytes]]:
    file = io.BytesIO()
    write_application(file, open_image(path))
    return [(header, content.open().read()) for header, content in read(span(file.getvalue()))]


IMAGE = layer(
    folder("etc"),
    member("etc/hosts", b"the image's"),
    member("etc/hostname", b"the image's"),
    member("Dockerfile", b"FROM scratch"),
    member("app", b"app", mode=0o4755, mtime=5, uid=7, gid=8),
    member("usr/bin/tool", b"tool", mode=0o755),
    hardlink("usr/sbin/tool", "usr/bin/tool"),
    symlink("bin", "usr/bin"),
)


def test_the_application_ramdisk_is_a_container_as_linuxkit_exports_it(tmp_path: Path) -> None:
    files = application(saved(tmp_path / "image.tar", IMAGE, config={"Cmd": ["/app"], "Env": []}))
    assert [(header.name, header.kind) for header, _ in files] == [
        ("rootfs", DIRECTORY),
        ("rootfs/app", FILE),
        ("rootfs/bin", SYMLINK),
        ("rootfs/dev/", DIRECTORY),
        ("rootfs/dev/pts/", DIRECTORY),
        ("rootfs/dev/shm/", DIRECTORY),
        ("rootfs/etc/", DIRECTORY),
        ("rootfs/etc/hosts", FILE),
        ("rootfs/etc/mtab", SYMLINK),
        ("rootfs/etc/resolv.conf", SYMLINK),
        ("rootfs/proc/", DIRECTORY),
        ("rootfs/sys/", DIRECTORY),
        ("rootfs/usr/", DIRECTORY),
        ("rootfs/usr/bin/", DIRECTORY),
        ("rootfs/usr/bin/tool", FILE),
        ("rootfs/usr/sbin/", DIRECTORY),
        ("rootfs/usr/sbin/tool", SYMLINK),
        ("rootfs", DIRECTORY),
        ("rootfs/dev", DIRECTORY),
        ("rootfs/run", DIRECTORY),
        ("rootfs/sys", DIRECTORY),
        ("rootfs/var", DIRECTORY),
        ("rootfs/proc", DIRECTORY),
        ("rootfs/tmp", DIRECTORY),
        ("cmd", FILE),
        ("env", FILE),
    ]
    found = {header.name: (header, content) for header, content in files}
    app, content = found["rootfs/app"]
    assert (app.mode, app.mtime, app.uid, app.gid, content) == (0o4755, 5, 7, 8, b"app")
    assert found["rootfs/usr/sbin/tool"][1] == b"../bin/tool"
    assert found["rootfs/etc/hosts"][1].startswith(b"127.0.0.1       localhost\n")
    assert found["rootfs/etc/resolv.conf"][1] == b"/run/resolvconf/resolv.conf"
    assert (found["cmd"][1], found["env"][1], found["cmd"][0].mode) == (b"/app\n", b"", 0o644)


def test_words_of_the_command_are_lines_that_nothing_escapes(tmp_path: Path) -> None:
    config = {"Cmd": ["/app", "two\nlines"], "Env": ["A=1", "B=2"]}
    files = application(saved(tmp_path / "image.tar", IMAGE, config=config))
    assert [content for _, content in files[-2:]] == [b"/app\ntwo\nlines\n", b"A=1\nB=2\n"]


def test_links_where_the_engine_needs_directories_make_way(tmp_path: Path) -> None:
    tricky = layer(symlink("etc", "/srv"), member("proc", b"a file"), member("dev/pts", b"x"))
    files = application(saved(tmp_path / "image.tar", tricky))
    names = [header.name for header, _ in files]
    assert {"rootfs/etc/", "rootfs/etc/mtab", "rootfs/proc/", "rootfs/dev/pts/"} <= set(names)
    assert not [name for name in names if name.startswith("rootfs/srv")]


def test_real_blobs_are_told_from_placeholders(tmp_path: Path) -> None:
    write_files(tmp_path, placeholder_files("amd64"))
    assert blobs_in(tmp_path, "amd64").are_real is False
    for name in ("bzImage", "init", "nsm.ko"):
        (tmp_path / name).write_bytes(b"real")
    blobs = blobs_in(tmp_path, "amd64")
    assert blobs.are_real is True
    assert (blobs.operating_system, blobs.kernel_version) == ("Linux", "4.14.256")
    assert blobs.cmdline == placeholders("amd64").cmdline
    with pytest.raises(BadImage, match=r"cannot read .*/Image: .*aws-nitro-enclaves-cli-devel"):
        blobs_in(tmp_path, "arm64")
    (tmp_path / "bzImage.config").write_text("short")
    with pytest.raises(BadImage, match="less than three lines"):
        blobs_in(tmp_path, "amd64")


def archive(*files: tuple[Header, bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = Writer(buffer)
    for header, content in files:
        writer.add(header, content)
    writer.close()
    return buffer.getvalue()


ONE = archive((Header("a", FILE, 0o644), b"hello"), (Header("d", DIRECTORY, 0o755), b""))


def test_archives_follow_one_another() -> None:
    names = [(header.name, content.size) for header, content in read(span(ONE + ONE))]
    assert names == [("a", 5), ("d", 0)] * 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"070701", "cut short"),
        (ONE[:50], "cut short at byte 0"),
        (b"070707" + ONE[6:], "no header of a file at byte 0"),
        (ONE[:14] + b"-0000001" + ONE[22:], "no header of a file at byte 0"),
        (ONE[:54] + b"ffffffff" + ONE[62:], "'a' has 4294967295 bytes"),
        (ONE[:94] + b"ffffffff" + ONE[102:], "a name of 4294967295 bytes"),
        (ONE[:94] + b"00000000" + ONE[102:], "a name of 0 bytes"),
        (ONE[:94] + b"00000003" + ONE[102:], "a zero byte in it"),
    ],
)
def test_a_damaged_archive_is_said(data: bytes, said: str) -> None:
    with pytest.raises(BadArchive, match=said):
        list(read(span(data)))


@given(st.integers(0, len(ONE) - 1), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=200)
def test_any_damage_is_bad_or_read(at: int, noise: bytes) -> None:
    try:
        list(read(span(ONE[:at] + noise + ONE[at + len(noise) :])))
    except BadArchive:
        return


def test_a_file_that_the_format_has_no_room_for_is_said() -> None:
    class Huge:
        size = 2**32

        def open(self) -> io.BytesIO:
            raise AssertionError

    with pytest.raises(BadArchive, match="4294967296 bytes; the format has room for 4294967295"):
        Writer(io.BytesIO()).add(Header("huge", FILE, 0), Huge())


@pytest.mark.parametrize(
    ("instance_type", "architecture"), [("m6i.xlarge", "amd64"), ("m6g.xlarge", "arm64")]
)
def test_the_blobs_of_a_new_machine(tmp_path: Path, instance_type: str, architecture: str) -> None:
    make(tmp_path, Configuration(instance_type=instance_type), Installation())
    found = blobs_in(tmp_path / f"root{BLOBS}", architecture)
    expected = placeholders(architecture)
    assert (found.cmdline, found.kernel_version) == (expected.cmdline, expected.kernel_version)
    assert not found.are_real
