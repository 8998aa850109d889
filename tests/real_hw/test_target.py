"""What the target does, in which order and with which words; and what it never does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from real_hw.actions import ActionFailed, Call, CallRefused
from real_hw.aws import caller_of
from real_hw.host_target import HostTarget
from real_hw.planning import PlannedActions
from real_hw.settings import settings_from
from real_hw.target import HardwareTarget, planned
from scenarios.target import Capability, Finished, KmsError, TargetUnavailable
from tests.real_hw.scripted import Scripted, settings

ALLOW = {"Effect": "Allow", "Principal": {"AWS": "x"}, "Action": "kms:Decrypt", "Resource": "*"}


def opened(world: Scripted, **changes: Any) -> HardwareTarget:
    return HardwareTarget(settings=settings(), actions=world, say=world.told.append, **changes)


def words(world: Scripted, *start: str) -> list[tuple[str, ...]]:
    commands = (command.words for command in world.commands)
    return [one for one in commands if one[: len(start)] == start]


def test_nothing_is_made_before_something_is_wanted() -> None:
    world = Scripted()
    opened(world).close()
    assert [one for one in world.done if one.startswith(("nitro-cli run", "docker", "kms"))] == []
    doctor = world.commands[0].words
    assert doctor[1] == "doctor"
    assert doctor[-1] == "--json"


def test_what_is_missing_is_told_whole_before_anything_is_made() -> None:
    finding = {"title": "T", "found": "F", "fix": "X", "command": "C"}
    findings = [
        {"check": "a.one", "outcome": "error", **finding},
        {"check": "a.two", "outcome": "error", **finding},
        {"check": "a.three", "outcome": "warning", **finding},
    ]
    report = Finished(1, json.dumps({"findings": findings}), "")

    class Machine(Scripted):
        def _run(self, command: Any) -> Finished:
            return report if "doctor" in command.words else super()._run(command)

    world = Machine()
    with pytest.raises(TargetUnavailable) as caught:
        opened(world)
    told = str(caught.value)
    assert told.startswith("This machine cannot run the suite: 2 things are missing. Nothing was")
    assert "a.one: T\n  found  F\n  fix    X\n  run    C" in told
    assert "a.two" in told
    assert len(world.done) == 1
    assert "warning: a.three: F" in world.told


@pytest.mark.parametrize("printed", ["", "no json", "[]", '{"findings": [{}]}'])
def test_a_doctor_that_fails_is_told(printed: str) -> None:
    class Machine(Scripted):
        def _run(self, _: Any) -> Finished:
            return Finished(70, printed, "oh")

    with pytest.raises(TargetUnavailable, match=r"gave no report \(exit code 70\).*oh"):
        opened(Machine())


def test_the_enclave_is_built_once_and_booted_when_its_mode_changes() -> None:
    world = Scripted()
    with opened(world) as target:
        for debug in (False, False, True, True, False):
            target.enclave(debug=debug)
        assert target.boots == 3
    runs = words(world, "nitro-cli", "run-enclave")
    assert ["--debug-mode" in one for one in runs] == [False, True, False]
    assert runs[0][2:] == (
        *("--eif-path", "/run-folder/work/enclave.eif", "--cpu-count", "2", "--memory", "1024"),
        *("--enclave-name", "attested-kms-1234"),
    )
    [build] = words(world, "nitro-cli", "build-enclave")
    uri = "attested-kms-1234-enclave:latest"
    assert build[2:] == ("--docker-uri", uri, "--output-file", "/run-folder/work/enclave.eif")
    [sample] = (command.words for command in world.commands if "sample" in command.words)
    assert sample[1:] == (
        *("eif", "sample", "/run-folder/work/enclave", "--program", "scenarios.workload.enclave"),
        *("--argument=--control-port=5000", "--argument=--proxy-port=8005"),
    )
    # Their own enclaves are all that they end, by their ids.
    assert len(words(world, "nitro-cli", "terminate-enclave", "--enclave-id")) == 3
    assert words(world, "nitro-cli", "terminate-enclave", "--all") == []


def test_the_launcher_stands_before_what_dials_and_listens() -> None:
    started: list[tuple[str, ...]] = []

    class Machine(Scripted):
        def start(self, started_: Any) -> Any:
            started.append(started_.command.words)
            return super().start(started_)

    with opened(Machine(), launcher=("attested-kms", "run", "--parent", "--")) as target:
        target.enclave()
    assert len(started) == 2
    for one in started:
        assert one[:4] == ("attested-kms", "run", "--parent", "--")
    assert started[0][5:] == (
        *("-m", "scenarios.workload.leash", "scenarios.workload.kms_proxy_host"),
        *("--port", "8005", "--region", "eu-west-1"),
    )


def test_the_parent_instance_is_without_the_suites_enclave() -> None:
    world = Scripted()
    world.enclaves["i-1-enc-foreign"] = "somebody else's"
    with opened(world) as target:
        target.enclave()
        with target.parent_instance() as parent:
            assert list(world.enclaves) == ["i-1-enc-foreign"]
            assert (parent.cpus, parent.memory_mib) == (2, 1024)
            parent.nitro_cli("run-enclave", "--eif-path", "x")
            assert len(world.enclaves) == 2
        assert list(world.enclaves) == ["i-1-enc-foreign"]
        target.enclave()
    assert list(world.enclaves) == ["i-1-enc-foreign"]


def test_a_scenarios_command_gets_its_own_home_and_the_scenarios_variables() -> None:
    world = Scripted()
    with opened(world) as target, target.parent_instance() as parent:
        parent.nitro_cli("build-enclave", environment={"HOME": None, "X": "1"})
        assert world.commands[-1].environment == {"HOME": None, "X": "1"}
        parent.nitro_cli_killed("run-enclave", after="hello")
        assert world.commands[-1].environment == {"HOME": "/run-folder/work/home"}
        assert world.commands[-1].kill_after == "hello"


def test_the_images_of_scenarios_are_built_once_each() -> None:
    world = Scripted()
    with opened(world) as target:
        for _ in range(2):
            with target.parent_instance() as parent:
                one = parent.image(cmd=["/hello"])
                other = parent.image(entrypoint=["/hello"], cmd=["--mode", "vsock"])
        assert one != other
        assert world.images == {one, other}
    assert world.done.count("docker build --quiet") == 2
    assert world.images == set()


def created(world: Scripted) -> list[Call]:
    return [call for call in world.calls if call.operation == "CreateKey"]


def test_keys_have_the_runs_tag_and_equal_policies_share_one() -> None:
    world = Scripted()
    with opened(world) as target:
        first, again = target.key([ALLOW]), target.key([ALLOW])
        assert first is again
        assert target.key([]).arn != first.arn
    call = created(world)[0]
    assert call.members["Tags"] == [{"TagKey": "attested-kms:run", "TagValue": "attested-kms-1234"}]
    assert call.members["Description"] == "attested-kms attested-kms-1234"
    administrator, statement = json.loads(call.members["Policy"])["Statement"]
    assert statement == ALLOW
    account = "arn:aws:iam::123456789012"
    named = [f"{account}:root", f"{account}:role/ParentInstance"]
    assert administrator["Principal"] == {"AWS": named}
    assert "kms:Encrypt" in administrator["Action"]
    allowed = set(administrator["Action"])
    assert not allowed & {"kms:*", "kms:Decrypt", "kms:GenerateDataKey"}
    assert [call.members for call in world.calls if call.operation == "ScheduleKeyDeletion"] == [
        {"KeyId": key, "PendingWindowInDays": 7} for key in ("key-2", "key-1")
    ]


def test_a_disabled_key_is_nobody_elses() -> None:
    world = Scripted()
    with opened(world) as target:
        key = target.key([ALLOW])
        key.disable()
        assert world.keys["key-1"] == "Disabled"
        other = target.key([ALLOW])
        assert other.arn != key.arn
        target.key([ALLOW])
        with pytest.raises(RuntimeError, match="its own policy"):
            other.disable()


def test_a_key_that_kms_does_not_know_everywhere_is_asked_for_again() -> None:
    answers = iter([CallRefused("NotFoundException", "Key is not there", 400)] * 3)

    class Machine(Scripted):
        def _call(self, call: Call) -> Any:
            if call.operation == "Encrypt" and (error := next(answers, None)):
                raise error
            return super()._call(call)

    world = Machine()
    with opened(world) as target:
        assert target.key([ALLOW]).encrypt(b"x") == b"ciphertext"
    assert world.waited == 3


def test_a_policy_that_kms_does_not_take_is_told_and_leaves_nothing() -> None:
    refused = CallRefused("MalformedPolicyDocumentException", "invalid principal", 400)
    world = Scripted(fail={"kms CreateKey": refused})
    with opened(world) as target, pytest.raises(ActionFailed, match="invalid principal"):
        target.key([ALLOW])
    assert [one["state"] for one in world.ledger if one["what"] == "kms-key"] == [
        "begun",
        "not made",
    ]
    assert "resourcegroupstaggingapi GetResources" not in world.done


def test_a_key_that_stays_is_told() -> None:
    world = Scripted(fail={"kms ScheduleKeyDeletion": CallRefused("AccessDenied", "no", 400)})
    target = opened(world)
    target.key([ALLOW])
    with pytest.raises(ActionFailed, match=r"key-1 is Disabled, not PendingDeletion"):
        target.close()


def test_a_key_that_kms_does_not_know_yet_is_looked_for_at_the_end() -> None:
    answers = iter([CallRefused("NotFoundException", "Key is not there", 400)] * 2)

    class Machine(Scripted):
        def _call(self, call: Call) -> Any:
            if call.operation == "DescribeKey" and (error := next(answers, None)):
                raise error
            return super()._call(call)

    world = Machine()
    with opened(world) as target:
        target.key([ALLOW])
    assert "key arn:aws:kms:eu-west-1:123456789012:key/key-1: PendingDeletion" in world.told


def test_a_request_of_a_scenario_is_tried_once_and_its_refusal_is_passed_on() -> None:
    world = Scripted(fail={"kms Decrypt": CallRefused("X", "the text", 400)})
    with opened(world) as target:
        assert target.kms.call("Decrypt", {"A": 1}) == KmsError("X", "the text", 400)
        assert target.kms.send("Decrypt", {"A": 1}) == KmsError("X", "the text", 400)
        call, as_json = world.calls[-2:]
    assert (call.attempts, call.as_it_stands, call.members) == (1, False, {"A": 1})
    assert as_json.as_it_stands


def test_a_run_in_which_an_action_has_no_answer_goes_on_to_its_end() -> None:
    world = Scripted(fail={"kms Decrypt": ActionFailed("the network is cut")})
    with opened(world) as target:
        key = target.key([ALLOW])
        with pytest.raises(ActionFailed, match="the network is cut"):
            target.kms.call("Decrypt", {"KeyId": key.arn})
    assert world.left == []


def test_whose_role_it_is() -> None:
    assumed = "arn:aws-cn:sts::1:assumed-role/Parent/i-0123"
    caller = caller_of({"Account": "1", "Arn": assumed})
    assert caller.arn == "arn:aws-cn:iam::1:role/Parent"
    assert caller.account_root == "arn:aws-cn:iam::1:root"
    user = "arn:aws:iam::1:user/somebody"
    assert caller_of({"Account": "1", "Arn": user}).arn == user


def test_settings_of_the_environment() -> None:
    assert settings_from({}).region == ""
    with pytest.raises(TargetUnavailable, match="ATTESTED_KMS_ENCLAVE_CPUS is 'two'"):
        settings_from({"AWS_REGION": "eu-west-1", "ATTESTED_KMS_ENCLAVE_CPUS": "two"})
    told = settings_from({"AWS_DEFAULT_REGION": "eu-west-1", "ATTESTED_KMS_ENCLAVE_CPUS": "4"})
    assert (told.region, told.cpus) == ("eu-west-1", 4)
    assert told.run_id != settings_from({"AWS_REGION": "eu-west-1"}).run_id


def test_a_plan_runs_the_same_code_and_does_nothing() -> None:
    lines: list[str] = []
    with planned(PlannedActions(lines.append)) as target:
        target.key([ALLOW]).encrypt(b"x")
        target.enclave()
        with target.parent_instance() as parent:
            parent.image(cmd=["/hello"])
    text = "\n".join(lines)
    for part in ("run    nitro-cli run-enclave --eif-path", "call   kms CreateKey", "docker build"):
        assert part in text
    assert text.index("call   kms CreateKey") < text.index("call   kms ScheduleKeyDeletion")


def test_the_host_has_nitro_cli_alone() -> None:
    world = Scripted()
    with HostTarget(settings=settings(), actions=world, say=world.told.append) as target:
        assert target.capabilities == {Capability.NITRO_CLI}
        with target.parent_instance() as parent:
            assert (parent.cpus, parent.memory_mib) == (0, 0)
            parent.nitro_cli("--version")
            with pytest.raises(RuntimeError, match="nothing boots"):
                parent.ask(16, 5000, b"x")
        with pytest.raises(RuntimeError, match="lacks enclave"):
            target.enclave()
        with pytest.raises(RuntimeError, match="no KMS"):
            target.kms.call("Decrypt", {})
    assert world.left == []
    assert words(world, "nitro-cli", "describe-enclaves") == []


def test_a_host_without_the_package() -> None:
    world = Scripted(fail={"nitro-cli --version": ActionFailed("nitro-cli cannot be run.")})
    with pytest.raises(TargetUnavailable, match="dnf install -y aws-nitro-enclaves-cli"):
        HostTarget(settings=settings(), actions=world, say=world.told.append)
