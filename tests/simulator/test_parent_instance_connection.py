"""Asking the broker: how it is started, and what a command hears of one that ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from simulator.nitro_cli import connection as connecting
from simulator.nitro_cli.connection import BrokerUnreachable
from simulator.nitro_cli.places import MachineFolder
from tests.simulator.parent_instance import answer, asked_machine


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[MachineFolder]:
    with asked_machine(tmp_path / "m") as folder:
        yield folder


def test_two_that_are_started_at_once_are_one(folder: MachineFolder) -> None:
    started = [connecting._start(folder) for _ in range(3)]
    process = answer(folder, "status")["broker_process"]
    others = [one for one in started if one.pid != process]
    # It may be a fourth, where none of them had come so far yet.
    assert {one.wait() for one in others} == {0}


def test_whoever_asks_is_told_why_no_broker_starts(folder: MachineFolder) -> None:
    (folder.path / "state.json").write_text("[]")
    with pytest.raises(BrokerUnreachable, match=r"state\.json is damaged"):
        answer(folder)
    (folder.path / "state.json").unlink()


def test_who_comes_upon_a_broker_that_ends_is_answered_by_the_next(folder: MachineFolder) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ending:
        ending.bind(str(folder.socket))
        ending.listen()
        asking = Thread(target=lambda: answers.append(answer(folder)))
        answers: list[Any] = []
        asking.start()
        ending.accept()[0].close()
        folder.socket.unlink()
    asking.join()
    assert answers == [[]]


def test_whose_broker_ends_before_its_last_word_is_told(folder: MachineFolder) -> None:
    def begin() -> None:
        connection, _ = ending.accept()
        with connection:
            connection.sendall(b'{"say": "Start allocating memory..."}\n')

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ending:
        ending.bind(str(folder.socket))
        ending.listen()
        beginning = Thread(target=begin)
        beginning.start()
        with pytest.raises(BrokerUnreachable, match="ended before it answered"):
            answer(folder, "run")
        beginning.join()
    folder.socket.unlink()


def test_a_program_that_started_a_broker_ends_without_a_warning(folder: MachineFolder) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from simulator.nitro_cli.connection import request; "
        "from simulator.nitro_cli.places import MachineFolder; "
        "list(request(MachineFolder(Path(sys.argv[1])), 'describe'))"
    )
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, folder.path],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        check=True,
    )
    assert finished.stderr == b""


def test_no_broker_is_started_within_a_run(
    folder: MachineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connecting.SUPERVISED_VARIABLE, "1")
    with pytest.raises(BrokerUnreachable, match="Start the broker first, outside"):
        answer(folder)
    monkeypatch.undo()


def test_a_broker_that_cannot_be_started(
    folder: MachineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(BrokerUnreachable, match="cannot be started"):
        answer(folder)


def test_a_broker_that_cannot_even_say_why_it_ends(
    folder: MachineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.path / "broker.log").write_text("Of another broker.\n")
    ends_at_once = [sys.executable, "-c", "import sys; sys.exit(120)"]
    monkeypatch.setattr(connecting, "words", lambda *_: ends_at_once)
    with pytest.raises(BrokerUnreachable, match=r"without a word \(exit code 120\). Is there room"):
        answer(folder)


def test_a_stale_socket_and_what_is_no_socket(folder: MachineFolder) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(folder.socket))
    assert answer(folder) == []
