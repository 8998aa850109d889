"""Port 9000 of the parent, at which init of a new enclave reports that it lives.

The rules of nitro-cli's enclave process (eif_loader/src/lib.rs and
src/enclave_proc/resource_manager.rs of aws-nitro-enclaves-cli 1.4.4, read and not run: inferred):
it is bound before the enclave starts, so that of two that start at once the second fails; one
connection is taken, from whichever enclave, and must say the byte 0xB7, which goes back.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator.interpose.places import HEARTBEAT, HEARTBEAT_BYTE, Places

_TIMEOUT, _RECEIVING = "VsockTimeoutError", "VsockReceivingError"


class PortTaken(Exception):
    """Somebody has bound vsock port 9000 of the parent: another enclave that starts, most often."""


class NoHeartbeat(Exception):
    """The enclave has not reported as it should. `error` is the name in `EifLoaderError`."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Waiting on enclave to boot failed with error {error}")
        self.error = error


class HeartbeatListener:
    """The parent's end of one boot; to be bound before it. A context manager."""

    def __init__(self, fabric: Path) -> None:
        self._places = Places(fabric, HEARTBEAT[0])
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def bind(self) -> None:
        """Take the port. Raises PortTaken, and OSError where the folder cannot be used."""
        try:
            self._places.bind(self._socket, HEARTBEAT[1])
        except FileExistsError:
            self._socket.close()
            raise PortTaken from None
        except OSError:
            self._socket.close()
            raise
        self._socket.listen()

    def wait(self, timeout: float | None = None, *, ended: int | None = None) -> None:
        """Take the heartbeat and answer it.

        A descriptor `ended` that becomes readable means that nobody will report any more: that is
        the real one's time-out, without the wait. Raises NoHeartbeat.
        """
        if self._socket.fileno() < 0:
            raise NoHeartbeat(_TIMEOUT)  # It was closed, and nobody can report any more.
        watched = [self._socket.fileno(), *([] if ended is None else [ended])]
        ready = select.select(watched, [], [], timeout)[0]
        if self._socket.fileno() not in ready:
            raise NoHeartbeat(_TIMEOUT)
        enclave, _ = self._socket.accept()
        with enclave:
            heartbeat = b""
            with suppress(ConnectionError):
                heartbeat = enclave.recv(1)
            if heartbeat != HEARTBEAT_BYTE:
                raise NoHeartbeat(_RECEIVING)
            try:
                enclave.send(HEARTBEAT_BYTE)
            except ConnectionError:
                raise NoHeartbeat(_RECEIVING) from None

    def close(self) -> None:
        """Let go of the port."""
        self._socket.close()
        self._places.clear()
