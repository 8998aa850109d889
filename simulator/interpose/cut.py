"""Connections that break on purpose, and the one that nobody takes."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from threading import Thread

_CHUNK = 64 * 1024


def reset_by_nobody(unix: socket.socket) -> None:
    """Make a socket one whose connection was reset: SO_ERROR says ECONNRESET, pollers wake.

    It is connected to a listener that is closed before it takes the connection; the kernel does
    the rest. For a non-blocking socket this is how a refusal arrives.
    """
    with _private_listener(unix.type) as listener:
        unix.connect(listener.getsockname())


def cut_connection(
    unix: socket.socket, beyond: socket.socket, path: str, limit: int | None
) -> None:
    """Connect `unix` to `path`, through a relay over `beyond` that ends it after `limit` bytes.

    None: it is reset at once. Bytes of both directions count. `beyond` is closed in the end.
    Raises OSError where nobody listens.
    """
    try:
        beyond.setblocking(False)
        beyond.connect(path)
        if limit is None:
            reset_by_nobody(unix)
            beyond.close()
            return
        with _private_listener(unix.type) as listener:
            unix.connect(listener.getsockname())
            near, _ = listener.accept()
    except OSError:
        beyond.close()
        raise
    beyond.setblocking(True)
    Thread(target=_relay, args=(near, beyond, limit), name="cut", daemon=True).start()


def _private_listener(kind: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind("")  # The kernel chooses an abstract name (unix(7)).
    listener.listen(1)
    return listener


def _relay(near: socket.socket, beyond: socket.socket, limit: int) -> None:
    others = {near: beyond, beyond: near}
    with near, beyond, selectors.DefaultSelector() as selector, suppress(OSError):
        for end in others:
            selector.register(end, selectors.EVENT_READ)
        while limit > 0 and selector.get_map():
            for key, _events in selector.select():
                end = near if key.fileobj is near else beyond
                content = end.recv(min(_CHUNK, limit))
                limit -= len(content)
                if content:
                    others[end].sendall(content)
                else:
                    selector.unregister(end)
                    others[end].shutdown(socket.SHUT_WR)
