"""What a grant allows, to whom, and under which constraints."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from kms_fake.authorization import (
    AccessRequest,
    Denial,
    IdentityPermissions,
    Principal,
    assess,
)
from kms_fake.conditions import Context
from kms_fake.grants import Grant
from kms_fake.policy import PolicyKind, parse_policy
from kms_fake.principals import Match, listed

HOME = "111122223333"
ROOT = f"arn:aws:iam::{HOME}:root"
ROLE = f"arn:aws:iam::{HOME}:role/teams/enclave"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/enclave/i-0a1b2c3d4e5f60718"
USER = f"arn:aws:iam::{HOME}:user/alice"
KEY_ARN = f"arn:aws:kms:eu-central-1:{HOME}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CALLER = Principal(SESSION, HOME, ROLE)
NOTHING = IdentityPermissions(())
EVERYTHING = IdentityPermissions.all_of_kms()


def grant(grantee: str = ROLE, *operations: str, **constraints: Any) -> Grant:
    allowed = frozenset(operations or ("Decrypt",))
    return Grant(listed([grantee]), allowed, **constraints)


def match(one: Grant, principal: Principal = CALLER, **context: str) -> Match:
    values = {f"kms:encryptioncontext:{name}": (value,) for name, value in context.items()}
    return one.match(principal, "Decrypt", Context(values))


@pytest.mark.parametrize(
    ("grantee", "expected"),
    [
        pytest.param(ROLE, Match.NAMED, id="role"),
        pytest.param(SESSION, Match.NAMED, id="session"),
        pytest.param(ROOT, Match.ACCOUNT, id="account"),
        pytest.param(USER, Match.NONE, id="somebody-else"),
        pytest.param(f"{SESSION}0", Match.NONE, id="another-session"),
        pytest.param(f"arn:aws:iam::{HOME}:role/enclave", Match.NONE, id="role-without-its-path"),
        pytest.param("not an ARN", Match.NONE, id="nobody"),
        pytest.param("AROAEXAMPLE", Match.NONE, id="unique-id"),
    ],
)
def test_grantees(grantee: str, expected: Match) -> None:
    assert match(grant(grantee)) is expected


def test_operations() -> None:
    assert match(grant(ROLE, "GenerateDataKey", "Encrypt")) is Match.NONE
    assert match(grant(ROLE, "GenerateDataKey", "Decrypt")) is Match.NAMED


@pytest.mark.parametrize(
    ("constraint", "pairs", "expected"),
    [
        pytest.param("context_equals", {"a": "1"}, True, id="equals"),
        pytest.param("context_equals", {"A": "1"}, True, id="equals-name-in-another-case"),
        pytest.param("context_equals", {"a": "1", "b": "2"}, False, id="equals-one-missing"),
        pytest.param("context_equals", {}, False, id="equals-none"),
        pytest.param("context_subset", {"a": "1"}, True, id="subset"),
        pytest.param("context_subset", {"a": "2"}, False, id="subset-another-value"),
        pytest.param("context_subset", {"b": "1"}, False, id="subset-another-name"),
        pytest.param("context_subset", {}, True, id="subset-of-nothing"),
    ],
)
def test_constraints_on_the_encryption_context(
    constraint: str, pairs: dict[str, str], expected: bool
) -> None:
    constraints: dict[str, Any] = {constraint: pairs}
    found = match(grant(**constraints), a="1")
    assert (found is Match.NAMED) is expected


def test_equals_takes_no_further_pair_and_values_have_a_case() -> None:
    assert match(grant(context_equals={"a": "x"}), a="x", b="y") is Match.NONE
    assert match(grant(context_subset={"a": "x"}), a="x", b="y") is Match.NAMED
    assert match(grant(context_subset={"a": "X"}), a="x") is Match.NONE
    assert match(grant(context_subset={"a": "x"})) is Match.NONE


def test_source_arn() -> None:
    arn = "arn:aws:s3:::bucket"
    one = grant(source_arn=arn)
    assert match(one) is Match.NONE
    assert one.match(CALLER, "Decrypt", Context({"aws:sourcearn": (arn,)})) is Match.NAMED


def test_a_constraint_of_another_kind_is_never_met() -> None:
    assert match(grant(unknown_constraint=True)) is Match.NONE


def assessed(
    *grants: Grant,
    key_policy: list[dict[str, Any]] | None = None,
    identity: IdentityPermissions = NOTHING,
    principal: Principal = CALLER,
) -> set[Denial]:
    nobody = {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "kms:*", "Resource": "*"}
    text = json.dumps({"Statement": key_policy or [nobody]})
    request = AccessRequest(principal, "kms:Decrypt", KEY_ARN, HOME, {})
    policy = parse_policy(text, PolicyKind.KEY)
    return set(assess(request, policy, identity, grants).denials)


def test_a_grant_suffices() -> None:
    assert assessed() == {Denial.NO_RESOURCE_ALLOW, Denial.NO_IDENTITY_ALLOW}
    assert assessed(grant()) == set()
    assert assessed(grant(USER), grant(SESSION)) == set()


def test_a_grant_to_an_account_leaves_it_to_its_policies() -> None:
    assert assessed(grant(ROOT)) == {Denial.NO_IDENTITY_ALLOW}
    assert assessed(grant(ROOT), identity=EVERYTHING) == set()
    assert assessed(grant(ROOT), grant()) == set()


def test_an_explicit_deny_wins() -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    assert assessed(grant(), key_policy=[deny]) == {Denial.RESOURCE_EXPLICIT}


def test_limits_of_the_caller_limit_grants() -> None:
    other = '{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}'
    limit = parse_policy(other, PolicyKind.IDENTITY)
    for grantee in (ROLE, SESSION):
        bounded = IdentityPermissions(EVERYTHING.policies, boundary=limit)
        assert assessed(grant(grantee), identity=bounded) == {Denial.NO_BOUNDARY_ALLOW}
        in_session = IdentityPermissions(EVERYTHING.policies, session=(limit,))
        assert assessed(grant(grantee), identity=in_session) == {Denial.NO_SESSION_ALLOW}


def test_a_caller_of_another_account_needs_its_own_policies_too() -> None:
    user = "arn:aws:iam::444455556666:user/bob"
    bob = Principal(user, "444455556666", user)
    assert assessed(grant(user), principal=bob) == {Denial.NO_IDENTITY_ALLOW}
    assert assessed(grant(user), principal=bob, identity=EVERYTHING) == set()


def test_any_mapping_is_a_context() -> None:
    context: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    assert grant(source_arn="arn:a").match(CALLER, "Decrypt", context) is Match.NONE
