"""`attested-kms inspect --policy`: whether a key policy lets a caller with this document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nsm_fake import pcr_of_role_arn
from tests.simulator.inspected import ROLE, SIMULATED, Ran, document, inspect, nsm

PCR0 = "kms:RecipientAttestation:PCR0"
IMAGE = "kms:RecipientAttestation:ImageSha384"
MEASURED = nsm().identity.pcr0.hex()
OTHER = "ab" * 48


def allow(condition: dict[str, Any] | None = None, **elements: Any) -> dict[str, Any]:
    base = {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:Decrypt", "Resource": "*"}
    return {**base, **({"Condition": condition} if condition else {}), **elements}


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    return tmp_path / "policy.json"


def asked(
    path: Path, *statements: dict[str, Any], made: bytes | None = None, arguments: Any = ()
) -> Ran:
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    given = made or document()
    return inspect("-", "--json", *SIMULATED, "--policy", path, *arguments, stdin=given)


def test_a_policy_that_fits_lets_the_document_in(policy_file: Path) -> None:
    ran = asked(policy_file, allow({"StringEqualsIgnoreCase": {IMAGE: MEASURED.upper()}}))
    assert ran.code == 0
    policy = ran.report["policy"]
    assert (policy["allowed"], policy["message"]) == (True, None)
    assert policy["caller"].startswith("arn:aws:sts::123456789012:assumed-role/Webserver/")
    (statement,) = policy["statements"]
    assert statement["applies"]
    assert statement["conditions"][0]["found"] == MEASURED


def test_a_denial_is_exit_code_3_and_names_the_condition(policy_file: Path) -> None:
    condition = {"StringEquals": {PCR0: OTHER, "kms:RecipientAttestation:PCR1": "cd" * 48}}
    good = {"StringEquals": {PCR0: MEASURED}}
    ran = asked(policy_file, allow(condition, Sid="pinned"), allow(good, Action="kms:Encrypt"))
    assert ran.code == 3
    report = ran.report
    assert (report["authentic"], report["usable"]) == (True, True)
    policy = report["policy"]
    assert not policy["allowed"]
    assert "no resource-based policy allows the kms:Decrypt action" in policy["message"]
    pinned, other = policy["statements"]
    assert (pinned["path"], pinned["sid"], pinned["applies"]) == ("Statement[0]", "pinned", False)
    assert [each["path"] for each in pinned["conditions"]] == [
        f"Statement[0].Condition.StringEquals.{PCR0}",
        "Statement[0].Condition.StringEquals.kms:RecipientAttestation:PCR1",
    ]
    first = pinned["conditions"][0]
    assert (first["expected"], first["found"], first["holds"]) == ([OTHER], MEASURED, False)
    assert (other["action"], other["principal"], other["resource"]) == (False, True, True)
    assert other["conditions"][0]["holds"]


def test_people_see_expected_beside_found(policy_file: Path) -> None:
    policy_file.write_text(json.dumps({"Statement": allow({"StringEquals": {PCR0: OTHER}})}))
    ran = inspect("-", *SIMULATED, "--policy", policy_file, stdin=document())
    assert ran.code == 3
    assert "allowed by the key policy  NO" in ran.out
    assert f"policy    {OTHER}" in ran.out
    assert f"document  {MEASURED}" in ran.out
    assert "Statement, Allow: does not apply" in ran.out


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ({"StringEquals": {PCR0: MEASURED.upper()}}, "in lower case"),
        ({"StringEqualsIgnoreCase": {PCR0: f"0x{MEASURED}"}}, "no 0x"),
        ({"StringEquals": {PCR0: MEASURED[:-2]}}, "96 hexadecimal digits"),
        ({"StringEquals": {"kms:RecipientAttestation:PCR16": OTHER}}, "once they are locked"),
        ({"StringEquals": {"kms:EncryptionContext:app": "x"}}, "does not know"),
        ({"StringEquals": {PCR0: OTHER}}, None),
        ({"StringNotEquals": {PCR0: MEASURED}}, None),
    ],
)
def test_a_condition_that_fails_says_why_if_that_can_be_told(
    policy_file: Path, condition: dict[str, Any], hint: str | None
) -> None:
    ran = asked(policy_file, allow(condition))
    assert ran.code == 3
    found = ran.report["policy"]["statements"][0]["conditions"][0]["hint"]
    assert (found is None) if hint is None else (hint in found)


def test_debug_mode_is_the_reason(policy_file: Path) -> None:
    made = document(debug_mode=True)
    ran = asked(policy_file, allow({"StringEquals": {PCR0: MEASURED}}), made=made)
    condition = ran.report["policy"]["statements"][0]["conditions"][0]
    assert condition["found"] == "0" * 96
    assert "debug mode" in condition["hint"]


def test_a_deny_that_applies_is_named(policy_file: Path) -> None:
    deny = allow({"Null": {PCR0: "false"}}, Effect="Deny", Principal="*")
    ran = asked(policy_file, allow(), deny)
    assert ran.code == 3
    policy = ran.report["policy"]
    assert "explicit deny in a resource-based policy" in policy["message"]
    assert [each["applies"] for each in policy["statements"]] == [True, True]


def test_elements_that_do_not_mean_the_call(policy_file: Path) -> None:
    elsewhere = "arn:aws:iam::123456789012:role/Other"
    one_key = "arn:aws:kms:us-east-1:999999999999:key/aaaa"
    ran = asked(
        policy_file,
        allow(Principal={"AWS": elsewhere}),
        allow(Resource=[one_key, f"{one_key}b"]),
        arguments=["--caller", ROLE],
    )
    other, key = ran.report["policy"]["statements"]
    assert (other["principal"], other["action"], other["resource"]) == (False, True, True)
    assert (key["principal"], key["action"], key["resource"]) == (True, True, False)


def test_the_key_is_the_one_that_the_policy_names(policy_file: Path) -> None:
    arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    ran = asked(policy_file, allow(Resource=arn))
    assert (ran.code, ran.report["policy"]["key_arn"]) == (0, arn)


def test_a_role_explains_pcr3(policy_file: Path) -> None:
    report = asked(policy_file, allow()).report
    assert report["document"]["pcrs"][3]["explained"] == f"is that of {ROLE}"
    assert report["document"]["pcrs"][3]["value"] == pcr_of_role_arn(ROLE).hex()


def test_another_operation(policy_file: Path) -> None:
    statements = (allow(Action="kms:GenerateDataKey"),)
    assert asked(policy_file, *statements).code == 2  # Nobody is named for Decrypt.
    ran = asked(policy_file, *statements, arguments=["--operation", "GenerateDataKey"])
    assert (ran.code, ran.report["policy"]["action"]) == (0, "kms:GenerateDataKey")
    ran = asked(policy_file, *statements, arguments=["--operation", "Sign"])
    assert "Sign is not an operation that is evaluated" in ran.sentence


@pytest.mark.parametrize(
    ("arn", "allowed"),
    [
        (ROLE, True),
        ("arn:aws:sts::123456789012:assumed-role/Webserver/i-0123456789abcdef0", True),
        ("arn:aws:sts::123456789012:assumed-role/Webserver/a+b=c,d.e@f-g_h", True),
        ("arn:aws:iam::123456789012:user/dev/alice", False),
        ("arn:aws:iam::123456789012:root", False),
        ("arn:aws:iam::123456789012:role/path/Webserver", False),
    ],
)
def test_callers(policy_file: Path, arn: str, allowed: bool) -> None:
    ran = asked(policy_file, allow(), arguments=["--caller", arn])
    assert ran.report["policy"]["allowed"] is allowed


@pytest.mark.parametrize("session", ["ci", "ci+nightly", "x" * 64])
def test_a_session_alone_is_who_calls(policy_file: Path, session: str) -> None:
    arn = f"arn:aws:sts::123456789012:assumed-role/Webserver/{session}"
    ran = asked(policy_file, allow(Principal={"AWS": arn}))
    assert (ran.code, ran.report["policy"]["caller"]) == (0, arn)


@pytest.mark.parametrize(
    "name",
    ["assumed-role/Webserver/x", f"assumed-role/Webserver/{'x' * 65}", "federated-user/alice"],
)
def test_a_principal_alone_who_never_calls_here_is_named(policy_file: Path, name: str) -> None:
    arn = f"arn:aws:sts::123456789012:{name}"
    ran = asked(policy_file, allow(Principal={"AWS": arn}))
    assert ran.code == 2
    assert f"for kms:Decrypt it names one principal alone: {arn} is not" in ran.sentence
    assert "2 to 64 characters" in ran.sentence
    ran = asked(policy_file, allow(Principal={"AWS": arn}), arguments=["--caller", ROLE])
    assert (ran.code, ran.report["policy"]["allowed"]) == (3, False)


def test_an_account_alone_means_a_role_of_it(policy_file: Path) -> None:
    ran = asked(policy_file, allow(Principal={"AWS": "arn:aws:iam::210987654321:root"}))
    assert ran.code == 0
    assert ":sts::210987654321:assumed-role/" in ran.report["policy"]["caller"]


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("", [], "it is not a key policy: the policy is not JSON"),
        ('{\n  "Statement": [,]\n}', [], "line 2 column 17"),
        ('{"Statement": [{"Effect": "Maybe"}]}', [], "Statement[0].Effect: must be Allow or Deny"),
        (json.dumps({"Statement": allow(Principal="*")}), [], "give --caller ARN"),
        (
            json.dumps({"Statement": allow(Principal={"AWS": [ROLE, f"{ROLE}2"]})}), [],
            f"it names {ROLE}, {ROLE}2",
        ),
        (json.dumps({"Statement": allow()}), ["--caller", "Webserver"], "is not the ARN of a call"),
        (json.dumps({"Statement": allow()}), ["--caller", f"{ROLE}*"], "is not the ARN of a call"),
        (json.dumps({"Statement": allow({"Foo": {PCR0: "x"}})}), [], "Statement.Condition.Foo"),
        ("\udcff", [], "is not UTF-8"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_asked(
    policy_file: Path, text: str, arguments: list[str], words: str
) -> None:
    policy_file.write_bytes(text.encode("utf-8", "surrogateescape"))
    ran = inspect("-", *SIMULATED, "--policy", policy_file, *arguments, stdin=document())
    assert ran.code == 2
    assert words in ran.sentence
    assert str(policy_file) in ran.sentence


def test_a_document_that_is_not_usable_is_still_asked_about(policy_file: Path) -> None:
    ran = asked(policy_file, allow(), made=document("pkcs1"))
    assert (ran.code, ran.report["policy"]["allowed"]) == (3, True)
    ran = asked(policy_file, allow(), made=document()[:500])
    assert (ran.code, ran.report["policy"]) == (1, None)
