"""What the tests of the parent's services share: short paths, rude clients, a bridge from TCP."""

from __future__ import annotations

import os
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMEOUT = 20.0
"""Of a client that would wait for ever if something were wrong."""


@contextmanager
def nothing_left() -> Iterator[None]:
    """Inside, threads and descriptors may come; in the end all of them are gone."""
    # The threads and not their number: one of an earlier test may end meanwhile.
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    yield
    assert set(threading.enumerate()) <= threads
    assert open_descriptors() <= descriptors


def open_descriptors() -> set[str]:
    """The sockets that this process has open, or nothing where the system does not say."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return set()
    found = set()
    for name in os.listdir(folder):  # noqa: PTH208  # The folder's own descriptor is in it too.
        try:
            target = (folder / name).readlink()
        except FileNotFoundError:
            continue
        if str(target).startswith("socket:"):
            found.add(f"{name}:{target}")
    return found


def unix_client(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(TIMEOUT)
    client.connect(str(path))
    return client


def read_all(client: socket.socket) -> bytes:
    """Everything until the other side ends."""
    content = b""
    while part := client.recv(65536):
        content += part
    return content


def has_ended(client: socket.socket) -> bool:
    """Whether the other side has ended and said nothing before."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


class _Bridge(socketserver.ThreadingTCPServer):
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True


@contextmanager
def bridge(path: Path, *, connect: bool = False) -> Iterator[str]:
    """A TCP address, `127.0.0.1:PORT`, whose connections go to the Unix socket `path`.

    With `connect` it is an HTTP proxy that takes CONNECT, to whatever name. Clients must have
    closed their connections before the end.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if connect:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += self.request.recv(1)
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with unix_client(path) as far:
                carry(self.request, far)

    with _Bridge(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def carry(near: socket.socket, far: socket.socket) -> None:
    """Both directions, until one of them ends."""
    to = {near: far, far: near}
    while True:
        for source in select.select(list(to), [], [])[0]:
            try:
                part = source.recv(65536)
            except ConnectionResetError:
                return
            if not part:
                return
            to[source].sendall(part)
