"""`nitro-enclaves-allocator`: reserves the CPUs and huge pages that its allocator.yaml says.

It is a bash script on a real instance (bootstrap/nitro-enclaves-allocator), and its ways are kept,
the odd ones too: without a line `---` it skips the whole file, it does not see a last line that has
no line feed, a blank line is an unexpected key, and it asks for the largest pages first, so that a
reservation of 1024 MiB is one page that the first enclave takes whole (reported: issue 602).
Read and not run: `inferred`, but for its reader of the file, which was run.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.machine.cpu_list import BadCpuList, parse_cpu_list
from simulator.machine.driver import POOL_FILE, Driver, PoolRefused
from simulator.machine.huge_pages import HugePages
from simulator.machine.instance import Instance

CONFIGURATION = "/etc/nitro_enclaves/allocator.yaml"

_SCRIPT = "/usr/bin/nitro-enclaves-allocator"
_KEYS = ("memory_mib", "cpu_count", "cpu_pool")
_COMMENT = re.compile(r"\s*#")
_KEY = re.compile(r"[-_a-z0-9]+", re.IGNORECASE)
_KIB_PER_MIB = 1024
_MOST_DIGITS = 18

# The lines of the script in which bash itself complains.
_LINE_OF_READER = 99
_LINE_OF_SUBSCRIPT = 115
_LINE_OF_EMPTYING = 135
_LINE_OF_POOL = 150

_NO_MEMORY = (
    "Failed to configure entire amount of requested memory. "
    "This indicates insufficient system resources."
)
_NO_NODE = "No CPUs are off-line. Please configure the CPU pool first."
_WRONG_NODE = "Invalid NUMA node for a CPU. This indicates an invalid CPU ID."
_NO_DRIVER = "The CPU pool file is missing. Please make sure the Nitro Enclaves driver is inserted."
_ENCLAVES_RUN = (
    "Could not re-online CPUs because there is at least one enclave currently running. Make sure "
    "you stop all enclaves prior to re-starting the nitro-enclaves-allocator.service."
)


@dataclass(frozen=True, slots=True)
class Host:
    """What the script sees of its instance."""

    root: Path
    instance: Instance
    pages: HugePages
    driver: Driver


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run of the script."""

    lines: tuple[str, ...]
    """Of standard output: the journal has them."""
    errors: tuple[str, ...]
    """Of standard error: what bash and its tools complain of."""
    exit_code: int


class _Failed(Exception):
    """`fail` of the script."""


class _MemoryFailed(Exception):
    """A node does not have the memory; another may."""


def allocate(host: Host) -> Outcome:
    """Run it."""
    script = _Script(host)
    try:
        script.run()
    except _Failed as failed:
        return Outcome((*script.lines, f"Error: {failed}"), tuple(script.errors), 1)
    return Outcome(tuple(script.lines), tuple(script.errors), 0)


