"""Instance types: CPUs, cores, NUMA nodes and memory of a parent instance, as Linux has them.

Not a catalogue: the types that people try enclaves on, and any other by its numbers. How CPUs are
numbered is `reported`: on m6i.xlarge the cores are (0, 2) and (1, 3). Sizes are AWS's
(`documented`). How much memory the kernel can give away as huge pages is `inferred` from one report
(aws-nitro-enclaves-cli, issue 313: 124.3 of a node's 128 GiB, 123 of them in pages of 1 GiB).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Architecture = Literal["x86_64", "arm64"]

_GIB = 1024
_MOST_VCPUS = 4096
"""More than any type has; each of them is counted by what is simulated."""
_USABLE_PERCENT = 97
_KEPT_MIB = 1024
"""What the parent's own programs hold, on node 0: no huge page is made of it."""

_SIZES_KIB: Mapping[Architecture, tuple[int, ...]] = {
    "x86_64": (1_048_576, 2048),
    "arm64": (1_048_576, 32_768, 2048, 64),
}
"""Of huge pages, largest first, with base pages of 4 KiB (kernel: hugetlbpage)."""


class BadInstance(ValueError):
    """No instance can be so; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The hardware of one parent instance."""

    type: str
    vcpus: int
    memory_mib: int
    threads_per_core: int = 2
    numa_nodes: int = 1
    architecture: Architecture = "x86_64"

    def __post_init__(self) -> None:
        if self.vcpus > _MOST_VCPUS:
            raise BadInstance(f"No instance has {self.vcpus} vCPUs; give up to {_MOST_VCPUS}.")
        cores = self.vcpus // max(1, self.threads_per_core)
        if min(self.vcpus, self.threads_per_core, self.numa_nodes, self.memory_mib) < 1:
            raise BadInstance("CPUs, threads, nodes and memory of an instance are at least 1.")
        if cores * self.threads_per_core != self.vcpus or cores % self.numa_nodes:
            raise BadInstance(
                f"{self.vcpus} vCPUs do not make whole cores of {self.threads_per_core} threads on "
                f"{self.numa_nodes} NUMA nodes."
            )

    @property
    def cores(self) -> tuple[tuple[int, ...], ...]:
        """The CPUs of each core: siblings are half of all CPUs apart."""
        count = self.vcpus // self.threads_per_core
        return tuple(
            tuple(core + count * thread for thread in range(self.threads_per_core))
            for core in range(count)
        )

    def core_of(self, cpu: int) -> int:
        """The index of the core that a CPU is of."""
        return cpu % (self.vcpus // self.threads_per_core)

    def siblings(self, cpu: int) -> tuple[int, ...]:
        """The CPUs of its core, itself among them."""
        return self.cores[self.core_of(cpu)]

    def node_of(self, cpu: int) -> int:
        """Its NUMA node."""
        cores = self.vcpus // self.threads_per_core
        return self.core_of(cpu) // (cores // self.numa_nodes)

    def cpus_of_node(self, node: int) -> tuple[int, ...]:
        """The CPUs of a NUMA node, ascending."""
        return tuple(cpu for cpu in range(self.vcpus) if self.node_of(cpu) == node)

    @property
    def page_sizes_kib(self) -> tuple[int, ...]:
        """The sizes of huge pages that the kernel offers, largest first."""
        return _SIZES_KIB[self.architecture]

    def reservable_mib(self, node: int) -> int:
        """How much of a node's memory can become huge pages."""
        usable = self.memory_mib // self.numa_nodes * _USABLE_PERCENT // 100
        return max(0, usable - (_KEPT_MIB if node == 0 else 0))

    def reservable_gigantic(self, node: int) -> int:
        """How many pages of 1 GiB a node can give: they need memory in one piece."""
        return max(0, self.reservable_mib(node) // _GIB - 1)


def _intel(name: str, vcpus: int, gib: int, nodes: int = 1) -> Instance:
    return Instance(type=name, vcpus=vcpus, memory_mib=gib * _GIB, numa_nodes=nodes)


def _graviton(name: str, vcpus: int, gib: int) -> Instance:
    return Instance(
        type=name, vcpus=vcpus, memory_mib=gib * _GIB, threads_per_core=1, architecture="arm64"
    )


DEFAULT_TYPE = "m6i.xlarge"
INSTANCE_TYPES: Mapping[str, Instance] = {
    instance.type: instance
    for instance in (
        _intel("m6i.xlarge", 4, 16),
        _intel("m6i.2xlarge", 8, 32),
        _intel("m6i.4xlarge", 16, 64),
        _intel("m5.xlarge", 4, 16),
        _intel("m5.2xlarge", 8, 32),
        _intel("m5.4xlarge", 16, 64),
        _intel("m5.16xlarge", 64, 256, nodes=2),
        _intel("m5.24xlarge", 96, 384, nodes=2),
        _intel("m5a.4xlarge", 16, 64),
        _intel("m6a.xlarge", 4, 16),
        _intel("c5.xlarge", 4, 8),
        _intel("c5.2xlarge", 8, 16),
        _intel("c6i.xlarge", 4, 8),
        _intel("c6i.2xlarge", 8, 16),
        _intel("c6a.xlarge", 4, 8),
        _intel("c6a.2xlarge", 8, 16),
        _intel("r6i.xlarge", 4, 32),
        _graviton("m6g.large", 2, 8),
        _graviton("m6g.xlarge", 4, 16),
        _graviton("m7g.xlarge", 4, 16),
        _graviton("c6g.xlarge", 4, 8),
        _graviton("c7g.xlarge", 4, 8),
    )
}


def instance_of(name: str, numbers: Mapping[str, object]) -> Instance:
    """The instance of a type, with numbers that differ; of an unknown type, by its numbers alone.

    `numbers` are members of Instance. Raises BadInstance.
    """
    known = INSTANCE_TYPES.get(name)
    if known is None and not {"vcpus", "memory_mib"} <= set(numbers):
        raise BadInstance(
            f"There is no instance type {name!r} here. Known are {', '.join(INSTANCE_TYPES)}; for "
            "any other give its number of vCPUs and its memory too."
        )
    base = known or Instance(type=name, vcpus=2, memory_mib=1)
    return replace(base, type=name, **numbers)  # type: ignore[arg-type]  # Checked by the reader.
