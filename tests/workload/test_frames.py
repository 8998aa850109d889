"""Frames: what goes in comes out, and what is no frame is refused in words."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.workload import frames

if TYPE_CHECKING:
    import socket

    Streams = tuple[socket.socket, socket.socket]

keys = st.text(max_size=10).filter(lambda key: key != frames.BYTES_KEY)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def with_length(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@given(st.dictionaries(keys, values, max_size=5))
@settings(max_examples=150, deadline=None)
def test_a_message_arrives_as_it_was_sent(message: dict[str, Any]) -> None:
    frame = frames.encode(message)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert frames.decode(frame[4:]) == message


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_are_a_message_or_a_frame_error(body: bytes) -> None:
    with contextlib.suppress(frames.FrameError):
        assert isinstance(frames.decode(body), dict)


def test_bytes_and_their_base64_stay_apart() -> None:
    frame = frames.encode({"blob": b"\x00\xff", "text": "AP8="})
    assert json.loads(frame[4:]) == {"blob": {"$bytes": "AP8="}, "text": "AP8="}
    assert frames.decode(frame[4:]) == {"blob": b"\x00\xff", "text": "AP8="}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"\xff{}", "not JSON in UTF-8"),
        (b'{"a": 1', "not JSON"),
        (b"[]", "a list, not an object"),
        (b'{"$bytes": "AA=="}', "a bytes, not an object"),
        (b'{"a": {"$bytes": "A"}}', "not base64"),
        (b'{"a": {"$bytes": "AA=="}, "a": 1}', "twice"),
        (b'{"a": {"$bytes": "A A="}}', "not base64"),
        (b'{"a": {"$bytes": "\xc3\xa9"}}', "not base64"),
        (b'{"a": {"$bytes": 1}}', "string of base64"),
        (b'{"a": {"$bytes": "AA==", "b": 1}}', "only member"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"a": ' + b"[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_no_message_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(frames.FrameError, match=problem):
        frames.decode(body)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"$bytes": "AA=="}, "reserved"),
        ({1: 2}, "key of type int"),
        (object(), "type object"),
        ({1, 2}, "type set"),
        (float("nan"), "JSON cannot carry"),
        (nested(100_000), "nested too deeply"),
        ("x" * frames.MAX_BODY_BYTES, "a frame holds 1048576"),
    ],
)
def test_what_no_frame_carries_is_refused(value: object, problem: str) -> None:
    with pytest.raises(frames.FrameError, match=problem):
        frames.encode({"value": value})


def test_frames_follow_one_another_on_a_stream(stream_pair: Streams) -> None:
    near, far = stream_pair
    frames.send(near, frames.encode({"n": 1}) + frames.encode({"n": 2}))
    near.close()
    assert frames.receive(far, wait_seconds=5) == {"n": 1}
    assert frames.receive(far, wait_seconds=5) == {"n": 2}
    assert frames.receive(far, wait_seconds=5) is None


def test_a_bad_body_leaves_the_stream_at_the_next_frame(stream_pair: Streams) -> None:
    near, far = stream_pair
    near.sendall(with_length(b"[]") + frames.encode({"n": 2}))
    with pytest.raises(frames.FrameError) as caught:
        frames.receive(far, wait_seconds=5)
    assert not isinstance(caught.value, frames.FramingLostError)
    assert frames.receive(far, wait_seconds=5) == {"n": 2}


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"\x00", "ended 3 bytes before"),
        (b"\x00\x00\x00\x05{}", "ended 3 bytes before"),
        (b"\x00\x10\x00\x01", "1048577 bytes is announced"),
        (b"\xff\xff\xff\xff", "4294967295 bytes is announced"),
    ],
)
def test_a_frame_cut_short_or_too_long_loses_the_stream(
    stream_pair: Streams, sent: bytes, problem: str
) -> None:
    near, far = stream_pair
    near.sendall(sent)
    near.close()
    with pytest.raises(frames.FramingLostError, match=problem):
        frames.receive(far, wait_seconds=5)


def test_half_a_frame_then_silence_is_given_up(stream_pair: Streams) -> None:
    near, far = stream_pair
    near.sendall(b"\x00\x00\x00\x05{")
    with pytest.raises(frames.FramingLostError, match="did not come in time"):
        frames.receive(far, wait_seconds=5, frame_seconds=0.05)


def test_silence_instead_of_a_frame_is_given_up(stream_pair: Streams) -> None:
    _, far = stream_pair
    with pytest.raises(frames.FramingLostError, match="no frame came in time"):
        frames.receive(far, wait_seconds=0.05)


def test_a_peer_that_has_gone_takes_no_frame(stream_pair: Streams) -> None:
    near, far = stream_pair
    far.close()
    with pytest.raises(frames.FramingLostError, match="could not be sent"):
        frames.send(near, frames.encode({}))
