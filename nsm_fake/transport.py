"""An NSM behind a Unix stream socket, for programs in another process.

Each message is four bytes of big-endian length and one raw CBOR request; the answer likewise. One
connection carries any number of exchanges, one after another. This framing is the project's own
(`nsm.sock` of the fabric); the real device has an ioctl. Works wherever Python has Unix sockets.
"""

import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from nsm_fake.codec import Refusal, encode_response
from nsm_fake.errors import ErrorCode

_log = logging.getLogger(__name__)

MESSAGE_MAX = 64 * 1024
"""The longest message that is read at all, in bytes. The NSM refuses everything over 4096 with
InputTooLarge; a connection that announces more than this is closed, since its end is far away."""
PATH_MAX = 103
"""Bytes in a socket's path: macOS has 104 with the terminating zero, Linux 108."""
_LENGTH_BYTES = 4
_ACCEPT_RETRY_SECONDS = 0.1


class NsmSocketServer:
    """Serve `handle` (request bytes to response bytes, thread-safe) at the socket `path`.

    A context manager: the socket exists within it, and all connections end with it. Every
    connection has a thread of its own, so that a silent one holds up nobody. If `handle` raises,
    the answer is InternalError and the log says why.

    Raises ValueError if `path` is too long for a socket, and OSError (on entering) if it cannot
    be bound, for example because it exists.
    """

    def __init__(self, handle: Callable[[bytes], bytes], path: Path | str) -> None:
        length = len(os.fsencode(path))
        if length > PATH_MAX:
            raise ValueError(
                f"The socket path {os.fspath(path)!r} has {length} bytes, and {PATH_MAX} are the "
                "most that every system takes (macOS: 104 with a terminating zero); use a folder "
                "with a shorter name."
            )
        self.path = Path(path)
        self._handle = handle
        self._guard = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self._closing.clear()
        self._listener = _listen(self.path)
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept_all, name="nsm-accept", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        # Closing a socket wakes no thread that waits for it, on any system; a byte does.
        self._wake_writer.send(b"\0")
        self._acceptor.join()
        for ended in (self._listener, self._wake_reader, self._wake_writer):
            ended.close()
        self.path.unlink(missing_ok=True)
        with self._guard:
            still_open = dict(self._connections)
        for connection, thread in still_open.items():
            _shut_down(connection)
            thread.join()

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                if not self._closing.is_set():
                    self._accept_one()

    def _accept_one(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return  # The client went away between the selector's word and now.
        except OSError:
            # Too many open files, most likely: the clients that hold them will end.
            _log.exception("The NSM at %s cannot take a connection; it tries again", self.path)
            self._closing.wait(_ACCEPT_RETRY_SECONDS)
            return
        connection.setblocking(True)  # BSD sockets inherit the listener's mode.
        thread = threading.Thread(
            target=self._serve, args=(connection,), name="nsm-connection", daemon=True
        )
        with self._guard:
            self._connections[connection] = thread
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while (request := _receive(connection)) is not None:
                response = self._respond(request)
                connection.sendall(len(response).to_bytes(_LENGTH_BYTES) + response)
        except ConnectionError as error:
            _log.debug("A client of the NSM at %s went away: %s", self.path, error)
        finally:
            with self._guard:
                del self._connections[connection]
            connection.close()

    def _respond(self, request: bytes) -> bytes:
        try:
            return self._handle(request)
        except Exception:  # noqa: BLE001  (logged; the client must get an answer)
            _log.exception("The NSM at %s failed; its client is told InternalError", self.path)
            return encode_response(Refusal(ErrorCode.INTERNAL_ERROR))


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno,
            f"{error.strerror}; the NSM cannot listen there: give a path in a folder that exists, "
            "at which nothing is yet",
            os.fspath(path),
        ) from error
    return listener


def _receive(connection: socket.socket) -> bytes | None:
    """The next message, or None if the connection ends, or announces too long a one."""
    head = _read_exactly(connection, _LENGTH_BYTES)
    if head is None:
        return None
    length = int.from_bytes(head)
    if length > MESSAGE_MAX:
        _log.warning(
            "A client announced an NSM request of %d bytes and was cut off; the NSM reads %d, and "
            "messages are framed by their length in four big-endian bytes",
            length,
            MESSAGE_MAX,
        )
        return None
    return _read_exactly(connection, length)


def _read_exactly(connection: socket.socket, length: int) -> bytes | None:
    """`length` bytes, or None if the connection ends before."""
    content = bytearray()
    while len(content) < length:
        received = connection.recv(length - len(content))
        if not received:
            return None
        content += received
    return bytes(content)


def _shut_down(connection: socket.socket) -> None:
    """Wake the thread that reads from `connection`."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        # Its thread closed it in the meantime, or the client did.
        _log.debug("A connection had ended already: %s", error)
