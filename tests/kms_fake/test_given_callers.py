"""Callers whom the fake was given, and whose account a request is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from kms_fake import KmsFake, mock_attested_kms, serving
from kms_fake.caller_arns import principal_of_arn
from kms_fake.callers import DEFAULT_INSTANCE_ID, Caller, identity_of_policies
from tests.kms_fake import world

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "999900001111"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
ALICES_KEY, BOBS_KEY, OTHER_KEY = "AKIA000000000000ALIC", "AKIA0000000000000BOB", "AKIA" + "O" * 16
EVERYTHING = '{"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}'


def caller(arn: str, *policies: str) -> Caller:
    return Caller(principal_of_arn(arn), identity_of_policies(policies))


@pytest.fixture
def fake() -> KmsFake:
    made = world.fake()
    made.callers = {
        ALICES_KEY: caller(ALICE, EVERYTHING),
        BOBS_KEY: caller(f"arn:aws:iam::{ACCOUNT}:user/bob"),
        OTHER_KEY: caller(f"arn:aws:iam::{OTHER_ACCOUNT}:role/r", EVERYTHING),
    }
    return made


@pytest.fixture(params=["socket", "mock_aws"])
def clients(request: pytest.FixtureRequest, fake: KmsFake) -> Iterator[Any]:
    """Makes clients of the fake by access key."""

    def client(access_key: str, service: str = "kms", **options: Any) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key="any",  # noqa: S106  # No secret.
            **options,
        )

    if request.param == "mock_aws":
        with mock_attested_kms(fake):
            yield client
    else:
        with serving(fake) as server:
            yield lambda *arguments: client(*arguments, endpoint_url=server.endpoint)


def test_each_access_key_is_its_caller(clients: Any) -> None:
    metadata = clients(ALICES_KEY).create_key()["KeyMetadata"]
    assert metadata["AWSAccountId"] == ACCOUNT
    request = {"KeyId": metadata["Arn"], "KeySpec": "AES_256"}
    assert clients(ALICES_KEY).generate_data_key(**request)["KeyId"] == metadata["Arn"]
    with pytest.raises(ClientError) as caught:
        clients(BOBS_KEY).generate_data_key(**request)
    assert caught.value.response["Error"]["Message"] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/bob is not authorized to perform: kms:GenerateDataKey "
        f"on resource: {metadata['Arn']} because no identity-based policy allows the "
        "kms:GenerateDataKey action"
    )


def test_keys_are_of_the_callers_account(clients: Any) -> None:
    assert clients(OTHER_KEY).create_key()["KeyMetadata"]["AWSAccountId"] == OTHER_ACCOUNT
    assert clients("UNKNOWN").create_key()["KeyMetadata"]["AWSAccountId"] == "123456789012"


@contextmanager
def over_http(
    fake: KmsFake, access_key: str, service: str = "kms", **headers: str
) -> Iterator[Any]:
    with serving(fake) as server:
        made = boto3.client(
            service,
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key="any",  # noqa: S106  # No secret.
        )

        def add_headers(request: Any, **_: object) -> None:
            for name, value in headers.items():
                request.headers[name] = value

        made.meta.events.register("before-sign.*.*", add_headers)
        yield made
        made.close()


def test_unknown_access_keys_are_of_the_fakes_account() -> None:
    fake = world.fake()
    fake.account = ACCOUNT
    with over_http(fake, "UNKNOWN") as kms:
        metadata = kms.create_key()["KeyMetadata"]
        assert metadata["Arn"].startswith(f"arn:aws:kms:us-east-1:{ACCOUNT}:key/")
        kms.create_alias(AliasName="alias/a", TargetKeyId=metadata["KeyId"])
        assert kms.list_aliases()["Aliases"][0]["AliasArn"].split(":")[4] == ACCOUNT
        blob = kms.encrypt(KeyId="alias/a", Plaintext=b"secret")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"
    with over_http(fake, "UNKNOWN", "sts") as sts:
        assert sts.get_caller_identity()["Account"] == ACCOUNT
    with over_http(fake, "UNKNOWN", "iam") as iam:
        assert iam.create_user(UserName="carol")["User"]["Arn"].split(":")[4] == ACCOUNT
        made = iam.create_access_key(UserName="carol")["AccessKey"]["AccessKeyId"]
    assert fake.account_of(made) == ACCOUNT
    assert fake.caller(made).principal.arn == f"arn:aws:iam::{ACCOUNT}:user/carol"


@pytest.mark.parametrize(
    ("access_key", "arn", "user_id"),
    [
        (ALICES_KEY, ALICE, r"AIDA[A-Z2-7]{17}"),
        (
            OTHER_KEY,
            f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/r/{DEFAULT_INSTANCE_ID}",
            rf"AROA[A-Z2-7]{{17}}:{DEFAULT_INSTANCE_ID}",
        ),
        ("SHORT", f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT),
        (
            "UNKNOWN",
            f"arn:aws:sts::123456789012:assumed-role/EnclaveInstance/{DEFAULT_INSTANCE_ID}",
            rf"AROA[A-Z0-9]{{17}}:{DEFAULT_INSTANCE_ID}",
        ),
    ],
)
def test_sts_tells_a_caller_the_arn_that_a_denial_does(
    fake: KmsFake, access_key: str, arn: str, user_id: str
) -> None:
    fake.callers = {**fake.callers, "SHORT": caller(f"arn:aws:iam::{ACCOUNT}:root")}
    with over_http(fake, access_key, "sts") as sts:
        answer = sts.get_caller_identity()
    assert (answer["Arn"], answer["Account"]) == (arn, arn.split(":")[4])
    assert re.fullmatch(user_id, answer["UserId"])


def test_sts_leaves_motos_users_to_moto(fake: KmsFake) -> None:
    with over_http(fake, "UNKNOWN", "iam") as iam:
        iam.create_user(UserName="dave")
        made = iam.create_access_key(UserName="dave")["AccessKey"]["AccessKeyId"]
    with over_http(fake, made, "sts") as sts:
        assert sts.get_caller_identity()["Arn"].endswith(":user/dave")


def test_a_session_of_a_role_of_the_account() -> None:
    fake = world.fake()
    fake.account = ACCOUNT
    role = f"arn:aws:iam::{ACCOUNT}:role/reader"
    with over_http(fake, "UNKNOWN", "sts") as sts:
        made = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    with over_http(fake, made["AccessKeyId"]) as kms:
        assert kms.create_key()["KeyMetadata"]["AWSAccountId"] == ACCOUNT
    session = fake.caller(made["AccessKeyId"]).principal.arn
    assert session == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/session"


def test_motos_header_says_whose_a_request_is_but_not_of_listed_callers(fake: KmsFake) -> None:
    header = {"x-moto-account-id": OTHER_ACCOUNT}
    for access_key, account in (("UNKNOWN", OTHER_ACCOUNT), (ALICES_KEY, ACCOUNT)):
        with over_http(fake, access_key, **header) as kms:
            metadata = kms.create_key()["KeyMetadata"]
            assert metadata["AWSAccountId"] == account
            kms.generate_data_key(KeyId=metadata["Arn"], KeySpec="AES_256")
