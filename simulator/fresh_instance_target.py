"""The fresh instance of the simulator's target: a bare machine, and bash on it.

Each is a folder of its own, made and removed with its context. Its enclaves are the target's, as
those of the parent instance. Scripts run in `attested-kms machine shell`, where paths are the
instance's; those of Systems Manager as its agent runs them, with the instance's commands on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from scenarios.target import Finished, Invocation, ServiceRefusal
from simulator.environment import without_aws
from simulator.images.sample import write_sample
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.machine_shell.layout import SEARCH_PATH
from simulator.nitro_cli.connection import request
from simulator.nitro_cli.places import MachineFolder

if TYPE_CHECKING:
    from simulator.systems_manager.server import Served

_SECONDS = 60.0
_PAUSE_SECONDS = 0.02
_GOES_ON = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
_RUSTUP_USER = "ec2-user"
_SOURCES = "hello"
_BARE = Installation(has_cli=False, has_devel=False, runs_allocator=False)
_ROOT = Path(__file__).resolve().parents[1]


class SimulatedSystemsManager:
    """A client of the service that manages one simulated instance."""

    def __init__(self, served: Served) -> None:
        self._instance_id = served.instance_id
        self._client = boto3.client(
            "ssm",
            region_name=served.region,
            endpoint_url=served.endpoint,
            aws_access_key_id=served.credentials.access_key_id,
            aws_secret_access_key=served.credentials.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def send(
        self, commands: Sequence[str], *, execution_timeout: int | None = None
    ) -> str | ServiceRefusal:
        """SendCommand of AWS-RunShellScript."""
        parameters = {"commands": list(commands)}
        if execution_timeout is not None:
            parameters["executionTimeout"] = [str(execution_timeout)]
        try:
            answer = self._client.send_command(
                DocumentName="AWS-RunShellScript",
                InstanceIds=[self._instance_id],
                Parameters=parameters,
            )
        except ClientError as error:
            said = error.response["Error"]
            return ServiceRefusal(said["Code"], said["Message"])
        command_id: str = answer["Command"]["CommandId"]
        return command_id

    def invocation(self, command_id: str) -> Invocation:
        """GetCommandInvocation until the command has ended. Raises TimeoutError."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            found = self._client.get_command_invocation(
                CommandId=command_id, InstanceId=self._instance_id
            )
            if found["Status"] not in _GOES_ON:
                return Invocation(
                    found["Status"],
                    found["ResponseCode"],
                    found["StandardOutputContent"],
                    found["StandardErrorContent"],
                )
            time.sleep(_PAUSE_SECONDS)
        raise TimeoutError(f"The command {command_id} has not ended in {_SECONDS:.0f} seconds.")

    def listed_output(self, command_id: str) -> str:
        """ListCommandInvocations with Details: the only invocation's only plugin."""
        answer = self._client.list_command_invocations(CommandId=command_id, Details=True)
        output: str = answer["CommandInvocations"][0]["CommandPlugins"][0]["Output"]
        return output


class SimulatedFreshInstance:
    """A bare machine's folder, and a folder for scripts."""

    def __init__(self, machine: MachineFolder, folder: Path, *, user: str | None) -> None:
        """`user` has a toolchain of rustup, and scripts that user's HOME and PATH; None: root's."""
        self._machine = machine
        self.folder = folder
        home = f"/home/{user}" if user else "/root"
        self._login = {
            "HOME": home,
            "PATH": f"{home}/.cargo/bin:{SEARCH_PATH}" if user else SEARCH_PATH,
        }
        self._stack = ExitStack()
        self._systems_manager: SimulatedSystemsManager | None = None

    def close(self) -> None:
        """End what runs on it: scripts, enclaves, the broker."""
        self._stack.close()
        for _ in request(self._machine, "stop"):
            pass

    def shell(
        self, script: str, *, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        """Run a script with bash to its end, in the folder with `hello/`."""
        changes = {**self._login, **(environment or {})}
        unset = [word for name, value in changes.items() if value is None for word in ("-u", name)]
        set_to = [f"{name}={value}" for name, value in changes.items() if value is not None]
        finished = subprocess.run(  # noqa: S603  # A scenario's own script.
            [
                *(sys.executable, "-m", "simulator.cli", "machine", "shell"),
                *("--machine", str(self._machine.path), "--"),
                *("env", *unset, *set_to, "bash", "-c", script),
            ],
            cwd=self.folder,
            env={**without_aws(os.environ), "PYTHONPATH": str(_ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout, finished.stderr)

    @property
    def systems_manager(self) -> SimulatedSystemsManager:
        """The service of this instance, which starts when it is first asked for."""
        if self._systems_manager is None:
            # moto's models look into the user's own AWS configuration as they are loaded, so only
            # once the target has turned away from it.
            from simulator.systems_manager.server import serving

            served = self._stack.enter_context(serving(self._machine.path))
            self._systems_manager = SimulatedSystemsManager(served)
            self._stack.callback(self._systems_manager.close)
        return self._systems_manager


class FreshInstances:
    """What the fresh instances of a target share: whose their enclaves are, an image's sources."""

    def __init__(self, *, server: str, role_arn: str) -> None:
        """`server` is the management endpoint of the target's enclaves."""
        self._configuration = Configuration(join=server, role_arn=role_arn)
        self._stack = ExitStack()
        self._sources: Path | None = None

    def close(self) -> None:
        """Remove what they share."""
        self._stack.close()

    def can_be(self) -> bool:
        """Whether this machine lets an instance be laid over it (`attested-kms machine shell`)."""
        with self._made(user=None) as instance:
            return instance.shell("exit 0").exit_code == 0

    @contextmanager
    def fresh_instance(self, *, with_rustup: bool) -> Iterator[SimulatedFreshInstance]:
        """A bare machine; at the end its enclaves, its broker and its files are gone."""
        with self._made(user=_RUSTUP_USER if with_rustup else None) as instance:
            shutil.copytree(self._sample(), instance.folder / _SOURCES, symlinks=True)
            yield instance

    @contextmanager
    def _made(self, *, user: str | None) -> Iterator[SimulatedFreshInstance]:
        with TemporaryDirectory(prefix="attested-kms-") as temporary:
            machine = MachineFolder.locate({}, Path(temporary, "machine"), make=False)
            make(machine.path, self._configuration, replace(_BARE, rustup_user=user))
            folder = Path(temporary, "work")
            folder.mkdir()
            with closing(SimulatedFreshInstance(machine, folder, user=user)) as instance:
                yield instance

    def _sample(self) -> Path:
        if self._sources is None:
            shared = self._stack.enter_context(TemporaryDirectory(prefix="attested-kms-"))
            self._sources = Path(shared, _SOURCES)
            write_sample(self._sources)
        return self._sources
