"""The IAM policy of a hardware run: all that is listed, on keys of runs, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from kms_fake.actions import ACTIONS
from kms_fake.authorization import AccessRequest, IdentityPermissions, assess
from kms_fake.caller_arns import principal_of_arn
from kms_fake.policy import Policy, PolicyKind, parse_policy
from real_hw.permissions import PERMISSIONS, RUN_TAG, BadAccount, Guard, Scope, Where, policy
from simulator import cli

ACCOUNT = "111122223333"
WHERE = Where(ACCOUNT, "us-east-1", "runner")
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
OF_IAM = json.dumps(
    {
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    }
)
"""A key policy whose administrator statement leaves everything to IAM."""


@pytest.fixture(scope="module", name="printed")
def _printed() -> IdentityPermissions:
    # The evaluator is one of KMS: actions of other services have no place in it.
    document = policy(WHERE)
    for statement in document["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each.startswith("kms:")]
    document["Statement"] = [each for each in document["Statement"] if each["Action"]]
    return IdentityPermissions((parse_policy(json.dumps(document), PolicyKind.IDENTITY),))


@pytest.fixture(scope="module", name="key_policy")
def _key_policy() -> Policy:
    return parse_policy(OF_IAM, PolicyKind.KEY)


def allowed(
    printed: IdentityPermissions, key_policy: Policy, context: Mapping[str, str], key: str = KEY
) -> set[str]:
    principal = principal_of_arn(f"arn:aws:iam::{ACCOUNT}:role/runner", session_name="i-1")
    requests = (AccessRequest(principal, action, key, ACCOUNT, context) for action in ACTIONS)
    return {
        request.action for request in requests if not assess(request, key_policy, printed).denials
    }


def test_keys_of_a_run_may_be_used_and_those_of_others_not_even_looked_at(
    printed: IdentityPermissions, key_policy: Policy
) -> None:
    of_key = {each.action for each in PERMISSIONS if each.guard is Guard.RESOURCE_TAG}
    anywhere = {"kms:ListKeys"}
    tag = {f"aws:ResourceTag/{RUN_TAG}": "20261127-1"}
    assert allowed(printed, key_policy, tag) == of_key | anywhere
    assert allowed(printed, key_policy, {}) == anywhere
    for other in ({f"aws:ResourceTag/{RUN_TAG}": ""}, {"aws:ResourceTag/run": "1"}):
        assert allowed(printed, key_policy, other) == anywhere
    elsewhere = KEY.replace("us-east-1", "eu-west-1")
    assert allowed(printed, key_policy, tag, elsewhere) == anywhere


def test_keys_are_made_with_the_tag_only(printed: IdentityPermissions, key_policy: Policy) -> None:
    made = {"kms:CreateKey", "kms:TagResource", "kms:ListKeys"}
    assert allowed(printed, key_policy, {f"aws:RequestTag/{RUN_TAG}": "1"}) == made
    assert allowed(printed, key_policy, {"aws:RequestTag/other": "1"}) == {"kms:ListKeys"}


def test_every_action_is_in_one_statement_and_none_is_a_wildcard() -> None:
    statements = policy(WHERE)["Statement"]
    actions = [action for statement in statements for action in statement["Action"]]
    wanted = [each.action for each in PERMISSIONS if each.scope is not Scope.NOTHING]
    assert sorted(actions) == sorted(wanted)
    assert not any("*" in action for action in actions)
    assert {action for action in actions if action.startswith("kms:")} <= ACTIONS
    for each in PERMISSIONS:
        assert each.why, each.action
        assert not each.why.endswith("."), each.action


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--account", ACCOUNT, "--region", "cn-north-1", "--role", "ci/runner"]
    assert cli.main(["hardware", "policy", *words]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == policy(Where(ACCOUNT, "cn-north-1", "ci/runner"))
    resources = {statement["Resource"] for statement in printed["Statement"]}
    assert resources == {
        "*",
        f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/*",
        f"arn:aws-cn:iam::{ACCOUNT}:role/ci/runner",
    }
    assert cli.main(["hardware", "policy"]) == 0
    assert "arn:aws:kms:*:*:key/*" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--account", "1111", "'1111' is no account; give 12 digits"),
        ("--account", "", "'' is no account"),
        ("--region", "us east", "'us east' is no Region; give a name such as us-east-1"),
        ("--role", "arn:aws:iam::1:role/x y", "is no role; give the name of a role"),
    ],
)
def test_what_is_no_account_region_or_role_is_a_sentence(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["hardware", "policy", option, value]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("attested-kms hardware policy: ")
    assert said in error


def test_a_role_that_is_an_arn_is_refused() -> None:
    with pytest.raises(BadAccount):
        Where(role=f"arn:aws:iam::{ACCOUNT}:role/runner")
