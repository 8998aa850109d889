"""The huge pages of the instance, as sysfs shows them: how many there are, and how many are free.

`/sys/devices/system/node/nodeN/hugepages/hugepages-SIZEkB/{nr,free}_hugepages`, files of the
instance: what is written there counts, as on a real one. Pages that enclaves hold are the broker's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from simulator.machine.files import replace_text
from simulator.machine.instance import Instance

_GIGANTIC_KIB = 1_048_576
_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Page:
    """One huge page that somebody holds."""

    node: int
    size_kib: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.size_kib * 1024


@dataclass(slots=True)
class HugePages:
    """The pages of an instance whose files are below `root`."""

    root: Path
    instance: Instance
    _held: Counter[Page] = field(default_factory=Counter)

    def make(self) -> None:
        """Lay out the files of an instance on which nothing is reserved."""
        for node in range(self.instance.numa_nodes):
            for size in self.instance.page_sizes_kib:
                self._folder(node, size).mkdir(parents=True, exist_ok=True)
                self._write(Page(node, size), 0)

    def count(self, node: int, size_kib: int) -> int:
        """How many pages of a size the node has."""
        with suppress(OSError, ValueError):
            return max(0, int((self._folder(node, size_kib) / "nr_hugepages").read_text()))
        return 0

    def free(self, node: int, size_kib: int) -> int:
        """How many of them nobody holds."""
        return max(0, self.count(node, size_kib) - self._held[Page(node, size_kib)])

    def reserve(self, node: int, size_kib: int, wanted: int) -> int:
        """Write to nr_hugepages: as many as there is memory for; returns how many that is.

        Raises OSError.
        """
        others = sum(
            self.count(node, size) * size
            for size in self.instance.page_sizes_kib
            if size != size_kib
        )
        memory = self.instance.reservable_mib(node) * _KIB_PER_MIB - others
        most = max(0, memory) // size_kib
        if size_kib == _GIGANTIC_KIB:
            most = min(most, self.instance.reservable_gigantic(node))
        given = max(min(wanted, most), self._held[Page(node, size_kib)])
        self._write(Page(node, size_kib), given)
        return given

    def take(self, size_kib: int, node: int, most: int) -> Counter[Page]:
        """Map up to `most` pages, of `node` while it has any: then the kernel takes the others'."""
        taken: Counter[Page] = Counter()
        for one in sorted(range(self.instance.numa_nodes), key=lambda other: other != node):
            page = Page(one, size_kib)
            number = min(most - taken.total(), self.free(one, size_kib))
            if number > 0:
                taken[page] = number
                self._hold(page, number)
        return taken

    def give_back(self, pages: Mapping[Page, int]) -> None:
        """Unmap pages."""
        for page, number in pages.items():
            self._hold(page, -number)

    def allowance(self, size_kib: int) -> int | None:
        """The bytes that the control group of whoever runs nitro-cli may use; None for any.

        mmap(2) does not look at it, and the first touch fails (issues 232 and 644: a pod without
        huge pages).
        """
        unit = (
            f"{size_kib // 1_048_576}GB" if size_kib >= _GIGANTIC_KIB else f"{size_kib // 1024}MB"
        )
        with suppress(OSError, ValueError):
            return int((self.root / f"sys/fs/cgroup/hugetlb.{unit}.max").read_text())
        return None

    def _hold(self, page: Page, change: int) -> None:
        self._held[page] += change
        with suppress(OSError):  # A file for people to read; the count is ours.
            free = self.free(page.node, page.size_kib)
            folder = self._folder(page.node, page.size_kib)
            replace_text(folder / "free_hugepages", f"{free}\n")

    def _write(self, page: Page, count: int) -> None:
        folder = self._folder(page.node, page.size_kib)
        replace_text(folder / "nr_hugepages", f"{count}\n")
        free = max(0, count - self._held[page])
        replace_text(folder / "free_hugepages", f"{free}\n")

    def _folder(self, node: int, size_kib: int) -> Path:
        return self.root / f"sys/devices/system/node/node{node}/hugepages/hugepages-{size_kib}kB"
