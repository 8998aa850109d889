"""Run a program on a simulated instance and wait for its end.

All programs that run on a machine at a time are in one mount namespace, that of the first: an
overlay of its own for each would give each its own view of what the others write.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from tempfile import TemporaryFile

from simulator import shim
from simulator.machine_shell.enter import Entry
from simulator.machine_shell.layout import LAYERED, OWN, SEARCH_PATH, Layout, kept, with_targets
from simulator.nitro_cli.connection import hold
from simulator.nitro_cli.places import VARIABLE, MachineFolder
from simulator.packages.catalogue import CATALOGUE
from simulator.packages.contents import at
from simulator.packages.programs import programs

INTERACTIVE = ("bash", "--noprofile", "--norc")

_HOME = "/root"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ENTER_CODE = (
    "import json, sys; sys.path[:0] = json.loads(sys.argv[1]); "
    "from simulator.machine_shell.enter import main; main(sys.argv[2:])"
)
_ENTER = (sys.executable, "-IS", "-X", "utf8", "-c", _ENTER_CODE)
_OF_THIS_USER = frozenset(
    ["BASH_ENV", "CDPATH", "ENV", "OLDPWD", "PWD", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"]
)
_OF_PYTHON = "PYTHON"


class BadPlace(Exception):
    """The machine's folder is where no shell can keep what scripts write; the message says so."""


class _Entrance:
    """Of one machine: one program at a time goes in, so that it is not laid out twice."""

    def __init__(self, folder: MachineFolder) -> None:
        self._state = folder.path / "shell"
        self._state.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.others = processes_on(folder.path / "root")
        """Processes that are on the instance: programs of before, and what they have left."""

    def let_in(self) -> None:
        """The next one, for this one is there."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """This one has ended."""
        # Overlayfs makes folders that nobody may enter, which hinders whoever removes the machine.
        for pattern in ("work/**/work", "mounted/**/.work/work"):
            for folder in self._state.glob(pattern):
                with suppress(FileNotFoundError):  # The machine is being removed.
                    folder.chmod(0o700)
        os.close(self._lock)


def processes_on(root: Path) -> list[int]:
    """Processes that have the instance's own folder at its path, whoever has started them."""
    own = [(os.path.realpath(top), f"{root}{top}") for top in OWN]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for top, theirs in own:
            # It has ended, or it is somebody else's, whom nobody may look at.
            with suppress(OSError):
                if Path(f"{process}/root{top}").samefile(theirs):
                    found.append(int(process.name))
                    break
    return sorted(found)


def run(folder: MachineFolder, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the words on the machine as root would; returns as `subprocess` does.

    Raises as `on_instance` does.
    """
    with _told() as told, on_instance(folder, words, _environment(folder, environ)) as child:
        return told.until_its_end(child)


class _Told:
    """What this process is told while there is a program for which it is meant."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._before: list[int] = []

    def hear(self, number: int, _frame: object) -> None:
        """A signal's handler. Ctrl-C reaches the program by itself: it is in the same group."""
        if number == signal.SIGINT:
            return
        if self._child is None:
            self._before.append(number)
        else:
            self._child.send_signal(number)

    def until_its_end(self, child: subprocess.Popen[bytes]) -> int:
        """As `Popen.wait`."""
        self._child = child
        for number in self._before:
            child.send_signal(number)
        return child.wait()


@contextmanager
def _told() -> Iterator[_Told]:
    told = _Told()
    # Nohup's are not for the program either.
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heard = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, told.hear)
    try:
        yield told
    finally:
        for number in heard:
            signal.signal(number, before[number])


@contextmanager
def on_instance(
    folder: MachineFolder,
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    process_group: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on the machine with just this environment, in the current folder or in /root.

    The machine's broker lives as long as the context, at whose end the process is waited for. Where
    the machine cannot be laid over this system the process says so and ends with CANNOT_ENTER.

    Raises BadPlace, BrokerUnreachable, and OSError where the machine's folder cannot be written.
    """
    for top in with_targets(LAYERED):
        if folder.path.resolve().is_relative_to(top):
            # What is written to a layer may not be kept below it (overlayfs).
            raise BadPlace(
                f"The machine's folder {folder.path} is in {top}, which a shell has a layer over; "
                f"make the machine elsewhere, and name it in {VARIABLE}."
            )
    # Before: a broker that was started there would see what only scripts are to see.
    connection = hold(folder)
    entrance = _Entrance(folder)
    ready, tell = os.pipe()
    try:
        try:
            entry = _entry(folder, words, environment, entrance.others)
            # Not on the command line, which everybody sees: variables may be secrets, and long.
            with TemporaryFile() as given:
                given.write(entry.to_json().encode())
                given.seek(0)
                child = subprocess.Popen(  # noqa: S603  # Ours, no shell.
                    [*_ENTER, json.dumps(shim.search_path()), str(given.fileno()), str(tell)],
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    process_group=process_group,
                    pass_fds=[given.fileno(), tell],
                )
        finally:
            os.close(tell)
        with child:
            # Its end is that of `tell`: the process is there, or has failed to get there.
            os.read(ready, 1)
            entrance.let_in()
            try:
                yield child
            finally:
                child.wait()
    finally:
        os.close(ready)
        entrance.close()
        connection.close()


def why_not(folder: MachineFolder) -> str:
    """Why no process can be on the machine here, in a sentence; empty if one can.

    Raises BrokerUnreachable, and OSError where the machine's folder cannot be written.
    """
    try:
        with on_instance(folder, ["true"], {"PATH": SEARCH_PATH}, stderr=subprocess.PIPE) as child:
            _, said = child.communicate()
    except BadPlace as error:
        return str(error)
    return said.decode(errors="replace").strip() if child.returncode else ""


def _entry(
    folder: MachineFolder,
    words: Sequence[str],
    environment: Mapping[str, str],
    others: Sequence[int],
) -> Entry:
    root, state = folder.path / "root", folder.path / "shell"
    links, own_command = state / "links", state / "attested-kms"
    if not others:
        places = _programs()
        _make_executable(root, places.values())
        shim.write(own_command, shim.script(shim.OWN_COMMAND))
        shutil.rmtree(links, ignore_errors=True)
        for path, target in Layout(root).links(places, own_command):
            place = at(links, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
    try:
        current = Path.cwd()
    except FileNotFoundError:  # It has been removed.
        current = Path(_HOME)
    read = [Path(path) for path in (sys.prefix, sys.base_prefix, *shim.search_path())]
    read += [path.resolve() for path in read]
    return Entry(
        root=str(root),
        links=str(links),
        state=str(state),
        others=others,
        kept=kept([folder.path.resolve(), current], read),
        folder=str(current),
        home=_HOME,
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


def _environment(folder: MachineFolder, environ: Mapping[str, str]) -> dict[str, str]:
    """Of root on the instance: what is of this system's user and of this Python stays behind."""
    passed = {
        name: value
        for name, value in environ.items()
        if name not in _OF_THIS_USER and not name.startswith(_OF_PYTHON)
    }
    own = {
        "HOME": _HOME,
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/bash",
        "PATH": SEARCH_PATH,
        "PS1": r"[root@instance \W]# ",
        VARIABLE: str(folder.path),
    }
    return {**passed, **own}
