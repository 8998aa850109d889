"""What parse_policy takes, what it calls malformed, what it refuses to guess at."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kms_fake.policy import MalformedPolicy, Policy, PolicyKind, UnsupportedPolicy, parse_policy

KEY, IDENTITY = PolicyKind.KEY, PolicyKind.IDENTITY
ROLE = "arn:aws:iam::111122223333:role/enclave"
PCR0 = "kms:RecipientAttestation:PCR0"
DROPPED = object()


def statement(kind: PolicyKind, **changes: Any) -> dict[str, Any]:
    """A valid statement with `changes`; DROPPED takes an element away."""
    elements: dict[str, Any] = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    if kind is KEY:
        elements["Principal"] = {"AWS": ROLE}
    elements |= changes
    return {name: value for name, value in elements.items() if value is not DROPPED}


def parse(kind: PolicyKind, *statements: object, **top: Any) -> Policy:
    document = {"Version": "2012-10-17", "Statement": list(statements)} | top
    document = {name: value for name, value in document.items() if value is not DROPPED}
    return parse_policy(json.dumps(document), kind)


def parse_with(kind: PolicyKind, **changes: Any) -> Policy:
    return parse(kind, statement(kind, **changes))


@pytest.mark.parametrize("kind", [KEY, IDENTITY], ids=["key", "identity"])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="plain"),
        pytest.param({"Action": ["kms:Decrypt", "kms:GenerateDataKey*"]}, id="list-of-actions"),
        pytest.param({"Action": "KMS:dEcRyPt"}, id="action-is-case-insensitive"),
        pytest.param({"Action": "kms:Decryp?"}, id="question-mark-in-an-action"),
        pytest.param({"Action": "*"}, id="any-action"),
        pytest.param({"Action": "*:*"}, id="any-action-of-any-service"),
        pytest.param({"Action": DROPPED, "NotAction": "kms:Encrypt"}, id="not-action"),
        pytest.param({"Resource": ["arn:aws:kms:*:*:key/*", "*"]}, id="list-of-resources"),
        pytest.param({"Sid": "1"}, id="sid"),
        pytest.param({"Condition": {}}, id="no-condition"),
        pytest.param({"Condition": {"StringEquals": {PCR0: ["00", "11"]}}}, id="two-values"),
        pytest.param({"Condition": {"Null": {PCR0: False}}}, id="unquoted-boolean"),
        pytest.param(
            {"Condition": {"StringEquals": {"kms:CallerAccount": 111122223333}}},
            id="unquoted-number",
        ),
    ],
)
def test_taken(kind: PolicyKind, changes: dict[str, Any]) -> None:
    policy = parse_with(kind, **changes)
    assert policy.kind is kind
    (taken,) = policy.allows
    assert "kms:Decrypt" in taken.actions


@pytest.mark.parametrize(
    "top",
    [
        pytest.param({"Version": "2008-10-17"}, id="older-version"),
        pytest.param({"Version": DROPPED}, id="no-version"),
        pytest.param({"Id": "key-default-1"}, id="id"),
        pytest.param({"Statement": statement(KEY)}, id="one-statement-without-a-list"),
    ],
)
def test_taken_around_the_statements(top: dict[str, Any]) -> None:
    assert len(parse(KEY, statement(KEY), **top).allows) == 1


@pytest.mark.parametrize(
    "principal",
    [
        pytest.param("*", id="star"),
        pytest.param({"AWS": "*"}, id="star-in-an-object"),
        pytest.param({"AWS": [ROLE, "*"]}, id="star-in-a-list"),
        pytest.param({"AWS": "111122223333"}, id="account-number"),
        pytest.param({"AWS": "arn:aws:iam::111122223333:root"}, id="account"),
        pytest.param({"AWS": "arn:aws-us-gov:iam::111122223333:role/r"}, id="another-partition"),
        pytest.param({"AWS": "arn:aws:iam::111122223333:user/team/a.b+c=d,e@f_g-h"}, id="user"),
        pytest.param({"AWS": "arn:aws:iam::111122223333:role/a/b/enclave"}, id="role-with-path"),
        pytest.param({"AWS": "arn:aws:sts::111122223333:assumed-role/r/i-0a1"}, id="session"),
        pytest.param({"AWS": "arn:aws:sts::111122223333:federated-user/u"}, id="federated-user"),
        pytest.param({"Service": "logs.eu-central-1.amazonaws.com"}, id="service"),
        pytest.param({"Service": ["a.amazonaws.com"], "AWS": ROLE}, id="service-and-role"),
    ],
)
def test_principals_taken(principal: object) -> None:
    assert len(parse_with(KEY, Principal=principal).allows) == 1
    denied = parse_with(KEY, Effect="Deny", Principal=DROPPED, NotPrincipal=principal)
    assert len(denied.denies) == 1


def test_statements_may_share_a_sid_in_a_key_policy_only() -> None:
    twice = [statement(KEY, Sid="Allow use")] * 2
    assert len(parse(KEY, *twice).allows) == 2
    with pytest.raises(
        MalformedPolicy, match=r"Statement\[1\]\.Sid: 'Allow use' stands on another"
    ):
        parse(IDENTITY, *[statement(IDENTITY, Sid="Allow use")] * 2)


@pytest.mark.parametrize("missing", ["Action", "Resource"])
def test_a_key_policy_statement_without_action_or_resource_has_no_effect(missing: str) -> None:
    policy = parse(KEY, statement(KEY, **{missing: DROPPED}), statement(KEY, Effect="Deny"))
    assert (len(policy.allows), len(policy.denies)) == (0, 1)
    with pytest.raises(MalformedPolicy, match=f"must have an? {missing}"):
        parse_with(IDENTITY, **{missing: DROPPED})


def test_an_identity_policy_may_have_no_statement() -> None:
    assert parse(IDENTITY) == Policy(IDENTITY, (), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("{", "not JSON", id="cut-off"),
        pytest.param("[]", "must be an object, not a list", id="list"),
        pytest.param('"*"', "must be an object, not '\\*'", id="string"),
        pytest.param("null", "must be an object, not None", id="null"),
        pytest.param("{}", "no Statement", id="no-statement"),
        pytest.param('{"Statement": []}', "at least one statement", id="no-statements"),
        pytest.param('{"Statement": [[]]}', r"Statement\[0\]: must be an object", id="nested"),
        pytest.param('{"Statement": NaN}', "NaN is no JSON value", id="nan"),
        pytest.param(f'{{"Statement": {"9" * 5000}}}', "not JSON", id="endless-number"),
        pytest.param("[" * 100_000, "nested too deeply", id="endless-nesting"),
        pytest.param('{"Id": "a", "Id": "b"}', "'Id' twice", id="element-twice"),
        pytest.param('{"Statement": {"a": {"b": 1, "b": 1}}}', "'b' twice", id="twice-inside"),
    ],
)
def test_malformed_text(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicy, match=message):
        parse_policy(text, KEY)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        pytest.param({"Version": "2012-10-18"}, "^Version: must be 2012-10-17", id="version"),
        pytest.param({"Version": 20121017}, "^Version: ", id="version-as-a-number"),
        pytest.param({"Id": 1}, "^Id: must be a string", id="id"),
        pytest.param({"version": "2012-10-17"}, "'version' is no element", id="lower-case"),
        pytest.param({"Statements": []}, "'Statements' is no element", id="unknown-element"),
    ],
)
def test_malformed_around_the_statements(top: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedPolicy, match=message):
        parse(KEY, statement(KEY), **top)


@pytest.mark.parametrize("kind", [KEY, IDENTITY], ids=["key", "identity"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"Effect": "allow"}, "Effect: must be Allow or Deny", id="effect-lower-case"),
        pytest.param({"Effect": DROPPED}, "Effect: must be Allow or Deny", id="no-effect"),
        pytest.param({"Effect": ["Allow"]}, "Effect: .* not a list", id="effect-as-a-list"),
        pytest.param({"Sid": 1}, "Sid: must be a string, not 1", id="sid"),
        pytest.param({"action": "*"}, "'action' is no element", id="unknown-element"),
        pytest.param({"NotAction": "kms:Encrypt"}, "both Action and NotAction", id="two-actions"),
        pytest.param({"NotResource": "*"}, "both Resource and NotResource", id="two-resources"),
        pytest.param({"Action": []}, "Action: an empty list", id="no-actions"),
        pytest.param({"Action": {}}, "Action: must be a string, not an object", id="action-object"),
        pytest.param({"Action": [1]}, "Action: must be a string, not 1", id="action-number"),
        pytest.param({"Action": "Decrypt"}, "'Decrypt' must be a service and", id="no-service"),
        pytest.param({"Action": "kms:"}, "'kms:' must be a service and", id="no-action-name"),
        pytest.param({"Action": "k*:Decrypt"}, "must be a service and", id="service-wildcard"),
        pytest.param({"Action": "kms:Decrypt "}, "must be a service and", id="trailing-space"),
        pytest.param({"Resource": []}, "Resource: an empty list", id="no-resources"),
        pytest.param({"Resource": "key/1"}, 'must be an ARN or "\\*"', id="no-arn"),
        pytest.param({"Resource": "arn:*"}, 'must be an ARN or "\\*"', id="arn-without-service"),
        pytest.param(
            {"Resource": "arn:aws:k*:::key/1"}, "wildcard for the service", id="any-service"
        ),
        pytest.param({"Condition": []}, "Condition: must be an object", id="condition-list"),
        pytest.param(
            {"Condition": {"StringEquals": PCR0}},
            "Condition.StringEquals: must be an object",
            id="operator-without-key",
        ),
        pytest.param(
            {"Condition": {"StringEquals": {PCR0: None}}},
            f"Condition.StringEquals.{PCR0}: must be a string, not None",
            id="null-value",
        ),
        pytest.param(
            {"Condition": {"StringEquals": {PCR0: [["00"]]}}},
            "must be a string, not a list",
            id="list-in-a-list",
        ),
    ],
)
def test_malformed_statement(kind: PolicyKind, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedPolicy, match=rf"^Statement\[0\].*{message}"):
        parse_with(kind, **changes)


@pytest.mark.parametrize(
    ("principal", "message"),
    [
        pytest.param(ROLE, "Principal: must be", id="arn-without-an-object"),
        pytest.param(["*"], "not a list", id="list"),
        pytest.param({}, "names nobody", id="nobody"),
        pytest.param({"AWS": []}, "an empty list", id="empty-list"),
        pytest.param({"AWS": 111122223333}, "must be a string", id="account-as-a-number"),
        pytest.param({"*": "*"}, "no kind of principal", id="star-as-a-kind"),
        pytest.param({"aws": ROLE}, "no kind of principal", id="kind-in-lower-case"),
        pytest.param({"AWS": "11112222333"}, "no valid principal", id="eleven-digits"),
        pytest.param({"AWS": "AROAEXAMPLEID"}, "no valid principal", id="unique-id"),
        pytest.param(
            {"AWS": "arn:aws:iam::111122223333:group/g"}, "no valid principal", id="group"
        ),
        pytest.param({"AWS": "arn:aws:iam::111122223333:role/*"}, "wildcard cannot", id="any-role"),
        pytest.param(
            {"AWS": "arn:aws:iam::111122223333:role/*/r"}, "wildcard cannot", id="any-path"
        ),
        pytest.param({"AWS": "arn:aws:iam::*:root"}, "wildcard cannot", id="any-account"),
        pytest.param(
            {"AWS": "arn:aws:sts::111122223333:assumed-role/r/*"},
            "wildcard cannot",
            id="any-session",
        ),
        pytest.param({"Service": "*"}, "no service principal", id="any-service"),
    ],
)
def test_malformed_principal(principal: object, message: str) -> None:
    with pytest.raises(MalformedPolicy, match=rf"^Statement\[0\].*{message}"):
        parse_with(KEY, Principal=principal)


@pytest.mark.parametrize("name", ["Principal", "NotPrincipal"])
def test_an_identity_policy_names_no_principal(name: str) -> None:
    with pytest.raises(MalformedPolicy, match="an identity policy has no principal"):
        parse_with(IDENTITY, **{name: "*"})


def test_a_key_policy_names_its_principals_once() -> None:
    with pytest.raises(MalformedPolicy, match="must have a Principal"):
        parse_with(KEY, Principal=DROPPED)
    with pytest.raises(MalformedPolicy, match="both Principal and NotPrincipal"):
        parse_with(KEY, Effect="Deny", NotPrincipal="*")


UNSUPPORTED_CONDITIONS = [
    pytest.param({"stringequals": {PCR0: "00"}}, "operator 'stringequals'", id="lower-case"),
    pytest.param({"NullIfExists": {PCR0: "true"}}, "operator 'NullIfExists'", id="null-if-exists"),
    pytest.param(
        {"ForAnyValue:Null": {PCR0: "true"}}, "operator 'ForAnyValue:Null'", id="any-null"
    ),
    pytest.param({"ForAny:Bool": {PCR0: "true"}}, "operator 'ForAny:Bool'", id="no-set-operator"),
    pytest.param(
        {"ForAnyValue:ForAllValues:Bool": {PCR0: "true"}}, "operator 'ForAnyValue:F", id="both-sets"
    ),
    pytest.param(
        {"StringEqualsIfExistsIfExists": {PCR0: "00"}}, "operator '.*IfExists'", id="twice"
    ),
    pytest.param(
        {"StringEquals": {"kms:EncryptionContextKeys": "a"}},
        "'kms:EncryptionContextKeys' has several values and needs a set operator",
        id="several-values",
    ),
    pytest.param(
        {"NumericEquals": {PCR0: "1"}}, f"'{PCR0}' is a string, and", id="number-of-a-string"
    ),
    pytest.param(
        {"Bool": {"aws:SourceIp": "true"}}, "'aws:SourceIp' is an IP address", id="bool-of-address"
    ),
    pytest.param(
        {"IpAddress": {"aws:SourceIp": "203.0.113"}}, "no meaning of '203.0.113'", id="half-address"
    ),
    pytest.param(
        {"IpAddress": {"aws:SourceIp": "2001:db8::1"}}, "no meaning of '2001", id="ipv6-no-prefix"
    ),
    pytest.param(
        {"DateLessThan": {"aws:CurrentTime": "tomorrow"}}, "no meaning of 'tomorrow'", id="no-date"
    ),
    pytest.param({"DateLessThan": {"aws:CurrentTime": "2026"}}, "meaning of '2026'", id="year"),
    pytest.param(
        {"DateLessThan": {"aws:CurrentTime": "2026-02-30"}}, "meaning of '2026-02-30'", id="no-day"
    ),
    pytest.param(
        {"NumericLessThan": {"aws:MultiFactorAuthAge": "1h"}}, "no meaning of '1h'", id="no-number"
    ),
    pytest.param(
        {"NumericLessThan": {"aws:MultiFactorAuthAge": True}}, "meaning of 'true'", id="bool-number"
    ),
    pytest.param({"ArnLike": {"aws:PrincipalArn": "*"}}, "'\\*' is no ARN", id="short-arn"),
    pytest.param({"BinaryEquals": {PCR0: "?"}}, "no meaning of '\\?'", id="no-base64"),
    pytest.param(
        {"Bool": {"aws:SecureTransport": "${aws:username}"}},
        "a policy variable",
        id="bool-variable",
    ),
    pytest.param(
        {"StringEquals": {"kms:RecipientAttestation": "00"}},
        "key 'kms:RecipientAttestation' .* a measurement must follow",
        id="sdk-c-issue-157",
    ),
    pytest.param({"Null": {f"{PCR0}0": "true"}}, "key '.*PCR00'", id="pcr-with-a-zero"),
    pytest.param(
        {"Null": {"kms:RecipientAttestation:PCR32": "true"}}, "key '.*PCR32'", id="pcr-32"
    ),
    pytest.param(
        {"Null": {"kms:RecipientAttestation:NitroTPMPCR24": "true"}}, "NitroTPMPCR24", id="nitrotpm"
    ),
    pytest.param({"Null": {"kms:EncryptionContext:": "true"}}, "key '", id="unnamed-pair"),
    pytest.param({"Null": {"kms:KeySize": "true"}}, "key 'kms:KeySize'", id="no-kms-key"),
    pytest.param({"Null": {"aws:PrincipalTag/": "true"}}, "key 'aws:Pr", id="unnamed-tag"),
    pytest.param({"Null": {"s3:prefix": "true"}}, "key 's3:prefix'", id="another-service"),
    pytest.param(
        {"StringEquals": {"kms:EncryptionContext:user": "${aws:user}"}},
        "variable \\$\\{aws:user\\} names no",
        id="unknown-variable",
    ),
    pytest.param(
        {"StringEquals": {"kms:EncryptionContext:user": "${aws:PrincipalOrgPaths}"}},
        "variable .* has several values",
        id="variable-of-several-values",
    ),
    pytest.param({"StringLike": {PCR0: "a${"}}, "holds a \\$\\{ that", id="open-variable"),
    pytest.param({"StringLike": {PCR0: "${}"}}, "names no condition key", id="empty-variable"),
    pytest.param(
        {"StringLike": {PCR0: "${aws:username,'x'}"}}, "names no", id="default-without-space"
    ),
    pytest.param({"StringEquals": {}}, "holds no condition key", id="operator-without-keys"),
    pytest.param({"StringEquals": {PCR0: []}}, "an empty list of values", id="no-values"),
    pytest.param({"StringEquals": {PCR0: 1.5}}, "the number 1.5", id="fraction"),
    pytest.param({"NumericEquals": {"kms:ValidTo": 1}}, "is a date", id="number-of-a-date"),
    pytest.param({"Null": {PCR0: "maybe"}}, "no meaning of 'maybe'", id="null-of-maybe"),
    pytest.param({"Bool": {PCR0: "True"}}, "no meaning of 'True'", id="bool-of-capital-true"),
]


@pytest.mark.parametrize("kind", [KEY, IDENTITY], ids=["key", "identity"])
@pytest.mark.parametrize(("condition", "message"), UNSUPPORTED_CONDITIONS)
def test_unsupported_condition(kind: PolicyKind, condition: object, message: str) -> None:
    with pytest.raises(
        UnsupportedPolicy, match=rf"^Statement\[0\]\.Condition\..*{message}.*(supported|give it)"
    ):
        parse_with(kind, Condition=condition)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        pytest.param(
            KEY,
            {"Principal": DROPPED, "NotPrincipal": {"AWS": ROLE}},
            "NotPrincipal: AWS does not support NotPrincipal with",
            id="not-principal-with-allow",
        ),
        pytest.param(KEY, {"Principal": {"Federated": "a.com"}}, "Federated", id="federated"),
        pytest.param(KEY, {"Principal": {"CanonicalUser": "79a"}}, "Canonical", id="canonical"),
        pytest.param(
            KEY,
            {"Resource": "arn:aws:kms:*:${aws:PrincipalAccount}:key/*"},
            "variable before the fifth colon",
            id="variable-for-an-account",
        ),
        pytest.param(
            IDENTITY,
            {"Resource": DROPPED, "NotResource": "arn:aws:kms:*:*:key/${aws:nobody}"},
            "NotResource: the policy variable",
            id="unknown-variable",
        ),
        pytest.param(
            KEY,
            {"Condition": {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/a"}}},
            "'kms:ResourceAliases' for IAM policies only",
            id="aliases-in-a-key-policy",
        ),
        pytest.param(
            KEY,
            {"Condition": {"ForAnyValue:StringEquals": {"kms:EncryptionContext:a": "b"}}},
            "a set operator over the single-valued key",
            id="any-pair",
        ),
        pytest.param(KEY, {"Resource": "arn:aws:kms"}, "shorter than an ARN", id="short-arn"),
    ],
)
def test_unsupported_elements(kind: PolicyKind, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedPolicy, match=rf"^Statement\[0\]\..*{message}.*supported"):
        parse_with(kind, **changes)


@pytest.mark.parametrize("key", ["kms:EncryptionContext:Department", "aws:RequestTag/a"])
def test_kms_refuses_for_all_values_over_a_pair(key: str) -> None:
    condition = {"ForAllValues:StringEquals": {key: "IT"}}
    with pytest.raises(MalformedPolicy, match=r"^Statement\[0\]\.Condition.*: OverlyPermissive"):
        parse_with(KEY, Condition=condition)
    assert len(parse_with(IDENTITY, Condition=condition).allows) == 1


@pytest.mark.parametrize("version", ["2008-10-17", DROPPED], ids=["2008-10-17", "absent"])
def test_variables_are_literal_text_in_the_older_language(version: object) -> None:
    condition = {"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}
    policy = parse(KEY, statement(KEY, Condition=condition), Version=version)
    assert len(policy.allows) == 1


UNRELATED = [
    pytest.param({"Action": "s3:*"}, id="another-service"),
    pytest.param({"Action": "kms:ReEncrypt"}, id="no-action-of-kms"),
    pytest.param({"Action": DROPPED, "NotAction": "kms:*"}, id="everything-but-kms"),
]


@pytest.mark.parametrize("changes", UNRELATED)
def test_an_unrelated_statement_is_skipped_in_an_identity_policy_only(
    changes: dict[str, Any],
) -> None:
    changes = {"Condition": {"Bool": {"kms:GrantIsForNobody": "true"}}, **changes}
    assert parse_with(IDENTITY, **changes) == Policy(IDENTITY, (), ())
    with pytest.raises(UnsupportedPolicy, match="kms:GrantIsForNobody"):
        parse_with(KEY, **changes)


@pytest.mark.parametrize("changes", UNRELATED)
def test_an_unrelated_statement_has_no_effect(changes: dict[str, Any]) -> None:
    assert parse_with(KEY, **changes) == Policy(KEY, (), ())


def test_a_policy_is_read_once() -> None:
    text = json.dumps({"Statement": statement(IDENTITY)})
    assert parse_policy(text, IDENTITY) is parse_policy(text, IDENTITY)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(MalformedPolicy) as caught:
        parse_with(KEY, Action="x" * 10_000)
    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
STRINGS = st.sampled_from(
    ["*", "Allow", "Deny", "kms:Decrypt", "kms:*", "true", "111122223333", ROLE, "${a}", "arn:a:b*"]
)
NEARLY = JSON | STRINGS | st.lists(STRINGS, max_size=2)
KEYS = st.sampled_from([PCR0, "kms:EncryptionContext:a", "kms:RecipientAttestation"]) | st.text()
OPERATORS = st.sampled_from(["StringEquals", "StringNotLikeIfExists", "Null", "Bool"]) | st.text()
STATEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "Sid": NEARLY,
        "Effect": NEARLY,
        "Principal": NEARLY | st.dictionaries(st.sampled_from(["AWS", "Service"]), NEARLY),
        "NotPrincipal": NEARLY | st.dictionaries(st.sampled_from(["AWS", "Federated"]), NEARLY),
        "Action": NEARLY,
        "NotAction": NEARLY,
        "Resource": NEARLY,
        "NotResource": NEARLY,
        "Condition": NEARLY
        | st.dictionaries(
            OPERATORS, NEARLY | st.dictionaries(KEYS, NEARLY, max_size=2), max_size=2
        ),
    },
)
POLICIES = st.fixed_dictionaries(
    {"Statement": JSON | STATEMENTS | st.lists(STATEMENTS, max_size=3)},
    optional={"Version": st.sampled_from(["2012-10-17", "2008-10-17"]) | JSON, "Id": NEARLY},
)


@settings(max_examples=200)
@given(JSON.map(json.dumps) | POLICIES.map(json.dumps) | st.text(), st.sampled_from(PolicyKind))
def test_parsing_raises_nothing_but_its_two_errors(text: str, kind: PolicyKind) -> None:
    with contextlib.suppress(MalformedPolicy, UnsupportedPolicy):
        assert parse_policy(text, kind).kind is kind
