"""Which explanations a pasted text calls for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.explanations.model import Explanation, Role
from simulator.explanations.table import BY_ID, EXPLANATIONS
from simulator.explanations.text import Pasted, Span, letters_of

_EXCEPTION = re.compile(r"\w+Exception")
_BY_ROLE = {role: [entry for entry in EXPLANATIONS if entry.role is role] for role in Role}
_MARKS = ("attested-kms: real text unknown, ", "x-attested-kms-rule: ")
_CODES_NEAR = ("nitro", "enclave")
_MESSAGE_AFTER = 300
"""Characters after an exception's name within which its message begins."""


@dataclass(frozen=True, slots=True)
class Found:
    """An explanation, and where its text stands; the whole input where only a piece of it does."""

    explanation: Explanation
    span: Span


def explain(text: str) -> Sequence[Found]:
    """The explanations of `text`, in the order in which their errors stand in it; maybe none.

    Of two texts at one place the longer decides. Where several explanations share one text they
    come in the order of the table, the likelier first. What a client prints around an error is
    left out where the error itself is there.
    """
    stripped = text.strip()
    if stripped in BY_ID:
        return [Found(BY_ID[stripped], Span(0, len(text)))]
    pasted = Pasted(text)
    found = (
        _without_bare_names(text, _longest(_whole(pasted, Role.ERROR)))
        or _pieces(pasted, text, Role.ERROR)
        or _longest(_whole(pasted, Role.WRAPPER))
        or _pieces(pasted, text, Role.WRAPPER)
        or _longest(_whole(pasted, Role.LAST))
    )
    return sorted(found, key=lambda match: match.span.start)


def _whole(pasted: Pasted, role: Role) -> list[Found]:
    found = []
    for explanation in _BY_ROLE[role]:
        known = _marks(explanation)
        if _is_in_context(explanation, pasted):
            known += explanation.texts
        if explanation.code and _names_code(explanation.code, pasted):
            known += (explanation.code,)
        spans = [span for text in known if (span := pasted.find(text))]
        found += [Found(explanation, span) for span in spans]
    return found


def _marks(explanation: Explanation) -> tuple[str, ...]:
    """What names the rule itself: the end of the fake's own texts, and the header of refusals."""
    names = (explanation.id, *(rule for rule in explanation.rules if rule not in BY_ID))
    return tuple(f"{mark}{name}" for mark in _MARKS for name in names)


def _is_in_context(explanation: Explanation, pasted: Pasted) -> bool:
    near = explanation.near
    return (
        not near
        or any(letters_of(word) in pasted.letters for word in near)
        or pasted.is_only(explanation.texts)
    )


def _names_code(code: str, pasted: Pasted) -> bool:
    """Other tools number their messages in the same way."""
    return pasted.is_only((code,)) or any(word in pasted.letters for word in _CODES_NEAR)


def _longest(found: Sequence[Found]) -> list[Found]:
    """Each explanation once, at its first place that no longer text of another one covers."""
    best: dict[str, Found] = {}
    for match in found:
        if any(other.span.holds(match.span) for other in found):
            continue
        before = best.get(match.explanation.id)
        if before is None or match.span.start < before.span.start:
            best[match.explanation.id] = match
    return list(best.values())


def _without_bare_names(text: str, found: Sequence[Found]) -> list[Found]:
    """Without those that the name of an exception called for whose message says more."""
    return [match for match in found if not any(_is_message(text, match, of) for of in found)]


def _is_message(text: str, name: Found, message: Found) -> bool:
    start, end = name.span.end, message.span.start
    exception = text[name.span.start : start]
    return (
        name.explanation is not message.explanation
        and start <= end <= start + _MESSAGE_AFTER
        and _EXCEPTION.fullmatch(exception) is not None
        and set(_EXCEPTION.findall(text, start, end)) <= {exception}
        and _EXCEPTION.fullmatch(text[end : message.span.end]) is None
    )


def _pieces(pasted: Pasted, text: str, role: Role) -> list[Found]:
    """For a text that was cut off, or a few words of one."""
    candidates = [
        explanation
        for explanation in _BY_ROLE[role]
        if not explanation.near and any(pasted.has_piece_of(known) for known in explanation.texts)
    ]
    return [
        Found(explanation, Span(0, len(text)))
        for explanation in candidates
        if not any(_narrows(explanation, other) for other in candidates)
    ]


def _narrows(explanation: Explanation, other: Explanation) -> bool:
    """Whether it is about a special case of the other, more than a piece of a text can tell."""
    special = {letters_of(text) for text in explanation.texts}
    general = {letters_of(text) for text in other.texts} - special
    return any(short in long for short in general for long in special)
