"""`machine.json`: what a parent instance is. Read when its broker starts; people may edit it.

What is a file on a real instance is a file here too, below `root/`, and not in this one: the
allocator's configuration, the driver's pool and device, the -devel package's blobs.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from simulator.machine.instance import DEFAULT_TYPE, BadInstance, Instance, instance_of

_INSTANCE_ID = re.compile(r"i-[0-9a-f]{17}", re.ASCII)
_NUMBERS = ("vcpus", "memory_mib", "threads_per_core", "numa_nodes")
_ARCHITECTURES = ("x86_64", "arm64")
DEFAULT_IDLE_SECONDS = 60.0
_MOST_SECONDS = 1e6


class BadConfiguration(ValueError):
    """The file is not what a machine can be made of; the message names it and what to do."""


def new_instance_id() -> str:
    """As real ones look: the first digit is zero."""
    return f"i-0{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What one parent instance is."""

    instance_type: str = DEFAULT_TYPE
    instance_id: str = field(default_factory=new_instance_id)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """Members of Instance that differ from the type's."""
    region: str = "us-east-1"
    role_arn: str | None = None
    join: str | None = None
    """A running `attested-kms serve`, whose enclaves these are: its file or its endpoint."""
    heartbeat_wait: float | None = None
    """Seconds to wait for an enclave's heartbeat. None: as long as nitro-cli does, but no longer
    than until it is known that none will come."""
    idle_seconds: float = DEFAULT_IDLE_SECONDS
    """How long the broker stays with no enclave and nobody who asks."""

    def __post_init__(self) -> None:
        if not _INSTANCE_ID.fullmatch(self.instance_id):
            raise BadConfiguration(
                f"{self.instance_id!r} is no instance id; give i- and 17 hexadecimal digits."
            )
        try:
            _ = self.instance
        except BadInstance as error:
            raise BadConfiguration(str(error)) from error

    @property
    def instance(self) -> Instance:
        """The hardware."""
        return instance_of(self.instance_type, self.hardware)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The machine of a file. Raises BadConfiguration, also where it is damaged."""
        try:
            members = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadConfiguration(f"{path} cannot be read ({error.strerror}).") from error
        except ValueError:
            members = None
        if not isinstance(members, dict):
            raise _damaged(path, "it is not a JSON object")
        wrong = _wrong_member(members)
        if wrong is not None:
            raise _damaged(path, wrong)
        try:
            return cls(**members)
        except BadConfiguration as error:
            raise _damaged(path, str(error).rstrip(".")) from error

    def to_json(self) -> str:
        """The content of the file."""
        return json.dumps({**asdict(self), "hardware": dict(self.hardware)}, indent=2) + "\n"


def _damaged(path: Path, reason: str) -> BadConfiguration:
    return BadConfiguration(
        f"{path} does not describe a machine: {reason}. Correct it; or make the machine anew with "
        "attested-kms machine create --force."
    )


def _wrong_member(members: Mapping[str, Any]) -> str | None:
    kinds: Mapping[str, tuple[type, ...]] = {
        "instance_type": (str,),
        "instance_id": (str,),
        "hardware": (dict,),
        "region": (str,),
        "role_arn": (str, type(None)),
        "join": (str, type(None)),
        "heartbeat_wait": (int, float, type(None)),
        "idle_seconds": (int, float),
    }
    for name, value in members.items():
        if name not in kinds:
            return f"there is no member {name!r}"
        is_kind = isinstance(value, kinds[name]) and not isinstance(value, bool)
        if not is_kind or (isinstance(value, int | float) and not 0 <= value < _MOST_SECONDS):
            return f"{name} is {json.dumps(value)[:80]}"
    if "instance_id" not in members:
        return "instance_id is missing"
    for name, value in members.get("hardware", {}).items():
        if name == "architecture":
            if value not in _ARCHITECTURES:
                return f"hardware.architecture is none of {', '.join(_ARCHITECTURES)}"
        elif name not in _NUMBERS or type(value) is not int:
            return f"hardware has {json.dumps({name: value})[:80]}"
    return None
