"""The images of a run: of the enclave, and those that scenarios build from.

Made of this machine's Python by `attested-kms eif sample`, without a network: a folder with a
Dockerfile FROM scratch that only copies. nitro-cli makes the enclave image of what docker built.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from real_hw import nitro_cli
from real_hw.actions import ActionFailed, Actions, Command
from real_hw.settings import CONTROL_PORT, PROXY_PORT, Settings
from real_hw.undo import Ledger
from scenarios.target import Finished

BUILD_SECONDS = 600.0
_DOCKER = "Docker documentation, docker build"
_SAMPLE = "docs/reference/eif.md"
_STAND_IN = {"Measurements": {f"PCR{index}": "00" * 48 for index in range(3)}}


def attested_kms() -> tuple[str, ...]:
    """The words of the command `attested-kms`: beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name("attested-kms")
    return (str(beside) if beside.exists() else shutil.which("attested-kms") or "attested-kms",)


@dataclass(frozen=True, slots=True)
class EnclaveImage:
    """An enclave image file."""

    path: Path
    pcr0: str
    """As nitro-cli measured it."""


class Images:
    """The container images and enclave images of one run."""

    def __init__(self, actions: Actions, settings: Settings, ledger: Ledger) -> None:
        self._actions = actions
        self._settings = settings
        self._ledger = ledger

    def write_sample(self, name: str, *words: str) -> Path:
        """The folder of an image; it has `rootfs/` and a Dockerfile."""
        folder = self._settings.work / name
        command = Command(
            (*attested_kms(), "eif", "sample", str(folder), *words),
            "a folder with this machine's Python, to make an image of without a network",
            _SAMPLE,
        )
        succeeded(self._actions, command)
        return folder

    def build(self, folder: Path, name: str) -> str:
        """The URI of the container image that docker builds of a folder."""
        uri = f"{self._settings.run_id}-{name}:latest"
        entry = self._ledger.begin("docker-image", lambda entry: self._remove(entry.name or uri))
        command = Command(
            ("docker", "build", "--quiet", "--tag", uri, str(folder)),
            "the container image that nitro-cli takes",
            _DOCKER,
            seconds=BUILD_SECONDS,
        )
        succeeded(self._actions, command)
        entry.made(uri)
        return uri

    def enclave(self) -> EnclaveImage:
        """The enclave image with the reference enclave program."""
        folder = self.write_sample(
            "enclave",
            *("--program", "scenarios.workload.enclave"),
            f"--argument=--control-port={CONTROL_PORT}",
            f"--argument=--proxy-port={PROXY_PORT}",
        )
        uri = self.build(folder, "enclave")
        path = self._settings.work / "enclave.eif"
        words = ("build-enclave", "--docker-uri", uri, "--output-file", str(path))
        command = Command(
            (nitro_cli.PROGRAM, *words),
            "the enclave image, with the reference enclave program in it",
            nitro_cli.SOURCE,
            Finished(0, json.dumps(_STAND_IN), ""),
            # Without HOME, as Systems Manager runs scripts, it is E51; and nothing stays at home.
            environment={"NITRO_CLI_ARTIFACTS": str(self._settings.work / "artifacts")},
            seconds=BUILD_SECONDS,
            # Killed, it would leave a container of linuxkit in docker (inferred).
            interruptible=False,
        )
        measured = nitro_cli.answer(self._actions, command)
        self._actions.remove(folder, "the enclave image has what was in it")
        return EnclaveImage(path, measured["Measurements"]["PCR0"])

    def _remove(self, uri: str) -> None:
        command = Command(
            ("docker", "image", "rm", "--force", uri), "the run's image goes", _DOCKER
        )
        finished = self._actions.run(command)
        if finished.exit_code != 0 and "No such image" not in finished.stderr:
            raise ActionFailed(f"docker kept the image: {finished.stderr.strip()}")


def succeeded(actions: Actions, command: Command) -> Finished:
    """Run a command, which must succeed. Raises ActionFailed with what it printed."""
    finished = actions.run(command)
    if finished.exit_code != 0:
        printed = (finished.stderr or finished.stdout).strip()[-2000:] or "nothing"
        raise ActionFailed(
            f"{' '.join(command.words[:2])} ended with exit code {finished.exit_code}; it was "
            f"for this: {command.why}. It printed: {printed}"
        )
    return finished
