"""What this project's own tools need: a Python, their packages, a way to supervise programs.

No enclave needs any of it, so that nothing here is an error. What only a trial can tell is told of
the machine that doctor runs on, and of no other. The search for a Python is that of ./toxw.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor.host import CommandHangs, CommandMissing, Host, HostKind
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.os_release import families

OLDEST = (3, 11)
_OF_AMAZON_LINUX = (3, 9)
"""python3 of Amazon Linux 2023, for good."""
_NAMES = ("python3.11", "python3.12", "python3.13", "python3.14", "python3")
"""In the order of ./toxw."""
_VERSION = re.compile(r"Python (\d+)\.(\d+)")
_DISTRIBUTION = "attested-kms"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)")
_MODULES = {"pyyaml": "yaml"}
"""Packages whose module has another name."""
_LOOPBACK = "/sys/module/vsock_loopback"

DNF = "dnf install -y python3.11 python3.11-pip"
_APT = "apt-get update && apt-get install -y python3.11 python3.11-venv"


@dataclass(frozen=True, slots=True)
class _Python:
    """One that was found on PATH."""

    name: str
    version: tuple[int, int] | None
    """None where it does not tell."""
    makes_environments: bool | None
    """None where it does not tell."""

    @property
    def shown(self) -> str:
        """Name and version."""
        said = (
            "does not tell its version" if self.version is None else f"is {_dotted(self.version)}"
        )
        return f"{self.name} {said}"

    @property
    def is_young(self) -> bool:
        """Whether it is new enough."""
        return self.version is not None and self.version >= OLDEST


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _pythons(host: Host) -> Iterator[_Python]:
    for name in _NAMES:
        if host.which(name) is None:
            continue
        version = _version(host, name)
        makes = _succeeds(host, name, "-c", "import ensurepip, venv")
        yield _Python(name, version, makes)


def _version(host: Host, name: str) -> tuple[int, int] | None:
    """As it says itself; of one that cannot be run, as on a simulated machine, what is known."""
    try:
        ran = host.run(name, "--version")
    except (CommandMissing, OSError):
        if name == "python3" and "amzn" in _families(host):
            return _OF_AMAZON_LINUX
        said = re.fullmatch(r"python(\d+)\.(\d+)", name)
    except CommandHangs:
        said = None
    else:
        # pyenv's shims are there for versions that are not chosen, and fail.
        said = _VERSION.search(ran.stdout) if ran.exit_code == 0 else None
    return (int(said[1]), int(said[2])) if said else None


def _succeeds(host: Host, *words: str) -> bool | None:
    try:
        return host.run(*words).exit_code == 0
    except (CommandMissing, CommandHangs, OSError):
        return None


def _python(host: Host) -> Iterator[Finding]:
    found = list(_pythons(host))
    young = [each for each in found if each.is_young]
    whole = next((each for each in young if each.makes_environments is not False), None)
    if whole is not None:
        yield Finding(outcome=Outcome.OK, found=f"{whole.shown}, which ./toxw takes")
    elif young:
        yield _no_environments(host, young[0])
    else:
        seen = ", ".join(each.shown for each in found) or "there is no Python on PATH"
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"No Python >= {_dotted(OLDEST)}: {seen}",
            fix="Install one beside the system's, which stays as it is; or python@3.13 with brew "
            "on macOS",
            command=_by_distribution(host, DNF, _APT),
        )


def _no_environments(host: Host, python: _Python) -> Finding:
    return Finding(
        outcome=Outcome.WARNING,
        found=f"{python.shown}, and it cannot make virtual environments (ensurepip, venv)",
        fix="Install the package that the distribution keeps apart",
        command=_by_distribution(
            host,
            f"dnf install -y {python.name}-pip",
            f"apt-get update && apt-get install -y {python.name}-venv",
        ),
    )


def _families(host: Host) -> set[str]:
    """None where they cannot be read: the fix is said all the same."""
    try:
        return families(host)
    except OSError:
        return set()


def _by_distribution(host: Host, dnf: str, apt: str) -> str:
    """The command for the family of the distribution; empty for others, for the fix has words."""
    found = _families(host)
    if found & {"amzn", "fedora", "rhel"}:
        return dnf
    return apt if found & {"debian", "ubuntu"} else ""


def only_here(host: Host) -> Finding | None:
    """Why what only a trial can tell is not told; None on the machine that doctor runs on."""
    if host.kind is HostKind.THIS_MACHINE:
        return None
    return Finding(
        outcome=Outcome.SKIPPED, found="It is told of the machine alone on which doctor runs"
    )


def _packages(host: Host, trouble_of: Callable[[str], str] | None = None) -> Iterator[Finding]:
    skipped = only_here(host)
    if skipped:
        yield skipped
        return
    try:
        required = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"{_DISTRIBUTION} is not installed in {sys.executable}: it runs from its sources",
            fix="Install it into a virtual environment",
            command=f"{sys.executable} -m pip install {_DISTRIBUTION}",
        )
        return
    yield judge_packages(required, _installed_version, trouble_of or _import_trouble)


def versions(host: Host) -> Iterator[Finding]:
    """The same by their versions alone: to import them all takes a while."""
    yield from _packages(host, lambda _: "")


def judge_packages(
    required: Sequence[str],
    version_of: Callable[[str], str | None],
    trouble_of: Callable[[str], str],
) -> Finding:
    """Compare requirements (`NAME>=VERSION`; others are passed over) with what is installed.

    `version_of` gives the version of a package, None for one that is missing; `trouble_of` why a
    module cannot be imported, empty if it can.
    """
    pairs = [(found[1], found[2]) for text in required if (found := _REQUIREMENT.fullmatch(text))]
    troubles = (_wrong(name, least, version_of, trouble_of) for name, least in pairs)
    wrong = [trouble for trouble in troubles if trouble]
    if not wrong:
        return Finding(outcome=Outcome.OK, found=f"All {len(pairs)} packages are there")
    return Finding(
        outcome=Outcome.WARNING,
        found="; ".join(wrong),
        fix="Install them anew, in a virtual environment rather than the system's Python",
        command=f"{sys.executable} -m pip install --upgrade {_DISTRIBUTION}",
    )


def _wrong(
    name: str,
    least: str,
    version_of: Callable[[str], str | None],
    trouble_of: Callable[[str], str],
) -> str:
    version = version_of(name)
    if version is None:
        return f"{name} is missing"
    if _numbers(version) < _numbers(least):
        return f"{name} is {version}, older than {least}"
    trouble = trouble_of(_MODULES.get(name.lower(), name))
    return f"{name} is there and cannot be imported ({trouble})" if trouble else ""


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version, without zeros at its end: 45 is 45.0.0."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[^0-9.]", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_trouble(module: str) -> str:
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)
    return ""


def _supervisor(host: Host) -> Iterator[Finding]:
    skipped = only_here(host)
    if skipped:
        yield skipped
        return
    from simulator.interpose.probe import probe

    yield judge_supervisor({rung.value: why for rung, why in probe().reasons.items()})


def judge_supervisor(reasons: Mapping[str, str | None]) -> Finding:
    """From the techniques, best first, and why each does not work; None for one that does."""
    best = next((name for name, why in reasons.items() if why is None), None)
    why = next((why for why in reasons.values() if why), "")
    if best is not None and not why:
        return Finding(
            outcome=Outcome.OK, found=f"`attested-kms run` runs programs by the technique {best}"
        )
    if best is not None:
        return Finding(
            outcome=Outcome.NOTE,
            found=f"`attested-kms run` runs programs by the technique {best}, which shows them "
            f"less of an enclave than the best one: {why}",
        )
    if not _can_be_mended():
        return Finding(
            outcome=Outcome.NOTE,
            found=f"`attested-kms run` works not here: {why}. KMS's fake, nitro-cli's stand-in and "
            "the scenarios' fabric work everywhere",
        )
    return Finding(
        outcome=Outcome.WARNING,
        found=f"`attested-kms run` cannot run unmodified programs here: {why}",
        fix="Do as it says there; the scenarios' fabric works without it",
    )


def _can_be_mended() -> bool:
    """Whether system and architecture are those that the supervisor knows."""
    from simulator.interpose.arch import this_architecture

    return sys.platform == "linux" and this_architecture() is not None


def _vsock_loopback(host: Host) -> Iterator[Finding]:
    if host.kind is HostKind.SIMULATED:
        yield Finding(outcome=Outcome.SKIPPED, found="A simulated machine has its fabric for vsock")
        return
    if host.look(_LOOPBACK) is not None:
        yield Finding(
            outcome=Outcome.OK, found="The module vsock_loopback is loaded: CID 1 is this machine"
        )
        return
    yield Finding(
        outcome=Outcome.NOTE,
        found="The module vsock_loopback is not loaded: the workload refuses to dial CID 1, and "
        "no test of this project dials native vsock. Programs that do are run under `attested-kms "
        "run` alone: a connection to CID 1, or to one that nobody has, would leave a virtual "
        "machine for its hypervisor",
    )


_EVERYWHERE = frozenset(Role)

CHECKS = (
    Check(
        id="harness.python",
        title="There is a Python for this project's tools",
        why="./toxw ends with `a Python >= 3.11 is needed`, or `cannot make virtual environments`. "
        "Amazon Linux 2023 keeps python3 at 3.9 for good, and has newer ones beside it",
        roles=_EVERYWHERE,
        probe=_python,
        evidence=Evidence.DOCUMENTED,
        source='"Python in AL2023" (Amazon Linux 2023 User Guide); ./toxw',
    ),
    Check(
        id="harness.packages",
        title="The packages of this project's tools are there",
        why="A package that is missing or too old fails in the midst of a test, with an "
        "ImportError or a document that decodes otherwise",
        roles=_EVERYWHERE,
        probe=_packages,
        evidence=Evidence.DOCUMENTED,
        source="the metadata of attested-kms (pyproject.toml)",
    ),
    Check(
        id="harness.supervisor",
        title="Unmodified enclave programs can be run here",
        why="`attested-kms run` and enclaves that are booted need Linux's seccomp user "
        "notification, and namespaces for the best technique; containers and hardened kernels "
        "refuse them",
        roles=_EVERYWHERE,
        probe=_supervisor,
        evidence=Evidence.DOCUMENTED,
        source="seccomp_unotify(2), user_namespaces(7); tried here, as `attested-kms run --probe`",
    ),
    Check(
        id="harness.vsock-loopback",
        title="vsock reaches this machine itself",
        why="vsock(7)'s CID 1 is this machine only with the module vsock_loopback (Linux 5.6); "
        "otherwise the kernel routes it to the hypervisor",
        roles=_EVERYWHERE,
        probe=_vsock_loopback,
        evidence=Evidence.INFERRED,
        source="vsock(7); Linux, net/vmw_vsock/af_vsock.c, vsock_assign_transport",
    ),
)
