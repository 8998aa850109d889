"""Processes that figures start; none outlives its figure, an interrupted one neither."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from benchmarks.figures import BenchmarkFailed

_START_SECONDS = 60.0
_END_SECONDS = 10.0


def command_of_the_project() -> str:
    """The path of `attested-kms`. Raises BenchmarkFailed where it is not installed."""
    path = Path(sys.executable).with_name("attested-kms")
    if not path.exists():
        raise BenchmarkFailed(f"{path} does not exist; run the benchmarks with ./toxw -e bench.")
    return str(path)


@contextmanager
def started(
    command: Sequence[str],
    *,
    end: signal.Signals = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """A process with its standard output in a pipe, ended and waited for whatever happens.

    It and whatever it starts are a group of their own: Ctrl-C reaches this process alone, which
    then sends `end` to all of them. Its standard error is ours, so that its complaints are seen;
    what a `quiet` one says goes nowhere. `environment` is ours unless one is given.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        env=environment,
        encoding="utf-8",
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, end)
        try:
            process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    """The first line that the process prints. Raises BenchmarkFailed if it prints none."""
    if process.stdout is None:
        raise BenchmarkFailed("The process was started without a pipe.")
    watchdog = Timer(_START_SECONDS, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    if not line:
        raise BenchmarkFailed(f"{process.args!r} printed nothing; its complaint, if any, is above.")
    return line


def resident_megabytes(pid: int) -> float:
    """The resident set of a process in units of 10**6 bytes.

    From `/proc` where there is one, else from `ps`; both count kibibytes.
    """
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        lines = status.read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
    else:
        listing = ["ps", "-o", "rss=", "-p", str(pid)]
        kibibytes = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    return int(kibibytes) * 1024 / 1e6