@dataclass(slots=True)
class _Script:
    host: Host
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        configured = self._parse()
        memory, count, pool = (configured.get(key) for key in _KEYS)
        if memory is None:
            raise _Failed("Config error: missing memory reservation (`memory_mib`).")
        if count is None and pool is None:
            raise _Failed(
                "Config error: missing CPU reservation (either `cpu_count` or `cpu_pool`)."
            )
        if count is not None and pool is not None:
            raise _Failed("Config error: `cpu_count` conflicts with `cpu_pool`.")
        self._bring_cpus_online()
        if count is not None:
            self._by_count(count, memory)
            reserved = f"{count} CPUs"
        else:
            self._by_pool(pool or "", memory)
            reserved = f"CPU pool: {pool}"
        self.lines.append(
            f"Successfully allocated Nitro Enclaves resources: {memory} MiB, {reserved}"
        )

    def _parse(self) -> dict[str, str]:
        try:
            # Carriage returns are kept: bash does not know them as part of a line's end.
            raw = (self.host.root / CONFIGURATION.lstrip("/")).read_bytes()
        except OSError as error:
            self._complain(_LINE_OF_READER, f"{CONFIGURATION}: {error.strerror}")
            raw = b""
        configured: dict[str, str] = {}
        started = False
        # `while read line` ends at a line without its line feed, before it has seen it.
        lines = raw.decode(errors="replace").split("\n")[:-1]
        for number, unread in enumerate(lines, start=1):
            line = unread.strip(" \t")
            if _COMMENT.match(line):
                continue
            if line == "---":
                started = True
            elif started:
                key, value = self._entry(line, number)
                configured[key] = value
        return configured

    def _entry(self, line: str, number: int) -> tuple[str, str]:
        match = _KEY.match(line.partition(":")[0])
        key = match[0] if match else ""
        if key not in _KEYS:
            if not key:
                self._complain(_LINE_OF_SUBSCRIPT, "CONFIG: bad array subscript")
            raise _Failed(f"Error in {CONFIGURATION}:{number} - unexpected: {key}")
        value = re.sub(r"^.+:", "", line)
        value = re.sub(r'\s+"?', "", value, count=1)
        value = re.sub(r'"?$', "", value, count=1)
        if not value:
            raise _Failed(f"Error in {CONFIGURATION}:{number} - missing value for {key}")
        return key, value

    def _bring_cpus_online(self) -> None:
        """An empty pool first: the two lines of dmesg at each start that mean nothing."""
        if not self.host.driver.is_present:
            self._complain(_LINE_OF_EMPTYING, f"{POOL_FILE}: {os.strerror(errno.ENOENT)}")
            self.errors.append(f"cat: .tmp_file: {os.strerror(errno.ENOENT)}")
            self.errors.append(f"rm: cannot remove '.tmp_file': {os.strerror(errno.ENOENT)}")
            return
        try:
            self.host.driver.set_pool("\n")
        except PoolRefused as refused:
            if refused.number == errno.EPERM:
                raise _Failed(_ENCLAVES_RUN) from None

    def _by_count(self, count: str, memory: str) -> None:
        if not self.host.driver.is_present:
            raise _Failed(_NO_DRIVER)
        self.lines.append("Auto-generating the enclave CPU pool by using the CPU count...")
        wanted = self._checked_count(count)
        chosen: list[int] = []
        memory_failure: str | None = None
        for node in range(self.host.instance.numa_nodes):
            chosen = self._cpus_of_node(node, wanted)
            if len(chosen) != wanted:
                continue
            self.lines.append(f"Will try to reserve {memory} MB of memory on node {node}.")
            try:
                self._configure_pages(memory, node)
            except _MemoryFailed as failed:
                memory_failure = str(failed)
                continue
            memory_failure = None
            break
        if len(chosen) != wanted:
            raise _Failed(
                "Failed to find suitable CPUs for the Nitro Enclaves CPU pool after checking all "
                "NUMA nodes."
            )
        if memory_failure is not None:
            raise _Failed(memory_failure)
        pool = ",".join(map(str, chosen))
        self.lines.append(f"Auto-generated the enclave CPU pool: {pool}.")
        self._configure_pool(pool)

    def _checked_count(self, count: str) -> int:
        instance = self.host.instance
        if not _is_number(count):
            raise _Failed(f"The CPU count value ({count}) is invalid.")
        wanted = int(count)
        if wanted < 1:
            raise _Failed("Provided CPU count is not higher than 0.")
        if wanted > instance.vcpus:
            raise _Failed(f"Provided CPU count is higher than available CPUs - {instance.vcpus}.")
        threads = instance.threads_per_core
        if wanted % threads:
            raise _Failed(f"The CPU count is not multiple of {threads} (threads per core).")
        return wanted

    def _cpus_of_node(self, node: int, wanted: int) -> list[int]:
        """Whole cores of a node, in the order of their CPUs; fewer than `wanted` if it has no more.

        CPU 0's core stays with the parent.
        """
        instance = self.host.instance
        cpus = instance.cpus_of_node(node)
        kept = instance.threads_per_core if node == instance.node_of(0) else 0
        chosen: list[int] = []
        if wanted > len(cpus) - kept:
            return chosen
        for cpu in cpus:
            siblings = instance.siblings(cpu)
            if 0 in siblings:
                continue
            chosen += [sibling for sibling in siblings if sibling not in chosen]
            if len(chosen) == wanted:
                break
        return chosen

    def _by_pool(self, pool: str, memory: str) -> None:
        self._configure_pool(pool)
        try:
            self._configure_pages(memory, self._node_of_pool(pool))
        except _MemoryFailed as failed:
            raise _Failed(str(failed)) from None

    def _configure_pool(self, pool: str) -> None:
        if not self.host.driver.is_present:
            raise _Failed(_NO_DRIVER)
        self.lines.append("Configuring the enclave CPU pool...")
        try:
            self.host.driver.set_pool(f"{pool}\n")
        except PoolRefused as refused:
            words = os.strerror(refused.number)
            self._complain(_LINE_OF_POOL, f"echo: write error: {words}")
            raise _Failed("Failed to configure the CPU pool.") from None
        self.lines.append("Done.")

    def _node_of_pool(self, pool: str) -> int | None:
        """None where it has none, or several: found only after the pages' first line is printed."""
        try:
            nodes = {self.host.instance.node_of(cpu) for cpu in parse_cpu_list(pool)}
        except BadCpuList:
            return None
        return nodes.pop() if len(nodes) == 1 else None

    def _configure_pages(self, memory: str, node: int | None) -> None:
        """Raises _MemoryFailed where the node has too little."""
        self.lines.append("Configuring the huge page memory...")
        if not _is_number(memory):
            raise _Failed(f"The needed memory amount ({memory}) is invalid.")
        if node is None:
            raise _MemoryFailed(_WRONG_NODE)
        sizes = self.host.instance.page_sizes_kib
        pages = self.host.pages
        before = {size: pages.count(node, size) for size in sizes}
        smallest = sizes[-1]
        # At least one page: bash rounds -1 / N up to 0.
        remaining = max(1, -(-int(memory) * _KIB_PER_MIB // smallest)) * smallest
        self._set_all(node, dict.fromkeys(sizes, 0))
        for size in sizes:
            given = pages.reserve(node, size, remaining // size)
            if given:
                self.lines.append(f"- Reserved {given} pages of type: {size}kB.")
            remaining -= given * size
            if not remaining:
                break
        if remaining:
            self.lines.append("Memory configuration failed, rolling back memory reservations...")
            self._set_all(node, before)
            raise _MemoryFailed(_NO_MEMORY)
        self.lines.append("Done.")

    def _set_all(self, node: int, counts: dict[int, int]) -> None:
        for size, count in counts.items():
            self.host.pages.reserve(node, size, count)

    def _complain(self, line: int, text: str) -> None:
        self.errors.append(f"{_SCRIPT}: line {line}: {text}")


def _is_number(text: str) -> bool:
    # What is longer overflows in bash.
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def configuration_text(memory_mib: int, cpus: int | Sequence[int]) -> str:
    """An allocator.yaml for that much memory and so many CPUs, or for those."""
    chosen = (
        f"cpu_count: {cpus}"
        if isinstance(cpus, int)
        else f"cpu_pool: {','.join(str(cpu) for cpu in cpus)}"
    )
    return (
        "---\n"
        "# What nitro-enclaves-allocator reserves when it starts.\n"
        f"memory_mib: {memory_mib}\n"
        "# Either a number of CPUs, or the CPUs themselves: cpu_pool: 1,3\n"
        f"{chosen}\n"
    )
