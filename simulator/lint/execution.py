"""What becomes of a command in an image: which file is run, and what stops it.

A prediction of `execvpe` in init, of the kernel, and of the dynamic loader. It speaks only of what
is sure from the files; the rules decide what to say where there are none.

Source: glibc's execvpe, which the init of nitro-cli 1.4.4 is linked with and which gives /bin/sh
what the kernel does not know (an init that is built with musl, as sdk-bootstrap's default.nix does,
would not); Linux fs/binfmt_*.c. Read, not run (inferred).
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from simulator.images import Kind
from simulator.images.elf import Elf
from simulator.images.image import ARCHITECTURES
from simulator.lint import boot_report
from simulator.lint.boot_report import LOOKUP, BootReport
from simulator.lint.files import EnclaveFiles
from simulator.lint.programs import NoProgram, Script, Unclear

_SHELL = "/bin/sh"
_LARGEST_SCRIPT = 1 << 20
_LOOKED_FURTHER = {errno.EACCES, errno.ENOENT}
"""After these execvpe tries the next folder."""
_DEEPEST = 5
"""Scripts that interpret scripts: more is ELOOP."""
_NOT_FOUND = 127
_MOST_LIBRARIES = 500
_LIBRARY_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")


class Obstacle(enum.Enum):
    """What stops a command."""

    MISSING = "there is no such file"
    NOT_FOUND = "it is in none of the folders that are looked in"
    HIDDEN = "the image's file is hidden by what init mounts"
    NOT_EXECUTABLE = "the file may not be executed"
    INTERPRETER = "its interpreter is missing"
    NO_PROGRAM = "it is neither a program nor a script with #!"
    ARCHITECTURE = "it is of another architecture"
    LIBRARY = "a shared library is missing"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A command that does not come to run."""

    obstacle: Obstacle
    path: str
    """The file that is meant."""
    what: str = ""
    """The interpreter, the library, or the architecture."""
    error: int = errno.ENOENT
    """The errno of execvpe; 0 where the program starts and then fails."""
    says: str = ""
    """What the program then says."""

    def report(self, argv: Sequence[str]) -> BootReport:
        """The boot that comes of it."""
        if self.error:
            return boot_report.not_started(argv, self.error)
        return boot_report.ended(argv, _NOT_FOUND, says=(f"<{self.says}>",))


@dataclass(frozen=True, slots=True)
class Execution:
    """What is known of a command."""

    path: str = ""
    """The file that is run; empty where there is none."""
    stopped: Stopped | None = None
    by_shell: bool = False
    """Whether it runs only because /bin/sh takes it for a script."""


