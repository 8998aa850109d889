"""Whole numbers as Rust's `str::parse` reads them: ASCII digits, a `+` at most before them."""

from __future__ import annotations


class NotANumber(Exception):
    """The text is none, or is one too high."""


def unsigned(text: str, highest: int) -> int:
    """The number of a text. Raises NotANumber."""
    digits = text.removeprefix("+")
    # The length first: Python refuses to read, at great length, numbers of great length.
    if not (digits.isascii() and digits.isdigit()) or len(digits.lstrip("0")) > len(str(highest)):
        raise NotANumber(text)
    number = int(digits.lstrip("0") or "0")
    if number > highest:
        raise NotANumber(text)
    return number
