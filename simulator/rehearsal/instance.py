"""The parent instance of a world: a machine with both packages and Docker, as far as it is asked.

Its nitro-cli and docker are the usual stand-ins, which write down first what they are called with
(`simulator.rehearsal.tools`).
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from simulator import shim
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.nitro_cli.places import MachineFolder
from simulator.packages import services
from simulator.packages.contents import at
from simulator.rehearsal.faults import Faults, Part
from simulator.rehearsal.journal import NAME

_WATCHED = {"nitro-cli": "/usr/bin/nitro-cli", "docker": "/usr/bin/docker"}
_MEMORY_MIB = 1024


def make_instance(
    folder: Path, configuration: Configuration, faults: Faults, log: Path
) -> MachineFolder:
    """The machine, below the folder. Raises CannotMake, FolderRefused and OSError."""
    machine = MachineFolder.locate({}, folder / "machine", make=False)
    parts = faults.parts
    has_driver = Part.DEVICE not in parts
    has_cli = Part.NITRO_CLI not in parts
    make(
        machine.path,
        configuration,
        Installation(
            memory_mib=_MEMORY_MIB,
            has_driver=has_driver,
            has_cli=has_cli,
            has_devel=Part.BLOBS not in parts,
            runs_allocator=has_driver and has_cli and Part.ALLOCATOR not in parts,
        ),
    )
    _docker(machine, parts)
    for name, path in _WATCHED.items():
        place = at(machine.path / "root", path)
        if place.exists():
            shim.write(place, shim.script(("rehearsal.tools", f"main({name!r}, sys.argv[1:])")))
    commands = [asdict(one) for one in faults.commands]
    (machine.path / NAME).write_text(json.dumps({"log": str(log), "faults": commands}))
    return machine


def _docker(machine: MachineFolder, parts: frozenset[Part]) -> None:
    """The command, and its daemon's service, which is enabled and started on an enclave host."""
    if Part.DOCKER in parts:
        for path in ("/usr/bin/docker", "/usr/bin/dockerd"):
            at(machine.path / "root", path).unlink(missing_ok=True)
    elif Part.DOCKER_STOPPED not in parts:
        services.enable(machine.path, "docker.service")
        started = services.Outcome("active", time.time())
        services.record(machine.path, "docker.service", started)
