"""A machine as dnf, rpm and systemctl see it, and what they share of being commands."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simulator.instance import launched
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.nitro_cli.connection import BrokerUnreachable
from simulator.nitro_cli.main import NO_MACHINE, panic
from simulator.nitro_cli.places import FolderRefused, MachineFolder
from simulator.nitro_cli.session import CannotPrint, write
from simulator.packages import installed

STDOUT, STDERR = 1, 2


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of the environment."""

    folder: MachineFolder
    architecture: str
    """x86_64 or arm64, as EC2 says."""
    region: str

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Machine:
        """Made if need be. Raises FolderRefused, BadConfiguration, Damaged, OSError."""
        folder = MachineFolder.locate(environ)
        configuration = Configuration.read(folder.path / "machine.json")
        launched.complete(folder.path, configuration)
        return cls(folder, configuration.instance.architecture, configuration.region)

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @property
    def root(self) -> Path:
        """The instance's own files."""
        return self.folder.path / "root"

    def has(self, program: str) -> bool:
        """Whether one of its packages has brought the program."""
        return any((self.root / "usr" / place / program).exists() for place in ("bin", "sbin"))

    @property
    def rpm_architecture(self) -> str:
        """As packages have it."""
        return "aarch64" if self.architecture == "arm64" else self.architecture


def say(text: str) -> None:
    """A line on standard output."""
    write(STDOUT, f"{text}\n")


def complain(text: str) -> None:
    """A line on standard error."""
    write(STDERR, f"{text}\n")


def notice(text: str) -> None:
    """A sentence of the simulator's own, for who looks: a script may compare standard error."""
    if os.isatty(STDERR):
        complain(f"attested-kms: {text}")


def command(name: str, run: Callable[[], int]) -> int:
    """Run a command; returns its exit code, and says in a sentence what hinders it."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        try:
            return run()
        except (BrokerUnreachable, FolderRefused, BadConfiguration, installed.Damaged) as error:
            complain(f"{name} (attested-kms): {error}")
        except CannotPrint:
            raise
        except OSError as error:
            complain(
                f"{name} (attested-kms): {error.filename or 'the machine'} cannot be used "
                f"({error.strerror})"
            )
    except CannotPrint as error:
        return panic(error)
    return NO_MACHINE
