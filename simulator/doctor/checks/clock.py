"""Whether this machine's clock is right: who signs a request signs its time as well.

It is compared with the Date of an answer of KMS's endpoint, where that may be asked, and the system
is asked whether it follows a time server. The clock of an enclave is another one: the hypervisor
sets it, and the timestamp in attestation documents is the hypervisor's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor import web
from simulator.doctor.aws_settings import AwsSettings, BadSetting
from simulator.doctor.checks.kms import NoEndpoint, ask_kms, kms_endpoint
from simulator.doctor.host import CommandHangs, CommandMissing, Host, NetworkNotAsked, Unreachable
from simulator.doctor.model import Check, Finding, Outcome, Role

_REFUSED_SECONDS = 300
"""What a signature may be old: "5 min." in KMS's own text."""
_NOTED_SECONDS = 30
_IMF_FIXDATE = "%a, %d %b %Y %H:%M:%S GMT"
"""The form that a server must send (RFC 9110, 5.6.7)."""

_FIX = "Let a time server set the clock; in a container it is the clock of the machine below"
_FOLLOW = "systemctl enable --now chronyd"
_STEP = f"{_FOLLOW} && chronyc makestep"


@dataclass(frozen=True, slots=True)
class Compared:
    """This machine's clock beside a server's."""

    server: str
    ahead: float
    """Seconds by which this machine is ahead at least; negative for behind; 0 for in between."""


class NotCompared(Exception):
    """There is no Date to compare with; the message says why, without a full stop."""


def with_kms(host: Host) -> Compared:
    """The clock beside that of KMS's endpoint. Raises NotCompared."""
    try:
        endpoint = kms_endpoint(AwsSettings.of(host))
        before = host.now()
        answer = ask_kms(host, endpoint)
        after = host.now()
    except (NoEndpoint, BadSetting, Unreachable, NetworkNotAsked) as error:
        raise NotCompared(str(error)) from error
    return compared(web.where(endpoint.url), answer.headers.get("date"), before, after)


def compared(server: str, date: str | None, before: float, after: float) -> Compared:
    """The clock beside the Date of an answer, for which `before` was asked and `after` had.

    Both are seconds of the epoch by this clock. Raises NotCompared.
    """
    if date is None:
        raise NotCompared(f"{server} says no Date")
    try:
        moment = dt.datetime.strptime(date.strip(), _IMF_FIXDATE).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise NotCompared(f"the Date of {server} is none") from error
    said = moment.timestamp()
    # It was said between the two moments, within the second that it names.
    ahead = max(0.0, before - said - 1) - max(0.0, said - after)
    return Compared(server, ahead)


def _follows(host: Host) -> bool | None:
    """Whether the clock follows a time server; None where nobody tells."""
    kernel = _said(host, "timedatectl", "show", "--property=NTPSynchronized")
    chrony = _said(host, "chronyc", "-n", "tracking")
    leap = next((line for line in chrony.splitlines() if line.startswith("Leap status")), "")
    if "NTPSynchronized=yes" in kernel or leap.endswith(": Normal"):
        return True
    return False if "NTPSynchronized=no" in kernel or "Not synchronised" in leap else None


def _said(host: Host, *words: str) -> str:
    """What a command prints; nothing where it fails, as both do in most containers."""
    try:
        ran = host.run(*words)
    except (CommandMissing, CommandHangs, OSError):
        return ""
    return ran.stdout if ran.exit_code == 0 else ""


def _probe(host: Host) -> Iterator[Finding]:
    yield from findings(host, with_kms)


def findings(host: Host, compare: Callable[[Host], Compared]) -> Iterator[Finding]:
    """What is to be said of the clock. `compare` raises NotCompared."""
    follows = _follows(host)
    command = _STEP if host.which("chronyc") else ""
    if follows is False:
        yield Finding(
            outcome=Outcome.WARNING,
            found="The clock follows no time server (timedatectl, chronyc)",
            fix=_FIX,
            command=_FOLLOW if command else "",
        )
    try:
        beside = compare(host)
    except NotCompared as error:
        if follows is None:
            yield Finding(outcome=Outcome.SKIPPED, found=f"It is not compared: {error}")
        elif follows:
            yield Finding(
                outcome=Outcome.OK,
                found=f"The clock follows a time server; it is not compared: {error}",
            )
        return
    yield _judged(beside, command)


def _judged(compared: Compared, command: str) -> Finding:
    off = abs(compared.ahead)
    if off <= _NOTED_SECONDS:
        return Finding(
            outcome=Outcome.OK,
            found=f"The clock agrees with {compared.server} to {_NOTED_SECONDS} seconds",
        )
    side = "ahead of" if compared.ahead > 0 else "behind"
    return Finding(
        outcome=Outcome.ERROR if off > _REFUSED_SECONDS else Outcome.WARNING,
        found=f"The clock is {off:.0f} seconds {side} that of {compared.server}",
        fix=_FIX,
        command=command,
    )


CHECKS = (
    Check(
        id="clock.skew",
        title="The clock is right",
        why="KMS refuses what was signed more than five minutes ago or ahead: "
        "`InvalidSignatureException: Signature expired: ... is now earlier than ... (... - 5 "
        "min.)`, other services `RequestExpired`. Certificates seem expired, or not valid yet; and "
        "a KMS fake on this machine judges the age of attestation documents by this clock, also "
        "five minutes",
        roles=frozenset(Role),
        probe=_probe,
        evidence=Evidence.DOCUMENTED,
        source='"AWS Signature Version 4 for API requests" (IAM User Guide): within five minutes; '
        "KMS's text: aws-sdk-js, issue 2340 (reported); time servers: \"Set the time reference on "
        'your EC2 instance to use the local Amazon Time Sync Service" (Amazon EC2 User '
        "Guide); the age of documents: reported by implementers",
        explains=("caller.clock", "document.age", "document.future", "document.validity"),
    ),
)
