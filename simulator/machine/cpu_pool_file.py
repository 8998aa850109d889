"""The CPU pool as nitro-cli reads it from the driver's file (src/enclave_proc/cpu_info.rs)."""

from __future__ import annotations

from pathlib import Path

from simulator.machine import failures
from simulator.machine.driver import POOL_FILE
from simulator.nitro_cli.rust_text import display

_U32 = 0xFFFF_FFFF


def read_cpu_pool(root: Path) -> list[int]:
    """The CPUs of the pool, used or not. Raises failures.Refused."""
    try:
        text = (root / POOL_FILE.lstrip("/")).read_text(errors="replace")
    except OSError as error:
        raise failures.pool_not_opened(POOL_FILE, display(error)) from error
    pool: list[int] = []
    for line in text.splitlines():
        if line.strip():
            for interval in line.split(","):
                pool += _cpus(interval)
    return pool


def _cpus(interval: str) -> range:
    ends = interval.split("-")
    if len(ends) > 2:
        raise failures.bad_pool_interval(interval)
    first, last = _cpu(ends[0]), _cpu(ends[-1])
    return range(first, last + 1)


def _cpu(text: str) -> int:
    digits = "".join(text.split()).removeprefix("+")
    if not digits:
        raise failures.bad_pool_cpu("cannot parse integer from empty string")
    if not (digits.isascii() and digits.isdigit()):
        raise failures.bad_pool_cpu("invalid digit found in string")
    if len(digits.lstrip("0")) > len(str(_U32)) or int(digits) > _U32:
        raise failures.bad_pool_cpu("number too large to fit in target type")
    return int(digits)
