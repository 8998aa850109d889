"""The figure of the scenario suite: a warm `./toxw -e sim`, as users type it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import Ratio
from benchmarks.processes import started

_ROOT = Path(__file__).resolve().parents[1]
_TOXW = str(_ROOT / "toxw")
_SHOWN_LINES = 20


def warm_sim() -> Figure:
    """The second of two runs; its floor is tox, which finds that nothing is to be installed."""
    _seconds("-e", "sim")
    floor = _seconds("-e", "sim", "--notest")
    ours = _seconds("-e", "sim")
    return Figure(
        name="./toxw -e sim, warm",
        unit=Unit.SECONDS,
        ours=ours,
        floor=floor,
        floor_is="./toxw -e sim --notest",
        ratio=Ratio.once(ours, floor),
        bound=Bound(Bounded.OURS, 20.0),
    )


def _seconds(*arguments: str) -> float:
    """How long toxw takes. Raises BenchmarkFailed, with its last lines, if it fails."""
    begin = time.perf_counter()
    # As Ctrl-C does: tox, pytest and the workload's processes all clean up after it.
    with started([_TOXW, *arguments], end=signal.SIGINT) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        end = "\n".join(output.splitlines()[-_SHOWN_LINES:])
        raise BenchmarkFailed(f"./toxw {' '.join(arguments)} failed:\n{end}")
    return time.perf_counter() - begin
