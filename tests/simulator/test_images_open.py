"""Opening images in every form, and images that are none."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.images import BadImage, ImageConfig, Limits, NoCommand, open_image
from simulator.images.config import parse_config
from simulator.images.folders import MTIME
from tests.simulator.image_archives import (
    APP,
    blob_files,
    config_text,
    digest,
    layer,
    legacy_files,
    member,
    oci_files,
    saved,
    symlink,
    tar_of,
    write_archive,
    write_files,
)

MORE = layer(member("etc/motd", b"hello"))


def rootfs(at: Path) -> Path:
    write_files(at, {"rootfs/app": b"#!/bin/sh\n"})
    (at / "rootfs/bin").mkdir()
    return at


def oci_folder(at: Path) -> Path:
    return write_files(at / "layout", oci_files(APP))


def oci_archive(at: Path) -> Path:
    return write_archive(at / "image.tar", oci_files(APP))


def new_save(at: Path) -> Path:
    return saved(at / "image.tar", APP)


def old_save(at: Path) -> Path:
    return write_archive(at / "image.tar", legacy_files(APP))


def gzipped_save(at: Path) -> Path:
    path = at / "image.tar.gz"
    path.write_bytes(gzip.compress(tar_of(blob_files(APP))))
    return path


@pytest.mark.parametrize("form", [oci_folder, oci_archive, new_save, old_save, gzipped_save])
def test_every_form_of_an_image_is_read(form: Callable[[Path], Path], tmp_path: Path) -> None:
    image = open_image(form(tmp_path))
    assert [(entry.path, entry.kind) for entry in image.entries()] == [
        ("app", "file"),
        ("bin", "directory"),
    ]
    app = image.find("/app")
    assert app is not None
    assert (app.read(), app.mode) == (b"#!/bin/sh\n", 0o755)
    assert image.config.command == ("/app", "--x")
    assert image.config.env == ("PATH=/bin", "MODE=test")
    assert image.names == ("app:1",)
    assert image.identifier == f"sha256:{digest(config_text([APP]))}"


def test_a_folder_is_an_image_whose_copies_are_equal(tmp_path: Path) -> None:
    for name in ("one", "two"):
        rootfs(tmp_path / name)
        (tmp_path / name / "config.json").write_bytes(config_text([]))
    os.utime(tmp_path / "two/rootfs/app", (1, 1))
    one, two = (open_image(tmp_path / name) for name in ("one", "two"))
    assert one.config.command == ("/app", "--x")
    assert one.identifier == two.identifier
    assert {(entry.mtime, entry.uid) for entry in one.entries()} == {(MTIME, 0)}
    (tmp_path / "two/rootfs/app").write_text("another")
    assert open_image(tmp_path / "two").identifier != one.identifier


def test_a_file_that_changes_while_it_is_read_is_said(tmp_path: Path) -> None:
    app = open_image(rootfs(tmp_path)).find("app")
    (tmp_path / "rootfs/app").write_text("longer than it was")
    assert app is not None
    with pytest.raises(BadImage, match="changed while it was read"):
        app.open()


def test_hard_links_of_a_folder_are_kept(tmp_path: Path) -> None:
    rootfs(tmp_path)
    (tmp_path / "rootfs/zap").hardlink_to(tmp_path / "rootfs/app")
    entries = {entry.path: entry for entry in open_image(tmp_path).entries()}
    assert (entries["zap"].kind, entries["zap"].target) == ("hardlink", "app")


@pytest.mark.parametrize(
    ("config", "command"),
    [
        (ImageConfig(cmd=("/app", "--x")), ("/app", "--x")),
        (ImageConfig(entrypoint=("/app",)), ("/app",)),
        (ImageConfig(cmd=("--x",), entrypoint=("/app",)), ("--x",)),
        (ImageConfig(cmd=(), entrypoint=("/init",)), ()),
    ],
)
def test_the_command_is_cmd_or_else_entrypoint(
    config: ImageConfig, command: tuple[str, ...]
) -> None:
    assert config.command == command


def test_an_image_without_a_command_is_refused_as_nitro_cli_does() -> None:
    with pytest.raises(NoCommand, match=r"E48 .*neither|neither .*E48"):
        _ = ImageConfig().command


def test_a_configuration_survives_its_document() -> None:
    config = ImageConfig(
        cmd=(),
        entrypoint=("/init",),
        env=("A=1",),
        working_dir="/srv",
        user="nobody",
        architecture="arm64",
        labels={"a": "b"},
        exposed_ports=("80/tcp",),
        volumes=("/data",),
        stop_signal="SIGINT",
        healthcheck={"Test": ["NONE"]},
    )
    assert parse_config(json.dumps(config.document()).encode(), "here") == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"config": []}', "`config` is not an object"),
        ('{"config": {"Cmd": "/app"}}', "`Cmd` is not a list of strings"),
        ('{"config": {"Env": [1]}}', "`Env` is not a list of strings"),
        ('{"config": {"User": 1}}', "`User` is not a string"),
        ('{"config": {"Labels": {"a": 1}}}', "`Labels` is not an object of strings"),
        ('{"config": {"Volumes": []}}', "`Volumes` is not an object"),
    ],
)
def test_a_configuration_that_is_none_is_said(text: str, said: str) -> None:
    with pytest.raises(BadImage, match=said):
        parse_config(text.encode(), "config.json")


def shared_layer(files: dict[str, bytes]) -> bytes:
    """An old archive in which a layer is a link to another's, as Docker before 25 has them."""
    (name,) = (name for name in files if name.endswith("layer.tar"))
    return layer(
        *(
            symlink(name, "../store/layer.tar") if at == name else member(at, content)
            for at, content in files.items()
        ),
        member("store/layer.tar", files[name]),
    )


