"""`nitro-enclaves-allocator`: reserves the CPUs and huge pages that its allocator.yaml says.

It is a bash script on a real instance (bootstrap/nitro-enclaves-allocator), and its ways are kept,
the odd ones too: how it reads its file (allocator_file), numbers that begin with 0 are octal where
it calculates with them, and it asks for the largest pages first, so that a reservation of 1024 MiB
is one page that the first enclave takes whole (reported: issue 602). Read and not run: `inferred`,
but for its reader of the file and its arithmetic, which were run with bash 5.2.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.machine.allocator_file import BadFile, read_reservation
from simulator.machine.cpu_list import BadCpuList, parse_cpu_list
from simulator.machine.driver import POOL_FILE, Driver, PoolRefused
from simulator.machine.huge_pages import HugePages
from simulator.machine.instance import Instance

CONFIGURATION = "/etc/nitro_enclaves/allocator.yaml"

_SCRIPT = "/usr/bin/nitro-enclaves-allocator"
_KIB_PER_MIB = 1024
_NOT_OCTAL = re.compile(r"0\d*[89]\d*")
_MOST_BITS = 63

# The lines of the script in which bash itself complains.
_LINE_OF_READER = 99
_LINE_OF_SUBSCRIPT = 115
_LINE_OF_EMPTYING = 135
_LINE_OF_POOL = 150
_LINE_OF_AMOUNT = 264
_LINE_OF_PAGES = 302
_LINE_OF_COUNT = 433
_LINE_OF_THREADS = 438

_NO_MEMORY = (
    "Failed to configure entire amount of requested memory. "
    "This indicates insufficient system resources."
)
_PAGES_NOT_SET = (
    "Failed to set a number of huge pages. This may indicate insufficient system resources."
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


class _BashFailed(Exception):
    """Bash cannot calculate something, and ends the script there."""


class _MemoryFailed(Exception):
    """A node does not have the memory; another may."""


def allocate(host: Host, install_dir: str = "", directory: str = "/") -> Outcome:
    """Run it; the first is NITRO_CLI_INSTALL_DIR, a folder of this system if it is not empty.

    `directory` is where the command stands, for a relative one.
    """
    shown = f"{install_dir}{CONFIGURATION}"
    script = _Script(
        host, shown, Path(directory, shown) if install_dir else host.root / shown.lstrip("/")
    )
    try:
        script.run()
    except _BashFailed as failed:
        return Outcome(tuple(script.lines), (*script.errors, str(failed)), 1)
    except _Failed as failed:
        return Outcome((*script.lines, f"Error: {failed}"), tuple(script.errors), 1)
    return Outcome(tuple(script.lines), tuple(script.errors), 0)


@dataclass(slots=True)
class _Script:
    host: Host
    shown: str
    """The path of its file, as messages have it."""
    file: Path
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        try:
            reservation = read_reservation(self._content(), self.shown)
        except BadFile as bad:
            if bad.has_no_key:
                self._complain(_LINE_OF_SUBSCRIPT, "CONFIG: bad array subscript")
            raise _Failed(str(bad)) from None
        memory, count, pool = reservation.memory, reservation.count, reservation.pool
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

    def _content(self) -> bytes:
        try:
            return self.file.read_bytes()
        except OSError as error:
            self._complain(_LINE_OF_READER, f"{self.shown}: {error.strerror}")
            return b""

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
        if wanted.bit_length() > _MOST_BITS:
            self._complain(_LINE_OF_COUNT, f"[: {count}: integer expression expected")
            wanted = 0
        if wanted < 1:
            raise _Failed("Provided CPU count is not higher than 0.")
        if wanted > instance.vcpus:
            raise _Failed(f"Provided CPU count is higher than available CPUs - {instance.vcpus}.")
        threads = instance.threads_per_core
        # The rest is the same for the octal number: 8 and 10 have the same one.
        self._calculated(count, _LINE_OF_THREADS)
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
        remaining = _rounded(self._calculated(memory, _LINE_OF_AMOUNT), smallest)
        self._set_all(node, dict.fromkeys(sizes, 0))
        for size in sizes:
            if remaining < 0 and -remaining >= size:
                self._complain(_LINE_OF_PAGES, "echo: write error: Invalid argument")
                raise _MemoryFailed(_PAGES_NOT_SET)
            given = pages.reserve(node, size, max(0, remaining) // size)
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

    def _calculated(self, number: str, line: int) -> int:
        """A number as bash's arithmetic takes it."""
        if _NOT_OCTAL.fullmatch(number):
            said = f'{number}: value too great for base (error token is "{number}")'
            raise _BashFailed(f"{_SCRIPT}: line {line}: {said}")
        return int(number, 8 if number.startswith("0") else 10)

    def _complain(self, line: int, text: str) -> None:
        self.errors.append(f"{_SCRIPT}: line {line}: {text}")


def _rounded(mebibytes: int, page_kib: int) -> int:
    """KiB in whole pages, as bash calculates in 64 bits: of nothing it makes one page."""
    page = page_kib * _KIB_PER_MIB
    less_one = _wrapped(mebibytes * _KIB_PER_MIB**2 - 1)
    pages = 1 + (less_one // page if less_one >= 0 else -(-less_one // page))
    return _wrapped(pages * page) // _KIB_PER_MIB


def _wrapped(number: int) -> int:
    """A number in 64 bits with a sign."""
    half = 1 << _MOST_BITS
    return (number + half) % (2 * half) - half


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


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
