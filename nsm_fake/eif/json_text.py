"""JSON as Rust's serde_json writes and reads it, where Python's own would differ.

It matters because the metadata of an image are compared byte for byte, and what nitro-cli prints
is compared by people. Python and serde_json agree on strings (UTF-8, only control characters,
quotes and backslashes escaped); they differ on floats and on how big an integer may be. An object
may be a Mapping or, so that a name can stand twice as serde's `flatten` lets it, `Members`.

A decimal fraction is read to the nearest float here; serde_json may be off by its last bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

_I64_MIN, _U64_MAX = -(1 << 63), (1 << 64) - 1
_MAX_DEPTH = 127


class NotJson(ValueError):
    """The bytes are not JSON; the message says why, and where."""


class Members(tuple[tuple[str, Any], ...]):
    """An object as a sequence of names and values."""

    __slots__ = ()


def read_json(data: bytes) -> Any:
    """The value. Names that stand twice in an object count once, the last time. NotJson."""
    try:
        text = data.decode()
        value = json.loads(
            text, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant
        )
        # Half of a surrogate pair, written as an escape.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise NotJson(f"byte {error.start} is not UTF-8") from error
    except UnicodeEncodeError as error:
        raise NotJson("an escape \\ud800 to \\udfff stands alone") from error
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise NotJson("nested too deeply") from error
    if _is_deeper(value, _MAX_DEPTH):
        raise NotJson(f"nested more than {_MAX_DEPTH} levels deep")
    return value


def write_compact(value: Any) -> bytes:
    """As `serde_json::to_vec` writes it."""
    return "".join(_write(value, None, 0)).encode()


def write_pretty(value: Any) -> str:
    """As `serde_json::to_string_pretty` writes it: two spaces a level, no newline at the end."""
    return "".join(_write(value, "  ", 0))


def sorted_members(value: Any) -> Any:
    """The same with all objects sorted by name, as serde_json's own values are."""
    if isinstance(value, Mapping):
        return {name: sorted_members(value[name]) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [sorted_members(item) for item in value]
    return value


def _integer(text: str) -> int | float:
    """What serde_json makes of an integer: a float if it is `-0` or has more than 64 bits."""
    if text == "-0":
        return -0.0
    if len(text) <= 20 and _I64_MIN <= (value := int(text)) <= _U64_MAX:
        return value
    return _finite(text)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson(f"the number {text[:30]} is out of range")
    return value


def _no_constant(name: str) -> object:
    raise NotJson(f"{name} is no JSON value")


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether containers stand more than `levels` deep; without recursion."""
    layer: list[Any] = [value]
    for _ in range(levels):
        layer = [item for container in layer for item in _items(container)]
        if not layer:
            return False
    return any(isinstance(item, dict | list) for item in layer)


def _items(value: Any) -> Iterable[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in inside if isinstance(item, dict | list))


def _write(value: Any, indent: str | None, level: int) -> Iterable[str]:
    match value:
        case Members():
            yield from _container("{", "}", list(value), indent, level)
        case Mapping():
            yield from _container("{", "}", list(value.items()), indent, level)
        case list() | tuple():
            yield from _container("[", "]", [(None, item) for item in value], indent, level)
        case bool() | None:
            yield json.dumps(value)
        case float():
            yield _float(value)
        case _:
            yield json.dumps(value, ensure_ascii=False)


def _container(
    begin: str,
    end: str,
    items: list[tuple[str | None, Any]],
    indent: str | None,
    level: int,
) -> Iterable[str]:
    yield begin
    for number, (name, item) in enumerate(items):
        yield "," if number else ""
        yield "" if indent is None else "\n" + indent * (level + 1)
        if name is not None:
            yield json.dumps(name, ensure_ascii=False) + (":" if indent is None else ": ")
        yield from _write(item, indent, level + 1)
    yield "\n" + indent * level if indent is not None and items else ""
    yield end


def _float(value: float) -> str:
    """The shortest digits that mean this float, set out as the crate ryu does."""
    if not math.isfinite(value):
        return "null"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return f"{sign}0.0"
    digits, power = _shortest(abs(value))
    point = len(digits) + power
    if power >= 0 and point <= 16:
        return f"{sign}{digits}{'0' * power}.0"
    if 0 < point <= 16:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -5 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1}"


def _shortest(value: float) -> tuple[str, int]:
    """The shortest digits of a float, and the power of ten of the last one."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    power = int(exponent or 0) - len(fraction)
    stripped = digits.rstrip("0")
    return stripped, power + len(digits) - len(stripped)
