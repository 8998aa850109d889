"""A sequence diagram drawn as SVG, to stand in an HTML page whose style sheet colours it.

Everything is measured here, in CSS pixels, because SVG does not break lines: text is set in a
monospaced font, whose characters are all as wide, and cut where a label would grow out of hand.
What is cut stands whole in the list beside the diagram, which is also what a screen reader reads:
the drawing itself is one image with a name.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulator.report.diagram import Diagram, Event, Lane, Mark, Shape
from simulator.report.markup import Markup, element, joined

_LANE, _WIDE_LANE = 192, 280
_FEW = 3
"""So many lanes and fewer are wide: there is room for what they say."""
_EDGE = 14
_HEAD = 40
_HEAD_HEIGHT = 28
_CHARACTER = 6.7
"""Of the style sheet's 11 px, a little more than any common font has."""
_LINE = 14
_PADDING = 5
_SIGN = 6
"""Room between an arrow's label and the cross at its end."""
_GAP = 12
_MOST_LINES = 3
_LEAST_LABEL = 330
"""An arrow's label may reach beyond a short arrow, for an error to be read."""
_FRAMED = frozenset({Shape.NOTE, Shape.PAUSE})
_CROSS = "\u2715"


@dataclass(frozen=True, slots=True)
class _Box:
    """One event with its lines, and where it stands."""

    event: Event
    lines: tuple[str, ...]
    left: float
    right: float
    top: float
    middle: float
    """Of its text."""

    @property
    def bottom(self) -> float:
        sign = self.event.mark is not Mark.NONE and self.event.shape not in _FRAMED
        return self.top + len(self.lines) * _LINE + 2 * _PADDING + (_SIGN if sign else 0)


def draw(diagram: Diagram, name: str, identifier: str) -> Markup:
    """The `svg` element; `name` is what it is called, `identifier` makes its ids unique."""
    each = _WIDE_LANE if len(diagram.lanes) <= _FEW else _LANE
    places = {lane: _EDGE + each * (at + 0.5) for at, lane in enumerate(diagram.lanes)}
    width = 2 * _EDGE + each * max(len(diagram.lanes), 1)
    boxes = list(_placed(diagram.events, places, width))
    height = (boxes[-1].bottom if boxes else _HEAD) + _GAP
    parts = [
        element("title", name, id=f"{identifier}-title"),
        *(_lane(lane, at, height) for lane, at in places.items()),
        *(_drawn(box, places) for box in boxes),
    ]
    return element(
        "svg",
        joined(parts),
        class_="diagram",
        role="img",
        aria_labelledby=f"{identifier}-title",
        viewBox=f"0 0 {width} {_short(height)}",
        width=width,
        height=_short(height),
    )


def _placed(events: Sequence[Event], places: Mapping[Lane, float], width: float) -> Iterator[_Box]:
    top = float(_HEAD + _GAP)
    for event in events:
        left, right = _span(event, places, width)
        room = right - left if event.shape in _FRAMED else max(right - left, _LEAST_LABEL)
        room = min(room, width - 2 * _EDGE)
        lines = _lines(event, room)
        half = max(map(len, lines)) * _CHARACTER / 2 + _EDGE
        middle = min(max((left + right) / 2, half), width - half)
        box = _Box(event, lines, left, right, top, middle)
        yield box
        top = box.bottom + _GAP


def _span(event: Event, places: Mapping[Lane, float], width: float) -> tuple[float, float]:
    """From where to where an event reaches."""
    at = [places[lane] for lane in event.lanes]
    if not at:
        return _EDGE, width - _EDGE
    if event.shape is Shape.NOTE:
        return min(at) - _LANE / 2 + 4, max(at) + _LANE / 2 - 4
    return min(at), max(at)


def _lines(event: Event, width: float) -> tuple[str, ...]:
    mark = f"{_CROSS} {event.mark.value}: " if event.mark is not Mark.NONE else ""
    text = " ".join(f"{mark}{event.text}".split())
    fits = max(int((width - 2 * _PADDING) / _CHARACTER), 8)
    lines = textwrap.wrap(
        text, fits, max_lines=_MOST_LINES, placeholder=" \u2026", break_on_hyphens=False
    )
    return tuple(lines) or ("",)


def _lane(lane: Lane, at: float, height: float) -> Markup:
    line = element("line", x1=_short(at), x2=_short(at), y1=_HEAD, y2=_short(height), class_="life")
    head = element(
        "rect",
        x=_short(at - _LANE / 2 + 12),
        y=_HEAD - _HEAD_HEIGHT,
        width=_LANE - 24,
        height=_HEAD_HEIGHT,
        rx=5,
        class_="head",
    )
    return joined([line, head, _text(at, _HEAD - _HEAD_HEIGHT / 2 + 4, lane.value, "lane")])


def _drawn(box: _Box, places: Mapping[Lane, float]) -> Markup:
    classes = box.event.shape.value
    if box.event.mark is not Mark.NONE:
        classes += " marked"
    parts = _framed(box) if box.event.shape in _FRAMED else _arrow(box, places)
    return element("g", joined(parts), class_=classes)


def _framed(box: _Box) -> Iterator[Markup]:
    yield element(
        "rect",
        x=_short(box.left),
        y=_short(box.top),
        width=_short(box.right - box.left),
        height=_short(box.bottom - box.top),
        rx=5,
    )
    yield from _label(box, box.top + _PADDING)


def _arrow(box: _Box, places: Mapping[Lane, float]) -> Iterator[Markup]:
    """The label above a line with a head, and a dot where it is passed on."""
    start, *on_the_way, end = (places[lane] for lane in box.event.lanes)
    at = box.bottom - _PADDING
    back = 1 if end < start else -1
    yield from _label(box, box.top)
    yield element("line", x1=_short(start), x2=_short(end + 5 * back), y1=_short(at), y2=_short(at))
    head = f"{_short(end)},{_short(at)} {_short(end + 9 * back)},{_short(at - 4.5)}"
    yield element("polygon", points=f"{head} {_short(end + 9 * back)},{_short(at + 4.5)}")
    for place in on_the_way:
        yield element("circle", cx=_short(place), cy=_short(at), r=4)
    if box.event.mark is not Mark.NONE:
        # Where it comes from: whoever refused stands there.
        yield element("circle", cx=_short(start), cy=_short(at), r=8, class_="sign")
        yield _text(start, at + 4, _CROSS, "cross")


def _label(box: _Box, top: float) -> Iterator[Markup]:
    for number, line in enumerate(box.lines, 1):
        yield _text(box.middle, top + number * _LINE - 3, line, "label")


def _text(x: float, y: float, text: str, class_: str) -> Markup:
    return element("text", text, x=_short(x), y=_short(y), class_=class_)


def _short(number: float) -> str:
    """A coordinate without needless digits."""
    return f"{number:.1f}".removesuffix(".0")
