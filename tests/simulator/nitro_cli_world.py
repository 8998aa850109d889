"""A machine's folder, a broker that says what a test wrote, and nitro-cli run on both."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.main import main
from simulator.nitro_cli.places import VARIABLE, MachineFolder

Answer = Iterable[Mapping[str, Any]]

POOL = Failure(
    code="E29",
    subactions=("No CPU is free", "The driver refused"),
    file="src/driver.rs",
    line=859,
    process="enc-xxxxxxx:77",
)
"""A failure as a broker may find it."""


def enclave(slot: str = "173dfe3e2b1c87b", **members: Any) -> dict[str, Any]:
    """An enclave as the broker describes it."""
    return {
        "EnclaveName": "hello",
        "EnclaveID": f"i-05f6ed443ae428c95-enc{slot}",
        "ProcessID": 12345,
        "EnclaveCID": 16,
        "NumberOfCPUs": 2,
        "CPUIDs": [1, 3],
        "MemoryMiB": 1024,
        "State": "RUNNING",
        "Flags": "NONE",
        "Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": "00"},
        "ImageName": "hello",
        "ImageVersion": "1",
        "Metadata": {"BuildTool": "nitro-cli"},
    } | members


def run_info(described: Mapping[str, Any]) -> dict[str, Any]:
    """The same as run-enclave prints it."""
    return dict(list(described.items())[:7])


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command line left behind."""

    exit_code: int
    stdout: str
    stderr: str
    error_logs: tuple[str, ...]
    """The contents of the files that it added, in their order."""


@dataclass(slots=True)
class World:
    """A machine's folder, and what its broker is to answer."""

    folder: MachineFolder
    capture: pytest.CaptureFixture[str]
    enclaves: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The requests, but for those for the list of enclaves."""
    failures: list[Failure] = field(default_factory=list)
    """Of enclaves that cannot be displayed."""
    answers: dict[str, Callable[[Mapping[str, Any]], Answer]] = field(default_factory=dict)

    @property
    def logs(self) -> Path:
        return self.folder.on_instance("/var/log/nitro_enclaves")

    @property
    def sockets(self) -> Path:
        return self.folder.on_instance("/run/nitro_enclaves")

    def run(self, *words: str) -> Finished:
        """Run nitro-cli in this process."""
        before = set(self.logs.glob("err*.log"))
        handler = signal.getsignal(signal.SIGINT)
        self.capture.readouterr()
        try:
            exit_code = main(words)
        finally:
            signal.signal(signal.SIGINT, handler)
        out, err = self.capture.readouterr()
        added = sorted(set(self.logs.glob("err*.log")) - before)
        return Finished(exit_code, out, err, tuple(path.read_text() for path in added))

    def log(self) -> str:
        """What nitro_enclaves.log holds."""
        return (self.logs / "nitro_enclaves.log").read_text()

    def answer(self, request: Mapping[str, Any]) -> Answer:
        """The messages for a request."""
        if request["command"] == "describe":
            return [{"answer": list(self.enclaves)}]
        if request["command"] == "display":
            failures = [failure.to_json() for failure in self.failures]
            return [{"answer": {"enclaves": list(self.enclaves), "failures": failures}}]
        self.asked.append(dict(request))
        return self.answers[request["command"]](request)


@contextmanager
def world(
    folder: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A machine that is made, and whose broker runs."""
    made = World(MachineFolder(folder), capture)
    for path in (made.logs, made.sockets, made.folder.fabric):
        path.mkdir(parents=True)
    (folder / "machine.json").write_text("{}")
    patch.setenv(VARIABLE, os.fspath(folder))
    for name in ("BACKTRACE", "RUST_LOG", "HOME"):
        patch.delenv(name, raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(made.folder.socket))
        listener.listen()
        thread = Thread(target=_serve, args=(listener, made))
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, made: World) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb") as stream:
            for message in made.answer(json.loads(stream.readline())):
                stream.write(json.dumps(message).encode() + b"\n")
