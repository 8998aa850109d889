"""The frames that the workload's programs exchange over a stream, as bytes and as Python values.

A frame is a length (four bytes, big-endian, of what follows) and one JSON object in UTF-8. Bytes
have no form in JSON, and boto3 tells a blob from a string, so bytes travel as an object with the
one member `$bytes`, their base64: what was `bytes` at one end is `bytes` at the other and what was
`str` stays `str`. This module knows neither the meaning of a message nor how a stream is made. The
protocol is this project's own; no other source stands behind it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from scenarios.workload import transport

if TYPE_CHECKING:
    import socket

MAX_BODY_BYTES = 1 << 20
"""The longest JSON text of a frame: room for the longest attestation document that KMS takes
(262,144 bytes) in base64 twice over."""

FRAME_SECONDS = 30.0
"""How long a frame may take from its first byte to its last."""

HEAD_BYTES = 4
BYTES_KEY = "$bytes"


class FrameError(Exception):
    """A frame that cannot be read or written. The stream is still at the boundary of a frame."""


class FramingLostError(FrameError):
    """The stream is no longer at the boundary of a frame, or has ended: close it."""


def encode(message: Mapping[str, Any]) -> bytes:
    """The whole frame of `message`: its length, then JSON in ASCII.

    Values are None, bool, int, finite float, str, bytes, and lists, tuples (which arrive as lists)
    and string-keyed mappings of these. Raises `FrameError` for any other value, for a mapping with
    the reserved key `$bytes`, and for a body above `MAX_BODY_BYTES`.
    """
    try:
        body = json.dumps(_to_wire(message), allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise FrameError("the message is nested too deeply for a frame") from None
    except ValueError as error:
        raise FrameError(f"the message has a number that JSON cannot carry: {error}") from error
    if len(body) > MAX_BODY_BYTES:
        raise FrameError(f"the message takes {len(body)} bytes, a frame holds {MAX_BODY_BYTES}")
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def decode(body: bytes) -> dict[str, Any]:
    """The message of a frame's JSON text; raises `FrameError` saying what is wrong with it."""
    try:
        message = json.loads(
            body.decode(), object_pairs_hook=_from_pairs, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise FrameError("the JSON text is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError among them.
        raise FrameError(f"the frame is not JSON in UTF-8: {error}") from error
    if not isinstance(message, dict):
        raise FrameError(f"the frame holds a {type(message).__name__}, not an object")
    return message


def send(connection: socket.socket, frame: bytes) -> None:
    """Send the bytes of one frame; raises `FramingLostError` when the peer does not take them."""
    connection.settimeout(FRAME_SECONDS)
    try:
        connection.sendall(frame)
    except OSError as error:
        raise FramingLostError(f"the frame could not be sent: {error}") from error


def receive(
    connection: socket.socket,
    *,
    wait_seconds: float | None,
    frame_seconds: float = FRAME_SECONDS,
) -> dict[str, Any] | None:
    """The next message, or None where the stream ends instead of beginning a frame.

    `wait_seconds` bounds the wait for the frame's first byte (None: no bound), `frame_seconds` the
    time from there to its last. Raises `FrameError` for a body that is not a message and
    `FramingLostError` for a frame that is cut short, late or too long.
    """
    first = _read(connection, 1, wait_seconds, "no frame came in time")
    if not first:
        return None
    deadline = time.monotonic() + frame_seconds
    head = first + _read_all(connection, HEAD_BYTES - 1, deadline)
    length = int.from_bytes(head, "big")
    if length > MAX_BODY_BYTES:
        raise FramingLostError(f"a frame of {length} bytes is announced, at most {MAX_BODY_BYTES}")
    return decode(_read_all(connection, length, deadline))


def _read_all(connection: socket.socket, count: int, deadline: float) -> bytes:
    late = "the rest of the frame did not come in time"
    data = _read(connection, count, deadline - time.monotonic(), late)
    if len(data) < count:
        raise FramingLostError(f"the stream ended {count - len(data)} bytes before its frame did")
    return data


def _read(connection: socket.socket, count: int, seconds: float | None, late: str) -> bytes:
    try:
        return transport.receive_bytes(connection, count, seconds)
    except TimeoutError:
        raise FramingLostError(late) from None
    except OSError as error:
        raise FramingLostError(f"the connection broke: {error}") from error


def _to_wire(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray():
            return {BYTES_KEY: base64.b64encode(value).decode("ascii")}
        case list() | tuple():
            return [_to_wire(item) for item in value]
        case Mapping():
            return {_checked_key(key): _to_wire(item) for key, item in value.items()}
    raise FrameError(f"a value of type {type(value).__name__} has no form in a frame")


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise FrameError(f"a key of type {type(key).__name__} has no form in a frame")
    if key == BYTES_KEY:
        raise FrameError(f"the key {BYTES_KEY} is reserved: it marks bytes in a frame")
    return key


def _from_pairs(pairs: list[tuple[str, Any]]) -> Any:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise FrameError("an object has the same key twice")
    if BYTES_KEY not in members:
        return members
    text = members[BYTES_KEY]
    if len(members) > 1 or not isinstance(text, str):
        raise FrameError(f"{BYTES_KEY} must be an object's only member, a string of base64")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise FrameError(f"{BYTES_KEY} is not base64: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise FrameError(f"{name} is not JSON")
