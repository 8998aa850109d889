"""The parts of a rehearsal's world, without one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kms_fake.http_server import Answer
from simulator import cli
from simulator.rehearsal import asked, errors, faults
from simulator.rehearsal.faults import BadFault, CallKind, Counted, Part, Span
from simulator.rehearsal.late import LateChanges
from simulator.rehearsal.permissions import (
    NEEDED,
    BadPolicy,
    Decision,
    RolePolicy,
    needed_policy,
    without,
)

KEY = "arn:aws:kms:us-east-1:123456789012:key/2afeff57-0448-4571-8f60-a1a8c5a6b1ec"


def of(*statements: dict[str, Any]) -> RolePolicy:
    return RolePolicy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def allow(action: str, resource: str = "*", **more: object) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def test_faults_are_parts_calls_and_commands() -> None:
    found = faults.parse(["device=absent", "kms.CreateKey=cut:3:2", "build-enclave=E48"])
    (call,), (command,) = found.calls, found.commands
    assert found.parts == {Part.DEVICE}
    assert (call.service, call.operation, call.span) == ("kms", "CreateKey", Span(3, 2))
    assert (command.program, command.kind, command.span) == ("nitro-cli", "E48", Span())
    (told,) = faults.parse(["docker-build=sigterm:1"]).commands
    assert (told.kind, told.span) == ("sigterm", Span(1, 1))


@pytest.mark.parametrize(
    "text", ["", "device", "device=off", "s3=cut", "kms=cut:x", "run-enclave=1", "docker-build=E48"]
)
def test_a_fault_that_is_none_is_said(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadFault):
        faults.parse([text])
    assert cli.main(["rehearsal", "--fail", text, "--", "true"]) == 2
    assert f"attested-kms rehearsal: --fail {text}: give" in capsys.readouterr().err


def test_calls_fail_from_one_on_and_so_many() -> None:
    counted = Counted(faults.parse(["kms=expired:1:2"]).calls)
    seen = [counted.next("kms", "ListKeys") for _ in range(4)]
    assert seen == [None, CallKind.EXPIRED, CallKind.EXPIRED, None]
    assert counted.next("sts", "GetCallerIdentity") is None


def test_the_role_may_do_what_is_needed_and_no_more() -> None:
    policy = RolePolicy(json.dumps(needed_policy()))
    assert {policy.decide(action, "*", {}) for action in NEEDED} == {Decision.ALLOWED}
    for action in ("kms:DeleteAlias", "s3:GetObject", "iam:CreateRole"):
        assert policy.decide(action, "*", {}) is Decision.IMPLICIT_DENY


def test_policies_of_the_role_are_evaluated() -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/run": "r1"}}
    policy = of(
        allow("kms:D*", "arn:aws:kms:*:*:key/*", Condition=tagged),
        allow("ec2:Describe*"),
        {"Effect": "Deny", "Action": "ec2:DescribeImages", "Resource": "*"},
    )
    ours = {"aws:ResourceTag/run": ["r1"]}
    assert policy.decide("kms:disablekey", KEY, ours) is Decision.ALLOWED
    assert policy.decide("kms:DisableKey", KEY, {}) is Decision.IMPLICIT_DENY
    assert policy.decide("kms:DisableKey", "*", ours) is Decision.IMPLICIT_DENY
    assert policy.decide("ec2:DescribeInstances", "*", {}) is Decision.ALLOWED
    assert policy.decide("ec2:DescribeImages", "*", {}) is Decision.EXPLICIT_DENY


def test_a_permission_is_taken_out_by_its_name() -> None:
    policy = {"Version": "2012-10-17", "Statement": [allow("kms:*"), allow("ec2:X")]}
    with pytest.raises(BadPolicy, match="kms:DisableKey is not listed"):
        without(policy, ["kms:DisableKey"])
    assert len(json.loads(without(policy, ["ec2:x"]))["Statement"]) == 1


def test_a_policy_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.json"
    for text in ("{", '{"Statement": [{"Effect": "Maybe"}]}'):
        file.write_text(text)
        assert cli.main(["rehearsal", "--role-policy", str(file), "--", "true"]) == 2
        assert capsys.readouterr().err.startswith("attested-kms rehearsal: ")


def test_nothing_to_run_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rehearsal"]) == 2
    assert "say what to run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--instance-type", "m6i.large", "There is no instance type 'm6i.large' here."),
        ("--region", "nowhere", "There is no Region nowhere"),
        ("--late", "-1", "--late takes a number from 0 on"),
    ],
)
def test_a_world_that_cannot_be_is_said(
    option: str, value: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["rehearsal", option, value, "--", "true"]) == 2
    assert capsys.readouterr().err.startswith(f"attested-kms rehearsal: {sentence}")


def test_requests_of_both_protocols_are_read() -> None:
    def signed(service: str, **more: str) -> dict[str, str]:
        scope = f"Credential=ASIAX/20261127/us-east-1/{service}/aws4_request"
        return {"HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host", **more}

    body = b"Action=SimulatePrincipalPolicy&Version=2010-05-08&ActionNames.member.2=b&"
    form = asked.read(signed("iam"), body + b"ActionNames.member.1=a&PolicySourceArn=r")
    assert form is not None
    assert (form.action, form.members) == (
        "iam:SimulatePrincipalPolicy",
        {"ActionNames": ["a", "b"], "PolicySourceArn": "r"},
    )
    target = {"HTTP_X_AMZ_TARGET": "TrentService.Encrypt"}
    json_ = asked.read(signed("kms", **target), b'{"Plaintext": "c2VjcmV0"}')
    assert json_ is not None
    assert (json_.action, json_.access_key) == ("kms:Encrypt", "ASIAX")
    assert asked.shown(dict(json_.members)) == {"Plaintext": {"bytes": 6}}
    assert asked.read({}, b"") is None
    assert asked.read(signed("kms"), b"{}") is None


@pytest.mark.parametrize("service", ["kms", "tagging", "iam", "sts", "ec2"])
def test_an_error_is_read_as_it_is_written(service: str) -> None:
    answer = errors.error(service, "Code", "a < b", 400, "id")
    assert errors.code_of(answer) == "Code"
    assert errors.code_of(Answer(200, b"{}")) is None


def test_late_changes_are_seen_after_so_many_uses() -> None:
    late = LateChanges(1)
    key = SimpleNamespace(id="k", policy="one", key_state="Enabled", enabled=True)
    backend = SimpleNamespace(keys={"k": key})

    def used() -> tuple[bool, object]:
        with late.used(backend, "k"):
            return "k" in backend.keys, key.policy

    late.created(key)
    before = late.before(key)
    key.policy = "two"
    late.changed("k", before)
    assert (used(), used()) == ((False, "one"), (True, "two"))
    before = late.before(key)
    key.policy = "three"
    late.changed("k", before)
    assert (used(), used()) == ((True, "two"), (True, "three"))
    assert backend.keys == {"k": key}


def test_without_lateness_every_change_is_seen() -> None:
    late = LateChanges(0)
    key = SimpleNamespace(id="k", policy="one", key_state="Enabled", enabled=True)
    backend = SimpleNamespace(keys={"k": key})
    late.created(key)
    with late.used(backend, "k") as is_late:
        assert (is_late, "k" in backend.keys) == (False, True)
