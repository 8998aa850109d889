"""Bytes from one connection to another and back, as `Proxy::sock_accept` relays them.

One thread, one buffer, and writes that wait. Two things follow that programs may run into. The end
of one side is the end of both, unless the other side has just said something; an answer that is
still to come is lost. And two sides that both write much and read nothing stop each other for good.
"""

from __future__ import annotations

import select
import socket

_BUFFER = 8192


def relay(client: socket.socket, server: socket.socket) -> None:
    """Relay until one of them ends."""
    poll = select.poll()
    for connection in (client, server):
        poll.register(connection, select.POLLIN)
    has_ended = False
    while not has_ended:
        ready = dict(poll.poll())
        # In this order, and the second may take back what the first found: as in the source.
        if client.fileno() in ready:
            has_ended = _transfer(client, server)
        if server.fileno() in ready:
            has_ended = _transfer(server, client)


def _transfer(source: socket.socket, target: socket.socket) -> bool:
    """Pass on what is there; whether there will be no more."""
    try:
        content = source.recv(_BUFFER)
        target.sendall(content)
    except OSError:
        return True
    return not content
