"""The figure of `nitro-cli describe-enclaves`: how long a script waits that asks what runs."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import interleaved, quiet, ratio
from benchmarks.processes import command_of_the_project
from simulator.nitro_cli.places import VARIABLE

_CALLS = 3


def describe_enclaves(*, rounds: int) -> Figure:
    """By its shim, on a machine whose broker runs and which has no enclave."""
    command = command_of_the_project()
    # A short path: the broker's socket is below it.
    with TemporaryDirectory(prefix="attested-kms-bench-") as name:
        machine = str(Path(name, "machine"))
        environment = os.environ | {VARIABLE: machine}
        _answer([command, "shims", name], environment)
        nitro_cli = [str(Path(name, "nitro-cli")), "describe-enclaves"]
        try:
            if _answer(nitro_cli, environment) != "[]\n":
                raise BenchmarkFailed("nitro-cli describes enclaves on a machine that is new.")
            floor, ours = interleaved(
                lambda: (
                    partial(_answer, [sys.executable, "-IS", "-c", ""], environment),
                    partial(_answer, nitro_cli, environment),
                ),
                rounds=rounds,
                calls=_CALLS,
            )
        finally:
            _answer([command, "machine", "stop"], environment)
    return Figure(
        name="nitro-cli describe-enclaves, by its shim",
        unit=Unit.MILLISECONDS,
        ours=quiet(ours) / 1e6,
        floor=quiet(floor) / 1e6,
        floor_is="the same Python, which does nothing",
        ratio=ratio(ours, floor),
        bound=Bound(Bounded.OURS, 150.0),
    )


def _answer(command: list[str], environment: dict[str, str]) -> str:
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(command)} fails:\n{finished.stderr}")
    return finished.stdout
