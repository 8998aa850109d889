"""allocator.yaml as nitro-enclaves-allocator's bash reads it, which is no YAML.

Without a line `---` it skips the whole file, it does not see a last line that has no line feed, a
backslash quotes what follows and joins lines, a blank line is an unexpected key.

Source: bootstrap/nitro-enclaves-allocator; its reader was run with bash 5.2. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_KEYS = ("memory_mib", "cpu_count", "cpu_pool")
_COMMENT = re.compile(r"\s*#")
_KEY = re.compile(r"[-_a-z0-9]+", re.IGNORECASE)
_READ_PIECE = re.compile(r"\\?.", re.DOTALL)


class BadFile(Exception):
    """The script ends there; the message is what it says after `Error: `."""

    def __init__(self, message: str, *, has_no_key: bool = False) -> None:
        super().__init__(message)
        self.has_no_key = has_no_key
        """Bash has complained of it before: an empty subscript."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What the file asks for, as it stands there: not checked, numbers neither."""

    memory: str
    count: str | None
    """None: `pool` is there."""
    pool: str | None


def read_reservation(raw: bytes, shown: str) -> Reservation:
    """What a file asks for; `shown` is its path, as messages have it. Raises BadFile."""
    memory, count, pool = (_entries(raw, shown).get(key) for key in _KEYS)
    if memory is None:
        raise BadFile("Config error: missing memory reservation (`memory_mib`).")
    if count is None and pool is None:
        raise BadFile("Config error: missing CPU reservation (either `cpu_count` or `cpu_pool`).")
    if count is not None and pool is not None:
        raise BadFile("Config error: `cpu_count` conflicts with `cpu_pool`.")
    return Reservation(memory, count, pool)


def _entries(raw: bytes, shown: str) -> dict[str, str]:
    configured: dict[str, str] = {}
    started = False
    # Carriage returns are kept: bash does not know them as part of a line's end.
    for number, line in enumerate(_lines(raw.decode(errors="replace")), start=1):
        if _COMMENT.match(line):
            continue
        if line == "---":
            started = True
        elif started:
            key, value = _entry(line, f"{shown}:{number}")
            configured[key] = value
    return configured


def _entry(line: str, place: str) -> tuple[str, str]:
    match = _KEY.match(line.partition(":")[0])
    key = match[0] if match else ""
    if key not in _KEYS:
        raise BadFile(f"Error in {place} - unexpected: {key}", has_no_key=not key)
    value = re.sub(r"^.+:", "", line)
    value = re.sub(r'\s+"?', "", value, count=1)
    value = re.sub(r'"?$', "", value, count=1)
    if not value:
        raise BadFile(f"Error in {place} - missing value for {key}")
    return key, value


def _lines(text: str) -> Iterator[str]:
    """The lines as `while read line` has them.

    It ends at a line without its line feed, before it has seen it.
    """
    line = ""
    for piece in _READ_PIECE.findall(text):
        if piece == "\n":
            yield line.rstrip(" \t")
            line = ""
        elif piece != "\\\n" and (line or piece not in (" ", "\t")):
            line += piece[-1]
