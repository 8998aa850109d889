"""The agent of one simulated instance, seen from the service: its process, and what it is told.

What a script finds is what the agent gives it on Amazon Linux 2023: its environment is that of a
systemd service of root, which has no HOME, and a few variables that name the instance.

Truth: amazon-ssm-agent (mainline of October 2024), executers.go, prepareEnvironment, runscript.go,
packaging/linux/amazon-ssm-agent.service (WorkingDirectory=/usr/bin/); systemd.exec(5): HOME is set
where User= is. That LANG is C.UTF-8 is inferred from the image's locale.conf.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread

from simulator.environment import without_aws
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.nitro_cli.places import VARIABLE, FolderRefused, MachineFolder
from simulator.systems_manager import document
from simulator.systems_manager.messages import Cancel, Reply, Run

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLATFORM = "Amazon Linux"
PLATFORM_VERSION = "2023"
_ORCHESTRATION = "/var/lib/amazon/ssm/{}/document/orchestration"
_AGENT_FOLDER = "/usr/bin"
_END_SECONDS = 10.0


class NoInstance(Exception):
    """There is no instance to run scripts on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Instance:
    """The simulated machine, as far as scripts see it."""

    machine: MachineFolder
    instance_id: str
    region: str
    shims: Path

    def environment(self, command_id: str) -> Mapping[str, str]:
        """Of a script."""
        return {
            "PATH": f"{self.shims}:{SYSTEM_PATH}",
            "LANG": "C.UTF-8",
            "SSM_COMMAND_ID": command_id,
            "AWS_SSM_INSTANCE_ID": self.instance_id,
            "AWS_SSM_REGION_NAME": self.region,
            "AWS_SSM_PLATFORM_NAME": PLATFORM,
            "AWS_SSM_PLATFORM_VERSION": PLATFORM_VERSION,
            VARIABLE: str(self.machine.path),
        }

    def folder(self, command_id: str) -> Path:
        """Of a command's files on the instance."""
        root = self.machine.on_instance(_ORCHESTRATION.format(self.instance_id))
        return root.joinpath(command_id, *document.STEP_FOLDER)

    def working_directory(self, asked: str) -> Path:
        """Where a script starts: an absolute folder, or that of the agent.

        A folder of the instance is taken before one of this system. The agent's own, /usr/bin, is
        always the instance's, for nothing must be left in that of this system.
        """
        if not Path(asked).is_absolute():
            folder = self.machine.on_instance(_AGENT_FOLDER)
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        simulated = self.machine.on_instance(asked)
        try:
            return simulated if simulated.is_dir() else Path(asked)
        except OSError:  # Such as a name that is too long: it is the agent's to say so.
            return Path(asked)


@contextmanager
def found(folder: Path | None, region: str | None) -> Iterator[Instance]:
    """The machine in `folder`, or that which the environment names, with its shims.

    `region` is where it is, unless it is where the machine says. Raises NoInstance.
    """
    try:
        machine = MachineFolder.locate(os.environ, folder)
        configuration = Configuration.read(machine.path / "machine.json")
    except (FolderRefused, BadConfiguration) as error:
        raise NoInstance(str(error)) from error
    with TemporaryDirectory(prefix="attested-kms-ssm-") as temporary:
        shims = Path(temporary, "shims")
        _write_shims(shims, machine)
        yield Instance(machine, configuration.instance_id, region or configuration.region, shims)


def _write_shims(folder: Path, machine: MachineFolder) -> None:
    finished = subprocess.run(  # noqa: S603  # Our own command, no shell.
        [
            *(sys.executable, "-m", "simulator.cli", "shims", str(folder), "--packages"),
            *("--machine", str(machine.path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise NoInstance(f"The instance's commands cannot be written: {finished.stderr.strip()}")


class AgentConnection:
    """The agent's process. `heard` is called on a thread of its own for each reply."""

    def __init__(self, heard: Callable[[Reply], None]) -> None:
        self._heard = heard
        self._sending = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulator.systems_manager.agent"],
            env=without_aws(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the service, which then ends the agent.
            process_group=0,
        )
        self._listener = Thread(target=self._listen, name="ssm-agent", daemon=True)
        self._listener.start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def tell(self, message: Run | Cancel) -> None:
        """Give it something to do. One that has ended hears nothing, as one that is gone."""
        pipe = self._process.stdin
        with self._sending:
            if pipe is None or pipe.closed:
                return
            try:
                pipe.write(message.line())
                pipe.flush()
            except BrokenPipeError:
                return

    def close(self) -> None:
        """End it, with every process that came of its scripts."""
        with self._sending:
            if self._process.stdin is not None:
                with suppress(BrokenPipeError):  # It has ended already.
                    self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _listen(self) -> None:
        lines = self._process.stdout
        for line in lines if lines is not None else ():
            self._heard(Reply.of(line))


def commands_run(
    instance: Instance,
    command_id: str,
    parameters: Mapping[str, Sequence[str]],
    *,
    second: float,
    delay_seconds: float,
    times: int,
) -> Run:
    """What the agent is told for a command of AWS-RunShellScript."""
    timeout = document.timeout_of(document.only(parameters, "executionTimeout"))
    asked = document.only(parameters, "workingDirectory")
    return Run(
        command_id=command_id,
        commands=parameters["commands"],
        folder=str(instance.folder(command_id)),
        working_directory=str(instance.working_directory(asked)),
        timeout_seconds=timeout * second,
        environment=instance.environment(command_id),
        delay_seconds=delay_seconds * second,
        times=times,
    )
