"""Lines as wide as the terminal, for whoever shows texts of explanations; no table is imported."""

from __future__ import annotations

import shutil
import textwrap

_WIDEST = 100


def wrapped(first: str, later: str, text: str) -> str:
    """A text in lines as wide as the terminal, the first behind `first`, the others `later`."""
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 0)).columns)
    return textwrap.fill(
        text,
        width=max(width, len(later) + 20),
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
