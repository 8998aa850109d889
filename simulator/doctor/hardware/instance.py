"""Preflight: is this an instance that can have enclaves, and was it launched for them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial

from kms_fake.evidence import Evidence
from simulator.doctor.hardware.instance_types import Support, support
from simulator.doctor.hardware.questions import NotAnInstance, Refused, asked, instance
from simulator.doctor.host import Host, NotCalled, Unreachable
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import short
from simulator.machine.driver import DEVICE

_Check = partial(Check, roles=frozenset({Role.PARENT}), option="--hardware")
_GUIDE = "AWS Nitro Enclaves User Guide"
_TAKE = (
    "Launch another, such as m6i.xlarge or m6g.large, with --enclave-options Enabled=true; a "
    "stopped instance can be given another type"
)
_STOP = (
    "Stop it, then aws ec2 modify-instance-attribute --instance-id {name} --enclave-options "
    "Enabled=true, and start it; or launch another with --enclave-options Enabled=true, without "
    "hibernation"
)


def _type(host: Host) -> Iterator[Finding]:
    try:
        this = instance(host)
    except NotAnInstance as error:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"It is not known to be an EC2 instance: {error}",
            fix=f"Run it on one. {error.fix}",
        )
        return
    name, known = short(this.instance_type), support(this.instance_type)
    if known is Support.YES:
        yield Finding(
            outcome=Outcome.OK,
            found=f"{short(this.instance_id)} is {name}, which can have enclaves",
        )
    elif known is Support.UNKNOWN:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"{short(this.instance_id)} is {name}, which is not in the table of the guide",
            fix="Ask EC2, from where that is allowed: aws ec2 describe-instance-types "
            f"--instance-types {shlex.quote(name)} --query InstanceTypes[].NitroEnclavesSupport",
        )
    else:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{short(this.instance_id)} is {name}: {known.value}",
            fix=_TAKE,
        )


def _options(host: Host) -> Iterator[Finding]:
    try:
        this = instance(host)
        enabled = _enabled(host, this.instance_id)
    except NotAnInstance:
        yield _by_device(host, "it is not known which instance this is", "ID")
        return
    except (Refused, NotCalled, Unreachable) as error:
        yield _by_device(host, short(str(error)), short(this.instance_id))
        return
    name = short(this.instance_id)
    if enabled is None:
        yield _by_device(host, "EC2 does not tell it", name)
    elif enabled:
        yield Finding(outcome=Outcome.OK, found=f"EnclaveOptions of {name} are Enabled=true")
    else:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"EnclaveOptions of {name} are Enabled=false",
            fix=_STOP.format(name=name),
        )


def _enabled(host: Host, instance_id: str) -> bool | None:
    """None where the answer does not have it. Raises what `asked` does."""
    members = {"InstanceIds": [instance_id]}
    match asked(host, "ec2", "DescribeInstances", members).members:
        case {"Reservations": [{"Instances": [{"EnclaveOptions": {"Enabled": bool(enabled)}}]}]}:
            return enabled
    return None


def _by_device(host: Host, why: str, name: str) -> Finding:
    """The device is there only where enclaves are enabled."""
    if host.look(DEVICE) is not None:
        return Finding(
            outcome=Outcome.OK, found=f"{DEVICE} is there, so they are enabled (not asked: {why})"
        )
    return Finding(
        outcome=Outcome.ERROR,
        found=f"EC2 cannot be asked ({why}), and there is no {DEVICE}, which an instance with "
        "enclaves enabled has",
        fix=_STOP.format(name=name),
    )


CHECKS = (
    _Check(
        id="hardware.instance-type",
        title="This is an EC2 instance of a type that can have enclaves",
        why="An enclave gets whole cores, and the parent keeps one: types with one core have none "
        "to give, and families without the Nitro system never had. Launching such a type with "
        "--enclave-options Enabled=true is refused",
        probe=_type,
        evidence=Evidence.DOCUMENTED,
        source=f'{_GUIDE}, Requirements; "Instance identity documents for Amazon EC2 instances" '
        "(Amazon EC2 User Guide)",
        replaces=("imds.reachable",),
    ),
    _Check(
        id="hardware.enclave-options",
        title="The instance was launched with EnclaveOptions Enabled=true",
        why=f"Without it there is no {DEVICE}, and whatever is installed: run-enclave says E19",
        probe=_options,
        evidence=Evidence.DOCUMENTED,
        source=f'{_GUIDE}, Launch the parent instance; "EnclaveOptions" (Amazon EC2 API '
        "Reference); aws-nitro-enclaves-cli, issues 369 and 644 (reported)",
        explains=("host.no-device",),
    ),
)
"""In the order in which to mend."""