def test_a_layer_that_is_a_link_in_the_archive_is_found(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(shared_layer(legacy_files(APP)))
    assert open_image(path).find("app") is not None


def test_one_of_several_images_is_chosen_by_its_name(tmp_path: Path) -> None:
    files = blob_files(APP) | (more := blob_files(APP, MORE, tag="more:2"))
    both = json.loads(blob_files(APP)["manifest.json"]) + json.loads(more["manifest.json"])
    path = write_archive(tmp_path / "two.tar", files | {"manifest.json": json.dumps(both).encode()})
    assert open_image(path, name="more:2").find("etc/motd") is not None
    with pytest.raises(BadImage, match=r"2 images \(app:1, more:2\); say which"):
        open_image(path)
    with pytest.raises(BadImage, match=r"no image other:3; it has app:1, more:2"):
        open_image(path, name="other:3")


def platforms(*architectures: str) -> dict[str, bytes]:
    """An image for several platforms, with an attestation of BuildKit beside."""
    files: dict[str, bytes] = {}
    inner: list[dict[str, Any]] = []
    for architecture in architectures:
        one = oci_files(APP, architecture=architecture)
        files |= one
        (descriptor,) = json.loads(one["index.json"])["manifests"]
        inner.append(descriptor | {"platform": {"os": "linux", "architecture": architecture}})
    unknown = {"os": "unknown", "architecture": "unknown"}
    inner.append(inner[0] | {"platform": unknown})
    inner[-1]["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    index = json.dumps({"manifests": inner}).encode()
    files[f"blobs/sha256/{digest(index)}"] = index
    outer = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": f"sha256:{digest(index)}",
    }
    files["index.json"] = json.dumps({"manifests": [outer]}).encode()
    return files


def test_of_an_image_for_several_platforms_the_asked_one_is_read(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "all.tar", platforms("amd64", "arm64"))
    for architecture in ("amd64", "arm64"):
        assert open_image(path, architecture=architecture).config.architecture == architecture
    path = write_archive(tmp_path / "one.tar", platforms("riscv64"))
    with pytest.raises(
        BadImage, match=r"no image for linux/amd64, but for linux/riscv64, unknown/unknown"
    ):
        open_image(path, architecture="amd64")


def damaged_layer(files: dict[str, bytes]) -> dict[str, bytes]:
    name = next(name for name, content in files.items() if b"#!/bin/sh" in content)
    return files | {name: files[name].replace(b"#!/bin/sh", b"#!/bin/xx")}


def without(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in names}


def manifest_of(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    (image,) = json.loads(files["manifest.json"])
    return files | {"manifest.json": json.dumps([image | changes]).encode()}


BLOBS = blob_files(APP)
CONFIG_BLOB = f"blobs/sha256/{digest(config_text([APP]))}"
SECRETS = {"index.json": b'{"manifests": [{"digest": "sha256:../../../etc/passwd"}]}'}
ZSTD = b"\x28\xb5\x2f\xfd" + bytes(100)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "neither manifest.json .* nor index.json"),
        ({"hello": b"world"}, "neither manifest.json .* nor index.json"),
        ({"manifest.json": b"{"}, "manifest.json of .* is not JSON"),
        ({"manifest.json": b"{}"}, "not a list of images"),
        ({"manifest.json": b"[]"}, "has no image in it"),
        ({"manifest.json": b"[1]"}, "an image that is not an object"),
        (manifest_of(BLOBS, Config=None), "names no configuration"),
        (manifest_of(BLOBS, Layers="x"), "`Layers` is not a list of strings"),
        (manifest_of(BLOBS, Layers=[]), "counts 1 layers, and its manifest 0"),
        (without(BLOBS, CONFIG_BLOB), "names blobs/sha256/.*, which is not in it"),
        (BLOBS | {CONFIG_BLOB: b"{}"}, "the configuration of .* is damaged"),
        (damaged_layer(BLOBS), "layer 1 of .* is damaged: its digest is sha256:"),
        (damaged_layer(legacy_files(APP)), "layer 1 of .* is damaged: its digest is sha256:"),
        (blob_files(APP, os="windows"), "is an image for windows/amd64"),
        (blob_files(APP, architecture="s390x"), "is an image for linux/s390x"),
        ({"index.json": b"{}"}, "`manifests` is not a list"),
        ({"index.json": b'{"manifests": [{}]}'}, "a blob without its digest"),
        (SECRETS, "names blobs/sha256/../../../etc/passwd, which is not in it"),
        (
            {"index.json": b'{"manifests": [{"digest": "md5:1"}]}', "blobs/md5/1": b"{}"},
            "only sha256 is known",
        ),
    ],
)
def test_an_archive_that_is_no_good_image_is_said(
    files: dict[str, bytes], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadImage, match=said):
        open_image(write_archive(tmp_path / "image.tar", files), architecture="amd64")


