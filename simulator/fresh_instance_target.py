"""The fresh instance of the simulator's target: a bare machine, and bash with its commands on PATH.

Each is a folder of its own, made and removed with its context. Its enclaves are the target's, as
those of the parent instance. What is not a command of the instance is this machine's: bash itself,
coreutils, files beyond the scenario's own folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from scenarios.target import Capability, Finished, SystemsManager
from simulator.environment import without_aws
from simulator.images.sample import write_sample
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.nitro_cli.connection import request
from simulator.nitro_cli.places import VARIABLE, MachineFolder

_SECONDS = 60.0
_HOME = "/root"
_SOURCES = "hello"
_BARE = Installation(has_cli=False, has_devel=False, runs_allocator=False)
_ROOT = Path(__file__).resolve().parents[1]
_COMMAND = """\
#!/bin/sh
PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}} exec "{python}" -m simulator.cli "$@"
"""


class SimulatedFreshInstance:
    """A bare machine's folder, and a folder for scripts."""

    def __init__(self, machine: MachineFolder, folder: Path, commands: Path) -> None:
        self._machine = machine
        self._folder = folder
        self._commands = commands

    def shell(
        self, script: str, *, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        """Run a script with bash to its end, in the folder with `hello/`."""
        finished = subprocess.run(  # noqa: S603  # A scenario's own script.
            ["bash", "-c", script],  # noqa: S607  # Whichever this machine has.
            cwd=self._folder,
            env=self._environment(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout, finished.stderr)

    @property
    def systems_manager(self) -> SystemsManager:
        """Not there yet, as the target's capabilities say."""
        raise LookupError(Capability.SYSTEMS_MANAGER)

    def _environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        merged = {
            **without_aws(os.environ),
            "HOME": str(self._machine.on_instance(_HOME)),
            "PATH": os.pathsep.join((str(self._commands), os.environ.get("PATH", os.defpath))),
            VARIABLE: str(self._machine.path),
            **changes,
        }
        return {name: value for name, value in merged.items() if value is not None}


class FreshInstances:
    """What the fresh instances of a target share: their commands, the image's sources."""

    def __init__(self, *, server: str, role_arn: str) -> None:
        """`server` is the management endpoint of the target's enclaves."""
        self._configuration = Configuration(join=server, role_arn=role_arn)
        self._stack = ExitStack()
        self._shared: Path | None = None

    def close(self) -> None:
        """Remove what they share."""
        self._stack.close()

    @contextmanager
    def fresh_instance(self, *, with_rustup: bool) -> Iterator[SimulatedFreshInstance]:
        """A bare machine; at the end its enclaves, its broker and its files are gone."""
        if with_rustup:
            raise LookupError("No toolchain of rustup is simulated yet.")
        shared = self._shared or self._share()
        with TemporaryDirectory(prefix="attested-kms-") as temporary:
            machine = MachineFolder.locate({}, Path(temporary, "machine"), make=False)
            make(machine.path, self._configuration, _BARE)
            machine.on_instance(_HOME).mkdir(parents=True, exist_ok=True)
            folder = Path(temporary, "work")
            shutil.copytree(shared / _SOURCES, folder / _SOURCES, symlinks=True)
            try:
                yield SimulatedFreshInstance(machine, folder, shared / "bin")
            finally:
                for _ in request(machine, "stop"):
                    pass

    def _share(self) -> Path:
        shared = Path(self._stack.enter_context(TemporaryDirectory(prefix="attested-kms-")))
        write_sample(shared / _SOURCES)
        command = [sys.executable, "-m", "simulator.cli", "shims", str(shared / "bin")]
        subprocess.run(  # noqa: S603  # Ours, no shell.
            [*command, "--packages"],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        ours = shared / "bin" / "attested-kms"
        ours.write_text(_COMMAND.format(root=_ROOT, python=sys.executable))
        ours.chmod(0o755)
        self._shared = shared
        return shared
