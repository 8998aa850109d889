"""Checks of the driver: is it loaded, has it its device, may whoever asks open it.

Source: Linux, drivers/virt/nitro_enclaves (the device appears when the driver meets its PCI device,
which only an instance with EnclaveOptions has); SPECS/aws-nitro-enclaves-cli.spec (the group).
"""

from __future__ import annotations

from collections.abc import Iterator

from kms_fake.evidence import Evidence
from simulator.doctor.host import Host, HostKind, PathKind
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import joining, members, text_of, user
from simulator.machine.driver import DEVICE, POOL_FILE

MODULE = "/sys/module/nitro_enclaves"
PCI = "/sys/bus/pci/devices"

_PARENT = frozenset({Role.PARENT})
_GROUP = "ne"
_VENDOR, _PRODUCT = "0x1d0f", "0xe4c1"
_ENABLE = (
    "Enclaves are not enabled for this instance: stop it and `aws ec2 modify-instance-attribute "
    "--instance-id ID --enclave-options Enabled=true`, or launch another with `--enclave-options "
    "Enabled=true`, of a type that can have enclaves and without hibernation"
)


def _loaded(host: Host) -> Iterator[Finding]:
    if host.look(MODULE) is None:
        yield _not_loaded(host)
    elif host.look(POOL_FILE) is None:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"The module is loaded and has no {POOL_FILE}: its kernel part is another one",
            fix="Load the kernel's own module",
            command="modprobe -r nitro_enclaves && modprobe nitro_enclaves",
        )
    else:
        yield Finding(outcome=Outcome.OK, found=f"{MODULE} is there")


def _not_loaded(host: Host) -> Finding:
    has_hardware = _has_hardware(host)
    if has_hardware is False:
        return Finding(
            outcome=Outcome.ERROR,
            found=f"There is no {MODULE}, and among the PCI devices none of Nitro Enclaves",
            fix=_ENABLE,
        )
    fix = "Load it"
    if has_hardware is None:
        fix += f". If {DEVICE} does not appear then: {_ENABLE}"
    return Finding(
        outcome=Outcome.ERROR,
        found=f"There is no {MODULE}: the driver is not loaded",
        fix=fix,
        command="modprobe nitro_enclaves",
    )


def _has_hardware(host: Host) -> bool | None:
    """Whether the PCI device is there; None where the kernel shows no PCI devices."""
    if host.look(PCI) is not PathKind.FOLDER:
        return None
    for name in host.entries(PCI):
        ids = [
            (text_of(host, f"{PCI}/{name}/{part}") or "").strip() for part in ("vendor", "device")
        ]
        if ids == [_VENDOR, _PRODUCT]:
            return True
    return False


def _device(host: Host) -> Iterator[Finding]:
    kind = host.look(DEVICE)
    # On a simulated instance a file stands for it.
    is_device = kind is PathKind.DEVICE or host.kind is HostKind.SIMULATED
    if kind is None:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"There is no {DEVICE}: the driver has met no device",
            fix=_ENABLE,
        )
    elif not is_device:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{DEVICE} is a {kind.value} and no device: something has written there",
            fix="Move it away, and load the driver anew: it makes its device",
        )
    else:
        yield _permission(host)


def _permission(host: Host) -> Finding:
    name, group = user(host), members(host, _GROUP)
    is_member = name is not None and group is not None and name in group
    if host.may_write(DEVICE):
        only_root = host.user_id == 0 and name is not None and not is_member
        return Finding(
            outcome=Outcome.NOTE if only_root else Outcome.OK,
            found=f"{name} is not in the group {_GROUP}: nitro-cli runs enclaves for {name} by "
            "sudo only"
            if only_root
            else f"{DEVICE} is there, and may be opened",
        )
    if is_member:
        return Finding(
            outcome=Outcome.ERROR,
            found=f"{DEVICE} may not be opened, though {name} is in the group {_GROUP}",
            fix="Log out and in again: groups count from the next login on; if that does not help, "
            "the device does not belong to the group (ls -l)",
            command=f"chgrp {_GROUP} {DEVICE} && chmod 660 {DEVICE}",
        )
    if group is None:
        found = f"{DEVICE} may not be opened, and there is no group {_GROUP}, which the package has"
        return Finding(outcome=Outcome.ERROR, found=found, fix="Run nitro-cli as root, by sudo")
    found = f"{DEVICE} may not be opened: {name or 'whoever asks'} is not in the group {_GROUP}"
    fix, command = joining(_GROUP, name)
    return Finding(outcome=Outcome.ERROR, found=found, fix=fix, command=command)


CHECKS = (
    Check(
        id="driver.loaded",
        title="The driver nitro_enclaves is loaded",
        why="Without it the allocator ends with `The CPU pool file is missing`, and run-enclave "
        "with E19. Amazon Linux loads it by itself where the instance has been launched with "
        "EnclaveOptions Enabled=true",
        roles=_PARENT,
        probe=_loaded,
        evidence=Evidence.REPORTED,
        source="aws-nitro-enclaves-cli, issues 369 and 644; Linux, drivers/virt/nitro_enclaves",
        explains=("host.allocator-driver", "host.no-device"),
    ),
    Check(
        id="driver.device",
        title=f"{DEVICE} is there, and may be opened",
        why="run-enclave opens it: E19 File operation failure otherwise. It belongs to root and to "
        "the group ne (0660)",
        roles=_PARENT,
        probe=_device,
        evidence=Evidence.REPORTED,
        source="aws-nitro-enclaves-cli, issues 369 and 644, and its 99-nitro_enclaves.rules; AWS "
        "Nitro Enclaves User Guide, Installing the Nitro CLI (usermod -aG ne)",
        needs=("driver.loaded",),
        explains=("host.no-device",),
    ),
)
"""In the order in which to mend."""
