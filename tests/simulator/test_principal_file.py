"""The principals file: who calls with which access key, and what is wrong with such a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kms_fake.authorization import IdentityPermissions
from kms_fake.callers import DEFAULT_INSTANCE_ID, Caller, identity_of_policies
from kms_fake.principals import Principal
from simulator.key_file import Defaults
from simulator.principal_file import read_principals
from simulator.user_files import BadFile

DEFAULTS = Defaults("111122223333", "eu-central-1")
POLICY = {"Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}}
USER = "arn:aws:iam::111122223333:user/team/alice"


def read(
    folder: Path, principals: dict[str, Any], defaults: Defaults = DEFAULTS
) -> dict[str, Caller]:
    path = folder / "principals.json"
    path.write_text(json.dumps({"principals": principals}))
    return read_principals(path, defaults)


def problems(folder: Path, principals: dict[str, Any]) -> list[str]:
    with pytest.raises(BadFile) as caught:
        read(folder, principals)
    path = folder / "principals.json"
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("entry", "principal"),
    [
        ({"arn": USER}, Principal(USER, "111122223333", USER)),
        ({"arn": "user/team/alice"}, Principal(USER, "111122223333", USER)),
        (
            {"arn": "arn:aws:iam::999900001111:role/apps/enclave"},
            Principal(
                f"arn:aws:sts::999900001111:assumed-role/enclave/{DEFAULT_INSTANCE_ID}",
                "999900001111",
                "arn:aws:iam::999900001111:role/apps/enclave",
            ),
        ),
        (
            {"arn": "role/enclave", "session_name": "ci+job@build"},
            Principal(
                "arn:aws:sts::111122223333:assumed-role/enclave/ci+job@build",
                "111122223333",
                "arn:aws:iam::111122223333:role/enclave",
            ),
        ),
        (
            {"arn": "arn:aws-cn:sts::111122223333:assumed-role/enclave/i-1"},
            Principal(
                "arn:aws-cn:sts::111122223333:assumed-role/enclave/i-1",
                "111122223333",
                "arn:aws-cn:iam::111122223333:role/enclave",
            ),
        ),
        (
            {"arn": "root"},
            Principal(
                "arn:aws:iam::111122223333:root",
                "111122223333",
                "arn:aws:iam::111122223333:root",
            ),
        ),
    ],
)
def test_whom_an_arn_means(tmp_path: Path, entry: dict[str, Any], principal: Principal) -> None:
    (caller,) = read(tmp_path, {"AKIA": entry}).values()
    assert caller.principal == principal
    assert caller.identity.policies == ()


def test_a_short_name_is_of_the_partition_of_the_region(tmp_path: Path) -> None:
    defaults = Defaults("111122223333", "cn-north-1")
    (caller,) = read(tmp_path, {"AKIA": {"arn": "user/a"}}, defaults).values()
    assert caller.principal.arn == "arn:aws-cn:iam::111122223333:user/a"


def test_policies_in_place_as_text_and_in_files(tmp_path: Path) -> None:
    text = json.dumps(POLICY)
    (tmp_path / "decrypt.json").write_text(text)
    entry = {"arn": USER, "policies": [POLICY, text], "policy_files": ["decrypt.json"]}
    (caller,) = read(tmp_path, {"AKIA": entry}).values()
    assert caller.identity == identity_of_policies([text] * 3)


def test_boundary_and_session_policies(tmp_path: Path) -> None:
    text = json.dumps(POLICY)
    (tmp_path / "decrypt.json").write_text(text)
    limits: list[dict[str, Any]] = [
        {"permissions_boundary": POLICY, "session_policies": [text]},
        {"permissions_boundary_file": "decrypt.json", "session_policy_files": ["decrypt.json"]},
    ]
    (policy,) = identity_of_policies([text]).policies
    for limit in limits:
        (caller,) = read(tmp_path, {"AKIA": {"arn": "role/r", **limit}}).values()
        assert caller.identity == IdentityPermissions((), policy, (policy,))


def test_sessions_of_one_role_may_have_other_session_policies(tmp_path: Path) -> None:
    first = {"arn": "role/r", "policies": [POLICY]}
    callers = read(tmp_path, {"A": first, "B": {**first, "session_policies": [POLICY]}})
    assert callers["A"].identity.policies == callers["B"].identity.policies


def test_condition_keys_of_the_caller(tmp_path: Path) -> None:
    context = {
        "aws:PrincipalOrgID": "o-1",
        "aws:PrincipalTag/Team": "blue",
        "aws:PrincipalOrgPaths": ["o-1/r-1/", "o-1/r-2/"],
        "kms:ViaService": "s3.us-east-1.amazonaws.com",
    }
    (caller,) = read(tmp_path, {"AKIA": {"arn": USER, "context": context}}).values()
    assert caller.context == {
        "aws:PrincipalOrgID": ("o-1",),
        "aws:PrincipalTag/Team": ("blue",),
        "aws:PrincipalOrgPaths": ("o-1/r-1/", "o-1/r-2/"),
        "kms:ViaService": ("s3.us-east-1.amazonaws.com",),
    }


def test_two_access_keys_of_one_user(tmp_path: Path) -> None:
    entry = {"arn": USER, "policies": [POLICY]}
    callers = read(tmp_path, {"AKIA1": entry, "AKIA2": entry})
    assert callers["AKIA1"] == callers["AKIA2"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no ARN": ({}, "principals.AKIA: arn is missing; give the ARN of a user, a role, a role"),
    "no caller": ({"arn": "alice"}, "principals.AKIA.arn: arn:aws:iam::111122223333:alice is the"),
    "wildcard": ({"arn": "user/*"}, "principals.AKIA.arn: arn:aws:iam::111122223333:user/* is"),
    "federated user": (
        {"arn": "arn:aws:sts::111122223333:federated-user/x"},
        "principals.AKIA.arn: arn:aws:sts::111122223333:federated-user/x is the ARN of no caller",
    ),
    "session of a user": (
        {"arn": USER, "session_name": "alice"},
        f"principals.AKIA.session_name: {USER} has no session to be named",
    ),
    "policies of root": (
        {"arn": "root", "policies": [POLICY]},
        "principals.AKIA: the root user of an account has no policies of IAM",
    ),
    "session policies of a user": (
        {"arn": USER, "session_policies": [POLICY]},
        f"principals.AKIA: {USER} is no session, so it has no session policies",
    ),
    "malformed boundary": (
        {"arn": USER, "permissions_boundary": {"Statement": {"Effect": "x"}}},
        "principals.AKIA.permissions_boundary.Statement.Effect: must be Allow or Deny, not 'x'",
    ),
    "two boundaries": (
        {"arn": USER, "permissions_boundary": POLICY, "permissions_boundary_file": "p.json"},
        "principals.AKIA: has both permissions_boundary and permissions_boundary_file; leave one",
    ),
    "malformed policy": (
        {"arn": USER, "policies": [{"Statement": [{"Effect": "Allow", "Principal": "*"}]}]},
        "principals.AKIA.policies[0].Statement[0].Principal: an identity policy has no principal",
    ),
    "absent file": (
        {"arn": USER, "policy_files": ["absent.json"]},
        "principals.AKIA.policy_files[0]: ",
    ),
    "one policy": (
        {"arn": USER, "policies": POLICY},
        "principals.AKIA.policies: must be a list of identity policies, not {",
    ),
    "unknown condition key": (
        {"arn": USER, "context": {"aws:PrincipalOrg": "o-1"}},
        "principals.AKIA.context.aws:PrincipalOrg: AWS has no such condition key",
    ),
    "attestation": (
        {"arn": USER, "context": {"kms:RecipientAttestation:PCR0": "00"}},
        "principals.AKIA.context.kms:RecipientAttestation:PCR0: KMS finds it in the request",
    ),
    "another's ARN": (
        {"arn": USER, "context": {"aws:principalarn": "x"}},
        "principals.AKIA.context.aws:principalarn: KMS finds it in the request",
    ),
    "two values": (
        {"arn": USER, "context": {"aws:PrincipalOrgID": ["o-1", "o-2"]}},
        "principals.AKIA.context.aws:PrincipalOrgID: aws:PrincipalOrgID has one value; give one",
    ),
    "no value": (
        {"arn": USER, "context": {"aws:PrincipalOrgPaths": []}},
        "principals.AKIA.context.aws:PrincipalOrgPaths: aws:PrincipalOrgPaths has",
    ),
    "true": (
        {"arn": USER, "context": {"aws:SecureTransport": True}},
        "principals.AKIA.context.aws:SecureTransport: must be text, or a list of texts for a key",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_path(tmp_path: Path, case: str) -> None:
    entry, complaint = WRONG[case]
    (tmp_path / "p.json").write_text(json.dumps(POLICY))
    (problem,) = problems(tmp_path, {"AKIA": entry})
    assert problem.startswith(complaint)


def test_an_access_key_that_no_header_could_carry(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"AK/IA": {"arn": USER}})
    assert problem.startswith(
        "principals: must be an access key id, 1 to 128 letters, digits and _"
    )


def test_one_user_with_two_sets_of_policies(tmp_path: Path) -> None:
    first = {"arn": USER, "policies": [POLICY]}
    (problem,) = problems(tmp_path, {"AKIA1": first, "AKIA2": {"arn": USER}})
    assert problem.startswith(f"principals.AKIA2: {USER} has other policies under AKIA1")


def test_one_mistake_is_one_complaint(tmp_path: Path) -> None:
    good = {"arn": USER, "policies": [POLICY]}
    (problem,) = problems(tmp_path, {"AKIA1": good, "AKIA2": {"arn": USER, "policies": [{}]}})
    assert problem == "principals.AKIA2.policies[0]: the policy has no Statement"
