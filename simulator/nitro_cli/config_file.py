"""The JSON file of `run-enclave --config`.

Source: aws-nitro-enclaves-cli v1.4.4, src/common/commands_parser.rs; what serde_json says of a file
that it refuses is in the backtrace only. Its words are as serde has them; line and column are those
of the place where Python's reader finds the same fault, or of the end: `inferred`, not to be relied
on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from simulator.nitro_cli.rust_text import display

_U32 = 1 << 32
_U64 = 1 << 64
_LONGEST_INTEGER = 20


class NotSerde(Exception):
    """The file is refused; the message is the Debug text of serde_json's error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the file says of an enclave."""

    eif_path: str
    memory_mib: int
    enclave_cid: int | None
    cpu_ids: tuple[int, ...] | None
    cpu_count: int | None
    debug_mode: bool
    attach_console: bool
    enclave_name: str | None


def settings(text: str) -> Settings:
    """The settings of a file. Raises NotSerde."""
    try:
        members = json.loads(
            text, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_Members
        )
        return _settings(members)
    except json.JSONDecodeError as error:
        raise NotSerde(_syntax(text, error)) from error
    except RecursionError as error:
        raise NotSerde(_at_end("recursion limit exceeded", text)) from error
    except _Wrong as error:
        raise NotSerde(_at_end(str(error), text)) from error


def not_read(error: OSError) -> NotSerde:
    """A file that opens and does not read."""
    return NotSerde(_debug(display(error), 0, 0))


class _Wrong(Exception):
    """A value that serde refuses."""


class _Members(dict[str, Any]):
    """An object, and which of its names came twice."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.repeated = [name for name in names if names.count(name) > 1]


def _integer(text: str) -> int | float:
    """What is too long for 64 bits, and a negative zero, are no integers to serde_json."""
    if len(text) <= _LONGEST_INTEGER and text != "-0":
        return int(text)
    if math.isinf(number := float(text)):
        raise _Wrong("number out of range")
    return number


def _constant(_: str) -> NoReturn:
    """NaN and its like are Python's alone."""
    raise _Wrong("expected value")


def _settings(value: Any) -> Settings:
    if isinstance(value, list):
        return _in_order(value)
    if not isinstance(value, _Members):
        raise _Wrong(f"invalid type: {_what(value)}, expected struct RunEnclavesArgs")
    for name in value.repeated:
        if name in _READERS:
            raise _Wrong(f"duplicate field `{name}`")
    return Settings(
        **{
            name: read(value[name]) if name in value else _absent(name)
            for name, read in _READERS.items()
        }
    )


def _in_order(values: Sequence[Any]) -> Settings:
    """The settings of an array, which serde takes for a struct: no option may be left out."""
    members: dict[str, Any] = {}
    for index, (name, read) in enumerate(_READERS.items()):
        if index < len(values):
            members[name] = read(values[index])
        elif name in _FLAGS:
            members[name] = False
        else:
            raise _Wrong(
                f"invalid length {index}, expected struct RunEnclavesArgs with "
                f"{len(_READERS)} elements"
            )
    if len(values) > len(_READERS):
        raise _Wrong("trailing characters")
    return Settings(**members)


def _absent(name: str) -> Any:
    """What a member that an object does not have is taken for."""
    if name in _REQUIRED:
        raise _Wrong(f"missing field `{name}`")
    return False if name in _FLAGS else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"invalid type: {_what(value)}, expected a string")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _Wrong("invalid unicode code point")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"invalid type: {_what(value)}, expected a boolean")
    return value


def _u32(value: Any) -> int:
    return _number(value, _U32, "u32")


def _u64(value: Any) -> int:
    return _number(value, _U64, "u64")


def _numbers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise _Wrong(f"invalid type: {_what(value)}, expected a sequence")
    return tuple(_u32(item) for item in value)


def _number(value: Any, limit: int, kind: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong(f"invalid type: {_what(value)}, expected {kind}")
    if not 0 <= value < limit:
        raise _Wrong(f"invalid value: integer `{value}`, expected {kind}")
    return value


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "eif_path": _text,
    "enclave_cid": _or_none(_u64),
    "memory_mib": _u64,
    "cpu_ids": _or_none(_numbers),
    "debug_mode": _flag,
    "attach_console": _flag,
    "cpu_count": _or_none(_u32),
    "enclave_name": _or_none(_text),
}
"""In the order of the real one's struct RunEnclavesArgs."""
_REQUIRED = ("eif_path", "memory_mib")
_FLAGS = ("debug_mode", "attach_console")


def _what(value: Any) -> str:  # noqa: PLR0911  # A table.
    """A value as serde names what it did not expect."""
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f"string {json.dumps(value, ensure_ascii=False)}"
        case list():
            return "sequence"
        case _:
            return "map"


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip() or error.pos >= len(text.rstrip()):
        return _at_end("EOF while parsing a value", text)
    said = "trailing characters" if error.msg == "Extra data" else "expected value"
    return _debug(said, error.lineno, error.colno)


def _at_end(said: str, text: str) -> str:
    lines = text.splitlines() or [""]
    return _debug(said, len(lines), len(lines[-1]))


def _debug(said: str, line: int, column: int) -> str:
    return f"Error({json.dumps(said, ensure_ascii=False)}, line: {line}, column: {column})"
