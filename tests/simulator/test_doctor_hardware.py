"""doctor --hardware: the preflight, on machines that are written down."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from simulator import cli
from simulator.commands.doctor import hardware_needs
from simulator.doctor import hardware
from simulator.doctor.checks import CHECKS
from simulator.doctor.hardware.instance_types import Support, support
from simulator.doctor.hardware.machine import judge_python
from simulator.doctor.hardware.permissions import ASKING, name_of
from simulator.doctor.model import Outcome, Role
from simulator.explanations.table import BY_ID
from simulator.schema_check import schema
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import (
    ALLOCATOR_YAML,
    DEVICE,
    FREE_PAGES,
    NR_PAGES,
    POOL,
    describes,
    enclave,
    without_cli,
)
from tests.simulator.preflight_world import (
    ASKED,
    DOCKER,
    INSTANCE,
    KMS,
    METADATA,
    ROLE,
    VSOCK,
    aws,
    credentials,
    described,
    df,
    document,
    identity,
    metadata,
    ready,
    simulated,
)

Answer = dict[str, Any]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes long, but the machine may."""
    monkeypatch.setattr(hardware, "SECONDS", 50.0)


@pytest.fixture(name="preflight")
def _preflight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def examine(*words: str, **broken: Any) -> Answer:
        folder = ready(tmp_path / "machine", **broken)
        exit_code = cli.main(["doctor", "--hardware", "--host", str(folder), "--json", *words])
        answer: Answer = json.loads(capsys.readouterr().out)
        Draft202012Validator(schema("doctor")).validate(answer)
        assert answer["exit_code"] == exit_code
        return answer

    return examine


def by_outcome(answer: Answer, *outcomes: str) -> dict[str, str]:
    return {
        finding["check"]: finding["found"]
        for finding in answer["findings"]
        if finding["outcome"] in outcomes
    }


def test_a_machine_on_which_a_run_may_begin(preflight: Any) -> None:
    answer = preflight()
    assert by_outcome(answer, "error", "warning") == {}
    assert (answer["exit_code"], answer["missing"], answer["next"]) == (0, [], None)
    own = {check.id for check in hardware.own_checks(hardware_needs())}
    told_of_this_machine = {"hardware.python", "hardware.packages"}
    assert own - set(by_outcome(answer, "ok")) == told_of_this_machine
    assert "hunter2" not in json.dumps(answer)
    assert answer["provenance"] == {
        "instance_type": "m6i.xlarge",
        "region": "us-east-1",
        "nitro_cli": "1.4.4",
        "kernel": "6.1.158-178.288.amzn2023.x86_64",
    }
    assert by_outcome(answer, "ok")["hardware.identity"].endswith(f"runner/{INSTANCE}")


