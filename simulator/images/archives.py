"""Images in archives and folders of blobs: what `docker save` writes, and OCI layouts.

Two forms say what is in one. `manifest.json` is Docker's: a list of images with the names of their
configuration and layers, which are blobs named by their digest (since Docker 25) or `ID/layer.tar`
(before). `oci-layout` and `index.json` are the OCI's. Where both are there, Docker's is read.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from simulator.images.config import ImageConfig, config_of, parse_json
from simulator.images.contents import Content, HostFile, OpenFile, Span
from simulator.images.errors import BadImage
from simulator.images.layers import Budget, apply_layer, members, sha256, unpacked
from simulator.images.tree import Limits, Tree

_LARGEST_JSON = 8 * 1024 * 1024
_MOST_MEMBERS = 100_000
_MOST_LINKS = 8
_DEEPEST_INDEX = 4
_INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
_REF_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class Blobs(Protocol):
    """The files of an archive or of a folder by name."""

    def find(self, name: str) -> Content | None:
        """The content of one, or None."""


class TarBlobs:
    """The members of a tar archive."""

    def __init__(self, span: Span, source: str) -> None:
        self._files: dict[str, Span] = {}
        self._links: dict[str, str] = {}
        for count, (member, content) in enumerate(members(span, source)):
            if count > _MOST_MEMBERS:
                raise BadImage(f"{source} has more than {_MOST_MEMBERS} files, so it is no image")
            name = _normal(member.name)
            if member.isreg():
                self._files[name] = content
            elif member.type == tarfile.SYMTYPE:
                # Docker before 25 has a layer that two images share once, and links to it.
                self._links[name] = _normal(
                    posixpath.join(posixpath.dirname(name), member.linkname)
                )
            elif member.type == tarfile.LNKTYPE:
                self._links[name] = _normal(member.linkname)

    def find(self, name: str) -> Content | None:
        """Links are followed inside the archive."""
        name = _normal(name)
        for _ in range(_MOST_LINKS):
            if name not in self._links:
                break
            name = self._links[name]
        return self._files.get(name)


class FolderBlobs:
    """The files of a folder, below it alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Content | None:
        """None too for what is no regular file, or lies outside of the folder."""
        path = self._folder / _normal(name)
        if not path.is_file() or not path.resolve().is_relative_to(self._folder.resolve()):
            return None
        return HostFile(path, path.stat().st_size)


