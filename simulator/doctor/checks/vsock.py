"""Whether the kernel has vsock, the only way between a parent and its enclaves.

Nothing is dialled: a connection to a CID that nobody has leaves a virtual machine. A simulated
machine has its fabric instead (docs/reference/machine.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from kms_fake.evidence import Evidence
from simulator.doctor.host import Host, HostKind
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.surroundings import is_container

_DEVICE = "/dev/vsock"
_CORE = "/sys/module/vsock"
_LOAD = "modprobe vmw_vsock_virtio_transport"


def _probe(host: Host) -> Iterator[Finding]:
    if host.kind is HostKind.SIMULATED:
        yield Finding(outcome=Outcome.OK, found="A simulated machine has its fabric for vsock")
    elif host.look(_DEVICE) is None:
        yield _no_device(host)
    elif host.user_id != 0 and not host.may_write(_DEVICE):
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"This user may not open {_DEVICE}: programs that ask for their own CID end "
            "with EACCES; sockets work",
            fix="Give everybody the device, or run the host program as root",
            command=f"chmod 0666 {_DEVICE}",
        )
    else:
        yield Finding(outcome=Outcome.OK, found=f"The kernel has vsock: {_DEVICE} is there")


def _no_device(host: Host) -> Finding:
    if is_container(host):
        return Finding(
            outcome=Outcome.WARNING,
            found=f"This container has no {_DEVICE}; whether the machine below has vsock is not "
            "seen from here",
            fix=f"Start it with `docker run --device {_DEVICE}`, and where Docker's seccomp "
            "profile refuses vsock sockets with --security-opt seccomp=unconfined",
        )
    if host.look(_CORE) is not None:
        return Finding(
            outcome=Outcome.WARNING,
            found=f"The module vsock is loaded, but there is no {_DEVICE}: programs that ask for "
            "their own CID end with ENOENT; sockets work",
            fix="Let udev make the device",
            command="udevadm trigger --name-match=vsock",
        )
    return Finding(
        outcome=Outcome.WARNING,
        found=f"There is neither {_DEVICE} nor the module vsock; the kernel loads it with the "
        "first vsock socket, if it has it",
        fix="Load the transport of virtual machines; if the kernel has none, take that of the "
        "distribution",
        command=_LOAD,
    )


CHECKS = (
    Check(
        id="vsock.device",
        title="The kernel has vsock",
        why="Host program and enclave talk over vsock, and nitro-cli waits at a vsock port for an "
        "enclave's first word: without it `Address family not supported by protocol` (EAFNOSUPPORT)"
        ", and E36 for the enclave",
        roles=frozenset({Role.PARENT}),
        probe=_probe,
        evidence=Evidence.DOCUMENTED,
        source="Linux, Documentation/virt/ne_overview.rst: the parent has a virtio-pci vsock "
        "device; aws-nitro-enclaves-samples, issue 4: the modules vsock and "
        "vmw_vsock_virtio_transport on a parent (reported); vsock(7)",
        explains=("host.boot-failure",),
    ),
)
