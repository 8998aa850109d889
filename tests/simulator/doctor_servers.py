"""Servers on loopback for doctor to ask."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from simulator.doctor.host import Host
from simulator.doctor.model import Check, Finding


def findings(checks: Sequence[Check], check_id: str, host: Host) -> list[Finding]:
    """What a check finds on a host."""
    return list(next(each for each in checks if each.id == check_id).probe(host))


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """The URL of a server that answers each connection with `raw`; b"" answers nothing, ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                if raw:
                    connection.recv(65536)
                    connection.sendall(raw)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """A server on loopback; its port is in `server_address`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Quiet(BaseHTTPRequestHandler):
    """Answers 404 to everything, and keeps no log."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name.
        pass


def url(server: ThreadingHTTPServer, scheme: str = "http", name: str = "127.0.0.1") -> str:
    """Of a server."""
    return f"{scheme}://{name}:{server.server_address[1]}"
