"""`nitro-cli build-enclave`.

The order of its checks is what hides one mistake behind another: without the -devel package nobody
hears that HOME is not set (bug 3 of the field notes), and the output file is emptied before either
folder or image is looked for, so that a failed build leaves a file of 0 bytes.

An image comes from the machine's own store (`attested-kms machine load`), or else from a Docker
engine of this system; where neither has it the real one would pull it, and here it cannot be had.
Kernel and init are placeholders unless the blobs are nitro-cli's own (NITRO_CLI_BLOBS, or put in
place of the machine's): a notice (`simulator.nitro_cli.session`) says that PCRs are then not those
of hardware.

Source: aws-nitro-enclaves-cli v1.4.4 and v1.5.0, src/lib.rs and enclave_build/: `inferred`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from nsm_fake.eif import EifBadMetadata, EifError, Signer, read_custom_metadata
from simulator.eif_report import built
from simulator.images import BadImage, ContainerImage, NoCommand, open_image
from simulator.images.build import Builder, BuildResult, build_eif
from simulator.images.builder import build_dockerfile
from simulator.images.store import BadStore, ImageStore
from simulator.nitro_cli import docker_engine
from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.image_errors import library_text
from simulator.nitro_cli.places import VARIABLE, FolderRefused
from simulator.nitro_cli.rust_text import debug, display, quoted
from simulator.nitro_cli.session import Failed, Place, Session, failed, within
from simulator.nitro_cli.signing import SigningInfoUnreadable, signing_info

_LIBRARY = "src/lib.rs"
_PANIC = 101
_PLACEHOLDER = b"attested-kms"
_BLOBS = (
    ("init", "InitPathError"),
    ("nsm.ko", "NsmPathError"),
    ("", "KernelPathError"),
    ("linuxkit", "LinuxkitPathError"),
)
"""What is looked for, in its order; the nameless one is the kernel."""


class _Panic(Exception):
    """The real one ends without a failure of its own."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says."""

    docker_uri: str
    """With a tag."""
    docker_folder: str | None
    output: str
    name: str
    version: str | None
    metadata: str | None

    @classmethod
    def of(cls, given: Given) -> _Asked:
        uri = given.text("docker-uri") or ""
        return cls(
            docker_uri=uri if ":" in uri else f"{uri}:latest",
            docker_folder=given.text("docker-dir"),
            output=given.text("output-file") or "",
            name=uri.partition(":")[0] if (name := given.text("name")) is None else name,
            version=given.text("version"),
            metadata=given.text("metadata"),
        )


def run(session: Session, given: Given) -> int:
    """Build an image file."""
    session.say("Start building the Enclave Image...")
    asked = _Asked.of(given)
    try:
        with within(
            "Failed to build EIF from docker", "Failed to build enclave", action="Build Enclave"
        ):
            result = _build(session, given, asked)
    except _Panic as error:
        session.say(f"nitro-cli (attested-kms): {error}")
        return _PANIC
    session.say("Enclave Image successfully created.")
    session.print(built(result.measurements, nitro_cli=session.version))
    if not result.is_hardware:
        session.notice(
            "kernel and init of this image are placeholders: it boots in the simulator, and its "
            "PCRs are not those of an image that nitro-cli builds. NITRO_CLI_BLOBS may name the "
            "folder of nitro-cli's own."
        )
    return 0


def _build(session: Session, given: Given, asked: _Asked) -> BuildResult:
    blobs = session.blobs
    _check_command_line(blobs.file("cmdline"))
    _empty(asked.output)
    kernel = _kernel_name(blobs.actual)
    _check_kernel_configuration(blobs.actual / f"{kernel}.config")
    artifacts = _artifacts(session)
    _check_blobs(blobs.actual, kernel, artifacts)
    if asked.metadata is not None and not Path(asked.metadata).is_file():
        raise _not_created("MetadataPathError", 147)
    signing = _signing(session, given)
    with _image(session, asked) as image:
        try:
            _ = image.config.command
        except NoCommand as error:
            session.say("Docker error: UnsupportedEntryPoint")
            raise _not_created("DockerError", 171) from error
        return _written(session, asked, image, signing)


