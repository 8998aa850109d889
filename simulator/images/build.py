"""Making an enclave image of a container image, as `nitro-cli build-enclave` does."""

from __future__ import annotations

import importlib.metadata
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from nsm_fake.eif import Measurements, Signer, identity, replacing, write_eif
from simulator.images.blobs import blobs_in, placeholders
from simulator.images.errors import BadImage
from simulator.images.image import ContainerImage
from simulator.images.ramdisks import write_application, write_bootstrap

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Builder:
    """Who the metadata say has built an image."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What was built."""

    measurements: Measurements
    is_hardware: bool
    """Whether kernel and init are real, so that the file has these PCRs on hardware too."""


def build_eif(  # noqa: PLR0913  # What metadata tell of an image are many things.
    image: ContainerImage,
    output: Path,
    *,
    builder: Builder | None = None,
    blobs: Path | None = None,
    name: str | None = None,
    version: str | None = None,
    metadata: Any = None,
    signer: Signer | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> BuildResult:
    """Write the enclave image; nothing is at `output` unless all of it is.

    By default it is named for the image, and has its digest for a version. When it was built stands
    in the metadata, which no PCR measures: the same image always has the same PCRs. Raises
    BadImage, EifError, and OSError where the file cannot be written.
    """
    if output.exists() and not output.is_file():
        raise BadImage(f"{output} is no regular file, so no image can be written to it")
    builder = builder or Builder("attested-kms", importlib.metadata.version("attested-kms"))
    command = image.config.command
    architecture = image.config.architecture
    parts = placeholders(architecture) if blobs is None else blobs_in(blobs, architecture)
    progress(f"packing {image.source}, which runs {' '.join(command) or 'sh'}")
    beside = output.resolve()
    with ExitStack() as stack:
        # Beside the image, for where it goes there is room for it.
        bootstrap, application = (
            stack.enter_context(
                tempfile.NamedTemporaryFile(dir=beside.parent, prefix=f".{beside.name}.")
            )
            for _ in range(2)
        )
        _filled(bootstrap, lambda file: write_bootstrap(file, parts))
        _filled(application, lambda file: write_application(file, image))
        progress(f"measuring and writing {output}")
        with replacing(output) as file:
            measurements = write_eif(
                file,
                kernel=parts.kernel,
                cmdline=parts.cmdline.encode(),
                ramdisks=[Path(bootstrap.name), Path(application.name)],
                metadata=identity(
                    name=_name(image) if name is None else name,
                    version=image.identifier.removeprefix("sha256:")
                    if version is None
                    else version,
                    build_time=_now(),
                    build_tool=builder.name,
                    build_tool_version=builder.version,
                    operating_system=parts.operating_system,
                    kernel_version=parts.kernel_version,
                    docker_info=_docker_info(image),
                    custom=metadata,
                ),
                arm64=architecture == "arm64",
                signer=signer,
            )
    return BuildResult(measurements, parts.are_real)


def _filled(file: IO[bytes], write: Callable[[BinaryIO], None]) -> None:
    with Path(file.name).open("wb") as buffered:
        write(buffered)


def _name(image: ContainerImage) -> str:
    """The image's name up to its first colon, as nitro-cli cuts it off."""
    if image.names:
        return image.names[0].partition(":")[0]
    return Path(image.source).resolve().name


def _digest(image: ContainerImage) -> str:
    return image.identifier.removeprefix("sha256:")


def _now() -> str:
    """As Rust's chrono writes it."""
    seconds, nanoseconds = divmod(time.time_ns(), _NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}+00:00"


def _docker_info(image: ContainerImage) -> dict[str, Any]:
    """What an engine's `inspect` would say of the image, in its names."""
    config = image.config
    return {
        "Id": image.identifier,
        "RepoTags": list(image.names),
        "Architecture": config.architecture,
        "Os": config.os,
        "Config": config.document()["config"],
    }
