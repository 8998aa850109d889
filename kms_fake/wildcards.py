"""The two wildcards of IAM policies, and the ARN patterns that are built of them.

Not regular expressions and not file globs: `*` is any run of characters, the empty one included,
and `?` is exactly one character; nothing else is special. Source: the AWS pages "IAM JSON policy
elements: Condition operators" (string operators) and "IAM JSON policy elements: Resource"
(documented).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


def compile_wildcards(pattern: str) -> re.Pattern[str]:
    """An expression whose `fullmatch` takes what `pattern` takes, case-sensitively.

    Between two stars the leftmost match is always good enough, so those parts are atomic groups:
    no pattern and no value can make the match backtrack without end.
    """
    first, *rest = pattern.split("*")
    expression = _literal(first)
    if rest:
        *middle, last = rest
        expression += "".join(f"(?>.*?{_literal(part)})" for part in middle if part)
        expression += f".*{_literal(last)}"
    return re.compile(expression, re.DOTALL)


def _literal(part: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in part)


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
    def of(cls, pattern: str) -> ArnPattern:
        """The pattern that `pattern` spells."""
        return cls(
            tuple(
                (compile_wildcards(segment), segment.endswith("*"))
                for segment in pattern.split(":")
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
