"""The dialler: frames and lines to a peer in the fabric, and what it says when there is none."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenarios.workload import dial, frames

Peer = Callable[[Callable[[socket.socket], None]], None]


@pytest.fixture
def fabric(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ATTESTED_KMS_FABRIC", str(tmp_path))
    return tmp_path


@pytest.fixture
def peer(fabric: Path) -> Iterator[Peer]:
    """Listens at (16, 5000) and does something with one connection."""
    listener = socket.socket(socket.AF_UNIX)
    threads: list[threading.Thread] = []

    def start(converse: Callable[[socket.socket], None]) -> None:
        listener.bind(str(fabric / "16_5000.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                converse(connection)

        threads.append(threading.Thread(target=serve))
        threads[0].start()

    yield start
    for thread in threads:
        thread.join()
    listener.close()


def asked(**fields: object) -> dict[str, object]:
    return dial.answer(json.dumps({"id": 7, "cid": 16, "port": 5000, **fields}))


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_frame_is_answered_by_a_frame(peer: Peer) -> None:
    def converse(connection: socket.socket) -> None:
        message = frames.receive(connection, wait_seconds=30)
        frames.send(connection, frames.encode({"came": message}))

    peer(converse)
    told = asked(frame=text(frames.encode({"blob": b"x"})))
    assert told["id"] == 7
    frame = base64.b64decode(str(told["frame"]))
    assert frames.decode(frame[frames.HEAD_BYTES :]) == {"came": {"blob": b"x"}}


def test_a_line_is_answered_by_a_line(peer: Peer) -> None:
    peer(lambda connection: connection.sendall(connection.recv(100).upper()))
    told = asked(line=text(b"abc"))
    assert base64.b64decode(str(told["line"])) == b"ABC"


@pytest.mark.parametrize("kind", ["frame", "line"])
def test_a_peer_that_says_nothing(peer: Peer, kind: str) -> None:
    def read(connection: socket.socket) -> None:
        connection.recv(100)

    peer(read)
    told = asked(**{kind: text(b"\0\0\0\2{}")})
    assert "the peer closed the connection" in str(told["error"])


@pytest.mark.usefixtures("fabric")
def test_nobody_listens_and_requests_that_are_none() -> None:
    assert "cannot connect" in str(asked(line="", patience=0.06)["error"])
    assert "neither frame nor line" in str(asked()["error"])
    assert "the request is none" in str(asked(line="%")["error"])
    assert "the request is none" in str(dial.answer("[]")["error"])
    assert dial.answer("no json")["id"] is None


def test_the_program_ends_with_its_input(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "scenarios.workload.dial"],
        env={"PYTHONPATH": ":".join(sys.path), "ATTESTED_KMS_FABRIC": str(tmp_path)},
        input='{"id": 1, "cid": 16, "port": 5000, "line": ""}\n',
        capture_output=True,
        text=True,
        check=True,
    )
    ready, answer = finished.stdout.splitlines()
    assert ready == "ready"
    assert "cannot connect" in json.loads(answer)["error"]
