"""The memory of an enclave: which huge pages its process takes for a request, as nitro-cli does it.

src/enclave_proc/resource_manager.rs, ResourceAllocator: `inferred`. Largest pages first; what is
then missing from the smallest pages on; what is then too much is given back, smallest first. So an
enclave can get far more than was asked for (reported: issue 602, 1024 MiB for 256).
"""

from __future__ import annotations

from simulator.machine.driver import Driver, Slot

_MIB_PER_PAGE = (16_384, 2048, 1024, 512, 256, 32, 16, 8, 2)
_MIB = 1 << 20


def allocate(driver: Driver, slot: Slot, wanted: int) -> int:
    """Map pages for at least `wanted` bytes; returns how many bytes are still missing."""
    missing = wanted
    for mib in _MIB_PER_PAGE:
        missing -= driver.map_pages(slot, mib * 1024, missing // (mib * _MIB)) * mib * _MIB
    for mib in reversed(_MIB_PER_PAGE):
        if missing <= 0:
            break
        most = -(-missing // (mib * _MIB))
        missing -= driver.map_pages(slot, mib * 1024, most) * mib * _MIB
    if missing <= 0:
        _trim(driver, slot, wanted)
    return max(0, missing)


def _trim(driver: Driver, slot: Slot, wanted: int) -> None:
    for page, number in sorted(slot.pages.items(), key=lambda item: -item[0].size):
        kept = min(number, max(0, -(-wanted // page.size)))
        wanted -= kept * page.size
        if kept < number:
            driver.unmap(slot, page, number - kept)
