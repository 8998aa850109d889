"""What several checks want to know of a parent instance: its users, units, CPU pool.

Read as the instance's own programs read it. What is not there is None or empty; what cannot be read
raises OSError, which the check that asks may pass on.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from simulator.doctor.host import Host, Ran
from simulator.machine.cpu_list import BadCpuList, parse_cpu_list
from simulator.machine.driver import POOL_FILE

PRESENT_CPUS = "/sys/devices/system/cpu/present"
SIBLINGS_OF_0 = "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"

_SHOWN = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_LAST_LINES = "50"


def text_of(host: Host, path: str) -> str | None:
    """A file's text, what is no UTF-8 replaced; None where there is no file. Raises OSError."""
    if host.look(path) is None:
        return None
    return host.read(path).decode(errors="replace")


def short(text: str) -> str:
    """Somebody else's text on one line, and not too much of it."""
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def first_words(ran: Ran) -> str:
    """What a command said first, for people; its exit code where it said nothing."""
    lines = [line for line in f"{ran.stderr}\n{ran.stdout}".splitlines() if line.strip()]
    return short(lines[0]) if lines else f"exit code {ran.exit_code}, and not a word"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of systemd."""

    active: str
    """What `systemctl is-active` prints: active, inactive, failed, activating ..., or its error."""
    is_enabled: bool
    """Asked of one that is active alone."""


def unit(host: Host, name: str) -> Unit:
    """Its state. Raises CommandMissing, CommandHangs, OSError."""
    active = host.run("systemctl", "is-active", name)
    words = active.stdout.split()
    state = words[0] if words else first_words(active)
    is_enabled = state == "active" and host.run("systemctl", "is-enabled", name).exit_code == 0
    return Unit(state, is_enabled)


def last_error(host: Host, name: str) -> str:
    """The last line of a unit's journal that tells of an error; empty for none.

    Raises CommandMissing, CommandHangs, OSError.
    """
    ran = host.run("journalctl", "--no-pager", "-n", _LAST_LINES, "-u", name)
    said = [line[line.index("Error") :] for line in ran.stdout.splitlines() if "Error" in line]
    return short(said[-1]) if said else ""


def pool(host: Host) -> frozenset[int]:
    """The CPUs that the driver keeps for enclaves, used or not. Raises OSError, BadCpuList."""
    return frozenset(parse_cpu_list(text_of(host, POOL_FILE) or ""))


def present_cpus(host: Host) -> frozenset[int]:
    """All CPUs; empty where the kernel does not say. Raises OSError."""
    return _cpus(host, PRESENT_CPUS)


def core_of_0(host: Host) -> frozenset[int]:
    """CPU 0 and its siblings as far as the kernel names them: they stay with the parent.

    Raises OSError.
    """
    return _cpus(host, SIBLINGS_OF_0) | {0}


def _cpus(host: Host, path: str) -> frozenset[int]:
    text = text_of(host, path) or ""
    try:
        return frozenset(parse_cpu_list(text))
    except BadCpuList as error:
        raise OSError(0, f"it holds no list of CPUs: {short(text)!r}", path) from error


def listed(numbers: frozenset[int] | set[int]) -> str:
    """`1,3`."""
    return ",".join(map(str, sorted(numbers)))


def homes(host: Host) -> dict[str, str]:
    """The home folders of people and of root, by user. Raises OSError."""
    found = {"root": "/root"}
    for line in (text_of(host, "/etc/passwd") or "").splitlines():
        parts = line.split(":")
        is_person = len(parts) == 7 and parts[5].startswith(("/home/", "/root"))
        if is_person and _USER.fullmatch(parts[0]):
            found[parts[0]] = parts[5]
    return found


def members(host: Host, group: str) -> frozenset[str] | None:
    """Who is in a group by /etc/group; None where there is no such group. Raises OSError."""
    for line in (text_of(host, "/etc/group") or "").splitlines():
        parts = line.split(":")
        if len(parts) == 4 and parts[0] == group:
            return frozenset(parts[3].split(",")) - {""}
    return None


def joining(group: str, name: str | None) -> tuple[str, str]:
    """How somebody gets into a group that may use what nitro-cli needs: in words, as a command."""
    command = f"usermod -aG {group} {shlex.quote(name)}" if name else ""
    return "Join the group, then log out and in again; or run nitro-cli as root, by sudo", command


def user(host: Host) -> str | None:
    """Who asks, or for whom root asks by sudo: somebody with a home folder on this machine.

    None for root itself, and where it cannot be told. Raises OSError.
    """
    names = ("SUDO_USER",) if host.user_id == 0 else ("USER", "LOGNAME")
    found = next((host.environ[name] for name in names if name in host.environ), "")
    return found if found in homes(host) and found != "root" else None
