"""A figure beside its floor and its bound, and the table and JSON that show many of them.

The bounds are this project's goals for itself; they stand where a figure is made.
"""

from __future__ import annotations

import enum
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from benchmarks.measure import Ratio


class BenchmarkFailed(Exception):
    """A figure could not be measured: what happened and what to do, in a sentence."""


class Unit(enum.Enum):
    """What a figure counts, and how it is written."""

    NANOSECONDS = ("ns", 0)
    MICROSECONDS = ("us", 1)
    MILLISECONDS = ("ms", 3)
    SECONDS = ("s", 2)
    MEGABYTES = ("MB", 1)
    """10**6 bytes."""

    def write(self, value: float) -> str:
        """`value`, which is in this unit, as text."""
        symbol, places = self.value
        return f"{value:.{places}f} {symbol}"


class Bounded(enum.Enum):
    """What a bound is a bound of."""

    RATIO = "ratio"
    OURS = "ours"
    DIFFERENCE = "difference"
    """Of ours and the floor, in their unit."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that the ratio, the figure itself or its distance from the floor may be."""

    of: Bounded
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. `ours` and `floor` are in `unit`."""

    name: str
    unit: Unit
    ours: float
    floor: float
    floor_is: str
    """What the floor does, in words."""
    ratio: Ratio
    bound: Bound | None = None

    @property
    def is_over(self) -> bool:
        """Whether it exceeds its bound."""
        if self.bound is None:
            return False
        measured = {
            Bounded.RATIO: self.ratio.median,
            Bounded.OURS: self.ours,
            Bounded.DIFFERENCE: self.ours - self.floor,
        }
        return measured[self.bound.of] > self.bound.limit

    def cells(self) -> tuple[str, ...]:
        """Its line of the table, under `HEADINGS`."""
        ratio = self.ratio
        return (
            self.name,
            self.unit.write(self.ours),
            self.unit.write(self.floor),
            f"{ratio.median:.3f}x ({ratio.low:.2f}-{ratio.high:.2f})",
            self._bound_text(),
            "" if self.bound is None else "OVER" if self.is_over else "ok",
        )

    def _bound_text(self) -> str:
        if self.bound is None:
            return ""
        if self.bound.of is Bounded.RATIO:
            return f"{self.bound.limit:.2f}x"
        sign = "+" if self.bound.of is Bounded.DIFFERENCE else ""
        return f"{sign}{self.bound.limit:g} {self.unit.value[0]}"

    def as_json(self) -> dict[str, Any]:
        """Its JSON object."""
        bound = self.bound
        return {
            "figure": self.name,
            "unit": self.unit.value[0],
            "ours": self.ours,
            "floor": self.floor,
            "floor_is": self.floor_is,
            "ratio": self.ratio.median,
            "ratio_quartiles": [self.ratio.low, self.ratio.high],
            "bound": None if bound is None else {"of": bound.of.value, "limit": bound.limit},
            "over": self.is_over,
        }


HEADINGS = ("figure", "ours", "floor", "ours/floor (quartiles)", "bound", "")


def table(figures: Sequence[Figure]) -> str:
    """The table, and below it what each floor is."""
    floors = []
    for floor_is in dict.fromkeys(figure.floor_is for figure in figures):
        names = [figure.name for figure in figures if figure.floor_is == floor_is]
        floors += [f"  {'; '.join(names)}:", f"    {floor_is}"]
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:], "", "Floors, measured in this run:", *floors])


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(padded).rstrip()


def conclusion(figures: Sequence[Figure], *, strict: bool) -> str:
    """The last line: how many figures exceed their bounds, and what that does to the exit code."""
    bounded = [figure for figure in figures if figure.bound is not None]
    over = [figure.name for figure in bounded if figure.is_over]
    if not over:
        return f"All {len(bounded)} bounds hold."
    consequence = "exit code 1." if strict else "exit code 0 all the same; --strict makes it 1."
    return f"{len(over)} of {len(bounded)} bounds exceeded ({', '.join(over)}): {consequence}"


def machine() -> Mapping[str, Any]:
    """What a reader must know to compare: interpreter, machine, load, libraries."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        **{name: version(name) for name in ("cryptography", "cbor2", "moto", "cheroot")},
    }
