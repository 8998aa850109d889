"""What a published JSON schema has against a file that a user wrote, in sentences.

The schemas are in `simulator/schemas`, in JSON Schema draft 2020-12. Each part of them has a
description that says what would be right, and that is what a message says.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from simulator.user_files import UserFile, Where

_LONGEST_SHOWN = 60


@cache
def schema(name: str) -> dict[str, Any]:
    """The published schema of that name: `keys` or `principals`."""
    file = resources.files("simulator").joinpath("schemas").joinpath(f"{name}.schema.json")
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return read


def schema_problems(file: UserFile, name: str) -> Iterator[tuple[Where, str]]:
    """Everything that the schema `name` has against the file: where, and a line that says it."""
    root = schema(name)
    errors = sorted(Draft202012Validator(root).iter_errors(file.value), key=_order)
    # The library has one error for each name that is missing, and each of them tells of all.
    for place, text in dict.fromkeys(said for error in errors for said in _said(error, root)):
        yield place, file.problem(place, text)


def _order(error: ValidationError) -> list[tuple[int, str]]:
    return [(step, "") if isinstance(step, int) else (0, step) for step in error.absolute_path]


def _said(error: ValidationError, root: dict[str, Any]) -> Iterator[tuple[Where, str]]:
    value: Any = error.instance
    rule: Any = error.schema
    where = tuple(error.absolute_path)
    must = f"must be {rule['description']}, not {shown(value)}"
    match error.validator:
        case "required":
            for name in rule["required"]:
                if name not in value:
                    wanted = _resolved(rule["properties"][name], root)["description"]
                    yield where, f"{name} is missing; give {wanted}"
        case "additionalProperties":
            for name in value:
                if name not in rule["properties"]:
                    yield (*where, name), _unknown(name, rule["properties"])
        case "type" if "string" in rule["type"] and not isinstance(value, dict | list):
            yield where, f"{must}; write it in quotes"
        case _:
            yield where, must


def _resolved(rule: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The part of the schema that a reference such as `#/$defs/grant` means."""
    for step in rule.get("$ref", "#").split("/")[1:]:
        rule = (root if step == "$defs" else rule)[step]
    return rule


def _unknown(name: str, known: Iterable[str]) -> str:
    public = [other for other in known if not other.startswith("$")]
    close = difflib.get_close_matches(name, public, n=1)
    meant = f" (is {close[0]} meant?)" if close else ""
    return f"there is no such member{meant}; there are {', '.join(public)}"


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
