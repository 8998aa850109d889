"""The preflight of a run on real hardware: `attested-kms doctor --hardware`.

It asks what a parent instance is asked, and adds what the suite needs of this one: enough CPUs and
memory, credentials of its role, every permission. Where a check of it tells more than a usual one,
it stands in its place. All checks look at the same time, and their questions are asked once
(simulator.doctor.at_once, once). Nothing is made or changed.
"""

from __future__ import annotations

from dataclasses import replace

from simulator.doctor.checks import CHECKS
from simulator.doctor.hardware import account, instance, machine, permissions
from simulator.doctor.hardware.needs import Needs
from simulator.doctor.model import Check, Role

SECONDS = 3.8
"""From doctor's begin to the end of all probes, so that its process ends within five."""
COMMAND_SECONDS = 3.0
"""For each command, so that one that hangs is killed before doctor ends."""

_OF_THE_SIMULATOR = ("harness.supervisor", "harness.vsock-loopback")
"""Nothing is supervised on hardware, and nobody dials CID 1."""
_OUTSIDE = ("kms.reachable",)
"""What comes after Region and clock."""
_TOLD_ALONE = ("driver.device",)
"""What is told whatever comes before it."""


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
