"""What a run is to be, as it travels from the command to the processes that do it: JSON."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

OUR_FAILURE = 125
"""The exit code of a run that failed by itself, as env(1) has it."""


class Rung(enum.Enum):
    """A technique by which unmodified programs can be run, best first."""

    NAMESPACES = "notify + namespaces"
    OPEN_TRAP = "notify + open trap"


class Role(enum.Enum):
    """Which side of the vsock the program is on."""

    ENCLAVE = "enclave"
    PARENT = "parent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run of one program."""

    program: list[str]
    """The command and its arguments."""
    environment: dict[str, str]
    fabric: str
    """The folder of the vsock addresses."""
    scratch: str
    """An empty folder of the run's own, for mounts."""
    cid: int
    role: Role
    rung: Rung
    initramfs: str | None = None
    """The unpacked ramdisks of an enclave that is booted: its files say what the program is."""
    faults: list[str] = field(default_factory=list)
    """As `Faults.parse` takes them."""
    overlays: dict[str, str] = field(default_factory=dict)
    """Files that the program sees others in place of; needs namespaces."""
    temporary: list[str] = field(default_factory=list)
    """Folders of this run alone, removed at its end."""
    blocked_signals: list[int] = field(default_factory=list)
    """What the program's signal mask is to be."""
    ignores_children: bool = False
    """Whether SIGCHLD is to be ignored in the program."""
    verbose: bool = False
    processor: int | None = None
    """Where the supervisor is to run."""
    interruptible: bool = False
    """Let signals interrupt stopped calls, as kernels before Linux 5.19 do."""

    def to_json(self) -> str:
        """One line."""
        values = asdict(self)
        return json.dumps({**values, "role": self.role.value, "rung": self.rung.value})

    @classmethod
    def from_json(cls, line: str) -> Self:
        """What `to_json` wrote."""
        values = json.loads(line)
        return cls(**{**values, "role": Role(values["role"]), "rung": Rung(values["rung"])})

    @property
    def folder(self) -> Path:
        """The fabric's folder."""
        return Path(self.fabric)
