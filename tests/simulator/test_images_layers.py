"""Layers over one another, and archives that try to leave the image."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.images import BadImage, Entry, Kind, Limits, open_image
from simulator.images.contents import OpenFile, Span
from simulator.images.layers import Budget, apply_layer
from simulator.images.tree import Tree
from tests.simulator.image_archives import (
    folder,
    hardlink,
    layer,
    member,
    saved,
    symlink,
)


def merged(at: Path, *layers: bytes) -> dict[str, Entry]:
    image = open_image(saved(at / "image.tar", *layers))
    return {entry.path: entry for entry in image.entries()}


BASE = layer(
    folder("etc"),
    member("etc/passwd", b"root"),
    member("etc/hosts", b"hosts"),
    folder("etc/ssl"),
    member("etc/ssl/ca.pem", b"ca"),
    member("bin/sh", b"sh", mode=0o755),
)


def test_a_layer_replaces_adds_and_removes(tmp_path: Path) -> None:
    above = layer(
        member("etc/passwd", b"nobody", uid=5, gid=6, mtime=7),
        member("etc/.wh.hosts"),
        member("etc/.wh.missing"),
        member(".wh..wh.plnk/1.2"),
        member("srv/new", b"new"),
    )
    files = merged(tmp_path, BASE, above)
    assert list(files) == [
        *("bin", "bin/sh", "etc", "etc/passwd", "etc/ssl", "etc/ssl/ca.pem"),
        *("srv", "srv/new"),
    ]
    passwd = files["etc/passwd"]
    assert passwd.read() == b"nobody"
    assert (passwd.uid, passwd.gid, passwd.mtime) == (5, 6, 7)


@pytest.mark.parametrize("opaque_first", [True, False])
def test_an_opaque_directory_hides_what_is_below(opaque_first: bool, tmp_path: Path) -> None:
    opaque, new = member("etc/.wh..wh..opq"), member("etc/ssl/new.pem", b"new")
    above = layer(*([opaque, new] if opaque_first else [new, opaque]))
    assert list(merged(tmp_path, BASE, above)) == [
        *("bin", "bin/sh", "etc", "etc/ssl", "etc/ssl/new.pem"),
    ]


def test_a_file_becomes_a_directory_and_the_other_way_round(tmp_path: Path) -> None:
    above = layer(member("etc", b"now a file"), member("bin/sh/inside", b"x"))
    with pytest.raises(BadImage, match="bin/sh/inside lies in bin/sh, which is a file"):
        merged(tmp_path, BASE, above)
    above = layer(member("etc", b"now a file"), folder("bin/sh"), member("bin/sh/inside", b"x"))
    assert list(merged(tmp_path, BASE, above)) == ["bin", "bin/sh", "bin/sh/inside", "etc"]


def test_a_directory_that_comes_again_changes_its_attributes_alone(tmp_path: Path) -> None:
    files = merged(tmp_path, BASE, layer(folder("etc", mode=0o700)))
    assert files["etc"].mode == 0o700
    assert "etc/ssl/ca.pem" in files


def test_hard_links_share_their_content_also_across_layers(tmp_path: Path) -> None:
    files = merged(
        tmp_path,
        BASE,
        layer(hardlink("bin/ash", "bin/sh"), hardlink("zz", "/bin/sh"), symlink("l", "etc")),
        layer(hardlink("bin/link", "l/passwd"), member("bin/.wh.ash")),
    )
    assert (files["bin/sh"].kind, files["zz"].kind) == (Kind.FILE, Kind.HARDLINK)
    assert (files["zz"].target, files["zz"].read()) == ("bin/sh", b"sh")
    # The first name in order is the file.
    assert (files["etc/passwd"].kind, files["etc/passwd"].target) == (Kind.HARDLINK, "bin/link")


def test_devices_and_pipes_are_kept(tmp_path: Path) -> None:
    files = merged(
        tmp_path,
        layer(
            member("dev/null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3),
            member("dev/sda", kind=tarfile.BLKTYPE, devmajor=8, devminor=0),
            member("run/pipe", kind=tarfile.FIFOTYPE),
        ),
    )
    assert [(e.kind, e.device) for e in files.values() if e.kind is not Kind.DIRECTORY] == [
        (Kind.CHARACTER_DEVICE, (1, 3)),
        (Kind.BLOCK_DEVICE, (8, 0)),
        (Kind.FIFO, (0, 0)),
    ]


@pytest.mark.parametrize(
    ("members", "paths"),
    [
        ([member("../../escaped", b"x")], ["escaped"]),
        ([member("/absolute", b"x")], ["absolute"]),
        ([member("//twice//over", b"x")], ["twice", "twice/over"]),
        ([member("a/../../b", b"x")], ["b"]),
        ([symlink("out", "/etc"), member("out/passwd", b"x")], ["etc", "etc/passwd", "out"]),
        ([symlink("up", "../../.."), member("up/x", b"x")], ["up", "x"]),
        (
            [folder("a"), symlink("a/b", ".."), member("a/b/c", b"x")],
            ["a", "a/b", "c"],
        ),
        ([member(".", kind=tarfile.DIRTYPE), folder("/"), folder("..")], []),
        (
            [symlink("l", "target"), member("l", b"in its place")],
            ["l"],
        ),
    ],
)
def test_paths_that_would_leave_the_image_stay_in_it(
    members: list[tuple[tarfile.TarInfo, bytes]], paths: list[str], tmp_path: Path
) -> None:
    assert list(merged(tmp_path, layer(*members))) == paths


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([hardlink("a", "/etc/passwd")], "a hard link to /etc/passwd, which does not exist"),
        ([hardlink("a", "../../etc/passwd")], "which does not exist"),
        ([folder("d"), hardlink("a", "d")], "which is a directory"),
        ([symlink("a", "b"), symlink("b", "a"), member("a/x", b"")], "too many links"),
        ([member("d/" * 300 + "x", b"")], "200 directories"),
        ([member("x" * 300, b"")], "more than 255 bytes"),
        ([folder("e/" * 150), symlink("l", "e/" * 150), folder("l/" + "f/" * 150)], "too many"),
        ([member("x", kind=b"Z")], "a kind that no image has: x"),
        ([member("x", uid=2**40)], "user ID 1099511627776"),
    ],
)
def test_layers_that_no_engine_takes_are_refused(
    members: list[tuple[tarfile.TarInfo, bytes]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadImage, match=said):
        merged(tmp_path, layer(*members))


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    whole = bytearray(layer(member("a", b"a"), member("b", b"b")))
    whole[1024 + 10] ^= 0xFF
    with pytest.raises(BadImage, match=r"layer 1 of .* is damaged at byte 1024"):
        merged(tmp_path, bytes(whole))


def test_a_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    header = member("x", kind=tarfile.XHDTYPE)[0]
    header.size = 2**33
    block = header.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(BadImage, match="a header of more than 1048576 bytes"):
        merged(tmp_path, block + bytes(2048))


def test_what_a_program_would_open_is_found_through_links(tmp_path: Path) -> None:
    above = layer(symlink("lib64", "usr/lib"), member("usr/lib/ld.so", b"ld"), symlink("no", "o"))
    image = open_image(saved(tmp_path / "image.tar", BASE, above))
    found = image.find("/lib64/../lib64/ld.so")
    assert found is not None
    assert found.read() == b"ld"
    assert image.find("no") is None
    assert image.find("lib64/ld.so/below") is None


DAMAGED = layer(
    folder("d"),
    member("d/" + "long" * 40, b"content"),
    symlink("l", "/d"),
    member("l/x", b"x", mtime=1.5, pax_headers={"comment": "é", "mtime": "1.5"}),
    hardlink("h", "l/x"),
)


@given(
    st.lists(
        st.tuples(st.integers(0, len(DAMAGED) - 1), st.binary(min_size=1, max_size=12)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, len(DAMAGED)),
)
@settings(deadline=None, max_examples=300)
def test_any_damage_to_a_layer_is_said_or_read(damage: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(DAMAGED)
    for at, noise in damage:
        data[at : at + len(noise)] = noise
    with tempfile.TemporaryFile() as file:
        file.write(bytes(data[: cut or None]))
        file.flush()
        span = Span(OpenFile(os.dup(file.fileno())), 0, os.fstat(file.fileno()).st_size)
    tree = Tree()
    try:
        apply_layer(tree, span, "layer", Budget(Limits()))
    except BadImage:
        return
    for entry in tree.walk():
        if entry.content is not None:
            assert len(entry.read()) == entry.size