def _check_command_line(place: Place) -> None:
    try:
        if not place.actual.is_dir():
            place.actual.read_text(encoding="utf-8")
            return
    except UnicodeDecodeError as error:
        text = 'Error { kind: InvalidData, message: "stream did not contain valid UTF-8" }'
        raise _no_command_line(place, "Failed to read kernel command line", text, 95) from error
    except OSError as error:
        said = "Could not open kernel command line file"
        raise _no_command_line(place, said, debug(error), 86) from error
    text = debug(IsADirectoryError(21, ""))
    raise _no_command_line(place, "Failed to read kernel command line", text, 95)


def _no_command_line(place: Place, said: str, text: str, line: int) -> Failed:
    operation = "Open" if said.startswith("Could") else "Read"
    return failed("E19", f"{said}: {text}", _LIBRARY, line, (place.shown, operation))


def _empty(output: str) -> None:
    """Make the output file, or empty it."""
    try:
        os.close(os.open(output, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666))
    except OSError as error:
        said = f"Could not create output file: {debug(error)}"
        raise failed("E19", said, _LIBRARY, 109, (output, "Open")) from error


def _kernel_name(blobs: Path) -> str:
    """Its name tells the architecture that nitro-cli was built for."""
    is_arm = (blobs / "Image").exists() and not (blobs / "bzImage").exists()
    return "Image" if is_arm else "bzImage"


