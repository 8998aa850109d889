"""Policy variables: `${aws:username}` in a resource or in a value of a condition.

Source: "IAM policy elements: Variables and tags" (IAM User Guide, documented), unless said
otherwise. A variable stands for the one value that the request has under a condition key, or for
its default, `${aws:PrincipalTag/team, 'company-wide'}`; without either it has no value, and what
holds it matches nothing. `${*}`, `${?}` and `${$}` are the characters themselves. Only Version
2012-10-17 has variables: in all others they are literal text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kms_fake.condition_keys import condition_key, fold_key
from kms_fake.policy_json import UnsupportedPolicy, shown
from kms_fake.wildcards import Piece

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"(?P<name>[^,']+)(?:, '(?P<default>[^']*)')?")
_CHARACTERS = frozenset("*?$")


@dataclass(frozen=True, slots=True)
class Variable:
    """A reference to a condition key, its name folded, with the default if it has one."""

    key: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Template:
    """A text of a policy: pieces that are known, and variables that a request fills in."""

    parts: tuple[Piece | Variable, ...]

    @property
    def plain(self) -> tuple[Piece, ...] | None:
        """The pieces, if it holds no variable."""
        pieces = tuple(part for part in self.parts if isinstance(part, Piece))
        return pieces if len(pieces) == len(self.parts) else None

    def filled(self, context: Mapping[str, tuple[str, ...]]) -> tuple[Piece, ...] | None:
        """The pieces with the values of the request; None where a variable has no value.

        A wildcard in a value stands for itself (inferred). A key that the request has twice, by
        names that differ in case, has no one value (unknown).
        """
        pieces: list[Piece] = []
        for part in self.parts:
            if isinstance(part, Piece):
                pieces.append(part)
                continue
            values = context[part.key]
            value = values[0] if len(values) == 1 and values[0] else part.default
            if value is None:
                return None
            pieces.append(Piece(value, literal=True))
        return tuple(pieces)


def read_template(text: str, where: str, *, variables: bool) -> Template:
    """The template that `text` spells; `variables` says whether the policy's Version has any.

    Raises UnsupportedPolicy for a `${` that begins no variable, and for a variable that names no
    single-valued condition key.
    """
    if not variables or "${" not in text:
        return Template((Piece(text),))
    parts: list[Piece | Variable] = []
    end = 0
    for reference in _REFERENCE.finditer(text):
        parts.append(_between(text[end : reference.start()], text, where))
        parts.append(_read_reference(reference[1], where))
        end = reference.end()
    parts.append(_between(text[end:], text, where))
    return Template(tuple(part for part in parts if part != Piece("")))


def _between(piece: str, text: str, where: str) -> Piece:
    if "${" in piece:
        raise UnsupportedPolicy(
            f"{where}: {shown(text)} holds a ${{ that begins no variable; supported: ${{KEY}}, "
            "${KEY, 'default'}, ${*}, ${?}, ${$}"
        )
    return Piece(piece)


def _read_reference(content: str, where: str) -> Piece | Variable:
    if content in _CHARACTERS:
        return Piece(content, literal=True)
    match = _VARIABLE.fullmatch(content)
    key = condition_key(match["name"]) if match else None
    if match is None or key is None:
        raise UnsupportedPolicy(
            f"{where}: the policy variable ${{{content}}} names no condition key that is known "
            "here; supported: ${KEY}, ${KEY, 'default'}, ${*}, ${?}, ${$}"
        )
    if not key.can_be_variable:
        raise UnsupportedPolicy(
            f"{where}: the policy variable ${{{content}}} has several values, and AWS does not "
            "take such a key as a variable; supported: single-valued keys"
        )
    return Variable(fold_key(match["name"]), match["default"])
