"""Checks of the toolchain of host programs: compiler, linker, sudo's PATH, `set -u` (bug 4).

Where nobody builds (no cargo anywhere, no Cargo.toml) they are notes: a parent instance needs no
compiler unless programs are built on it. What sudo does with PATH: sudoers(5), secure_path.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor.host import Host, HostKind, PathKind
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.os_release import Distribution, distribution
from simulator.doctor.parent import homes, short, text_of, user

SUDOERS = "/etc/sudoers"
SUDOERS_FOLDER = "/etc/sudoers.d"

_WHEREVER_BUILT = frozenset({Role.PARENT, Role.DEVELOPMENT})
_PARENT = frozenset({Role.PARENT})
_VARIABLES = ("HOME", "CARGO_HOME", "RUSTUP_HOME")
_PROGRAMS = ("cargo", "rustc")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_ENTRIES = 200
_SECURE_PATH = re.compile(r"(?<!\w)(!?)secure_path(?:\s*(\+?=)\s*(?:\"([^\"]*)\"|([^\s,\"]+)))?")
_DEFAULTS = re.compile(r"Defaults(:\s*[\w.,%-]+)?\s+(.*)")
_BUILD_TOOLS = {
    Distribution.AMAZON_2023: "dnf install -y gcc gcc-c++ make",
    Distribution.AMAZON_2: "yum install -y gcc gcc-c++ make",
    Distribution.DEBIAN: "apt-get install -y build-essential",
}
_OF_DISTRIBUTIONS = {
    Distribution.AMAZON_2023: "/sbin:/bin:/usr/sbin:/usr/bin",
    Distribution.AMAZON_2: "/sbin:/bin:/usr/sbin:/usr/bin",
    Distribution.DEBIAN: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
"""What their sudo has for secure_path as it is shipped."""
_NOBODY_BUILDS = "There is no cargo here, and no Rust project: nobody builds"
_FIELD_NOTES = "field notes, bug 4"


@dataclass(frozen=True, slots=True)
class _Rustup:
    """A toolchain in somebody's home folder."""

    user: str
    home: str

    @property
    def folder(self) -> str:
        return f"{self.home}/.cargo/bin"

    @property
    def variables(self) -> str:
        """What a shell of somebody else needs to use it."""
        home = shlex.quote(self.home)
        return f"CARGO_HOME={home}/.cargo RUSTUP_HOME={home}/.rustup"


def _rustups(host: Host) -> list[_Rustup]:
    """Those of whoever asks first, then of the user of sudo, then of the others."""
    asked = dict(homes(host))
    # A shell that works on a simulated instance keeps the HOME of its own machine.
    own = "" if host.kind is HostKind.SIMULATED else host.environ.get("HOME", "")
    order = [name for name in (user(host), "root", "ec2-user") if name in asked]
    found = [(name, asked[name]) for name in [*order, *asked] if name is not None]
    if own.startswith("/"):
        name = next((name for name, home in asked.items() if home == own), "you")
        found.insert(0, (name, own))
    there = [_Rustup(*one) for one in dict.fromkeys(found)]
    return [one for one in there if _is_there(host, f"{one.folder}/cargo")]


def _is_there(host: Host, path: str) -> bool:
    try:
        return path.startswith("/") and host.look(path) is not None
    except PermissionError:  # Another user's home, which is closed to who asks.
        return False


def _builds(host: Host) -> bool:
    """Whether anybody seems to build Rust programs here."""
    if host.which("cargo") or host.which("cargo", _SYSTEM_PATH) or _rustups(host):
        return True
    folders = [host.environ.get("PWD", ""), *homes(host).values()]
    return any(_has_project(host, folder) for folder in folders if folder.startswith("/"))


def _has_project(host: Host, folder: str) -> bool:
    """In the folder, or in one directly below it."""
    try:
        if host.look(folder) is not PathKind.FOLDER:
            return False
        below = [f"{folder}/{name}" for name in host.entries(folder)[:_MOST_ENTRIES]]
    except OSError:
        return False
    return any(_is_there(host, f"{one}/Cargo.toml") for one in (folder, *below))


