"""The two wildcards of IAM policies, and the ARN patterns that are built of them.

Not regular expressions and not file globs: `*` is any run of characters, the empty one included,
and `?` is exactly one character; nothing else is special. Source: the AWS pages "IAM JSON policy
elements: Condition operators" (string operators) and "IAM JSON policy elements: Resource"
(documented).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ARN_COMPONENTS = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a pattern; in a literal one the wildcards stand for themselves."""

    text: str
    literal: bool = False


def compile_wildcards(*pieces: Piece | str) -> re.Pattern[str]:
    """An expression whose `fullmatch` takes what the pieces take together, case-sensitively.

    Between two stars the leftmost match is always good enough, so those parts are atomic groups:
    no pattern and no value can make the match backtrack without end.
    """
    runs = [""]
    for piece in pieces:
        if isinstance(piece, Piece) and piece.literal:
            runs[-1] += re.escape(piece.text)
            continue
        text = piece.text if isinstance(piece, Piece) else piece
        first, *rest = text.split("*")
        runs[-1] += _one_run(first)
        runs += map(_one_run, rest)
    expression, *rest = runs
    if rest:
        *middle, last = rest
        expression += "".join(f"(?>.*?{part})" for part in middle if part)
        expression += f".*{last}"
    return re.compile(expression, re.DOTALL)


def _one_run(part: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in part)


def _segments(pieces: Sequence[Piece], most: int = -1) -> list[list[Piece]]:
    """The pieces of each segment between colons; the last of `most` segments keeps its colons."""
    segments: list[list[Piece]] = [[]]
    for piece in pieces:
        left = most - len(segments) if most > 0 else -1
        first, *rest = piece.text.split(":", left) if left else [piece.text]
        segments[-1].append(Piece(first, piece.literal))
        segments += [[Piece(text, piece.literal)] for text in rest]
    return segments


@dataclass(frozen=True, slots=True)
class ArnPattern:
    """A resource of a policy: an ARN, wildcards allowed in its segments.

    A wildcard stays within its segment, except that a `*` that ends its segment may go on beyond
    the colon ("IAM JSON policy elements: Resource", documented); so `arn:aws:kms:*` is every KMS
    resource. Case-sensitive (the page says so of the resource part; inferred for the others).
    """

    segments: tuple[tuple[re.Pattern[str], bool], ...]
    """For each segment its expression, and whether it may go on beyond its colon."""

    @classmethod
    def of(cls, *pieces: Piece | str) -> ArnPattern:
        """The pattern that the pieces spell together."""
        whole = [piece if isinstance(piece, Piece) else Piece(piece) for piece in pieces]
        return cls(
            tuple(
                (compile_wildcards(*segment), _goes_on(segment[-1])) for segment in _segments(whole)
            )
        )

    def matches(self, arn: str) -> bool:
        """Whether the ARN `arn`, which has no wildcards, is meant."""
        return self._match(0, arn.split(":"))

    def _match(self, first: int, segments: list[str]) -> bool:
        if first == len(self.segments):
            return not segments
        if len(segments) < len(self.segments) - first:
            return False
        expression, goes_on = self.segments[first]
        if not expression.fullmatch(segments[0]):
            return False
        furthest = len(segments) if goes_on else 1
        return any(self._match(first + 1, segments[taken:]) for taken in range(1, furthest + 1))


def _goes_on(last: Piece) -> bool:
    return last.text.endswith("*") and not last.literal


@dataclass(frozen=True, slots=True)
class ArnComponents:
    """What an ARN operator compares with: six components, each with wildcards of its own.

    "Each of the six colon-delimited components of the ARN is checked separately" ("IAM JSON policy
    elements: Condition operators", documented). What is no ARN never matches.
    """

    components: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, *pieces: Piece) -> ArnComponents:
        """The pattern that the pieces spell together."""
        segments = _segments(pieces, _ARN_COMPONENTS)
        return cls(tuple(compile_wildcards(*segment) for segment in segments))

    def matches(self, arn: str) -> bool:
        """Whether `arn` is meant."""
        components = arn.split(":", _ARN_COMPONENTS - 1)
        return len(components) == len(self.components) == _ARN_COMPONENTS and all(
            pattern.fullmatch(component)
            for pattern, component in zip(self.components, components, strict=True)
        )
