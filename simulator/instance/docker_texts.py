"""What `docker` of the instance prints, and how its images are named.

Templates are Go's, as far as `{{.Member}}` and `{{json .Member}}` go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.images.store import full_name

_PLACEHOLDER = re.compile(r"\{\{\s*(?P<json>json\s+)?(?P<path>\.[\w.]*)\s*\}\}")


class BadTemplate(ValueError):
    """A template that is not simulated; the message says which are."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A name in the list of images."""

    name: str
    identifier: str

    @property
    def repository(self) -> str:
        """Without the tag."""
        return self.name.rpartition(":")[0]

    @property
    def tag(self) -> str:
        """Alone."""
        return self.name.rpartition(":")[2]

    def shown_id(self, length: int | None) -> str:
        """So many digits of its identifier; None: all of it."""
        if length is None:
            return self.identifier
        return self.identifier.removeprefix("sha256:")[:length]

    def members(self, length: int | None) -> dict[str, str]:
        """What a template may ask for."""
        return {
            "Repository": self.repository,
            "Tag": self.tag,
            "ID": self.shown_id(length),
            "Digest": "<none>",
        }


def names_of(known: Mapping[str, str], operand: str) -> list[str]:
    """The name itself, or all names of the image with this identifier, or a beginning of it."""
    if full_name(operand) in known:
        return [full_name(operand)]
    digits = operand.removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{4,64}", digits):
        return []
    return [
        name
        for name, identifier in known.items()
        if identifier.removeprefix("sha256:").startswith(digits)
    ]


def no_image(operand: str) -> str:
    """What the daemon says of a name that it does not know."""
    return f"Error response from daemon: No such image: {full_name(operand)}"


def filled(template: str, members: Mapping[str, Any]) -> str:
    """The template, with the members in it. Raises BadTemplate."""

    def value(match: re.Match[str]) -> str:
        found: Any = members
        for name in match["path"].strip(".").split("."):
            if name:
                found = found.get(name) if isinstance(found, Mapping) else None
        if match["json"]:
            return json.dumps(found)
        return "<no value>" if found is None else _go(found)

    if "{{" in _PLACEHOLDER.sub("", template):
        raise BadTemplate(
            f"the template {template} is not simulated; {{{{.Member}}}} and {{{{json .Member}}}} "
            "are"
        )
    return _PLACEHOLDER.sub(value, "{{json .}}" if template == "json" else template)


def _go(value: Any) -> str:
    """As Go prints a value."""
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{name}:{_go(one)}' for name, one in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go, value))}]"
    return str(value)
