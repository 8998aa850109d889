"""Who an enclave is, and which identities no enclave could have."""

import dataclasses
import hashlib
from typing import Any
from unittest.mock import Mock

import pytest

from nsm_fake import (
    EnclaveIdentity,
    pcr_of_instance_id,
    pcr_of_role_arn,
    pcrs_of_label,
    system_clock,
)

ROLE = "arn:aws:iam::123456789012:role/Web"
ZERO = bytes(48)


def test_the_module_id_is_the_instance_and_the_time(clock: Mock) -> None:
    identity = EnclaveIdentity.create(clock=clock, instance_id="i-0123456789abcdef0")
    assert identity.module_id.startswith(f"i-0123456789abcdef0-enc{clock():012x}")
    assert len(identity.module_id) == 39
    assert f"{identity.enclave_number:016x}" == identity.module_id[-16:]


def test_the_module_id_is_padded(clock: Mock) -> None:
    """nitro-cli prints the same number unpadded; documents do not."""
    clock.return_value = 5
    assert "-enc000000000005" in EnclaveIdentity.create(clock=clock).module_id


def test_the_enclave_id_is_the_module_id_unpadded(clock: Mock) -> None:
    """Both forms of one enclave: aws-nitro-enclaves-cli prints the number with {:x}."""
    identity = dataclasses.replace(
        EnclaveIdentity.create(clock=clock, instance_id="i-0123456789abcdef0"),
        module_id="i-0123456789abcdef0-enc017ad2edcbfdad4b",
    )
    assert identity.enclave_id == "i-0123456789abcdef0-enc17ad2edcbfdad4b"


def test_what_is_not_given_has_a_default(clock: Mock) -> None:
    identity = EnclaveIdentity.create(clock=clock)
    assert identity.instance_id.startswith("i-0")
    assert identity.region == "us-east-1"
    assert (identity.pcr0, identity.pcr1, identity.pcr2) == pcrs_of_label("attested-kms")
    assert (identity.role_arn, identity.pcr8, identity.debug_mode) == (None, ZERO, False)


def test_given_measurements_replace_those_of_the_label(clock: Mock) -> None:
    identity = EnclaveIdentity.create(clock=clock, label="app", pcr1=b"\x01" * 48)
    pcr0, _, pcr2 = pcrs_of_label("app")
    assert (identity.pcr0, identity.pcr1, identity.pcr2) == (pcr0, b"\x01" * 48, pcr2)


def test_pcr8_of_a_signed_image(clock: Mock) -> None:
    pcr8 = hashlib.sha384(b"certificate").digest()
    assert EnclaveIdentity.create(clock=clock, pcr8=pcr8).boot_pcrs()[8] == pcr8


def test_a_seed_repeats_what_is_random(clock: Mock) -> None:
    first = EnclaveIdentity.create(clock=clock, seed=b"seed")
    assert EnclaveIdentity.create(clock=clock, seed=b"seed") == first
    assert EnclaveIdentity.create(clock=clock, seed=b"deed").instance_id != first.instance_id
    fresh = {EnclaveIdentity.create(clock=clock).module_id for _ in range(3)}
    assert len(fresh) == 3


def test_registers_at_boot(clock: Mock) -> None:
    identity = EnclaveIdentity.create(clock=clock, role_arn=ROLE)
    pcr0, pcr1, pcr2 = pcrs_of_label("attested-kms")
    assert identity.boot_pcrs() == {
        0: pcr0,
        1: pcr1,
        2: pcr2,
        3: pcr_of_role_arn(ROLE),
        4: pcr_of_instance_id(identity.instance_id),
        8: ZERO,
    }


def test_without_a_role_pcr3_is_not_measured(clock: Mock) -> None:
    assert 3 not in EnclaveIdentity.create(clock=clock).boot_pcrs()


def test_debug_mode_zeroes_0_1_2_and_8_and_nothing_else(clock: Mock) -> None:
    production = dataclasses.replace(
        EnclaveIdentity.create(clock=clock, role_arn=ROLE),
        pcr8=hashlib.sha384(b"certificate").digest(),
    )
    debug = dataclasses.replace(production, debug_mode=True)
    measured, hidden = production.boot_pcrs(), debug.boot_pcrs()
    assert ZERO not in measured.values()
    assert hidden == measured | dict.fromkeys((0, 1, 2, 8), ZERO)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pcr0": bytes(32)}, "PCR0 has 32 bytes.*give 48 bytes"),
        ({"pcr1": b""}, "PCR1 has 0 bytes"),
        ({"pcr8": bytes(20)}, "PCR8 has 20 bytes"),
        ({"pcr2": bytes(96)}, "PCR2 has 96 bytes.*bytes.fromhex"),
        ({"instance_id": "i-123"}, "'i-123' is not an EC2 instance id"),
        ({"role_arn": "arn:aws:sts::123456789012:assumed-role/Web/x"}, "an assumed-role ARN"),
        ({"role_arn": "arn:aws:iam::123456789012:instance-profile/Web"}, "instance profile's ARN"),
        ({"role_arn": ""}, "not the ARN of an IAM role"),
        ({"region": "us-east"}, "not an AWS region.*'us-east-1'"),
        ({"region": "US-EAST-1"}, "not an AWS region"),
        ({"region": "us-averyveryverylong-1"}, "at most 20 characters"),
        ({"seed": b""}, "The seed is empty"),
    ],
)
def test_impossible_identities_are_refused(
    clock: Mock, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EnclaveIdentity.create(clock=clock, **given)


@pytest.mark.parametrize("now", [-1, 1 << 48])
def test_a_clock_in_another_unit_is_refused(clock: Mock, now: int) -> None:
    clock.return_value = now
    with pytest.raises(ValueError, match=r"does not fit into a module id.*milliseconds"):
        EnclaveIdentity.create(clock=clock)


@pytest.mark.parametrize(
    "module_id",
    [
        "i-0123456789abcdef0-enc17ad2edcbfdad4b",
        "i-0123456789abcdef1-enc017ad2edcbfdad4b",
        "i-0123456789abcdef0",
    ],
)
def test_a_module_id_that_is_not_the_instances_is_refused(clock: Mock, module_id: str) -> None:
    identity = EnclaveIdentity.create(clock=clock, instance_id="i-0123456789abcdef0")
    with pytest.raises(ValueError, match="not a module id of the instance"):
        dataclasses.replace(identity, module_id=module_id)


@pytest.mark.parametrize("region", ["eu-central-1", "ap-southeast-7", "us-gov-west-1"])
def test_regions_of_other_lengths(clock: Mock, region: str) -> None:
    assert EnclaveIdentity.create(clock=clock, region=region).region == region


def test_the_system_clock_counts_milliseconds() -> None:
    identity = EnclaveIdentity.create(clock=system_clock)
    assert 0 <= system_clock() - int(identity.module_id[-16:-4], 16) < 60_000
