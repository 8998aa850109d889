"""The JSON of a policy document: decoding it strictly, reading its shapes, saying what is wrong.

Nothing here knows what a policy means. Source of the shapes: "Grammar of the IAM JSON policy
language" (IAM User Guide, documented).
"""

from __future__ import annotations

import json
from typing import NoReturn

_LONGEST_SHOWN = 80


class MalformedPolicy(ValueError):
    """The text is no policy of its kind; the message says where (a path into the JSON) and what."""


class UnsupportedPolicy(ValueError):
    """AWS may take this policy, but evaluating it here would be a guess.

    The message names the element, where it stands (a path into the JSON) and what is supported.
    """


def decode(text: str) -> object:
    """The JSON value of `text`. Raises MalformedPolicy, also where a name stands twice."""
    try:
        value: object = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except MalformedPolicy:
        raise
    except RecursionError as error:
        raise MalformedPolicy("the policy is nested too deeply to be one") from error
    except ValueError as error:
        raise MalformedPolicy(f"the policy is not JSON: {error}") from error
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Policy grammar notes: "must not contain multiple instances of the same key" (documented).
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in members if names.count(name) > 1)
        raise MalformedPolicy(f"the policy holds {shown(twice)} twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise MalformedPolicy(f"the policy is not JSON: {name} is no JSON value")


def read_object(
    value: object, where: str, known: frozenset[str] | None = None
) -> dict[str, object]:
    """`value`, if it is an object and has no other elements than `known`, where given.

    Raises MalformedPolicy.
    """
    if not isinstance(value, dict):
        raise MalformedPolicy(f"{where}: must be an object, not {shown(value)}")
    for name in value:
        if known is not None and name not in known:
            raise MalformedPolicy(
                f"{where}: {shown(name)} is no element of it; there are {', '.join(sorted(known))}"
            )
    return value


def read_string(value: object, where: str) -> str:
    """`value`, if it is a string. Raises MalformedPolicy."""
    if not isinstance(value, str):
        raise MalformedPolicy(f"{where}: must be a string, not {shown(value)}")
    return value


def read_strings(value: object, where: str) -> list[str]:
    """A string, or a list of at least one string. Raises MalformedPolicy."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise MalformedPolicy(f"{where}: an empty list; it takes one or more values")
    return [read_string(each, where) for each in values]


def shown(value: object) -> str:
    """`value` for a message: quoted, and cut where it is long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
