"""An enclave's console: the output of its terminal, for those who ask for it in debug mode.

It is at vsock CID 0, port CID + 10000 (src/utils.rs of aws-nitro-enclaves-cli), here the socket
`0_<CID + 10000>.sock` of the fabric. Whoever connects gets what the enclave has written so far, as
far as it is kept, and then what it writes. How much a hypervisor keeps is not known; that it keeps
the first lines is: nitro-cli connects after the heartbeat and shows them (reported).

The end. A real console ends with ENOTCONN (E45) when its enclave does, and a Unix socket cannot do
that; but it is reset, and reads end with ECONNRESET, where bytes that the other end has sent stay
unread. So a client that wants to be told **sends one byte once it is connected**, which nobody
reads, and takes ECONNRESET for ENOTCONN. A client that sends nothing gets end of file. Either comes
after all output.

Output is not changed: the terminal adds no carriage returns, which a serial one does (inferred from
drivers/tty/tty_io.c). Nobody types: who reads the terminal waits for ever.
"""

from __future__ import annotations

import os
import select
import socket
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

from simulator.interpose.places import Places

_HYPERVISOR_CID = 0
"""VMADDR_CID_HYPERVISOR (`uapi/linux/vm_sockets.h`)."""
_PORT_OFFSET = 10_000
_KEPT = 1 << 20
_PIECE = 1 << 16
_FLUSH_SECONDS = 1.0
_OUTPUT_FLAGS = 1
"""The index of c_oflag in what the termios module gives."""


@dataclass(slots=True, eq=False)
class _Client:
    connection: socket.socket
    position: int = 0
    """How many bytes of all output it has got, or missed."""


class Console:
    """The console of the enclave with this CID. It ends with the enclave."""

    def __init__(self, fabric: Path, cid: int) -> None:
        self._places = Places(fabric, _HYPERVISOR_CID)
        self._port = cid + _PORT_OFFSET
        self._kept = bytearray()
        self._written = 0
        self._lock = Lock()
        self._clients: dict[int, _Client] = {}
        self._thread: Thread | None = None

    @property
    def output(self) -> bytes:
        """What the enclave has written, as far as it is kept."""
        with self._lock:
            return bytes(self._kept)

    def start(self, *, served: bool) -> int:
        """Make the terminal; returns the enclave's end of it, which is to be closed once it has it.

        Output is always taken. Only where it is `served` can anybody connect. Raises OSError, also
        where the socket cannot be made.
        """
        listener = self._listen() if served else None
        terminal, enclave_end = os.openpty()
        settings = termios.tcgetattr(enclave_end)
        settings[_OUTPUT_FLAGS] &= ~termios.ONLCR
        termios.tcsetattr(enclave_end, termios.TCSANOW, settings)
        self._thread = Thread(
            target=self._serve, args=(terminal, listener), name="console", daemon=True
        )
        self._thread.start()
        return enclave_end

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._places.bind(listener, self._port)
        except OSError:
            listener.close()
            raise
        listener.listen()
        listener.setblocking(False)
        return listener

    def join(self, timeout: float | None = None) -> None:
        """Wait until the enclave has ended and its output has been given out."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _serve(self, terminal: int, listener: socket.socket | None) -> None:
        poll = select.poll()
        poll.register(terminal, select.POLLIN)
        if listener is not None:
            poll.register(listener, select.POLLIN)
        try:
            while self._step(poll, terminal, listener):
                pass
        finally:
            os.close(terminal)
            if listener is not None:
                while self._take_client(listener):  # Whoever came at the last moment.
                    pass
                listener.close()
                self._places.clear()
            self._finish()

    def _step(self, poll: select.poll, terminal: int, listener: socket.socket | None) -> bool:
        """Wait for something and do it; False once nobody has the enclave's end any more."""
        for descriptor, events in poll.poll():
            if descriptor == terminal:
                try:
                    self._keep(os.read(terminal, _PIECE))
                except OSError:  # EIO.
                    return False
            elif listener is not None and descriptor == listener.fileno():
                self._take_client(listener)
            elif events & ~select.POLLOUT or not self._give(self._clients[descriptor]):
                poll.unregister(descriptor)
                self._clients.pop(descriptor).connection.close()
        for descriptor, client in self._clients.items():
            behind = select.POLLOUT if client.position < self._written else 0
            poll.register(descriptor, behind)  # A hang-up is told unasked.
        return True

    def _keep(self, output: bytes) -> None:
        with self._lock:
            self._kept += output
            self._written += len(output)
            del self._kept[:-_KEPT]

    def _take_client(self, listener: socket.socket) -> bool:
        try:
            connection, _ = listener.accept()
        except OSError:  # There is none, or there are too many.
            return False
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        return True

    def _give(self, client: _Client) -> bool:
        """Send it what it has not got; False where it has gone."""
        first = self._written - len(self._kept)
        position = max(client.position, first)
        piece = self._kept[position - first : position - first + _PIECE]
        try:
            client.position = position + client.connection.send(piece)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _finish(self) -> None:
        """Give out the rest, to who takes it, and end the connections."""
        deadline = time.monotonic() + _FLUSH_SECONDS
        behind = {*self._clients.values()}
        while behind and (left := deadline - time.monotonic()) > 0:
            waiting = [client.connection for client in behind]
            ready = select.select([], waiting, [], left)[1]
            for client in [client for client in behind if client.connection in ready]:
                if not self._give(client) or client.position == self._written:
                    behind.discard(client)
        for client in self._clients.values():
            client.connection.close()
        self._clients.clear()
