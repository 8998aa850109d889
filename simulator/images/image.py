"""Opening an image, whatever form it has."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.images.archives import Described, FolderBlobs, archive, images_in
from simulator.images.config import ImageConfig, parse_config
from simulator.images.contents import HostFile
from simulator.images.errors import BadImage
from simulator.images.folders import CONFIG, ROOTFS, folder_tree
from simulator.images.tree import Entry, Limits, Tree

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Those of Nitro Enclaves: their name in an image, and for the kernel."""

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """An image: its configuration and its files."""

    source: str
    """What messages call it."""
    names: tuple[str, ...]
    config: ImageConfig
    tree: Tree
    identifier: str
    """The digest that names it: of the configuration, as engines have it. Of a folder, whose
    configuration does not tell its files, of both."""

    def entries(self) -> Iterator[Entry]:
        """Its files, each after its directory, in the order of their names' bytes."""
        return self.tree.walk()

    def find(self, path: str) -> Entry | None:
        """What a program in the image would open at the path."""
        return self.tree.find(path)


def host_architecture() -> str:
    """This machine's, as images name it."""
    machine = platform.machine()
    return {kernel: image for image, kernel in ARCHITECTURES.items()}.get(machine, machine)


def open_image(
    path: Path,
    *,
    name: str | None = None,
    architecture: str | None = None,
    limits: Limits | None = None,
) -> ContainerImage:
    """Open a folder, an archive of `docker save`, or an OCI layout as a folder or an archive.

    `name` chooses among several images of an archive, `architecture` (by default this machine's)
    among the platforms of one.
    """
    limits = limits or Limits()
    if path.is_dir() and not _is_layout(path):
        image = _of_folder(path, limits)
    else:
        image = _chosen(describe(path, architecture, limits), name, limits)
    if architecture not in {None, image.config.architecture}:
        raise BadImage(
            f"{path} is an image for linux/{image.config.architecture}, and one for "
            f"linux/{architecture} is asked for"
        )
    return image


def describe(path: Path, architecture: str | None, limits: Limits) -> list[Described]:
    """The images in an archive or an OCI layout, whose files are not read yet."""
    blobs = FolderBlobs(path) if path.is_dir() else archive(path, limits)
    return images_in(blobs, str(path), architecture or host_architecture())


def image_of(described: Described, limits: Limits) -> ContainerImage:
    """Read the files of an image."""
    config = described.config
    if config.os != "linux" or config.architecture not in ARCHITECTURES:
        raise BadImage(
            f"{described.source} is an image for {config.os}/{config.architecture}; an enclave "
            "runs linux/amd64 or linux/arm64"
        )
    return ContainerImage(
        described.source, described.names, config, described.tree(limits), described.identifier
    )


def _is_layout(folder: Path) -> bool:
    return (folder / "index.json").is_file() or (folder / "manifest.json").is_file()


def _chosen(found: list[Described], name: str | None, limits: Limits) -> ContainerImage:
    source = found[0].source
    matching = [image for image in found if name is None or name in image.names]
    names = ", ".join(name for image in found for name in image.names) or "none with a name"
    if not matching:
        raise BadImage(f"{source} has no image {name}; it has {names}")
    if len(matching) > 1:
        raise BadImage(f"{source} has {len(matching)} images ({names}); say which")
    return image_of(matching[0], limits)


def _of_folder(folder: Path, limits: Limits) -> ContainerImage:
    rootfs = folder / ROOTFS
    if not rootfs.is_dir():
        raise BadImage(
            f"{folder} has no folder `rootfs` (an image's files), no manifest.json (`docker save` "
            "writes it) and no index.json (an OCI layout has it), so it is no image"
        )
    config = folder / CONFIG
    if config.is_file():
        with HostFile(config, config.stat().st_size).open() as file:
            parsed = parse_config(file.read(), str(config))
    else:
        parsed = ImageConfig(architecture=host_architecture())
    return folder_image(str(folder), parsed, folder_tree(rootfs, limits))


def folder_image(
    source: str, config: ImageConfig, tree: Tree, names: tuple[str, ...] = ()
) -> ContainerImage:
    """An image that no engine made, and that has its digest of all that it is."""
    return ContainerImage(source, names, config, tree, _identifier(config, tree))


def _identifier(config: ImageConfig, tree: Tree) -> str:
    digest = hashlib.sha256(json.dumps(config.document(), sort_keys=True).encode())
    for entry in tree.walk():
        about = (entry.path, entry.kind, entry.mode, entry.size, entry.target, entry.device)
        digest.update(repr(about).encode())
        if entry.content is not None:
            with entry.open() as file:
                while data := file.read(_CHUNK):
                    digest.update(data)
    return f"sha256:{digest.hexdigest()}"
