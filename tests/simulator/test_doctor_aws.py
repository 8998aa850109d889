"""Doctor asks AWS as boto3 does: real calls over loopback, to an AWS that answers as it is told."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.commands.doctor import hardware_needs
from simulator.doctor import hardware
from simulator.doctor.aws import Aws
from simulator.doctor.folder import FolderHost
from simulator.doctor.hardware.permissions import ASKING, name_of
from simulator.doctor.host import NetworkNotAsked, NotCalled, Unreachable
from simulator.doctor.model import Finding, Outcome
from simulator.doctor.once import OnceHost
from simulator.doctor.recording import RecordingHost
from simulator.doctor.this_machine import ThisMachine
from simulator.environment import away_from_aws
from simulator.parent_services.imds import Instance
from tests.simulator.aws_stub import Stub, answering
from tests.simulator.doctor_servers import answering as silent
from tests.simulator.preflight_world import ASKED, INSTANCE, ROLE, SESSION

PATIENT = 30.0
CHECKS = {check.id: check for check in hardware.preflight(hardware_needs())}
PAIR = {"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with away_from_aws():
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        yield


@pytest.fixture(name="stub")
def _stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    stub = Stub(SESSION)
    instance = Instance(role_arn=ROLE, instance_id=INSTANCE, account="111122223333")
    with answering(stub, instance) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        yield stub


@pytest.fixture(name="host")
def _host() -> OnceHost:
    return OnceHost(ThisMachine(os.environ, network=True, network_seconds=PATIENT))


def only(name: str, host: OnceHost | FolderHost) -> Finding:
    (finding,) = CHECKS[name].probe(host)
    return finding


def test_the_preflight_asks_with_the_credentials_of_the_instance_s_role(
    stub: Stub, host: OnceHost
) -> None:
    names = ("hardware.instance-type", "hardware.enclave-options", "hardware.identity")
    assert [only(name, host).outcome for name in names] == [Outcome.OK] * 3
    found = {action: only(name_of(action), host) for action in (*ASKED, ASKING)}
    assert {finding.outcome for finding in found.values()} == {Outcome.OK}
    operations = [request["Action"] for request in stub.asked]
    assert sorted(operations) == [
        "DescribeInstances",
        "GetCallerIdentity",
        "SimulatePrincipalPolicy",  # One for keys,
        "SimulatePrincipalPolicy",  # and one for what takes no resource.
    ]
    assert all("Credential=ASIA" in text for text in stub.authorizations)
    simulated = [each for each in stub.asked if each["Action"] == "SimulatePrincipalPolicy"]
    assert {each["PolicySourceArn"] for each in simulated} == {ROLE}
    assert {each.get("ResourceArns.member.1") for each in simulated} == {
        None,
        "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000",
    }
    assert {each["ContextEntries.member.2.ContextKeyName"] for each in simulated} == {
        "aws:ResourceTag/attested-kms:run"
    }


def test_what_aws_says_is_told(stub: Stub, host: OnceHost) -> None:
    stub.enabled = False
    stub.denied = {"kms:PutKeyPolicy"}
    assert "Enabled=false" in only("hardware.enclave-options", host).found
    found = {action: only(name_of(action), host).outcome for action in ASKED}
    assert [action for action, outcome in found.items() if outcome is not Outcome.OK] == [
        "kms:PutKeyPolicy"
    ]


def test_a_refusal_is_an_answer_with_its_date(stub: Stub, host: OnceHost) -> None:
    stub.errors = {
        "GetCallerIdentity": (403, "ExpiredToken"),
        "DescribeInstances": (403, "UnauthorizedOperation"),
    }
    refused = only("hardware.identity", host)
    assert refused.outcome is Outcome.ERROR
    assert "STS refuses the credentials: ExpiredToken: no GetCallerIdentity" in refused.found
    answer = host.ask_aws("sts", "GetCallerIdentity", {}, region="us-east-1")
    assert (answer.status, answer.code, answer.members) == (403, "ExpiredToken", {})
    assert "GMT" in answer.headers["date"]
    assert "UnauthorizedOperation" in only("hardware.enclave-options", host).found
    assert "clock agrees with STS" in list(CHECKS["hardware.clock"].probe(host))[-1].found


def test_options_that_ec2_leaves_out_are_told_by_the_device(stub: Stub, host: OnceHost) -> None:
    stub.enabled = None
    assert "EC2 does not tell it" in only("hardware.enclave-options", host).found


def test_without_credentials_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NotCalled, match="Unable to locate credentials"):
        Aws(network=True, seconds=PATIENT).ask("sts", "GetCallerIdentity", {}, "us-east-1")


def test_a_profile_that_does_not_exist_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(NotCalled, match="config profile"):
        Aws(network=True, seconds=PATIENT).ask("sts", "GetCallerIdentity", {}, "us-east-1")


def test_it_is_asked_with_network_only(stub: Stub) -> None:
    with pytest.raises(NetworkNotAsked, match="--network"):
        ThisMachine(os.environ).ask_aws("sts", "GetCallerIdentity", {}, region="us-east-1")
    assert stub.asked == []


def test_nobody_there_and_nobody_who_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PAIR.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable, match=rf"^127\.0\.0\.1:{port} cannot be asked \(Endpoint"):
        Aws(network=True, seconds=PATIENT).ask("sts", "GetCallerIdentity", {}, "us-east-1")
    with silent(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noh!") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(Unreachable, match="answers what is no answer of AWS"):
            Aws(network=True, seconds=PATIENT).ask("sts", "GetCallerIdentity", {}, "us-east-1")
    with silent(b"") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(Unreachable, match="did not answer"):
            Aws(network=True, seconds=0.2).ask("sts", "GetCallerIdentity", {}, "us-east-1")


def test_credentials_that_nobody_gives_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent(b"") as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        with pytest.raises(NotCalled, match=r"did not answer within 0\.2 seconds"):
            Aws(network=True, seconds=0.2).ask("sts", "GetCallerIdentity", {}, "us-east-1")


def test_a_simulated_machine_has_no_credentials_of_this_system() -> None:
    aws = Aws(network=True, seconds=PATIENT, knows_instance=False)
    # No metadata service is set: nobody is asked, or this would take a while and may find some.
    with pytest.raises(NotCalled, match="Unable to locate credentials"):
        aws.ask("sts", "GetCallerIdentity", {}, "us-east-1")


def test_answers_are_kept_and_given_again(stub: Stub, tmp_path: Path) -> None:
    stub.denied = {"kms:Decrypt"}
    recording = RecordingHost(ThisMachine(os.environ, network=True, network_seconds=PATIENT))
    once = OnceHost(recording)
    names = ["hardware.identity", "hardware.enclave-options", *map(name_of, ASKED)]
    then = {name: only(name, once) for name in names}
    stub.errors = {"GetCallerIdentity": (403, "ExpiredToken")}
    other = RecordingHost(ThisMachine(os.environ, network=True, network_seconds=PATIENT))
    refused = only("hardware.identity", OnceHost(other))
    recording.write(tmp_path / "kept")
    other.write(tmp_path / "refused")
    again = FolderHost(tmp_path / "kept", network=True)
    assert {name: only(name, again) for name in names} == then
    assert then["permissions.kms-decrypt"].outcome is Outcome.ERROR
    assert only("hardware.identity", FolderHost(tmp_path / "refused")) == refused
    written = (tmp_path / "kept/host.json").read_text()
    assert json.loads(written)["aws"]
    assert "hunter2" not in written


def test_what_is_not_written_down_is_not_called(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"format": 1, "environ": {"AWS_DEFAULT_REGION": "a-b-1"}}')
    found = only("hardware.identity", FolderHost(tmp_path, network=True))
    assert "STS is not asked: host.json has no answer of sts GetCallerIdentity" in found.found
    with pytest.raises(NetworkNotAsked):
        FolderHost(tmp_path).ask_aws("sts", "GetCallerIdentity", {}, region="us-east-1")


def test_needs_are_those_of_real_hw() -> None:
    needs = hardware_needs()
    assert (needs.cpus, needs.memory_mib) == (2, 1024)
    assert [each.action for each in needs.permissions] == ASKED
    assert replace(needs, cpus=4).cpus == 4