UNAUTHORIZED = aws("ec2", "DescribeInstances", error={"code": "UnauthorizedOperation"})


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(
            {"devices": [VSOCK]},
            {"driver.device": f"There is no {DEVICE}"},
            id="no device",
        ),
        pytest.param(
            {"devices": [VSOCK], "of_aws": [described(enabled=False)]},
            {
                "hardware.enclave-options": f"EnclaveOptions of {INSTANCE} are Enabled=false",
                "driver.device": f"There is no {DEVICE}",
            },
            id="launched without",
        ),
        pytest.param(
            {"devices": [VSOCK], "of_aws": [UNAUTHORIZED]},
            {
                "hardware.enclave-options": "EC2 cannot be asked (UnauthorizedOperation)",
                "driver.device": f"There is no {DEVICE}",
            },
            id="no device and EC2 not asked",
        ),
        pytest.param(
            {"answers": [document(instanceType="m6i.large")]},
            {"hardware.instance-type": f"{INSTANCE} is m6i.large: this size has too few vCPUs"},
            id="too small",
        ),
        pytest.param(
            {"answers": [document(instanceType="t3.2xlarge")]},
            {"hardware.instance-type": f"{INSTANCE} is t3.2xlarge: no size of this family"},
            id="wrong family",
        ),
        pytest.param(
            {"files": without_cli(), "without": ["nitro-cli", "rpm"]},
            {
                "packages.cli": "nitro-cli: command not found",
                "packages.devel": "There is no folder",
            },
            id="no nitro-cli",
        ),
        pytest.param(
            {"files": {POOL: "\n"}},
            {"hardware.pool": "The pool is empty: the allocator is off"},
            id="allocator off",
        ),
        pytest.param(
            {"files": {NR_PAGES: "256\n", FREE_PAGES: "256\n"}},
            {"hardware.memory": "512 MiB of huge pages are reserved on node0; the suite's enclave"},
            id="too little memory",
        ),
        pytest.param(
            {"files": {FREE_PAGES: "0\n"}, "commands": [describes(enclave(1, [1, 3]))]},
            {
                "hardware.memory": "0 of 1024 MiB of huge pages on node0 are free",
                "hardware.enclaves": "holds the CPUs 1,3; free are 0",
            },
            id="an enclave holds the pool",
        ),
        pytest.param(
            {"without": ["docker"], "files": {"/usr/bin/docker": None}},
            {"hardware.docker": "There is no docker on PATH"},
            id="no Docker",
        ),
        pytest.param(
            {
                "commands": [
                    command(*DOCKER, exit_code=1, stderr="Cannot connect to the Docker daemon\n")
                ]
            },
            {"hardware.docker": "The Docker engine does not answer: Cannot connect"},
            id="Docker stopped",
        ),
        pytest.param(
            {
                "user_id": 1000,
                "commands": [command(*DOCKER, exit_code=1, stderr="permission denied while\n")],
            },
            {"hardware.docker": "/var/run/docker.sock may not be used"},
            id="Docker refuses",
        ),
        pytest.param(
            {"commands": [df(20_000_000, 1_000_000)]},
            {"hardware.disk": "976 MiB are free where /var is; image and"},
            id="disk full",
        ),
        pytest.param(
            {"environ": {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}},
            {"hardware.region": "AWS_REGION is eu-west-1, AWS_DEFAULT_REGION is us-east-1, and"},
            id="Regions differ",
        ),
        pytest.param(
            {"answers": [document(region="eu-west-1")]},
            {"hardware.region": "and the instance is in eu-west-1"},
            id="another Region's instance",
        ),
        pytest.param(
            {
                "answers": [
                    metadata("meta-data/iam/security-credentials/", "", status=404),
                ],
                "of_aws": [aws("sts", "GetCallerIdentity", not_called="boto3 says `Unable`")],
            },
            {
                "hardware.credentials": "none in the environment and in files, and No IAM role is",
                "hardware.identity": "STS is not asked: boto3 says `Unable`",
            },
            id="no credentials",
        ),
        pytest.param(
            {
                "answers": [credentials("2026-01-27T11:59:00Z")],
                "of_aws": [
                    aws(
                        "sts",
                        "GetCallerIdentity",
                        error={"code": "ExpiredToken", "message": "The security token ... expired"},
                    )
                ],
            },
            {
                "hardware.credentials": "The credentials of the role runner have expired",
                "hardware.identity": "STS refuses the credentials: ExpiredToken: The security",
            },
            id="expired credentials",
        ),
        pytest.param(
            {"of_aws": [identity(date="Tue, 27 Jan 2026 12:06:00 GMT")]},
            {"hardware.clock": "The clock is 360 seconds behind that of STS"},
            id="clock behind",
        ),
        pytest.param(
            {"answers": [{"url": KMS, "unreachable": "kms cannot be asked (timed out)"}]},
            {"kms.reachable": "kms cannot be asked (timed out)"},
            id="no KMS",
        ),
        pytest.param(
            {"of_aws": [aws("sts", "GetCallerIdentity", unreachable="sts did not answer in time")]},
            {"hardware.identity": "STS does not answer: sts did not answer in time"},
            id="no STS",
        ),
    ],
)
def test_what_is_missing_is_said_and_nothing_else(
    preflight: Any, broken: dict[str, Any], said: dict[str, str]
) -> None:
    answer = preflight(**broken)
    assert answer["exit_code"] == 1
    missing = {entry["check"]: entry["found"] for entry in answer["missing"]}
    assert set(missing) == set(said)
    for check, words in said.items():
        assert words in missing[check], missing[check]
    assert all(entry["fix"] for entry in answer["missing"])


