"""Lists of CPUs as the kernel writes them: `1,3`, `2-3,6-9`."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
_MOST_CPUS = 1 << 16


class BadCpuList(ValueError):
    """Not a list of CPUs."""


def parse_cpu_list(text: str) -> set[int]:
    """The CPUs of a list; empty for an empty one. Raises BadCpuList."""
    cpus: set[int] = set()
    for part in text.replace("\n", ",").split(","):
        if not (stripped := part.strip()):
            continue
        match = _RANGE.fullmatch(stripped)
        if match is None:
            raise BadCpuList(part)
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > _MOST_CPUS:
            raise BadCpuList(part)
        cpus.update(range(first, last + 1))
    return cpus


def cpu_list(cpus: Iterable[int]) -> str:
    """The list of CPUs, as the kernel writes it: in their order, neighbours as a range."""
    ranges: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in ranges)
