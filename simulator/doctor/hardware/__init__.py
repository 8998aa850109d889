"""The preflight of a run on real hardware: `attested-kms doctor --hardware`.

It asks what a parent instance is asked, and adds what the suite needs of this one: enough CPUs and
memory, credentials of its role, every permission. Where a check of it tells more than a usual one,
it stands in its place. All checks look at the same time, and their questions are asked once
(simulator.doctor.at_once, once). Nothing is made or changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from simulator.doctor.aws import within
from simulator.doctor.checks import CHECKS
from simulator.doctor.hardware import account, instance, machine, permissions
from simulator.doctor.hardware.needs import Needs
from simulator.doctor.hardware.questions import NotAnInstance
from simulator.doctor.hardware.questions import instance as instance_of
from simulator.doctor.host import CommandHangs, CommandMissing, Host, NetworkNotAsked, Unreachable
from simulator.doctor.model import Check, Role
from simulator.doctor.parent import short

SECONDS = 3.8
"""From doctor's begin to the end of all probes, so that its process ends within five."""
COMMAND_SECONDS = 3.0
"""For each command, so that one that hangs is killed before doctor ends."""
NETWORK_SECONDS = 2.0
"""For each question to somebody beyond this machine."""

_MOST_PATIENCE = 5.0
_GLANCE_SECONDS = 0.5
_KERNEL = "/proc/sys/kernel/osrelease"
_NOT_TOLD = (
    *(CommandHangs, CommandMissing, NetworkNotAsked, NotAnInstance, Unreachable),
    *(OSError, TimeoutError),
)

_OF_THE_SIMULATOR = ("harness.supervisor", "harness.vsock-loopback")
"""Nothing is supervised on hardware, and nobody dials CID 1."""
_OUTSIDE = ("kms.reachable",)
"""What comes after Region and clock."""
_TOLD_ALONE = ("driver.device",)
"""What is told whatever comes before it."""


def patience() -> float:
    """By what the times of this machine are multiplied: 1, and more where processes wait for a CPU.

    There the machine is slow, and not what it is asked.
    """
    try:
        waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return 1.0  # Nobody tells.
    return min(_MOST_PATIENCE, max(1.0, waiting))


def provenance(host: Host) -> dict[str, str]:
    """instance_type, region, nitro_cli, kernel: what is not known is not there.

    Nothing is waited for: the checks have asked, and `host` remembers.
    """
    questions: dict[str, Callable[[], str]] = {
        "instance_type": lambda: instance_of(host).instance_type,
        "region": lambda: instance_of(host).region,
        "nitro_cli": lambda: machine.nitro_cli_version(host),
        "kernel": lambda: host.read(_KERNEL).decode(errors="replace").strip(),
    }
    found = {}
    for name, question in questions.items():
        with suppress(*_NOT_TOLD):
            found[name] = short(within(_GLANCE_SECONDS, question))
    return {name: text for name, text in found.items() if text}


def own_checks(needs: Needs) -> tuple[Check, ...]:
    """Those that are asked in a preflight only."""
    return (
        *instance.CHECKS,
        *machine.checks(needs),
        *account.CHECKS,
        *permissions.checks(needs),
    )


def preflight(needs: Needs) -> tuple[Check, ...]:
    """All of them, in the order in which to mend."""
    own = own_checks(needs)
    left_out = {name for check in own for name in check.replaces} | set(_OF_THE_SIMULATOR)
    usual = [
        replace(check, needs=()) if check.id in _TOLD_ALONE else check
        for check in CHECKS
        if Role.PARENT in check.roles and check.id not in left_out
    ]
    return (
        *instance.CHECKS,
        *(check for check in usual if check.id not in _OUTSIDE),
        *machine.checks(needs),
        *account.CHECKS,
        *(check for check in usual if check.id in _OUTSIDE),
        *permissions.checks(needs),
    )
