"""Images by name."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from simulator.images import BadImage, Kind, open_image
from simulator.images.store import ImageStore
from tests.simulator.image_archives import (
    APP,
    COMMAND,
    blob_files,
    hardlink,
    layer,
    member,
    oci_files,
    saved,
    symlink,
    write_archive,
    write_files,
)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def test_an_archive_is_found_by_its_names(store: ImageStore, tmp_path: Path) -> None:
    archive = saved(tmp_path / "app.tar", APP, tag="repo.example:5000/app")
    assert store.load(archive) == ("repo.example:5000/app:latest",)
    archive.unlink()
    image = store.find("repo.example:5000/app")
    assert image is not None
    assert image.config.command == ("/app", "--x")
    assert store.find(image.identifier) is not None
    assert store.find(image.identifier.removeprefix("sha256:")) is not None
    assert store.find("repo.example:5000/app:2") is None
    assert store.find("nothing") is None


def test_each_image_of_an_archive_has_its_name(store: ImageStore, tmp_path: Path) -> None:
    one, two = blob_files(APP, tag="one:1"), blob_files(layer(member("two", b"2")), tag="two:2")
    manifests = [json.loads(files["manifest.json"])[0] for files in (one, two)]
    both = one | two | {"manifest.json": json.dumps(manifests).encode()}
    archive = write_archive(tmp_path / "both.tar", both)
    assert store.load(archive) == ("one:1", "two:2")
    image = store.find("two:2")
    assert image is not None
    assert image.find("two") is not None
    with pytest.raises(BadImage, match="2 images, so one tag names none of them"):
        store.load(archive, "three")


def test_a_folder_needs_a_tag(store: ImageStore, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "app", {"rootfs/app": b"x", "config.json": b"{}"})
    with pytest.raises(BadImage, match="has no name; give it one with --tag"):
        store.load(folder)
    assert store.load(folder, "app") == ("app:latest",)
    layout = write_files(tmp_path / "layout", oci_files(APP))
    assert store.load(layout, "app") == ("app:1", "app:latest")
    image = store.find("app")
    assert image is not None
    assert image.find("bin") is not None
    # What has lost its name is not kept.
    assert len([path for path in (tmp_path / "images").iterdir() if path.is_dir()]) == 1
    assert store.names() == ("app:1", "app:latest")


def test_a_bad_image_is_not_stored(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"no archive")
    with pytest.raises(BadImage):
        store.load(tmp_path / "bad.tar")
    assert not (tmp_path / "images").exists()


def test_an_image_that_was_built_is_added_whole(store: ImageStore, tmp_path: Path) -> None:
    files = layer(
        member("a", b"a", mode=0o4711, uid=1, gid=2, mtime=3),
        hardlink("b", "a"),
        symlink("l", "/a"),
        member("dev/null", kind=b"3", devmajor=1, devminor=3),
        member("é" * 70, b"long"),
    )
    image = open_image(saved(tmp_path / "image.tar", files))
    store.add(image, "built:1")
    found = store.find("built:1")
    assert found is not None
    assert found.config == image.config

    def about(entry: object) -> tuple[object, ...]:
        names = ("path", "kind", "mode", "uid", "gid", "mtime", "size", "target", "device")
        return tuple(getattr(entry, name) for name in names)

    assert [about(e) for e in found.entries()] == [about(e) for e in image.entries()]
    link = next(e for e in found.entries() if e.kind is Kind.HARDLINK)
    assert link.read() == b"a"
    assert found.config.env == tuple(COMMAND["Env"])


def test_a_damaged_index_is_said(store: ImageStore, tmp_path: Path) -> None:
    store.load(saved(tmp_path / "app.tar", APP))
    (tmp_path / "images/store.json").write_text("{")
    with pytest.raises(BadImage, match=r"store.json is damaged .*; remove .*/images"):
        store.find("app:1")


def test_of_a_folder_what_is_no_file_is_copied_as_what_it_is(
    store: ImageStore, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "app", {"rootfs/app": b"x", "config.json": b"{}"})
    os.mkfifo(folder / "rootfs" / "pipe")
    store.load(folder, "app")
    image = store.find("app")
    assert image is not None
    assert [entry.kind for entry in image.entries() if entry.path == "pipe"] == [Kind.FIFO]


def test_a_full_disk_is_told_in_a_sentence(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = write_files(tmp_path / "app", {"rootfs/app": b"x", "config.json": b"{}"})
    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device, and 1 more$"):
        store.load(folder, "app")
    assert store.find("app") is None
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["lock"]
