"""Ramdisks are unpacked as the kernel does it, and never out of their folder."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.machine.boot import CannotBoot, boot
from simulator.machine.ramdisk import OutOfMemory, Ramdisks
from tests.simulator.booted import (
    CID,
    INIT,
    SECONDS,
    Entry,
    Image,
    archive,
    booted,
    output,
    shell_files,
)

FOLDER, FILE, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "above" / "root"
    folder.mkdir(parents=True)
    return folder


def unpack(root: Path, *contents: bytes, limit: int = 1 << 20) -> list[str | None]:
    with Ramdisks(root, limit=limit) as ramdisks:
        said = [ramdisks.unpack(io.BufferedReader(io.BytesIO(c))) for c in contents]
        ramdisks.finish()
    return said


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_files_folders_and_links_are_as_the_archive_has_them(root: Path) -> None:
    unpack(
        root,
        archive(
            [
                ("bin", stat.S_IFDIR | 0o555, b""),
                ("bin/tool", stat.S_IFREG | 0o4755, b"content"),
                ("bin/link", LINK, b"tool"),
                ("pipe", stat.S_IFIFO | 0o600, b""),
            ]
        ),
    )
    tool = root / "bin" / "tool"
    assert tool.read_bytes() == b"content"
    assert stat.S_IMODE(tool.stat().st_mode) == 0o4755
    assert stat.S_IMODE(tool.parent.stat().st_mode) == 0o555
    assert {tool.stat().st_mtime, tool.parent.stat().st_mtime} == {1_000_000_000}
    assert str((root / "bin" / "link").readlink()) == "tool"
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", FILE, b"x")],
        [("/../../evil", FILE, b"x")],
        [("out", LINK, b"../.."), ("out/evil", FILE, b"x")],
        [("out", LINK, b"/"), ("out/evil", FILE, b"x")],
        [("a", FOLDER, b""), ("a/out", LINK, b"../../../.."), ("a/out/evil", FOLDER, b"")],
        [("proc", LINK, b"/proc/self/cwd"), ("proc/evil", FILE, b"x")],
        [("evil", LINK, b"../victim"), ("evil", FILE, b"x")],
        [("..", FOLDER, b""), ("a/../../../evil", FILE, b"x")],
    ],
)
def test_no_name_and_no_link_leads_out(entries: list[Entry], root: Path) -> None:
    victim = root.parent / "victim"
    victim.write_text("untouched")

    def state() -> list[tuple[int, ...]]:
        """All but when they were last looked at."""
        found = [path.stat() for path in (victim, root.parent)]
        return [(each.st_mode, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in found]

    before = state()
    unpack(root, archive(entries))
    assert victim.read_text() == "untouched"
    assert state() == before
    assert not list(Path.cwd().glob("evil"))
    assert not Path("/evil").exists()


def test_names_of_one_file_are_one_file_and_not_of_another_s(root: Path) -> None:
    one = archive([("first", FILE, b"")]).replace(b"%08x" % 1, b"%08x" % 2)
    assert one.startswith(b"070701")
    content = b""
    for name, text in (("first", b""), ("second", b"text")):
        head = archive([(name, FILE, text)])
        end = head.index(b"070701", 6)
        content += head[:38] + b"%08x" % 2 + head[46:end]
    unpack(root, content + archive([]))
    assert (root / "first").read_bytes() == b"text"
    assert (root / "first").samefile(root / "second")


def test_a_later_ramdisk_is_over_an_earlier(root: Path) -> None:
    first = archive([("a", LINK, b"b"), ("b", FILE, b"old and long"), ("c", FOLDER, b"")])
    second = archive([("a", FILE, b"new"), ("b", FILE, b"new"), ("c", LINK, b"a")])
    assert unpack(root, first + bytes(512) + second) == [None]
    assert [(root / name).read_bytes() for name in "abc"] == [b"new"] * 3


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_ramdisk_may_be_compressed(compress: Callable[[bytes], bytes], root: Path) -> None:
    assert unpack(root, compress(archive([("a", FILE, b"x" * 5000)]))) == [None]
    assert (root / "a").stat().st_size == 5000


WHOLE = archive([("a", FILE, b"content"), ("b", FILE, b"content")])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#!/bin/sh", "junk in compressed archive"),
        (b"0" * 110, "no cpio magic"),
        (WHOLE.replace(b"070701", b"070707"), "incorrect cpio method used: use -H newc option"),
        (b"0707010", None),
        (WHOLE[:150], None),
        (WHOLE[:115], None),
        (b"070701" + b"-0000001" * 13, None),
        (b"070701" + b"0x000001" * 13, None),
        (b"070701" + b"ffffffff" * 13, None),
        (b"\0" + WHOLE, "broken padding"),
        (gzip.compress(WHOLE, mtime=0)[:-12], "uncompression error"),
        (b"\x1f\x8b no gzip", "uncompression error"),
        (b"BZh no bzip2", "uncompression error"),
    ],
)
def test_what_is_no_archive_ends_its_ramdisk(content: bytes, said: str | None, root: Path) -> None:
    wanted = None if said is None else f"Initramfs unpacking failed: {said}"
    assert unpack(root, content, archive([("next", FILE, b"")])) == [wanted, None]
    assert "next" in names(root)


def test_devices_are_left_out(root: Path) -> None:
    unpack(root, archive([("disk", stat.S_IFBLK | 0o666, b""), ("null", stat.S_IFCHR, b"")]))
    assert names(root) == []


def test_a_bomb_is_as_long_as_memory_is(root: Path) -> None:
    bomb = gzip.compress(archive([("a", FILE, bytes(8 << 20)), ("b", FILE, b"")]))
    with pytest.raises(OutOfMemory):
        unpack(root, bomb, limit=1 << 20)
    assert (root / "a").stat().st_size == 1 << 20


def test_where_the_disk_is_full_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image().write(tmp_path / "image.eif")

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CannotBoot, match="No space left on device"):
        boot(
            image,
            scratch=tmp_path / "scratch",
            fabric=tmp_path,
            cid=CID,
            nsm_handle=None,
            debug=False,
        )
    assert not (tmp_path / "scratch").exists()


MISSING = "No such file or directory"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([("rootfs/etc", FOLDER, b""), ("rootfs/dev", LINK, b"/etc")], "hello"),
        ([("rootfs/tmp", LINK, b"../../../../tmp")], "mount: /tmp: Too many levels"),
        ([("rootfs/proc", stat.S_IFIFO | 0o600, b"")], "mount: /proc: Not a directory"),
        ([("rootfs/sys", LINK, b"/usr")], f"mount: /sys: {MISSING}"),
        ([("env", LINK, b"/etc/passwd")], f"Could not open /env file: {MISSING}"),
        ([("cmd", LINK, b"/proc/self/environ")], f"Could not open /env file: {MISSING}"),
    ],
)
def test_strange_images_do_not_touch_this_machine(
    more: list[Entry], said: str, tmp_path: Path
) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    lines = output(Image(command=["/bin/sh", "-c", "echo $GREETING"], more=more), tmp_path)
    assert lines[0].startswith(said)
    assert Path("/proc/self/mounts").read_text() == mounts


def test_a_rootfs_that_leads_elsewhere_leads_nowhere(tmp_path: Path) -> None:
    image = Image(files={}, folders=(), more=[("rootfs", LINK, b"../../..")])
    assert "execvpe" not in "\n".join(output(image, tmp_path))


@pytest.mark.parametrize(
    "left",
    [
        pytest.param("mkdir -p /closed/in; chmod 0 /closed", id="closed"),
        # More than Python's own removal gets to the bottom of.
        pytest.param("mkdir -p " + "a/" * 1050, id="deep"),
    ],
)
def test_what_a_program_leaves_is_removed(left: str, tmp_path: Path) -> None:
    image = Image(
        command=["/bin/sh", "-c", left],
        files=shell_files("mkdir", "chmod"),
        first=archive([INIT, ("closed", stat.S_IFDIR, b"")]),
    )
    with booted(image, tmp_path) as enclave:
        enclave.wait_heartbeat(SECONDS)
        assert enclave.wait(SECONDS) == 0
