"""What Decrypt and GenerateDataKey bring to the conditions of a key policy, end to end."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends

from kms_fake import KmsRefusal
from kms_fake.authorization import IdentityPermissions
from kms_fake.callers import Caller, default_caller, identity_of_policies
from kms_fake.fake import DEFAULT_REGION
from kms_fake.principals import Principal
from tests.kms_fake.world import (
    NOW_MS,
    PCRS,
    ROLE,
    Document,
    fake,
    moto_key,
    policy,
    sealed,
    statement,
)

INSTANCE = f"arn:aws:ec2:us-east-1:{DEFAULT_ACCOUNT_ID}:instance/i-0a1b2c3d4e5f60718"
USER = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:user/team/alice"
NOW = dt.datetime.fromtimestamp(NOW_MS / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user(**context: tuple[str, ...]) -> Caller:
    principal = Principal(USER, DEFAULT_ACCOUNT_ID, USER)
    return Caller(principal, IdentityPermissions.all_of_kms(), context=context)


def allowed(
    condition: dict[str, Any],
    *,
    caller: Caller | None = None,
    operation: str = "GenerateDataKey",
    **members: Any,
) -> bool:
    """Whether a key policy allows everybody who meets the condition."""
    key = moto_key(policy_text=policy(statement(Principal="*", Condition=condition)))
    if operation == "Decrypt":
        members["CiphertextBlob"] = sealed(key, context=members.get("EncryptionContext", {}))
    else:
        members = {"KeyId": key, "KeySpec": "AES_256"} | members
    caller = caller or default_caller(DEFAULT_ACCOUNT_ID)
    rule = refusing_rule(operation, members, caller)
    assert rule in (None, "authorization.key-policy")
    return rule is None


def refusing_rule(operation: str, members: dict[str, Any], caller: Caller) -> str | None:
    try:
        fake().call(operation, members, caller=caller)
    except KmsRefusal as refusal:
        return refusal.rule
    return None


def is_(name: str, value: str) -> dict[str, Any]:
    return {"StringEquals": {name: value}}


@pytest.mark.parametrize("operation", ["Decrypt", "GenerateDataKey"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
        ("kms:KeySpec", "SYMMETRIC_DEFAULT"),
        ("kms:CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"),
        ("kms:KeyUsage", "ENCRYPT_DECRYPT"),
        ("kms:CustomerMasterKeyUsage", "ENCRYPT_DECRYPT"),
        ("kms:KeyOrigin", "AWS_KMS"),
        ("kms:MultiRegion", "false"),
        ("kms:CallerAccount", DEFAULT_ACCOUNT_ID),
        ("aws:PrincipalAccount", DEFAULT_ACCOUNT_ID),
        ("aws:ResourceAccount", DEFAULT_ACCOUNT_ID),
        ("aws:PrincipalArn", ROLE),
        ("aws:PrincipalType", "AssumedRole"),
        ("aws:PrincipalIsAWSService", "false"),
        ("aws:ViaAWSService", "false"),
        ("aws:MultiFactorAuthPresent", "false"),
        ("aws:RequestedRegion", "us-east-1"),
        ("aws:SecureTransport", "true"),
        ("aws:CurrentTime", NOW),
        ("aws:TokenIssueTime", NOW),
        ("aws:EpochTime", str(NOW_MS // 1000)),
        ("aws:userid", "AROA0A1B2C3D4E5F60718:i-0a1b2c3d4e5f60718"),
        ("ec2:SourceInstanceArn", INSTANCE),
    ],
)
def test_what_every_call_has(operation: str, name: str, value: str) -> None:
    assert allowed(is_(name, value), operation=operation)
    assert not allowed(is_(name, f"{value}x"), operation=operation)
    assert not allowed({"Null": {name: "true"}}, operation=operation)


@pytest.mark.parametrize(
    "name",
    [
        *("kms:ViaService", "kms:MultiRegionKeyType", "kms:RequestAlias", "kms:MacAlgorithm"),
        *("kms:GrantIsForAWSResource", "kms:ReEncryptOnSameKey", "kms:EncryptionContextKeys"),
        *("kms:EncryptionContext:a", "kms:RecipientAttestation:PCR0", "aws:SourceArn"),
        *("aws:SourceIp", "aws:SourceVpce", "aws:PrincipalOrgID", "aws:ResourceOrgID"),
        *("aws:username", "aws:CalledVia", "aws:FederatedProvider", "aws:ResourceTag/a"),
    ],
)
def test_what_a_plain_call_has_not(name: str) -> None:
    assert allowed({"Null": {name: "true"}})
    assert not allowed({"Null": {name: "false"}})


def test_a_user() -> None:
    for name, value in (
        ("aws:PrincipalType", "User"),
        ("aws:username", "alice"),
        ("aws:PrincipalArn", USER),
    ):
        assert allowed(is_(name, value), caller=user())
    for name in ("aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:userid"):
        assert allowed({"Null": {name: "true"}}, caller=user())
    ours = {"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}
    assert allowed(ours, caller=user(), EncryptionContext={"user": "alice"})
    assert not allowed(ours, caller=user(), EncryptionContext={"user": "bob"})
    assert not allowed(ours, EncryptionContext={"user": "alice"})  # A session has no user name.


def test_what_the_caller_brings() -> None:
    caller = user(
        **{
            "aws:PrincipalOrgID": ("o-a1b2c3d4e5",),
            "aws:PrincipalOrgPaths": ("o-a1b2c3d4e5/r-ab12/",),
            "aws:SourceVpce": ("vpce-1a2b3c4d",),
            "aws:SourceIp": ("203.0.113.9",),
            "aws:PrincipalTag/team": ("blue",),
            "aws:SecureTransport": ("false",),
            "aws:PrincipalArn": (ROLE,),
        }
    )
    for condition in (
        is_("aws:PrincipalOrgID", "o-a1b2c3d4e5"),
        is_("aws:ResourceOrgID", "${aws:PrincipalOrgID}"),
        {"ForAnyValue:StringLike": {"aws:ResourceOrgPaths": "o-*/r-ab12/*"}},
        is_("aws:sourcevpce", "vpce-1a2b3c4d"),
        {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        is_("aws:PrincipalTag/Team", "blue"),
        {"Bool": {"aws:SecureTransport": "false"}},
        is_("aws:PrincipalArn", USER),  # Who calls is nothing that a caller brings.
    ):
        assert allowed(condition, caller=caller)
        assert not allowed(condition) or condition == is_("aws:PrincipalArn", USER)


def test_the_encryption_context() -> None:
    pairs = {"AppName": "ExampleApp", "Stage": "Test"}
    only = {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["AppName"]}}
    some = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["AppName"]}}
    other_case = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["appname"]}}
    for operation in ("Decrypt", "GenerateDataKey"):
        assert not allowed(only, operation=operation, EncryptionContext=pairs)
        assert allowed(some, operation=operation, EncryptionContext=pairs)
        assert not allowed(other_case, operation=operation, EncryptionContext=pairs)
        assert allowed(only, operation=operation)
        assert not allowed(some, operation=operation)
    assert allowed({"Null": {"kms:EncryptionContextKeys": False}}, EncryptionContext=pairs)


def test_the_alias_of_the_request_and_those_of_the_key() -> None:
    condition = is_("kms:RequestAlias", "alias/finance-key")
    key = moto_key(policy_text=policy(statement(Principal="*", Condition=condition)))
    backend = kms_backends[DEFAULT_ACCOUNT_ID][DEFAULT_REGION]
    backend.create_alias(key, "alias/finance-key")
    by_arn = f"arn:aws:kms:{DEFAULT_REGION}:{DEFAULT_ACCOUNT_ID}:alias/finance-key"
    assert allowed(condition, KeyId="alias/finance-key")
    assert allowed(condition, KeyId=by_arn)
    assert not allowed(condition)
    backend.delete_alias("alias/finance-key")


def test_aliases_and_tags_in_an_identity_policy() -> None:
    key = moto_key("aliased", policy_text=policy(statement(Principal={"AWS": DEFAULT_ACCOUNT_ID})))
    backend = kms_backends[DEFAULT_ACCOUNT_ID][DEFAULT_REGION]

    def may(condition: dict[str, Any]) -> bool:
        text = json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Effect": "Allow",
                    "Action": "kms:*",
                    "Resource": "*",
                    "Condition": condition,
                },
            }
        )
        caller = replace(user(), identity=identity_of_policies([text]))
        rule = refusing_rule("GenerateDataKey", {"KeyId": key, "KeySpec": "AES_256"}, caller)
        assert rule in (None, "authorization.identity")
        return rule is None

    aliased = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/one"}}
    all_tested = {"ForAllValues:StringLike": {"kms:ResourceAliases": "alias/*"}}
    tagged = {"StringEquals": {"aws:ResourceTag/cost-center": "Alpha"}}
    assert not may(aliased)
    assert may(all_tested)
    assert not may(tagged)
    backend.create_alias(key, "alias/one")
    backend.tagger.tag_resource(key, [{"TagKey": "Cost-Center", "TagValue": "Alpha"}])
    assert may(aliased)
    assert may(tagged)
    backend.delete_alias("alias/one")


def test_a_multi_region_key_and_an_rsa_key() -> None:
    primary = policy(
        statement(
            Condition={
                "Bool": {"kms:MultiRegion": True},
                "StringEquals": {"kms:MultiRegionKeyType": "PRIMARY"},
            }
        )
    )
    backend = kms_backends[DEFAULT_ACCOUNT_ID][DEFAULT_REGION]
    key = backend.create_key(primary, "ENCRYPT_DECRYPT", "", "", None, multi_region=True)
    fake().call("GenerateDataKey", {"KeyId": key.id, "KeySpec": "AES_256"})
    kms = kms_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"]
    backend.replicate_key(key.id, "eu-west-1")
    members = {"KeyId": key.id, "KeySpec": "AES_256"}
    with pytest.raises(KmsRefusal, match="no resource-based policy"):
        fake().call("GenerateDataKey", members, region="eu-west-1")
    assert kms.keys[key.id].multi_region


def test_an_rsa_key_and_its_algorithm() -> None:
    text = policy(
        statement(
            Condition={
                "StringEquals": {
                    "kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                    "kms:KeySpec": "RSA_2048",
                }
            }
        )
    )
    key = moto_key(policy_text=text, spec="RSA_2048")
    members = {"KeyId": key, "CiphertextBlob": b"x" * 256}
    for algorithm, rule in (
        ("RSAES_OAEP_SHA_256", "ciphertext.decryption"),
        ("RSAES_OAEP_SHA_1", "authorization.key-policy"),
    ):
        with pytest.raises(KmsRefusal) as caught:
            fake().call("Decrypt", {**members, "EncryptionAlgorithm": algorithm})
        assert caught.value.rule == rule


# Policies of the "AWS Nitro Enclaves" pages and of public repositories.


def attested(condition: dict[str, Any], **document: Any) -> bool:
    recipient = {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": Document(**document).build(),
    }
    return allowed(condition, Recipient=recipient)


OLD, NEW = PCRS[0].hex(), "ab" * 48


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(
            {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": OLD}},
            True,
            id="image",
        ),
        pytest.param(
            {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR1": PCRS[1].hex()}},
            True,
            id="pcr1",
        ),
        pytest.param(
            {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "0" * 96}},
            False,
            id="debug-policy",
        ),
        pytest.param(
            {"StringEquals": {"kms:RecipientAttestation:PCR0": [OLD, NEW]}}, True, id="two-builds"
        ),
        pytest.param(
            {"StringEquals": {"kms:RecipientAttestation:PCR0": [NEW]}}, False, id="another-build"
        ),
        pytest.param(
            {
                "StringEqualsIgnoreCase": {
                    f"kms:RecipientAttestation:PCR{index}": PCRS[index].hex()
                    for index in (0, 1, 2, 8)
                }
            },
            True,
            id="four-keys",
        ),
        pytest.param(
            {
                "StringEqualsIgnoreCase": {
                    "kms:RecipientAttestation:PCR0": OLD,
                    "kms:RecipientAttestation:PCR3": NEW,
                }
            },
            False,
            id="role-not-bound",
        ),
        pytest.param({"Null": {"kms:RecipientAttestation:PCR0": "false"}}, True, id="any-enclave"),
        pytest.param(
            {"StringEquals": {"kms:RecipientAttestation:NitroTPMPCR4": PCRS[4].hex()}},
            False,
            id="nitrotpm",
        ),
    ],
)
def test_published_policies(condition: dict[str, Any], expected: bool) -> None:
    assert attested(condition) is expected
    assert not allowed(condition)
