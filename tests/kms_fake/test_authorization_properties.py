"""What holds for all policies, whatever they say."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kms_fake.authorization import (
    AccessRequest,
    Denial,
    IdentityPermissions,
    Principal,
    assess,
)
from kms_fake.grants import Grant
from kms_fake.policy import PolicyKind, parse_policy
from kms_fake.principals import listed
from tests.kms_fake.told import authorize

HOME, ABROAD = "111122223333", "444455556666"
ROOT = f"arn:aws:iam::{HOME}:root"
ROLE = f"arn:aws:iam::{HOME}:role/r"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/r/s"
USER = f"arn:aws:iam::{ABROAD}:user/u"
KEY_ARN = f"arn:aws:kms:eu-central-1:{HOME}:key/k"

CALLERS = st.sampled_from(
    [Principal(SESSION, HOME, ROLE), Principal(ROOT, HOME, ROOT), Principal(USER, ABROAD, USER)]
)
PRINCIPALS = st.sampled_from(["*", HOME, ROOT, ROLE, SESSION, USER, ABROAD])
ACTIONS = st.sampled_from(["kms:Decrypt", "kms:*", "*", "kms:GenerateDataKey*", "kms:Encrypt"])
RESOURCES = st.sampled_from(["*", KEY_ARN, "arn:aws:kms:*:*:key/*", "arn:aws:kms:*:*:key/other"])
KEYS = st.sampled_from(["kms:RecipientAttestation:PCR0", "kms:EncryptionContext:A"])
VALUES = st.sampled_from(["00", "11", "1*", "AA", "aa"])
STRING_OPERATORS = st.builds(
    lambda negation, kind, suffix: f"String{negation}{kind}{suffix}",
    st.sampled_from(["", "Not"]),
    st.sampled_from(["Equals", "EqualsIgnoreCase", "Like"]),
    st.sampled_from(["", "IfExists"]),
)
STRING_CONDITIONS = st.dictionaries(
    STRING_OPERATORS,
    st.dictionaries(KEYS, st.lists(VALUES, min_size=1, max_size=2), min_size=1, max_size=2),
    max_size=2,
)
OTHER_CONDITIONS = st.sampled_from(
    [
        {},
        {"Null": {"kms:RecipientAttestation:PCR0": "true"}},
        {"Bool": {"kms:MultiRegion": "true"}},
        {"NumericLessThan": {"aws:MultiFactorAuthAge": "10"}},
        {"DateGreaterThanIfExists": {"aws:CurrentTime": "2026-01-01"}},
        {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}},
        {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["A"]}},
        {"ForAnyValue:StringNotLike": {"kms:EncryptionContextKeys": ["A*"]}},
    ]
)
CONDITIONS = st.builds(lambda one, two: one | two, STRING_CONDITIONS, OTHER_CONDITIONS)
CONTEXTS = st.builds(
    lambda one, two: one | two,
    st.dictionaries(KEYS | st.just("kms:EncryptionContext:a"), st.sampled_from(["00", "11", "aa"])),
    st.fixed_dictionaries(
        {},
        optional={
            "kms:MultiRegion": st.sampled_from(["true", "false"]),
            "aws:MultiFactorAuthAge": st.sampled_from(["5", "50"]),
            "aws:CurrentTime": st.sampled_from(["2025-06-01", "2026-06-01"]),
            "aws:SourceIp": st.sampled_from(["203.0.113.9", "2001:db8::1"]),
            "kms:EncryptionContextKeys": st.sampled_from([("A",), ("A", "B"), ()]),
        },
    ),
)


def statements(effects: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Statements without a principal."""
    common = {"Effect": effects, "Resource": RESOURCES, "Condition": CONDITIONS}
    return st.fixed_dictionaries({"Action": ACTIONS, **common}) | st.fixed_dictionaries(
        {"NotAction": ACTIONS, **common}
    )


def key_statements(effect: str) -> st.SearchStrategy[dict[str, Any]]:
    """Statements with one; a Deny may spare principals instead."""
    names = st.lists(PRINCIPALS, min_size=1, max_size=3).map(lambda names: {"AWS": names})
    elements = st.sampled_from(
        ["Principal"] if effect == "Allow" else ["Principal", "NotPrincipal"]
    )
    principals = st.tuples(elements, names).map(lambda pair: dict([pair]))
    return st.builds(lambda one, two: one | two, statements(st.just(effect)), principals)


ANY_EFFECT = st.sampled_from(["Allow", "Deny"])
KEY_POLICIES = st.lists(key_statements("Allow") | key_statements("Deny"), min_size=1, max_size=4)
IDENTITY_POLICIES = st.lists(statements(ANY_EFFECT), max_size=3)
REQUESTS = st.builds(
    AccessRequest,
    principal=CALLERS,
    action=st.sampled_from(["kms:Decrypt", "kms:GenerateDataKey"]),
    key_arn=st.just(KEY_ARN),
    key_account=st.just(HOME),
    context=CONTEXTS,
)


