"""The statistics and verdicts of the benchmarks; no figure is measured here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import pytest

from benchmarks.figures import Bound, Bounded, Figure, Unit, conclusion, table
from benchmarks.measure import (
    Ratio,
    alternated,
    interleaved,
    median,
    percentile,
    quiet,
    ratio,
    ratio_of_pairs,
)
from benchmarks.run import report


class FakeTime:
    """A clock that stands still but for what the timed actions take."""

    def __init__(self) -> None:
        self.now = 0
        self.log: list[str] = []

    def action(self, name: str, takes: int) -> Callable[[], None]:
        def act() -> None:
            self.log.append(name)
            self.now += takes

        return act


def test_batches_alternate_in_turned_order_after_an_untimed_call() -> None:
    time = FakeTime()
    actions = (time.action("floor", 2), time.action("ours", 3))
    floor, ours = interleaved(lambda: actions, rounds=2, calls=2, timer=lambda: time.now)
    assert time.log == ["floor"] * 3 + ["ours"] * 6 + ["floor"] * 3
    assert floor == [[2, 2], [2, 2]]
    assert ours == [[3, 3], [3, 3]]


def test_what_prepares_a_round_is_not_timed() -> None:
    time = FakeTime()
    prepared = []

    def prepare() -> tuple[Callable[[], None]]:
        time.now += 1000
        prepared.append(time.now)
        return (time.action("ours", 3),)

    assert interleaved(prepare, rounds=2, calls=1, timer=lambda: time.now) == [[[3], [3]]]
    assert len(prepared) == 2


def test_actions_may_time_themselves() -> None:
    log: list[str] = []

    def action(name: str, takes: int) -> Callable[[], list[int]]:
        def act() -> list[int]:
            log.append(name)
            return [takes]

        return act

    actions = (action("floor", 2), action("ours", 3))
    assert alternated(lambda: actions, rounds=3) == [[[2]] * 3, [[3]] * 3]
    assert log == ["floor", "ours", "ours", "floor", "floor", "ours"]


def test_a_disturbed_round_does_not_move_the_ratio() -> None:
    floor = [[10, 10], [10, 10], [70, 70], [10, 10], [10, 10]]
    ours = [[12, 12], [12, 12], [84, 84], [12, 12], [12, 12]]
    assert ratio(ours, floor) == Ratio(median=1.2, low=1.2, high=1.2)


def test_the_ratio_has_quartiles_of_its_rounds() -> None:
    pairs = [(1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0), (5.0, 1.0)]
    assert ratio_of_pairs(pairs) == Ratio(median=3.0, low=2.0, high=4.0)


def test_a_ratio_needs_a_floor_for_each_round() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        ratio([[1], [1]], [[1]])


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.5, 10), (0.95, 19), (1.0, 20)])
def test_a_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    twenty = list(range(20, 0, -1))
    assert percentile([twenty[:7], twenty[7:]], share) == expected


def test_the_median_is_over_all_rounds() -> None:
    assert median([[1, 9], [3], [4]]) == 3.5


def test_a_quiet_round_is_one_of_the_quickest() -> None:
    noise = [[70, 80, 90]] * 3
    assert quiet([[1, 9, 2], *noise, [2, 2, 2]]) == 2


def figure(
    *, name: str = "a figure", ours: float = 1.0, times: float = 1.0, bound: Bound | None = None
) -> Figure:
    return Figure(
        name=name,
        unit=Unit.MILLISECONDS,
        ours=ours,
        floor=1.0,
        floor_is="the floor of it",
        ratio=Ratio(times, times, times),
        bound=bound,
    )


@pytest.mark.parametrize(
    ("ours", "times", "bound", "over"),
    [
        (9.0, 1.25, Bound(Bounded.RATIO, 1.25), False),
        (0.1, 1.26, Bound(Bounded.RATIO, 1.25), True),
        (2.0, 9.0, Bound(Bounded.OURS, 2.0), False),
        (2.1, 0.1, Bound(Bounded.OURS, 2.0), True),
        (3.0, 9.0, Bound(Bounded.DIFFERENCE, 2.0), False),
        (3.1, 0.1, Bound(Bounded.DIFFERENCE, 2.0), True),
        (9.0, 9.0, None, False),
    ],
)
def test_a_bound_is_of_the_ratio_the_figure_or_its_distance_from_the_floor(
    ours: float, times: float, bound: Bound | None, over: bool
) -> None:
    assert figure(ours=ours, times=times, bound=bound).is_over is over


HOLDS = figure(name="one", bound=Bound(Bounded.OURS, 2.0))
EXCEEDS = figure(name="two", times=1.3, bound=Bound(Bounded.RATIO, 1.25))
UNBOUNDED = figure(name="three", times=99.0)


def test_the_table_has_a_line_for_each_figure_and_each_floor_once() -> None:
    lines = table([HOLDS, EXCEEDS, UNBOUNDED]).splitlines()
    assert [" ".join(line.split()) for line in lines[2:5]] == [
        "one 1.000 ms 1.000 ms 1.000x (1.00-1.00) 2 ms ok",
        "two 1.000 ms 1.000 ms 1.300x (1.30-1.30) 1.25x OVER",
        "three 1.000 ms 1.000 ms 99.000x (99.00-99.00)",
    ]
    assert lines[-2:] == ["  one; two; three:", "    the floor of it"]


def test_a_bound_on_the_distance_shows_its_sign() -> None:
    near = figure(ours=2.0, times=2.0, bound=Bound(Bounded.DIFFERENCE, 2.0))
    assert near.cells()[-2:] == ("+2 ms", "ok")


def test_the_conclusion_names_what_is_exceeded_and_the_exit_code() -> None:
    figures = [HOLDS, EXCEEDS, UNBOUNDED]
    assert conclusion([HOLDS, UNBOUNDED], strict=True) == "All 1 bounds hold."
    assert conclusion(figures, strict=True) == "1 of 2 bounds exceeded (two): exit code 1."
    assert conclusion(figures, strict=False) == (
        "1 of 2 bounds exceeded (two): exit code 0 all the same; --strict makes it 1."
    )


def test_json_says_what_the_table_says() -> None:
    options = argparse.Namespace(json=True, strict=False, quick=True)
    printed = json.loads(report({"cores": 2}, [EXCEEDS], options))
    assert printed["machine"] == {"cores": 2}
    assert printed["quick"] is True
    assert printed["figures"] == [
        {
            "figure": "two",
            "unit": "ms",
            "ours": 1.0,
            "floor": 1.0,
            "floor_is": "the floor of it",
            "ratio": 1.3,
            "ratio_quartiles": [1.3, 1.3],
            "bound": {"of": "ratio", "limit": 1.25},
            "over": True,
        }
    ]
    assert printed["conclusion"].startswith("1 of 1 bounds exceeded (two)")
