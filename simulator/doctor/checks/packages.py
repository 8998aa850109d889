"""Checks of the packages: nitro-cli, its blobs, and the name that no repository has (bug 2).

Names and files: SPECS/aws-nitro-enclaves-cli.spec of aws-nitro-enclaves-cli v1.4.4; what dnf does
with an unknown name was seen with dnf 4.14.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor.host import CommandMissing, Host, PathKind
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.os_release import Distribution, distribution
from simulator.doctor.parent import first_words, short, text_of
from simulator.packages.catalogue import CLI, DEVEL
from simulator.packages.contents import BLOBS, unit_file

NO_PACKAGE = "aws-nitro-enclaves-allocator"
USER_DATA = "/var/lib/cloud/instance/user-data.txt"
CLOUD_INIT_LOG = "/var/log/cloud-init-output.log"

_PARENT = frozenset({Role.PARENT})
_PROGRAM = "/usr/bin/nitro-cli"
_FILES = (
    _PROGRAM,
    "/usr/bin/nitro-enclaves-allocator",
    "/usr/bin/vsock-proxy",
    unit_file("nitro-enclaves-allocator.service"),
    unit_file("nitro-enclaves-vsock-proxy.service"),
)
_KERNELS = ("bzImage", "Image")
_FIXED_BLOBS = ("cmdline", "init", "nsm.ko", "linuxkit")
_SPEC = "aws-nitro-enclaves-cli 1.4.4, SPECS/aws-nitro-enclaves-cli.spec"
_NAMED = re.compile(rf"(?<![\w.+-]){NO_PACKAGE}(?![\w.+-])")
_INSTALLS = re.compile(r"\b(?:dnf|yum|microdnf)\b.*\binstall\b|^\s*-\s")
_LENIENT = re.compile(r"--skip-broken|--setopt=\*?\.?strict=(?:0|false|no)\b", re.IGNORECASE)
_HIDDEN = re.compile(r"\|\|\s*(?:true|:)(?![\w./-])")
_MOST_TRACES = 3
_NO_MATCH = re.compile(r"Unable to find a match: (.+)")
_FROM_SOURCE = (
    "This distribution has no package of it: build it from source, "
    "github.com/aws/aws-nitro-enclaves-cli, or take Amazon Linux 2023"
)


@dataclass(frozen=True, slots=True)
class _Query:
    """What rpm knows of a package."""

    is_installed: bool | None
    """None: rpm is not there or cannot tell."""
    said: str


def _query(host: Host, package: str) -> _Query:
    if distribution(host) is Distribution.DEBIAN:
        # Its rpm has no packages, and makes a ~/.rpmdb of its own when it is asked.
        return _Query(None, "packages are dpkg's here, not rpm's")
    try:
        ran = host.run("rpm", "-q", package)
    except CommandMissing:
        return _Query(None, "there is no rpm here")
    if ran.exit_code == 0:
        return _Query(True, short(ran.stdout))
    if "is not installed" in ran.stdout:
        return _Query(False, short(ran.stdout))
    return _Query(None, f"rpm cannot tell: {first_words(ran)}")


def _install(host: Host, *packages: str) -> tuple[str, str]:
    """How to install packages of nitro-cli, in words and as a command line."""
    match distribution(host):
        case Distribution.AMAZON_2023:
            return f"Install {' and '.join(packages)}", f"dnf install -y {' '.join(packages)}"
        case Distribution.AMAZON_2:
            lines = {
                CLI: f"amazon-linux-extras install -y {CLI}",
                DEVEL: f"yum install -y {DEVEL}",
            }
            return (
                "On Amazon Linux 2 it is a topic of amazon-linux-extras",
                " && ".join(lines[package] for package in packages),
            )
        case _:
            return _FROM_SOURCE, ""


def _reinstall(host: Host, package: str) -> str:
    tool = "yum" if distribution(host) is Distribution.AMAZON_2 else "dnf"
    return f"{tool} reinstall -y {package}"


def _cli(host: Host) -> Iterator[Finding]:
    query = _query(host, CLI)
    program = host.which("nitro-cli")
    gone = [path for path in _FILES if host.look(path) is None]
    if query.is_installed and gone:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"Half-installed: {query.said} is installed, and {', '.join(gone)} is gone",
            fix="Install the package again; its settings in /etc/nitro_enclaves stay",
            command=_reinstall(host, CLI),
        )
    elif program is None and _PROGRAM not in gone:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{_PROGRAM} is there, and PATH has not /usr/bin: nitro-cli: command not found",
            fix="Put /usr/bin into PATH, in this shell and where PATH is set",
            command='export PATH="$PATH:/usr/bin"',
        )
    elif program is None:
        yield _no_cli(host, query)
    elif query.is_installed:
        yield Finding(outcome=Outcome.OK, found=f"{query.said}, {program}")
    else:
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"{program} is there without its package ({query.said}): built from source?",
        )


def _no_cli(host: Host, query: _Query) -> Finding:
    also = () if _query(host, DEVEL).is_installed else (DEVEL,)
    fix, command = _install(host, CLI, *also)
    return Finding(
        outcome=Outcome.ERROR,
        found=f"nitro-cli: command not found ({query.said})",
        fix=fix,
        command=command,
    )


def _devel(host: Host) -> Iterator[Finding]:
    query = _query(host, DEVEL)
    folder = host.environ.get("NITRO_CLI_BLOBS") or BLOBS
    gone = _missing_blobs(host, folder)
    if not gone:
        yield Finding(outcome=Outcome.OK, found=f"{folder} has all of its files ({query.said})")
        return
    is_there = host.look(folder) is PathKind.FOLDER
    found = f"{folder} lacks {', '.join(gone)}" if is_there else f"There is no folder {folder}"
    if folder.rstrip("/") != BLOBS and not _missing_blobs(host, BLOBS):
        fix, command = f"NITRO_CLI_BLOBS leads there; {BLOBS} is whole", "unset NITRO_CLI_BLOBS"
    elif query.is_installed:
        fix, command = "install the package again", _reinstall(host, DEVEL)
    else:
        fix, command = _install(host, DEVEL)
    yield Finding(outcome=Outcome.ERROR, found=f"{found} ({query.said})", fix=fix, command=command)


def _missing_blobs(host: Host, folder: str) -> list[str]:
    there = set(host.entries(folder)) if host.look(folder) is PathKind.FOLDER else set[str]()
    gone = [name for name in _FIXED_BLOBS if name not in there]
    kernel = next((name for name in _KERNELS if name in there), None)
    if kernel is None:
        gone.append(" or ".join(_KERNELS))
    elif f"{kernel}.config" not in there:
        gone.append(f"{kernel}.config")
    return gone


def _unknown(host: Host) -> Iterator[Finding]:
    readers = {USER_DATA: script_traces, CLOUD_INIT_LOG: log_traces}
    traces, unread = list[str](), list[str]()
    for path, read in readers.items():
        try:
            text = text_of(host, path) or ""
        except OSError as error:
            unread.append(f"{path} cannot be read ({error.strerror or error})")
            continue
        traces += read(path, text)
    if not traces:
        outcome = Outcome.SKIPPED if unread else Outcome.OK
        said = "; ".join(unread) or "No script or log of cloud-init asks for it"
        yield Finding(outcome=outcome, found=said)
        return
    found = ". ".join([*traces, *unread])
    if host.which("nitro-cli") is not None:
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"{found}. nitro-cli is here now; the next instance with this user data will "
            "lack it",
        )
        return
    _, command = _install(host, CLI, DEVEL)
    yield Finding(
        outcome=Outcome.WARNING,
        found=f"{found}: so dnf installed none of the packages of that line",
        fix=f"Take {NO_PACKAGE} out of the user data, and `|| true` with it; here install what "
        "there is",
        command=command,
    )


def script_traces(path: str, text: str) -> list[str]:
    """Where a script installs the package that is none."""
    traces = []
    for number, line in _logical_lines(text):
        if not _NAMED.search(line) or not _INSTALLS.search(line) or _LENIENT.search(line):
            continue
        hidden = ", and `|| true` hides that it fails" if _HIDDEN.search(line) else ""
        traces.append(
            f"Line {number} of {path} asks for {NO_PACKAGE}, which no repository has{hidden}"
        )
    return traces


def log_traces(path: str, text: str) -> list[str]:
    """Where a log has dnf's answer to an unknown name; the first few."""
    traces = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _NO_MATCH.search(line)
        if match:
            traces.append(f"Line {number} of {path} is `{short(match[0])}`")
    return traces[:_MOST_TRACES]


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that a backslash continues joined, by their first number."""
    first, joined = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not joined:
            first = number
        if line.lstrip().startswith("#"):
            continue
        joined += line.removesuffix("\\") + " "
        if not line.endswith("\\"):
            yield first, joined
            joined = ""
    if joined:
        yield first, joined


CHECKS = (
    Check(
        id="packages.cli",
        title=f"{CLI} is installed, and nitro-cli is found",
        why="Without it nothing of Nitro Enclaves is there: `nitro-cli: command not found` (127), "
        "and the services of the allocator and of vsock-proxy do not exist. It is missing most "
        "often because dnf was also given a name that does not exist, and then installs nothing",
        roles=_PARENT,
        probe=_cli,
        evidence=Evidence.REPORTED,
        source=f"field notes, bug 2; a run of dnf 4.14; {_SPEC}",
        bug="2",
        explains=("host.package",),
    ),
    Check(
        id="packages.devel",
        title=f"{DEVEL} is installed, and its blobs are whole",
        why="build-enclave puts kernel, init and nsm.ko of this package into each image. Without "
        "cmdline it ends with E19, without another file with E48. Images that are built elsewhere "
        "run without it",
        roles=_PARENT,
        probe=_devel,
        evidence=Evidence.REPORTED,
        source=f"field notes, bug 2; aws-nitro-enclaves-cli, issue 513, and src/lib.rs; {_SPEC}",
        bug="2",
        explains=("host.blobs", "host.blob-missing"),
    ),
    Check(
        id="packages.unknown",
        title=f"No script asks for {NO_PACKAGE}",
        why="There is no such package: the allocator is in the package of nitro-cli. One unknown "
        "name, and dnf installs none of the others: `Error: Unable to find a match`, exit code 1. "
        "`|| true` behind it hides that",
        roles=_PARENT,
        probe=_unknown,
        evidence=Evidence.REPORTED,
        source="field notes, bug 2; tsyrulb/EphemeralML, infra/hello-enclave/user_data_al2023.sh; "
        "a run of dnf 4.14",
        bug="2",
        explains=("host.package",),
    ),
)
"""In the order in which to mend."""
