"""What a machine is put together from: how images are read, how they boot, whose NSM they get.

Protocols, so that the order of run-enclave is tested without an image and without a supervisor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from simulator.machine.heartbeat import HeartbeatListener

TIMED_OUT = "VsockTimeoutError"
"""Of `EifLoaderError`: no heartbeat came."""

Handle = Callable[[bytes], bytes]
"""An NSM: raw CBOR request to raw CBOR response."""


class BootFailed(Exception):
    """An enclave that sends no heartbeat; the message says why, `error` is nitro-cli's word."""

    def __init__(self, message: str, error: str = TIMED_OUT) -> None:
        super().__init__(message)
        self.error = error


class CannotSimulate(Exception):
    """What a real instance would do cannot be done here; a sentence says why and what to do."""


class BadImage(Exception):
    """An image that nitro-cli's check before the boot refuses.

    `real_text` is the reason in nitro-cli's words; `is_signature` tells a signature that is wrong
    from an image that cannot be read.
    """

    def __init__(self, message: str, *, real_text: str, is_signature: bool) -> None:
        super().__init__(message)
        self.real_text = real_text
        self.is_signature = is_signature


class UnreadableImage(Exception):
    """An image that cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an image once it is read."""

    pcrs: Mapping[str, str]
    """`PCR0`, `PCR1`, `PCR2`, and `PCR8` of a signed one, hexadecimal."""
    hash_algorithm: str
    """As that nitro-cli prints it."""
    metadata: Mapping[str, Any] | None
    """Of its metadata section."""
    not_described: str | None = None
    """Why nitro-cli cannot read what boots all the same, in its words."""


class ImageReader(Protocol):
    """How images are read."""

    def check(self, path: Path) -> None:
        """What run-enclave checks before it boots. Raises BadImage."""

    def read(self, path: Path, nitro_cli: str) -> Image:
        """Measure it, for a version of nitro-cli. Raises UnreadableImage."""


class Booted(Protocol):
    """An enclave that has been started."""

    @property
    def process_id(self) -> int:
        """Of the process whose end is the enclave's."""

    @property
    def ended(self) -> int:
        """A descriptor that is readable once the enclave has ended."""

    def wait_heartbeat(self, timeout: float) -> None:
        """Return when it has reported that it lives. Raises BootFailed, CannotSimulate.

        As soon as it has ended, though nitro-cli waits on.
        """

    def was_killed(self) -> bool:
        """Of one that has ended: whether its process was killed, and could tidy up nothing."""

    def close(self) -> None:
        """Switch it off if it runs, and let go of everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """What is to boot, and where."""

    eif: Path
    scratch: Path
    """A folder of its own, for its files; it does not exist yet."""
    fabric: Path
    cid: int
    handle: Handle
    debug: bool
    """Its console can be read, at CID 0 and port CID + 10000 of the fabric."""
    memory: int
    """In bytes."""
    heartbeat: HeartbeatListener
    """Bound: the enclave's init reports there."""


class Boot(Protocol):
    """How enclaves boot."""

    def __call__(self, request: BootRequest) -> Booted:
        """Start it. Raises BootFailed, and CannotSimulate where none can be started here."""


@dataclass(frozen=True, slots=True)
class Nsm:
    """The NSM of one enclave."""

    handle: Handle
    slot_uid: int | None
    """The number in its module id, where somebody else chose it."""
    close: Callable[[], None]


class NsmMaker(Protocol):
    """Whose NSM the enclaves of a machine get."""

    def __call__(self, slot_uid: int, image: Image, *, debug: bool) -> Nsm:
        """That of a new enclave. Raises CannotSimulate where none can be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a machine that are not its own."""

    images: ImageReader
    boot: Boot
    nsm: NsmMaker
