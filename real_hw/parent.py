"""The parent instance as scenarios meet it: this machine, its nitro-cli, and images to build from.

Enclaves that ran before are left alone; those that a scenario starts end with it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from real_hw import nitro_cli
from real_hw.actions import ActionFailed, Actions, Command
from real_hw.image import Images
from real_hw.interruption import Interruption
from real_hw.leaves import Dialler
from real_hw.settings import Settings
from real_hw.undo import Entry, Ledger
from scenarios.target import Finished
from scenarios.workload.parent_programs import PROGRAMS

PATIENCE_SECONDS = 60.0
COMMAND_SECONDS = 600.0
"""Of a scenario's nitro-cli: it may wait for a boot or build an image."""

_SCENARIO = "the scenario's own command"


class ScenarioImages:
    """The container images that scenarios ask for, each built once in a run."""

    def __init__(self, actions: Actions, images: Images) -> None:
        self._actions = actions
        self._images = images
        self._folder: Path | None = None
        self._front = ""
        self._built: dict[str, str] = {}

    def image(self, entrypoint: Sequence[str] | None, cmd: Sequence[str] | None) -> str:
        """The URI of an image with this ENTRYPOINT and this CMD."""
        folder = self._folder or self._write()
        words = (("ENTRYPOINT", entrypoint), ("CMD", cmd))
        lines = "".join(f"{name} {json.dumps(list(one))}\n" for name, one in words if one)
        if lines not in self._built:
            text = self._front + lines
            self._actions.write(folder / "Dockerfile", text, "what the scenario's image runs")
            self._built[lines] = self._images.build(folder, f"scenario-{len(self._built) + 1}")
        return self._built[lines]

    def _write(self) -> Path:
        folder = self._images.write_sample("scenario")
        for name, text in PROGRAMS.items():
            why = f"the program /{name} of the scenarios' images"
            self._actions.write(folder / "rootfs" / name, text, why, mode=0o755)
        written = self._actions.read(folder / "Dockerfile", "FROM scratch\nCOPY rootfs/ /\n")
        kept = (line for line in written.splitlines() if not line.startswith(("CMD", "ENTRYPOINT")))
        self._front = "".join(f"{line}\n" for line in kept)
        self._folder = folder
        return folder


class HardwareParent:
    """This machine, for one scenario."""

    def __init__(
        self,
        actions: Actions,
        settings: Settings,
        dialler: Callable[[], Dialler],
        images: ScenarioImages,
        *,
        boots: bool = True,
    ) -> None:
        """Without `boots` no enclave boots here, and nobody can be dialled."""
        self.folder = str(settings.work / "scenario-files")
        self.cpus = settings.cpus if boots else 0
        self.memory_mib = settings.memory_mib if boots else 0
        self._actions = actions
        self._home = str(settings.work / "home")
        self._dialler = dialler
        self._images = images
        self._before: set[str] | None = None
        """The enclaves that ran before the first that a scenario ran."""

    def image(
        self, *, entrypoint: Sequence[str] | None = None, cmd: Sequence[str] | None = None
    ) -> str:
        """The URI of an image with the programs `/hello` and `/once`."""
        return self._images.image(entrypoint, cmd)

    def nitro_cli(
        self, *arguments: str, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        """Run nitro-cli to its end."""
        return self._run(arguments, environment or {}, None)

    def nitro_cli_killed(self, *arguments: str, after: str) -> Finished:
        """Run nitro-cli and kill it once it has printed `after`, or at its end."""
        return self._run(arguments, {}, after)

    def read(self, path: str) -> str:
        """A text file of this machine."""
        return self._actions.read(Path(path), "")

    def size(self, path: str) -> int | None:
        """The size of a file of this machine, or None."""
        return self._actions.size(Path(path), None)

    def ask(self, cid: int, port: int, line: bytes) -> bytes:
        """Dial an enclave, send a line and give the line that comes back."""
        why = "the scenario asks the enclave"
        return self._dialler().line(cid, port, line, why=why, patience=PATIENCE_SECONDS)

    def end_enclaves(self) -> None:
        """End the enclaves that the scenario ran. Raises ActionFailed."""
        failed = []
        for enclave_id in self._running() - self._before if self._before is not None else ():
            try:
                nitro_cli.terminate(self._actions, enclave_id, "a scenario's enclave goes")
            except ActionFailed as error:
                failed.append(str(error))
        if failed:
            raise ActionFailed("; ".join(failed))

    def _running(self) -> set[str]:
        there = nitro_cli.enclaves(self._actions, "which enclaves run: others' are left alone")
        return {str(one.get("EnclaveID")) for one in there}

    def _run(
        self, arguments: Sequence[str], environment: Mapping[str, str | None], after: str | None
    ) -> Finished:
        if "run-enclave" in arguments and self.cpus and self._before is None:
            self._before = self._running()
        return self._actions.run(self._command(arguments, environment, after))

    def _command(
        self, arguments: Sequence[str], environment: Mapping[str, str | None], after: str | None
    ) -> Command:
        return Command(
            (nitro_cli.PROGRAM, *arguments),
            f"{_SCENARIO}: {shlex.join(arguments[:1])}",
            nitro_cli.SOURCE,
            # nitro-cli leaves files in HOME; those of scenarios go with the run.
            environment={"HOME": self._home, **environment},
            seconds=COMMAND_SECONDS,
            kill_after=after,
            interruptible="run-enclave" not in arguments,
        )


@contextmanager
def scenario_parent(
    actions: Actions,
    settings: Settings,
    ledger: Ledger,
    interruption: Interruption,
    parent: HardwareParent,
) -> Iterator[HardwareParent]:
    """The parent instance with an empty folder and, at the end again, no enclave of a scenario."""

    def undo(_: Entry) -> None:
        try:
            parent.end_enclaves()
        finally:
            actions.remove(Path(parent.folder), "the scenario's files go")

    entry = ledger.begin("enclaves of a scenario", undo)
    for folder in (Path(parent.folder), settings.work / "home"):
        actions.make_folder(folder, "for what the scenario builds")
    entry.made(parent.folder)
    try:
        yield parent
    finally:
        with interruption.undoing():
            entry.undo()
    interruption.check()
