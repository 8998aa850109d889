"""The proxy that listens: connections taken, their target resolved, workers that relay."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.interpose.places import PARENT_CID, Places
from simulator.nitro_cli.rust_text import quoted
from simulator.parent_services.listener import Stop
from simulator.vsock_proxy.allowlist import Target
from simulator.vsock_proxy.failure import Failed, Panic
from simulator.vsock_proxy.names import Address, Names, Resolved, shown
from simulator.vsock_proxy.relay import relay
from simulator.vsock_proxy.rust_log import Log
from simulator.vsock_proxy.workers import Workers

_TARGET = "vsock_proxy::proxy"
_BACKLOG = 128
_HINT = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"


@dataclass(slots=True)
class Panics:
    """What the threads' panics print; the hint comes once."""

    log: Log
    hint: str = _HINT

    def say(self, panic: Panic, thread: str) -> None:
        """Print one."""
        hint, self.hint = self.hint, ""
        self.log.write(f"thread '{thread}' panicked at {panic.place}:\n{panic}\n{hint}")


@dataclass(frozen=True, slots=True)
class Listener:
    """The socket in the fabric."""

    server: socket.socket
    places: Places

    def accept(self) -> tuple[socket.socket, str]:
        """The next connection, and who it is of. Raises OSError."""
        connection, name = self.server.accept()
        return connection, _shown(*self.places.address_of(name))


@contextmanager
def listening(fabric: Path, port: int, log: Log) -> Iterator[Listener]:
    """Listen at the port of CID 3; at the end the socket's file is gone. Raises Failed."""
    places = Places(fabric, PARENT_CID)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as server:
        try:
            places.bind(server, port)
            server.listen(_BACKLOG)
        except OSError as error:
            raise Failed(f"Could not bind to {_shown(PARENT_CID, port)}") from error
        log.inform(_TARGET, f"Bound to {_shown(PARENT_CID, port)}")
        try:
            yield Listener(server, places)
        finally:
            server.close()
            places.clear()


class Proxy:
    """Takes connections for one target."""

    def __init__(
        self,
        target: Target,
        workers: int,
        names: Names,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._workers = Workers(workers)
        self._names = names
        self._log = log
        self._panics = Panics(log)
        self._guard = threading.Lock()
        self._clock = clock
        self._known: Resolved | None = None
        self._known_until = 0.0

    def serve(self, listener: Listener, stop: Stop) -> None:
        """Take connections until told to stop. Raises Failed, which ends the real one too."""
        poll = select.poll()
        poll.register(stop, select.POLLIN)
        poll.register(listener.server, select.POLLIN)
        while stop.fileno() not in dict(poll.poll()):
            self._accept(listener)

    def _accept(self, listener: Listener) -> None:
        try:
            client, who = listener.accept()
        except OSError as error:
            raise Failed("Could not accept connection") from error
        self._log.inform(_TARGET, f"Accepted connection on {who}")
        try:
            address = self._resolved()
        except Failed:
            client.close()
            raise
        self._workers.execute(lambda: self._talk(client, who, address))

    def _resolved(self) -> Address:
        """The target's address, asked for again once the last answer has expired. Raises Failed."""
        if self._known is None or self._clock() > self._known_until:
            self._log.inform(_TARGET, f"Resolving hostname: {self._target.host}.")
            self._known = self._names.resolve(self._target.host, self._target.family)[0]
            self._known_until = self._clock() + self._known.seconds
            self._log.inform(
                _TARGET,
                f'Using IP "{self._known.address}" for the given server "{self._target.host}". '
                f"(TTL: {self._known.seconds} secs)",
            )
        return self._known.address

    def _talk(self, client: socket.socket, who: str, address: Address) -> None:
        target = shown(address, self._target.port)
        with closing(client):
            try:
                server = socket.create_connection((str(address), self._target.port))
            except OSError:
                why = quoted(f"Could not connect to {target}")
                panic = Panic(
                    "vsock_proxy/src/proxy.rs:174:14", f"Could not create connection: {why}"
                )
                with self._guard:
                    self._panics.say(panic, "<unnamed>")
                return
            with closing(server):
                self._log.inform(_TARGET, f"Connected client from {who} to {target}")
                relay(client, server)
        self._log.inform(_TARGET, f"Client on {who} disconnected")


def _shown(cid: int, port: int) -> str:
    return f"cid: {cid} port: {port}"
