"""The parts of a machine that really boots: images of `nsm_fake.eif`, and the supervisor.

Imported when the first enclave is launched: nothing that only asks waits for it.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from nsm_fake.eif import Eif, EifBadSignature, EifError, check_before_boot, measurements
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
        boots images does.
        """
        try:
            eif = Eif.open(path)
            scan = eif.scan()
            eif.check_scanned_crc(scan)
            measured = measurements(eif, scan)
            metadata = eif.metadata()
        except EifError as error:
            raise UnreadableImage(str(error)) from error
        algorithm = HASH_ALGORITHMS.get(nitro_cli, HASH_ALGORITHMS[DEFAULT_VERSION])
        return Image(measured.as_hex(), algorithm, metadata)


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
    """Boot an image under the supervisor. Raises BootFailed, CannotSimulate."""
    try:
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
