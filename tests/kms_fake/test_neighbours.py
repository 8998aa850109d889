"""Each row of the neighbours' table refuses what it should; arbitrary requests break nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends

from kms_fake.errors import KmsRefusal
from kms_fake.fake import DEFAULT_REGION
from kms_fake.keys import KmsKey, MotoKeys
from kms_fake.neighbour_answers import ANSWERS
from kms_fake.neighbour_checks import MOST_ROTATIONS
from kms_fake.neighbour_request import NeighbourRequest
from kms_fake.neighbours import NEIGHBOUR_RULES, refusal
from kms_fake.request_model import request_shape
from kms_fake.wire import encode_answer
from tests.kms_fake.recorded import ABSENT, tags
from tests.kms_fake.world import ROLE, moto_key, sealed

Members = dict[str, Any]

P256 = ("KEY_AGREEMENT", "ECC_NIST_P256")
RSA = ("ENCRYPT_DECRYPT", "RSA_2048")
SIGNING = ("SIGN_VERIFY", "RSA_2048")
MAC = ("GENERATE_VERIFY_MAC", "HMAC_256")
SHA256 = "RSASSA_PSS_SHA_256"
OAEP = "RSAES_OAEP_SHA_256"
SOURCE = "arn:aws:sns:us-east-1:111122223333:topic"
FOREIGN = ABSENT.encode() + bytes(60)


def key(usage: str = "ENCRYPT_DECRYPT", spec: str = "SYMMETRIC_DEFAULT", **more: str) -> str:
    return moto_key("neighbours", usage=usage, spec=spec, **more)


def view(key_id: str) -> KmsKey:
    found = MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION).named(key_id)
    assert isinstance(found, KmsKey)
    return found


def p384() -> bytes:
    made = ec.generate_private_key(ec.SECP384R1()).public_key()
    return made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def p256() -> bytes:
    made = ec.generate_private_key(ec.SECP256R1()).public_key()
    return made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def rotated_out() -> Members:
    key_id = moto_key("rotated out")
    view(key_id).history.rotations = MOST_ROTATIONS
    return {"KeyId": key_id}


def imported() -> Members:
    key_id = moto_key("imported", origin="EXTERNAL")
    view(key_id).import_material(bytes(32))
    return {"KeyId": key_id}


def single_region() -> Members:
    return {"KeyId": key(), "ReplicaRegion": "us-west-2"}


def replica() -> Members:
    backend = kms_backends[DEFAULT_ACCOUNT_ID]
    primary = backend["us-west-2"].create_key(None, "", "", "", None, multi_region=True)
    made = backend["us-west-2"].replicate_key(primary.id, DEFAULT_REGION)
    return {"KeyId": made.id}


def re_encrypt(**changes: Any) -> Members:
    return {"CiphertextBlob": sealed(key()), "DestinationKeyId": key(), **changes}


def signed(**changes: Any) -> Members:
    return {"KeyId": key(*SIGNING), "Message": b"m", "SigningAlgorithm": SHA256, **changes}


def maced(**changes: Any) -> Members:
    return {"KeyId": key(*MAC), "Message": b"m", "MacAlgorithm": "HMAC_SHA_256", **changes}


def agreed(**changes: Any) -> Members:
    common = {"KeyId": key(*P256), "KeyAgreementAlgorithm": "ECDH", "PublicKey": p256()}
    return {**common, **changes}


def grant(**changes: Any) -> Members:
    return {"KeyId": key(), "GranteePrincipal": ROLE, "Operations": ["Decrypt"], **changes}


def constrained(name: str = "EncryptionContextEquals", **changes: Any) -> Members:
    return grant(Constraints={name: changes.pop("pairs", {"a": "b"})}, **changes)


def _made_grant() -> tuple[str, str]:
    members = {"GranteePrincipal": ROLE, "Operations": ["Decrypt"], "Name": "one"}
    return view(key()).make_grant(members)


def granted() -> Members:
    return {"KeyId": key(), "GrantId": _made_grant()[0]}


def granted_token() -> str:
    return _made_grant()[1]


Case = tuple[str, str, Callable[[], Members]]

CASES: list[Case] = [
    ("operation.member-type", "CreateKey", lambda: {"Tags": [{"TagKey": 1, "TagValue": "v"}]}),
    ("operation.member-type", "Encrypt", lambda: {"KeyId": key(), "Plaintext": 5}),
    ("operation.member-type", "ImportKeyMaterial", lambda: {"ValidTo": "tomorrow"}),
    ("operation.constraint", "CreateGrant", lambda: {"KeyId": key(), "Operations": ["Fly"]}),
    ("operation.constraint", "CreateAlias", lambda: {"AliasName": "alias/a b"}),
    ("random.length", "GenerateRandom", dict),
    ("random.key-store", "GenerateRandom", lambda: {"NumberOfBytes": 1, "CustomKeyStoreId": "x"}),
    ("data-key.size", "GenerateDataKeyWithoutPlaintext", lambda: {"KeyId": key()}),
    ("re-encrypt.dry-run-modifiers", "ReEncrypt",
     lambda: re_encrypt(DryRunModifiers=["IGNORE_CIPHERTEXT"])),
    ("create-key.kind", "CreateKey", lambda: {"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"}),
    ("create-key.kind", "CreateKey", lambda: {"Origin": "AWS_CLOUDHSM"}),
    ("create-key.kind", "CreateKey", lambda: {"CustomKeyStoreId": "cks-1234567890abcdef0"}),
    ("create-key.usage-missing", "CreateKey", lambda: {"KeySpec": "RSA_2048"}),
    ("create-key.usage-missing", "CreateKey", lambda: {"CustomerMasterKeySpec": "RSA_2048"}),
    ("create-key.usage", "CreateKey", lambda: {"KeyUsage": "SIGN_VERIFY"}),
    ("alias.prefix", "CreateAlias", lambda: {"AliasName": "mine", "TargetKeyId": key()}),
    ("tag.reserved", "TagResource", lambda: {"KeyId": key(), "Tags": tags("Aws:x")}),
    ("tag.twice", "CreateKey", lambda: {"Tags": tags("a", "a")}),
    ("tag.count", "TagResource",
     lambda: {"KeyId": key(), "Tags": tags(*(f"k{at}" for at in range(51)))}),
    ("deletion.window", "ScheduleKeyDeletion",
     lambda: {"KeyId": key(), "PendingWindowInDays": 6}),
    ("key-pair.spec", "GenerateDataKeyPair", lambda: {"KeyId": key(), "KeyPairSpec": "SM2"}),
    ("re-encrypt.unparsable", "ReEncrypt", lambda: re_encrypt(CiphertextBlob=b"none")),
    ("re-encrypt.unparsable", "ReEncrypt", lambda: re_encrypt(SourceEncryptionAlgorithm=OAEP)),
    ("re-encrypt.foreign-key", "ReEncrypt", lambda: re_encrypt(CiphertextBlob=FOREIGN)),
    ("re-encrypt.source-not-found", "ReEncrypt", lambda: re_encrypt(SourceKeyId=ABSENT)),
    ("re-encrypt.source-key", "ReEncrypt", lambda: re_encrypt(SourceKeyId=moto_key("another"))),
    ("re-encrypt.source-key", "ReEncrypt",
     lambda: re_encrypt(CiphertextBlob=FOREIGN, SourceKeyId=key())),
    ("operation.key-not-found", "ReEncrypt", lambda: re_encrypt(DestinationKeyId=ABSENT)),
    ("operation.key-not-found", "ListGrants", lambda: {"KeyId": "no-key"}),
    ("grant.service-principal", "CreateGrant",
     lambda: {"KeyId": key(), "GranteeServicePrincipal": "s3.amazonaws.com",
              "Operations": ["Decrypt"]}),
    ("grant.service-principal", "CreateGrant",
     lambda: grant(RetiringServicePrincipal="s3.amazonaws.com")),
    ("grant.grantee", "CreateGrant", lambda: {"KeyId": key(), "Operations": ["Decrypt"]}),
    ("grant.only-create-grant", "CreateGrant",
     lambda: grant(Operations=["CreateGrant"], GranteePrincipal="rds.us-east-1.amazonaws.com")),
    ("grant.constraints", "CreateGrant",
     lambda: grant(Constraints={"EncryptionContextEquals": {"a": "b"},
                                "EncryptionContextSubset": {"a": "b"}})),
    ("grant.constraint-size", "CreateGrant",
     lambda: constrained(pairs={str(at): "" for at in range(9)})),
    ("grant.constraint-size", "CreateGrant",
     lambda: constrained("EncryptionContextSubset", pairs={"a": "b" * 385})),
    ("grant.constraint-key", "CreateGrant", lambda: constrained(KeyId=key(*RSA))),
    ("grant.constraint-key", "CreateGrant",
     lambda: constrained(KeyId=key(*MAC), Operations=["GenerateMac"])),
    ("grant.alias", "CreateGrant", lambda: grant(KeyId="alias/aws/ebs")),
    *(
        ("grant.operations", "CreateGrant",
         lambda kind=kind, unfit=unfit: grant(KeyId=key(*kind), Operations=["DescribeKey", unfit]))
        for kind, unfit in (
            ((), "Sign"), ((), "GenerateMac"), ((), "GetPublicKey"), ((), "DeriveSharedSecret"),
            (RSA, "GenerateDataKey"), (RSA, "GenerateDataKeyPairWithoutPlaintext"), (RSA, "Sign"),
            (SIGNING, "Decrypt"), (MAC, "Decrypt"), (MAC, "GetPublicKey"), (P256, "Sign"),
        )
    ),
    *(
        ("grant.principal", "CreateGrant", lambda member=member, name=name: grant(**{member: name}))
        for member in ("GranteePrincipal", "RetiringPrincipal")
        for name in (
            f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:group/staff", "alice", "AROA0A1B2C3D4E5F60718",
            f"arn:aws:s3:::{DEFAULT_ACCOUNT_ID}", "arn:aws:iam::1234:root",
        )
    ),
    ("grant.not-named", "RetireGrant", dict),
    ("grant.not-named", "RetireGrant", lambda: {"KeyId": key()}),
    ("grant.not-named", "RetireGrant", lambda: {"GrantId": granted()["GrantId"]}),
    ("grant.token", "RetireGrant", lambda: {"GrantToken": "x"}),
    ("grant.token", "RetireGrant", lambda: {**granted(), "GrantToken": "x"}),
    ("grant.not-found", "RetireGrant", lambda: {"KeyId": key(), "GrantId": "x"}),
    ("grant.not-found", "RevokeGrant", lambda: {**granted(), "KeyId": moto_key("another")}),
    ("operation.grant-tokens", "Encrypt",
     lambda: {"KeyId": key(), "Plaintext": b"x", "GrantTokens": [granted_token(), "x"]}),
    ("operation.alias", "DisableKey", lambda: {"KeyId": "alias/aws/ebs"}),
    ("operation.origin", "DeleteImportedKeyMaterial", lambda: {"KeyId": key()}),
    ("rotation.origin", "EnableKeyRotation", imported),
    ("operation.disabled", "Encrypt", lambda: {"KeyId": key(state="Disabled"), "Plaintext": b"x"}),
    ("operation.disabled", "GetPublicKey", lambda: {"KeyId": key(*SIGNING, state="Disabled")}),
    ("operation.disabled", "ReEncrypt",
     lambda: re_encrypt(CiphertextBlob=sealed(key(state="Disabled")))),
    ("operation.pending-import", "EnableKey", lambda: {"KeyId": key(origin="EXTERNAL")}),
    ("operation.pending-deletion", "GenerateMac",
     lambda: maced(KeyId=key(*MAC, state="PendingDeletion"))),
    ("operation.pending-deletion", "CreateAlias",
     lambda: {"AliasName": "alias/x", "TargetKeyId": key(state="PendingDeletion")}),
    ("deletion.not-pending", "CancelKeyDeletion", lambda: {"KeyId": key(state="Disabled")}),
    ("rotation.key-spec", "EnableKeyRotation", lambda: {"KeyId": key(*RSA)}),
    ("rotation.replica", "RotateKeyOnDemand", replica),
    ("rotation.no-material", "RotateKeyOnDemand", imported),
    ("rotation.limit", "RotateKeyOnDemand", rotated_out),
    ("replicate-key.primary", "ReplicateKey", single_region),
    ("public-key.none", "GetPublicKey", lambda: {"KeyId": key()}),
    ("public-key.none", "GetPublicKey", lambda: {"KeyId": key(*MAC)}),
    ("operation.usage-encrypt-decrypt", "GenerateDataKeyPair",
     lambda: {"KeyId": key(*SIGNING), "KeyPairSpec": "RSA_2048"}),
    ("operation.usage-encrypt-decrypt", "ReEncrypt",
     lambda: re_encrypt(DestinationKeyId=key(*SIGNING))),
    ("operation.usage-sign-verify", "Verify", lambda: signed(KeyId=key(), Signature=b"s")),
    ("operation.usage-generate-verify-mac", "VerifyMac", lambda: maced(KeyId=key(), Mac=b"m")),
    ("operation.usage-key-agreement", "DeriveSharedSecret", lambda: agreed(KeyId=key(*RSA))),
    ("data-key.key-spec", "GenerateDataKeyWithoutPlaintext",
     lambda: {"KeyId": key(*RSA), "NumberOfBytes": 8}),
    ("encrypt.algorithm", "Encrypt", lambda: {"KeyId": key(*RSA), "Plaintext": b"x"}),
    ("encrypt.algorithm", "Encrypt",
     lambda: {"KeyId": key(), "Plaintext": b"x", "EncryptionAlgorithm": OAEP}),
    ("encrypt.encryption-context", "Encrypt",
     lambda: {"KeyId": key(*RSA), "Plaintext": b"x", "EncryptionAlgorithm": OAEP,
              "EncryptionContext": {"a": "b"}}),
    ("encrypt.encryption-context", "ReEncrypt",
     lambda: re_encrypt(DestinationKeyId=key(*RSA), DestinationEncryptionAlgorithm=OAEP,
                        DestinationEncryptionContext={"a": "b"})),
    ("encrypt.encryption-context", "ReEncrypt",
     lambda: re_encrypt(SourceKeyId=key(*RSA), SourceEncryptionAlgorithm=OAEP,
                        SourceEncryptionContext={"a": "b"},
                        CiphertextBlob=view(key(*RSA)).seal_rsa(b"x", OAEP))),
    ("signature.algorithm", "Sign", lambda: signed(SigningAlgorithm="ECDSA_SHA_256")),
    ("mac.algorithm", "GenerateMac", lambda: maced(MacAlgorithm="HMAC_SHA_224")),
    ("re-encrypt.decryption", "ReEncrypt",
     lambda: re_encrypt(SourceEncryptionContext={"not": "that"})),
    ("encrypt.length", "ReEncrypt",
     lambda: re_encrypt(CiphertextBlob=sealed(key(), bytes(191)), DestinationKeyId=key(*RSA),
                        DestinationEncryptionAlgorithm=OAEP)),
    ("signature.message-type", "Sign", lambda: signed(MessageType="EXTERNAL_MU")),
    ("signature.digest", "Verify", lambda: signed(MessageType="DIGEST", Signature=b"s")),
    ("signature.invalid", "Verify", lambda: signed(Signature=b"s")),
    ("mac.invalid", "VerifyMac", lambda: maced(Mac=b"m")),
    ("agreement.public-key", "DeriveSharedSecret", lambda: agreed(PublicKey=b"none")),
    ("agreement.curve", "DeriveSharedSecret", lambda: agreed(PublicKey=p384())),
    *(
        ("operation.dry-run", operation, lambda make=make: {**make(), "DryRun": True})
        for operation, make in (
            ("Encrypt", lambda: {"KeyId": key(), "Plaintext": b"x"}),
            ("ReEncrypt", re_encrypt),
            ("GenerateDataKeyWithoutPlaintext", lambda: {"KeyId": key(), "NumberOfBytes": 8}),
            ("Sign", signed),
            ("GenerateMac", maced),
            ("DeriveSharedSecret", agreed),
            ("CreateGrant", grant),
            ("RevokeGrant", granted),
            ("RetireGrant", granted),
            ("RetireGrant", lambda: {"GrantToken": granted_token()}),
        )
    ),
]  # fmt: skip


def judged(operation: str, members: Members) -> KmsRefusal | None:
    """What the table says to the members, as JSON brings them."""
    store = MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION)
    sent = json.loads(encode_answer(members))
    return refusal(NeighbourRequest(operation, sent, store))


@pytest.mark.parametrize(
    ("rule", "operation", "make"),
    CASES,
    ids=[f"{rule}-{operation}-{at}" for at, (rule, operation, _) in enumerate(CASES)],
)
def test_refused_by(rule: str, operation: str, make: Callable[[], Members]) -> None:
    found = judged(operation, make())
    assert found is not None
    assert found.rule == rule


def test_every_row_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == {rule.refusal.id for rule in NEIGHBOUR_RULES}


def test_every_operation_that_a_row_names_exists() -> None:
    named = {operation for rule in NEIGHBOUR_RULES for operation in rule.operations or ()}
    assert all(request_shape(operation) for operation in named | set(ANSWERS))


@pytest.mark.parametrize(
    ("operation", "make"),
    [
        ("Encrypt", lambda: {"KeyId": key(), "Plaintext": bytes(4096)}),
        ("Encrypt", lambda: {"KeyId": key(*RSA), "Plaintext": b"x", "EncryptionAlgorithm": OAEP,
                             "EncryptionContext": {}}),
        ("ReEncrypt", re_encrypt),
        ("ReEncrypt",
         lambda: re_encrypt(DestinationKeyId=key(*RSA), DestinationEncryptionAlgorithm=OAEP,
                            CiphertextBlob=sealed(key(), context={"a": "b"}),
                            SourceEncryptionContext={"a": "b"})),
        ("Sign", lambda: signed(Message=os.urandom(32), MessageType="DIGEST")),
        ("CreateKey", lambda: {"Tags": tags(*(f"k{at}" for at in range(50)))}),
        ("CreateKey", lambda: {"Description": "", "Policy": "{}", "Origin": "EXTERNAL"}),
        ("ListKeys", lambda: {"Limit": 1000, "ResourceOwners": ["SELF"]}),
        ("ListKeys", dict),
        ("DescribeKey", lambda: {"KeyId": "alias/aws/ebs"}),
        ("ScheduleKeyDeletion", lambda: {"KeyId": key(), "PendingWindowInDays": 7}),
        ("CancelKeyDeletion", lambda: {"KeyId": key(state="PendingDeletion")}),
        ("PutKeyPolicy", lambda: {"KeyId": key(state="PendingDeletion"), "Policy": "{}"}),
        ("DeleteAlias", lambda: {"AliasName": "alias/x"}),
        ("TagResource", lambda: {"KeyId": key(state="Disabled"), "Tags": tags("a")}),
        ("GetParametersForImport",
         lambda: {"KeyId": key(origin="EXTERNAL"), "WrappingAlgorithm": "RSAES_OAEP_SHA_1",
                  "WrappingKeySpec": "RSA_2048"}),
        ("DeriveSharedSecret", agreed),
        *(
            ("CreateGrant", lambda kind=kind, fit=fit: grant(KeyId=key(*kind), Operations=fit))
            for kind, fit in (
                ((), ["Decrypt", "Encrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey",
                      "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair",
                      "GenerateDataKeyPairWithoutPlaintext", "CreateGrant", "RetireGrant"]),
                ((), ["DescribeKey", "CreateGrant"]),
                (RSA, ["Decrypt", "Encrypt", "ReEncryptFrom", "ReEncryptTo", "GetPublicKey"]),
                (SIGNING, ["Sign", "Verify", "GetPublicKey", "DescribeKey"]),
                (MAC, ["GenerateMac", "VerifyMac"]),
                (P256, ["DeriveSharedSecret", "GetPublicKey"]),
            )
        ),
        *(
            ("CreateGrant", lambda name=name: grant(GranteePrincipal=name, RetiringPrincipal=name))
            for name in (
                f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:root", DEFAULT_ACCOUNT_ID,
                f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:user/a/b+c",
                f"arn:aws:sts::{DEFAULT_ACCOUNT_ID}:assumed-role/enclave/ci+1",
                f"arn:aws:sts::{DEFAULT_ACCOUNT_ID}:federated-user/alice",
                "rds.us-east-1.amazonaws.com",
            )
        ),
        ("CreateGrant", lambda: constrained(pairs={str(at): "b" * 384 for at in range(8)})),
        ("CreateGrant",
         lambda: grant(Constraints={"EncryptionContextEquals": {"a": "b"},
                                    "EncryptionContextSubset": {},
                                    "SourceArn": SOURCE})),
        ("CreateGrant",
         lambda: grant(KeyId=key(*RSA), Constraints={"SourceArn": SOURCE})),
        ("Sign", lambda: signed(GrantTokens=[granted_token()])),
        ("Encrypt", lambda: {"KeyId": key(), "Plaintext": b"x", "Unknown": 1, "GrantTokens": None}),
    ],
)  # fmt: skip
def test_what_kms_takes_passes(operation: str, make: Callable[[], Members]) -> None:
    assert judged(operation, make()) is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_OPERATIONS = sorted(
    {*ANSWERS, "CreateKey", "TagResource", "CreateGrant", "CreateAlias", "ReplicateKey"}
)


@settings(max_examples=150)
@given(st.data())
def test_arbitrary_members_are_judged(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(_OPERATIONS))
    names = st.sampled_from(sorted(request_shape(operation)))
    texts = st.sampled_from(["alias/x", "arn:aws:kms:x", "YWJj", ABSENT])
    members = data.draw(st.dictionaries(names, _VALUES | texts, max_size=4))
    request = NeighbourRequest(operation, members, MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION))
    found = refusal(request)
    assert found is None or found.rule in {rule.refusal.id for rule in NEIGHBOUR_RULES}
