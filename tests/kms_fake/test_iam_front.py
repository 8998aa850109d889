"""Limits that moto would forget are refused by name, in both fronts; what it keeps is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from kms_fake import KmsFake, mock_attested_kms, serving

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ROLE = "arn:aws:iam::123456789012:role/app"
BOUNDARY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


@pytest.fixture(params=["socket", "mock_aws"])
def connect(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes clients of a service of AWS."""

    def client(service: str, access_key: str = "any", endpoint: str | None = None) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key="any",  # noqa: S106  # No secret.
        )

    fake = KmsFake([])
    if request.param == "mock_aws":
        with mock_attested_kms(fake):
            yield client
    else:
        with mock_aws(), serving(fake) as server:
            yield lambda service, key="any": client(service, key, server.endpoint)


@pytest.mark.parametrize(
    ("service", "operation", "members", "named"),
    [
        ("sts", "assume_role", {"PolicyArns": [{"arn": BOUNDARY}]}, "PolicyArns"),
        ("sts", "assume_role", {"Tags": [{"Key": "team", "Value": "red"}]}, "Tags"),
        ("sts", "assume_role", {"SourceIdentity": "alice"}, "SourceIdentity"),
        ("sts", "get_federation_token", {"Name": "bob", "Policy": TRUST}, "FederationToken"),
        ("sts", "get_federation_token", {"Name": "bob"}, "FederationToken"),
        ("iam", "create_user", {"UserName": "bob", "PermissionsBoundary": BOUNDARY}, "Boundary"),
    ],
)
def test_a_limit_that_would_be_forgotten_is_refused(
    connect: Any, service: str, operation: str, members: dict[str, Any], named: str
) -> None:
    role = {"RoleArn": ROLE, "RoleSessionName": "session"}
    needed = role if operation.startswith("assume") else {}
    with pytest.raises(ClientError, match=rf"ValidationError.*{named}.*not simulated"):
        getattr(connect(service), operation)(**needed, **members)


def test_web_identities_have_no_forgotten_limit_either() -> None:
    """Inside one mock: the request is unsigned, and the server takes signed ones only."""
    with mock_attested_kms(KmsFake([])):
        sts = boto3.client("sts", region_name="us-east-1")
        with pytest.raises(ClientError, match=r"ValidationError.*PolicyArns.*not simulated"):
            sts.assume_role_with_web_identity(
                RoleArn=ROLE,
                RoleSessionName="session",
                WebIdentityToken="token",  # No secret.
                PolicyArns=[{"arn": BOUNDARY}],
            )


def test_what_is_kept_is_taken(connect: Any) -> None:
    connect("iam").create_user(UserName="bob")
    sts = connect("sts")
    answer = sts.assume_role(RoleArn=ROLE, RoleSessionName="session", Policy=TRUST)
    assert answer["AssumedRoleUser"]["Arn"].endswith(":assumed-role/app/session")
    assert sts.get_session_token()["Credentials"]


def test_no_user_gets_the_credentials_of_the_default_caller(connect: Any) -> None:
    connect("iam").create_user(UserName="bob")
    made = connect("iam").create_access_key(UserName="bob")["AccessKey"]
    bob = connect("sts", made["AccessKeyId"])
    with pytest.raises(ClientError, match=r"ValidationError.*GetSessionToken is not simulated"):
        bob.get_session_token()
    role = bob.assume_role(RoleArn=ROLE, RoleSessionName="session")["Credentials"]
    with pytest.raises(ClientError, match=r"ValidationError.*GetSessionToken is not simulated"):
        connect("sts", role["AccessKeyId"]).get_session_token()
