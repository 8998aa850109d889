"""Run a program on a simulated instance and wait for its end.

All programs that run on a machine at a time are in one mount namespace, that of the first: an
overlay of its own for each would give each its own view of what the others write.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

from simulator import shim
from simulator.machine_shell.enter import Entry
from simulator.machine_shell.layout import LAYERED, SEARCH_PATH, Layout, kept
from simulator.nitro_cli.connection import hold
from simulator.nitro_cli.places import VARIABLE, MachineFolder
from simulator.packages.catalogue import CATALOGUE
from simulator.packages.contents import at
from simulator.packages.programs import programs

INTERACTIVE = ("bash", "--noprofile", "--norc")

_HOME = "/root"
_OF_THIS_USER = frozenset(
    ["BASH_ENV", "CDPATH", "ENV", "OLDPWD", "PWD", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"]
)
_OF_PYTHON = "PYTHON"


class BadPlace(Exception):
    """The machine's folder is where no shell can keep what scripts write; the message says so."""


class _Shells:
    """The programs that run on one machine: who they are, and that they are not laid out twice."""

    def __init__(self, state: Path) -> None:
        self._state = state
        state.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pids = state / "processes"
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Shared, once the first one has laid out what the others enter.
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            self.is_first = False
        else:
            shutil.rmtree(self._pids, ignore_errors=True)
            self.is_first = True
        self._pids.mkdir(exist_ok=True)

    def others(self) -> list[int]:
        """The processes of the other programs; some may have ended."""
        return sorted(int(path.name) for path in self._pids.iterdir())

    def entered(self, pid: int) -> None:
        """The process is on the instance; others may follow it there."""
        (self._pids / str(pid)).touch()
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def left(self, pid: int) -> None:
        """It has ended."""
        (self._pids / str(pid)).unlink(missing_ok=True)

    def close(self) -> None:
        """Nobody who follows needs this program any more."""
        # Overlayfs makes folders that nobody may enter, which hinders whoever removes the machine.
        for folder in self._state.glob("work/*/work"):
            folder.chmod(0o700)
        os.close(self._lock)


def run(
    folder: MachineFolder,
    words: Sequence[str],
    environ: Mapping[str, str],
    *,
    home: str = _HOME,
) -> int:
    """Run the words on the machine, whose broker lives as long; returns as `subprocess` does.

    Raises BadPlace, BrokerUnreachable, and OSError where the machine's folder cannot be written.
    """
    for top in LAYERED:
        if folder.path.resolve().is_relative_to(top):
            # What is written to a layer may not be kept below it (overlayfs).
            raise BadPlace(
                f"The machine's folder {folder.path} is in {top}, which a shell has a layer over; "
                f"make the machine elsewhere, and name it in {VARIABLE}."
            )
    # Before: a broker that was started there would see what only scripts are to see.
    connection = hold(folder)
    shells = _Shells(folder.path / "shell")
    try:
        entry = _entry(folder, words, _environment(folder, environ, home), shells)
        with _entering(entry) as child:
            shells.entered(child.pid)
            try:
                return _ended(child)
            finally:
                shells.left(child.pid)
    finally:
        shells.close()
        connection.close()


def _entry(
    folder: MachineFolder,
    words: Sequence[str],
    environment: Mapping[str, str],
    shells: _Shells,
) -> Entry:
    root, state = folder.path / "root", folder.path / "shell"
    links, own_command = state / "links", state / "attested-kms"
    if shells.is_first:
        places = _programs()
        _make_executable(root, places.values())
        shim.write(own_command, shim.script(shim.OWN_COMMAND))
        shutil.rmtree(links, ignore_errors=True)
        for path, target in Layout(root).links(places, own_command):
            place = at(links, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
    current = Path.cwd()
    read = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, *shim.search_path())]
    return Entry(
        root=str(root),
        links=str(links),
        state=str(state),
        others=shells.others(),
        kept=kept([folder.path.resolve(), current], read),
        folder=str(current),
        home=environment["HOME"],
        words=list(words),
        environment=dict(environment),
    )


def _programs() -> dict[str, str]:
    """Where packages put the programs that the simulator has, by their names."""
    paths = [PurePath(path) for package in CATALOGUE for path in programs(package)]
    return {path.name: str(path) for path in paths if path.name in shim.ALL}


def _make_executable(root: Path, places: Iterable[str]) -> None:
    """In the place of marks that an older version has left on the machine."""
    for path in places:
        place = at(root, path)
        if place.exists() and not shim.is_shim(place):
            shim.write(place, shim.script(shim.ALL[place.name]))


def _environment(folder: MachineFolder, environ: Mapping[str, str], home: str) -> dict[str, str]:
    """Of root on the instance: what is of this system's user and of this Python stays behind."""
    passed = {
        name: value
        for name, value in environ.items()
        if name not in _OF_THIS_USER and not name.startswith(_OF_PYTHON)
    }
    own = {
        "HOME": home,
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/bash",
        "PATH": SEARCH_PATH,
        "PS1": r"[root@instance \W]# ",
        VARIABLE: str(folder.path),
    }
    return {**passed, **own}


@contextmanager
def _entering(entry: Entry) -> Iterator[subprocess.Popen[bytes]]:
    """The process, once it is on the instance or has failed to get there."""
    code = (
        f"import sys; sys.path[:0] = {shim.search_path()!r}; "
        "from simulator.machine_shell.enter import main; main(sys.argv[1:])"
    )
    ready, tell = os.pipe()
    try:
        child = subprocess.Popen(  # noqa: S603  # Ours, no shell.
            [sys.executable, "-IS", "-X", "utf8", "-c", code, entry.to_json(), str(tell)],
            pass_fds=[tell],
        )
    finally:
        os.close(tell)
    with child:
        os.read(ready, 1)
        os.close(ready)
        yield child


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Ctrl-C is for the program, which is in the same group."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
