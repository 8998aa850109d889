"""The enclaves that run, as `nitro-cli describe-enclaves` prints them.

Source of the form: aws-nitro-enclaves-cli 1.4.4, src/common/json_output.rs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from simulator.doctor.host import CommandHangs, CommandMissing, Host
from simulator.doctor.parent import first_words, short

_MOST_CPU = 1 << 16
_MOST_MIB = 1 << 32


class Undescribed(Exception):
    """nitro-cli does not say which enclaves run; the message is why."""


@dataclass(frozen=True, slots=True)
class Enclave:
    """One that runs, or is about to end."""

    id: str
    cpus: frozenset[int]
    memory_mib: int
    is_debug: bool


def described(host: Host) -> list[Enclave]:
    """All of them. Raises Undescribed, CommandMissing, OSError."""
    try:
        ran = host.run("nitro-cli", "describe-enclaves")
    except CommandHangs as error:
        raise Undescribed(f"nitro-cli describe-enclaves does not end: {error}") from error
    if ran.exit_code != 0:
        raise Undescribed(
            f"nitro-cli describe-enclaves ended with {ran.exit_code}: {first_words(ran)}"
        )
    return parse(ran.stdout)


def running(host: Host) -> list[Enclave] | None:
    """All of them; None where nitro-cli does not say. Raises OSError."""
    try:
        return described(host)
    except (Undescribed, CommandMissing):
        return None


def parse(text: str) -> list[Enclave]:
    """What describe-enclaves printed. Raises Undescribed."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        said = short(text) or "nothing"
        raise Undescribed(f"nitro-cli describe-enclaves printed no JSON, but {said}") from error
    if not isinstance(members, list):
        raise Undescribed("nitro-cli describe-enclaves printed JSON that is no list")
    return [_enclave(member) for member in members]


def _enclave(member: object) -> Enclave:
    match member:
        case {"EnclaveID": str(name), "CPUIDs": list(cpus), "MemoryMiB": int(memory), **others}:
            are_cpus = all(type(cpu) is int and 0 <= cpu < _MOST_CPU for cpu in cpus)
            if are_cpus and 0 <= memory < _MOST_MIB:
                flags = others.get("Flags")
                return Enclave(short(name), frozenset(cpus), memory, flags == "DEBUG_MODE")
    raise Undescribed(
        f"nitro-cli describe-enclaves printed an enclave that is none: {short(json.dumps(member))}"
    )
