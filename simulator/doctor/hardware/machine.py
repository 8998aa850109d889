"""Preflight: has the machine what the suite's enclave and its image take."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath

from kms_fake.evidence import Evidence
from simulator.doctor.checks import allocator, docker, harness
from simulator.doctor.checks.artifacts import folder_of, nearest
from simulator.doctor.checks.enclaves import named, termination
from simulator.doctor.hardware.needs import Needs
from simulator.doctor.host import CommandMissing, Host, HostKind
from simulator.doctor.huge_pages import Pages, pages_of_pool
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.os_release import distribution
from simulator.doctor.parent import (
    core_of_0,
    first_words,
    listed,
    pool,
    present_cpus,
    short,
    text_of,
)
from simulator.doctor.running_enclaves import Undescribed, described, running
from simulator.machine.allocator import CONFIGURATION
from simulator.machine.cpu_list import BadCpuList
from simulator.machine.driver import POOL_FILE

KNOWN_VERSIONS = ("1.4.4", "1.5.0")
"""Of nitro-cli: those whose sources say what it prints."""

_Check = partial(Check, roles=frozenset({Role.PARENT}), option="--hardware")
_VERSION = re.compile(r"Nitro CLI (\d+\.\d+\.\d+\S*)")
_DOCKER_FOLDER = PurePosixPath("/var/lib/docker")
_DOCKER_VERSION = ("docker", "version", "--format", "{{.Server.Version}}")
_SERVICE = "docker.service"
_KIB_PER_MIB = 1024
_SOURCE = "aws-nitro-enclaves-cli 1.4.4"


def _nitro_cli(host: Host) -> Iterator[Finding]:
    ran = host.run("nitro-cli", "--version")
    match = _VERSION.search(ran.stdout)
    known = " and ".join(KNOWN_VERSIONS)
    if match is None:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"nitro-cli does not tell its version: {first_words(ran)}",
            fix="See what is called nitro-cli here: `type -a nitro-cli`",
        )
    elif match[1] in KNOWN_VERSIONS:
        yield Finding(outcome=Outcome.OK, found=f"nitro-cli is {match[1]}")
    else:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"nitro-cli is {short(match[1])}; what it prints was read in the sources of "
            f"{known}",
            fix="Nothing, if the run passes: its records tell the version. If its output is not "
            f"understood, install one of {known}",
        )


def nitro_cli_version(host: Host) -> str:
    """As it tells it; empty where it does not. Raises CommandMissing, CommandHangs, OSError."""
    match = _VERSION.search(host.run("nitro-cli", "--version").stdout)
    return match[1] if match else ""


def _pool(needs: Needs, host: Host) -> Iterator[Finding]:
    wanted = f"the suite's enclave takes {needs.cpus}"
    if host.look(POOL_FILE) is None:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"There is no CPU pool, for there is no {POOL_FILE}; {wanted}",
            fix="Load the driver, of an instance with enclaves enabled, and start the allocator",
            command=f"modprobe nitro_enclaves && {allocator.RESTART}",
        )
        return
    try:
        cpus = pool(host)
    except BadCpuList as bad:
        cpus, wanted = frozenset(), f"{POOL_FILE} is no list of CPUs ({short(str(bad))})"
    if len(cpus) >= needs.cpus:
        yield Finding(outcome=Outcome.OK, found=f"The pool has CPUs {listed(cpus)}; {wanted}")
        return
    left = present_cpus(host) - core_of_0(host)
    if left and len(left) < needs.cpus:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"Beside CPU 0's core there are {len(left)} CPUs; {wanted}",
            fix="Take a larger instance: 4 vCPUs with two threads a core, 3 without",
        )
        return
    has = f"has CPUs {listed(cpus)}" if cpus else "is empty: the allocator is off"
    yield Finding(
        outcome=Outcome.ERROR,
        found=f"The pool {has}; {wanted}",
        fix=f"Let {CONFIGURATION} ask for them, and start the allocator (it does nothing while an "
        "enclave runs)",
        command=_reserve(host, needs),
    )


def _memory(needs: Needs, host: Host) -> Iterator[Finding]:
    pages = pages_of_pool(host) or Pages("the machine", 0, 0, 0)
    wanted = f"the suite's enclave takes {needs.memory_mib}"
    if pages.total_mib < needs.memory_mib:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{pages.total_mib} MiB of huge pages are reserved on {pages.node}; {wanted}: "
            "run-enclave says E27",
            fix=f"Let {CONFIGURATION} ask for them, and start the allocator (it does nothing while "
            "an enclave runs)",
            command=_reserve(host, needs),
        )
    elif pages.free_mib < needs.memory_mib:
        enclaves = running(host)
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{pages.free_mib} of {pages.total_mib} MiB of huge pages on {pages.node} are "
            f"free; {wanted}: run-enclave says E27",
            fix="Terminate the enclave that holds them, if it is not wanted; or reserve more"
            if enclaves
            else "End what uses huge pages beside enclaves (a database, DPDK), or reserve more",
            command=termination(enclaves) if enclaves else "",
        )
    else:
        yield Finding(
            outcome=Outcome.OK,
            found=f"{pages.free_mib} MiB of huge pages on {pages.node} are free; {wanted}",
        )


def _reserve(host: Host, needs: Needs) -> str:
    """Ask for what is missing; numbers that are large enough stay."""
    text = text_of(host, CONFIGURATION)
    numbers = allocator.numbers_of(text or "")
    least = {"memory_mib": needs.memory_mib, "cpu_count": needs.cpus}
    raised = {
        name: str(number) for name, number in least.items() if int(numbers.get(name, 0)) < number
    }
    return allocator.repair(text, raised) if raised else allocator.RESTART


def _enclaves(needs: Needs, host: Host) -> Iterator[Finding]:
    try:
        enclaves = described(host)
    except Undescribed as error:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"Which enclaves run cannot be told: {error}",
            fix="See which enclave processes there are, and what nitro-cli wrote to its log",
            command="ls -l /run/nitro_enclaves; tail /var/log/nitro_enclaves/nitro_enclaves.log",
        )
        return
    if not enclaves:
        yield Finding(outcome=Outcome.OK, found="No enclave runs")
        return
    held = frozenset[int]().union(*(enclave.cpus for enclave in enclaves))
    free = _pool_or_nothing(host) - held
    if len(free) < needs.cpus:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{named(enclaves)} holds the CPUs {listed(held)}; free are {len(free)}, and the "
            f"suite's enclave takes {needs.cpus}: run-enclave ends with E29 and E39",
            fix="Terminate what is not wanted: it outlives the nitro-cli that started it. A run "
            "ends no enclave that it did not start",
            command=termination(enclaves),
        )
    else:
        yield Finding(
            outcome=Outcome.OK,
            found=f"{named(enclaves)} runs and is left alone; the CPUs {listed(free)} are free",
        )


def _pool_or_nothing(host: Host) -> frozenset[int]:
    """Empty where it cannot be told, which is for hardware.pool to say."""
    try:
        return pool(host)
    except (OSError, BadCpuList):
        return frozenset()


def _docker(host: Host) -> Iterator[Finding]:
    try:
        ran = host.run(*_DOCKER_VERSION)
    except CommandMissing:
        yield Finding(
            outcome=Outcome.ERROR,
            found="There is no docker on PATH",
            fix="Install it, then enable and start it",
            command=docker.installation(distribution(host)),
        )
        return
    said = f"{ran.stderr}\n{ran.stdout}".casefold()
    if ran.exit_code == 0 and ran.stdout.strip():
        yield Finding(
            outcome=Outcome.OK, found=f"The Docker engine answers: {short(ran.stdout.strip())}"
        )
    elif "permission denied" in said:
        refused = docker.refused(host)
        yield Finding(
            outcome=Outcome.ERROR,
            found=refused.found,
            fix=refused.fix,
            command=refused.command,
        )
    else:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"The Docker engine does not answer: {first_words(ran)}",
            fix="Enable and start it",
            command=f"systemctl enable --now {_SERVICE}",
        )


def _disk(needs: Needs, host: Host) -> Iterator[Finding]:
    if host.kind is HostKind.SIMULATED:
        yield Finding(
            outcome=Outcome.SKIPPED, found="The disk of a simulated machine is this system's"
        )
        return
    folders = list(
        dict.fromkeys(str(nearest(host, each)) for each in (folder_of(host), _DOCKER_FOLDER))
    )
    ran = host.run("df", "-Pk", *folders)
    free = _free_mib(ran.stdout)
    if len(free) != len(folders):
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"It could not be told: df says {first_words(ran)}",
            fix=f"See that {needs.disk_mib} MiB are free",
            command="df -h",
        )
        return
    for folder, mib in zip(folders, free, strict=True):
        if mib < needs.disk_mib:
            yield Finding(
                outcome=Outcome.ERROR,
                found=f"{mib} MiB are free where {folder} is; image and enclave image file take up "
                f"to {needs.disk_mib}",
                fix="Make room, or enlarge the volume; `docker system prune` removes what Docker "
                "does not use any more",
            )
            return
    shown = ", ".join(
        f"{mib} MiB where {folder} is" for folder, mib in zip(folders, free, strict=True)
    )
    yield Finding(outcome=Outcome.OK, found=f"Free: {shown}")


def _free_mib(text: str) -> Sequence[int]:
    """What `df -Pk` says in its fourth column (POSIX), for each line after the first."""
    found = []
    for line in text.splitlines()[1:]:
        parts = line.rsplit(maxsplit=5)
        if len(parts) == 6 and re.fullmatch(r"[0-9]{1,15}", parts[3]):
            found.append(int(parts[3]) // _KIB_PER_MIB)
    return found


def _python(host: Host) -> Iterator[Finding]:
    yield harness.only_here(host) or judge_python(sys.version_info[:2], sys.executable)


def judge_python(version: Sequence[int], program: str) -> Finding:
    """The Python that runs this, and will run the suite."""
    shown = ".".join(map(str, version))
    oldest = ".".join(map(str, harness.OLDEST))
    if tuple(version) >= harness.OLDEST:
        return Finding(outcome=Outcome.OK, found=f"{program} is {shown}")
    return Finding(
        outcome=Outcome.ERROR,
        found=f"{program} is {shown}; the suite needs {oldest}",
        fix="Install a newer one beside it, and run ./toxw anew",
        command=harness.DNF,
    )


def checks(needs: Needs) -> tuple[Check, ...]:
    """In the order in which to mend."""
    return (
        _Check(
            id="hardware.nitro-cli",
            probe=_nitro_cli,
            title="nitro-cli is of a version whose output is known",
            why="The suite reads what nitro-cli prints: its JSON, its codes, its texts",
            evidence=Evidence.DOCUMENTED,
            source="aws-nitro-enclaves-cli, src/lib.rs of 1.4.4 and 1.5.0",
            needs=("packages.cli",),
        ),
        _Check(
            id="hardware.pool",
            probe=partial(_pool, needs),
            title="The allocator has reserved CPUs for the suite's enclave",
            why="run-enclave takes CPUs of the pool alone: E22 Insufficient CPUs available in the "
            "pool. The pool is empty until nitro-enclaves-allocator.service has been started",
            evidence=Evidence.INFERRED,
            source=f"{_SOURCE}, src/enclave_proc/cpu_info.rs; bootstrap/nitro-enclaves-allocator",
            explains=("host.cpu-count",),
            replaces=("allocator.pool",),
        ),
        _Check(
            id="hardware.memory",
            probe=partial(_memory, needs),
            title="The allocator has reserved memory for the suite's enclave",
            why="An enclave gets huge pages, of the NUMA node of its CPUs: E27 Insufficient memory "
            "available where too few are free. The allocator reserves 512 MiB as it is shipped",
            evidence=Evidence.INFERRED,
            source=f"{_SOURCE}, src/enclave_proc/resource_manager.rs",
            explains=("host.huge-pages",),
            replaces=("allocator.memory",),
        ),
        _Check(
            id="hardware.enclaves",
            probe=partial(_enclaves, needs),
            title="No enclave holds what the suite's enclave takes",
            why="An enclave keeps its CPUs until it is terminated, also when the nitro-cli that "
            "started it was killed. run-enclave then fails with E29 and E39",
            evidence=Evidence.REPORTED,
            source="field notes, bug 9; aws-nitro-enclaves-cli, issues 433 and 516",
            needs=("packages.cli",),
            bug="9",
            explains=("host.cpu-pool",),
            replaces=("enclaves.running",),
        ),
        _Check(
            id="hardware.docker",
            probe=_docker,
            title="The Docker engine answers whoever runs the suite",
            why="The suite's image is built by docker, and build-enclave takes it from the engine: "
            "E50 Docker image pull error, or E48, where that does not answer",
            evidence=Evidence.INFERRED,
            source=f"{_SOURCE}, enclave_build/src/docker.rs; docker version (Docker's reference)",
            replaces=("docker.service", "docker.group"),
        ),
        _Check(
            id="hardware.disk",
            probe=partial(_disk, needs),
            title="There is room for the image and what is made of it",
            why="A full disk ends docker build or build-enclave in its midst (E48), and leaves a "
            "piece of an image file",
            evidence=Evidence.INFERRED,
            source=f"{_SOURCE}, src/lib.rs: the image file and its ramdisks are written whole",
        ),
        _Check(
            id="hardware.python",
            probe=_python,
            title="The Python that runs the suite is new enough",
            why="Amazon Linux 2023 keeps python3 at 3.9 for good, and has newer ones beside it",
            evidence=Evidence.DOCUMENTED,
            source='"Python in AL2023" (Amazon Linux 2023 User Guide)',
            replaces=("harness.python",),
        ),
        _Check(
            id="hardware.packages",
            probe=harness.versions,
            title="The packages of the suite are there, and young enough",
            why="A package that is missing or too old fails in the midst of a run, with an "
            "ImportError or a document that decodes otherwise",
            evidence=Evidence.DOCUMENTED,
            source="the metadata of attested-kms (pyproject.toml)",
            replaces=("harness.packages",),
        ),
    )