class Executor:
    """Runs commands in thought."""

    def __init__(self, files: EnclaveFiles, architecture: str, path: str) -> None:
        """`path` is PATH in the program's environment, where `env` looks."""
        self._files = files
        self._architecture = architecture
        self._path = path

    def run(self, argv: Sequence[str]) -> Execution:
        """What becomes of a command."""
        if "/" in argv[0]:
            return self._execute(absolute(argv[0]))
        paths = [f"{folder}/{argv[0]}" for folder in LOOKUP if argv[0]]
        tried = [self._execute(path) for path in paths if self._files.has(path)]
        for found in tried:
            if found.stopped is None or found.stopped.error not in _LOOKED_FURTHER:
                return found
        denied = [each for each in tried if _error_of(each) == errno.EACCES]
        return next(
            iter([*denied, *tried]), Execution(stopped=Stopped(Obstacle.NOT_FOUND, argv[0]))
        )

    def elsewhere(self, name: str) -> str | None:
        """Where PATH of the image has a program that init does not find."""
        for folder in self._path.split(":"):
            path = absolute(f"{folder}/{name}")
            if folder and self._files.has(path):
                return path
        return None

    def _execute(self, path: str) -> Execution:
        stopped = self._follow(path, 0)
        if stopped is None or stopped.error != errno.ENOEXEC:
            return Execution(path, stopped)
        shell = self._follow(_SHELL, 0)
        if shell is not None:
            return Execution(path, replace(stopped, error=shell.error, says=shell.says))
        if self._files.text(path, _LARGEST_SCRIPT) is not None:
            return Execution(path, by_shell=True)
        says = f"{_SHELL} takes {path} for a script, and fails"
        return Execution(path, replace(stopped, error=0, says=says))

    def _follow(self, path: str, depth: int) -> Stopped | None:
        entry = self._files.find(path)
        if entry is None:
            hidden = self._files.is_hidden(path)
            return Stopped(Obstacle.HIDDEN if hidden else Obstacle.MISSING, path)
        if entry.kind not in {Kind.FILE, Kind.HARDLINK} or not entry.mode & 0o111:
            return Stopped(Obstacle.NOT_EXECUTABLE, path, error=errno.EACCES)
        match self._files.program(entry):
            case Elf() as program:
                return self._loaded(path, program)
            case Script() as script:
                return self._interpreted(path, script, depth)
            case NoProgram():
                return Stopped(Obstacle.NO_PROGRAM, path, error=errno.ENOEXEC)
            case Unclear():
                return None

    def _interpreted(self, path: str, script: Script, depth: int) -> Stopped | None:
        if depth == _DEEPEST:
            return Stopped(Obstacle.INTERPRETER, path, script.interpreter, errno.ELOOP)
        interpreter = absolute(script.interpreter)
        stopped = self._follow(interpreter, depth + 1)
        if stopped is not None:
            if stopped.obstacle in {Obstacle.MISSING, Obstacle.HIDDEN}:
                return Stopped(Obstacle.INTERPRETER, path, script.interpreter)
            return stopped
        wanted = _asked_of_env(script)
        if wanted is not None and self._path and self.elsewhere(wanted) is None:
            says = f"env: {wanted}: No such file or directory"
            return Stopped(Obstacle.INTERPRETER, path, wanted, 0, says)
        return None

    def _loaded(self, path: str, program: Elf) -> Stopped | None:
        wanted = ARCHITECTURES.get(self._architecture)
        if wanted is not None and program.architecture != wanted:
            return Stopped(Obstacle.ARCHITECTURE, path, program.architecture, errno.ENOEXEC)
        if program.interpreter is None:
            return None
        loader = self._files.find(absolute(program.interpreter))
        if loader is None:
            return Stopped(Obstacle.INTERPRETER, path, program.interpreter)
        if not loader.mode & 0o111:
            return Stopped(Obstacle.INTERPRETER, path, program.interpreter, errno.EACCES)
        missing = next(self._missing(program, program.interpreter), None)
        if missing is None:
            return None
        return Stopped(
            Obstacle.LIBRARY,
            path,
            missing,
            0,
            f"the loader says that {missing} cannot be opened: No such file or directory",
        )

    def _missing(self, program: Elf, interpreter: str) -> Iterator[str]:
        """Libraries of which no file in the whole image has the name."""
        ahead, seen = list(program.needed), set(program.needed)
        loader = interpreter.rpartition("/")[2]
        while ahead and len(seen) < _MOST_LIBRARIES:
            name = ahead.pop()
            base = name.rpartition("/")[2]
            # The loader is a library too, under its own name; musl's is its libc as well.
            if base == loader or (loader.startswith("ld-musl-") and base.startswith("libc.musl-")):
                continue
            if not self._files.has_name(base):
                yield name
            for found in self._library(name):
                ahead += [each for each in found.needed if each not in seen]
                seen.update(found.needed)

    def _library(self, name: str) -> Iterator[Elf]:
        """Where it is usually found; its own libraries are not followed where it is elsewhere."""
        for folder in self._library_folders():
            entry = self._files.find(f"{folder}/{name}")
            if entry is not None and entry.content is not None:
                match self._files.program(entry):
                    case Elf() as found:
                        yield found
                        return

    def _library_folders(self) -> tuple[str, ...]:
        triplet = f"{ARCHITECTURES.get(self._architecture, '')}-linux-gnu"
        multiarch = (f"/lib/{triplet}", f"/usr/lib/{triplet}")
        return (*multiarch, *_LIBRARY_FOLDERS)


def _error_of(execution: Execution) -> int:
    return execution.stopped.error if execution.stopped is not None else 0


def absolute(path: str) -> str:
    """A path as init's child sees it: it starts in `/`."""
    return path if path.startswith("/") else f"/{path}"


def _asked_of_env(script: Script) -> str | None:
    """The program that `#!/usr/bin/env NAME` looks for along PATH."""
    if script.interpreter.rpartition("/")[2] != "env" or not script.argument:
        return None
    words = script.argument.split()
    if words[0] == "-S":
        words = words[1:]
    name = words[0] if words else ""
    return name if name and "/" not in name and "=" not in name and name[0] != "-" else None
