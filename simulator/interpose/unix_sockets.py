"""Unix sockets that stand for vsock ones: their state, and changes that their pollers see."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager


def status_flags(unix: socket.socket) -> int:
    """Those of the open file: O_NONBLOCK and others."""
    return fcntl.fcntl(unix.fileno(), fcntl.F_GETFL)


@contextmanager
def never_blocking(unix: socket.socket, flags: int) -> Iterator[None]:
    """The open file, which is the program's too and has `flags`, non-blocking meanwhile."""
    if flags & os.O_NONBLOCK:
        yield
        return
    fcntl.fcntl(unix.fileno(), fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        yield
    finally:
        fcntl.fcntl(unix.fileno(), fcntl.F_SETFL, flags)


@contextmanager
def woken(unix: socket.socket) -> Iterator[None]:
    """Afterwards tell pollers that a socket can be written to, or is reset.

    A Unix socket's own connect tells its pollers nothing. To set the size of its buffer, to what it
    is, does (`net/core/sock.c`, sk_setsockopt: SO_SNDBUF wakes writers); the kernel doubles it.
    """
    size = unix.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    yield
    unix.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size // 2)


def is_readable(unix: socket.socket) -> bool:
    """Whether a read or an accept would not block."""
    return bool(_events(unix))


def is_shut_down(unix: socket.socket) -> bool:
    """Whether nothing more will come."""
    return bool(_events(unix) & (select.POLLHUP | select.POLLRDHUP))


def _events(unix: socket.socket) -> int:
    poll = select.poll()
    poll.register(unix, select.POLLIN | select.POLLRDHUP)
    return sum(events for _, events in poll.poll(0))


def receive_timeout(unix: socket.socket) -> float:
    """SO_RCVTIMEO in seconds, which limits accept too; 0 for none."""
    timeval = struct.Struct("@ll")
    seconds, microseconds = timeval.unpack(
        unix.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval.size)
    )
    return float(seconds + microseconds / 1_000_000)
