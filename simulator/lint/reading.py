"""What a user gives, as a subject: a Dockerfile, an image in any form, `docker inspect`, an EIF."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from nsm_fake.eif import EifError
from simulator.images import BadImage, ContainerImage, ImageConfig, open_image
from simulator.images.builder import build_dockerfile
from simulator.lint.dockerfile_subject import from_dockerfile
from simulator.lint.eif_subject import from_eif
from simulator.lint.files import EnclaveFiles
from simulator.lint.settings import inspected, settings
from simulator.lint.subject import Form, Subject

STANDARD_INPUT = "-"
_DOCKERFILE = "Dockerfile"
_IMAGE_FILES = ("config.json", "manifest.json", "index.json")
"""One of these beside a Dockerfile: the folder is an image."""
_MOST_TEXT = 16 * 1024 * 1024
_ARCHIVES = {b"\x1f\x8b": 0, b"\x28\xb5\x2f\xfd": 0, b"ustar": 257}
_EIF = b".eif"
_GIVE = (
    "give a Dockerfile, what docker save or docker inspect writes, an OCI layout, a folder with "
    "rootfs, or an EIF"
)


class Unreadable(Exception):
    """An input cannot be used: the message names it, says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a user gives beside the input."""

    image: str | None = None
    """Which of several images in an archive."""
    context: Path | None = None
    """The folder that a Dockerfile is built in; by default its own."""
    base: Path | None = None
    """The image that the last stage of a Dockerfile builds on."""


def read(name: str, beside: Beside | None = None) -> Subject:
    """The subject in a file or folder, or on standard input for `-`. Raises Unreadable."""
    try:
        return _read(name, beside or Beside())
    except (BadImage, EifError) as error:
        raise Unreadable(_naming(name, str(error))) from error
    except OSError as error:
        raise Unreadable(
            f"{error.filename or name}: cannot be read: {error.strerror}; {_GIVE}"
        ) from error


def _naming(name: str, message: str) -> str:
    return message if message.startswith(name) else f"{name}: {message}"


def _read(name: str, beside: Beside) -> Subject:
    if name == STANDARD_INPUT:
        return _of_text(name, sys.stdin.buffer.read(_MOST_TEXT + 1), beside)
    path = Path(name)
    if path.is_dir():
        return _of_folder(name, path, beside)
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(_EIF) or (not head and path.suffix == _EIF.decode()):
        return from_eif(name, path)
    if any(head[at:].startswith(magic) for magic, at in _ARCHIVES.items()):
        return from_image(name, open_image(path, name=beside.image))
    with path.open("rb") as file:
        data = file.read(_MOST_TEXT + 1)
    return _of_text(name, data, replace(beside, context=beside.context or path.parent))


def _of_folder(name: str, path: Path, beside: Beside) -> Subject:
    dockerfile = path / _DOCKERFILE
    has_image = any((path / each).is_file() for each in _IMAGE_FILES)
    if dockerfile.is_file() and not has_image:
        return _read(str(dockerfile), beside)
    return from_image(name, open_image(path, name=beside.image))


def _of_text(name: str, data: bytes, beside: Beside) -> Subject:
    if len(data) > _MOST_TEXT:
        raise Unreadable(f"{name}: more than {_MOST_TEXT} bytes of text; {_GIVE}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name}: byte {error.start} is not text; {_GIVE}") from error
    if not text.strip() or "\0" in text:
        raise Unreadable(f"{name}: it is empty, or no text; {_GIVE}")
    if text.lstrip().startswith(("[", "{")):
        return from_inspection(name, text)
    base = open_image(beside.base) if beside.base is not None else None
    subject = from_dockerfile(name, text, beside.context, base)
    return _built(name, subject, beside.context, base)


class _Bases:
    """The one image that is known by its name."""

    def __init__(self, name: str, image: ContainerImage | None) -> None:
        self._name = name
        self._image = image

    def find(self, uri: str) -> ContainerImage | None:
        return self._image if uri == self._name else None


def _built(
    name: str, subject: Subject, context: Path | None, base: ContainerImage | None
) -> Subject:
    """With the files of the image, where it can be built without an engine."""
    on = subject.base
    if on is None or context is None or Path(name) != context / _DOCKERFILE:
        return subject
    if base is None and not on.is_empty:
        return replace(subject, unbuilt=f"{on.name} is not here; --base can give it")
    try:
        image = build_dockerfile(context, _Bases(on.name, base))
    except BadImage as error:
        return replace(subject, unbuilt=str(error).rstrip("."))
    return replace(subject, files=EnclaveFiles(image.tree), architecture=image.config.architecture)


def from_image(name: str, image: ContainerImage) -> Subject:
    """The subject of an image whose files are there."""
    return _of_config(name, Form.IMAGE, image.config, EnclaveFiles(image.tree))


def from_inspection(name: str, text: str) -> Subject:
    """The subject of what `docker inspect` prints of an image or a container."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name}: it begins as JSON and is none: {error}; {_GIVE}") from error
    described = value if isinstance(value, list) else [value]
    if len(described) != 1 or not isinstance(described[0], dict):
        raise Unreadable(f"{name}: it describes {len(described)} images; give one at a time")
    document = described[0]
    if not isinstance(document.get("Config", document.get("config")), dict):
        raise Unreadable(f"{name}: there is no Config in it, so docker inspect did not write it")
    return _of_config(name, Form.INSPECTED, inspected(document, name), None)


def _of_config(name: str, form: Form, config: ImageConfig, files: EnclaveFiles | None) -> Subject:
    return Subject(
        name,
        form,
        files=files,
        architecture=config.architecture,
        **settings(config),
    )
