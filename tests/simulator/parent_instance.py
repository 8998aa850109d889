"""A parent instance for tests: its broker in this process, its enclaves stand-ins.

What a test changes of the instance, it changes in its files, as a person would.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from simulator.machine.broker import Broker
from simulator.machine.configuration import Configuration
from simulator.machine.heartbeat import HeartbeatListener, NoHeartbeat
from simulator.machine.making import Installation, make
from simulator.machine.parts import (
    BadImage,
    BootFailed,
    BootRequest,
    CannotSimulate,
    Image,
    Nsm,
    Parts,
    UnreadableImage,
)
from simulator.nitro_cli import connection as connecting
from simulator.nitro_cli.connection import request
from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.places import MachineFolder

PCRS = {"PCR0": "a0" * 48, "PCR1": "a1" * 48, "PCR2": "a2" * 48}
METADATA = {
    "ImageName": "hello",
    "ImageVersion": "1.0",
    "BuildMetadata": {
        "BuildTime": "2026-01-27T19:10:11.123456789+00:00",
        "BuildTool": "nitro-cli",
        "BuildToolVersion": "1.4.4",
        "OperatingSystem": "Linux",
        "KernelVersion": "4.14.256",
    },
    "DockerInfo": {"Os": "linux"},
    "CustomMetadata": {"Team": "red"},
}
HEARTBEAT = b"\xb7"


@dataclass(slots=True)
class StandIn:
    """An enclave that does nothing but end when it is told to."""

    heartbeat: HeartbeatListener
    last_words: str = ""
    is_killed: bool = False
    process_id: int = field(default_factory=os.getpid)
    closed: Event = field(default_factory=Event)
    ended: int = -1
    _writer: int = -1

    def __post_init__(self) -> None:
        self.ended, self._writer = os.pipe2(os.O_CLOEXEC)

    def wait_heartbeat(self, timeout: float) -> None:
        try:
            self.heartbeat.wait(timeout, ended=self.ended)
        except NoHeartbeat as none:
            raise BootFailed(self.last_words or "it said nothing", none.error) from none

    def was_killed(self) -> bool:
        return self.is_killed

    def end(self) -> None:
        os.write(self._writer, b"x")

    def close(self) -> None:
        if not self.closed.is_set():
            self.end()
            for descriptor in (self.ended, self._writer):
                os.close(descriptor)
            self.closed.set()


@dataclass(slots=True)
class StandIns:
    """The parts of a machine of stand-ins, and what they saw."""

    refuses: BadImage | UnreadableImage | BootFailed | CannotSimulate | None = None
    custom: Any = field(default_factory=lambda: METADATA["CustomMetadata"])
    not_described: str | None = None
    heartbeat: bytes = HEARTBEAT
    """Nothing: none comes."""
    ends_early: str | None = None
    """Why it ends before its heartbeat."""
    waits: Event | None = None
    """The heartbeat is sent once this is set."""
    booting: Event = field(default_factory=Event)
    booted: list[tuple[BootRequest, StandIn]] = field(default_factory=list)

    def parts(self, _folder: Path, _configuration: Configuration) -> Parts:
        return Parts(images=self, boot=self.boot, nsm=self.nsm)

    def check(self, _path: Path) -> None:
        if isinstance(self.refuses, BadImage):
            raise self.refuses

    def read(self, _path: Path, _nitro_cli: str) -> Image:
        if isinstance(self.refuses, UnreadableImage):
            raise self.refuses
        metadata = METADATA | {"CustomMetadata": self.custom}
        return Image(PCRS, "Sha384 { ... }", metadata, self.not_described)

    def nsm(self, slot_uid: int, image: Image, *, debug: bool) -> Nsm:
        del slot_uid, image, debug
        return Nsm(lambda request: request, None, lambda: None)

    def boot(self, request: BootRequest) -> StandIn:
        if isinstance(self.refuses, BootFailed | CannotSimulate):
            raise self.refuses
        enclave = StandIn(request.heartbeat)
        self.booted.append((request, enclave))
        self.booting.set()
        if self.ends_early is not None:
            enclave.last_words = self.ends_early
            enclave.end()
        elif self.heartbeat:
            Thread(target=self._beat, args=(request.fabric,), daemon=True).start()
        return enclave

    def _beat(self, fabric: Path) -> None:
        if self.waits is not None:
            self.waits.wait()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as parent:
            parent.connect(str(fabric / "3_9000.sock"))
            parent.sendall(self.heartbeat)
            parent.recv(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    messages: list[dict[str, Any]]

    @property
    def said(self) -> list[str]:
        return [message["say"] for message in self.messages if "say" in message]

    @property
    def notices(self) -> list[str]:
        return [message["notice"] for message in self.messages if "notice" in message]

    @property
    def warnings(self) -> list[str]:
        return [message["warning"] for message in self.messages if "warning" in message]

    @property
    def value(self) -> Any:
        assert "answer" in self.messages[-1], self.messages
        return self.messages[-1]["answer"]

    @property
    def failure(self) -> Failure:
        assert "failed" in self.messages[-1], self.messages
        return Failure.from_json(self.messages[-1]["failed"])


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine whose broker answers."""

    folder: MachineFolder
    stand_ins: StandIns
    broker: Broker

    def ask(self, command: str, **arguments: Any) -> Answer:
        return Answer(list(request(self.folder, command, arguments)))

    def run(self, eif: Path, **arguments: Any) -> Answer:
        asked = {"memory_mib": 128, "eif_path": str(eif), "directory": "/", **arguments}
        if "cpu_ids" not in asked:
            asked.setdefault("cpu_count", 2)
        return self.ask("run", **asked)

    def file(self, path: str) -> Path:
        return self.folder.on_instance(path)

    @property
    def dmesg(self) -> list[str]:
        lines = self.file("/var/log/dmesg").read_text().splitlines()
        return [line.partition("] ")[2] for line in lines]


@contextmanager
def instance(
    path: Path,
    *,
    hardware: Mapping[str, Any] | None = None,
    stand_ins: StandIns | None = None,
    installation: Installation | None = None,
    **configuration: Any,
) -> Iterator[Instance]:
    """A machine in a folder, made anew if it is not there, and its broker."""
    if not (path / "machine.json").exists():
        make(
            path,
            Configuration(hardware=hardware or {}, **configuration),
            installation or Installation(),
        )
    folder = MachineFolder.locate({}, path)
    used = stand_ins or StandIns()
    broker = Broker(folder, used.parts)
    serving = Thread(target=broker.serve)
    serving.start()
    try:
        yield Instance(folder, used, broker)
    finally:
        broker.stop()
        serving.join()


@contextmanager
def asked_machine(path: Path) -> Iterator[MachineFolder]:
    """A machine whose broker is a process of its own, once somebody asks."""
    make(path, Configuration(), Installation())
    folder = MachineFolder.locate({}, path)
    yield folder
    if folder.socket.exists():
        list(request(folder, "stop"))
    while connecting._is_held(folder.lock):
        pass


def answer(folder: MachineFolder, command: str = "describe", **arguments: Any) -> Any:
    """What is answered to a request."""
    *_, last = request(folder, command, arguments)
    return last["answer"]


def eif_of(path: Path, size: int = 4096) -> Path:
    """A file of an image's size."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def state_of(folder: Path) -> Any:
    return json.loads((folder / "state.json").read_text())
