"""A vsock port of the parent joined to a TCP address, as AWS's `vsock-proxy PORT HOST PORT` does.

Bytes only: what is said is not looked at, so that TLS goes through it end to end. The behaviour is
that of aws-nitro-enclaves-cli 1.5.0, vsock_proxy/src/proxy.rs (reported: read there), but for:

- the end of one direction, which vsock-proxy takes for the end of both: `HalfClose`;
- its four workers (`-w`): a fifth connection waits there, and is served at once here;
- its allowlist (/etc/nitro_enclaves/vsock-proxy.yaml), which is not asked here;
- addresses: it keeps a name's first one for as long as DNS says, here a name is asked for each
  connection and its addresses are tried in turn.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from simulator.parent_services.listener import Stop, listening
from simulator.parent_services.streams import End, HalfClose, Stopped, connected, join

_log = logging.getLogger(__name__)


class NoSuchHost(Exception):
    """No address is known for a host; the message is a sentence that says what to do."""


@contextmanager
def relaying(
    path: Path, host: str, port: int, *, half_close: HalfClose = HalfClose.PASSED_ON
) -> Iterator[None]:
    """Every connection to the Unix socket `path` has one of its own to TCP `host`, `port`.

    Where the target cannot be reached the client's connection is taken and then ends, and the log
    says why (vsock-proxy: "Could not connect to 192.0.2.1:443"). Raises CannotListen, and
    NoSuchHost where the name has no address at the start, at which vsock-proxy ends too.
    """
    _check_host(host, port)

    def serve(client: socket.socket, stop: Stop) -> None:
        try:
            with closing(reached(host, port, stop)) as target:
                join(End(client), End(target), stop, half_close)
        except Stopped:
            pass

    with listening(path, serve, f"relay-{path.stem}"):
        yield


def reached(host: str, port: int, stop: Stop) -> socket.socket:
    """A connection to the target; why there is none is logged. Raises OSError, Stopped."""
    try:
        return connected(host, port, stop)
    except OSError as error:
        _log.warning(
            "Could not connect to %s:%d (%s); the connection of the enclave's that asked for it "
            "is closed",
            host,
            port,
            error.strerror or error,
        )
        raise


def _check_host(host: str, port: int) -> None:
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError) as error:
        raise NoSuchHost(
            f"No address is known for {host}:{port} ({getattr(error, 'strerror', None) or error}); "
            "give a host that this machine can resolve, and a port up to 65535."
        ) from error
