"""Writing an image as `docker save` does: one layer, for an engine or the image store."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from simulator.images.image import ContainerImage
from simulator.images.tree import Entry, Kind

_CHUNK = 1024 * 1024
_TYPES = {
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.FILE: tarfile.REGTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
    Kind.CHARACTER_DEVICE: tarfile.CHRTYPE,
    Kind.BLOCK_DEVICE: tarfile.BLKTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
}


def save_image(image: ContainerImage, path: Path, name: str) -> str:
    """Write the archive; the digest that the image has by it. Raises OSError, and BadImage."""
    with tempfile.TemporaryFile(dir=path.parent) as layer:
        with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for entry in image.entries():
                _add(archive, entry)
        digest = _digest(layer)
        document = image.config.document()
        document["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
        config = json.dumps(document, sort_keys=True).encode()
        identifier = hashlib.sha256(config).hexdigest()
        manifest = [
            {
                "Config": f"blobs/sha256/{identifier}",
                "RepoTags": [name],
                "Layers": [f"blobs/sha256/{digest}"],
            }
        ]
        with tarfile.open(path, mode="w", format=tarfile.PAX_FORMAT) as archive:
            size = layer.seek(0, io.SEEK_END)
            layer.seek(0)
            archive.addfile(_file(f"blobs/sha256/{digest}", size), layer)
            for at, content in (
                (f"blobs/sha256/{identifier}", config),
                ("manifest.json", json.dumps(manifest).encode()),
            ):
                archive.addfile(_file(at, len(content)), io.BytesIO(content))
    return f"sha256:{identifier}"


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.type = _TYPES[entry.kind]
    info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
    info.linkname = entry.target
    info.devmajor, info.devminor = entry.device
    if entry.kind is Kind.FILE and entry.content is not None:
        info.size = entry.size
        with entry.open() as file:
            archive.addfile(info, file)
    else:
        archive.addfile(info)


def _file(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()
