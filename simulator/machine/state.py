"""`state.json`: which enclaves there are, for whoever comes after a broker that was killed.

An enclave does not outlive its broker. One that ended in order leaves no enclave in the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.machine.files import replace_text

_MEMBERS = {"name": str, "id": str, "cid": int, "process": int}


class BadState(Exception):
    """The file is damaged; the message says what to do."""


@dataclass(frozen=True, slots=True)
class KnownEnclave:
    """One enclave, as far as the file has it."""

    name: str
    id: str
    cid: int
    process: int


def read_state(path: Path) -> tuple[KnownEnclave, ...]:
    """The enclaves of the file, none where there is no file. Raises BadState."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise BadState(f"{path} cannot be read ({error}).") from error
    try:
        members = json.loads(text)
    except ValueError:
        members = None
    enclaves = members.get("enclaves") if isinstance(members, dict) else None
    if not isinstance(enclaves, list) or not all(map(_is_enclave, enclaves)):
        raise BadState(
            f"{path} is damaged: what enclaves the machine had cannot be told. They have ended; "
            "remove the file, and the machine starts without them."
        )
    return tuple(KnownEnclave(**enclave) for enclave in enclaves)


def write_state(path: Path, enclaves: Iterable[KnownEnclave]) -> None:
    """Replace the file, whole or not at all. Raises OSError."""
    members = {
        "enclaves": [
            {"name": one.name, "id": one.id, "cid": one.cid, "process": one.process}
            for one in enclaves
        ]
    }
    replace_text(path, json.dumps(members))


def _is_enclave(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == set(_MEMBERS)
        and all(type(value[name]) is kind for name, kind in _MEMBERS.items())
    )
