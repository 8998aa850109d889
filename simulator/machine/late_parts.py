"""The parts of a machine that really boots, imported only once an image is to be read.

A broker that is only asked what there is starts as quickly as the standard library.
"""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path

from simulator.machine.configuration import Configuration
from simulator.machine.parts import (
    Booted,
    BootRequest,
    Image,
    ImageReader,
    Nsm,
    NsmMaker,
    Parts,
)

_log = logging.getLogger(__name__)


class _Late:
    """All three at once."""

    def __init__(self, folder: Path, configuration: Configuration) -> None:
        self._folder = folder
        self._configuration = configuration

    @cached_property
    def images(self) -> ImageReader:
        from simulator.machine.real_parts import Images

        return Images()

    @cached_property
    def nsm(self) -> NsmMaker:
        from simulator.machine.pki import JoinedNsm, OwnNsm

        if self._configuration.join is not None:
            return JoinedNsm(self._configuration, _log.warning)
        return OwnNsm(self._folder, self._configuration)


def late_parts(folder: Path, configuration: Configuration) -> Parts:
    """Those of a machine."""
    late = _Late(folder, configuration)
    return Parts(images=_LateImages(late), boot=_boot, nsm=_LateNsm(late))


def warm() -> None:
    """Import them now: the first enclave boots as quickly as the others."""
    import simulator.machine.pki
    import simulator.machine.real_parts  # noqa: F401  # For who asks next.


class _LateImages:
    def __init__(self, late: _Late) -> None:
        self._late = late

    def check(self, path: Path) -> None:
        self._late.images.check(path)

    def read(self, path: Path, nitro_cli: str) -> Image:
        return self._late.images.read(path, nitro_cli)


class _LateNsm:
    def __init__(self, late: _Late) -> None:
        self._late = late

    def __call__(self, slot_uid: int, image: Image, *, debug: bool) -> Nsm:
        return self._late.nsm(slot_uid, image, debug=debug)


def _boot(request: BootRequest) -> Booted:
    from simulator.machine.real_parts import boot_image

    return boot_image(request)
