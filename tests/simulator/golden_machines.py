"""Parent instances in the states that the golden command lines of nitro-cli need, and runs on them.

The instances have stand-ins for enclaves; their brokers answer on their sockets. A command line
is run by the shim, as a script runs it, or in this process where there are many.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from simulator import cli
from simulator.images.store import ImageStore
from simulator.machine.making import Installation
from simulator.nitro_cli.main import main
from simulator.nitro_cli.places import VARIABLE
from tests.simulator.parent_instance import Instance, StandIns, eif_of, instance

MIB = 1 << 20
_LOG_NAME = re.compile(r"err\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.(\d{3}){1,3})?\+00:00\.log")
_TWO_CORES: dict[str, Any] = {"instance_type": "m6i.2xlarge"}


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command line left behind; times in names of files are `<UTC_RFC3339>`."""

    exit_code: int
    stdout: str
    stderr: str
    error_logs: tuple[str, ...]


def without_times(text: str) -> str:
    """The text with the times in the names of error logs taken out."""
    return _LOG_NAME.sub("err<UTC_RFC3339>.log", text)


@dataclass(slots=True)
class Machines:
    """Instances by the name of their state, each made when it is first asked for."""

    folder: Path
    stack: ExitStack
    made: dict[str, Instance] = field(default_factory=dict)

    def machine(self, state: str) -> Instance:
        """That of a state."""
        if state not in self.made:
            self.made[state] = self.stack.enter_context(_STATES[state](self.folder / state))
        return self.made[state]

    def run(
        self, state: str, words: Sequence[str], environ: Mapping[str, str | None] | None = None
    ) -> Finished:
        """Run nitro-cli by its shim; a value of None takes a variable away."""
        with self._changed(state, environ or {}) as (variables, logs):
            finished = subprocess.run(
                [self.folder / "nitro-cli", *words],
                cwd=self.folder,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
        return Finished(
            finished.returncode, finished.stdout, without_times(finished.stderr), tuple(logs)
        )

    def run_here(
        self,
        state: str,
        words: Sequence[str],
        environ: Mapping[str, str | None],
        capture: pytest.CaptureFixture[str],
    ) -> Finished:
        """The same in this process, which is quicker."""
        handler = signal.getsignal(signal.SIGINT)
        with (
            self._changed(state, environ) as (variables, logs),
            pytest.MonkeyPatch.context() as patch,
        ):
            for name in set(os.environ) - set(variables):
                patch.delenv(name)
            for name, text in variables.items():
                patch.setenv(name, text)
            patch.chdir(self.folder)
            capture.readouterr()
            try:
                exit_code = main(words)
            finally:
                signal.signal(signal.SIGINT, handler)
        out, err = capture.readouterr()
        return Finished(exit_code, out, without_times(err), tuple(logs))

    @contextmanager
    def _changed(
        self, state: str, environ: Mapping[str, str | None]
    ) -> Iterator[tuple[dict[str, str], list[str]]]:
        """The environment of a command line, and the error logs that it will have written."""
        machine = self.machine(state)
        given = environ.get("NITRO_CLI_LOGS_PATH")
        logs = self.folder / given if given else machine.file("/var/log/nitro_enclaves")
        before = set(logs.glob("err*.log"))
        changed = {VARIABLE: str(machine.folder.path), "BACKTRACE": None, **environ}
        kept = {name: text for name, text in os.environ.items() if name not in changed}
        added: list[str] = []
        yield kept | {name: text for name, text in changed.items() if text is not None}, added
        added += [path.read_text() for path in sorted(set(logs.glob("err*.log")) - before)]


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """A folder with the shim in it, and with images of some sizes."""
    assert cli.main(["shims", str(folder)]) == 0
    for name, size in (("small", 4096), ("large", 200 * MIB)):
        eif_of(folder / f"{name}.eif", size)
    with ExitStack() as stack:
        yield Machines(folder, stack)


def run_words(cpus: int, memory: int, eif: str = "small.eif") -> list[str]:
    """A command line that runs an enclave."""
    words = ["run-enclave", "--cpu-count", str(cpus), "--memory", str(memory)]
    return [*words, "--eif-path", eif]


def installed(**installation: Any) -> Callable[[Path], Any]:
    """A state that nothing but the installation tells."""
    return lambda path: instance(path, installation=Installation(**installation))


@contextmanager
def _with_enclave(
    path: Path, cpus: int = 2, *, debug: bool = False, **made: Any
) -> Iterator[Instance]:
    with instance(path, **made) as machine:
        eif = eif_of(path.parent / "held.eif")
        assert machine.run(eif, cpu_count=cpus, memory_mib=64, debug_mode=debug).value
        yield machine


@contextmanager
def _racing(path: Path) -> Iterator[Instance]:
    """Another run-enclave waits for the heartbeat of its enclave."""
    stand_ins = StandIns(waits=Event())
    installation = Installation(memory_mib=1022, cpus=4)
    with instance(path, stand_ins=stand_ins, installation=installation, **_TWO_CORES) as machine:
        eif = eif_of(path.parent / "raced.eif")
        other = Thread(target=partial(machine.run, eif, memory_mib=64))
        other.start()
        stand_ins.booting.wait()
        try:
            yield machine
        finally:
            assert stand_ins.waits is not None
            stand_ins.waits.set()
            other.join()


def _silent(memory_mib: int, path: Path) -> Any:
    """No enclave sends a heartbeat."""
    return instance(
        path,
        stand_ins=StandIns(heartbeat=b""),
        installation=Installation(memory_mib=memory_mib),
        heartbeat_wait=0.01,
    )


@contextmanager
def _rebooting(path: Path) -> Iterator[Instance]:
    """An enclave in debug mode that ends as soon as somebody looks at its console."""
    with _with_enclave(path, debug=True) as machine:
        ((request, enclave),) = machine.stand_ins.booted
        console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        console.bind(str(machine.folder.console(request.cid)))
        console.listen()

        def serve() -> None:
            with console, console.accept()[0] as connection:
                connection.sendall(CONSOLE.encode())
                enclave.end()

        serving = Thread(target=serve, daemon=True)
        serving.start()
        yield machine


@contextmanager
def _with_image(path: Path) -> Iterator[Instance]:
    """The machine's store has an image with neither CMD nor ENTRYPOINT, `app:1`."""
    image = path.parent / "image"
    (image / "rootfs").mkdir(parents=True)
    with instance(path) as machine:
        ImageStore(path / "images").load(image, "app:1")
        yield machine


CONSOLE = "execvpe: --mode: No such file or directory\nreboot: machine restart\n"

_STATES: dict[str, Callable[[Path], Any]] = {
    "as shipped": installed(),
    "1 GiB": installed(memory_mib=1024),
    "held": partial(_with_enclave, installation=Installation(memory_mib=1536)),
    "debug": partial(_with_enclave, debug=True),
    "two cores": lambda path: instance(
        path, installation=Installation(memory_mib=1022, cpus=4), **_TWO_CORES
    ),
    "one core of two held": partial(
        _with_enclave, installation=Installation(memory_mib=1022, cpus=4), **_TWO_CORES
    ),
    "no allocator": installed(runs_allocator=False),
    "no driver": installed(has_driver=False),
    "no devel": installed(has_devel=False),
    "no command": _with_image,
    "racing": _racing,
    "silent": partial(_silent, 1024),
    "silent, with small pages": partial(_silent, 1022),
    "rebooting": _rebooting,
    "rebooting again": _rebooting,
}
