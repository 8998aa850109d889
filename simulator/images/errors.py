"""What can be wrong with an image."""

from __future__ import annotations


class BadImage(ValueError):
    """An image that cannot be used; the message says what is wrong with it and what would do."""


class NoCommand(BadImage):
    """An image that names no program to run: nitro-cli's UnsupportedEntryPoint (E48)."""
