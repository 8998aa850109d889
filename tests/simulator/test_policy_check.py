"""The check as a whole: who is asked about, the table, what it cannot read, its JSON."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kms_fake.condition_keys import CONDITION_KEYS
from simulator.policy_check import report
from simulator.policy_check.check import Result
from simulator.policy_check.findings import Severity
from simulator.policy_check.reading import Unreadable
from simulator.policy_check.requests import Document
from simulator.policy_check.statements import ATTESTED_ACTIONS, is_misspelt, measurement_of
from simulator.policy_check.subjects import Kind
from tests.simulator.policy_cases import EXAMPLES
from tests.simulator.policy_world import (
    ACCOUNT,
    ADMINISTRATORS,
    DELEGATION,
    DENY_WITHOUT,
    ENCLAVE,
    OWNER,
    PINNED,
    ROOT,
    SAFE,
    SAFE_ALLOW,
    Json,
    allow,
    checked,
    deny,
    digest,
    identity,
    measured,
    only,
    pcr,
    policy,
    statement,
)

NONE, ANY, MEETING, DEBUG, GIVEN = Document


def allowed(result: Result, label: str, action: str = "kms:Decrypt") -> list[Document]:
    """With which documents the principal of this label may call the action."""
    (subject,) = [each for each in result.study.subjects if each.label == label]
    documents = [each for each in Document if each is not GIVEN or result.with_given_document]
    return [each for each in documents if result.study.outcome(subject, action, each).allowed]


def labels(result: Result) -> list[str]:
    return [subject.label for subject in result.study.subjects]


def names(result: Result) -> set[str]:
    return {finding.trap.id for finding in result.findings}


BY_IAM = f"account {ACCOUNT}, as its IAM policies allow"
BY_GIVEN = f"account {ACCOUNT}, with the given IAM policies"


class TestWhoIsAskedAbout:
    def test_principals_of_all_kinds(self) -> None:
        user = f"arn:aws:iam::{ACCOUNT}:user/team/a"
        session = f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave/i-0a1"
        named = allow(PINNED, principal={"AWS": [ENCLAVE, user, session, ROOT]})
        assert labels(checked(policy(named))) == [ENCLAVE, user, session, BY_IAM]

    def test_those_that_conditions_name(self) -> None:
        by_condition = allow(only("ArnEquals", "aws:PrincipalArn", ENCLAVE), principal="*")
        result = checked(policy(by_condition))
        assert labels(result)[0] == ENCLAVE
        assert allowed(result, ENCLAVE) == [NONE, ANY, MEETING, DEBUG]
        assert allowed(result, "everybody in other accounts") == []

    def test_everybody_is_two_rows(self) -> None:
        result = checked(policy(allow(PINNED, principal="*"), ADMINISTRATORS))
        assert allowed(result, f"everybody in account {ACCOUNT}") == [MEETING]
        assert allowed(result, "everybody in other accounts") == [MEETING]

    def test_another_account_needs_its_own_iam_which_may_allow(self) -> None:
        foreign = "arn:aws:iam::444455556666:role/partner"
        result = checked(policy(statement(principal={"AWS": foreign})), account=ACCOUNT)
        assert NONE in allowed(result, foreign)

    def test_callers_come_first_and_keep_their_iam_policies(self) -> None:
        caller = f"arn:aws:iam::{ACCOUNT}:role/caller"
        result = checked(policy(DELEGATION, SAFE_ALLOW), identity("kms:Decrypt"), callers=[caller])
        assert labels(result) == [caller, ENCLAVE, BY_IAM]
        assert NONE in allowed(result, caller)
        assert allowed(result, caller, "kms:GenerateDataKey") == []
        assert allowed(result, ENCLAVE) == [MEETING]

    def test_without_callers_iam_policies_are_everybodys_at_home(self) -> None:
        result = checked(policy(DELEGATION, SAFE_ALLOW), identity("kms:Decrypt"))
        assert labels(result) == [ENCLAVE, BY_GIVEN]
        assert NONE in allowed(result, ENCLAVE)
        assert allowed(result, BY_GIVEN, "kms:GenerateDataKey") == []

    @pytest.mark.parametrize(
        "arn",
        [
            "enclave",
            f"arn:aws:sts::{ACCOUNT}:role/enclave",
            f"arn:aws:iam::{ACCOUNT}:role",
            f"arn:aws:iam::{ACCOUNT}:root/x",
            f"arn:aws:sts::{ACCOUNT}:assumed-role/enclave",
            f"arn:aws:iam::{ACCOUNT}:role/*",
        ],
    )
    def test_a_caller_that_is_none(self, arn: str) -> None:
        with pytest.raises(Unreadable, match="is no principal; give the ARN"):
            checked(policy(SAFE_ALLOW), callers=[arn])


class TestWhichKey:
    def test_the_account_is_that_of_the_policys_account(self) -> None:
        foreign = statement(principal={"AWS": "arn:aws:iam::444455556666:role/partner"})
        assert checked(policy(DELEGATION, foreign)).study.key.account == ACCOUNT

    def test_a_partition_is_kept(self) -> None:
        role = f"arn:aws-us-gov:iam::{ACCOUNT}:role/enclave"
        result = checked(policy(allow(PINNED, principal={"AWS": role}), ADMINISTRATORS))
        assert result.study.key.arn.startswith("arn:aws-us-gov:kms:")
        assert allowed(result, role) == [MEETING]

    def test_without_any_principal_an_example_stands_for_it(self) -> None:
        assert checked(policy(statement(principal="*"))).study.key.account == ACCOUNT

    def test_several_accounts_are_a_question(self) -> None:
        foreign = statement(principal={"AWS": "arn:aws:iam::444455556666:role/partner"})
        with pytest.raises(Unreadable, match=r"\(111122223333, 444455556666\); say with --account"):
            checked(policy(SAFE_ALLOW, foreign))

    def test_a_policy_for_certain_keys_needs_the_arn(self) -> None:
        arn = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1"
        for_one = identity() | {"Statement": [statement(principal=False, Resource=arn)]}
        with pytest.raises(
            Unreadable, match=r"identity-1\.json: Statement\[0\]\.Resource: .* --key-arn ARN"
        ):
            checked(policy(DELEGATION), for_one)
        assert NONE in allowed(checked(policy(DELEGATION), for_one, key_arn=arn), BY_GIVEN)
        other = checked(policy(DELEGATION), for_one, key_arn=f"{arn}2")
        assert allowed(other, BY_GIVEN) == []

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"account": "12"}, "--account 12: no account; give its number of 12 digits"),
            ({"key_arn": "alias/a"}, "--key-arn alias/a: no key's ARN"),
            (
                {"key_arn": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1", "account": "444455556666"},
                "name two accounts",
            ),
        ],
    )
    def test_what_is_no_account_or_key(self, options: Json, complaint: str) -> None:
        with pytest.raises(Unreadable, match=complaint):
            checked(policy(SAFE_ALLOW), **options)


class TestTheTable:
    def test_an_attested_statement(self) -> None:
        result = checked(policy(ADMINISTRATORS, SAFE_ALLOW))
        assert allowed(result, ENCLAVE) == [MEETING]

    def test_the_given_document(self) -> None:
        pcrs = {index: digest(index) for index in (0, 1, 2, 8)}
        result = checked(policy(SAFE_ALLOW), document=pcrs)
        assert allowed(result, ENCLAVE) == [MEETING, GIVEN]
        other = checked(policy(SAFE_ALLOW), document=pcrs | {2: digest(2, "2")})
        assert allowed(other, ENCLAVE) == [MEETING]

    def test_a_deny_holds_for_everybody(self) -> None:
        result = checked(policy(DELEGATION, statement(), DENY_WITHOUT))
        assert allowed(result, ENCLAVE) == [ANY, MEETING, DEBUG]
        assert allowed(result, BY_IAM) == [ANY, MEETING, DEBUG]

    def test_the_second_of_several_builds_meets_the_policy(self) -> None:
        conditions = {"StringEquals": {pcr(0): ["no build", digest(0)]}}
        assert MEETING in allowed(checked(policy(allow(conditions))), ENCLAVE)

    def test_measurements_of_allow_and_deny_are_met_together(self) -> None:
        result = checked(
            policy(allow(measured(0)), deny(only("StringNotEquals", pcr(1), digest(1))))
        )
        assert allowed(result, ENCLAVE) == [MEETING]

    def test_nitro_tpm(self) -> None:
        key = "kms:RecipientAttestation:NitroTPMPCR4"
        result = checked(policy(ADMINISTRATORS, allow(only("StringEquals", key, digest(4)))))
        assert allowed(result, ENCLAVE) == [MEETING]
        assert names(result) == {"policy-change-open"}

    @pytest.mark.parametrize(
        ("condition", "assumed"),
        [
            (
                only("StringEquals", "kms:EncryptionContext:app", "vault"),
                {"kms:EncryptionContext:app": "vault"},
            ),
            (only("StringLike", "aws:SourceVpce", "vpce-*"), {"aws:SourceVpce": "vpce-x"}),
            (only("IpAddress", "aws:SourceIp", "10.0.0.0/8"), {"aws:SourceIp": "10.0.0.0"}),
            (
                only("StringEquals", "aws:PrincipalOrgID", ["o-1", "o-2"]),
                {"aws:PrincipalOrgID": "o-1"},
            ),
            (only("Null", "aws:SourceVpc", "false"), {"aws:SourceVpc": "x"}),
            (
                only("DateLessThan", "aws:CurrentTime", "2030-01-01T00:00:00Z"),
                {"aws:CurrentTime": "2000-01-01T00:00:00Z"},
            ),
            (
                only("NumericLessThan", "aws:MultiFactorAuthAge", "60"),
                {"aws:MultiFactorAuthAge": "0"},
            ),
            (
                only("Bool", "aws:SecureTransport", "true"),
                {"aws:SecureTransport": "true"},
            ),
        ],
    )
    def test_what_else_a_request_needs_is_assumed_and_told(
        self, condition: Json, assumed: Json
    ) -> None:
        result = checked(policy(allow(condition)))
        (subject,) = result.study.subjects
        outcome = result.study.outcome(subject, "kms:Decrypt", NONE)
        assert outcome.allowed
        assert dict(outcome.assuming) == assumed
        pairs = ", ".join(f"{key} = {value}" for key, value in assumed.items())
        assert f"  [1] if the request has {pairs}" in list(report.as_text(result))

    def test_what_the_callers_owner_alone_has_is_not_assumed_of_outsiders(self) -> None:
        condition = {**PINNED, "StringEquals": {"aws:PrincipalOrgID": "o-1"}}
        result = checked(policy(allow(condition, principal="*"), ADMINISTRATORS))
        assert allowed(result, "everybody in other accounts") == []
        assert allowed(result, f"everybody in account {ACCOUNT}") == [MEETING]

    def test_what_escapes_a_deny_is_assumed(self) -> None:
        vpc = deny(only("StringNotEquals", "aws:SourceVpc", "vpc-1"))
        assert NONE in allowed(checked(policy(statement(), vpc)), ENCLAVE)

    def test_equal_actions_share_a_row(self) -> None:
        result = checked(policy(allow(PINNED, action="kms:Decrypt")))
        rows = [line.split() for line in report.as_text(result) if line.startswith("  ")]
        assert rows[1][1:] == ["Decrypt", "-", "-", "YES", "-"]
        others = ["GenerateDataKey,", "GenerateDataKeyPair,", "DeriveSharedSecret"]
        assert rows[2] == [*others, "-", "-", "-", "-"]


class TestUnsupported:
    NOT_EVALUATED = allow(
        only("StringEquals", pcr(0), digest(0).upper()),
        principal=False,
        NotPrincipal={"AWS": OWNER},
    )

    def test_what_a_statement_says_is_still_told(self) -> None:
        result = checked(policy(self.NOT_EVALUATED))
        assert result.unsupported is not None
        assert result.unsupported.startswith("key.json: Statement[0].NotPrincipal: AWS does not")
        assert names(result) == {"upper-case-measurement", "not-principal"}
        text = "\n".join(report.as_text(result))
        assert text.startswith("Not evaluated: key.json: Statement[0].NotPrincipal")

    @pytest.mark.parametrize(
        ("trap", "condition"),
        [
            ("if-exists", only("StringEqualsIfExists", pcr(0), digest(0))),
            ("negated-operator", only("StringNotEquals", pcr(0), digest(0))),
            ("for-all-values", only("ForAllValues:StringEquals", pcr(0), digest(0))),
            ("null-inverted", only("Null", pcr(0), "true")),
        ],
    )
    def test_conditions_that_would_let_somebody_in(self, trap: str, condition: Json) -> None:
        result = checked(policy(self.NOT_EVALUATED, allow(condition)))
        (finding,) = [each for each in result.findings if each.trap.id == trap]
        assert finding.found.cases == ()
        assert finding.found.place.startswith("Statement[1].Condition.")

    def test_malformed_is_not_unsupported(self) -> None:
        with pytest.raises(
            Unreadable, match=r"key\.json: Statement\[0\]\.Effect: must be Allow or"
        ):
            checked(policy(statement("allow")))
        with pytest.raises(Unreadable, match=r"identity-1\.json: Statement\[0\]\.Principal"):
            checked(policy(DELEGATION), policy(statement()))


class TestWhere:
    def test_path_sid_and_cases(self) -> None:
        condition = only("StringEqualsIfExists", pcr(0), digest(0))
        result = checked(policy(ADMINISTRATORS, allow(condition, Sid="enclave only")))
        (finding,) = [each for each in result.findings if each.trap.id == "if-exists"]
        found = finding.found
        assert found.place == f"Statement[1].Condition.StringEqualsIfExists.{pcr(0)}"
        assert found.statement.sid == "enclave only"
        assert [(case.action, case.document) for case in found.cases] == [
            (action, NONE) for action in ATTESTED_ACTIONS
        ]

    def test_one_statement_without_a_list(self) -> None:
        result = checked({"Statement": allow(only("StringNotEquals", pcr(0), digest(0)))})
        (finding,) = [each for each in result.findings if each.trap.id == "negated-operator"]
        assert finding.found.place == f"Statement.Condition.StringNotEquals.{pcr(0)}"

    def test_the_iam_policy_that_bypasses_is_named(self) -> None:
        result = checked(policy(DELEGATION, SAFE_ALLOW), identity("s3:*"), identity("kms:Decrypt"))
        (finding,) = [each for each in result.findings if each.trap.id == "iam-bypass"]
        assert finding.found.place == "Statement[0]"
        assert "identity-2.json Statement[0] allows without a document" in finding.found.wrong

    def test_a_grants_holder_shows_why_grants_matter(self) -> None:
        result = checked(policy(SAFE_ALLOW, statement(action="kms:CreateGrant")))
        (finding,) = [each for each in result.findings if each.trap.id == "grant-open"]
        assert [case.action for case in finding.found.cases][:2] == [
            "kms:CreateGrant",
            "kms:Decrypt",
        ]

    def test_the_consoles_own_grants_for_services_are_not_open(self) -> None:
        for_services = statement(
            action=["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
            condition=only("Bool", "kms:GrantIsForAWSResource", "true"),
        )
        assert "grant-open" not in names(checked(policy(SAFE_ALLOW, for_services)))

    def test_the_consoles_key_administrators_can_make_grants(self) -> None:
        administrators = statement(principal={"AWS": OWNER}, action=["kms:Create*", "kms:Put*"])
        found = names(checked(policy(SAFE_ALLOW, administrators)))
        assert {"grant-open", "policy-change-open"} <= found


def test_no_documented_key_counts_as_misspelt() -> None:
    fixed = [key.name for key in CONDITION_KEYS]
    families = [
        "kms:EncryptionContext:PCR0",
        "aws:ResourceTag/attestation",
        "aws:PrincipalTag/PCR0",
    ]
    assert [key for key in (*fixed, *families) if is_misspelt(key)] == []
    for key in ("kms:RecipientAttestation:ImageSha384", "KMS:recipientattestation:pcr31"):
        assert measurement_of(key) is not None


# Whatever the policy: no hole without a finding.

_MEASURED = st.sampled_from([pcr(0), pcr(2), pcr(8), "kms:RecipientAttestation:ImageSha384"])
_OPERATORS = [
    f"{prefix}String{negation}{name}{suffix}"
    for prefix in ("", "ForAllValues:", "ForAnyValue:")
    for negation in ("", "Not")
    for name in ("Equals", "EqualsIgnoreCase", "Like")
    for suffix in ("", "IfExists")
]
_VALUES = st.sampled_from([digest(0), digest(2), "0" * 96, "*", [digest(0), digest(8)]])
_CONDITIONS = st.dictionaries(
    st.sampled_from([*_OPERATORS, "Null"]), st.dictionaries(_MEASURED, _VALUES, min_size=1)
).map(
    lambda conditions: {
        operator: dict.fromkeys(block, "true") if operator == "Null" else block
        for operator, block in conditions.items()
    }
)
_STATEMENTS = st.builds(
    statement,
    st.sampled_from(["Allow", "Allow", "Deny"]),
    principal=st.sampled_from(["*", {"AWS": ENCLAVE}, {"AWS": ROOT}, {"AWS": [OWNER, ENCLAVE]}]),
    action=st.sampled_from(
        ["kms:*", "kms:Decrypt", "kms:GenerateDataKey*", ["kms:Decrypt", "kms:Sign"]]
    ),
    condition=_CONDITIONS,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_STATEMENTS, min_size=1, max_size=4))
def test_nobody_decrypts_with_no_document_or_anothers_unreported(statements: list[Json]) -> None:
    result = checked(policy(*statements), account=ACCOUNT)
    assert result.unsupported is None
    for subject in result.study.subjects:
        by_iam = subject.kind is Kind.ACCOUNT
        if result.study.outcome(subject, "kms:Decrypt", NONE).allowed:
            assert result.reaches(Severity.WARNING if by_iam else Severity.ERROR)
        elif result.study.outcome(subject, "kms:Decrypt", ANY).allowed:
            assert result.reaches(Severity.ERROR)
        elif result.study.outcome(subject, "kms:Decrypt", DEBUG).allowed:
            assert result.reaches(Severity.WARNING)


# JSON.


@cache
def validator() -> Draft202012Validator:
    text = files("simulator").joinpath("schemas", "policy-check.schema.json").read_text()
    schema: Any = json.loads(text)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_json_of_every_example_is_what_the_schema_says() -> None:
    examples = [each for pair in EXAMPLES.values() for each in (*pair.has, *pair.has_not)]
    for example in (*examples, *SAFE):
        result = example.check()
        output = report.as_json(result, "error", 0)
        validator().validate(output)
        assert sum(output["counts"].values()) == len(output["findings"])


def test_the_schema_refuses_what_it_does_not_know() -> None:
    output = report.as_json(checked(policy(SAFE_ALLOW)), "error", 0)
    for wrong in (output | {"more": 1}, output | {"exit_code": 3}, output | {"findings": [{}]}):
        assert not validator().is_valid(wrong)
