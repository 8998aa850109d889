"""Timing of things that do the same work, side by side, and the statistics of it.

The machine's noise (other processes, clock speed, heat) lasts longer than one call. Batches of
floor and ours therefore alternate, in turned order each round, and a ratio is that of the medians
of one round: what disturbs a round disturbs both. The figure is the median of the rounds' ratios;
means, or the ratio of two medians over the whole run, would let one bad second decide.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

Action = Callable[[], object]
Timer = Callable[[], int]
"""A clock in nanoseconds."""

Batch = Sequence[int]
"""Durations of one action in one round, in nanoseconds."""
Batches = Sequence[Batch]
"""Durations of one action in nanoseconds: a sequence for each round."""


def interleaved(
    prepare: Callable[[], Sequence[Action]],
    *,
    rounds: int,
    calls: int,
    timer: Timer = time.perf_counter_ns,
) -> list[Batches]:
    """The batches of each action, in the order in which `prepare` gives them.

    `prepare` is called before each round, untimed, and gives the actions of that round. Each batch
    is `calls` timed calls after an untimed one, which finds the caches as the others do.
    """
    return alternated(
        lambda: [partial(batch, action, calls, timer) for action in prepare()], rounds=rounds
    )


def alternated(
    prepare: Callable[[], Sequence[Callable[[], Batch]]], *, rounds: int
) -> list[Batches]:
    """The same with actions that time themselves: each gives its batch of the round."""
    taken: list[list[Batch]] = []
    for number in range(rounds):
        actions = prepare()
        taken = taken or [[] for _ in actions]
        order = range(len(actions))
        for index in order if number % 2 == 0 else reversed(order):
            taken[index].append(actions[index]())
    return list(taken)


def batch(action: Action, calls: int, timer: Timer = time.perf_counter_ns) -> list[int]:
    """What each of `calls` calls took, after an untimed one."""
    action()
    durations = []
    for _ in range(calls):
        begin = timer()
        action()
        durations.append(timer() - begin)
    return durations


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratios of several rounds: their median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def once(cls, ours: float, floor: float) -> Ratio:
        """That of one measurement, which has no spread."""
        return cls(ours / floor, ours / floor, ours / floor)


def ratio(ours: Batches, floor: Batches) -> Ratio:
    """What ours takes in units of the floor, from two or more rounds.

    Raises ValueError where the rounds are not pairs.
    """
    return ratio_of_pairs(
        (statistics.median(mine), statistics.median(bare))
        for mine, bare in zip(ours, floor, strict=True)
    )


def ratio_of_pairs(pairs: Iterable[tuple[float, float]]) -> Ratio:
    """The same from pairs of ours and floor, one of each a round."""
    ratios = [ours / floor for ours, floor in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)


def percentile(batches: Batches, share: float) -> float:
    """The smallest duration that `share` (0 < share <= 1) of all durations do not exceed."""
    ordered = sorted(chain.from_iterable(batches))
    return ordered[math.ceil(share * len(ordered)) - 1]


def median(batches: Batches) -> float:
    """The median of all durations."""
    return statistics.median(chain.from_iterable(batches))


def quiet(batches: Batches) -> float:
    """The median of a quiet round: a quarter of the rounds is below it.

    For what nothing makes quicker than it is: other work on the machine only adds to it, and may
    last for most of a run. Two or more rounds.
    """
    return statistics.quantiles(map(statistics.median, batches), n=4, method="inclusive")[0]
