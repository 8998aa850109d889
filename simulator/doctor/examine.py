"""One examination: which role, which checks, what they found, and what to do next.

The order of the checks is the order in which to mend. What a probe could not tell is a finding
like any other, for a machine that is broken is why somebody asks.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from simulator.doctor.checks import CHECKS
from simulator.doctor.host import (
    CommandHangs,
    CommandMissing,
    Host,
    HostKind,
    NetworkNotAsked,
    NotCalled,
    Unreachable,
)
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.os_release import os_release

Look = Callable[[Check], Sequence[Finding]]
"""What a check finds."""
Watch = Callable[[Check], AbstractContextManager[object]]
"""Entered while a check looks, to tell whoever waits."""

_VENDOR = "/sys/devices/virtual/dmi/id/sys_vendor"
_DRIVER = "/sys/module/nitro_enclaves"
_EC2 = b"Amazon EC2"


class UnknownCheck(Exception):
    """There is no such check; the message says which are near."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found."""

    check: Check
    findings: Sequence[Finding]
    """At least one."""

    @property
    def has_failed(self) -> bool:
        """Whether there is an error."""
        return any(finding.outcome is Outcome.ERROR for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found on a machine."""

    host: Host
    role: Role
    results: Sequence[Result]
    """In the order in which to mend."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What is known of the machine, for records of what is seen on it."""

    @property
    def next(self) -> tuple[Check, Finding] | None:
        """The first error."""
        return next(iter(self.errors), None)

    @property
    def errors(self) -> Sequence[tuple[Check, Finding]]:
        """All of them, in the order in which to mend."""
        found = ((result.check, each) for result in self.results for each in result.findings)
        return [pair for pair in found if pair[1].outcome is Outcome.ERROR]

    def count(self, outcome: Outcome) -> int:
        """How many findings have ended so."""
        return sum(each.outcome is outcome for result in self.results for each in result.findings)

    def reaches(self, outcome: Outcome) -> bool:
        """Whether anything is as bad."""
        order = list(Outcome)
        return any(map(self.count, order[: order.index(outcome) + 1]))


def selected(names: Sequence[str], checks: Sequence[Check] = CHECKS) -> Sequence[Check]:
    """Those of the ids and areas, in the table's order; all without any. Raises UnknownCheck."""
    known = {check.id for check in checks} | {area_of(check) for check in checks}
    for name in names:
        if name not in known:
            raise UnknownCheck(_unknown(name, sorted(known)))
    return [check for check in checks if not names or {check.id, area_of(check)} & set(names)]


def area_of(check: Check) -> str:
    """The part of its id before the dot."""
    return check.id.partition(".")[0]


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3) or [
        each for each in known if name and each.startswith(name.partition(".")[0])
    ]
    meant = f"; is {' or '.join(near[:3])} meant?" if near else ";"
    return f"There is no check {name!r}{meant} --list shows all of them"


def role_of(host: Host) -> Role:
    """A parent where the machine looks like one."""
    if host.kind is HostKind.SIMULATED:
        return Role.PARENT
    if _EC2 not in _content(host, _VENDOR):
        return Role.DEVELOPMENT
    looks_so = _is_amazon_linux(host) or host.which("nitro-cli") or _is_there(host, _DRIVER)
    return Role.PARENT if looks_so else Role.DEVELOPMENT


def _is_amazon_linux(host: Host) -> bool:
    try:
        return os_release(host).get("ID") == "amzn"
    except OSError:
        return False


def _content(host: Host, path: str) -> bytes:
    """Nothing where it cannot be read: then the machine does not look so."""
    try:
        return host.read(path)
    except OSError:
        return b""


def _is_there(host: Host, path: str) -> bool:
    try:
        return host.look(path) is not None
    except OSError:
        return False


def examine(
    host: Host,
    role: Role | None = None,
    names: Sequence[str] = (),
    watch: Watch = nullcontext,
    checks: Sequence[Check] = CHECKS,
    look: Look | None = None,
) -> Examination:
    """Ask the checks of the role, or those of the ids and areas. Raises UnknownCheck.

    `look` tells what a check finds, where it is not to be looked at now; `watch` is not entered.
    """

    def looks(check: Check) -> Sequence[Finding]:
        with watch(check):
            return list(looked(check, host))

    chosen = selected(names, checks)
    played = role or role_of(host)
    results: list[Result] = []
    failed: set[str] = set()
    for check in chosen:
        if played not in check.roles and not names:
            continue
        result = Result(check, _asked(check, played, failed, look or looks))
        results.append(result)
        if result.has_failed or failed & set(check.needs):
            failed.add(check.id)
    return Examination(host, played, results)


def _asked(check: Check, role: Role, failed: set[str], look: Look) -> Sequence[Finding]:
    if role not in check.roles:
        others = " or ".join(each.value for each in Role if each in check.roles)
        return [Finding(outcome=Outcome.SKIPPED, found=f"It is asked with --as {others} only")]
    first = next((need for need in check.needs if need in failed), None)
    if first is not None:
        return [Finding(outcome=Outcome.SKIPPED, found=f"{first} comes first")]
    findings = look(check)
    if not findings:
        raise RuntimeError(f"the probe of {check.id} found nothing")
    return findings


def looked(check: Check, host: Host) -> Iterator[Finding]:
    """What a check finds; what could not be told is a finding, too."""
    try:
        yield from check.probe(host)
    except NetworkNotAsked as error:
        yield Finding(outcome=Outcome.SKIPPED, found=str(error))
    except CommandMissing as error:
        yield _untold(
            f"there is no command {error} on PATH",
            f"Look whether {error} belongs on this machine, and is in a folder of PATH",
        )
    except CommandHangs as error:
        yield _untold(
            str(error), "Run it by hand: what hangs here hangs in scripts, and for nitro-cli, too"
        )
    except NotCalled as error:
        yield _untold(
            str(error),
            "Mend what it says: AWS was not asked",
        )
    except Unreachable as error:
        yield _untold(
            str(error), "Try it with curl -v from this machine; a proxy may be in between"
        )
    except PermissionError as error:
        yield _untold(_said(error), "Run doctor as root, or as a user who may read it")
    except OSError as error:
        yield _untold(_said(error), "Look at it by hand: the machine may be damaged there")


def _untold(why: str, fix: str) -> Finding:
    return Finding(outcome=Outcome.WARNING, found=f"It could not be told: {why}", fix=fix)


def _said(error: OSError) -> str:
    if error.filename is None:
        return error.strerror or str(error)
    return f"{error.filename} cannot be read ({error.strerror})"
