"""KeyMetadata as KMS gives it, from moto's, which leaves some of it out and has some of it wrong.

Members and values: "KeyMetadata", AWS KMS API Reference, and AWS-validated snapshots of LocalStack
(test_kms.snapshot.json). The state is that by which this KMS refuses, so that what a user reads is
what holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kms_fake.keys import KmsKey

_LISTS = ("EncryptionAlgorithms", "SigningAlgorithms", "MacAlgorithms", "KeyAgreementAlgorithms")


def corrected(metadata: Mapping[str, Any], key: KmsKey) -> dict[str, Any]:
    """moto's KeyMetadata of `key`, as KMS would give it."""
    kept = {
        name: value
        for name, value in metadata.items()
        if value is not None and name not in _LISTS and name != "MultiRegionConfiguration"
    }
    return {
        **kept,
        "Description": key.description,
        "Enabled": key.state == "Enabled",
        "KeyState": key.state,
        "KeyUsage": key.usage,
        "MultiRegion": bool(metadata["MultiRegion"]),
        **key.algorithms,
        **_material(key),
        **_regions(metadata, key),
    }


def _material(key: KmsKey) -> dict[str, Any]:
    """What is said of the material: its id for symmetric keys, its expiration if imported."""
    found = {}
    if key.is_symmetric and (key.origin == "AWS_KMS" or key.history.ever_imported):
        found["CurrentKeyMaterialId"] = key.material_id
    if key.history.imported:
        found["ExpirationModel"] = "KEY_MATERIAL_DOES_NOT_EXPIRE"
    return found


def _regions(metadata: Mapping[str, Any], key: KmsKey) -> dict[str, Any]:
    """MultiRegionConfiguration, whose type moto shares between a primary key and its replicas."""
    configuration = metadata.get("MultiRegionConfiguration")
    if configuration is None:
        return {}
    kind = "PRIMARY" if key.is_primary else "REPLICA"
    return {"MultiRegionConfiguration": {**configuration, "MultiRegionKeyType": kind}}
