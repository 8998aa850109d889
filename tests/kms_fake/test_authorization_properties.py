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
from kms_fake.policy import PolicyKind, parse_policy
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
CONDITIONS = st.dictionaries(
    STRING_OPERATORS,
    st.dictionaries(KEYS, st.lists(VALUES, min_size=1, max_size=2), min_size=1, max_size=2),
    max_size=2,
)
CONTEXTS = st.dictionaries(
    KEYS | st.just("kms:EncryptionContext:a"), st.sampled_from(["00", "11", "aa"])
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
    request: AccessRequest, key_policy: list[dict[str, Any]], identity: list[dict[str, Any]]
) -> Denial | None:
    parsed = parse_policy(json.dumps({"Statement": key_policy}), PolicyKind.KEY)
    iam = parse_policy(json.dumps({"Statement": identity}), PolicyKind.IDENTITY)
    permissions = IdentityPermissions((iam,))
    denial = authorize(request, parsed, permissions)
    denials = assess(request, parsed, permissions).denials
    assert (denial in denials) if denials else denial is None
    return denial


@settings(max_examples=200)
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


@settings(max_examples=150)
@given(REQUESTS, KEY_POLICIES, IDENTITY_POLICIES, key_statements("Allow"))
def test_one_more_allow_never_denies(
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
    key_allow: dict[str, Any],
) -> None:
    if decide(request, key_policy, identity) is None:
        assert decide(request, [*key_policy, key_allow], identity) is None


@settings(max_examples=150)
@given(st.data(), REQUESTS, KEY_POLICIES, IDENTITY_POLICIES)
def test_the_order_of_statements_never_matters(
    data: st.DataObject,
    request: AccessRequest,
    key_policy: list[dict[str, Any]],
    identity: list[dict[str, Any]],
) -> None:
    shuffled = data.draw(st.permutations(key_policy)), data.draw(st.permutations(identity))
    assert decide(request, *shuffled) is decide(request, key_policy, identity)


@settings(max_examples=150)
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


@settings(max_examples=150)
@given(REQUESTS, KEY_POLICIES)
def test_without_identity_policies_only_the_key_policy_denies_explicitly(
    request: AccessRequest, key_policy: list[dict[str, Any]]
) -> None:
    assert decide(request, key_policy, []) is not Denial.IDENTITY_EXPLICIT
