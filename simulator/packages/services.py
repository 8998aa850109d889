"""The units of a machine's packages: which are enabled, what became of their last start.

Enabled is what has a link below `root/etc/systemd/system`, as on a real instance. What has been
started stands in the machine's `services.json`, but for the unit that has a process; what units
said stands in its `journal.log`.

Source of the units: bootstrap/ and vsock_proxy/service/ of aws-nitro-enclaves-cli v1.4.4
(`inferred`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.machine.files import replace_text
from simulator.packages import unit_process
from simulator.packages.catalogue import CLI, DOCKER
from simulator.packages.contents import at, unit_file
from simulator.packages.installed import Damaged, changing

NAME = "services.json"
JOURNAL = "journal.log"

_WANTED = "/etc/systemd/system/multi-user.target.wants"
_SUFFIXES = (".service", ".socket", ".target", ".timer", ".mount")
_STATES = ("active", "failed")
_LATEST = 1e11


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that a package brings."""

    name: str
    description: str
    package: str
    identifier: str
    """What its lines in the journal are marked with."""
    program: str
    is_oneshot: bool = False
    """It has ended when it has started, and counts as active (RemainAfterExit)."""


ALLOCATOR = Unit(
    "nitro-enclaves-allocator.service",
    "Nitro Enclaves Resource Allocator",
    CLI,
    "nitro-enclaves-allocator",
    "/usr/bin/nitro-enclaves-allocator",
    is_oneshot=True,
)
PROXY = Unit(
    "nitro-enclaves-vsock-proxy.service",
    "Nitro Enclaves vsock Proxy",
    CLI,
    "vsock-proxy",
    "/usr/bin/vsock-proxy",
)
"""A process runs for it (`simulator.packages.unit_process`)."""
UNITS = {
    unit.name: unit
    for unit in (
        ALLOCATOR,
        PROXY,
        Unit(
            "docker.service",
            "Docker Application Container Engine",
            DOCKER,
            "dockerd",
            "/usr/bin/dockerd",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a unit's last start."""

    state: str
    """active or failed; activating, of a process that is about to be started again."""
    since: float
    """Seconds of the epoch."""
    exit_code: int = 0
    main_process: int = 0


def current(machine: Path, name: str) -> Outcome | None:
    """What has become of a unit; None where it is stopped, or unknown. Raises Damaged, OSError."""
    if name != PROXY.name:
        return outcomes(machine).get(name)
    kept = unit_process.read(machine, name)
    if kept is None:
        return None
    return Outcome(kept.state, kept.since, kept.exit_code, kept.main_process)


def installed_unit(machine: Path, name: str) -> Unit | None:
    """The unit, if its file is there."""
    unit = UNITS.get(name)
    if unit is None or not at(machine / "root", unit_file(name)).exists():
        return None
    return unit


def full_name(name: str) -> str:
    """With its suffix: systemd takes a name without one for a service's."""
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def link(machine: Path, name: str) -> Path:
    """What says that the unit is enabled."""
    return at(machine / "root", f"{_WANTED}/{name}")


def is_enabled(machine: Path, name: str) -> bool:
    """Whether it starts with the instance."""
    return link(machine, name).is_symlink()


def enable(machine: Path, name: str) -> bool:
    """Whether it was not before. Raises OSError."""
    path = link(machine, name)
    if path.is_symlink():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(unit_file(name))
    return True


def disable(machine: Path, name: str) -> bool:
    """Whether it was enabled. Raises OSError."""
    path = link(machine, name)
    if not path.is_symlink():
        return False
    path.unlink()
    return True


def outcomes(machine: Path) -> dict[str, Outcome]:
    """By unit; those that are not there are stopped. Raises Damaged."""
    path = machine / NAME
    try:
        members = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError):
        members = None
    try:
        found = {name: Outcome(**member) for name, member in members.items()}
    except (AttributeError, TypeError):
        raise _damaged(path) from None
    for outcome in found.values():
        if (
            outcome.state not in _STATES
            or not isinstance(outcome.since, float | int)
            or not 0 <= outcome.since < _LATEST
            or not isinstance(outcome.exit_code, int)
        ):
            raise _damaged(path)
    return found


def _damaged(path: Path) -> Damaged:
    return Damaged(
        f"{path} is damaged: which services run cannot be told. Remove it, and all count as "
        "stopped."
    )


def record(machine: Path, name: str, outcome: Outcome | None) -> None:
    """Keep what became of a unit; None: it is stopped. Raises Damaged, OSError."""
    kept = outcomes(machine)
    kept.pop(name, None)
    if outcome is not None:
        kept[name] = outcome
    members = {unit: asdict(outcome) for unit, outcome in kept.items()}
    replace_text(machine / NAME, json.dumps(members, indent=1) + "\n")


def forget(machine: Path, package: str) -> None:
    """Stop and disable a package's units: it is removed. Raises Damaged, OSError."""
    for unit in UNITS.values():
        if unit.package == package:
            disable(machine, unit.name)
            if unit is PROXY:
                unit_process.stop(machine, unit.name)
            else:
                record(machine, unit.name, None)


def end(machine: Path) -> bool:
    """The instance is shut down: end the processes of its units; whether there were any.

    Raises OSError.
    """
    with changing(machine):
        return unit_process.stop(machine, PROXY.name)


def note(machine: Path, identifier: str, lines: Iterable[str]) -> None:
    """Append to the journal. Raises OSError."""
    moment = time.strftime("%b %d %H:%M:%S", time.gmtime())
    text = "".join(f"{moment} {identifier}: {line}\n" for line in lines)
    with (machine / JOURNAL).open("a", encoding="utf-8", errors="surrogateescape") as journal:
        journal.write(text)


def journal(machine: Path, units: Collection[str]) -> list[str]:
    """What the units have said, and systemd of them; without a name, all. Raises OSError."""
    path = machine / JOURNAL
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    marks = [f" {UNITS[name].identifier}: " for name in units if name in UNITS]
    return [
        line
        for line in lines
        if not units
        or any(mark in line for mark in marks)
        or (" systemd: " in line and any(name in line for name in units))
    ]


def began(machine: Path, exit_code: int, lines: Iterable[str]) -> None:
    """The allocator's unit is enabled and has run, as the machine started. Raises OSError."""
    enable(machine, ALLOCATOR.name)
    note(machine, ALLOCATOR.identifier, lines)
    state = "failed" if exit_code else "active"
    record(machine, ALLOCATOR.name, Outcome(state, time.time(), exit_code))
