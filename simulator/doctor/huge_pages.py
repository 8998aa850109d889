"""The huge pages of a machine, as sysfs shows them.

Unlike simulator.machine.huge_pages, which makes such files, it reads those of any machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulator.doctor.host import Host, PathKind
from simulator.doctor.parent import pool, short, text_of
from simulator.machine.cpu_list import BadCpuList

NODES = "/sys/devices/system/node"

_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Pages:
    """The huge pages of one NUMA node."""

    node: str
    total_mib: int
    free_mib: int
    largest_mib: int
    """Of the largest of them; 0 without any."""


def pages_of_pool(host: Host) -> Pages | None:
    """Those of the node that the CPU pool is on, or of that with the most if it cannot be told.

    None where the kernel shows none. Raises OSError.
    """
    all_pages = [_pages(host, node) for node in _nodes(host)]
    pages = [one for one in all_pages if one is not None]
    if not pages:
        return None
    try:
        cpu = min(pool(host), default=None)
    except (OSError, BadCpuList):
        cpu = None
    if cpu is not None:
        for one in pages:
            if host.look(f"{NODES}/{one.node}/cpu{cpu}") is not None:
                return one
    return max(pages, key=lambda one: one.total_mib)


def _nodes(host: Host) -> list[str]:
    if host.look(NODES) is not PathKind.FOLDER:
        return []
    return [name for name in host.entries(NODES) if re.fullmatch(r"node[0-9]{1,4}", name)]


def _pages(host: Host, node: str) -> Pages | None:
    """None where the node has no such folder. Raises OSError."""
    folder = f"{NODES}/{node}/hugepages"
    if host.look(folder) is not PathKind.FOLDER:
        return None
    total = free = largest = 0
    for name in host.entries(folder):
        match = re.fullmatch(r"hugepages-([0-9]{1,9})kB", name)
        if match is not None:
            size = int(match[1])
            number = _count(host, f"{folder}/{name}/nr_hugepages")
            largest = max(largest, size if number else 0)
            total += size * number
            free += size * _count(host, f"{folder}/{name}/free_hugepages")
    return Pages(node, total // _KIB_PER_MIB, free // _KIB_PER_MIB, largest // _KIB_PER_MIB)


def _count(host: Host, path: str) -> int:
    text = (text_of(host, path) or "").strip()
    number = int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
    if number is None:
        raise OSError(0, f"it holds no number: {short(text)!r}", path)
    return number
