"""Runs that end badly, programs that misbehave, folders that hold something else."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.interpose.files import children
from simulator.interpose.plan import Rung
from simulator.interpose.run import Options, Run
from tests.simulator.supervised import SECONDS, python

COMMAND = [sys.executable, "-m", "simulator.cli", "run"]
ISOLATION = {Rung.NAMESPACES: "--isolate", Rung.OPEN_TRAP: "--no-isolate"}

VSOCK = """
def vsock(port=None, kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_VSOCK, kind)
    if port is not None:
        made.bind((socket.VMADDR_CID_ANY, port))
        made.listen(4096)
    return made

def dialled(port, cid=1):
    made = vsock()
    made.connect((cid, port))
    return made
"""

STUBBORN = (
    VSOCK
    + """
reader, writer = os.pipe()

def forked(work):
    if not os.fork():
        work()
        while True:
            signal.pause()

def ready():
    os.write(writer, b"!")

def deaf():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    ready()

def daemon():
    os.setsid()
    if os.fork():
        os._exit(0)
    ready()

def stopped():
    ready()
    os.kill(os.getpid(), signal.SIGSTOP)

def accepting():
    listener = vsock(5000)
    ready()
    listener.accept()

def asking():
    device = os.open("/dev/nsm", os.O_RDWR)
    ready()
    ask(device, DESCRIBE)

for work in (deaf, daemon, stopped, accepting, asking):
    forked(work)
for _ in range(5):
    os.read(reader, 1)
print("ready", flush=True)
while True:
    signal.pause()
"""
)
"""Descendants that are hard to end: all of them keep the standard output."""


@dataclass(slots=True)
class Watched:
    """A run whose every process holds the writing end of a pipe."""

    run: Run
    reader: int

    def line(self) -> str:
        """The next line of its output; empty at its end."""
        content = b""
        while not content.endswith(b"\n") and (part := read(self.reader, 1)):
            content += part
        return content.decode()

    def rest(self) -> str:
        """What is left of its output once all its processes have gone."""
        return read_all(self.reader)

    def nobody_is_left(self) -> bool:
        """Whether all its processes have gone by now."""
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        return bool(poll.poll(0)) and not os.read(self.reader, 1 << 16)

    @property
    def supervisor(self) -> int:
        (process,) = children(self.run.process_id)
        return process


def read(descriptor: int, length: int) -> bytes:
    """Like os.read, and never for ever."""
    assert select.select([descriptor], [], [], SECONDS)[0], "nothing came"
    return os.read(descriptor, length)


def read_all(descriptor: int) -> str:
    content = b""
    while part := read(descriptor, 1 << 16):
        content += part
    return content.decode()


@contextmanager
def watched(program: list[str], fabric: Path, rung: Rung, *faults: str) -> Iterator[Watched]:
    reader, writer = os.pipe()
    try:
        options = Options(fabric=fabric, rung=rung, faults=faults)
        with Run(
            program, None, options, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
        ) as run:
            os.close(writer)
            yield Watched(run, reader)
    finally:
        os.close(reader)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, for nobody else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def fabric(tmp_path: Path) -> Path:
    folder = tmp_path / "fabric"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _nothing_stays_in_this_process() -> Iterator[None]:
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    threads = threading.active_count()
    yield
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
    assert threading.active_count() == threads


def sockets(fabric: Path) -> list[str]:
    return sorted(entry.name for entry in fabric.iterdir() if entry.is_socket())


# Ends


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_supervisor_that_is_killed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung, number: int
) -> None:
    with watched(python(STUBBORN), fabric, rung, "nsm=stall") as tree:
        assert tree.line() == "ready\n"
        os.kill(tree.supervisor, number)
        assert tree.run.wait(SECONDS) == 125
        assert f"the supervisor ended ({signal.Signals(number).name})" in tree.rest()
        assert f"({signal.Signals(number).name})" in str(tree.run.failure)
    assert not list(temporary.iterdir())
    assert sockets(fabric) == []


def test_a_guardian_that_is_killed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung
) -> None:
    with watched(python(STUBBORN), fabric, rung, "nsm=stall") as tree:
        assert tree.line() == "ready\n"
        os.kill(tree.run.process_id, signal.SIGKILL)
        assert tree.run.wait(SECONDS) == 125
        assert tree.nobody_is_left()
        assert "guardian" in str(tree.run.failure)
    assert not list(temporary.iterdir())
    assert sockets(fabric) == []


def test_a_run_that_is_closed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung
) -> None:
    with watched(python(STUBBORN), fabric, rung, "nsm=stall") as tree:
        assert tree.line() == "ready\n"
        tree.run.close()
        assert tree.rest() == (
            "attested-kms run: whoever started the run has ended, and the run with it\n"
        )
    assert not list(temporary.iterdir())
    assert sockets(fabric) == []


@pytest.mark.parametrize("own_fabric", [True, False])
def test_a_command_that_is_killed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung, *, own_fabric: bool
) -> None:
    given = [] if own_fabric else ["--fabric", str(fabric)]
    options = ["-v", ISOLATION[rung], "--fault", "nsm=stall", *given]
    with subprocess.Popen(
        [*COMMAND, *options, "--", *python(STUBBORN)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as command:
        assert command.stdout is not None
        said = []
        while (line := command.stdout.readline()) != b"ready\n":
            assert line
            said.append(line.decode().rstrip())
        (used,) = (Path(text.split()[-1]) for text in said if "in the fabric" in text)
        assert sockets(used) == ["16_5000.sock"]
        command.kill()
        assert "whoever started the run has ended" in read_all(command.stdout.fileno())
    assert not list(temporary.iterdir())
    assert used.exists() is not own_fabric
    assert sockets(fabric) == []
