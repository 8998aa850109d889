"""The registry of condition keys, and the actions, against what AWS publishes."""

from __future__ import annotations

import botocore.loaders
import pytest

from kms_fake.actions import ACTIONS, KEY_OPERATIONS, OPERATIONS
from kms_fake.condition_keys import (
    ATTESTED_OPERATIONS,
    CONDITION_KEYS,
    KEY_FAMILIES,
    KeyType,
    condition_key,
)
from kms_fake.evidence import Evidence


def service_operations() -> dict[str, set[str]]:
    """The operations of KMS's service model, each with the members of its request."""
    model = botocore.loaders.Loader().load_service_model("kms", "service-2")
    return {
        name: set(model["shapes"][operation["input"]["shape"]]["members"])
        for name, operation in model["operations"].items()
    }


def test_every_operation_of_the_service_model_is_an_action() -> None:
    split = {"ReEncrypt"}  # Asks for ReEncryptFrom and ReEncryptTo.
    newer = {"Encapsulate", "Decapsulate", "GetKeyLastUsage"}  # Later than the oldest botocore.
    without_operation = {"ReEncryptFrom", "ReEncryptTo", "SynchronizeMultiRegionKey"}
    found = set(service_operations())
    assert found - split <= OPERATIONS
    assert OPERATIONS - found <= without_operation | newer
    assert {f"kms:{name}" for name in OPERATIONS} == ACTIONS


def test_operations_on_keys_name_a_key() -> None:
    for name, members in service_operations().items():
        if name in KEY_OPERATIONS and not name.endswith("Alias"):
            assert "KeyId" in members
        elif name not in {"ReEncrypt", "ListAliases"}:
            assert "KeyId" not in members or name.endswith("Alias")


def test_attested_operations_take_a_recipient() -> None:
    recipients = {name for name, members in service_operations().items() if "Recipient" in members}
    assert recipients == ATTESTED_OPERATIONS


def test_names_are_unique_and_sourced() -> None:
    keys = (*CONDITION_KEYS, *(key for _, key in KEY_FAMILIES))
    assert len({key.name.lower() for key in keys}) == len(keys)
    for key in keys:
        assert key.source
        assert key.evidence is not Evidence.RECORDED
        assert key.operations <= OPERATIONS
        assert key.operations
        assert key.can_be_variable is not key.multivalued


@pytest.mark.parametrize(
    ("name", "type_", "multivalued"),
    [
        ("kms:EncryptionContextKeys", KeyType.STRING, True),
        ("kms:encryptioncontext:Any:Name", KeyType.STRING, False),
        ("KMS:MultiRegion", KeyType.BOOLEAN, False),
        ("kms:ValidTo", KeyType.DATE, False),
        ("kms:GrantOperations", KeyType.STRING, True),
        ("aws:PrincipalTag/team", KeyType.STRING, False),
        ("aws:SourceIp", KeyType.ADDRESS, False),
        ("aws:PrincipalOrgPaths", KeyType.STRING, True),
        ("aws:EpochTime", KeyType.EPOCH, False),
        ("kms:RecipientAttestation:NitroTPMPCR23", KeyType.STRING, False),
    ],
)
def test_known_keys(name: str, type_: KeyType, multivalued: bool) -> None:
    key = condition_key(name)
    assert key is not None
    assert (key.type, key.multivalued) == (type_, multivalued)


@pytest.mark.parametrize(
    "name",
    [
        "kms:RecipientAttestation",
        "kms:RecipientAttestation:PCR32",
        "kms:RecipientAttestation:PCR00",
        "kms:RecipientAttestation:NitroTPMPCR24",
        "kms:EncryptionContext",
        "kms:EncryptionContext:",
        "aws:PrincipalTag",
        "aws:PrincipalTag/",
        "aws:Principal",
        "PrincipalArn",
        "",
    ],
)
def test_what_is_no_key(name: str) -> None:
    assert condition_key(name) is None
