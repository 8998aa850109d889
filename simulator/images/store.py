"""Container images by name, in the place of the engine that a parent instance has.

A folder with the images as they were given: `store.json` says which file or folder each name is of.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.images.errors import BadImage
from simulator.images.image import ContainerImage, describe, open_image
from simulator.images.saving import save_image
from simulator.images.tree import Limits

_INDEX = "store.json"
_LOCK = "lock"
_DIGEST = "sha256:"

_Names = dict[str, tuple[str | None, str]]
"""The names of images, with which image of an archive each is, and its digest."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What stands in the index for a name."""

    place: str
    """The file or folder, within the store's."""
    name: str | None
    """Which image of it, where it has several."""
    identifier: str


def full_name(uri: str) -> str:
    """A name with its tag, which is `latest` where it has none."""
    last = uri.rpartition("/")[2]
    return uri if ":" in last or "@" in last else f"{uri}:latest"


class BadStore(BadImage):
    """The store itself is damaged or cannot be read; the message says what to do."""


class ImageStore:
    """The images that are known by name."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._folder = folder
        self._limits = limits or Limits()

    def load(self, image: Path, tag: str | None = None) -> tuple[str, ...]:
        """Copy an archive or folder into the store; the names it has there.

        They are those in the archive; `tag` is another, and the only one of an image without. Each
        image is read first, so that none is stored that cannot be used. Raises BadImage, and
        OSError where the store cannot be written.
        """
        named = self._named(image, tag)

        def copy(target: Path) -> _Names:
            if image.is_dir():
                _copy_folder(image, target)
            else:
                shutil.copyfile(image, target)
            return named

        self._add(copy)
        return tuple(named)

    def add(self, image: ContainerImage, tag: str) -> None:
        """Store an image that was built, under one name. Raises BadStore and OSError."""
        name = full_name(tag)

        def save(target: Path) -> _Names:
            return {name: (None, save_image(image, target, name))}

        self._add(save)

    def _add(self, write: Callable[[Path], _Names]) -> None:
        place = secrets.token_hex(8)
        target = self._folder / place
        with self._locked() as index:
            try:
                for name, (inner, identifier) in write(target).items():
                    index[name] = _Stored(place, inner, identifier)
                self._write(index)
            except BaseException:
                _remove(target)
                raise
            self._drop_unnamed(index)

    def find(self, uri: str) -> ContainerImage | None:
        """The image with a name, its tag being `latest` where it has none, or with a digest.

        Raises BadImage, and BadStore.
        """
        name = full_name(uri)
        index = self._read()
        stored = index.get(name)
        if stored is None:
            wanted = uri if uri.startswith(_DIGEST) else f"{_DIGEST}{uri}"
            stored = next((one for one in index.values() if one.identifier == wanted), None)
        if stored is None:
            return None
        image = open_image(self._folder / stored.place, name=stored.name, limits=self._limits)
        return ContainerImage(uri, (name,), image.config, image.tree, image.identifier)

    def names(self) -> tuple[str, ...]:
        """Every name."""
        return tuple(sorted(self._read()))

    def identifiers(self) -> dict[str, str]:
        """Every name, with the digest of its image."""
        return {name: stored.identifier for name, stored in sorted(self._read().items())}

    def remove(self, names: Collection[str]) -> None:
        """Forget names; an image without any is gone. Raises BadStore and OSError."""
        with self._locked() as index:
            for name in names:
                index.pop(name, None)
            self._write(index)
            self._drop_unnamed(index)

    def _named(self, path: Path, tag: str | None) -> _Names:
        found: _Names = {}
        is_archive = not (path / "rootfs").is_dir()
        inner = _inner_names(path, self._limits) if is_archive else []
        for name in inner:
            image = open_image(path, name=name, limits=self._limits)
            found[full_name(name)] = (name, image.identifier)
        if tag is not None:
            if len(set(found.values())) > 1:
                raise BadImage(f"{path} has {len(inner)} images, so one tag names none of them")
            chosen = inner[0] if inner else None
            image = open_image(path, name=chosen, limits=self._limits)
            found[full_name(tag)] = (chosen, image.identifier)
        if not found:
            raise BadImage(f"the image in {path} has no name; give it one with --tag")
        return found

    @contextmanager
    def _locked(self) -> Iterator[dict[str, _Stored]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self._read()
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, _Stored]:
        path = self._folder / _INDEX
        try:
            entries: dict[str, dict[str, Any]] = json.loads(path.read_text())
            return {name: _Stored(**entry) for name, entry in entries.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            raise BadStore(
                f"{path} is damaged ({error}); remove {self._folder} and load the images again"
            ) from error
        except OSError as error:
            raise BadStore(f"{path} cannot be read ({error.strerror})") from error

    def _write(self, index: dict[str, _Stored]) -> None:
        entries = {
            name: {"place": one.place, "name": one.name, "identifier": one.identifier}
            for name, one in index.items()
        }
        new = self._folder / f".{_INDEX}"
        new.write_text(json.dumps(entries, indent=1))
        new.replace(self._folder / _INDEX)

    def _drop_unnamed(self, index: dict[str, _Stored]) -> None:
        """Remove what no name leads to any more."""
        kept = {one.place for one in index.values()} | {_INDEX, _LOCK}
        for path in self._folder.iterdir():
            if path.name not in kept:
                _remove(path)


def _copy_folder(folder: Path, target: Path) -> None:
    try:
        shutil.copytree(folder, target, symlinks=True, copy_function=_copy_file)
    except shutil.Error as error:
        # One for each file; they have the same reason, mostly.
        (_, _, reason), *others = error.args[0]
        more = f", and {len(others)} more" if others else ""
        raise OSError(f"{reason}{more}") from error


def _copy_file(source: str, target: str) -> None:
    """Not the content of a device: of /dev/zero there is no end."""
    status = os.lstat(source)
    if stat.S_ISREG(status.st_mode):
        shutil.copy2(source, target)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)


def _inner_names(path: Path, limits: Limits) -> list[str]:
    return [name for image in describe(path, None, limits) for name in image.names]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
