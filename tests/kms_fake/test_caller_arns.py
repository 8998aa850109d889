"""Who calls, as an ARN names them."""

from __future__ import annotations

import pytest

from kms_fake.caller_arns import NoCaller, principal_of_arn
from kms_fake.callers import DEFAULT_INSTANCE_ID
from kms_fake.principals import Principal

ACCOUNT = "111122223333"


@pytest.mark.parametrize("name", ["user/alice", "user/a/b/alice@example.com", "root"])
def test_users_and_root_call_as_themselves(name: str) -> None:
    arn = f"arn:aws-us-gov:iam::{ACCOUNT}:{name}"
    assert principal_of_arn(arn) == Principal(arn, ACCOUNT, arn)


def test_a_role_calls_by_a_session() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/apps/enclave"
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave"
    assert principal_of_arn(arn) == Principal(f"{session}/{DEFAULT_INSTANCE_ID}", ACCOUNT, arn)
    assert principal_of_arn(arn, session_name="ci").arn == f"{session}/ci"


def test_a_session_is_of_a_role_without_a_path() -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave/i-1"
    role = f"arn:aws:iam::{ACCOUNT}:role/enclave"
    assert principal_of_arn(arn) == Principal(arn, ACCOUNT, role)


# The ends of what roleSessionNameType of the service model of STS takes.
@pytest.mark.parametrize("name", ["ab", "_+=,.@-", "+42", "a" * 64])
def test_a_session_has_any_name_that_sts_takes(name: str) -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave/{name}"
    assert principal_of_arn(arn).arn == arn


@pytest.mark.parametrize("name", ["a", "a" * 65, "a b", "a/b", "a:b", "a*", "\u00e9t\u00e9"])
def test_a_session_has_no_name_that_sts_refuses(name: str) -> None:
    with pytest.raises(NoCaller):
        principal_of_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave/{name}")


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "alice",
        "*",
        f"arn:aws:iam::{ACCOUNT}:user/*",
        f"arn:aws:iam::{ACCOUNT}:user/",
        f"arn:aws:iam::{ACCOUNT}:group/staff",
        f"arn:aws:iam::{ACCOUNT}:root/x",
        "arn:aws:iam::1234:user/alice",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave/x",
        f"arn:aws:sts::{ACCOUNT}:federated-user/alice",
        f"arn:aws:iam::{ACCOUNT}:assumed-role/enclave/i-1",
        f"arn:aws:iam::{ACCOUNT}:user/alice\n",
    ],
)
def test_what_never_calls(arn: str) -> None:
    with pytest.raises(NoCaller, match="give arn:aws:iam::ACCOUNT:user/NAME"):
        principal_of_arn(arn)