def _compiler(host: Host) -> Iterator[Finding]:
    missing = [name for name in _PROGRAMS if host.which(name) is None]
    if not missing:
        found = " and ".join(f"{host.which(name)}" for name in _PROGRAMS)
        yield Finding(outcome=Outcome.OK, found=found)
        return
    elsewhere = next(iter(_rustups(host)), None)
    if elsewhere is not None:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"`{missing[0]}: command not found` for whoever asks; it is in "
            f"{elsewhere.folder}, the toolchain of {elsewhere.user}, and PATH is "
            f"{short(host.environ.get('PATH', '(unset)'))}",
            fix=f"Build as {elsewhere.user}, or let this shell use that toolchain",
            command=f'export {elsewhere.variables} PATH={shlex.quote(elsewhere.folder)}:"$PATH"',
        )
    elif not _builds(host):
        yield Finding(outcome=Outcome.NOTE, found=_NOBODY_BUILDS)
    else:
        name = missing[0]
        tool = {Distribution.AMAZON_2023: "dnf", Distribution.AMAZON_2: "yum"}.get(
            distribution(host)
        )
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"`{name}: command not found`, and no home folder has a toolchain of rustup",
            fix="Install Rust: by rustup (https://rustup.rs) as the user who builds, or the "
            "distribution's",
            command=f"{tool} install -y rust cargo" if tool else "",
        )


def _linker(host: Host) -> Iterator[Finding]:
    compiler = host.which("cc")
    if compiler is not None:
        others = [name for name in ("c++", "make") if host.which(name) is None]
        lacks = f"; {' and '.join(others)} missing, which some crates ask for" if others else ""
        yield Finding(outcome=Outcome.OK, found=f"{compiler}{lacks}")
    elif not _builds(host):
        yield Finding(outcome=Outcome.NOTE, found=f"There is no cc. {_NOBODY_BUILDS}")
    else:
        yield Finding(
            outcome=Outcome.ERROR,
            found="There is no cc, and Rust programs are built here: "
            "``error: linker `cc` not found``",
            fix="Install a C compiler, which Rust links with",
            command=_BUILD_TOOLS.get(distribution(host), ""),
        )


def _sudo(host: Host) -> Iterator[Finding]:
    if host.which("sudo") is None and not _is_there(host, SUDOERS):
        yield Finding(outcome=Outcome.SKIPPED, found="There is no sudo")
        return
    rustup = next(iter(_rustups(host)), None)
    path, said = _secure_path(host, rustup.user if rustup else "root")
    if path is None:
        yield Finding(outcome=Outcome.OK, found="sudo keeps PATH: there is no secure_path")
    elif (found := host.which("cargo", path)) is not None:
        yield Finding(outcome=Outcome.OK, found=f"sudo finds {found} ({said})")
    elif rustup is not None:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"`sudo cargo` is `cargo: command not found`: {said}, and cargo is in "
            f"{rustup.folder}",
            fix=f"Build as {rustup.user}, without sudo, which nitro-cli alone needs; or give sudo "
            "the toolchain, as this does",
            command=f'sudo env PATH={shlex.quote(rustup.folder)}:"$PATH" {rustup.variables} '
            "cargo --version",
        )
    elif (found := host.which("cargo")) is not None:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"`sudo cargo` is `cargo: command not found`: {said}, and cargo is {found}",
            fix="Build without sudo, or give sudo the PATH, as this does",
            command='sudo env PATH="$PATH" cargo --version',
        )
    else:
        found = f"There is no cargo that sudo could find ({said})"
        yield Finding(outcome=Outcome.SKIPPED, found=found)


def _secure_path(host: Host, name: str) -> tuple[str | None, str]:
    """The PATH that sudo gives a user, None for the user's own; and how that is known."""
    try:
        texts = [text_of(host, SUDOERS) or ""]
        if host.look(SUDOERS_FOLDER) is PathKind.FOLDER:
            texts += [
                text_of(host, f"{SUDOERS_FOLDER}/{entry}") or ""
                for entry in host.entries(SUDOERS_FOLDER)
                if "." not in entry and not entry.endswith("~")
            ]
    except OSError:
        texts = []
    if any(texts):
        path = secure_path("\n".join(texts), name)
        return path, f"sudo's secure_path is {path}, by {SUDOERS}"
    default = _OF_DISTRIBUTIONS.get(distribution(host), _SYSTEM_PATH)
    return default, f"sudo's secure_path is taken to be {default}, as it is shipped"


