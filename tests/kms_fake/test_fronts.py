"""boto3 against the fake, over a real socket and under mock_aws: success and the four errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.kms import urls
from moto.kms.models import kms_backends
from moto.kms.responses import KmsResponse

from kms_fake import KmsFake, mock_attested_kms, serving
from scenarios.workload.envelope import open_cms
from tests.kms_fake.conftest import client
from tests.kms_fake.recorded import tags
from tests.kms_fake.world import (
    PCR0,
    PCRS,
    ROLE,
    ROOT_PRINCIPAL,
    Document,
    pkcs1,
    policy,
    rsa_key,
    statement,
)

LOCKOUT = "The new key policy will not allow you to update the key policy in the future."
UNCHECKED = {"BypassPolicyLockoutSafetyCheck": True}

FOUR_ERRORS = [
    (
        "generate_data_key",
        {},
        {},
        "Please specify either number of bytes or key spec.",
    ),
    (
        "decrypt",
        {"KeyEncryptionAlgorithm": None},
        {},
        "You must specify an encryption algorithm in this request.",
    ),
    (
        "decrypt",
        {},
        {"public_key": None},
        "You must specify a recipient public key in this request.",
    ),
    ("decrypt", {}, {"public_key": pkcs1()}, "Invalid public key"),
]


def recipient(changes: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    made = {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": Document(**document).build(),
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def key(kms: Any) -> str:
    text = policy(
        statement(Action=["kms:Create*", "kms:Put*", "kms:Encrypt", "kms:Get*"]),
        statement(
            Action=["kms:Decrypt", "kms:GenerateDataKey"],
            Condition={"StringEquals": {PCR0: PCRS[0].hex()}},
        ),
    )
    arn: str = kms.create_key(Policy=text)["KeyMetadata"]["Arn"]
    return arn


def call(kms: Any, key: str, operation: str, **members: Any) -> dict[str, Any]:
    if operation == "decrypt":
        members["CiphertextBlob"] = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    else:
        members["KeyId"] = key
    answer: dict[str, Any] = getattr(kms, operation)(**members)
    return answer


def error(kms: Any, key: str, operation: str, **members: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(kms, key, operation, **members)
    response = caught.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return response["Error"]["Code"], response["Error"]["Message"], status


def test_success(kms: Any, key: str) -> None:
    answer = call(kms, key, "decrypt", Recipient=recipient({}, {}))
    assert open_cms(answer["CiphertextForRecipient"], rsa_key()) == b"secret"
    assert "Plaintext" not in answer
    assert answer["KeyId"] == key
    made = call(kms, key, "generate_data_key", KeySpec="AES_256", Recipient=recipient({}, {}))
    assert len(open_cms(made["CiphertextForRecipient"], rsa_key())) == 32


@pytest.mark.parametrize(("operation", "changes", "document", "text"), FOUR_ERRORS)
def test_the_four_errors(
    kms: Any, key: str, operation: str, changes: Any, document: Any, text: str
) -> None:
    found = error(kms, key, operation, Recipient=recipient(changes, document))
    assert found == ("ValidationException", text, 400)


def test_a_denial(kms: Any, key: str) -> None:
    other = {**PCRS, 0: bytes(48)}
    code, message, status = error(kms, key, "decrypt", Recipient=recipient({}, {"pcrs": other}))
    assert (code, status) == ("AccessDeniedException", 400)
    assert message.startswith("User: arn:aws:sts::123456789012:assumed-role/EnclaveInstance/i-")
    assert message.endswith("because no resource-based policy allows the kms:Decrypt action")
    assert error(kms, key, "decrypt")[0] == "AccessDeniedException"


def test_an_invalid_ciphertext_has_no_message_of_its_own(kms: Any) -> None:
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=b"junk")


def test_a_policy_that_cannot_be_enforced_is_refused(kms: Any, key: str) -> None:
    text = policy(statement(Condition={"Bool": {"aws:NoSuchKey": "true"}}))
    before = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    unsupported = kms.exceptions.UnsupportedOperationException
    with pytest.raises(unsupported, match="NoSuchKey"):
        kms.create_key(Policy=text)
    with pytest.raises(unsupported, match="NoSuchKey"):
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=text)
    assert kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"] == before
    with pytest.raises(kms.exceptions.MalformedPolicyDocumentException):
        kms.create_key(Policy="{")


def test_put_key_policy_takes_effect(kms: Any, key: str) -> None:
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(statement()))
    assert call(kms, key, "decrypt")["Plaintext"] == b"secret"


def test_the_policy_name_may_be_left_out(kms: Any, key: str) -> None:
    kms.put_key_policy(KeyId=key, Policy=policy(statement()))
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == json.loads(policy(statement()))


def test_a_replica_has_the_policy_it_was_given(kms: Any) -> None:
    elsewhere = {"KeyId": "", "ReplicaRegion": "eu-west-1"}
    elsewhere["KeyId"] = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    text = policy(statement(Condition={"Bool": {"aws:NoSuchKey": "true"}}))
    with pytest.raises(kms.exceptions.UnsupportedOperationException, match="NoSuchKey"):
        kms.replicate_key(**elsewhere, Policy=text)
    nobody = policy(statement(Principal={"AWS": f"{ROLE}Other"}))
    with pytest.raises(kms.exceptions.MalformedPolicyDocumentException, match=LOCKOUT):
        kms.replicate_key(**elsewhere, Policy=nobody)
    kms.replicate_key(**elsewhere, Policy=nobody, BypassPolicyLockoutSafetyCheck=True)
    replica = kms_backends["123456789012"]["eu-west-1"].keys[elsewhere["KeyId"]]
    assert replica.policy == nobody
    for region in ("eu-west-1", "us-east-1"):  # Where the replica is, and where the key is.
        with pytest.raises(kms.exceptions.AlreadyExistsException):
            kms.replicate_key(KeyId=elsewhere["KeyId"], ReplicaRegion=region)


def test_a_replica_without_policy_and_tags_has_the_default_ones(kms: Any) -> None:
    made = kms.create_key(MultiRegion=True, Policy=policy(statement()), Tags=tags("primary"))
    key = made["KeyMetadata"]["KeyId"]
    answer = kms.replicate_key(KeyId=key, ReplicaRegion="eu-west-1")
    backend = kms_backends["123456789012"]["eu-west-1"]
    default = json.loads(backend.keys[key].policy)
    assert default["Statement"][0]["Principal"] == {"AWS": ROOT_PRINCIPAL}
    assert json.loads(answer["ReplicaPolicy"]) == default
    assert (answer["ReplicaTags"], backend.list_resource_tags(key)["Tags"]) == ([], [])
    answer = kms.replicate_key(
        KeyId=key, ReplicaRegion="us-west-2", Policy=policy(statement()), Tags=tags("replica")
    )
    assert answer["ReplicaPolicy"] == policy(statement())
    assert answer["ReplicaTags"] == tags("replica")
    tagged = kms_backends["123456789012"]["us-west-2"].list_resource_tags(key)
    assert tagged["Tags"] == tags("replica")


def test_an_rsa_ciphertext_opens_with_its_own_algorithm_only(kms: Any) -> None:
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
    sha256, sha1 = "RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"
    made = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionAlgorithm=sha256)
    assert len(made["CiphertextBlob"]) == 256
    members = {"CiphertextBlob": made["CiphertextBlob"], "KeyId": key}
    assert kms.decrypt(**members, EncryptionAlgorithm=sha256)["Plaintext"] == b"secret"
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(**members, EncryptionAlgorithm=sha1)
    with pytest.raises(kms.exceptions.InvalidKeyUsageException):
        kms.encrypt(KeyId=key, Plaintext=b"secret")
    symmetric = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=symmetric, Plaintext=b"secret")["CiphertextBlob"]
    with pytest.raises(kms.exceptions.InvalidKeyUsageException, match="SYMMETRIC_DEFAULT"):
        kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)
    moved = kms.re_encrypt(
        CiphertextBlob=blob, DestinationKeyId=key, DestinationEncryptionAlgorithm=sha256
    )
    opened = kms.decrypt(
        CiphertextBlob=moved["CiphertextBlob"], KeyId=key, EncryptionAlgorithm=sha256
    )
    assert opened["Plaintext"] == b"secret"
    with pytest.raises(ClientError, match="cannot encrypt data larger than 190 bytes"):
        kms.encrypt(KeyId=key, Plaintext=bytes(191), EncryptionAlgorithm=sha256)


def test_recipient_of_an_operation_that_is_not_simulated(kms: Any) -> None:
    with pytest.raises(ClientError, match="GenerateRandom with Recipient is not simulated"):
        kms.generate_random(NumberOfBytes=16, Recipient=recipient({}, {}))
    assert len(kms.generate_random(NumberOfBytes=16)["Plaintext"]) == 16


def test_everything_else_stays_motos(kms: Any, key: str) -> None:
    kms.create_alias(AliasName="alias/mine", TargetKeyId=key)
    assert kms.describe_key(KeyId="alias/mine")["KeyMetadata"]["Arn"] == key
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(statement()))
    blob = kms.encrypt(KeyId="alias/mine", Plaintext=b"x", EncryptionContext={"a": "b"})
    again = kms.re_encrypt(
        CiphertextBlob=blob["CiphertextBlob"],
        SourceEncryptionContext={"a": "b"},
        DestinationKeyId=key,
        DestinationEncryptionContext={"c": "d"},
    )
    members = {"CiphertextBlob": again["CiphertextBlob"], "EncryptionContext": {"c": "d"}}
    assert kms.decrypt(**members)["Plaintext"] == b"x"
    without = kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256")
    assert "Plaintext" not in without
    assert len(kms.decrypt(CiphertextBlob=without["CiphertextBlob"])["Plaintext"]) == 32


@pytest.fixture(params=["socket", "mock_aws"])
def services(request: pytest.FixtureRequest, fake: KmsFake) -> Iterator[Any]:
    """Makes a client of a service, all against one fake."""
    quick = Config(retries={"total_max_attempts": 1})
    admin = {"aws_access_key_id": "ADMIN", "aws_secret_access_key": "any"}

    def make(service: str, endpoint: str | None = None, **credentials: str) -> Any:
        keys = {**admin, **credentials}
        return boto3.client(
            service, region_name="us-east-1", endpoint_url=endpoint, config=quick, **keys
        )

    if request.param == "mock_aws":
        with mock_attested_kms(fake):
            yield make
    else:
        with serving(fake) as server, mock_aws():
            # mock_aws only resets moto's IAM here; every request goes over the socket.
            yield lambda service, **keys: make(service, server.endpoint, **keys)


def identity(*actions: str, effect: str = "Allow", **elements: Any) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": effect, "Action": list(actions), "Resource": "*", **elements},
        }
    )


def user_keys(services: Any, *policies: str) -> dict[str, str]:
    iam = services("iam")
    iam.create_user(UserName="alice")
    for number, text in enumerate(policies):
        iam.put_user_policy(UserName="alice", PolicyName=f"p{number}", PolicyDocument=text)
    made = iam.create_access_key(UserName="alice")["AccessKey"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
    }


def data_key(kms: Any, key: str) -> str:
    """`allowed`, or the end of the denial."""
    try:
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    except ClientError as caught:
        error = caught.response["Error"]
    else:
        return "allowed"
    assert error["Code"] == "AccessDeniedException"
    return str(error["Message"])


def test_a_user_of_moto_is_the_caller(services: Any) -> None:
    keys = user_keys(services, identity("kms:GenerateDataKey"))
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    assert data_key(services("kms", **keys), key) == "allowed"


def test_a_user_without_policies_is_denied_by_name(services: Any) -> None:
    keys = user_keys(services)
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    assert data_key(services("kms", **keys), key) == (
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: "
        f"kms:GenerateDataKey on resource: {key} because no identity-based policy allows the "
        "kms:GenerateDataKey action"
    )


def test_a_users_explicit_deny_wins(services: Any) -> None:
    keys = user_keys(services, identity("kms:*"), identity("kms:GenerateDataKey", effect="Deny"))
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    message = data_key(services("kms", **keys), key)
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_policies_of_groups_and_managed_policies_count(services: Any) -> None:
    keys = user_keys(services)
    iam = services("iam")
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="alice")
    made = iam.create_policy(PolicyName="m", PolicyDocument=identity("kms:GenerateDataKey"))
    iam.attach_group_policy(GroupName="staff", PolicyArn=made["Policy"]["Arn"])
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    assert data_key(services("kms", **keys), key) == "allowed"


def test_an_identity_policy_that_cannot_be_evaluated_allows_nothing(services: Any) -> None:
    condition = {"Bool": {"aws:NoSuchKey": "true"}}
    keys = user_keys(services, identity("kms:*", Condition=condition))
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    assert "NoSuchKey" in data_key(services("kms", **keys), key)


def test_statements_about_other_services_do_not_matter(services: Any) -> None:
    condition = {"Bool": {"aws:NoSuchKey": "true"}}
    keys = user_keys(services, identity("s3:*", Condition=condition), identity("kms:*"))
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    assert data_key(services("kms", **keys), key) == "allowed"


def test_an_assumed_role_is_the_caller(services: Any) -> None:
    iam = services("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(
        RoleName="reader", PolicyName="p", PolicyDocument=identity("kms:GenerateDataKey")
    )
    made = services("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    session = services(
        "kms",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
    )
    by_account = services("kms").create_key()["KeyMetadata"]["Arn"]
    assert data_key(session, by_account) == "allowed"
    only_role = policy(statement(Principal={"AWS": role}))
    by_role = services("kms").create_key(Policy=only_role, **UNCHECKED)["KeyMetadata"]["Arn"]
    assert data_key(session, by_role) == "allowed"
    only_other = policy(statement(Principal={"AWS": ROLE}))
    by_other = services("kms").create_key(Policy=only_other, **UNCHECKED)["KeyMetadata"]["Arn"]
    message = data_key(session, by_other)
    assert message.startswith("User: arn:aws:sts::123456789012:assumed-role/reader/session is not")


def assumed(services: Any, role: str, **options: str) -> Any:
    made = services("sts").assume_role(RoleArn=role, RoleSessionName="session", **options)[
        "Credentials"
    ]
    return services(
        "kms",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
    )


def test_session_policies_and_permissions_boundaries_limit(services: Any) -> None:
    iam = services("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    boundary = iam.create_policy(PolicyName="b", PolicyDocument=identity("s3:*"))["Policy"]["Arn"]
    for name, limit in (
        ("free", {}),
        ("bounded", {"PermissionsBoundary": boundary}),
        ("lost", {"PermissionsBoundary": "arn:aws:iam::123456789012:policy/nowhere"}),
    ):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **limit)
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=identity("kms:*"))
    kms = services("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    free, bounded, lost = (
        f"arn:aws:iam::123456789012:role/{n}" for n in ("free", "bounded", "lost")
    )
    limited = assumed(services, free, Policy=identity("s3:*"))
    no_session = "because no session policy allows the kms:GenerateDataKey action"
    no_boundary = "because no permissions boundary allows the kms:GenerateDataKey action"
    assert data_key(assumed(services, free), key) == "allowed"
    assert data_key(assumed(services, free, Policy=identity("kms:*")), key) == "allowed"
    assert data_key(limited, key).endswith(no_session)
    assert data_key(assumed(services, bounded), key).endswith(no_boundary)
    assert data_key(assumed(services, lost), key).endswith(no_boundary)
    # An Allow for the role is limited; one for the session itself is not.
    session = "arn:aws:sts::123456789012:assumed-role/bounded/session"
    for name, expected in ((bounded, no_boundary), (session, "allowed")):
        text = policy(statement(), statement(Principal={"AWS": name}))
        named = kms.create_key(Policy=text)["KeyMetadata"]["Arn"]
        assert data_key(assumed(services, bounded), named).endswith(expected)


def test_explicit_denials_of_limits_have_their_own_texts(services: Any) -> None:
    iam = services("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    denied = json.dumps(
        {
            "Statement": {"Effect": "Deny", "Action": "kms:*", "Resource": "*"},
            "Version": "2012-10-17",
        }
    )
    boundary = iam.create_policy(PolicyName="d", PolicyDocument=denied)["Policy"]["Arn"]
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)
    role = "arn:aws:iam::123456789012:role/r"
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    told = data_key(assumed(services, role), key)
    assert told.endswith("with an explicit deny in a permissions boundary")
    iam.delete_role_permissions_boundary(RoleName="r")
    told = data_key(assumed(services, role, Policy=denied), key)
    assert told.endswith("with an explicit deny in a session policy")


def test_tags_and_names_of_the_caller_are_condition_keys(services: Any) -> None:
    iam, kms = services("iam"), services("kms")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    tags = [{"Key": "team", "Value": "blue"}]
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust, Tags=tags)["Role"]
    iam.create_user(UserName="alice", Tags=tags)
    made = iam.create_access_key(UserName="alice")["AccessKey"]
    alice = services(
        "kms",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
    )
    session = assumed(services, role["Arn"])

    def key(**condition: Any) -> str:
        everybody = statement(Principal="*", Condition=condition)
        arn: str = kms.create_key(Policy=policy(statement(), everybody))["KeyMetadata"]["Arn"]
        return arn

    team = key(StringEquals={"aws:PrincipalTag/team": "blue"})
    assert data_key(alice, team) == data_key(session, team) == "allowed"
    assert "no resource-based policy" in data_key(
        alice, key(StringEquals={"aws:PrincipalTag/team": "red"})
    )
    assert data_key(alice, key(StringEquals={"aws:username": "alice"})) == "allowed"
    by_id = key(StringEquals={"aws:userid": f"{role['RoleId']}:session"})
    assert data_key(session, by_id) == "allowed"
    assert "no resource-based policy" in data_key(alice, by_id)


def test_grants_allow_and_attest_nothing(services: Any) -> None:
    iam = services("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName="grantee", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    kms, grantee = services("kms"), assumed(services, role)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    assert "no identity-based policy" in data_key(grantee, key)
    grant = kms.create_grant(KeyId=key, GranteePrincipal=role, Operations=["GenerateDataKey"])
    assert data_key(grantee, key) == "allowed"
    with pytest.raises(ClientError, match="no identity-based policy allows the kms:Decrypt"):
        call(grantee, key, "decrypt")
    attested_only = statement(
        Effect="Deny", Principal="*", Action="kms:Gen*", Condition={"Null": {PCR0: "true"}}
    )
    kms.put_key_policy(KeyId=key, Policy=policy(statement(), attested_only))
    assert "with an explicit deny in a resource-based policy" in data_key(grantee, key)
    kms.put_key_policy(KeyId=key, Policy=policy(statement()))
    assert data_key(grantee, key) == "allowed"
    kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    assert "no resource-based policy" in data_key(grantee, key)


def test_grants_with_constraints(services: Any) -> None:
    kms = services("kms")
    user = services("iam").create_user(UserName="alice")["User"]["Arn"]
    made = services("iam").create_access_key(UserName="alice")["AccessKey"]
    alice = services(
        "kms",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
    )
    key = kms.create_key()["KeyMetadata"]["Arn"]
    granted = kms.create_grant(
        KeyId=key,
        GranteePrincipal=user,
        RetiringPrincipal=user,
        Operations=["GenerateDataKey"],
        Constraints={"EncryptionContextSubset": {"Department": "IT"}},
    )
    members = {"KeyId": key, "KeySpec": "AES_256"}
    with pytest.raises(ClientError, match="AccessDenied"):
        alice.generate_data_key(**members)
    alice.generate_data_key(**members, EncryptionContext={"department": "IT", "a": "b"})
    kms.retire_grant(GrantToken=granted["GrantToken"])
    with pytest.raises(ClientError, match="AccessDenied"):
        alice.generate_data_key(**members, EncryptionContext={"Department": "IT"})


def test_the_retry_of_a_grant_with_a_name_finds_the_grant(kms: Any, key: str) -> None:
    members = {"KeyId": key, "GranteePrincipal": ROLE, "Name": "a"}
    first = kms.create_grant(**members, Operations=["Decrypt", "Encrypt"])
    again = kms.create_grant(**members, Operations=["Encrypt", "Decrypt"], Constraints={})
    assert again["GrantId"] == first["GrantId"]
    assert again["GrantToken"] != first["GrantToken"]
    others = [
        kms.create_grant(**members, Operations=["Decrypt"]),
        kms.create_grant(**{**members, "Name": "b"}, Operations=["Decrypt", "Encrypt"]),
        kms.create_grant(KeyId=key, GranteePrincipal=ROLE, Operations=["Decrypt"]),
        kms.create_grant(KeyId=key, GranteePrincipal=ROLE, Operations=["Decrypt"]),
    ]
    assert len({grant["GrantId"] for grant in [first, *others]}) == 5
    kms.retire_grant(GrantToken=again["GrantToken"])
    for token in (first["GrantToken"], again["GrantToken"]):
        with pytest.raises(ClientError, match="InvalidGrantTokenException"):
            kms.retire_grant(GrantToken=token)


def test_any_token_of_a_grant_is_taken_while_the_grant_is_there(kms: Any, key: str) -> None:
    members = {"KeyId": key, "GranteePrincipal": ROLE, "Operations": ["Decrypt"], "Name": "a"}
    first, again = kms.create_grant(**members), kms.create_grant(**members)
    other = kms.create_grant(KeyId=key, GranteePrincipal=ROLE, Operations=["Encrypt"])
    wanted = {"CiphertextBlob": kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]}
    for token in (first["GrantToken"], again["GrantToken"], other["GrantToken"]):
        assert kms.decrypt(**wanted, GrantTokens=[token])["Plaintext"] == b"secret"
    kms.revoke_grant(KeyId=key, GrantId=first["GrantId"])
    for token in (first["GrantToken"], again["GrantToken"], first["GrantId"]):
        with pytest.raises(ClientError, match="InvalidGrantTokenException"):
            kms.decrypt(**wanted, GrantTokens=[other["GrantToken"], token])
    with pytest.raises(ClientError, match=r"grantTokens\.1\.member"):
        kms.decrypt(**wanted, GrantTokens=["x" * 8193])


def test_a_replica_has_grants_and_aliases_of_its_own(kms: Any) -> None:
    key = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    kms.replicate_key(KeyId=key, ReplicaRegion="eu-west-1")
    kms.create_grant(KeyId=key, GranteePrincipal=ROLE, Operations=["Decrypt"])
    replica = kms_backends["123456789012"]["eu-west-1"].keys[key]
    assert (replica.grants, replica.aliases) == ({}, {})
    assert kms.list_aliases(KeyId=key)["Aliases"]


def test_a_policy_that_locks_its_author_out_is_refused(kms: Any, key: str) -> None:
    malformed = kms.exceptions.MalformedPolicyDocumentException
    only_use = policy(statement(Action=["kms:Decrypt", "kms:CreateGrant"]))
    somebody_else = policy(statement(Principal={"AWS": f"{ROLE}Other"}))
    denied = policy(statement(), statement(Effect="Deny", Action="kms:PutKeyPolicy"))
    for text in (only_use, somebody_else, denied):
        with pytest.raises(malformed, match=LOCKOUT):
            kms.create_key(Policy=text)
        with pytest.raises(malformed, match=LOCKOUT):
            kms.put_key_policy(KeyId=key, Policy=text)
        kms.create_key(Policy=text, BypassPolicyLockoutSafetyCheck=True)
    kms.put_key_policy(KeyId=key, Policy=only_use, BypassPolicyLockoutSafetyCheck=True)
    assert kms.get_key_policy(KeyId=key)["Policy"] == only_use
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.put_key_policy(KeyId="00000000-0000-4000-8000-000000000000", Policy=only_use)


def test_where_the_account_decides_the_author_needs_an_identity_policy(services: Any) -> None:
    keys = user_keys(services, identity("kms:CreateKey"))
    text = policy(statement(Principal={"AWS": "123456789012"}))
    malformed = services("kms").exceptions.MalformedPolicyDocumentException
    with pytest.raises(malformed, match=LOCKOUT):
        services("kms", **keys).create_key(Policy=text)
    services("kms").create_key(Policy=text)


def test_a_policy_has_a_size_and_an_alphabet(kms: Any) -> None:
    with pytest.raises(kms.exceptions.LimitExceededException, match="32768 is the most"):
        kms.create_key(Policy=policy(statement(Sid="x" * 32768)))
    with pytest.raises(ClientError, match=r"ValidationException.*at 'policy' failed to satisfy"):
        kms.create_key(Policy=policy(statement()).replace("Allow", "\u20ac"))


def test_the_policy_that_the_console_writes_is_taken(kms: Any) -> None:
    role = {"AWS": ROLE}
    attached = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    text = policy(
        statement(Sid="Enable IAM User Permissions", Principal={"AWS": "123456789012"}),
        statement(Sid="Allow access for Key Administrators", Principal=role, Action="kms:Put*"),
        statement(
            Sid="Allow use of the key", Principal=role, Action=["kms:Decrypt", "kms:Encrypt"]
        ),
        statement(
            Sid="Allow attachment of persistent resources",
            Principal=role,
            Action=["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
            Condition=attached,
        ),
    )
    key = kms.create_key(Policy=text)["KeyMetadata"]["KeyId"]
    assert call(kms, key, "decrypt")["Plaintext"] == b"secret"


def test_an_inactive_access_key_is_refused(services: Any) -> None:
    keys = user_keys(services, identity("kms:*"))
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    services("iam").update_access_key(
        UserName="alice", AccessKeyId=keys["aws_access_key_id"], Status="Inactive"
    )
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        services("kms", **keys).generate_data_key(KeyId=key, KeySpec="AES_256")


def test_a_renamed_user_is_still_that_user(services: Any) -> None:
    keys = user_keys(services)
    key = services("kms").create_key()["KeyMetadata"]["Arn"]
    services("iam").update_user(UserName="alice", NewUserName="bob")
    assert "no identity-based policy" in data_key(services("kms", **keys), key)


def test_what_was_registered_in_moto_is_restored(fake: KmsFake) -> None:
    before = urls.url_paths["{0}/$"]
    with mock_attested_kms(fake):
        assert urls.url_paths["{0}/$"] != before
    assert urls.url_paths["{0}/$"] == before == KmsResponse.dispatch


def test_two_fakes_can_be_mocked_one_in_the_other(fake: KmsFake) -> None:
    with mock_aws(), mock_attested_kms(fake):
        key = client().create_key()["KeyMetadata"]["Arn"]
        assert client().generate_data_key(KeyId=key, KeySpec="AES_128")["Plaintext"]
