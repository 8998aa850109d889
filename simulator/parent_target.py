"""The parent instance of the simulator's target: a machine of its own, asked by real commands.

Its enclaves are the target's: their NSMs are asked over a management listener, so that the target's
KMS trusts them and its clock is theirs. One machine serves all scenarios of a run, one after the
other.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from scenarios.target import Finished
from scenarios.workload.parent_programs import PROGRAMS
from simulator.images.sample import write_sample
from simulator.images.store import ImageStore
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.nitro_cli.connection import request
from simulator.nitro_cli.places import VARIABLE, MachineFolder

_CPUS = 2
_MEMORY_MIB = 512
_HOME = "/home/ec2-user"
_SECONDS = 60.0
_PAUSE_SECONDS = 0.02


class SimulatedParent:
    """A machine's folder, its broker, and images made of this machine's Python."""

    cpus = _CPUS
    memory_mib = _MEMORY_MIB

    def __init__(self, machine: MachineFolder, sample: Path, folder: Path) -> None:
        self.folder = str(folder)
        self._machine = machine
        self._sample = sample

    def image(
        self, *, entrypoint: Sequence[str] | None = None, cmd: Sequence[str] | None = None
    ) -> str:
        """The URI of an image of the sample with the programs `/hello` and `/once`."""
        file = self._sample / "config.json"
        document = json.loads(file.read_text(encoding="utf-8"))
        document["config"] |= {"Entrypoint": entrypoint, "Cmd": cmd}
        file.write_text(json.dumps(document), encoding="utf-8")
        uri = "scenario:latest"
        ImageStore(self._machine.path / "images").load(self._sample, uri)
        return uri

    def nitro_cli(
        self, *arguments: str, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        """Run nitro-cli to its end."""
        finished = subprocess.run(  # noqa: S603  # Ours, no shell.
            [sys.executable, "-m", "simulator.cli", "nitro-cli", *arguments],
            env=self._environment(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout, finished.stderr)

    def nitro_cli_killed(self, *arguments: str, after: str) -> Finished:
        """Run nitro-cli and kill it once it has printed `after`, or at its end."""
        with subprocess.Popen(  # noqa: S603  # Ours, no shell.
            [sys.executable, "-m", "simulator.cli", "nitro-cli", *arguments],
            env=self._environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as command:
            printed = ""
            for line in command.stdout or ():
                printed += line
                if after in line:
                    command.kill()
                    break
            return Finished(command.wait(), printed, "")

    def _environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        # Who runs the suite may have no home; the user of an instance has one.
        home = str(self._machine.on_instance(_HOME))
        merged = {**os.environ, "HOME": home, VARIABLE: str(self._machine.path), **changes}
        return {name: value for name, value in merged.items() if value is not None}

    def read(self, path: str) -> str:
        """A text file of the instance."""
        return self._place(path).read_text(encoding="utf-8")

    def size(self, path: str) -> int | None:
        """The size of a file of the instance, or None."""
        place = self._place(path)
        return place.stat().st_size if place.exists() else None

    def _place(self, path: str) -> Path:
        return Path(path) if path.startswith(self.folder) else self._machine.on_instance(path)

    def ask(self, cid: int, port: int, line: bytes) -> bytes:
        """Dial an enclave in the fabric, send a line and give the line that comes back."""
        with _dialled(self._machine.fabric / f"{cid}_{port}.sock") as connection:
            connection.sendall(line + b"\n")
            with connection.makefile("rb") as answer:
                return answer.readline().rstrip(b"\n")


def _dialled(place: Path) -> socket.socket:
    """A connection, once somebody listens. Raises ConnectionError, FileNotFoundError."""
    deadline = time.monotonic() + _SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_SECONDS)
        try:
            connection.connect(str(place))
        except (ConnectionError, FileNotFoundError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return connection


class ParentInstances:
    """The machine of a target, made when a scenario first wants it."""

    def __init__(self, *, server: str, role_arn: str) -> None:
        """`server` is the management endpoint of the target's enclaves."""
        self._configuration = Configuration(join=server, role_arn=role_arn)
        self._stack = ExitStack()
        self._made: tuple[MachineFolder, Path] | None = None

    def close(self) -> None:
        """End the broker, and with it all enclaves, and remove the machine."""
        self._stack.close()

    @contextmanager
    def parent_instance(self) -> Iterator[SimulatedParent]:
        """The machine with an empty folder and, at the end again, no enclave."""
        machine, sample = self._made or self._make()
        with TemporaryDirectory(prefix="attested-kms-") as folder:
            parent = SimulatedParent(machine, sample, Path(folder))
            try:
                yield parent
            finally:
                parent.nitro_cli("terminate-enclave", "--all")

    def _make(self) -> tuple[MachineFolder, Path]:
        temporary = self._stack.enter_context(TemporaryDirectory(prefix="attested-kms-"))
        machine = MachineFolder.locate({}, Path(temporary, "machine"))
        make(machine.path, self._configuration, Installation(memory_mib=_MEMORY_MIB, cpus=_CPUS))
        sample = Path(temporary, "sample")
        write_sample(sample)
        for name, text in PROGRAMS.items():
            program = sample / "rootfs" / name
            program.write_text(text, encoding="ascii")
            program.chmod(0o755)
        self._stack.callback(_stop, machine)
        self._made = machine, sample
        return self._made


def _stop(machine: MachineFolder) -> None:
    for _ in request(machine, "stop"):
        pass
