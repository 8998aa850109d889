"""Finding known texts in whatever users paste: logs, JSON, wrapped lines, colours, fragments.

A text is reduced to its letters and digits, in lower case, so that quotes, escapes, gutters of
compilers, colours and line breaks, even within a word, change nothing. Where a match begins and
ends is kept in terms of the text as it was pasted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

# Left out before letters are counted, since they contain some: terminal colours (raw, escaped,
# or as copied from a window), escaped line breaks and quotes, HTML entities.
_NOISE = re.compile(
    r"(?:\x1b|\\+x1b|\\+033|\\+u001b|\^\[|\u2190)\[[0-9;?]*[A-Za-z]"
    r"|\\+u00[0-9A-Fa-f]{2}"
    r"|\\+[nrt]"
    r"|&(?:quot|apos|lt|gt|amp|nbsp|\#x?[0-9A-Fa-f]{1,5});",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[0-9A-Za-z]+")

_SHORT = 20
"""A known text with fewer letters must stand between other characters than letters."""
_LEAST_FRAGMENT = 12
"""Letters of a whole input that may be a piece of a known text."""
_LEAST_CUT = 16
"""Letters that must be left where the input, or a line with dots, is cut off in a known text."""
_ENDS_CUT = re.compile(r".*(?:\.\.\.|\u2026)")
_STARTS_CUT = re.compile(r"(?:\.\.\.|\u2026).*")


@dataclass(frozen=True, slots=True)
class Span:
    """A place in the text as it was pasted: `[start, end)`."""

    start: int
    end: int

    def holds(self, other: Span) -> bool:
        """Whether the other is within this one and shorter."""
        within = self.start <= other.start and other.end <= self.end
        return within and self != other


class Pasted:
    """A text and its letters."""

    def __init__(self, text: str) -> None:
        self._text = text
        bare = _NOISE.sub(lambda noise: " " * len(noise[0]), text)
        runs = [(run[0].lower(), run.start()) for run in _LETTERS.finditer(bare)]
        self.letters = "".join(letters for letters, _ in runs)
        self._places = [start + offset for letters, start in runs for offset in range(len(letters))]
        lines = [line.strip() for line in bare.splitlines()]
        self._cut_ends = [self.letters, *_letters_if(_ENDS_CUT, lines)]
        self._cut_starts = [self.letters, *_letters_if(_STARTS_CUT, lines)]

    def find(self, known: str) -> Span | None:
        """Where the first whole `known` stands, a text of `Explanation.texts`."""
        return next(self._all(known), None)

    def _all(self, known: str) -> Iterator[Span]:
        short = len(letters_of(known)) < _SHORT
        for match in _pattern(known).finditer(self.letters):
            span = Span(self._places[match.start()], self._places[match.end() - 1] + 1)
            if not (short and self._within_word(span)):
                yield span

    def _within_word(self, span: Span) -> bool:
        before = self._text[span.start - 1 : span.start]
        after = self._text[span.end : span.end + 1]
        return before.isalnum() or after.isalnum()

    def has_piece_of(self, known: str) -> bool:
        """Whether the input is a piece of `known`, or is cut off within it."""
        return any(self._is_piece(piece) for piece in map(letters_of, known.split("{}")) if piece)

    def _is_piece(self, piece: str) -> bool:
        if len(self.letters) >= _LEAST_FRAGMENT and self.letters in piece:
            return True
        lengths = range(_LEAST_CUT, len(piece))
        return any(
            cut.endswith(piece[:length]) for cut in self._cut_ends for length in lengths
        ) or any(cut.startswith(piece[-length:]) for cut in self._cut_starts for length in lengths)

    def is_only(self, known: Sequence[str]) -> bool:
        """Whether there is nothing in it but one of these texts."""
        return any(_pattern(text).fullmatch(self.letters) for text in known)


def letters_of(text: str) -> str:
    """The letters and digits of a text, in lower case."""
    return "".join(_LETTERS.findall(text)).lower()


def _letters_if(cut: re.Pattern[str], lines: Iterable[str]) -> Iterator[str]:
    return (letters_of(line) for line in lines if cut.fullmatch(line))


@cache
def _pattern(known: str) -> re.Pattern[str]:
    return re.compile(".{0,150}?".join(letters_of(piece) for piece in known.split("{}")))
