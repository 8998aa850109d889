"""The parts of a machine that really boots: images of `nsm_fake.eif`, and the supervisor.

Imported when the first enclave is launched: nothing that only asks waits for it.
"""

from __future__ import annotations

import datetime as dt
import platform
from pathlib import Path

from nsm_fake.eif import Eif, EifBadSignature, EifError, Reading, check_before_boot, measurements
from simulator.machine.boot import Booted as BootedEnclave
from simulator.machine.boot import BootFailed as NotBooted
from simulator.machine.boot import CannotBoot, boot
from simulator.machine.parts import (
    BadImage,
    Booted,
    BootFailed,
    BootRequest,
    CannotSimulate,
    Image,
    UnreadableImage,
)
from simulator.machine.requests import DEFAULT_VERSION
from simulator.nitro_cli.versions import HASH_ALGORITHMS

_ARM64 = ("aarch64", "arm64")


class Images:
    """Images as `nsm_fake.eif` reads them."""

    def check(self, path: Path) -> None:
        """What run-enclave checks before it boots. Raises BadImage."""
        try:
            check_before_boot(path, dt.datetime.now(dt.UTC))
        except EifError as error:
            raise BadImage(
                str(error),
                real_text=error.real_text or str(error),
                is_signature=isinstance(error, EifBadSignature),
            ) from error

    def read(self, path: Path, nitro_cli: str) -> Image:
        """Measure it, for a version of nitro-cli. Raises UnreadableImage.

        Also where its checksum is wrong: nitro-cli does not look, and it is `inferred` that what
        boots images does, as that what follows the last section does not matter to it.
        """
        try:
            eif = Eif.open(path, Reading.AS_BOOTED)
            scan = eif.scan()
            eif.check_scanned_crc(scan)
            measured = measurements(eif, scan)
            metadata = eif.metadata()
        except EifError as error:
            raise UnreadableImage(str(error)) from error
        algorithm = HASH_ALGORITHMS.get(nitro_cli, HASH_ALGORITHMS[DEFAULT_VERSION])
        return Image(measured.as_hex(), algorithm, metadata, _not_described(path))


def _not_described(path: Path) -> str | None:
    try:
        Eif.open(path, Reading.AS_NITRO_CLI)
    except EifError as error:
        return error.real_text or str(error)
    return None


class _Enclave:
    """An enclave under the supervisor."""

    def __init__(self, booted: BootedEnclave) -> None:
        self._booted = booted
        self.process_id = booted.process_id
        self.ended = booted.ended

    def wait_heartbeat(self, timeout: float) -> None:
        """Return when it has reported that it lives. Raises BootFailed, CannotSimulate."""
        try:
            self._booted.wait_heartbeat(timeout)
        except NotBooted as error:
            raise BootFailed(str(error), error.error) from error
        except CannotBoot as error:
            raise CannotSimulate(str(error)) from error

    def was_killed(self) -> bool:
        """Whether its process was killed, once it has ended."""
        return self._booted.was_killed()

    def close(self) -> None:
        """Switch it off."""
        self._booted.close()


def boot_image(request: BootRequest) -> Booted:
    """Boot an image under the supervisor. Raises BootFailed, CannotSimulate.

    One for another processor does not boot: it is unknown what a real instance makes of it, and
    the least wrong is that no heartbeat comes, for nitro-cli looks at no image's architecture.
    """
    try:
        is_arm64 = Eif.open(request.eif, Reading.AS_BOOTED).header.is_arm64
        if is_arm64 != (platform.machine() in _ARM64):
            raise BootFailed(
                f"the image is for {'arm64' if is_arm64 else 'x86_64'}, and this machine's "
                f"processor is {platform.machine()}"
            )
        booted = boot(
            request.eif,
            scratch=request.scratch,
            fabric=request.fabric,
            cid=request.cid,
            nsm_handle=request.handle,
            debug=request.debug,
            heartbeat=request.heartbeat,
            memory=request.memory,
        )
    except CannotBoot as error:
        raise CannotSimulate(str(error)) from error
    except EifError as error:
        raise BootFailed(str(error)) from error
    return _Enclave(booted)
