"""A reader of BER that accepts whatever is well-formed, to describe it and not to trust it.

It knows tags, lengths and nesting (X.690, 8.1) and no types. The workload has a strict reader of
the one layout that KMS writes; this one is for what is not that layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_DEEPEST = 32
_LONGEST_IDENTIFIER = 64
_CONSTRUCTED = 0x20
_LONG_TAG = 0x1F


class NotBer(ValueError):
    """The bytes are not one BER element; the message says where they stop being one."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag, and what is in it."""

    tag: int
    """The identifier octet."""
    offset: int
    """Where it begins in the whole."""
    content: bytes
    """Its contents octets, without the end-of-contents of an indefinite length."""
    children: tuple[Element, ...]
    """The elements inside, if it is constructed."""
    indefinite: bool
    """Whether its length is indefinite (8.1.3.6)."""
    shortest: bool
    """Whether its length is written in as few octets as it can be (10.1)."""
    end: int
    """Where the next one begins."""

    def walk(self) -> Iterator[Element]:
        """This element and all inside, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


def read(blob: bytes) -> Element:
    """The element that `blob` is, all of it. Raises NotBer."""
    element = _read(blob, 0, len(blob), 0)
    if element.end != len(blob):
        raise NotBer(f"{len(blob) - element.end} bytes follow after its end (byte {element.end})")
    return element


def breaches_of_der(tree: Element) -> Iterator[str]:
    """What of its lengths makes it BER and not DER (10.1), as a strict reader meets it."""
    elements = list(tree.walk())
    indefinite = [element.offset for element in elements if element.indefinite]
    if indefinite:
        others = f" and {len(indefinite) - 1} more" if len(indefinite) > 1 else ""
        yield f"indefinite length at byte {indefinite[0]}{others}"
    for element in elements:
        if not element.shortest:
            yield f"a length in more octets than needed at byte {element.offset}"
            return


def _read(blob: bytes, offset: int, limit: int, depth: int) -> Element:
    if depth > _DEEPEST:
        raise NotBer(f"it is nested deeper than {_DEEPEST} levels (byte {offset})")
    tag, start, length, shortest = _head(blob, offset, limit)
    if length is not None and length > limit - start:
        raise NotBer(
            f"an element with tag {tag:02x} has {length} bytes where {limit - start} are left "
            f"(byte {offset})"
        )
    if not tag & _CONSTRUCTED:
        if length is None:
            raise NotBer(f"a primitive element has no length (byte {offset})")
        end = start + length
        return Element(tag, offset, blob[start:end], (), False, shortest, end)
    children: list[Element] = []
    position, stop = start, limit if length is None else start + length
    while position < stop and not (length is None and blob[position : position + 2] == b"\0\0"):
        children.append(_read(blob, position, stop, depth + 1))
        position = children[-1].end
    if length is None:
        if blob[position : position + 2] != b"\0\0" or position + 2 > limit:
            raise NotBer(f"an element of indefinite length does not end (byte {offset})")
        return Element(tag, offset, blob[start:position], tuple(children), True, True, position + 2)
    return Element(tag, offset, blob[start:stop], tuple(children), False, shortest, stop)


def _head(blob: bytes, offset: int, limit: int) -> tuple[int, int, int | None, bool]:
    """Tag, where the contents begin, their length (None: indefinite), and if it is the shortest."""
    if limit - offset < 2:
        raise NotBer(f"it is cut short (byte {offset})")
    tag, first = blob[offset], blob[offset + 1]
    if tag & _LONG_TAG == _LONG_TAG:
        raise NotBer(f"a tag of several bytes, which no CMS has (byte {offset})")
    start = offset + 2
    if first < 0x80:
        return tag, start, first, True
    if first == 0x80:
        return tag, start, None, True
    count = first & 0x7F
    octets = blob[start : min(start + count, limit)]
    if len(octets) < count:
        raise NotBer(f"it is cut short (byte {offset})")
    length = int.from_bytes(octets, "big")
    return tag, start + count, length, length >= 0x80 and octets[0] != 0


def object_identifier(content: bytes) -> str:
    """The dotted form of an OBJECT IDENTIFIER's contents (8.19). Raises NotBer."""
    if not content or content[-1] & 0x80 or len(content) > _LONGEST_IDENTIFIER:
        raise NotBer("an object identifier is cut short or too long")
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def is_der(tree: Element) -> bool:
    """Whether its lengths are those of DER (10.1)."""
    return next(breaches_of_der(tree), None) is None
