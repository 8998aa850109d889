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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread

from simulator import shim
from simulator.environment import without_aws
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.machine_shell import shell
from simulator.machine_shell.layout import SEARCH_PATH
from simulator.nitro_cli.connection import BrokerUnreachable
from simulator.nitro_cli.places import VARIABLE, FolderRefused, MachineFolder
from simulator.systems_manager import document
from simulator.systems_manager.messages import Cancel, Reply, Run

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
    why_not_laid_out: str
    """Empty where scripts see the instance's files at their paths (`attested-kms machine shell`).
    Else why they do not; then they find its commands alone."""
    shims: Path
    """The folder of those commands, where they are needed."""
    files: int
    """A descriptor of the folder of its files, by which it is known again."""

    def is_there(self) -> bool:
        """Whether the machine has not been removed, nor another been made in its place."""
        try:
            found = (self.machine.path / "root").stat()
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self.files))

    def environment(self, command_id: str) -> Mapping[str, str]:
        """Of a script."""
        return {
            "PATH": f"{self.shims}:{SEARCH_PATH}" if self.why_not_laid_out else SEARCH_PATH,
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

        Where the instance is not laid out, its folder is taken before one of this system; the
        agent's own, /usr/bin, always, for nothing must be left in that of this system.
        """
        if not self.why_not_laid_out:
            return Path(asked if Path(asked).is_absolute() else _AGENT_FOLDER)
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
    with ExitStack() as stack:
        shims = Path()
        try:
            files = os.open(machine.path / "root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, files)
            why_not = shell.why_not(machine)
            if why_not:
                shims = Path(stack.enter_context(TemporaryDirectory(prefix="attested-kms-ssm-")))
                shim.write_all(shims, shim.ALL, machine.path)
        except BrokerUnreachable as error:
            raise NoInstance(str(error)) from error
        except OSError as error:
            raise NoInstance(f"{error.filename or machine.path} ({error.strerror})") from error
        region = region or configuration.region
        yield Instance(machine, configuration.instance_id, region, why_not, shims, files)


class AgentConnection:
    """The agent's process. `heard` is called on a thread of its own for each reply."""

    def __init__(self, instance: Instance, heard: Callable[[Reply], None]) -> None:
        self._heard = heard
        self._sending = Lock()
        self._stack = ExitStack()
        self._process = self._stack.enter_context(_agent(instance))
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
                pipe.write(message.line().encode())
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
        self._stack.close()

    def _listen(self) -> None:
        lines = self._process.stdout
        for line in lines if lines is not None else ():
            self._heard(Reply.of(line.decode()))


@contextmanager
def _agent(instance: Instance) -> Iterator[subprocess.Popen[bytes]]:
    """Its process, on the instance where that can be. Ctrl-C is for the service, which ends it."""
    code = (
        f"import sys; sys.path[:0] = {shim.search_path()!r}; "
        "from simulator.systems_manager.agent import main; main()"
    )
    words = [sys.executable, "-IS", "-X", "utf8", "-c", code]
    environment = without_aws(os.environ)
    pipe = subprocess.PIPE
    if instance.why_not_laid_out:
        with subprocess.Popen(  # noqa: S603  # Ours, no shell.
            words, env=environment, stdin=pipe, stdout=pipe, process_group=0
        ) as process:
            yield process
        return
    with shell.on_instance(
        instance.machine, words, environment, stdin=pipe, stdout=pipe, process_group=0
    ) as process:
        yield process


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