def decide(
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
    *limits: list[dict[str, Any]],
) -> Denial | None:
    """What is told; of the limits the first is a boundary, the second a session policy."""
    parsed = parse_policy(json.dumps({"Statement": key_policy}), PolicyKind.KEY)
    iam, *others = (
        parse_policy(json.dumps({"Statement": statements}), PolicyKind.IDENTITY)
        for statements in (identity, *limits)
    )
    permissions = IdentityPermissions((iam,), others[0] if others else None, tuple(others[1:]))
    denial = authorize(request, parsed, permissions)
    denials = assess(request, parsed, permissions).denials
    assert (denial in denials) if denials else denial is None
    return denial


@settings(max_examples=60)
@given(
    REQUESTS, KEY_POLICIES, IDENTITY_POLICIES, key_statements("Deny"), statements(st.just("Deny"))
)
def test_one_more_deny_never_allows(
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
    key_deny: dict[str, Any],
    identity_deny: dict[str, Any],
) -> None:
    if decide(request, key_policy, identity) is not None:
        assert decide(request, [*key_policy, key_deny], identity) is not None
        assert decide(request, key_policy, [*identity, identity_deny]) is not None


@settings(max_examples=60)
@given(REQUESTS, KEY_POLICIES, IDENTITY_POLICIES, key_statements("Allow"))
def test_one_more_allow_never_denies(
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
    key_allow: dict[str, Any],
) -> None:
    if decide(request, key_policy, identity) is None:
        assert decide(request, [*key_policy, key_allow], identity) is None


@settings(max_examples=60)
@given(st.data(), REQUESTS, KEY_POLICIES, IDENTITY_POLICIES)
def test_the_order_of_statements_never_matters(
    data: st.DataObject,
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
) -> None:
    shuffled = data.draw(st.permutations(key_policy)), data.draw(st.permutations(identity))
    assert decide(request, *shuffled) is decide(request, key_policy, identity)


@settings(max_examples=60)
@given(REQUESTS, KEY_POLICIES)
def test_nothing_is_allowed_that_the_key_policy_does_not_let_in(
    request: AccessRequest, key_policy: list[dict[str, Any]]
) -> None:
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    without_allows = [one for one in key_policy if one["Effect"] == "Deny"]
    if without_allows:
        assert decide(request, without_allows, everything) in {
            Denial.RESOURCE_EXPLICIT,
            Denial.NO_RESOURCE_ALLOW,
        }


@settings(max_examples=60)
@given(REQUESTS, KEY_POLICIES)
def test_without_identity_policies_only_the_key_policy_denies_explicitly(
    request: AccessRequest, key_policy: list[dict[str, Any]]
) -> None:
    assert decide(request, key_policy, []) is not Denial.IDENTITY_EXPLICIT


@settings(max_examples=60)
@given(REQUESTS, KEY_POLICIES, IDENTITY_POLICIES, CONDITIONS, st.data())
def test_one_more_condition_of_an_allow_never_allows(
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
    condition: dict[str, Any],
    data: st.DataObject,
) -> None:
    """Except that aws:PrincipalArn under `*` frees of limits, of which there are none here."""
    if decide(request, key_policy, identity) is None:
        return
    narrowed = [
        {**one, "Condition": one["Condition"] | _new(condition, one["Condition"])}
        if one["Effect"] == "Allow" and data.draw(st.booleans())
        else one
        for one in key_policy
    ]
    assert decide(request, narrowed, identity) is not None


def _new(condition: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """The operators that are not there yet: one that is replaced is no further condition."""
    return {name: tests for name, tests in condition.items() if name not in present}


@settings(max_examples=60)
@given(REQUESTS, KEY_POLICIES, IDENTITY_POLICIES, IDENTITY_POLICIES, IDENTITY_POLICIES)
def test_limits_only_take_away(
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
    boundary: list[dict[str, Any]],
    session: list[dict[str, Any]],
) -> None:
    if decide(request, key_policy, identity) is not None:
        assert decide(request, key_policy, identity, boundary) is not None
        assert decide(request, key_policy, identity, boundary, session) is not None
    if decide(request, key_policy, identity, boundary, session) is None:
        assert decide(request, key_policy, identity, boundary) is None


@settings(max_examples=60)
@given(REQUESTS, KEY_POLICIES, IDENTITY_POLICIES, PRINCIPALS)
def test_a_grant_never_denies_and_never_overrules_a_deny(
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
    grantee: str,
) -> None:
    parsed = parse_policy(json.dumps({"Statement": key_policy}), PolicyKind.KEY)
    iam = parse_policy(json.dumps({"Statement": identity}), PolicyKind.IDENTITY)
    permissions = IdentityPermissions((iam,))
    grant = Grant(listed([grantee]), frozenset({"Decrypt"}))
    without = assess(request, parsed, permissions).denials
    granted = assess(request, parsed, permissions, [grant]).denials
    assert granted <= without
    explicit = {Denial.RESOURCE_EXPLICIT, Denial.IDENTITY_EXPLICIT}
    assert granted & explicit == without & explicit