def _normal(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    digest: str | None
    """Of the blob as it stands, if the manifest says it."""


@dataclass(frozen=True, slots=True)
class Described:
    """One image of an archive, as its manifest describes it."""

    blobs: Blobs
    source: str
    names: tuple[str, ...]
    config: ImageConfig
    identifier: str
    """The digest of the configuration, which is how engines name the image."""
    diff_ids: tuple[str, ...]
    layers: tuple[_Layer, ...]

    def tree(self, limits: Limits) -> Tree:
        """Its files; each layer is compared with its digest."""
        budget = Budget(limits)
        tree = Tree()
        for number, layer in enumerate(self.layers, start=1):
            source = f"layer {number} of {self.source}"
            content = _required(self.blobs, layer.name, self.source)
            if layer.digest is not None:
                _compare(sha256(content), layer.digest, source)
            span = unpacked(content, source, budget)
            if self.diff_ids:
                _compare(sha256(span), self.diff_ids[number - 1], source)
            apply_layer(tree, span, source, budget)
        return tree


def images_in(blobs: Blobs, source: str, architecture: str) -> list[Described]:
    """The images that an archive or folder has; of one for several platforms, that of ours."""
    if blobs.find("manifest.json") is not None:
        found = list(_docker(blobs, source))
    elif blobs.find("index.json") is not None:
        found = list(_oci(blobs, source, architecture))
    else:
        raise BadImage(
            f"{source} has neither manifest.json (`docker save` writes it) nor index.json (an OCI "
            "layout has it): it is no image, or its end is missing"
        )
    if not found:
        raise BadImage(f"{source} has no image in it")
    return found


def _docker(blobs: Blobs, source: str) -> Iterator[Described]:
    text = _json_text(blobs, "manifest.json", source)
    where = f"manifest.json of {source}"
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadImage(f"{where} is not JSON: {error}") from error
    if not isinstance(manifest, list):
        raise BadImage(f"{where} is not a list of images")
    for image in manifest:
        if not isinstance(image, dict):
            raise BadImage(f"{where} has an image that is not an object")
        layers = [_Layer(name, _digest_in(name)) for name in _strings(image, "Layers", where)]
        config = image.get("Config")
        if not isinstance(config, str):
            raise BadImage(f"{where} names no configuration for an image")
        yield _described(
            blobs, source, config, _digest_in(config), layers, _strings(image, "RepoTags", where)
        )


def _digest_in(name: str) -> str | None:
    """The digest that a blob's name is made of."""
    return f"sha256:{posixpath.basename(name)}" if name.startswith("blobs/sha256/") else None


def _oci(blobs: Blobs, source: str, architecture: str) -> Iterator[Described]:
    index = parse_json(_json_text(blobs, "index.json", source), f"index.json of {source}")
    for descriptor in _descriptors(index, "manifests", source):
        names = _ref_names(descriptor)
        chosen = _manifest_of(blobs, descriptor, source, architecture)
        if chosen is None:
            continue
        manifest = _blob_json(blobs, chosen, source)
        config = manifest.get("config")
        if not isinstance(config, dict):
            raise BadImage(f"{source}: a manifest names no configuration")
        layers = [
            _Layer(_blob_name(layer, source), str(layer["digest"]))
            for layer in _descriptors(manifest, "layers", source)
        ]
        name = _blob_name(config, source)
        yield _described(blobs, source, name, str(config["digest"]), layers, names)


def _manifest_of(
    blobs: Blobs, descriptor: Mapping[str, Any], source: str, architecture: str, depth: int = 0
) -> Mapping[str, Any] | None:
    """The descriptor of the manifest for this architecture; None for what is no image."""
    if "vnd.docker.reference.type" in (descriptor.get("annotations") or {}):
        # An attestation about an image, which BuildKit puts beside it.
        return None
    if descriptor.get("mediaType") not in _INDEXES:
        return descriptor
    if depth == _DEEPEST_INDEX:
        raise BadImage(f"{source} has indexes of indexes of indexes")
    offered: list[str] = []
    for inner in _descriptors(_blob_json(blobs, descriptor, source), "manifests", source):
        platform = inner.get("platform")
        platform = platform if isinstance(platform, dict) else {}
        if platform.get("architecture", architecture) == architecture:
            found = _manifest_of(blobs, inner, source, architecture, depth + 1)
            if found is not None and blobs.find(_blob_name(found, source)) is not None:
                return found
        offered.append(f"{platform.get('os')}/{platform.get('architecture')}")
    raise BadImage(
        f"{source} has no image for linux/{architecture}, but for {', '.join(offered) or 'none'}; "
        f"save that of the right platform: docker pull --platform linux/{architecture}"
    )


def _described(
    blobs: Blobs,
    source: str,
    config_name: str,
    config_digest: str | None,
    layers: Iterable[_Layer],
    names: Iterable[str],
) -> Described:
    content = _required(blobs, config_name, source)
    where = f"the configuration of {source}"
    digest = sha256(content)
    if config_digest is not None:
        _compare(digest, config_digest, where)
    document = parse_json(_read(content, where), where)
    layers = tuple(layers)
    diff_ids = _diff_ids(document, where)
    if diff_ids and len(diff_ids) != len(layers):
        raise BadImage(
            f"{where} counts {len(diff_ids)} layers, and its manifest {len(layers)}: they do not "
            "belong together"
        )
    return Described(
        blobs, source, tuple(names), config_of(document, where), digest, diff_ids, layers
    )


def _diff_ids(document: Mapping[str, Any], where: str) -> tuple[str, ...]:
    rootfs = document.get("rootfs")
    return tuple(_strings(rootfs, "diff_ids", where)) if isinstance(rootfs, dict) else ()


def _compare(found: str, expected: str, what: str) -> None:
    if not expected.startswith("sha256:"):
        raise BadImage(f"{what} is named by {expected}, and only sha256 is known here")
    if found != expected:
        raise BadImage(
            f"{what} is damaged: its digest is {found}, and the image says {expected}; save the "
            "image again"
        )


def _required(blobs: Blobs, name: str, source: str) -> Content:
    content = blobs.find(name)
    if content is None:
        raise BadImage(
            f"{source} names {name}, which is not in it: its end is missing, or it was saved "
            "without it"
        )
    return content


def _json_text(blobs: Blobs, name: str, source: str) -> bytes:
    return _read(_required(blobs, name, source), f"{name} of {source}")


def _read(content: Content, what: str) -> bytes:
    if content.size > _LARGEST_JSON:
        raise BadImage(f"{what} has more than {_LARGEST_JSON} bytes")
    with content.open() as file:
        return file.read()


def _blob_json(blobs: Blobs, descriptor: Mapping[str, Any], source: str) -> dict[str, Any]:
    name = _blob_name(descriptor, source)
    content = _required(blobs, name, source)
    _compare(sha256(content), str(descriptor["digest"]), f"{name} of {source}")
    return parse_json(_read(content, f"{name} of {source}"), f"{name} of {source}")


def _blob_name(descriptor: Mapping[str, Any], source: str) -> str:
    digest = descriptor.get("digest")
    if not isinstance(digest, str) or ":" not in digest:
        raise BadImage(f"{source} describes a blob without its digest")
    return f"blobs/{digest.replace(':', '/')}"


def _descriptors(of: Mapping[str, Any], name: str, source: str) -> list[dict[str, Any]]:
    value = of.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadImage(f"{source}: `{name}` is not a list of descriptors")
    return value


def _strings(of: Mapping[str, Any], name: str, where: str) -> list[str]:
    value = of.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadImage(f"{where}: `{name}` is not a list of strings")
    return value


def _ref_names(descriptor: Mapping[str, Any]) -> tuple[str, ...]:
    annotations = descriptor.get("annotations")
    if not isinstance(annotations, dict):
        return ()
    for key in _REF_NAMES:
        if isinstance(name := annotations.get(key), str):
            return (name,)
    return ()


def archive(path: Path, limits: Limits) -> Blobs:
    """A file that has an image, compressed or not."""
    try:
        file = OpenFile.at(path)
    except OSError as error:
        raise BadImage(f"cannot read {path}: {error.strerror or error}") from error
    span = Span(file, 0, file.size)
    return TarBlobs(unpacked(span, str(path), Budget(limits)), str(path))
