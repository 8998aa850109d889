"""Two connections joined: what comes from one goes to the other, on one thread, without waiting.

Each connection may speak another language on the wire (`Codec`): plain bytes, or TLS
(`simulator.parent_services.kms_tls`). Here is only when bytes are read, kept and written, and what
happens at an end.
"""

from __future__ import annotations

import enum
import errno
import os
import select
import socket
from collections.abc import Callable
from typing import Protocol

from simulator.parent_services.listener import Stop

_CHUNK = 64 * 1024
# No more than this waits for a slow reader; then the other side is not read either.
_MOST_UNSENT = 256 * 1024
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_WRITABLE = select.POLLOUT | select.POLLHUP | select.POLLERR


class Stopped(Exception):
    """The service ends, and with it what waited."""


class HalfClose(enum.Enum):
    """What it means that one side has said its last."""

    PASSED_ON = "passed on"
    """The other side is told, and may still answer."""
    ENDS = "ends"
    """Both connections end at once, as vsock-proxy 1.5.0 does it (reported: `Proxy::sock_accept` in
    aws-nitro-enclaves-cli, vsock_proxy/src/proxy.rs): an answer still to come is lost."""


class Codec(Protocol):
    """The language of one connection. A method may raise OSError, after which nothing follows."""

    def decode(self, wire: bytes) -> bytes:
        """What the peer says by these bytes; empty bytes are the end of its stream."""
        ...

    def encode(self, content: bytes) -> None:
        """Say this to the peer."""
        ...

    def end(self) -> None:
        """Say that nothing follows."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the peer has said its last."""
        ...

    def to_send(self) -> bytes:
        """The bytes for the wire that came up since this was last asked."""
        ...


class Plain:
    """Bytes as they are."""

    def __init__(self) -> None:
        self._to_send = bytearray()
        self._has_ended = False

    def decode(self, wire: bytes) -> bytes:
        """The same bytes."""
        self._has_ended = not wire
        return wire

    def encode(self, content: bytes) -> None:
        """The same bytes."""
        self._to_send += content

    def end(self) -> None:
        """Nothing: that the stream ends says it."""

    @property
    def has_ended(self) -> bool:
        """Whether the stream ended."""
        return self._has_ended

    def to_send(self) -> bytes:
        """What was encoded."""
        content = bytes(self._to_send)
        self._to_send.clear()
        return content


class End:
    """One of two joined connections. The socket stays the caller's, who closes it."""

    def __init__(self, connection: socket.socket, codec: Codec | None = None) -> None:
        connection.setblocking(False)
        self.connection = connection
        self._codec = codec or Plain()
        self._unsent = bytearray()
        self._reading = True
        self._closing = False
        self._shut = False

    @property
    def done(self) -> bool:
        """Whether nothing comes from it and nothing goes to it any more."""
        return not self._reading and self._shut

    @property
    def is_full(self) -> bool:
        """Whether enough waits to be sent to it."""
        return len(self._unsent) >= _MOST_UNSENT

    def interest(self, other: End) -> int:
        """The events of poll(2) to wait for."""
        reads = select.POLLIN if self._reading and not other.is_full else 0
        return reads | (select.POLLOUT if self._unsent else 0)

    def receive(self) -> bytes:
        """What has come, perhaps nothing. Raises OSError."""
        try:
            wire = self.connection.recv(_CHUNK)
        except BlockingIOError:
            return b""
        try:
            content = self._codec.decode(wire)
        finally:
            self._take_over()  # A complaint to the peer, should it have failed.
        self._reading = bool(wire) and not self._codec.has_ended
        return content

    @property
    def has_ended(self) -> bool:
        """Whether nothing comes from it any more."""
        return not self._reading

    def send(self, content: bytes) -> None:
        """Send this as soon as it can be sent. Raises OSError."""
        if content and not self._closing:
            self._codec.encode(content)
            self._take_over()

    def close(self) -> None:
        """Say that nothing follows, after what is still to be sent. Raises OSError."""
        if not self._closing:
            self._codec.end()
            self._take_over()
            self._closing = True
            self.flush()

    def stop_reading(self) -> None:
        """Listen to it no longer."""
        self._reading = False

    def flush(self) -> None:
        """Send what can be sent now. Raises OSError."""
        if self._unsent:
            try:
                sent = self.connection.send(self._unsent)
            except BlockingIOError:
                return
            del self._unsent[:sent]
        if self._closing and not self._unsent and not self._shut:
            self._shut = True
            self.connection.shutdown(socket.SHUT_WR)

    def _take_over(self) -> None:
        self._unsent += self._codec.to_send()
        self.flush()


def join(first: End, second: End, stop: Stop, half_close: HalfClose) -> None:
    """Pass on what each says to the other until both have ended. Raises OSError, Stopped."""
    pairs = ((first, second), (second, first))
    while not (first.done and second.done):
        events = _poll(pairs, stop)
        if stop.fileno() in events:
            raise Stopped
        for end, other in pairs:
            happened = events.get(end.connection.fileno(), 0)
            if happened & _WRITABLE:
                end.flush()
            if happened & _READABLE and end.interest(other) & select.POLLIN:
                other.send(end.receive())
                if end.has_ended:
                    _pass_on_end(end, other, half_close)


def negotiate(end: End, is_over: Callable[[], bool], stop: Stop) -> bytes:
    """Let the codec of `end` talk with its peer until `is_over`, or until the peer has ended.

    Returns what the peer said already. What has come is heard even where the service ends, since
    it may say why the peer breaks off. Raises OSError, Stopped.
    """
    said = b""
    while not is_over() and not end.has_ended:
        events = _poll(((end, end),), stop)
        happened = events.get(end.connection.fileno(), 0)
        if stop.fileno() in events and not happened & _READABLE:
            raise Stopped
        if happened & _WRITABLE:
            end.flush()
        if happened & _READABLE:
            said += end.receive()
    return said


def _pass_on_end(end: End, other: End, half_close: HalfClose) -> None:
    other.close()
    if half_close is HalfClose.ENDS:
        other.stop_reading()
        end.close()


def _poll(pairs: tuple[tuple[End, End], ...], stop: Stop) -> dict[int, int]:
    poll = select.poll()
    poll.register(stop, select.POLLIN)
    for end, other in pairs:
        interest = end.interest(other)
        if interest:
            poll.register(end.connection, interest)
    return dict(poll.poll())


def connected(host: str, port: int, stop: Stop) -> socket.socket:
    """A TCP connection to the first address of `host` that takes one. Raises OSError, Stopped."""
    failure = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        connection = socket.socket(family, kind, protocol)
        try:
            _connect(connection, address, stop)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


def _connect(connection: socket.socket, address: object, stop: Stop) -> None:
    connection.setblocking(False)
    # What is passed on was one write of the client's: it is not kept to be sent with more.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error = connection.connect_ex(address)  # type: ignore[arg-type]  # As getaddrinfo gives it.
    if error == errno.EINPROGRESS:
        poll = select.poll()
        poll.register(stop, select.POLLIN)
        poll.register(connection, select.POLLOUT)
        if stop.fileno() in dict(poll.poll()):
            raise Stopped
        error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
