"""Who may use a key: one table of callers and policies, and the traps of attestation policies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kms_fake.authorization import (
    AccessRequest,
    Denial,
    IdentityPermissions,
    Principal,
    assess,
    denial_text,
)
from kms_fake.evidence import Evidence
from kms_fake.policy import Policy, PolicyKind, parse_policy
from tests.kms_fake.told import authorize

HOME, ABROAD = "111122223333", "444455556666"
KEY_ARN = f"arn:aws:kms:eu-central-1:{HOME}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROOT = f"arn:aws:iam::{HOME}:root"
ROLE = f"arn:aws:iam::{HOME}:role/teams/enclave"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/enclave/i-0a1b2c3d4e5f60718"
USER = f"arn:aws:iam::{HOME}:user/alice"
ROLE_ABROAD = f"arn:aws:iam::{ABROAD}:role/enclave"
ROOT_ABROAD = f"arn:aws:iam::{ABROAD}:root"

CALLERS = {
    "session": Principal(SESSION, HOME, ROLE),
    "user": Principal(USER, HOME, USER),
    "root": Principal(ROOT, HOME, ROOT),
    "session-abroad": Principal(
        f"arn:aws:sts::{ABROAD}:assumed-role/enclave/s", ABROAD, ROLE_ABROAD
    ),
    "root-abroad": Principal(ROOT_ABROAD, ABROAD, ROOT_ABROAD),
}

PCR0 = "kms:RecipientAttestation:PCR0"
MEASURED = "9fedcba8" * 12
ZEROS = "0" * 96

EVERYTHING = IdentityPermissions.all_of_kms()
NOTHING = IdentityPermissions(())


def entry(effect: str, principal: object, **more: Any) -> dict[str, Any]:
    return {
        "Effect": effect,
        "Principal": principal,
        "Action": "kms:*",
        "Resource": "*",
        **more,
    }


def allow(name: str, **more: Any) -> dict[str, Any]:
    return entry("Allow", {"AWS": name}, **more)


def deny(name: str, **more: Any) -> dict[str, Any]:
    return entry("Deny", {"AWS": name}, **more)


def deny_all_but(*names: str, **more: Any) -> dict[str, Any]:
    statement = entry("Deny", None, NotPrincipal={"AWS": list(names)}, **more)
    del statement["Principal"]
    return statement


def identity(*statements: dict[str, Any]) -> IdentityPermissions:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return IdentityPermissions((parse_policy(text, PolicyKind.IDENTITY),))


def request(caller: str = "session", **context: str) -> AccessRequest:
    return AccessRequest(CALLERS[caller], "kms:Decrypt", KEY_ARN, HOME, context)


def decide(
    asked: AccessRequest, key_policy: list[dict[str, Any]], iam: IdentityPermissions
) -> Denial | None:
    text = json.dumps({"Version": "2012-10-17", "Statement": key_policy})
    return authorize(asked, parse_policy(text, PolicyKind.KEY), iam)


NO_RESOURCE = Denial.NO_RESOURCE_ALLOW
NO_IDENTITY = Denial.NO_IDENTITY_ALLOW


@pytest.mark.parametrize(
    ("caller", "key_policy", "iam", "expected"),
    [
        # The caller's own account.
        pytest.param("session", [allow(ROLE)], NOTHING, None, id="role-named"),
        pytest.param("session", [allow(SESSION)], NOTHING, None, id="session-named"),
        pytest.param("user", [allow(USER)], NOTHING, None, id="user-named"),
        pytest.param("session", [allow("*")], NOTHING, None, id="everybody-named"),
        pytest.param("session", [entry("Allow", "*")], NOTHING, None, id="star-without-object"),
        pytest.param("session", [allow(USER)], EVERYTHING, NO_RESOURCE, id="somebody-else-named"),
        pytest.param(
            "session",
            [allow(f"arn:aws:iam::{HOME}:role/enclave")],
            EVERYTHING,
            NO_RESOURCE,
            id="role-named-without-its-path",
        ),
        pytest.param(
            "user",
            [allow(f"arn:aws:iam::{HOME}:user/Alice")],
            EVERYTHING,
            NO_RESOURCE,
            id="user-named-in-another-case",
        ),
        pytest.param(
            "session",
            [allow(SESSION + "0")],
            EVERYTHING,
            NO_RESOURCE,
            id="another-session-named",
        ),
        pytest.param(
            "session",
            [entry("Allow", {"Service": "logs.amazonaws.com"})],
            EVERYTHING,
            NO_RESOURCE,
            id="service-named",
        ),
        # Delegation.
        pytest.param("session", [allow(ROOT)], EVERYTHING, None, id="account-and-identity"),
        pytest.param("session", [allow(HOME)], EVERYTHING, None, id="account-number-and-identity"),
        pytest.param("session", [allow(ROOT)], NOTHING, NO_IDENTITY, id="account-alone"),
        pytest.param("session", [allow(HOME)], NOTHING, NO_IDENTITY, id="account-number-alone"),
        pytest.param(
            "session",
            [allow(f"arn:aws-cn:iam::{HOME}:root")],
            EVERYTHING,
            NO_RESOURCE,
            id="account-of-another-partition",
        ),
        pytest.param(
            "session",
            [allow(ROOT, Action="kms:Encrypt")],
            EVERYTHING,
            NO_RESOURCE,
            id="account-for-another-action",
        ),
        pytest.param("session", [allow(ROOT), allow(ROLE)], NOTHING, None, id="account-then-role"),
        pytest.param("session", [allow(ROLE), allow(ROOT)], NOTHING, None, id="role-then-account"),
        pytest.param("root", [allow(ROOT)], NOTHING, None, id="root-user-named"),
        pytest.param("root", [allow(HOME)], NOTHING, None, id="root-user-by-number"),
        pytest.param("root", [allow(ROLE)], EVERYTHING, NO_RESOURCE, id="root-user-has-no-right"),
        # Another account.
        pytest.param("session-abroad", [allow(ROLE_ABROAD)], EVERYTHING, None, id="abroad-both"),
        pytest.param(
            "session-abroad",
            [allow(ROLE_ABROAD)],
            NOTHING,
            NO_IDENTITY,
            id="abroad-key-policy-only",
        ),
        pytest.param("session-abroad", [allow(ROOT_ABROAD)], EVERYTHING, None, id="abroad-account"),
        pytest.param(
            "session-abroad", [allow("*")], NOTHING, NO_IDENTITY, id="abroad-everybody-named"
        ),
        pytest.param(
            "session-abroad", [allow(ROOT)], EVERYTHING, NO_RESOURCE, id="abroad-identity-only"
        ),
        pytest.param("root-abroad", [allow(ROOT_ABROAD)], NOTHING, None, id="abroad-root-user"),
        # Explicit denial.
        pytest.param(
            "session",
            [allow(ROLE), deny(ROLE)],
            EVERYTHING,
            Denial.RESOURCE_EXPLICIT,
            id="denied-by-role",
        ),
        pytest.param(
            "session",
            [allow(ROLE), deny("*")],
            EVERYTHING,
            Denial.RESOURCE_EXPLICIT,
            id="everybody-denied",
        ),
        pytest.param(
            "session",
            [allow(ROLE), deny(ROOT)],
            EVERYTHING,
            Denial.RESOURCE_EXPLICIT,
            id="account-denied",
        ),
        pytest.param(
            "root", [allow(ROOT), deny(HOME)], NOTHING, Denial.RESOURCE_EXPLICIT, id="root-denied"
        ),
        pytest.param("session", [allow(ROLE), deny(USER)], NOTHING, None, id="another-denied"),
        pytest.param(
            "session",
            [allow(ROLE), deny(ROLE, Action="kms:GenerateDataKey*")],
            NOTHING,
            None,
            id="another-action-denied",
        ),
        pytest.param(
            "session",
            [allow(ROLE), entry("Deny", {"Service": "logs.amazonaws.com"})],
            NOTHING,
            None,
            id="service-denied",
        ),
        pytest.param(
            "session",
            [deny(ROLE)],
            EVERYTHING,
            Denial.RESOURCE_EXPLICIT,
            id="explicit-is-told-before-implicit",
        ),
        # NotPrincipal spares only whom it lists in every layer.
        pytest.param(
            "session", [allow(ROLE), deny_all_but(SESSION, ROLE, ROOT)], NOTHING, None, id="spared"
        ),
        pytest.param(
            "session",
            [allow(ROLE), deny_all_but(SESSION, ROLE, HOME)],
            NOTHING,
            None,
            id="spared-by-account-number",
        ),
        pytest.param(
            "session",
            [allow(ROLE), deny_all_but(ROLE, ROOT)],
            NOTHING,
            Denial.RESOURCE_EXPLICIT,
            id="spared-without-its-session",
        ),
        pytest.param(
            "session",
            [allow(ROLE), deny_all_but(SESSION, ROLE)],
            NOTHING,
            Denial.RESOURCE_EXPLICIT,
            id="spared-without-its-account",
        ),
        pytest.param(
            "session",
            [allow(ROLE), deny_all_but(ROOT)],
            NOTHING,
            Denial.RESOURCE_EXPLICIT,
            id="only-its-account-spared",
        ),
        pytest.param(
            "user", [allow(USER), deny_all_but(USER, ROOT)], NOTHING, None, id="user-spared"
        ),
        pytest.param("root", [allow(ROOT), deny_all_but(ROOT)], NOTHING, None, id="root-spared"),
        pytest.param("user", [allow(USER), deny_all_but("*")], NOTHING, None, id="all-spared"),
    ],
)
def test_decision(
    caller: str,
    key_policy: list[dict[str, Any]],
    iam: IdentityPermissions,
    expected: Denial | None,
) -> None:
    assert decide(request(caller), key_policy, iam) is expected


def grant(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "kms:Decrypt", "Resource": "*", **more}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param([grant()], None, id="allowed"),
        pytest.param([grant(Action="*")], None, id="any-action"),
        pytest.param([grant(Action="kms:Decrypt*")], None, id="prefix"),
        pytest.param([grant(Action="kms:GenerateDataKey")], NO_IDENTITY, id="another-action"),
        pytest.param([grant(Resource=KEY_ARN)], None, id="this-key"),
        pytest.param([grant(Resource=f"arn:aws:kms:*:{HOME}:key/*")], None, id="keys-of-account"),
        pytest.param(
            [grant(Resource=["arn:aws:s3:::b", f"{KEY_ARN[:-1]}?"])], None, id="second-of-two"
        ),
        pytest.param(
            [grant(Resource=f"arn:aws:kms:*:{HOME}:alias/a")], NO_IDENTITY, id="alias-is-no-key"
        ),
        pytest.param([grant(), grant("Deny")], Denial.IDENTITY_EXPLICIT, id="denied"),
        pytest.param(
            [grant(), grant("Deny", Resource=f"{KEY_ARN}0")], None, id="another-key-denied"
        ),
        pytest.param(
            [grant(Condition={"StringEquals": {PCR0: MEASURED}})], NO_IDENTITY, id="unattested"
        ),
        pytest.param(
            [{"Effect": "Allow", "NotAction": "kms:Encrypt", "Resource": "*"}],
            None,
            id="all-but-encrypt",
        ),
        pytest.param(
            [{"Effect": "Allow", "NotAction": "kms:*", "Resource": "*"}],
            NO_IDENTITY,
            id="all-but-kms",
        ),
        pytest.param(
            [grant(), {"Effect": "Deny", "NotAction": "kms:Encrypt", "Resource": "*"}],
            Denial.IDENTITY_EXPLICIT,
            id="all-but-encrypt-denied",
        ),
    ],
)
def test_identity_policies(statements: list[dict[str, Any]], expected: Denial | None) -> None:
    assert decide(request(), [allow(ROOT)], identity(*statements)) is expected


# Permissions boundaries and session policies.

ELSEWHERE = identity({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}).policies[0]
OF_KMS = EVERYTHING.policies[0]
DENYING = identity(grant(), grant("Deny")).policies[0]
NO_BOUNDARY, NO_SESSION = Denial.NO_BOUNDARY_ALLOW, Denial.NO_SESSION_ALLOW
BY_ARN = {"Condition": {"ArnEquals": {"aws:PrincipalArn": ROLE}}}


@pytest.mark.parametrize(
    ("caller", "statement", "bounded", "in_session"),
    [
        # "Resource-based policies and implicit denies in other policy types (same account)".
        pytest.param("session", allow(ROLE), NO_BOUNDARY, NO_SESSION, id="role"),
        pytest.param("session", allow(SESSION), None, None, id="session-itself"),
        pytest.param("user", allow(USER), None, None, id="user-itself"),
        pytest.param("session", allow(ROOT), NO_BOUNDARY, NO_SESSION, id="account"),
        # "Principal": not limited under a condition on aws:PrincipalArn; else unknown.
        pytest.param("session", allow("*", **BY_ARN), None, None, id="everybody-of-an-arn"),
        pytest.param("session", allow("*"), NO_BOUNDARY, NO_SESSION, id="everybody"),
        pytest.param(
            "session",
            allow("*", Condition={"ArnNotEquals": {"aws:PrincipalArn": USER}}),
            NO_BOUNDARY,
            NO_SESSION,
            id="everybody-but-an-arn",
        ),
        pytest.param(
            "session", allow(ROLE, **BY_ARN), NO_BOUNDARY, NO_SESSION, id="role-of-an-arn"
        ),
        pytest.param(
            "session-abroad", allow(ROLE_ABROAD), NO_BOUNDARY, NO_SESSION, id="abroad-role"
        ),
        pytest.param(
            "session-abroad",
            allow(CALLERS["session-abroad"].arn),
            NO_BOUNDARY,
            NO_SESSION,
            id="abroad-session-itself",
        ),
    ],
)
def test_limits(
    caller: str, statement: dict[str, Any], bounded: Denial | None, in_session: Denial | None
) -> None:
    def told(boundary: Policy | None, *session: Policy) -> Denial | None:
        iam = IdentityPermissions((OF_KMS,), boundary, session)
        return decide(request(caller), [statement], iam)

    assert told(OF_KMS, OF_KMS) is None
    assert told(ELSEWHERE) is bounded
    assert told(None, ELSEWHERE) is in_session
    assert told(None, ELSEWHERE, OF_KMS) is None  # One of several session policies suffices.
    assert told(DENYING) is Denial.BOUNDARY_EXPLICIT
    assert told(None, OF_KMS, DENYING) is Denial.SESSION_EXPLICIT


@pytest.mark.parametrize(
    ("caller", "spared"),
    [
        pytest.param("session", [ROOT, ROLE, SESSION], id="session"),
        pytest.param("user", [ROOT, USER], id="user"),
        pytest.param("session", ["*"], id="everybody"),
    ],
)
def test_not_principal_spares_nobody_who_has_a_boundary(caller: str, spared: list[str]) -> None:
    """Regardless of whom it lists ("Permissions boundaries for IAM entities")."""
    deny = {**allow(ROLE), "Effect": "Deny", "NotPrincipal": {"AWS": spared}}
    del deny["Principal"]
    statements = [allow(CALLERS[caller].arn), deny]
    unbounded = IdentityPermissions((OF_KMS,))
    assert decide(request(caller), statements, unbounded) is None
    bounded = IdentityPermissions((OF_KMS,), OF_KMS)
    assert decide(request(caller), statements, bounded) is Denial.RESOURCE_EXPLICIT
    elsewhere = [allow(CALLERS[caller].arn), {**deny, "Action": "kms:Encrypt"}]
    assert decide(request(caller), elsewhere, bounded) is None


def test_a_limit_allows_nothing_itself() -> None:
    iam = IdentityPermissions((), OF_KMS, (OF_KMS,))
    assert decide(request(), [allow(ROOT)], iam) is NO_IDENTITY


def test_an_identity_policy_denies_even_whom_the_key_policy_names() -> None:
    iam = IdentityPermissions((*EVERYTHING.policies, *identity(grant("Deny")).policies))
    assert decide(request(), [allow(ROLE)], iam) is Denial.IDENTITY_EXPLICIT


def test_of_two_explicit_denials_the_identity_policys_is_told() -> None:
    assert decide(request(), [deny(ROLE)], identity(grant("Deny"))) is Denial.IDENTITY_EXPLICIT


def test_a_key_policy_may_name_its_key_but_no_other() -> None:
    assert decide(request(), [allow(ROLE, Resource=KEY_ARN)], NOTHING) is None
    other = KEY_ARN[:-1] + "0"
    assert decide(request(), [allow(ROLE, Resource=other)], EVERYTHING) is NO_RESOURCE
    assert decide(request(), [allow(ROLE), deny(ROLE, Resource=other)], NOTHING) is None


# The traps.


def only(operator: str, values: object = MEASURED, key: str = PCR0) -> dict[str, Any]:
    return {"Condition": {operator: {key: values}}}


ATTESTED = {PCR0: MEASURED}
DEBUG = {PCR0: ZEROS}
UNATTESTED: dict[str, str] = {}
OTHER = {PCR0: "ab" * 48}


@pytest.mark.parametrize(
    ("key_policy", "context", "expected"),
    [
        pytest.param([allow(ROLE, **only("StringEquals"))], ATTESTED, None, id="pinned"),
        pytest.param([allow(ROLE, **only("StringEquals"))], OTHER, NO_RESOURCE, id="other-image"),
        pytest.param([allow(ROLE, **only("StringEquals"))], DEBUG, NO_RESOURCE, id="debug-mode"),
        pytest.param(
            [allow(ROLE, **only("StringEquals"))], UNATTESTED, NO_RESOURCE, id="no-recipient"
        ),
        pytest.param(
            [allow(ROLE, **only("StringEqualsIgnoreCase"))],
            UNATTESTED,
            NO_RESOURCE,
            id="ignoring-case-without-recipient",
        ),
        pytest.param(
            [allow(ROLE, **only("StringEquals", ["ff" * 48, MEASURED]))],
            ATTESTED,
            None,
            id="two-builds",
        ),
        pytest.param(
            [allow(ROLE, **only("StringEquals", ZEROS))], DEBUG, None, id="zero-pcr-policy-in-debug"
        ),
        pytest.param(
            [allow(ROLE, **only("StringEquals", MEASURED.upper()))],
            ATTESTED,
            NO_RESOURCE,
            id="upper-case-hex",
        ),
        pytest.param(
            [allow(ROLE, **only("StringEqualsIgnoreCase", MEASURED.upper()))],
            ATTESTED,
            None,
            id="upper-case-hex-ignoring-case",
        ),
        pytest.param(
            [allow(ROLE, **only("StringEqualsIfExists"))], OTHER, NO_RESOURCE, id="if-exists-other"
        ),
        pytest.param(
            [allow(ROLE, **only("StringEqualsIfExists"))], UNATTESTED, None, id="if-exists-trap"
        ),
        pytest.param(
            [allow(ROLE, **only("StringNotEquals", ZEROS))], UNATTESTED, None, id="negated-trap"
        ),
        pytest.param(
            [allow(ROLE, **only("StringNotEquals", ZEROS))], DEBUG, NO_RESOURCE, id="negated"
        ),
        pytest.param(
            [allow(ROLE), deny("*", **only("Null", "true"))],
            UNATTESTED,
            Denial.RESOURCE_EXPLICIT,
            id="deny-null-without-recipient",
        ),
        pytest.param(
            [allow(ROLE), deny("*", **only("Null", "true"))], OTHER, None, id="deny-null-attested"
        ),
        pytest.param(
            [allow(ROLE), deny("*", **only("StringNotEquals"))],
            UNATTESTED,
            Denial.RESOURCE_EXPLICIT,
            id="deny-not-equals-without-recipient",
        ),
        pytest.param(
            [allow(ROLE), deny("*", **only("StringNotEqualsIfExists"))],
            UNATTESTED,
            Denial.RESOURCE_EXPLICIT,
            id="deny-not-equals-if-exists-without-recipient",
        ),
        pytest.param(
            [allow(ROLE), deny("*", **only("StringEquals", ZEROS))],
            UNATTESTED,
            None,
            id="deny-equals-misses-what-is-absent",
        ),
        pytest.param(
            [allow(ROLE, **only("Null", "false"))], UNATTESTED, NO_RESOURCE, id="allow-null-false"
        ),
        pytest.param(
            [allow(ROLE, Condition={"StringEquals": {PCR0: MEASURED, f"{PCR0[:-1]}1": "x"}})],
            ATTESTED,
            NO_RESOURCE,
            id="second-pcr-missing",
        ),
        pytest.param(
            [allow(ROOT), allow(ROLE, **only("StringEquals"))],
            UNATTESTED,
            None,
            id="root-statement-bypasses-the-pcr",
        ),
        pytest.param(
            [allow(ROOT), deny("*", **only("Null", "true"))],
            UNATTESTED,
            Denial.RESOURCE_EXPLICIT,
            id="deny-null-closes-the-bypass",
        ),
        pytest.param(
            [allow(ROOT, **only("StringEquals"))], ATTESTED, None, id="conditioned-delegation"
        ),
        pytest.param(
            [allow(ROOT, **only("StringEquals"))],
            UNATTESTED,
            NO_RESOURCE,
            id="conditioned-delegation-without-recipient",
        ),
        pytest.param(
            [allow(ROLE, **only("Null", "true", "kms:RecipientAttestation:ImageSha384"))],
            ATTESTED,
            None,
            id="image-is-a-key-of-its-own",
        ),
    ],
)
def test_attestation_policies(
    key_policy: list[dict[str, Any]], context: dict[str, str], expected: Denial | None
) -> None:
    assert decide(request(**context), key_policy, EVERYTHING) is expected


def test_root_alone_denies_an_unattested_caller() -> None:
    key_policy = [allow(ROOT), allow(ROLE, **only("StringEquals"))]
    assert decide(request(), key_policy, NOTHING) is NO_IDENTITY
    assert decide(request(**ATTESTED), key_policy, NOTHING) is None


# The caller's own condition keys.


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws:PrincipalArn", ROLE),
        ("aws:PrincipalAccount", HOME),
        ("kms:CallerAccount", HOME),
    ],
)
def test_the_callers_keys_are_filled_in(key: str, value: str) -> None:
    assert decide(request(), [allow("*", **only("StringEquals", value, key))], NOTHING) is None
    forged = request("session-abroad", **{key.lower(): value})
    assert decide(forged, [allow("*", **only("StringEquals", value, key))], EVERYTHING) is (
        NO_RESOURCE
    )


def test_encryption_context() -> None:
    key = "kms:EncryptionContext:AppName"
    policy = [allow(ROLE, **only("StringEquals", "ExampleApp", key))]
    assert decide(request(**{key: "ExampleApp"}), policy, NOTHING) is None
    assert decide(request(**{key.lower(): "ExampleApp"}), policy, NOTHING) is None
    assert decide(request(**{key: "exampleapp"}), policy, NOTHING) is NO_RESOURCE
    assert decide(request(), policy, NOTHING) is NO_RESOURCE


def test_context_names_that_differ_by_case_allow_less() -> None:
    key = "kms:EncryptionContext:App"
    both = request(**{key: "a", key.upper(): "b"})
    condition = only("StringEquals", "a", key)
    assert decide(both, [allow(ROLE, **condition)], NOTHING) is NO_RESOURCE
    assert decide(both, [allow(ROLE), deny(ROLE, **condition)], NOTHING) is (
        Denial.RESOURCE_EXPLICIT
    )


# Everything that stands against a request.


@pytest.mark.parametrize(
    ("key_policy", "iam", "expected"),
    [
        pytest.param([allow(ROLE)], NOTHING, set(), id="allowed"),
        pytest.param([allow(ROOT)], NOTHING, {NO_IDENTITY}, id="delegated"),
        pytest.param([allow(USER)], EVERYTHING, {NO_RESOURCE, NO_IDENTITY}, id="not-let-in"),
        pytest.param(
            [deny(ROLE)],
            IdentityPermissions(
                identity(grant("Deny")).policies,
                identity(grant("Deny")).policies[0],
                identity(grant("Deny")).policies,
            ),
            set(Denial),
            id="all",
        ),
        pytest.param(
            [allow(ROLE), deny(ROLE)],
            NOTHING,
            {Denial.RESOURCE_EXPLICIT},
            id="denied-though-allowed",
        ),
    ],
)
def test_all_denials(
    key_policy: list[dict[str, Any]], iam: IdentityPermissions, expected: set[Denial]
) -> None:
    text = json.dumps({"Statement": key_policy})
    assert assess(request(), parse_policy(text, PolicyKind.KEY), iam).denials == expected


# Texts and wrong use.


@pytest.mark.parametrize(
    ("denial", "ending"),
    [
        (Denial.RESOURCE_EXPLICIT, "with an explicit deny in a resource-based policy"),
        (Denial.IDENTITY_EXPLICIT, "with an explicit deny in an identity-based policy"),
        (Denial.BOUNDARY_EXPLICIT, "with an explicit deny in a permissions boundary"),
        (Denial.SESSION_EXPLICIT, "with an explicit deny in a session policy"),
        (NO_RESOURCE, "because no resource-based policy allows the kms:GenerateDataKey action"),
        (NO_BOUNDARY, "because no permissions boundary allows the kms:GenerateDataKey action"),
        (NO_SESSION, "because no session policy allows the kms:GenerateDataKey action"),
        (NO_IDENTITY, "because no identity-based policy allows the kms:GenerateDataKey action"),
    ],
)
def test_texts(denial: Denial, ending: str) -> None:
    assert denial_text(denial, CALLERS["session"], "kms:GenerateDataKey", KEY_ARN) == (
        f"User: {SESSION} is not authorized to perform: kms:GenerateDataKey "
        f"on resource: {KEY_ARN} {ending}"
    )


def test_no_text_claims_to_be_recorded() -> None:
    for denial in Denial:
        assert denial.evidence is not Evidence.RECORDED
        assert denial.source


@pytest.mark.parametrize("action", ["kms:decrypt", "kms:ReEncrypt", "s3:GetObject", "Decrypt"])
def test_only_actions_of_kms_are_evaluated(action: str) -> None:
    with pytest.raises(ValueError, match=f"{action} is no action of KMS"):
        replace(request(), action=action)


@pytest.mark.parametrize("action", ["kms:PutKeyPolicy", "kms:ReEncryptFrom", "kms:CreateGrant"])
def test_any_action_is_evaluated(action: str) -> None:
    asked = replace(request(), action=action)
    assert decide(asked, [allow(ROLE, Action=action.lower())], NOTHING) is None
    assert decide(asked, [allow(ROLE, Action="kms:Decrypt")], NOTHING) is NO_RESOURCE


def test_kinds_of_policies_are_not_confused() -> None:
    key_policy = parse_policy(json.dumps({"Statement": allow(ROLE)}), PolicyKind.KEY)
    for wrong in (((key_policy,), None, ()), ((), key_policy, ()), ((), None, (key_policy,))):
        with pytest.raises(ValueError, match="identity permissions are made of"):
            IdentityPermissions(*wrong)
    with pytest.raises(ValueError, match="not read as a key policy"):
        authorize(request(), EVERYTHING.policies[0], EVERYTHING)
