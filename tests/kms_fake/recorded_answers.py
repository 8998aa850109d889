"""Which members real KMS was recorded to give when all is well, and a key's states on its way.

From the AWS-validated snapshots of LocalStack, as in `tests.kms_fake.recorded_cases`. What KMS has
added since a snapshot was made (`KeyMaterialId` and its like, since 2025) may be there too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kms_fake import recorded as made
from tests.kms_fake.recorded import ELSEWHERE, World

Ask = Callable[[World], dict[str, Any]]


@dataclass(frozen=True)
class Answered:
    """One recorded answer: its members, and those values that are the same everywhere."""

    source: str
    date: str
    ask: Ask
    members: frozenset[str]
    values: Mapping[str, Any] = field(default_factory=dict)


def row(source: str, date: str, ask: Ask, members: str, **values: Any) -> Answered:
    """A row; `members` are those whose values are not the same everywhere."""
    return Answered(source, date, ask, frozenset(members.split()) | set(values), values)


def call(operation: str, key: Callable[[World], str] = made.plain, **members: Any) -> Ask:
    """What the operation answers with that key."""
    return lambda world: getattr(world.kms, operation)(KeyId=key(world), **members)


def _decrypt(world: World) -> dict[str, Any]:
    answer: dict[str, Any] = world.kms.decrypt(**made.decrypt()(world).members)
    return answer


def _re_encrypt(spec: str, algorithm: str) -> Ask:
    def ask(world: World) -> dict[str, Any]:
        source = world.key("ENCRYPT_DECRYPT", spec)
        destination = world.new(KeyUsage="ENCRYPT_DECRYPT", KeySpec=spec)
        blob = world.kms.encrypt(KeyId=source, Plaintext=b"m", EncryptionAlgorithm=algorithm)
        keys = {"SourceKeyId": source, "DestinationKeyId": destination}
        both = ("SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm")
        answer = world.kms.re_encrypt(
            CiphertextBlob=blob["CiphertextBlob"], **keys, **dict.fromkeys(both, algorithm)
        )
        again = {"CiphertextBlob": answer["CiphertextBlob"], "EncryptionAlgorithm": algorithm}
        assert world.kms.decrypt(KeyId=destination, **again)["Plaintext"] == b"m"
        found: dict[str, Any] = answer
        return found

    return ask


def _agree(world: World) -> dict[str, Any]:
    attempt = made.agree("KEY_AGREEMENT", "ECC_NIST_P256")(world)
    answer: dict[str, Any] = world.kms.derive_shared_secret(**attempt.members)
    return answer


def _verify(spec: str, algorithm: str) -> Ask:
    def ask(world: World) -> dict[str, Any]:
        members = {"KeyId": world.key("SIGN_VERIFY", spec), "SigningAlgorithm": algorithm}
        signature = world.kms.sign(Message=b"m", **members)["Signature"]
        found: dict[str, Any] = world.kms.verify(Message=b"m", Signature=signature, **members)
        return found

    return ask


def _verify_mac(size: int) -> Ask:
    def ask(world: World) -> dict[str, Any]:
        key_id = world.key("GENERATE_VERIFY_MAC", f"HMAC_{size}")
        members = {"KeyId": key_id, "Message": b"m", "MacAlgorithm": f"HMAC_SHA_{size}"}
        made_mac = world.kms.generate_mac(**members)["Mac"]
        found: dict[str, Any] = world.kms.verify_mac(Mac=made_mac, **members)
        return found

    return ask


def described(key: Callable[[World], str], region: str = "") -> Ask:
    """The metadata of that key."""

    def ask(world: World) -> dict[str, Any]:
        kms = world.elsewhere if region else world.kms
        found: dict[str, Any] = kms.describe_key(KeyId=key(world))["KeyMetadata"]
        return found

    return ask


def _replica(world: World) -> str:
    key_id = world.new(MultiRegion=True, Description="the primary key's")
    world.kms.replicate_key(KeyId=key_id, ReplicaRegion=ELSEWHERE)
    return key_id


def _kind(region: str, kind: str) -> Ask:
    def ask(world: World) -> dict[str, Any]:
        metadata = described(_replica, region)(world)
        assert metadata["MultiRegionConfiguration"]["MultiRegionKeyType"] == kind
        return metadata

    return ask


def _import(world: World) -> dict[str, Any]:
    members = world.import_members(world.new(Origin="EXTERNAL"), os.urandom(32))
    found: dict[str, Any] = world.kms.import_key_material(**members)
    return found


def _rotated_import(world: World) -> dict[str, Any]:
    """Rotate to new imported material; what was sealed with the old one still opens."""
    key_id = world.imported()
    blob = world.kms.encrypt(KeyId=key_id, Plaintext=b"m")["CiphertextBlob"]
    before = world.kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]
    new = world.import_members(key_id, os.urandom(32), ImportType="NEW_KEY_MATERIAL")
    pending = world.kms.import_key_material(**new)["KeyMaterialId"]
    still = world.kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]
    answer: dict[str, Any] = world.kms.rotate_key_on_demand(KeyId=key_id)
    after = world.kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]
    assert (still, after) == (before, pending)
    opened = world.kms.decrypt(CiphertextBlob=blob)
    assert (opened["Plaintext"], opened["KeyMaterialId"]) == (b"m", before)
    return answer


_P256 = "ECC_NIST_P256"
_METADATA = "AWSAccountId Arn CreationDate Description KeyId"
_SYMMETRIC = {
    "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
    "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
    "KeyManager": "CUSTOMER",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "KeyUsage": "ENCRYPT_DECRYPT",
    "MultiRegion": False,
    "Origin": "AWS_KMS",
}
_ENABLED = {"Enabled": True, "KeyState": "Enabled"}
_PENDING = {"Enabled": False, "KeyState": "PendingImport"}
_FOREVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
_EXTERNAL = {**_SYMMETRIC, "Origin": "EXTERNAL"}
_MANY_REGIONS = {**_SYMMETRIC, "MultiRegion": True, **_ENABLED}
_CURRENT = f"{_METADATA} CurrentKeyMaterialId"
_IMPORT = "TestKMS::test_import_key_symmetric"
_GENERATE = "TestKMSGenerateKeys::test_generate_data_key"
_UPDATES = "TestKMS::test_rotate_key_on_demand_updates_current_key_material_for_external_keys"
_PAIR = "KeyId PrivateKeyCiphertextBlob PublicKey"
_AES: dict[str, Any] = {"KeySpec": "AES_256"}
_RSA: dict[str, Any] = {"KeyPairSpec": "RSA_2048"}
_MAY_23 = "11-05-2023"
_NOVEMBER_25 = "10-11-2025"
_WRAPPED: dict[str, Any] = {
    "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
    "WrappingKeySpec": "RSA_2048",
}


def _external_p256(world: World) -> str:
    return world.new(Origin="EXTERNAL", KeySpec=_P256, KeyUsage="SIGN_VERIFY")


ANSWERS = (
    row(f"{_GENERATE}/generate-data-key-result", _MAY_23, call("generate_data_key", **_AES),
        "CiphertextBlob KeyId Plaintext"),
    row(f"{_GENERATE}_without_plaintext/generate-data-key-without-plaintext", _MAY_23,
        call("generate_data_key_without_plaintext", **_AES), "CiphertextBlob KeyId"),
    row(f"{_GENERATE}_pair/generate-data-key-pair", _MAY_23,
        call("generate_data_key_pair", **_RSA), f"{_PAIR} PrivateKeyPlaintext", **_RSA),
    row(f"{_GENERATE}_pair_without_plaintext/generate-data-key-pair-without-plaintext", _MAY_23,
        call("generate_data_key_pair_without_plaintext", **_RSA), _PAIR, **_RSA),
    row("TestKMS::test_encrypt_decrypt_encryption_context/encrypt_response", "22-09-2025",
        call("encrypt", Plaintext=b"m"), "CiphertextBlob KeyId",
        EncryptionAlgorithm="SYMMETRIC_DEFAULT"),
    row("TestKMS::test_encrypt_decrypt_encryption_context/decrypt_response_with_encryption_context",
        "22-09-2025", _decrypt, "KeyId KeyMaterialId Plaintext",
        EncryptionAlgorithm="SYMMETRIC_DEFAULT"),
    *(
        row(f"TestKMS::test_re_encrypt[{spec}-{algorithm}]/test_re_encrypt", "09-06-2025",
            _re_encrypt(spec, algorithm), "CiphertextBlob KeyId SourceKeyId",
            SourceEncryptionAlgorithm=algorithm, DestinationEncryptionAlgorithm=algorithm)
        for spec, algorithm in (
            ("SYMMETRIC_DEFAULT", "SYMMETRIC_DEFAULT"), ("RSA_2048", "RSAES_OAEP_SHA_256"),
        )
    ),
    row("TestKMS::test_derive_shared_secret/response", "25-12-2024", _agree,
        "KeyId SharedSecret", KeyAgreementAlgorithm="ECDH", KeyOrigin="AWS_KMS"),
    *(
        row(f"TestKMS::test_sign_verify[{spec}-{algorithm}]/verification", "13-04-2023",
            _verify(spec, algorithm), "KeyId", SignatureValid=True, SigningAlgorithm=algorithm)
        for spec, algorithm in (
            ("RSA_2048", "RSASSA_PSS_SHA_256"), ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512"),
            ("ECC_NIST_P384", "ECDSA_SHA_384"),
        )
    ),
    *(
        row(f"TestKMS::test_generate_and_verify_mac[HMAC_{size}-HMAC_SHA_{size}]/verify-mac",
            "07-11-2023", _verify_mac(size), "KeyId", MacValid=True,
            MacAlgorithm=f"HMAC_SHA_{size}")
        for size in (224, 256, 384, 512)
    ),
    row("TestKMS::test_create_key/describe-key", _NOVEMBER_25, described(made.plain), _CURRENT,
        **_SYMMETRIC, **_ENABLED),
    row("TestKMS::test_hmac_create_key/describe-key", _NOVEMBER_25,
        described(made.of("GENERATE_VERIFY_MAC", "HMAC_256")), _METADATA, **_ENABLED,
        CustomerMasterKeySpec="HMAC_256", KeyManager="CUSTOMER", KeySpec="HMAC_256",
        KeyUsage="GENERATE_VERIFY_MAC", MacAlgorithms=["HMAC_SHA_256"], MultiRegion=False,
        Origin="AWS_KMS"),
    row("TestKMS::test_replicate_key/describe-key-from-region", _NOVEMBER_25,
        _kind("", "PRIMARY"), f"{_CURRENT} MultiRegionConfiguration", **_MANY_REGIONS),
    row("TestKMS::test_replicate_key/describe-replicated-key", _NOVEMBER_25,
        _kind(ELSEWHERE, "REPLICA"), f"{_CURRENT} MultiRegionConfiguration", **_MANY_REGIONS,
        Description=""),
    row(f"{_IMPORT}/describe-key-before-import", _NOVEMBER_25, described(made.external),
        _METADATA, **_EXTERNAL, **_PENDING),
    row(f"{_IMPORT}/describe-key-after-import", _NOVEMBER_25, described(World.imported),
        _CURRENT, **_EXTERNAL, **_ENABLED, **_FOREVER),
    row(f"{_IMPORT}/describe-key-after-deleted-import", _NOVEMBER_25,
        described(made.deleted_import), _CURRENT, **_EXTERNAL, **_PENDING),
    row("TestKMS::test_import_key_asymmetric/describe-key-before-import", _NOVEMBER_25,
        described(_external_p256), _METADATA, **_PENDING, CustomerMasterKeySpec=_P256,
        KeyManager="CUSTOMER", KeySpec=_P256, KeyUsage="SIGN_VERIFY", MultiRegion=False,
        Origin="EXTERNAL", SigningAlgorithms=["ECDSA_SHA_256"]),
    row(f"{_UPDATES}/get-import-parameters-response", "09-11-2025",
        call("get_parameters_for_import", made.external, **_WRAPPED),
        "ImportToken KeyId ParametersValidTo PublicKey"),
    row(f"{_UPDATES}/import-key-material-response", "09-11-2025", _import, "KeyId KeyMaterialId"),
    row(f"{_UPDATES}/rotate-key-on-demand-response", "09-11-2025", _rotated_import, "KeyId"),
)  # fmt: skip
