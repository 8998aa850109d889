"""The driver `nitro_enclaves`: its CPU pool, and the ioctls by which an enclave gets its resources.

Source: drivers/virt/nitro_enclaves/ne_misc_dev.c, read and not run: all of it `inferred`, and its
order of checks is kept. What the hypervisor behind it answers is nowhere published (`unknown`):
where it refuses, the error number is ours and says so.
"""

from __future__ import annotations

import errno
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from simulator.instance import cpu_files
from simulator.machine.cpu_list import BadCpuList, parse_cpu_list
from simulator.machine.files import replace_text
from simulator.machine.huge_pages import HugePages, Page
from simulator.machine.instance import Instance
from simulator.machine.kernel_log import KernelLog

POOL_FILE = "/sys/module/nitro_enclaves/parameters/ne_cpus"
DEVICE = "/dev/nitro_enclaves"
MOST_ENCLAVES = 4
"""Per instance (documented: AWS's user guide)."""
FIRST_CID = 16

_MIB = 1 << 20
_SMALLEST_ENCLAVE = 64 * _MIB
_SMALLEST_REGION = 2 * _MIB
_MOST_REGIONS = 1024
"""What the hypervisor answers on SLOT_ALLOC: `unknown`, so the number is ours. That it is met with
many small pages is reported (aws-nitro-enclaves-llm, issue 7)."""
_PARENT_CID = 3
_LAST_WELL_KNOWN_CID = 2
_ANY_CID = 0xFFFF_FFFF

# include/uapi/linux/nitro_enclaves.h, and the words of nitro-cli (resource_manager.rs, do_ioctl).
VCPU_ALREADY_USED = 256
VCPU_NOT_IN_POOL = 257
REGION_SIZE = 259
DIFFERENT_NODE = 264
MOST_REGIONS_REACHED = 265
NO_REGIONS = 266
NO_VCPUS = 267
TOO_SMALL = 268
FULL_CORES_NOT_USED = 269
INVALID_VCPU = 271
NO_CPUS_AVAILABLE = 272
INVALID_CID = 275

_WORDS = {
    VCPU_ALREADY_USED: "The provided vCPU is already used",
    VCPU_NOT_IN_POOL: "The provided vCPU is not available in the CPU pool",
    REGION_SIZE: "The memory region's size is not a multiple of 2 MiB",
    DIFFERENT_NODE: "The memory region's pages and the CPUs belong to different NUMA nodes",
    MOST_REGIONS_REACHED: "The maximum number of memory regions per enclave has been reached",
    NO_REGIONS: "The enclave cannot start because no memory regions have been added",
    NO_VCPUS: "The enclave cannot start because no vCPUs have been added",
    TOO_SMALL: "The enclave's memory size is lower than the minimum supported",
    FULL_CORES_NOT_USED: "The enclave cannot start because full CPU cores have not been set",
    INVALID_VCPU: "The provided vCPU is out of range of the available CPUs",
    NO_CPUS_AVAILABLE: "The enclave cannot be created because no CPUs are available in the pool",
    INVALID_CID: "The provided enclave CID is invalid, being a well-known CID or the parent VM CID",
}


class IoctlFailed(Exception):
    """An ioctl that returned -1."""

    def __init__(self, number: int, *, unknown: str | None = None) -> None:
        self.number = number
        words = _WORDS.get(number, f"An error has occurred: {number} (rc: -1)")
        if unknown is not None:
            words += f" [attested-kms: real text unknown, {unknown}]"
        super().__init__(words)


class PoolRefused(Exception):
    """The kernel parameter ne_cpus was written in vain."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(slots=True)
class Slot:
    """What the driver holds for one enclave: `/dev/nitro_enclaves` gave a descriptor for it."""

    uid: int
    cores: dict[int, set[int]] = field(default_factory=dict)
    """By core, the CPUs that were taken out of the pool."""
    vcpus: list[int] = field(default_factory=list)
    """In the order in which they were added."""
    pages: Counter[Page] = field(default_factory=Counter)
    """Mapped by the enclave's process."""
    regions: int = 0
    memory: int = 0
    """In bytes, of the regions that were added."""
    cid: int | None = None


