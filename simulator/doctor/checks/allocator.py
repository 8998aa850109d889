"""Checks of the allocator: its file, its service, and what it has reserved.

The file is read as the allocator's bash reads it (simulator.machine.allocator_file); what it
reserved is what the driver and the kernel show, and is judged by what run-enclave will say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from kms_fake.evidence import Evidence
from simulator.doctor.host import CommandHangs, CommandMissing, Host
from simulator.doctor.huge_pages import NODES, Pages, pages_of_pool
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import (
    core_of_0,
    last_error,
    listed,
    pool,
    present_cpus,
    short,
    text_of,
    unit,
)
from simulator.doctor.reservation import number_of, objection
from simulator.doctor.running_enclaves import running
from simulator.explanations.match import explain
from simulator.machine.allocator import CONFIGURATION
from simulator.machine.allocator_file import BadFile, Reservation, read_reservation
from simulator.machine.cpu_list import BadCpuList, parse_cpu_list
from simulator.machine.driver import POOL_FILE
from simulator.packages.services import ALLOCATOR

_PARENT = frozenset({Role.PARENT})
_SERVICE = ALLOCATOR.name
RESTART = f"systemctl restart {_SERVICE}"
_KEEP = f"mv -T --backup=numbered {CONFIGURATION} {CONFIGURATION}.before"
_KEPT = "; what was there stays in allocator.yaml.before"
_DEFAULT_MIB, _DEFAULT_CPUS = "512", "2"
_NUMBERS = re.compile(r'^\s*(memory_mib|cpu_count)\s*:\s*"?([1-9][0-9]{0,6})\b', re.MULTILINE)
_SMALLEST_MIB = 64
_GIGANTIC_MIB = 1024
_FREE_MEMORY = "nitro-cli terminate-enclave --all"
_SCRIPT = "aws-nitro-enclaves-cli 1.4.4, bootstrap/nitro-enclaves-allocator"
_DRIVER = "Linux, drivers/virt/nitro_enclaves/ne_misc_dev.c"


def _reservation(host: Host) -> Reservation | None:
    """What its file asks for; None where it cannot be used, which allocator.config says."""
    try:
        return read_reservation((text_of(host, CONFIGURATION) or "").encode(), CONFIGURATION)
    except (BadFile, OSError):
        return None


def _configuration(host: Host) -> Iterator[Finding]:
    if host.look(CONFIGURATION) is None:
        yield _unusable(
            None, f"There is no {CONFIGURATION}: the allocator says that memory_mib is missing"
        )
        return
    raw = host.read(CONFIGURATION)
    text = raw.decode(errors="replace")
    try:
        reservation = read_reservation(raw, CONFIGURATION)
    except BadFile as bad:
        yield _unusable(text, f"The allocator will say `Error: {short(str(bad))}`{_hint(text)}")
        return
    cpus, kept = present_cpus(host), core_of_0(host)
    wrong = objection(reservation, cpus, kept)
    if wrong:
        count, found = _default_count(cpus, kept), f"{wrong} ({CONFIGURATION})"
        yield _unusable(text, found, count) if count else _too_small(found)
    elif (number_of(reservation.memory) or 0) < _SMALLEST_MIB:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"memory_mib is {reservation.memory}: no enclave has less than {_SMALLEST_MIB} "
            "MiB, and each needs four times the size of its image",
            fix="Reserve as much as the enclaves need together, and start the allocator again"
            f"{_KEPT}",
            command=repair(text, {"memory_mib": _DEFAULT_MIB}),
        )
    else:
        yield Finding(outcome=Outcome.OK, found=f"It asks for {_asked(reservation)}")


def _asked(reservation: Reservation) -> str:
    if reservation.count is not None:
        return f"{reservation.memory} MiB and {reservation.count} CPUs"
    return f"{reservation.memory} MiB and the CPUs {short(reservation.pool or '')}"


def _hint(text: str) -> str:
    lines = text.split("\n")
    if "---" not in lines:
        with_return = ", and its lines end with CR LF, which bash does not take" * ("\r" in text)
        return f": it has no line that is exactly ---{with_return}, so all of it is skipped"
    if lines[-1].strip():
        return ": its last line has no line feed, so bash does not see it"
    return ""


def _default_count(cpus: frozenset[int], kept: frozenset[int]) -> str:
    """A cpu_count that the instance can give; empty if it can give none."""
    left = len(cpus - kept)
    if not cpus or left >= int(_DEFAULT_CPUS):
        return _DEFAULT_CPUS
    return str(len(kept)) if left >= len(kept) else ""


def _unusable(text: str | None, found: str, count: str = "") -> Finding:
    """`count` is a cpu_count in place of what stands there."""
    return Finding(
        outcome=Outcome.ERROR,
        found=found,
        fix="Write a line ---, memory_mib, and one of cpu_count and cpu_pool, each on a line of "
        f"its own, and start the allocator again{_KEPT if text is not None else ''}",
        command=repair(text, {"cpu_count": count} if count else {}),
    )


def _too_small(found: str) -> Finding:
    return Finding(
        outcome=Outcome.ERROR,
        found=found,
        fix="Take a larger instance: it needs a whole core beside that of CPU 0, which is 4 vCPUs "
        "with two threads a core, and 2 without",
    )


def numbers_of(text: str) -> Mapping[str, str]:
    """memory_mib and cpu_count as far as they can be told, whatever is wrong with the rest."""
    return dict(_NUMBERS.findall(text))


def repair(text: str | None, instead: Mapping[str, str]) -> str:
    """Write the file anew, with the numbers that stand in it where they can be told.

    What was there is kept, each time anew; `text` is None where nothing was.
    """
    first = _KEEP if text is not None else f"mkdir -p {PurePosixPath(CONFIGURATION).parent}"
    text = text or ""
    defaults = {"memory_mib": _DEFAULT_MIB, "cpu_count": _DEFAULT_CPUS}
    values = {**defaults, **numbers_of(text), **instead}
    lines = "".join(rf"{key}: {values[key]}\n" for key in ("memory_mib", "cpu_count"))
    return f"{first} && printf -- '---\\n{lines}' > {CONFIGURATION} && {RESTART}"


def _service(host: Host) -> Iterator[Finding]:
    state = unit(host, _SERVICE)
    match state.active:
        case "active" if state.is_enabled:
            yield Finding(outcome=Outcome.OK, found=f"{_SERVICE} has run, and is enabled")
        case "active":
            yield Finding(
                outcome=Outcome.WARNING,
                found=f"{_SERVICE} has run, and is not enabled: after a reboot the pool is empty",
                fix="Enable it",
                command=f"systemctl enable {_SERVICE}",
            )
        case "failed":
            yield _failed(host)
        case "inactive":
            yield Finding(
                outcome=Outcome.ERROR,
                found=f"{_SERVICE} has not been started",
                fix="Enable and start it; installing the package does neither",
                command=f"systemctl enable --now {_SERVICE}",
            )
        case other:
            yield Finding(
                outcome=Outcome.WARNING,
                found=f"Whether {_SERVICE} runs cannot be told: {other}",
                fix="Look at its status",
                command=f"systemctl status --no-pager {_SERVICE}",
            )


def _failed(host: Host) -> Finding:
    try:
        said = last_error(host, _SERVICE)
    except (CommandMissing, CommandHangs):
        said = ""
    explained = next(iter(explain(said)), None) if said else None
    if explained is None:
        what = f"its last error: {said}" if said else "its journal does not say why"
        fix, command = "See its journal", f"journalctl --no-pager -u {_SERVICE}"
    else:
        what, fix = said, explained.explanation.fix.rstrip(".")
        if explained.explanation.id == "host.pool-in-use":
            fix += ". That ends all enclaves: those that are wanted keep their CPUs and memory "
            fix += "without it"
            command = f"{_FREE_MEMORY} && {RESTART}"
        else:
            # Its file and the driver have been looked at: what was wrong may be mended by now.
            fix, command = f"Start it again; if it fails once more: {fix}", RESTART
    return Finding(
        outcome=Outcome.ERROR, found=f"{_SERVICE} failed: {what}", fix=fix, command=command
    )


def _pool(host: Host) -> Iterator[Finding]:
    try:
        cpus = pool(host)
    except BadCpuList as bad:
        yield _restart(f"{POOL_FILE} is no list of CPUs: {short(str(bad))}; run-enclave says E23")
        return
    kept = core_of_0(host)
    if not cpus:
        yield _restart(
            "The CPU pool is empty, though the allocator has run: run-enclave says E22 (requested "
            "2, but maximum is 0)"
        )
    elif cpus & kept:
        yield _restart(
            f"The pool {listed(cpus)} has CPU {listed(cpus & kept)}, which stays with the parent"
        )
    elif wanted := _missing_cpus(_reservation(host), cpus):
        yield _restart(wanted, Outcome.WARNING)
    else:
        found = f"CPUs {listed(cpus)}: run-enclave takes --cpu-count up to {len(cpus)}"
        yield Finding(outcome=Outcome.OK, found=found)


def _missing_cpus(reservation: Reservation | None, cpus: frozenset[int]) -> str:
    """In what the pool differs from the file: it was edited, and the allocator not started."""
    if reservation is None:
        return ""
    if reservation.count is not None:
        count = number_of(reservation.count)
        if count is None or count == len(cpus):
            return ""
        return (
            f"the pool has {len(cpus)} CPUs ({listed(cpus)}) and {CONFIGURATION} asks for {count}: "
            f"run-enclave says E22 above {len(cpus)}"
        )
    try:
        wanted = parse_cpu_list(reservation.pool or "")
    except BadCpuList:
        return ""
    if wanted == cpus:
        return ""
    return f"The pool is {listed(cpus)}, and {CONFIGURATION} asks for {listed(wanted)}"


def _restart(found: str, outcome: Outcome = Outcome.ERROR) -> Finding:
    return Finding(
        outcome=outcome,
        found=found,
        fix="Start the allocator again, when no enclave runs: it does nothing while one does",
        command=RESTART,
    )


def _memory(host: Host) -> Iterator[Finding]:
    pages = pages_of_pool(host)
    if pages is None:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"The kernel shows no huge pages below {NODES}: whether memory is reserved "
            "cannot be told",
            fix="See whether the kernel has them: run-enclave gives an enclave no other memory",
            command="grep -i huge /proc/meminfo",
        )
        return
    reservation = _reservation(host)
    asked = (number_of(reservation.memory) if reservation else None) or 0
    enclaves = running(host)
    held = sum(one.memory_mib for one in enclaves or ())
    found = f"{pages.free_mib} of {pages.total_mib} MiB in huge pages of {pages.node} are free"
    if pages.total_mib < min(asked, _SMALLEST_MIB) or not pages.total_mib:
        yield _restart(f"{found}: run-enclave says E27 Insufficient memory available")
    elif pages.total_mib < asked:
        yield _restart(
            f"{found}, and {CONFIGURATION} asks for {asked}: run-enclave says E27 above "
            f"{pages.free_mib}",
            Outcome.WARNING,
        )
    elif enclaves is not None and pages.total_mib - pages.free_mib > held:
        taken = pages.total_mib - pages.free_mib - held
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"{found}, and enclaves hold {held}: something else holds {taken} MiB, and "
            f"run-enclave says E27 above {pages.free_mib}",
            fix="End what uses huge pages beside enclaves (a database, DPDK), or reserve more",
            command="grep -s HugetlbPages /proc/[0-9]*/status | grep -v ' 0 kB'",
        )
    else:
        yield Finding(outcome=Outcome.OK, found=f"{found}{_whole_pages(pages)}")


def _whole_pages(pages: Pages) -> str:
    """The allocator prefers the largest pages: the first enclave may take more than it asks for."""
    if pages.largest_mib < _GIGANTIC_MIB:
        return ""
    return f"; an enclave takes whole pages, and some have {pages.largest_mib} MiB"


CHECKS = (
    Check(
        id="allocator.config",
        title=f"{CONFIGURATION} can be used",
        why="The allocator is a bash script and no YAML parser: it skips all that stands before a "
        "line that is exactly ---, takes a blank line for a key, and does not see a last line "
        "without a line feed. CPU 0's core stays with the parent, and only whole cores are given",
        roles=_PARENT,
        probe=_configuration,
        evidence=Evidence.INFERRED,
        source=f"{_SCRIPT}; its reader was run with bash 5.2; {_DRIVER}",
        needs=("packages.cli",),
        explains=("host.allocator-config", "host.allocator-cpus", "host.pool-refused"),
    ),
    Check(
        id="allocator.service",
        title=f"{_SERVICE} has run, and runs at each boot",
        why="It reserves CPUs and memory for enclaves. Without it the pool is empty, and "
        "run-enclave says E22 Insufficient CPUs available in the pool",
        roles=_PARENT,
        probe=_service,
        evidence=Evidence.DOCUMENTED,
        source=f"AWS Nitro Enclaves User Guide, Installing the Nitro CLI; {_SCRIPT}",
        needs=("packages.cli", "driver.loaded", "allocator.config"),
        bug="9",
        explains=(
            "host.cpu-count",
            "host.allocator-cpus",
            "host.allocator-memory",
            "host.allocator-driver",
            "host.pool-in-use",
        ),
    ),
    Check(
        id="allocator.pool",
        title="The CPU pool has the CPUs that are asked for",
        why="run-enclave takes CPUs of the pool alone: E22 where it has fewer than --cpu-count, "
        "E21 for one of --cpu-ids that is not in it. The allocator reads its file when it starts, "
        "and not when it is edited",
        roles=_PARENT,
        probe=_pool,
        evidence=Evidence.INFERRED,
        source=f"aws-nitro-enclaves-cli 1.4.4, src/enclave_proc/cpu_info.rs; {_SCRIPT}",
        needs=("driver.loaded", "allocator.service"),
        explains=("host.cpu-count", "host.cpu-ids"),
    ),
    Check(
        id="allocator.memory",
        title="Memory is reserved for enclaves, and nobody else holds it",
        why="An enclave gets huge pages, of the NUMA node of its CPUs: E27 Insufficient memory "
        "available where too few are free. Each enclave needs four times the size of its image "
        "(E26) and at least 64 MiB",
        roles=_PARENT,
        probe=_memory,
        evidence=Evidence.INFERRED,
        source="aws-nitro-enclaves-cli 1.4.4, src/enclave_proc/resource_manager.rs; its issues 232 "
        "and 602",
        needs=("driver.loaded", "allocator.service"),
        explains=("host.huge-pages", "host.eif-memory"),
    ),
)
"""In the order in which to mend."""