def _check_kernel_configuration(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        said = f"Failed to open kernel image config file: {display(error)}"
        raise failed(
            "E48", f"Could not generate build info: {quoted(said)}", _LIBRARY, 124
        ) from error


def _artifacts(session: Session) -> Path | None:
    """The folder to work in, made if need be."""
    given, home = session.environ.get("NITRO_CLI_ARTIFACTS"), session.environ.get("HOME")
    if given is None and home is None:
        raise failed(
            "E51",
            "Could not find a folder for the CLI artifacts, set either HOME or NITRO_CLI_ARTIFACTS",
            _LIBRARY,
            394,
        )
    path, line = (given, 376) if given is not None else (f"{home}/.nitro_cli/", 386)
    if not path:
        return None  # Rust makes it without a complaint; that there is none is found later.
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"Could not create artifacts path {path}: {debug(error)}"
        raise failed("E19", said, _LIBRARY, line, (path, "Create")) from error
    return Path(path)


def _check_blobs(blobs: Path, kernel: str, artifacts: Path | None) -> None:
    for name, error in _BLOBS:
        if not (blobs / (name or kernel)).is_file():
            raise _not_created(error, 147)
    if artifacts is None or not artifacts.is_dir():
        raise _not_created("ArtifactsPrefixError", 147)


def _not_created(error: str, line: int) -> Failed:
    return failed("E48", f"Failed to create EIF image: {error}", _LIBRARY, line)


def _signing(session: Session, given: Given) -> tuple[bytes, bytes] | None:
    """Certificate and key; the older version goes on without them if they cannot be read."""
    certificate, private_key = given.text("signing-certificate"), given.text("private-key")
    if certificate is None or private_key is None:
        return None
    try:
        return signing_info(certificate, private_key)
    except SigningInfoUnreadable as error:
        if session.version != "1.4.4":
            raise _not_created(f"SignImageError({quoted(str(error))})", 147) from error
        session.say(f"Could not read signing info: {quoted(str(error))}")
        return None


@contextmanager
def _image(session: Session, asked: _Asked) -> Iterator[ContainerImage]:
    """The container image, while the context is open."""
    store = ImageStore(session.folder.path / "images")
    if asked.docker_folder is not None:
        with _from_dockerfile(session, store, asked.docker_uri, asked.docker_folder) as built_image:
            yield built_image
        return
    stored = _stored(session, store, asked.docker_uri)
    if stored is None and not docker_engine.has(asked.docker_uri):
        _not_pulled(session, f"no image {asked.docker_uri} is there")
    session.say("Using the locally available Docker image...")
    if stored is not None:
        yield stored
        return
    with _of_engine(session, asked.docker_uri) as image:
        yield image


def _stored(session: Session, store: ImageStore, uri: str) -> ContainerImage | None:
    try:
        with _usable():
            return store.find(uri)
    except BadImage as error:
        _not_pulled(session, str(error))


@contextmanager
def _usable() -> Iterator[None]:
    """Within, the machine's store is used: what is wrong with that, no Docker engine would say."""
    try:
        yield
    except BadStore as error:
        raise FolderRefused(f"{error}.") from error
    except OSError as error:
        raise FolderRefused(
            f"The image cannot be read or stored ({error}); make room, or name another "
            f"machine in {VARIABLE}."
        ) from error


def _not_pulled(session: Session, reason: str) -> NoReturn:
    if session.version != "1.4.4":
        session.say(f"Stream error: {reason} [attested-kms: real text unknown]")
    session.say("Docker error: PullError")
    session.notice(
        f"{reason}; attested-kms pulls none. Give it to the machine (attested-kms machine load), "
        "or to this system's Docker engine (docker pull)."
    )
    raise failed("E50", "Failed to pull docker image: DockerError", _LIBRARY, 164)


@contextmanager
def _from_dockerfile(
    session: Session, store: ImageStore, uri: str, folder: str
) -> Iterator[ContainerImage]:
    if not Path(folder).is_dir():
        raise failed("E49", "Failed to build docker image: DockerfilePathError", _LIBRARY, 157)
    try:
        with _usable():
            image = build_dockerfile(Path(folder), store)
    except BadImage as error:
        if not (docker_engine.answers() and docker_engine.build(uri, Path(folder))):
            _not_built(session, str(error))
        with _of_engine(session, uri) as image:
            yield image
        return
    with _usable():
        store.add(image, uri)
        # As an engine has it now: by its name, and with a digest of its own.
        stored = store.find(uri)
    yield stored or image


def _not_built(session: Session, reason: str) -> NoReturn:
    if session.version != "1.4.4":
        session.say(f"Stream error: {reason} [attested-kms: real text unknown]")
    session.say("Docker error: BuildError")
    session.notice(reason)
    raise failed("E49", "Failed to build docker image: DockerError", _LIBRARY, 157)


@contextmanager
def _of_engine(session: Session, uri: str) -> Iterator[ContainerImage]:
    with docker_engine.saved(uri) as archive:
        if archive is None:
            _not_inspected(session, f"the Docker engine does not save {uri}")
        try:
            image = open_image(archive)
        except BadImage as error:
            _not_inspected(session, str(error))
        yield image


def _not_inspected(session: Session, reason: str) -> NoReturn:
    session.say("Docker error: InspectError")
    session.notice(reason)
    raise _not_created("DockerError", 171)


def _written(
    session: Session,
    asked: _Asked,
    image: ContainerImage,
    signing: tuple[bytes, bytes] | None,
) -> BuildResult:
    metadata = _metadata(asked.metadata)
    try:
        signer = None if signing is None else Signer.load(*signing)
        with _regular(Path(asked.output)) as output:
            return build_eif(
                image,
                output,
                builder=Builder("nitro-cli", session.version),
                blobs=_real_blobs(session.blobs.actual),
                name=asked.name,
                version=asked.version,
                metadata=metadata,
                signer=signer,
            )
    except BadImage as error:
        raise _not_created(f"RamfsError {library_text(error)}", 171) from error
    except EifError as error:
        raise _Panic(str(error)) from error
    except OSError as error:
        raise _Panic(f"{asked.output} cannot be written ({error.strerror}).") from error


def _metadata(path: str | None) -> Any:
    if path is None:
        return None
    try:
        return read_custom_metadata(Path(path))
    except EifBadMetadata as error:
        raise _not_created(f"MetadataError({quoted(library_text(error))})", 171) from error


def _real_blobs(blobs: Path) -> Path | None:
    """The folder, unless its kernel is the placeholder that a machine is made with."""
    with (blobs / _kernel_name(blobs)).open("rb") as kernel:
        return None if kernel.read(len(_PLACEHOLDER)) == _PLACEHOLDER else blobs


@contextmanager
def _regular(output: Path) -> Iterator[Path]:
    """The output, or a file that is copied into it: into /dev/null, or where none can be beside it.

    The real one needs no more than to write the file.
    """
    if output.is_file() and os.access(output.resolve().parent, os.W_OK):
        yield output
        return
    with TemporaryDirectory(prefix="attested-kms-build-") as folder:
        file = Path(folder, "image.eif")
        yield file
        with file.open("rb") as source, output.open("wb") as target:
            shutil.copyfileobj(source, target)
