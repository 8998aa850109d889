"""A simulated parent instance (docs/reference/machine.md), as a shell on it would show it.

Files are those below `root/` of its folder, and variables that name some of them name them as on
the instance: HOME is /root. Where HOME or a variable of nitro-cli names a folder that is not there,
it is this system's, for the simulator's nitro-cli uses it so. Commands are the shims that are the
instance's programs: nothing of this system's is taken for the instance's.

Doctor itself writes nothing into the machine's folder, and starts no broker to hear that there are
no enclaves. The commands leave behind what they always do: nitro-cli adds to its log, systemctl
leaves its lock, and where a broker was killed with enclaves, `nitro-cli describe-enclaves` starts
another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from simulator.doctor import ending, files, web
from simulator.doctor.aws import Aws
from simulator.doctor.host import (
    COMMAND_SECONDS,
    Answer,
    AwsAnswer,
    CommandMissing,
    HostKind,
    PathKind,
    Ran,
    Unreachable,
)
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.machine.state import BadState, read_state
from simulator.nitro_cli.connection import BrokerUnreachable, is_answering
from simulator.nitro_cli.main import NO_MACHINE
from simulator.nitro_cli.places import VARIABLE, MachineFolder

_FOLDERS = ("HOME", "NITRO_CLI_ARTIFACTS", "NITRO_CLI_BLOBS", "NITRO_CLI_LOGS_PATH")
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_DESCRIBE = ("nitro-cli", "describe-enclaves")
_NITRO_CLI = "/usr/bin/nitro-cli"
_OWN_SENTENCE = " (attested-kms): "
_ROOT = 0


class NoMachine(Exception):
    """There is no machine to examine; the message says why and what to do."""


class SimulatedHost:
    """A Host; see there."""

    kind = HostKind.SIMULATED
    user_id = _ROOT
    """Its files are all this user's, and its commands ask nobody to be root."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        network: bool = False,
        network_seconds: float | None = None,
    ) -> None:
        """`network_seconds` as ThisMachine has it. Raises NoMachine."""
        self._folder = folder.absolute()
        _check_machine(self._folder / "machine.json", folder)
        self.name = f"the simulated parent instance {folder}"
        self._environ = {**environ, VARIABLE: str(self._folder)}
        self.environ: Mapping[str, str] = _on_instance(self._environ, self._folder / "root")
        self._network = network
        self._seconds = network_seconds
        # This system's own metadata service would tell of this system.
        self._aws = Aws(network=network, seconds=network_seconds, knows_instance=False)

    def look(self, path: str) -> PathKind | None:
        """What is at a path."""
        with files.named(path):
            return files.look(self._place(path))

    def read(self, path: str) -> bytes:
        """The beginning of a file."""
        with files.named(path):
            return files.read(self._place(path))

    def entries(self, path: str) -> Sequence[str]:
        """The names in a folder."""
        with files.named(path):
            return files.entries(self._place(path))

    def may_write(self, path: str) -> bool:
        """Whether this process may, where the file really is."""
        try:
            return files.may_write(self._place(path))
        except OSError:
            return False

    def which(self, command: str, path: str | None = None) -> str | None:
        """Where the instance has a program: PATH is the caller's, with the system's behind it."""
        if path is None:
            path = f"{self.environ.get('PATH', '')}:{_SYSTEM_PATH}"
        return files.on_path(command, path, self._is_program)

    def run(self, *words: str, seconds: float = COMMAND_SECONDS) -> Ran:
        """Run a shim."""
        program = self._program(words[0])
        if words == _DESCRIBE and self.look(_NITRO_CLI) and self._rests():
            return Ran(0, "[]\n", "")
        environ = {**self._environ, "PATH": f"{self._inside('/usr/bin')}:{_SYSTEM_PATH}"}
        ran = ending.run(str(program), words, environ, seconds)
        if ran.exit_code == NO_MACHINE and _OWN_SENTENCE in ran.stderr:
            raise OSError(ran.stderr.strip())
        return ran

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Answer:
        """Ask a server, as a program would that runs here: there is no metadata of an instance."""
        if web.is_link_local(url):
            raise Unreachable(f"{web.where(url)} is not simulated for doctor")
        web.check_allowed(url, network=self._network)
        return web.fetch(url, headers or {}, method, self._seconds)

    def ask_aws(
        self, service: str, operation: str, members: Mapping[str, Any], *, region: str
    ) -> AwsAnswer:
        """Call AWS, as a program would that runs here."""
        return self._aws.ask(service, operation, members, region)

    def now(self) -> float:
        """The clock of this system."""
        return time.time()

    def _program(self, name: str) -> Path:
        """The file to execute. Raises CommandMissing, OSError."""
        found = self.which(name)
        if found is None:
            raise CommandMissing(name)
        program = self._inside(found)
        if not os.access(program, os.X_OK):
            raise OSError(f"{name} is on the instance, but is not simulated")
        return program

    def _rests(self) -> bool:
        """Whether it has no enclave for sure, so that no broker need be started to say so.

        Raises OSError where a broker would wait for ever to be told.
        """
        state = self._folder / "state.json"
        if files.look(state) not in {PathKind.FILE, None}:
            raise OSError(f"{state} is no file: which enclaves the machine has is not known")
        try:
            is_awake = is_answering(MachineFolder(self._folder))
            return not is_awake and not read_state(state)
        except (BrokerUnreachable, BadState, OSError):
            return False

    def _place(self, path: str) -> Path:
        """Where a path of the instance is on this system."""
        for name in _FOLDERS:
            folder = PurePosixPath(self.environ.get(name, ""))
            is_below = folder.is_absolute() and PurePosixPath(path).is_relative_to(folder)
            if is_below and not self._inside(str(folder)).exists():
                return Path(path)
        return self._inside(path)

    def _inside(self, path: str) -> Path:
        return files.inside(self._folder / "root", path)

    def _is_program(self, path: str) -> bool:
        """The instance's own programs are markers, which nobody executes."""
        try:
            return files.look(self._inside(path)) is PathKind.FILE
        except OSError:
            return False


def _check_machine(description: Path, folder: Path) -> None:
    """Raises NoMachine, without waiting for what is no file."""
    try:
        kind = files.look(description)
        if kind is PathKind.FILE:
            Configuration.read(description)
    except OSError as error:
        raise NoMachine(f"{error.filename or folder} cannot be read ({error.strerror})") from error
    except BadConfiguration as error:
        raise NoMachine(str(error)) from error
    if kind is None:
        raise NoMachine(
            f"There is no machine in {folder}; attested-kms machine create --machine {folder} "
            "makes one, and --this-machine examines the one that you are on"
        )
    if kind is not PathKind.FILE:
        raise NoMachine(f"{description} is no file, and is not read")


def _on_instance(environ: Mapping[str, str], root: Path) -> Mapping[str, str]:
    """Variables as on the instance: a home folder and what is on PATH lie below its root here."""
    return {name: value.replace(f"{root}/", "/") for name, value in environ.items()}
