"""Builds images in every form that `open_image` reads, good and bad ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

COMMAND = {"Cmd": ["/app", "--x"], "Env": ["PATH=/bin", "MODE=test"]}


def member(name: str, content: bytes = b"", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A file of a layer; `kind` is tarfile's letter for its kind."""
    info = tarfile.TarInfo(name)
    info.type = attributes.pop("kind", tarfile.REGTYPE)
    info.size = len(content)
    info.mode = 0o644
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def folder(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.SYMTYPE, linkname=target, mode=0o777)


def hardlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.LNKTYPE, linkname=target)


def layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


APP = layer(folder("bin"), member("app", b"#!/bin/sh\n", mode=0o755))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config_text(
    layers: Iterable[bytes], config: Mapping[str, Any] | None = None, **changes: Any
) -> bytes:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(COMMAND if config is None else config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(one)}" for one in layers]},
    }
    return json.dumps(document | changes).encode()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    return layer(*(member(name, content) for name, content in files.items()))


def legacy_files(*layers: bytes, tag: str = "app:1", **changes: Any) -> dict[str, bytes]:
    """What `docker save` wrote before Docker 25."""
    config = config_text(layers, **changes)
    names = [f"{digest(one)[:12]}{number}/layer.tar" for number, one in enumerate(layers)]
    config_name = f"{digest(config)}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": names}]
    return {
        **dict(zip(names, layers, strict=True)),
        config_name: config,
        "manifest.json": json.dumps(manifest).encode(),
    }


def blob_files(*layers: bytes, tag: str = "app:1", **changes: Any) -> dict[str, bytes]:
    """What it writes since: blobs, and manifests of both forms."""
    return _with_blobs(layers, layers, tag, "", changes)


def oci_files(*layers: bytes, tag: str = "app:1", **changes: Any) -> dict[str, bytes]:
    """An OCI layout with compressed layers, as BuildKit and skopeo write it."""
    packed = [gzip.compress(one, mtime=0) for one in layers]
    files = _with_blobs(layers, packed, tag, "+gzip", changes)
    del files["manifest.json"]
    return files


def _with_blobs(
    layers: Iterable[bytes],
    stored: Iterable[bytes],
    tag: str,
    compression: str,
    changes: Mapping[str, Any],
) -> dict[str, bytes]:
    stored = list(stored)
    files: dict[str, bytes] = {}

    def blob(data: bytes, media_type: str) -> dict[str, Any]:
        files[f"blobs/sha256/{digest(data)}"] = data
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{digest(data)}",
            "size": len(data),
        }

    config = config_text(layers, **changes)
    manifest = {
        "schemaVersion": 2,
        "config": blob(config, "config.v1+json"),
        "layers": [blob(one, f"layer.v1.tar{compression}") for one in stored],
    }
    descriptor = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    descriptor["annotations"] = {"io.containerd.image.name": tag}
    docker = {
        "Config": f"blobs/sha256/{digest(config)}",
        "RepoTags": [tag],
        "Layers": [f"blobs/sha256/{digest(one)}" for one in stored],
    }
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [descriptor]}).encode()
    files["manifest.json"] = json.dumps([docker]).encode()
    return files


def write_files(at: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_bytes(content)
    return at


def write_archive(at: Path, files: Mapping[str, bytes]) -> Path:
    at.write_bytes(tar_of(files))
    return at


def saved(at: Path, *layers: bytes, **changes: Any) -> Path:
    """An archive as `docker save` writes it today."""
    return write_archive(at, blob_files(*layers, **changes))
