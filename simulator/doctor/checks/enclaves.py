"""Checks of enclaves that run already: they hold CPUs of the pool (bug 9), or are in debug mode."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kms_fake.evidence import Evidence
from simulator.doctor.host import Host
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import listed, pool
from simulator.doctor.running_enclaves import Enclave, Undescribed, described
from simulator.machine.cpu_list import BadCpuList
from simulator.machine.driver import MOST_ENCLAVES

_NAMED = 3
_ID = re.compile(r"i-[0-9a-f]+-enc[0-9a-f]+")


def _running(host: Host) -> Iterator[Finding]:
    try:
        enclaves = described(host)
    except Undescribed as error:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"Which enclaves run cannot be told: {error}",
            fix="See which enclave processes there are, and what nitro-cli wrote to its log",
            command="ls -l /run/nitro_enclaves; tail /var/log/nitro_enclaves/nitro_enclaves.log",
        )
        return
    yield _of_pool(enclaves, _pool(host))


def _debug(host: Host) -> Iterator[Finding]:
    try:
        enclaves = described(host)
    except Undescribed:
        yield Finding(outcome=Outcome.SKIPPED, found="Which enclaves run cannot be told")
        return
    debug = [enclave for enclave in enclaves if enclave.is_debug]
    if debug:
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"{named(debug)} runs in debug mode: KMS refuses it what a key policy binds to "
            "PCR0, PCR1, PCR2 or PCR8 (AccessDenied)",
        )
    else:
        yield Finding(outcome=Outcome.OK, found="No enclave runs in debug mode")


def _pool(host: Host) -> frozenset[int]:
    """Empty where it cannot be told, which is for allocator.pool to say."""
    try:
        return pool(host)
    except (OSError, BadCpuList):
        return frozenset()


def _of_pool(enclaves: Sequence[Enclave], cpus: frozenset[int]) -> Finding:
    held = frozenset[int]().union(*(enclave.cpus for enclave in enclaves))
    free = cpus - held
    if not enclaves:
        return Finding(
            outcome=Outcome.OK, found=f"No enclave runs; {len(cpus)} CPUs of the pool are free"
        )
    found = f"{named(enclaves)} holds the CPUs {listed(held)} of the pool {listed(cpus)}"
    if not free:
        return Finding(
            outcome=Outcome.ERROR,
            found=f"{found}: none is free, and the next run-enclave ends with E29 and E39. Nothing "
            f"is wrong, though, if {_these(enclaves)} wanted: so does an instance at work look",
            fix=f"Do nothing if {_these(enclaves)} wanted. Else terminate what was forgotten: it "
            "outlives the nitro-cli that started it",
            command=termination(enclaves),
        )
    if len(enclaves) >= MOST_ENCLAVES:
        return Finding(
            outcome=Outcome.WARNING,
            found=f"{len(enclaves)} enclaves run, and an instance has {MOST_ENCLAVES} at most: the "
            "next run-enclave ends with E29 and E39",
            fix="Terminate one that is not wanted any more",
            command=termination(enclaves[:1]),
        )
    return Finding(
        outcome=Outcome.OK,
        found=f"{found}; free are {listed(free)}: run-enclave takes --cpu-count up to {len(free)}",
    )


def named(enclaves: Sequence[Enclave]) -> str:
    """The first few by id, for readers."""
    names = [enclave.id for enclave in enclaves[:_NAMED]]
    more = len(enclaves) - len(names)
    return " and ".join(names) + (f" and {more} more" if more else "")


def _these(enclaves: Sequence[Enclave]) -> str:
    return "this enclave is" if len(enclaves) == 1 else "all of these enclaves are"


def termination(enclaves: Sequence[Enclave]) -> str:
    """Each by its id: one that is started later lives, and a reader sees which one to leave."""
    if all(_ID.fullmatch(enclave.id) for enclave in enclaves):
        return "; ".join(f"nitro-cli terminate-enclave --enclave-id {one.id}" for one in enclaves)
    return "nitro-cli terminate-enclave --all"


CHECKS = (
    Check(
        id="enclaves.running",
        title="No old enclave holds the CPUs of the pool",
        why="An enclave keeps its CPUs until it is terminated, also when the nitro-cli that "
        "started it was killed (by `timeout`, say). The next run-enclave "
        "then fails with E29 and E39, and says `no CPUs are available in the pool` in its log "
        "alone. With 4 vCPUs there is room for one enclave of 2",
        roles=frozenset({Role.PARENT}),
        probe=_running,
        evidence=Evidence.REPORTED,
        source="field notes, bug 9; aws-nitro-enclaves-cli, issues 433 and 516",
        needs=("packages.cli",),
        bug="9",
        explains=("host.cpu-pool",),
    ),
    Check(
        id="enclaves.debug",
        title="No enclave that KMS is to trust runs in debug mode",
        why="--debug-mode and --attach-console put zeros into PCR0, PCR1, PCR2 and PCR8 of the "
        "attestation document, and a key policy with the real values does not match. "
        "describe-enclaves prints the real ones all the same",
        roles=frozenset({Role.PARENT}),
        probe=_debug,
        evidence=Evidence.REPORTED,
        source="aws-nitro-enclaves-cli, issue 695; AWS Nitro Enclaves User Guide, debug mode",
        needs=("packages.cli",),
        explains=("host.debug-measurements",),
    ),
)
"""In the order in which to mend."""