class Driver:
    """The driver of one instance. Not thread-safe: whoever calls holds the machine's lock."""

    def __init__(
        self,
        root: Path,
        instance: Instance,
        pages: HugePages,
        log: KernelLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._file = root / POOL_FILE.lstrip("/")
        self._instance = instance
        self._pages = pages
        self._log = log
        self._clock = clock
        self._slots: dict[int, Slot] = {}
        self._available: dict[int, set[int]] = {}
        self._node = -1
        self._text = ""
        """What the pool's file says, as the driver wrote it."""
        self._next_cid = FIRST_CID

    @property
    def is_present(self) -> bool:
        """Whether the module is loaded."""
        return self._file.is_file()

    @property
    def available(self) -> list[int]:
        """The CPUs of the pool that no enclave has."""
        return sorted(cpu for cpus in self._available.values() for cpu in cpus)

    @property
    def slots(self) -> int:
        """How many enclaves have been created."""
        return len(self._slots)

    def take_up(self) -> None:
        """Whatever the pool's file says that the driver has not written, somebody wrote to it.

        Without effect where it is refused, as on a real one.
        """
        try:
            text = self._file.read_text(errors="replace")
        except OSError:
            return
        # A pool that is empty was so when the module was loaded: nobody has written to it.
        if text != self._text and (text.strip() or self._text):
            try:
                self.set_pool(text)
            except PoolRefused:
                self._write(self._text)

    def set_pool(self, text: str) -> None:
        """Write to the kernel parameter. Raises PoolRefused: EPERM, EINVAL; OSError."""
        if self._slots:
            self._log.error("The CPU pool is used by enclave(s)")
            raise PoolRefused(errno.EPERM)
        try:
            cpus = self._checked(text)
        except PoolRefused as refused:
            self._log.error(f"Error in setup CPU pool [rc=-{refused.number}]")
            self._write("\n")
            cpu_files.take_offline(self._root, self._instance, ())
            self._available, self._node = {}, -1
            raise
        # Both the writer's line feed and that of reading are there (kernel/params.c).
        self._write(f"{text.strip()}\n\n")
        cpu_files.take_offline(self._root, self._instance, cpus)
        self._available, self._node = {}, self._instance.node_of(cpus[0])
        for cpu in cpus:
            self._available.setdefault(self._instance.core_of(cpu), set()).add(cpu)

    def create(self) -> Slot:
        """NE_CREATE_VM. Raises IoctlFailed."""
        if not any(self._available.values()):
            self._log.device_error("No CPUs available in CPU pool")
            raise IoctlFailed(NO_CPUS_AVAILABLE)
        if len(self._slots) >= MOST_ENCLAVES:
            self._log.device_error(f"Error in slot alloc [rc=-{errno.ENOSPC}]")
            raise IoctlFailed(errno.ENOSPC, unknown="machine/most-enclaves")
        # As in documents' module ids: milliseconds, and what looks random.
        uid = int(self._clock() * 1000) << 16 | secrets.randbits(16)
        while uid in self._slots:
            uid += 1
        slot = self._slots[uid] = Slot(uid)
        return slot

    def add_regions(self, slot: Slot, page: Page, number: int) -> None:
        """NE_SET_USER_MEMORY_REGION, for each page of a kind. Raises IoctlFailed."""
        if page.size % _SMALLEST_REGION:
            self._log.device_error("User space memory size is not multiple of 2 MiB")
            raise IoctlFailed(REGION_SIZE)
        if page.node != self._node:
            self._log.device_error(f"Page is not from NUMA node {self._node}")
            raise IoctlFailed(DIFFERENT_NODE)
        if slot.regions + number > _MOST_REGIONS:
            self._log.device_error(f"Reached max memory regions {_MOST_REGIONS}")
            raise IoctlFailed(MOST_REGIONS_REACHED)
        slot.regions += number
        slot.memory += page.size * number

    def add_vcpu(self, slot: Slot, cpu: int) -> int:
        """NE_ADD_VCPU; 0 leaves the choice to the driver. Returns the CPU. Raises IoctlFailed."""
        if cpu >= self._instance.vcpus:
            self._log.device_error("vCPU id higher than max CPU id")
            raise IoctlFailed(INVALID_VCPU)
        try:
            chosen = self._check_vcpu(slot, cpu) if cpu else self._choose_vcpu(slot)
        except IoctlFailed as failed:
            where = f"check CPU {cpu} in pool" if cpu else "get CPU from pool"
            self._log.device_error(f"Error in {where} [rc=-{failed.number}]")
            raise
        slot.vcpus.append(chosen)
        return chosen

    def start(self, slot: Slot, cid: int | None) -> int:
        """NE_START_ENCLAVE; without a CID, with a free one. Returns it. Raises IoctlFailed."""
        if cid and (cid in (_PARENT_CID, _ANY_CID) or cid <= _LAST_WELL_KNOWN_CID):
            self._log.device_error(
                "CID of the parent VM, not to be used for enclaves"
                if cid == _PARENT_CID
                else "Well-known CID value, not to be used for enclaves"
            )
            raise IoctlFailed(INVALID_CID)
        if cid and cid > _ANY_CID:
            self._log.device_error("64-bit CIDs not yet supported for the vsock device")
            raise IoctlFailed(INVALID_CID)
        self._check_resources(slot)
        used = {other.cid for other in self._slots.values()}
        if cid and cid in used:
            self._log.device_error(f"Error in enclave start [rc=-{errno.EINVAL}]")
            raise IoctlFailed(errno.EINVAL, unknown="machine/cid-in-use")
        slot.cid = cid or self._free_cid(used)
        return slot.cid

    def release(self, slot: Slot) -> None:
        """Close the enclave's descriptor: what it had is free again."""
        if self._slots.pop(slot.uid, None) is None:
            return
        for core, cpus in slot.cores.items():
            self._available.setdefault(core, set()).update(cpus)
        self._pages.give_back(slot.pages)
        slot.pages.clear()

    def map_pages(self, slot: Slot, size_kib: int, most: int) -> int:
        """mmap(MAP_HUGETLB) by the enclave's process, page by page; returns how many it got."""
        taken = self._pages.take(size_kib, max(0, self._node), most)
        slot.pages.update(taken)
        return taken.total()

    def unmap(self, slot: Slot, page: Page, number: int) -> None:
        """Let go of pages that turned out not to be needed."""
        slot.pages[page] -= number
        self._pages.give_back({page: number})

    def _checked(self, text: str) -> list[int]:
        """The CPUs of a pool, after all checks. Raises PoolRefused."""
        number, cpus = 0, list[int]()
        try:
            cpus = sorted(parse_cpu_list(text))
            if cpus and cpus[-1] >= self._instance.vcpus:
                number = errno.ERANGE
        except BadCpuList:
            number = errno.EINVAL
        if number:
            self._log.error(f"Error in cpulist parse [rc=-{number}]")
            raise PoolRefused(number)
        complaint = self._complaint(cpus)
        if complaint is not None:
            self._log.error(complaint)
            raise PoolRefused(errno.EINVAL)
        return cpus

    def _complaint(self, cpus: list[int]) -> str | None:
        instance = self._instance
        if not cpus:
            return "No CPUs available in CPU pool"
        if len({instance.node_of(cpu) for cpu in cpus}) > 1:
            return "CPUs with different NUMA nodes"
        if 0 in cpus:
            return "CPU 0 has to remain available"
        for sibling in instance.siblings(0):
            if sibling in cpus:
                return f"CPU sibling {sibling} for CPU 0 is in CPU pool"
        for cpu in cpus:
            for sibling in instance.siblings(cpu):
                if sibling not in cpus:
                    return f"CPU {sibling} is not in CPU pool"
        return None

    def _choose_vcpu(self, slot: Slot) -> int:
        for core in sorted(slot.cores):
            for cpu in sorted(slot.cores[core]):
                if cpu not in slot.vcpus:
                    return cpu
        core = next((core for core, cpus in sorted(self._available.items()) if cpus), -1)
        if core < 0:
            self._log.device_error("No CPUs available in NE CPU pool")
            raise IoctlFailed(NO_CPUS_AVAILABLE)
        return min(self._take_core(slot, core))

    def _check_vcpu(self, slot: Slot, cpu: int) -> int:
        if cpu in slot.vcpus:
            self._log.device_error(f"CPU {cpu} already used")
            raise IoctlFailed(VCPU_ALREADY_USED)
        if any(cpu in cpus for cpus in slot.cores.values()):
            return cpu
        core = next((core for core, cpus in self._available.items() if cpu in cpus), -1)
        if core < 0:
            self._log.device_error(f"CPU {cpu} is not in NE CPU pool")
            raise IoctlFailed(VCPU_NOT_IN_POOL)
        self._take_core(slot, core)
        return cpu

    def _take_core(self, slot: Slot, core: int) -> set[int]:
        taken = slot.cores[core] = self._available.pop(core)
        return taken

    def _check_resources(self, slot: Slot) -> None:
        failing = None
        if not slot.regions:
            failing = NO_REGIONS, "Enclave has no mem regions"
        elif slot.memory < _SMALLEST_ENCLAVE:
            failing = TOO_SMALL, f"Enclave memory is less than {_SMALLEST_ENCLAVE}"
        elif not slot.vcpus:
            failing = NO_VCPUS, "Enclave has no vCPUs"
        elif any(not cpus <= set(slot.vcpus) for cpus in slot.cores.values()):
            failing = FULL_CORES_NOT_USED, "Full CPU cores not used"
        if failing is not None:
            number, text = failing
            self._log.device_error(text)
            raise IoctlFailed(number)

    def _free_cid(self, used: set[int | None]) -> int:
        """The next one: who relies on getting the same again, relies on luck (`unknown`)."""
        cid = self._next_cid
        while cid in used:
            cid += 1
        self._next_cid = cid + 1
        return cid

    def _write(self, text: str) -> None:
        replace_text(self._file, text)
        self._text = text