def test_everything_that_is_missing_is_in_one_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ready(
        tmp_path,
        files={POOL: "\n", NR_PAGES: "0\n", FREE_PAGES: "0\n", ALLOCATOR_YAML: None},
        answers=[{"url": f"{METADATA}/api/token", "unreachable": "169.254.169.254: no route"}],
        of_aws=[aws("sts", "GetCallerIdentity", not_called="boto3 says `Unable`")],
        environ={},
        devices=[VSOCK],
        without=["docker"],
    )
    assert cli.main(["doctor", "--hardware", "--host", str(folder)]) == 1
    out = capsys.readouterr().out
    _, _, end = out.partition("missing for a run on hardware, in the order in which to mend: ")
    listed = re.findall(r"^ *[0-9]+\. (\S+)$", end, re.MULTILINE)
    assert listed == [
        "hardware.instance-type",
        "hardware.enclave-options",
        "driver.device",
        "allocator.config",
        "hardware.pool",
        "hardware.memory",
        "hardware.docker",
        "hardware.region",
        "hardware.credentials",
        "hardware.identity",
    ]
    assert "not looked at: " in end
    for action in (*ASKED, ASKING):
        assert f"{name_of(action)}" in end
    assert "memory_mib: 1024" in end


@pytest.mark.parametrize("action", ASKED)
def test_each_permission_that_is_missing_is_named_by_its_own_check(
    preflight: Any, action: str
) -> None:
    answer = preflight(
        "--only", "permissions", of_aws=[simulated(**{action.replace(":", "_"): "implicitDeny"})]
    )
    (entry,) = answer["missing"]
    assert entry["check"] == name_of(action)
    assert entry["found"] == f"runner may not {action}: implicitDeny"
    assert "attested-kms hardware policy --account 111122223333 --region us-east-1" in entry["fix"]
    others = set(by_outcome(answer, "ok"))
    assert others == {name_of(each) for each in (*ASKED, ASKING)} - {name_of(action)}


@pytest.mark.parametrize(
    ("decision", "outcome", "said"),
    [
        ({"EvalDecision": "explicitDeny"}, "error", "runner may not kms:Encrypt: explicitDeny"),
        (
            {
                "EvalDecision": "implicitDeny",
                "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False},
            },
            "error",
            "by its permissions boundary",
        ),
        (
            {
                "EvalDecision": "implicitDeny",
                "OrganizationsDecisionDetail": {"AllowedByOrganizations": False},
            },
            "error",
            "by a policy of the organization",
        ),
        (
            {"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:SourceVpc"]},
            "warning",
            "depends on aws:SourceVpc",
        ),
        ({"EvalDecision": "perhaps"}, "error", "perhaps"),
        ({}, "error", "may not kms:Encrypt"),
    ],
)
def test_what_else_iam_may_say(
    preflight: Any, decision: dict[str, Any], outcome: str, said: str
) -> None:
    answer = preflight("--only", "permissions", of_aws=[simulated(kms_Encrypt=decision)])
    found = by_outcome(answer, outcome)
    assert set(found) == {"permissions.kms-encrypt"}
    assert said in found["permissions.kms-encrypt"]


@pytest.mark.parametrize(
    ("answer", "said", "fix"),
    [
        (
            {"error": {"code": "AccessDenied", "message": "User: runner is not authorized"}},
            "runner may not ask IAM what it may (AccessDenied",
            f"Allow it {ASKING} on {ROLE}",
        ),
        ({"error": {"code": "NoSuchEntity"}}, f"IAM knows no {ROLE}", "a role without a path"),
        ({"error": {"code": "Throttling"}}, "IAM says Throttling", "try again"),
        ({"unreachable": "iam did not answer in time"}, "IAM does not answer", "NAT gateway"),
    ],
)
def test_where_iam_does_not_tell_one_warning_says_so_and_nothing_passes(
    preflight: Any, answer: dict[str, Any], said: str, fix: str
) -> None:
    found = preflight(
        "--only", "permissions", of_aws=[aws("iam", "SimulatePrincipalPolicy", **answer)]
    )
    assert by_outcome(found, "ok", "error") == {}
    (text,) = by_outcome(found, "warning").values()
    assert text.startswith("None of the permissions could be checked: ")
    assert said in text
    (warning,) = (each for each in found["findings"] if each["outcome"] == "warning")
    assert warning["check"] == name_of(ASKING)
    assert fix in warning["fix"]
    assert len(by_outcome(found, "skipped")) == len(ASKED)


