"""Keys that are put into moto whole, and how the API then shows and uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_fake import KmsRefusal, serving
from kms_fake.given_keys import GivenGrant, GivenKey, add_key, is_region
from tests.kms_fake import world

ACCOUNT = "210987654321"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
MULTI_REGION_ID = "mrk-1234abcd12ab34cd56ef1234567890ab"
ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY_ID}"


def given(**members: Any) -> GivenKey:
    right = {"key_id": KEY_ID, "account": ACCOUNT, "region": "us-east-1", "material": b"\x01" * 32}
    return GivenKey(**{**right, **members})


@pytest.fixture
def endpoint() -> Iterator[str]:
    fake = world.fake()
    fake.account = ACCOUNT
    with serving(fake) as server:
        yield server.endpoint


def client(endpoint: str, region: str = "us-east-1") -> Any:
    return boto3.client(
        "kms",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="UNKNOWN",
        aws_secret_access_key="any",  # noqa: S106  # No secret.
    )


def test_a_symmetric_key_is_shown_and_used_as_given(endpoint: str) -> None:
    add_key(given(aliases=("alias/a", "alias/b"), description="one", tags={"Team": "x"}))
    kms = client(endpoint)
    metadata = kms.describe_key(KeyId=KEY_ID)["KeyMetadata"]
    assert (metadata["Arn"], metadata["AWSAccountId"]) == (ARN, ACCOUNT)
    assert (metadata["KeySpec"], metadata["Description"]) == ("SYMMETRIC_DEFAULT", "one")
    assert metadata["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"]
    assert (metadata["Enabled"], metadata["MultiRegion"]) == (True, False)
    assert kms.list_resource_tags(KeyId=KEY_ID)["Tags"] == [{"TagKey": "Team", "TagValue": "x"}]
    policy = kms.get_key_policy(KeyId=KEY_ID, PolicyName="default")["Policy"]
    assert f"arn:aws:iam::{ACCOUNT}:root" in policy
    blob = kms.encrypt(KeyId="alias/a", Plaintext=b"secret")["CiphertextBlob"]
    answer = kms.decrypt(CiphertextBlob=blob, KeyId=f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/b")
    assert (answer["Plaintext"], answer["KeyId"]) == (b"secret", ARN)


def test_the_same_material_opens_what_another_run_sealed(endpoint: str) -> None:
    kms = client(endpoint)
    add_key(given())
    blob = kms.encrypt(KeyId=KEY_ID, Plaintext=b"secret")["CiphertextBlob"]
    add_key(given(material=b"\x02" * 32))
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=blob)
    add_key(given())
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"


def test_an_rsa_key(endpoint: str) -> None:
    add_key(given(spec="RSA_2048", material=world.rsa_key()))
    kms = client(endpoint)
    metadata = kms.describe_key(KeyId=KEY_ID)["KeyMetadata"]
    assert (metadata["KeySpec"], metadata["KeyUsage"]) == ("RSA_2048", "ENCRYPT_DECRYPT")
    public = load_der_public_key(kms.get_public_key(KeyId=KEY_ID)["PublicKey"])
    assert public == world.rsa_key().public_key()
    request = {"KeyId": KEY_ID, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = kms.encrypt(Plaintext=b"secret", **request)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, **request)["Plaintext"] == b"secret"


def test_an_rsa_key_that_signs(endpoint: str) -> None:
    add_key(given(spec="RSA_2048", usage="SIGN_VERIFY", material=world.rsa_key()))
    request = {"KeyId": KEY_ID, "Message": b"text", "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}
    signature = client(endpoint).sign(**request)["Signature"]
    world.rsa_key().public_key().verify(signature, b"text", padding.PKCS1v15(), SHA256())


def test_a_disabled_key(endpoint: str) -> None:
    add_key(given(enabled=False))
    kms = client(endpoint)
    assert kms.describe_key(KeyId=KEY_ID)["KeyMetadata"]["KeyState"] == "Disabled"
    with pytest.raises(kms.exceptions.DisabledException):
        kms.generate_data_key(KeyId=KEY_ID, KeySpec="AES_256")


def test_a_multi_region_key_and_its_replica(endpoint: str) -> None:
    regions = ("us-east-1", "eu-west-1")
    for region in regions:
        add_key(given(key_id=MULTI_REGION_ID, region=region, regions=regions))
    primary, replica = (client(endpoint, region) for region in regions)
    blob = primary.encrypt(KeyId=MULTI_REGION_ID, Plaintext=b"secret")["CiphertextBlob"]
    answer = replica.decrypt(CiphertextBlob=blob, KeyId=MULTI_REGION_ID)
    assert answer["Plaintext"] == b"secret"
    assert answer["KeyId"] == f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{MULTI_REGION_ID}"
    for kms, kind in ((primary, "PRIMARY"), (replica, "REPLICA"), (primary, "PRIMARY")):
        metadata = kms.describe_key(KeyId=MULTI_REGION_ID)["KeyMetadata"]
        configuration = metadata["MultiRegionConfiguration"]
        assert (metadata["MultiRegion"], configuration["MultiRegionKeyType"]) == (True, kind)
        assert configuration["PrimaryKey"]["Region"] == "us-east-1"
        assert [key["Region"] for key in configuration["ReplicaKeys"]] == ["eu-west-1"]


def test_a_grant(endpoint: str) -> None:
    grantee = f"arn:aws:iam::{ACCOUNT}:user/alice"
    constraints = {"EncryptionContextEquals": {"a": "b"}}
    grant = GivenGrant(
        grantee_principal=grantee, operations=("Decrypt",), name="g", constraints=constraints
    )
    add_key(given(grants=(grant,)))
    (shown,) = client(endpoint).list_grants(KeyId=KEY_ID)["Grants"]
    assert (shown["Name"], shown["GranteePrincipal"]) == ("g", grantee)
    assert (shown["Operations"], shown["Constraints"]) == (["Decrypt"], constraints)


def test_regions() -> None:
    assert is_region("cn-north-1")
    assert not is_region("mars-1")
    with pytest.raises(KmsRefusal, match="There is no Region mars-1"):
        add_key(given(region="mars-1"))