def secure_path(sudoers: str, name: str) -> str | None:
    """What settings of sudo make of PATH for a user; None where they leave it as it is."""
    path: str | None = None
    for line in re.sub(r"\\\n", " ", sudoers).splitlines():
        match = _DEFAULTS.match(line.strip())
        if match is None:
            continue
        users = [one.strip() for one in (match[1] or "").removeprefix(":").split(",") if one]
        if users and name not in users:
            continue
        for no, operator, quoted, plain in _SECURE_PATH.findall(match[2]):
            if no:
                path = None
            elif operator == "+=" and path:
                path = f"{path}:{quoted or plain}"
            elif operator:
                path = quoted or plain
    return path or None


def _variables(host: Host) -> Iterator[Finding]:
    rustup = next(iter(_rustups(host)), None)
    if rustup is None:
        yield Finding(outcome=Outcome.OK, found="There is no toolchain of rustup to point to")
        return
    unset = [name for name in _VARIABLES if not host.environ.get(name)]
    wrong = [
        f"{name}={host.environ[name]}"
        for name in _VARIABLES
        if name not in unset and not _is_there(host, host.environ[name])
    ]
    command = f"export HOME={shlex.quote(host.environ.get('HOME') or '/root')} {rustup.variables}"
    if wrong:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"{' and '.join(wrong)}: there is no such folder",
            fix=f"Point to the toolchain of {rustup.user}",
            command=command,
        )
    elif "HOME" in unset:
        yield Finding(
            outcome=Outcome.WARNING,
            found="HOME is unset, as in SSM's shell: cargo and rustup do not find their folders, "
            f"and under `set -u` a script ends with `{unset[-1]}: unbound variable`",
            fix="Set all three before anything of Rust runs",
            command=command,
        )
    elif unset:
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"{' and '.join(unset)} unset: cargo needs none of it while HOME is "
            f"{host.environ['HOME']}, but under `set -u` a script that writes ${unset[0]} ends "
            f"with `{unset[0]}: unbound variable`",
        )
    else:
        yield Finding(outcome=Outcome.OK, found=f"{', '.join(_VARIABLES)} are set")


CHECKS = (
    Check(
        id="toolchain.compiler",
        title="Whoever builds host programs finds cargo and rustc",
        why="rustup installs for one user, into ~/.cargo/bin, and puts it on the PATH of that "
        "user's login shells alone: root, SSM and cron do not find it. Which Rust is new enough is "
        "up to the dependencies; nitro-cli itself wants 1.81 (1.4.4) or 1.94.1 (1.5.0)",
        roles=_WHEREVER_BUILT,
        probe=_compiler,
        evidence=Evidence.REPORTED,
        source=f"{_FIELD_NOTES}; a run of bash without cargo",
        bug="4",
    ),
    Check(
        id="toolchain.linker",
        title="There is a C compiler for Rust to link with",
        why="cargo compiles and then ends: ``error: linker `cc` not found``. Amazon Linux has no "
        "compiler as it is launched, and rustup brings none",
        roles=_WHEREVER_BUILT,
        probe=_linker,
        evidence=Evidence.REPORTED,
        source=f"{_FIELD_NOTES}; a run of cargo without gcc",
        bug="4",
        explains=("host.linker",),
    ),
    Check(
        id="toolchain.sudo",
        title="sudo finds cargo",
        why="sudo replaces PATH by its secure_path, which has no ~/.cargo/bin: `sudo cargo build` "
        "is `cargo: command not found` though `cargo build` works",
        roles=_PARENT,
        probe=_sudo,
        evidence=Evidence.REPORTED,
        source=f"{_FIELD_NOTES}; sudoers(5), secure_path",
        bug="4",
    ),
    Check(
        id="toolchain.variables",
        title="HOME, CARGO_HOME and RUSTUP_HOME are set where scripts use them",
        why="Under `set -u` a script that writes $CARGO_HOME ends with `CARGO_HOME: unbound "
        "variable`. Without HOME, as in SSM's shell, rustup's cargo does not find its toolchain",
        roles=_PARENT,
        probe=_variables,
        evidence=Evidence.REPORTED,
        source=f"{_FIELD_NOTES}; a run of bash under set -u",
        bug="4",
    ),
)
"""In the order in which to mend."""
