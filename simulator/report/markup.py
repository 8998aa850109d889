"""HTML and SVG that cannot be broken by what is written in them.

Text becomes markup in one place: whatever is a plain `str` is escaped when an element is made, and
only what an element returned is taken as it is. Control characters, which neither HTML nor SVG may
hold, become the signs that stand for them, and halves of characters a replacement character.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

_CONTROLS = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
    **dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd"),
}
"""Also the signs that turn the direction of a line, so that no text can show another order."""
_VOID = frozenset({"br", "col", "input", "link", "meta"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Content = Markup | str | None
"""What may stand in an element: markup, text to be escaped, or nothing."""
Attribute = str | int | float | bool | None
"""The value of an attribute: True for its bare name, False and None for none."""


def escaped(text: str) -> Markup:
    """Any text, for the inside of an element or of an attribute in quotes."""
    return Markup(html.escape(text.translate(_CONTROLS)))


def joined(parts: Iterable[Content], between: str = "") -> Markup:
    """Several parts, each escaped unless it is markup."""
    return Markup(
        between.join(
            part if isinstance(part, Markup) else escaped(part)
            for part in parts
            if part is not None
        )
    )


def element(name: str, /, *content: Content, **attributes: Attribute) -> Markup:
    """One element.

    In an attribute's name an underscore stands for a hyphen, and one at its end for nothing
    (`class_`).
    """
    opening = f"<{name}{''.join(_attribute(*item) for item in attributes.items())}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{joined(content)}</{name}>")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    spelled = name.removesuffix("_").replace("_", "-")
    return f" {spelled}" if value is True else f' {spelled}="{escaped(str(value))}"'
