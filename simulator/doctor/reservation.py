"""What allocator.yaml asks for, judged by what the allocator and the driver will do about it.

Source: bootstrap/nitro-enclaves-allocator of aws-nitro-enclaves-cli v1.4.4, and Linux,
drivers/virt/nitro_enclaves/ne_misc_dev.c; both read, not run.
"""

from __future__ import annotations

from simulator.doctor.parent import listed, short
from simulator.machine.allocator_file import Reservation
from simulator.machine.cpu_list import BadCpuList, parse_cpu_list

_MOST_DIGITS = 9


def number_of(text: str) -> int | None:
    """As bash calculates: octal after a 0; None for what is no number, or an absurd one."""
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        return None
    try:
        return int(text, 8 if text.startswith("0") else 10)
    except ValueError:
        return None


def objection(reservation: Reservation, cpus: frozenset[int], kept: frozenset[int]) -> str:
    """Why the allocator or the driver will not do as the file says; empty if nothing is seen.

    `cpus` are those of the instance, none if unknown; `kept` is CPU 0 and its siblings.
    """
    if number_of(reservation.memory) is None:
        return f"memory_mib is no number that can be used: {short(reservation.memory)}"
    if reservation.count is not None:
        return _objection_to_count(reservation.count, cpus, kept)
    return _objection_to_pool(reservation.pool or "", cpus, kept)


def _objection_to_count(count: str, cpus: frozenset[int], kept: frozenset[int]) -> str:
    number = number_of(count)
    if number is None:
        return f"cpu_count is no number that can be used: {short(count)}"
    if number < 1:
        return "cpu_count is 0: `Error: Provided CPU count is not higher than 0.`"
    if cpus and number > len(cpus):
        return (
            f"cpu_count is {number}: `Error: Provided CPU count is higher than available CPUs - "
            f"{len(cpus)}.`"
        )
    if number % len(kept):
        return (
            f"cpu_count is {number}: `Error: The CPU count is not multiple of {len(kept)} (threads "
            "per core).`"
        )
    if cpus and number > len(cpus - kept):
        return (
            f"cpu_count is {number}, and of {len(cpus)} CPUs {listed(kept)} stay with the parent: "
            "`Error: Failed to find suitable CPUs for the Nitro Enclaves CPU pool after checking "
            "all NUMA nodes.`"
        )
    return ""


def _objection_to_pool(text: str, cpus: frozenset[int], kept: frozenset[int]) -> str:
    refused = "`Error: Failed to configure the CPU pool.`"
    try:
        wanted = parse_cpu_list(text)
    except BadCpuList:
        return f"cpu_pool is no list of CPUs: {short(text)}: {refused}"
    if not wanted:
        return f"cpu_pool is empty: {refused}"
    if wanted & kept:
        return f"cpu_pool has CPU {listed(wanted & kept)}, which stays with the parent: {refused}"
    if cpus and not wanted <= cpus:
        return f"cpu_pool has CPU {listed(wanted - cpus)}, which the instance has not: {refused}"
    return ""
