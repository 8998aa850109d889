"""`/sys/devices/system/cpu/{possible,present,online}`: which CPUs the instance has, and has left.

The driver takes the CPUs of its pool offline, and they are online again when the pool is empty
(drivers/virt/nitro_enclaves/ne_misc_dev.c: `inferred`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from simulator.machine.cpu_list import BadCpuList, cpu_list, parse_cpu_list
from simulator.machine.files import replace_text
from simulator.machine.instance import Instance

FOLDER = "/sys/devices/system/cpu"


def lay_out(root: Path, instance: Instance, pool: str = "") -> None:
    """The three files, where `pool` is what the driver's pool says. Raises OSError."""
    for name in ("possible", "present"):
        _write(root, name, range(instance.vcpus))
    try:
        offline = parse_cpu_list(pool)
    except BadCpuList:
        offline = set()
    take_offline(root, instance, offline)


def take_offline(root: Path, instance: Instance, cpus: Collection[int]) -> None:
    """Those CPUs, and no others. Raises OSError."""
    _write(root, "online", [cpu for cpu in range(instance.vcpus) if cpu not in cpus])


def _write(root: Path, name: str, cpus: Collection[int]) -> None:
    path = root / FOLDER.lstrip("/") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, f"{cpu_list(cpus)}\n")
