"""The dialler: dials vsock for a program that has no vsock of its own, one request after another.

Requests come as lines of JSON on standard input, answers go as lines to standard output; it says
`ready` first, and ends where its input ends. A request is {"cid": 16, "port": 5000} and an "id",
which its answer has too, with either
"frame", the base64 of a whole frame (`frames`), answered by the frame that comes back, or "line",
the base64 of bytes without their end of line, answered by the line that comes back. "patience" is
for how many seconds to dial anew until somebody listens (0), "seconds" how long the answer may take
(60). An answer is {"frame": ...} or {"line": ...} in base64, or {"error": a sentence}. What is sent
is not known here.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from scenarios.workload import frames, service, transport

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

CONNECT_SECONDS = 10.0
PAUSE_SECONDS = 0.05
MAX_LINE_BYTES = frames.MAX_BODY_BYTES


class BadRequest(Exception):
    """What is wrong with a request, in a sentence."""


def answer(line: str) -> dict[str, Any]:
    """The answer to one request."""
    request: object = None
    try:
        request = json.loads(line)
        told = _answer(request)
    except (BadRequest, transport.TransportError) as error:
        told = {"error": str(error)}
    except OSError as error:
        told = {"error": f"the connection broke: {error}"}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        told = {"error": f"the request is none: {error!r}"}
    return told | {"id": request.get("id") if isinstance(request, dict) else None}


def _answer(request: Any) -> dict[str, Any]:
    cid, port = int(request["cid"]), int(request["port"])
    seconds = float(request.get("seconds", 60))
    kind = next((name for name in ("frame", "line") if name in request), None)
    if kind is None:
        raise BadRequest("the request has neither frame nor line")
    sent = base64.b64decode(request[kind], validate=True)
    with _dialled(cid, port, float(request.get("patience", 0))) as connection:
        connection.settimeout(seconds)
        connection.sendall(sent if kind == "frame" else sent + b"\n")
        came = _frame(connection, seconds) if kind == "frame" else _line(connection)
    return {kind: base64.b64encode(came).decode("ascii")}


def _dialled(cid: int, port: int, patience: float) -> socket.socket:
    deadline = time.monotonic() + patience
    while True:
        try:
            return transport.connect(cid, port, CONNECT_SECONDS)
        except transport.TransportError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_SECONDS)


def _frame(connection: socket.socket, seconds: float) -> bytes:
    head = transport.receive_bytes(connection, frames.HEAD_BYTES, seconds)
    length = int.from_bytes(head, "big")
    if len(head) < frames.HEAD_BYTES or length > frames.MAX_BODY_BYTES:
        raise BadRequest("no frame came back: the peer closed the connection, or it speaks another")
    body = transport.receive_bytes(connection, length, seconds)
    if len(body) < length:
        raise BadRequest("the peer closed the connection within its frame")
    return head + body


def _line(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as lines:
        line = lines.readline(MAX_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise BadRequest("no line came back: the peer closed the connection")
    return line[:-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program until its input ends; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scenarios.workload.dial",
        description="Dials vsock as lines of JSON on standard input ask. Prints 'ready' first.",
        epilog=f"With {transport.FABRIC_VARIABLE}=DIR vsock is sockets in DIR.",
    )
    parser.parse_args(arguments)
    return service.run("dial", _serve)


def _serve() -> NoReturn:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
