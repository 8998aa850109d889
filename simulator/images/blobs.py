"""What of an enclave image is not the application's: kernel, its command line, init and nsm.ko.

nitro-cli brings these files (`/usr/share/nitro_enclaves/blobs`, of the package
aws-nitro-enclaves-cli-devel). Where they are not given, short texts stand in their place that say
what they are; the measurements are then those of no enclave on hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nsm_fake.eif import EifUnwritable, kernel_identity
from simulator.images.errors import BadImage
from simulator.placeholders import KERNEL_NAMES, MARK, placeholder_files

_LARGEST_CMDLINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Blobs:
    """The parts that every image of one nitro-cli shares."""

    kernel: bytes | Path
    cmdline: str
    init: bytes | Path
    nsm_ko: bytes | Path
    operating_system: str
    kernel_version: str
    are_real: bool
    """Whether no part is a placeholder. That the files are nitro-cli's is not checked."""


def placeholders(architecture: str) -> Blobs:
    """Parts that stand in the place of nitro-cli's."""
    files = placeholder_files(architecture)
    kernel = KERNEL_NAMES[architecture]
    system, version = kernel_identity(files[f"{kernel}.config"].decode())
    return Blobs(
        kernel=files[kernel],
        cmdline=files["cmdline"].decode().strip(),
        init=files["init"],
        nsm_ko=files["nsm.ko"],
        operating_system=system,
        kernel_version=version,
        are_real=False,
    )


def blobs_in(folder: Path, architecture: str) -> Blobs:
    """The parts in a folder like nitro-cli's; each must be there."""
    name = KERNEL_NAMES[architecture]
    kernel, init, nsm_ko = (folder / part for part in (name, "init", "nsm.ko"))
    starts = [_start(path) for path in (kernel, init, nsm_ko)]
    config = _text(folder / f"{name}.config")
    try:
        system, version = kernel_identity(config)
    except EifUnwritable as error:
        raise BadImage(f"{folder / name}.config: {error}") from error
    return Blobs(
        kernel=kernel,
        cmdline=_text(folder / "cmdline", _LARGEST_CMDLINE).strip(),
        init=init,
        nsm_ko=nsm_ko,
        operating_system=system,
        kernel_version=version,
        are_real=not any(start == MARK for start in starts),
    )


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(MARK))
    except OSError as error:
        raise _missing(path, error) from error


def _text(path: Path, largest: int = 16 * 1024 * 1024) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise _missing(path, error) from error
    if len(data) > largest:
        raise BadImage(f"{path} has more than {largest} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadImage(f"{path} is not text in UTF-8") from error


def _missing(path: Path, error: OSError) -> BadImage:
    return BadImage(
        f"cannot read {path}: {error.strerror or error}. The blobs are nitro-cli's: the folder "
        "/usr/share/nitro_enclaves/blobs of the package aws-nitro-enclaves-cli-devel, or `blobs/` "
        "of its repository for one architecture"
    )