def test_what_iam_leaves_out_is_no_pass(preflight: Any) -> None:
    nothing = aws("iam", "SimulatePrincipalPolicy", result={"EvaluationResults": None})
    answer = preflight("--only", "permissions", of_aws=[nothing])
    assert set(by_outcome(answer, "warning")) == {name_of(each) for each in ASKED}
    assert by_outcome(answer, "warning")["permissions.kms-create-key"].startswith(
        "IAM says nothing"
    )


def test_the_root_user_is_not_asked_about(preflight: Any) -> None:
    answer = preflight("--only", "permissions", of_aws=[identity("arn:aws:iam::111122223333:root")])
    assert set(by_outcome(answer, "warning")) == {name_of(ASKING)}
    assert by_outcome(answer, "ok") == {}


@pytest.mark.parametrize(
    ("broken", "check", "said"),
    [
        (
            {"commands": [command("nitro-cli", "--version", stdout="Nitro CLI 1.3.0\n")]},
            "hardware.nitro-cli",
            "nitro-cli is 1.3.0; what it prints was read in the sources of 1.4.4 and 1.5.0",
        ),
        (
            {"commands": [command("nitro-cli", "--version", stdout="\x1b[2Joh\n")]},
            "hardware.nitro-cli",
            "does not tell its version",
        ),
        (
            {"answers": [document(instanceType="m99zz.xlarge")]},
            "hardware.instance-type",
            "m99zz.xlarge, which is not in the table of the guide",
        ),
        (
            {"answers": [credentials("2026-01-27T12:05:00Z")]},
            "hardware.credentials",
            "expire at 2026-01-27T12:05:00Z",
        ),
        ({"answers": [credentials("soon")]}, "hardware.credentials", "does not tell when"),
        (
            {"of_aws": [identity(date="Tue, 27 Jan 2026 11:59:00 GMT")]},
            "hardware.clock",
            "59 seconds ahead of",
        ),
        ({"commands": [command("df", "-Pk", "/root", "/var", exit_code=1)]}, "hardware.disk", "df"),
    ],
)
def test_what_may_be_wrong_is_a_warning(
    preflight: Any, broken: dict[str, Any], check: str, said: str
) -> None:
    answer = preflight(**broken)
    assert answer["exit_code"] == 0
    warnings = by_outcome(answer, "warning")
    assert set(warnings) == {check}
    assert said in warnings[check]


def test_static_credentials_are_a_warning(preflight: Any) -> None:
    pair = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    region = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    answer = preflight(environ={**pair, **region})
    assert set(by_outcome(answer, "warning")) == {"hardware.credentials"}
    assert "they win over those of the instance's role" in json.dumps(answer)
    assert "hunter2" not in json.dumps(answer)


def test_where_ec2_may_not_be_asked_the_device_tells(preflight: Any) -> None:
    answer = preflight(of_aws=[UNAUTHORIZED])
    assert answer["exit_code"] == 0
    found = by_outcome(answer, "ok")["hardware.enclave-options"]
    assert found.startswith(f"{DEVICE} is there, so they are enabled")


