"""What a command has left behind in its world.

Looked at are: the enclaves of the machine's broker; the keys of KMS, in every Region; the images of
the machine's Docker engine; processes that are still on the instance; and files: in the command's
TMPDIR, in /root and /home of the instance, and what was written over this system's /etc, /usr,
/var, /opt, /srv (`simulator.machine_shell`). Not looked at: the current folder, and /tmp beside
TMPDIR, which are this system's and have other users.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends

from simulator.images.store import ImageStore
from simulator.machine_shell.shell import processes_on
from simulator.nitro_cli.connection import request
from simulator.rehearsal.world import World

PENDING_DELETION = "PendingDeletion"
_FOLDERS = ("/root", "/home")
_MOST_FILES = 20
_GRACE_SECONDS = 2.0
_PAUSE_SECONDS = 0.02
_OF_PYTEST = "pytest-of-"
"""Where pytest keeps the temporary folders of its last runs."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of KMS."""

    arn: str
    state: str
    description: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Process:
    """A process on the instance."""

    pid: int
    words: list[str]


@dataclass(frozen=True, slots=True)
class Left:
    """All of it."""

    enclaves: list[dict[str, Any]]
    keys: list[Key]
    images: list[str]
    processes: list[Process]
    files: list[str]
    """As the command would name them; of TMPDIR what stands directly in it, folders too."""

    @property
    def too_much(self) -> list[str]:
        """A line for each that should not be there: anything but keys to be deleted."""
        return [
            *(f"enclave {one['EnclaveID']} ({one['State']})" for one in self.enclaves),
            *(f"key {key.arn} ({key.state})" for key in self.keys if _stays(key)),
            *(f"image {name}" for name in self.images),
            *(f"process {one.pid}: {' '.join(one.words)}" for one in self.processes),
            *(f"file {path}" for path in self.files[:_MOST_FILES]),
            *([f"{more} more files"] if (more := len(self.files) - _MOST_FILES) > 0 else []),
        ]

    @property
    def scheduled(self) -> list[str]:
        """A line for each key that is to be deleted, as it should be."""
        return [f"key {key.arn} ({key.state})" for key in self.keys if not _stays(key)]

    def to_json(self) -> dict[str, Any]:
        """Members for JSON."""
        return asdict(self)


def _stays(key: Key) -> bool:
    return key.state != PENDING_DELETION


def watch(world: World) -> Callable[[], Left]:
    """Ask, when the command has ended, for what was not there before."""
    files = set(_files(world))

    def look() -> Left:
        return Left(
            enclaves=_enclaves(world),
            keys=list(_keys()),
            images=_images(world),
            processes=_processes(world),
            files=sorted(set(_files(world)) - files),
        )

    return look


def end_processes(left: Left) -> None:
    """Kill what is still on the instance."""
    for process in left.processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _enclaves(world: World) -> list[dict[str, Any]]:
    answers = [
        message["answer"] for message in request(world.machine, "describe") if "answer" in message
    ]
    return [enclave for answer in answers for enclave in answer]


def _keys() -> Iterator[Key]:
    for backend in list(kms_backends[DEFAULT_ACCOUNT_ID].values()):
        for key in list(backend.keys.values()):
            tags = dict(backend.tagger.get_tag_dict_for_resource(key.id))
            yield Key(key.arn, key.key_state, key.description, tags)


def _images(world: World) -> list[str]:
    names = ImageStore(world.machine.path / "images").names()
    return [name for name in names if name not in world.own_images]


def _processes(world: World) -> list[Process]:
    """Those that do not end by themselves: a signal to a group takes a moment."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while (found := processes_on(world.machine.path / "root")) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
    return [Process(pid, _words(pid)) for pid in found]


def _words(pid: int) -> list[str]:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return os.fsdecode(line).rstrip("\0").split("\0")


def _files(world: World) -> Iterator[str]:
    machine = world.machine.path
    for path in world.temporary.iterdir():
        if not path.name.startswith(_OF_PYTEST):
            yield str(path)
    for folder in _FOLDERS:
        yield from _below(machine / "root" / folder[1:], folder)
    yield from _below(machine / "shell" / "changed", "")
    mounted = machine / "shell" / "mounted"
    for changed in mounted.rglob(".changed"):
        yield from _below(changed, f"/{changed.parent.relative_to(mounted)}")


def _below(folder: Path, shown: str) -> Iterator[str]:
    for path, _, names in os.walk(folder):
        if Path(path).name != "__pycache__":
            yield from (f"{shown}/{Path(path, name).relative_to(folder)}" for name in names)
