"""How the proxy ends where it fails."""

from __future__ import annotations


class Failed(Exception):
    """`main` returns an error, whose text this is."""


class Panic(Exception):
    """A thread panics; `place` is where, in the real one's source."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place