def test_the_clock_is_compared_with_kms_where_sts_tells_nothing(preflight: Any) -> None:
    late = {"url": KMS, "status": 404, "headers": {"Date": "Tue, 27 Jan 2026 12:06:00 GMT"}}
    silent = aws("sts", "GetCallerIdentity", unreachable="sts did not answer in time")
    answer = preflight("--only", "hardware.clock", answers=[late], of_aws=[silent])
    assert "behind that of kms.us-east-1" in by_outcome(answer, "error")["hardware.clock"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m6i.xlarge", Support.YES),
        ("m6i.large", Support.SIZE),
        ("m6i.metal", Support.METAL),
        ("c7a.medium", Support.SIZE),
        ("c7a.large", Support.SIZE),
        ("c7a.xlarge", Support.YES),
        ("m8a.large", Support.YES),
        ("m6g.medium", Support.SIZE),
        ("m6g.large", Support.YES),
        ("r8g.metal-24xl", Support.METAL),
        ("i4g.large", Support.YES),
        ("p6-b300.48xlarge", Support.YES),
        ("t3.2xlarge", Support.FAMILY),
        ("a1.4xlarge", Support.FAMILY),
        ("m6i-flex.large", Support.UNKNOWN),
        ("m10i.xlarge", Support.UNKNOWN),
        ("", Support.UNKNOWN),
        ("m6i", Support.UNKNOWN),
        ("m6i.xlarge; reboot", Support.UNKNOWN),
    ],
)
def test_instance_types_are_those_of_the_guide(name: str, expected: Support) -> None:
    assert support(name) is expected


@pytest.mark.parametrize(
    ("version", "outcome"), [((3, 11), Outcome.OK), ((3, 14), Outcome.OK), ((3, 9), Outcome.ERROR)]
)
def test_the_python_is_one_that_the_suite_takes(version: tuple[int, int], outcome: Outcome) -> None:
    assert judge_python(version, "/usr/bin/python3").outcome is outcome


@pytest.mark.parametrize(("load", "expected"), [(0.1, 1.0), (2.0, 1.0), (6.0, 3.0), (900.0, 5.0)])
def test_a_machine_that_is_busy_gets_more_time(
    load: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert hardware.patience() == expected


def test_the_enclave_may_have_another_size() -> None:
    sizes = {"ATTESTED_KMS_ENCLAVE_CPUS": "4", "ATTESTED_KMS_ENCLAVE_MEMORY_MIB": "512"}
    needs = hardware_needs(sizes)
    assert (needs.cpus, needs.memory_mib) == (4, 512)
    odd = hardware_needs({"ATTESTED_KMS_ENCLAVE_CPUS": "many"})
    assert (odd.cpus, odd.memory_mib) == (2, 1024)


@pytest.mark.parametrize("factor", ["0", "nan", "-1", "x", "1e9"])
def test_patience_is_a_number_that_is_not_absurd(
    factor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--hardware", "--patience", factor])
    assert ended.value.code == 2
    assert "invalid" in capsys.readouterr().err


def test_a_sound_machine_is_told_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["doctor", "--hardware", "--host", str(ready(tmp_path)), "--patience", "2"]
    assert cli.main(words) == 0
    last = capsys.readouterr().out.splitlines()
    assert "nothing is missing for a run on hardware, as far as could be told" in last[-3:]


def test_the_preflight_is_whole() -> None:
    checks = hardware.preflight(hardware_needs())
    ids = [check.id for check in checks]
    assert len(set(ids)) == len(ids)
    own = hardware.own_checks(hardware_needs())
    assert {check.id for check in own} <= set(ids)
    replaced = {name for check in own for name in check.replaces}
    assert replaced <= {check.id for check in CHECKS}
    assert not replaced & set(ids)
    for number, check in enumerate(checks):
        # What was replaced needs nobody any more.
        assert set(check.needs) & set(ids) <= set(ids[:number]), check.id
        assert set(check.explains) <= set(BY_ID), check.id
        assert Role.PARENT in check.roles, check.id
        for text in (check.title, check.why, check.source):
            assert text, check.id
            assert not text.endswith("."), check.id


def test_the_command_tells_of_its_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--hardware", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        check.id for check in hardware.preflight(hardware_needs())
    ]
    assert cli.main(["doctor", "--explain", "permissions.kms-put-key-policy"]) == 0
    assert "Scenarios change who may use their key" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--hardware", "--as", "development"), "--hardware is for parent instances"),
        (("--only", "hardware.pool"), "There is no check 'hardware.pool'"),
        (("--hardware", "--only", "harness.python"), "There is no check 'harness.python'"),
    ],
)
def test_wrong_usage_is_a_sentence(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", *words]) == 2
    assert said in capsys.readouterr().err
