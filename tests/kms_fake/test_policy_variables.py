"""Policy variables in resources and conditions, and the NotResource element."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kms_fake.authorization import AccessRequest, IdentityPermissions, Principal, assess
from kms_fake.policy import PolicyKind, parse_policy

HOME = "111122223333"
ROOT = f"arn:aws:iam::{HOME}:root"
USER = f"arn:aws:iam::{HOME}:user/bob"
KEY_ARN = f"arn:aws:kms:eu-central-1:{HOME}:key/bob-1"
PAIR = "kms:EncryptionContext:user"
DELEGATED = parse_policy(
    json.dumps(
        {
            "Statement": {
                "Effect": "Allow",
                "Principal": {"AWS": ROOT},
                "Action": "kms:*",
                "Resource": "*",
            }
        }
    ),
    PolicyKind.KEY,
)


def allowed(*statements: dict[str, Any], version: str = "2012-10-17", **context: str) -> bool:
    """Whether the identity policy allows a user named bob, whose encryption context says so too."""
    elements = [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"} | one for one in statements
    ]
    for one in elements:
        if "NotResource" in one:
            del one["Resource"]
    policy = parse_policy(
        json.dumps({"Version": version, "Statement": elements}), PolicyKind.IDENTITY
    )
    values = {PAIR: "bob", "aws:username": "bob"} | context
    request = AccessRequest(Principal(USER, HOME, USER), "kms:Decrypt", KEY_ARN, HOME, values)
    return not assess(request, DELEGATED, IdentityPermissions((policy,))).denials


def when(operator: str, value: object, key: str = PAIR) -> dict[str, Any]:
    return {"Condition": {operator: {key: value}}}


DENY = {"Effect": "Deny"}
ABSENT = "${aws:PrincipalTag/team}"


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        pytest.param("StringEquals", "${aws:username}", True, id="equals"),
        pytest.param("StringEquals", "${AWS:UserName}", True, id="names-have-no-case"),
        pytest.param("StringEquals", "x-${aws:username}", False, id="beside-text"),
        pytest.param("StringLike", "${aws:username}*", True, id="with-a-wildcard"),
        pytest.param("StringNotEquals", "${aws:username}", False, id="negated"),
        pytest.param("StringEqualsIgnoreCase", "B${*}B", False, id="star-itself"),
        pytest.param("StringEquals", ABSENT, False, id="no-value"),
        pytest.param("StringNotEquals", ABSENT, True, id="no-value-negated"),
        pytest.param("StringLike", [ABSENT, "b*"], True, id="no-value-beside-another"),
        pytest.param("StringEquals", "${aws:PrincipalTag/team, 'bob'}", True, id="default"),
        pytest.param("StringEquals", "${aws:username, 'x'}", True, id="default-not-needed"),
        pytest.param("StringEquals", "${aws:PrincipalTag/team, ''}", False, id="empty-default"),
    ],
)
def test_conditions(operator: str, value: object, expected: bool) -> None:
    assert allowed(when(operator, value)) is expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [("a${*}b", "a*b", True), ("a${*}b", "axb", False), ("a${?}", "a?", True), ("${$}", "$", True)],
)
def test_characters(pattern: str, value: str, expected: bool) -> None:
    assert allowed(when("StringLike", pattern), **{PAIR: value}) is expected
    assert allowed(when("StringEquals", pattern), **{PAIR: value}) is expected


def test_a_wildcard_in_a_value_stands_for_itself() -> None:
    key = "kms:EncryptionContext:of"
    condition = when("StringLike", "${kms:EncryptionContext:of}")
    assert not allowed(condition, **{key: "*"})
    assert allowed(condition, **{key: "*", PAIR: "*"})


def test_arn_operators_take_variables() -> None:
    condition = when("ArnLike", "${kms:EncryptionContext:user}", "aws:PrincipalArn")
    assert allowed(condition, **{PAIR: USER})
    assert not allowed(condition)  # A value that is no ARN is met, and matches nothing.
    tail = when("ArnEquals", "arn:aws:iam::111122223333:user/${aws:username}", "aws:PrincipalArn")
    assert allowed(tail)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        pytest.param("arn:aws:kms:*:*:key/${aws:username}-?", True, id="variable"),
        pytest.param("arn:aws:kms:*:*:key/${aws:userid}-?", False, id="no-value"),
        pytest.param("arn:aws:kms:*:*:key/${aws:userid, 'bob'}-1", True, id="default"),
        pytest.param(["arn:aws:kms:*:*:key/${aws:userid}", KEY_ARN], True, id="one-of-two"),
        pytest.param("arn:aws:kms:*:*:key/${*}", False, id="star-itself"),
    ],
)
def test_resources(resource: object, expected: bool) -> None:
    assert allowed({"Resource": resource}) is expected


@pytest.mark.parametrize(
    ("not_resource", "as_allow", "as_deny"),
    [
        pytest.param(KEY_ARN, False, True, id="this-key"),
        pytest.param("*", False, True, id="every-key"),
        pytest.param(f"{KEY_ARN}0", True, False, id="another-key"),
        pytest.param(["arn:aws:s3:::b", f"{KEY_ARN}?"], True, False, id="two-others"),
        pytest.param("arn:aws:kms:*:*:key/${aws:username}-1", False, True, id="variable"),
        # Unknown: taken the way that allows less.
        pytest.param("arn:aws:kms:*:*:key/${aws:userid}-1", False, False, id="no-value"),
    ],
)
def test_not_resource(not_resource: object, as_allow: bool, as_deny: bool) -> None:
    assert allowed({"NotResource": not_resource}) is as_allow
    assert allowed({}, {**DENY, "NotResource": not_resource}) is as_deny


def test_variables_are_text_in_the_older_language() -> None:
    condition = when("StringEquals", "${aws:username}")
    assert not allowed(condition, version="2008-10-17")
    assert allowed(condition, version="2008-10-17", **{PAIR: "${aws:username}"})
    assert not allowed({"Resource": "arn:aws:kms:*:*:key/${aws:username}-1"}, version="2008-10-17")
