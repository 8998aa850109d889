"""The figure of booting: the sample enclave, from its image file to its heartbeat."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import Batch, alternated, quiet, ratio
from benchmarks.supervised import NotMeasurable
from simulator.images import open_image
from simulator.images.build import build_eif
from simulator.images.sample import write_sample
from simulator.interpose.plan import Rung
from simulator.interpose.probe import NoRung, probe
from simulator.interpose.run import Options, Run
from simulator.machine.boot import BootFailed, boot

_ROUNDS = 20
"""A round takes half a second."""
_CID = 16
_TIMEOUT_SECONDS = 30.0


def to_heartbeat(*, rounds: int) -> Figure:
    """What run-enclave waits for. Raises NotMeasurable, BenchmarkFailed."""
    try:
        rung = probe().choose_for_boot()
    except NoRung as error:
        raise NotMeasurable(f"no enclave is booted: {error}") from error
    with TemporaryDirectory(prefix="attested-kms-bench-") as name:
        folder = Path(name)
        write_sample(folder / "sample")
        build_eif(open_image(folder / "sample"), folder / "sample.eif")
        actions = (partial(_run_nothing, folder, rung), partial(_boot, folder, rung))
        floor, ours = alternated(lambda: actions, rounds=min(rounds, _ROUNDS))
    return Figure(
        name="boot of the sample enclave, to its heartbeat",
        unit=Unit.SECONDS,
        ours=quiet(ours) / 1e9,
        floor=quiet(floor) / 1e9,
        floor_is=f"a run of /bin/true from its start to its end, {rung.value}",
        ratio=ratio(ours, floor),
        bound=Bound(Bounded.OURS, 0.5),
    )


def _run_nothing(folder: Path, rung: Rung) -> Batch:
    begin = time.perf_counter_ns()
    with Run(["/bin/true"], None, Options(fabric=folder, rung=rung)) as run:
        run.wait(_TIMEOUT_SECONDS)
        return [time.perf_counter_ns() - begin]


def _boot(folder: Path, rung: Rung) -> Batch:
    begin = time.perf_counter_ns()
    with boot(
        folder / "sample.eif",
        scratch=folder / "scratch",
        fabric=folder,
        cid=_CID,
        nsm_handle=None,
        debug=False,
        rung=rung,
    ) as enclave:
        try:
            enclave.wait_heartbeat(_TIMEOUT_SECONDS)
        except BootFailed as error:
            raise BenchmarkFailed(f"The sample enclave does not boot: {error}") from error
        return [time.perf_counter_ns() - begin]