@pytest.mark.parametrize("keep", [0, 1, 300, 600, 1500, -20_000])
def test_an_archive_that_is_cut_short_is_said(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(blob_files(APP))[:keep])
    with pytest.raises(BadImage, match=r"cut short|damaged|end is missing"):
        open_image(path)


def test_a_compressed_archive_that_is_cut_short_or_damaged_is_said(tmp_path: Path) -> None:
    whole = gzip.compress(tar_of(blob_files(APP)))
    path = tmp_path / "image.tar.gz"
    path.write_bytes(whole[:-10])
    with pytest.raises(BadImage, match="compressed data has no end"):
        open_image(path)
    path.write_bytes(whole[:40] + bytes(40) + whole[80:])
    with pytest.raises(BadImage, match="is damaged"):
        open_image(path)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python's library reads zstd")
def test_a_layer_in_zstd_names_what_would_do(tmp_path: Path) -> None:
    path = saved(tmp_path / "image.tar", ZSTD)
    with pytest.raises(BadImage, match=r"layer 1 of .* zstd, which Python 3.1. cannot .*gzip"):
        open_image(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "bomb.tar", oci_files(bytes(20_000_000)))
    with pytest.raises(BadImage, match=r"more than 0.001 GiB unpacked, .*--image-limit"):
        open_image(path, limits=Limits(size=1024**3 // 1000))
    with pytest.raises(BadImage, match="more than 3 files"):
        open_image(
            saved(tmp_path / "many.tar", layer(*(member(f"f{n}") for n in range(4)))),
            limits=Limits(entries=3),
        )


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=r"cannot read .*: No such file"):
        open_image(tmp_path / "nothing")
    with pytest.raises(BadImage, match="has no folder `rootfs`"):
        open_image(tmp_path)


def test_links_of_a_layout_do_not_lead_out_of_it(tmp_path: Path) -> None:
    layout = write_files(tmp_path / "layout", oci_files(APP))
    config = layout / CONFIG_BLOB
    (tmp_path / "outside").write_bytes(config.read_bytes())
    config.unlink()
    config.symlink_to(tmp_path / "outside")
    with pytest.raises(BadImage, match="which is not in it"):
        open_image(layout)
