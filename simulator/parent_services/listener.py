"""A Unix stream socket whose connections each have a thread, until all of them are told to stop.

What the services of the parent have in common. The address is one of the fabric: at most one
program listens there.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from scenarios.workload.transport import SOCKET_PATH_MAX_BYTES

_log = logging.getLogger(__name__)
_ACCEPT_RETRY_SECONDS = 0.1


class CannotListen(Exception):
    """Why a service cannot stand at its address and what to do, in a sentence."""


class Stop:
    """Told once, heard by every thread: a descriptor that becomes readable and stays so."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()

    def fileno(self) -> int:
        """The descriptor to wait for, beside others."""
        return self._reader.fileno()

    def tell(self) -> None:
        """Tell all threads."""
        # The end of the stream, since it can be read any number of times.
        self._writer.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the descriptors, when no thread waits any more."""
        self._reader.close()
        self._writer.close()


Serve = Callable[[socket.socket, Stop], None]
"""Talks on one connection until it or the service ends; the listener closes it. An OSError ends the
connection. At the end of the service its reads and writes end too."""


@contextmanager
def listening(path: Path, serve: Serve, name: str) -> Iterator[None]:
    """Every connection to `path` is given to `serve`, on a thread of its own.

    The file of a process that was killed is replaced. At the end the file is gone and every thread
    has ended. Raises CannotListen.
    """
    server = _bound(path)
    stop = Stop()
    connections = _Connections(serve, stop, name)
    acceptor = threading.Thread(
        target=_accept_all, args=(server, stop, connections), name=f"{name}-accept", daemon=True
    )
    acceptor.start()
    try:
        yield
    finally:
        stop.tell()
        acceptor.join()
        # The file goes first: once the socket is closed, another process may bind the same path.
        path.unlink(missing_ok=True)
        server.close()
        connections.end()
        stop.close()


class _Connections:
    """The open connections and their threads."""

    def __init__(self, serve: Serve, stop: Stop, name: str) -> None:
        self._serve = serve
        self._stop = stop
        self._name = name
        self._guard = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._ending: list[threading.Thread] = []

    def add(self, connection: socket.socket) -> None:
        """Serve it on a thread."""
        with self._guard:
            ending, self._ending = self._ending, []
        for thread in ending:
            thread.join()
        thread = threading.Thread(
            target=self._talk, args=(connection,), name=self._name, daemon=True
        )
        with self._guard:
            self._open[thread] = connection
        thread.start()

    def end(self) -> None:
        """Wake every thread and wait for it; nothing is added any more."""
        with self._guard:
            # Under the guard, so that no descriptor is closed and another one opened as its number.
            for connection in self._open.values():
                with suppress(OSError):  # Its client is gone.
                    connection.shutdown(socket.SHUT_RDWR)
            threads = [*self._open, *self._ending]
        for thread in threads:
            thread.join()

    def _talk(self, connection: socket.socket) -> None:
        try:
            self._serve(connection, self._stop)
        except OSError as error:
            _log.debug("A connection of %s ended: %s", self._name, error)
        finally:
            with self._guard:
                # A thread that is done is not over yet: somebody still waits for its end.
                self._ending.append(threading.current_thread())
                del self._open[threading.current_thread()]
            connection.close()


def _accept_all(server: socket.socket, stop: Stop, connections: _Connections) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        told = selector.register(stop, selectors.EVENT_READ)
        while all(key != told for key, _ in selector.select()):
            try:
                connection, _ = server.accept()
            except BlockingIOError:
                continue  # The client went away between the selector's word and now.
            except OSError:
                # Too many open files, most likely: the clients that hold them will end.
                _log.exception("A connection cannot be taken at %s", server.getsockname())
                selector.unregister(server)
                selector.select(_ACCEPT_RETRY_SECONDS)
                selector.register(server, selectors.EVENT_READ)
                continue
            connection.setblocking(True)  # BSD sockets inherit the listener's mode.
            connections.add(connection)


def _bound(path: Path) -> socket.socket:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MAX_BYTES:
        raise CannotListen(
            f"The socket path {path} has {length} bytes, and a Unix socket takes "
            f"{SOCKET_PATH_MAX_BYTES}; use a folder with a shorter path."
        )
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(server, path)
        server.listen(socket.SOMAXCONN)
        server.setblocking(False)
    except OSError as error:
        server.close()
        raise CannotListen(_why(path, error)) from error
    return server


def _bind(server: socket.socket, path: Path) -> None:
    try:
        server.bind(os.fspath(path))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _is_abandoned(path):
            raise
        # Only one program listens at an address of the fabric, so nobody binds it in between.
        path.unlink(missing_ok=True)
        server.bind(os.fspath(path))


def _is_abandoned(path: Path) -> bool:
    """Whether `path` is the socket of a process that was killed before it could remove it."""
    if not path.is_socket():
        return False
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        # A listener whose queue is full must not hold us up; it lives.
        probe.setblocking(False)
        return probe.connect_ex(os.fspath(path)) == errno.ECONNREFUSED


def _why(path: Path, error: OSError) -> str:
    if error.errno != errno.EADDRINUSE:
        return f"Nothing can listen at {path} ({error.strerror}); its folder must exist."
    if path.is_socket():
        return f"Another program listens at {path}; end it, or choose another port."
    return f"{path} exists and is no socket; remove it, or use another folder."
