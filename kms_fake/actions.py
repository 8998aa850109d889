"""The actions of KMS that policies can name.

Committed, so that no service model is read at run time. Source: "Actions, resources, and condition
keys for AWS Key Management Service" (Service Authorization Reference), beside the service model of
KMS (botocore, data/kms/2014-11-01/service-2.json). They are the operations, except that ReEncrypt
asks for two permissions (kms:ReEncryptFrom of one key, kms:ReEncryptTo of the other), and that
kms:SynchronizeMultiRegionKey is a permission without an operation.
"""

from __future__ import annotations

ENCRYPTION_CONTEXT_OPERATIONS = frozenset(
    {
        *("Decrypt", "Encrypt", "ReEncryptFrom", "ReEncryptTo"),
        *("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
        *("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"),
    }
)
"""The cryptographic operations that take an encryption context."""

CRYPTOGRAPHIC_OPERATIONS = ENCRYPTION_CONTEXT_OPERATIONS | {
    *("DeriveSharedSecret", "Encapsulate", "Decapsulate"),
    *("GenerateMac", "VerifyMac", "Sign", "Verify"),
}
"""The cryptographic operations that use a key."""

KEY_OPERATIONS = CRYPTOGRAPHIC_OPERATIONS | {
    *("CancelKeyDeletion", "CreateAlias", "CreateGrant", "DeleteAlias"),
    *("DeleteImportedKeyMaterial", "DescribeKey", "DisableKey", "DisableKeyRotation", "EnableKey"),
    *("EnableKeyRotation", "GetKeyLastUsage", "GetKeyPolicy", "GetKeyRotationStatus"),
    *("GetParametersForImport", "GetPublicKey", "ImportKeyMaterial", "ListGrants"),
    *("ListKeyPolicies", "ListKeyRotations", "ListResourceTags", "PutKeyPolicy", "ReplicateKey"),
    *("RetireGrant", "RevokeGrant", "RotateKeyOnDemand", "ScheduleKeyDeletion"),
    *("SynchronizeMultiRegionKey", "TagResource", "UntagResource", "UpdateAlias"),
    *("UpdateKeyDescription", "UpdatePrimaryRegion"),
}
"""What is authorized for a particular key, so that its key policy is asked."""

CUSTOM_KEY_STORE_OPERATIONS = frozenset(
    {
        *("ConnectCustomKeyStore", "CreateCustomKeyStore", "DeleteCustomKeyStore"),
        *("DescribeCustomKeyStores", "DisconnectCustomKeyStore", "UpdateCustomKeyStore"),
    }
)

OPERATIONS = (
    KEY_OPERATIONS
    | CUSTOM_KEY_STORE_OPERATIONS
    | {"CreateKey", "GenerateRandom", "ListAliases", "ListKeys", "ListRetirableGrants"}
)
"""All of them, without the prefix."""

ACTIONS = frozenset(f"kms:{operation}" for operation in OPERATIONS)
"""The actions that a parsed policy can be asked about, spelt as AWS spells them."""
