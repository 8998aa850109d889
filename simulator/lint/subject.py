"""What the rules look at: the settings of one image, its files, and what is not known of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from simulator.lint.boot_report import LOOKUP, arguments
from simulator.lint.execution import Execution, Executor, absolute
from simulator.lint.files import MOUNTED, EnclaveFiles

_DEFAULT_PATH = ":".join(LOOKUP)


class Form(enum.Enum):
    """What was given. The value is what the JSON says."""

    DOCKERFILE = "Dockerfile"
    IMAGE = "image"
    INSPECTED = "docker inspect"
    EIF = "EIF"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting stands."""

    text: str
    """The instruction, or the member of the configuration with its value."""
    line: int | None = None

    def __str__(self) -> str:
        return self.text if self.line is None else f"line {self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Words:
    """A list of words: Cmd or Entrypoint."""

    words: tuple[str, ...]
    place: Place
    inherited: bool = False
    """Whether it is the base image's."""


@dataclass(frozen=True, slots=True)
class Text:
    """A single value: USER, WORKDIR, one of ENV."""

    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Base:
    """The image that a Dockerfile builds on, as far as it is known."""

    name: str
    is_empty: bool
    """`FROM scratch`."""
    arrivals: tuple[str, ...] = ()
    """Where files are copied to: what else is there is the base's."""
    runs: bool = False
    """Whether RUN makes files that nobody can foresee."""


@dataclass(frozen=True)
class Subject:
    """One image.

    Each of `cmd` and `entrypoint` is None where the image has none, and `is_known` tells whether
    what the base image has is known too.
    """

    name: str
    form: Form
    cmd: Words | None = None
    entrypoint: Words | None = None
    is_known: bool = True
    env: Sequence[Text] = ()
    """NAME=VALUE."""
    working_dir: Text | None = None
    user: Text | None = None
    ignored: Sequence[Text] = ()
    """Settings that an enclave ignores altogether: the value is the instruction's name."""
    architecture: str = ""
    files: EnclaveFiles | None = None
    base: Base | None = None
    """Of a Dockerfile."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """Of a Dockerfile whose image is not known: the texts of files that it copies, by path."""
    empty_cmd: Place | None = None
    """A `CMD []`, which builders leave out or keep."""
    unbuilt: str = ""
    """Of a Dockerfile: why its image cannot be built here, as a sentence without its full stop."""
    undecided: Sequence[str] = ()
    """What the reader could not tell."""
    missing: Sequence[str] = ()
    """Of an EIF: what init needs of the ramdisk, and does not find."""

    @property
    def command(self) -> Words | None:
        """What nitro-cli takes: Cmd, or else Entrypoint. None where there is or may be none."""
        return self.cmd if self.cmd is not None else self.entrypoint

    @cached_property
    def argv(self) -> tuple[str, ...]:
        """What init gives to execvpe; empty where there is no command."""
        return arguments(self.command.words) if self.command is not None else ()

    @cached_property
    def execution(self) -> Execution | None:
        """What becomes of it; None where the files are not known, or there is no command."""
        if self.executor is None or not self.argv:
            return None
        return self.executor.run(self.argv)

    @cached_property
    def executor(self) -> Executor | None:
        """Runs commands in the image's files, if they are known."""
        if self.files is None:
            return None
        return Executor(self.files, self.architecture, self.path_variable)

    @property
    def path_variable(self) -> str:
        """PATH in the environment of the program."""
        if not self.env:
            return _DEFAULT_PATH if self.is_known else ""
        for text in reversed(self.env):
            name, _, value = text.value.partition("=")
            if name == "PATH":
                return value
        return ""

    def has(self, path: str) -> bool | None:
        """Whether the program would find a file; None if that is not known."""
        path = absolute(path)
        if self.files is not None:
            return self.files.has(path)
        if any(path.startswith(f"{mounted}/") for mounted in MOUNTED):
            return False
        if self.base is None or not self.base.is_empty or self.base.runs:
            return None
        return None if any(_covers(arrival, path) for arrival in self.base.arrivals) else False

    def text(self, path: str, limit: int) -> str | None:
        """The text of a file, if it is known and is one."""
        if self.files is not None:
            return self.files.text(path, limit)
        return self.scripts.get(absolute(path))


def _covers(arrival: str, path: str) -> bool:
    """Whether a file that is copied to `arrival`, which may be a directory, may be `path`."""
    arrival = arrival.rstrip("/")
    return path == arrival or path.startswith(f"{arrival}/")
