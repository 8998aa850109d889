"""What the enclave program and the host proxy do alike: accept, converse, and end politely.

Each connection has its own thread, so that one that sends half a frame and falls silent holds up
nobody. Every frame is answered, also one that cannot be read; a connection that has lost its
framing is answered and closed. Which requests there are is not known here.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from scenarios.workload import frames, messages, transport

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """From a request to the result of its answer; raises `messages.AnswerError`."""

MAX_PORT = 0xFFFF_FFFF - 1
"""The highest vsock port; the next value is VMADDR_PORT_ANY (`linux/vm_sockets.h`)."""


class StartError(Exception):
    """Why a program cannot start and what to do, in one line."""


def port(text: str) -> int:
    """A vsock port from the command line, for `argparse`."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 < number <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no vsock port (1 to {MAX_PORT})")
    return number


def run(name: str, program: Callable[[], NoReturn]) -> int:
    """The exit code of `program`: 0 on SIGTERM, 130 on Ctrl-C, 1 with one line on stderr."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        program()
    except KeyboardInterrupt:
        return 130
    except (StartError, transport.TransportError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def serve(listener: transport.Listener, handle: Handler) -> NoReturn:
    """Say `ready` on stdout, then answer every frame of every connection with `handle`."""
    print("ready", flush=True)
    while True:
        connection = listener.accept()
        threading.Thread(target=_converse, args=(connection, handle), daemon=True).start()


def _converse(connection: socket.socket, handle: Handler) -> None:
    with connection:
        while _exchange(connection, handle):
            pass


def _exchange(connection: socket.socket, handle: Handler) -> bool:
    """One request and its answer; False when the connection is over."""
    try:
        request = frames.receive(connection, wait_seconds=None)
    except frames.FrameError as error:
        answer = _protocol_error("BadFrame", error)
        goes_on = not isinstance(error, frames.FramingLostError)
    else:
        if request is None:
            return False
        answer = _answer(request, handle)
        goes_on = True
    try:
        frames.send(connection, answer)
    except frames.FramingLostError:
        return False  # The peer has gone: nobody is left to tell.
    return goes_on


def _answer(request: Mapping[str, Any], handle: Handler) -> bytes:
    try:
        answer = messages.success(handle(request))
    except messages.AnswerError as error:
        answer = messages.failure(error)
    try:
        return frames.encode(answer)
    except frames.FrameError as error:
        return _protocol_error("UnsendableAnswer", error)


def _protocol_error(code: str, error: frames.FrameError) -> bytes:
    refusal = messages.AnswerError(messages.Kind.PROTOCOL, code, str(error))
    return frames.encode(messages.failure(refusal))
