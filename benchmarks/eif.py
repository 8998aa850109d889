"""Figures of measuring an enclave image file: time beside its arithmetic, and memory."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import Ratio, interleaved, quiet, ratio
from nsm_fake.eif import identity, measure, write_eif

_MEBIBYTES = 100
_ROUNDS = 9
"""A round takes a second, so that 60 of them would be too many."""
_PEAK = (
    "import sys; from pathlib import Path; from nsm_fake.eif import measure; "
    "[measure(Path(name)) for name in sys.argv[1:]]; "
    "print(*[line for line in Path('/proc/self/status').open() if line.startswith('VmHWM')])"
)


def measuring(*, rounds: int) -> Iterator[Figure]:
    """PCRs and checksum of an image with an application of 100 MiB."""
    with TemporaryDirectory(prefix="attested-kms-bench-") as name:
        image = Path(name, "image.eif")
        application = os.urandom(1 << 20) * _MEBIBYTES
        _write(image, application)
        floor, ours = interleaved(
            lambda: (partial(_arithmetic, application), partial(measure, image)),
            rounds=min(rounds, _ROUNDS),
            calls=1,
        )
        yield Figure(
            name=f"measuring an image of {_MEBIBYTES} MiB",
            unit=Unit.MILLISECONDS,
            ours=quiet(ours) / 1e6,
            floor=quiet(floor) / 1e6,
            floor_is="SHA-384 twice and CRC-32 once over the application's bytes in memory",
            ratio=ratio(ours, floor),
            # 0.9 times as quick.
            bound=Bound(Bounded.RATIO, 1 / 0.9),
        )
        if not Path("/proc/self/status").exists():
            return
        before, after = _peak(), _peak(image)
        yield Figure(
            name=f"memory while measuring {_MEBIBYTES} MiB",
            unit=Unit.MEGABYTES,
            ours=after,
            floor=before,
            floor_is="a process that has imported the same and measures nothing",
            ratio=Ratio.once(after, before),
            bound=Bound(Bounded.OURS, 64.0),
        )


def _write(image: Path, application: bytes) -> None:
    told = identity(
        name="benchmark",
        version="1.0",
        build_time="2026-01-01T00:00:00+00:00",
        build_tool="attested-kms",
        build_tool_version="0",
        operating_system="Linux",
        kernel_version="0",
    )
    with image.open("w+b") as file:
        write_eif(
            file,
            kernel=b"a kernel",
            cmdline=b"console=ttyS0",
            ramdisks=(b"the one that boots", application),
            metadata=told,
        )


def _arithmetic(data: bytes) -> None:
    hashlib.sha384(data).digest()
    hashlib.sha384(data).digest()
    zlib.crc32(data)


def _peak(*images: Path) -> float:
    """The most memory in MB that a process ever had which measured the images."""
    command = [sys.executable, "-c", _PEAK, *map(str, images)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BenchmarkFailed(f"an image is not measured:\n{finished.stderr}")
    return int(finished.stdout.split()[1]) * 1024 / 1e6
