"""How commands go: timeouts, cancelling, and faults that were asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import WaiterError

from simulator.systems_manager.faults import BadFault, CommandFault, Faults
from tests.simulator.ssm_world import World, world

FAST = 0.02
"""How long a second of timeouts lasts in these tests."""


@pytest.fixture(name="ssm", scope="module")
def _ssm() -> Iterator[World]:
    with world(second=FAST) as made:
        yield made


def wait_until_gone(process: int) -> None:
    """Returns once there is no such process: killed it ends a moment later."""
    with suppress(ProcessLookupError):
        while True:
            os.kill(process, 0)
            time.sleep(0.01)


def test_a_script_is_killed_at_its_timeout(ssm: World) -> None:
    """With what it started, and what it had printed is shown."""
    ended = ssm.run("sleep 60 & echo $!", "wait", Parameters={"executionTimeout": ["100"]})
    assert (ended["Status"], ended["StatusDetails"], ended["ResponseCode"]) == (
        *("TimedOut", "ExecutionTimedOut"),
        137,
    )
    assert ended["StandardErrorContent"] == ""
    wait_until_gone(int(ended["StandardOutputContent"]))
    (command,) = ssm.client.list_commands(CommandId=ended["CommandId"])["Commands"]
    assert (command["Status"], command["CompletedCount"], command["ErrorCount"]) == (
        *("TimedOut", 1),
        1,
    )


def test_a_timeout_below_five_seconds_is_an_hour(ssm: World) -> None:
    """The document allows it, and the agent does not take it."""
    ended = ssm.run("sleep 0.5", "echo survived", Parameters={"executionTimeout": ["4"]})
    assert ended["StandardOutputContent"] == "survived\n"


def test_a_running_script_is_cancelled(ssm: World) -> None:
    command = ssm.send("echo $$", "exec sleep 60")
    process = int(ssm.printed(command))
    ssm.client.cancel_command(CommandId=command, InstanceIds=[ssm.served.instance_id])
    ended = ssm.wait(command)
    assert (ended["Status"], ended["StatusDetails"], ended["ResponseCode"]) == (
        *("Cancelled", "Cancelled"),
        137,
    )
    wait_until_gone(process)
    (listed,) = ssm.client.list_commands(CommandId=command)["Commands"]
    assert (listed["Status"], listed["CompletedCount"], listed["ErrorCount"]) == ("Cancelled", 1, 0)


def test_a_script_that_never_stops_printing_is_cancelled(ssm: World) -> None:
    """Its output and the order to end it come at the same moment."""
    for _ in range(20):
        command = ssm.send("while :; do echo x; done")
        assert ssm.printed(command)
        ssm.client.cancel_command(CommandId=command)
        ended = ssm.wait(command)
        assert ended["Status"] == "Cancelled"


def test_what_has_ended_is_not_cancelled(ssm: World) -> None:
    command = ssm.send("true")
    ssm.wait(command)
    ssm.client.cancel_command(CommandId=command)
    assert ssm.invocation(command)["Status"] == "Success"


def test_a_command_says_when_it_expires(ssm: World) -> None:
    """Delivery and execution together, though it may not be delivered for so long."""
    answer = ssm.client.send_command(
        InstanceIds=[ssm.served.instance_id],
        DocumentName="AWS-RunShellScript",
        DocumentVersion="1",
        TimeoutSeconds=600,
        Comment="a comment",
        Parameters={"commands": ["true"], "executionTimeout": ["60"]},
    )["Command"]
    assert (answer["ExpiresAfter"] - answer["RequestedDateTime"]).total_seconds() == 660
    assert (answer["Status"], answer["TargetCount"], answer["DocumentVersion"]) == (
        *("Pending", 0),
        "1",
    )
    (listed,) = ssm.client.list_commands(CommandId=answer["CommandId"])["Commands"]
    assert (listed["TargetCount"], listed["Comment"]) == (1, "a comment")


def test_a_target_may_name_the_instance(ssm: World) -> None:
    target = {"Key": "InstanceIds", "Values": [ssm.served.instance_id]}
    answer = ssm.client.send_command(
        Targets=[target],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["echo there"]},
    )["Command"]
    assert (answer["InstanceIds"], answer["Targets"]) == ([], [target])
    assert ssm.wait(answer["CommandId"])["StandardOutputContent"] == "there\n"


def test_lists_are_filtered_and_come_in_pages() -> None:
    with world() as ssm:
        commands = [ssm.send(f"exit {number}") for number in range(3)]
        for command in commands:
            ssm.wait(command)
        pages = ssm.client.get_paginator("list_command_invocations").paginate(
            PaginationConfig={"PageSize": 2}
        )
        listed = [[one["CommandId"] for one in page["CommandInvocations"]] for page in pages]
        # The newest first.
        assert listed == [[commands[2], commands[1]], [commands[0]]]
        failed = ssm.client.list_commands(Filters=[{"key": "Status", "value": "Failed"}])
        assert [one["CommandId"] for one in failed["Commands"]] == [commands[2], commands[1]]
        nobody = ssm.client.list_commands(InstanceId="i-0123456789abcdef0")
        assert nobody["Commands"] == []
        early = [{"key": "InvokedBefore", "value": "2020-01-01T00:00:00Z"}]
        assert ssm.client.list_commands(Filters=early)["Commands"] == []


def test_the_instance_is_described(ssm: World) -> None:
    (one,) = ssm.client.describe_instance_information()["InstanceInformationList"]
    assert (one["InstanceId"], one["PingStatus"], one["PlatformName"]) == (
        *(ssm.served.instance_id, "Online"),
        "Amazon Linux",
    )
    wanted = [{"Key": "InstanceIds", "Values": ["i-0123456789abcdef0"]}]
    answer = ssm.client.describe_instance_information(Filters=wanted)
    assert answer["InstanceInformationList"] == []


def test_a_lost_command_times_out_undelivered(tmp_path: Path) -> None:
    """The others are not touched by it: a chunk of a script is missing."""
    with world("2=lost", second=FAST) as ssm:
        file = tmp_path / "chunks"
        sent = [
            ssm.send(f"echo one >> {file}"),
            ssm.send(f"echo two >> {file}", TimeoutSeconds=30),
        ]
        ssm.wait(sent[0])
        ssm.run(f"echo three >> {file}")
        ended = ssm.wait(sent[1])
        assert (ended["Status"], ended["StatusDetails"], ended["ResponseCode"]) == (
            *("TimedOut", "DeliveryTimedOut"),
            -1,
        )
        assert file.read_text() == "one\nthree\n"
        (command,) = ssm.client.list_commands(CommandId=sent[1])["Commands"]
        assert (command["DeliveryTimedOutCount"], command["ErrorCount"]) == (1, 0)


def test_a_command_comes_twice(tmp_path: Path) -> None:
    with world("1=twice") as ssm:
        file = tmp_path / "chunks"
        ended = ssm.run(f"echo again >> {file}", "echo said")
        assert (ended["Status"], ended["StandardOutputContent"]) == ("Success", "said\n")
        assert file.read_text() == "again\nagain\n"


def test_a_command_comes_late() -> None:
    with world("1=delay:200", second=FAST) as ssm:
        command = ssm.send("echo late")
        assert ssm.invocation(command)["Status"] == "Delayed"
        (listed,) = ssm.client.list_commands(CommandId=command)["Commands"]
        assert listed["Status"] == "Pending"
        assert ssm.wait(command)["StandardOutputContent"] == "late\n"


def test_a_late_command_is_cancelled_before_it_runs() -> None:
    with world("each=delay:1000") as ssm:
        command = ssm.send("echo never")
        ssm.client.cancel_command(CommandId=command)
        ended = ssm.wait(command)
        assert (ended["Status"], ended["StandardOutputContent"]) == ("Cancelled", "")


def test_a_late_command_that_has_expired_does_not_run(tmp_path: Path) -> None:
    with world("1=delay:60", second=FAST) as ssm:
        file = tmp_path / "ran"
        command = ssm.send(f"touch {file}", TimeoutSeconds=30)
        assert ssm.wait(command)["StatusDetails"] == "DeliveryTimedOut"
        assert not file.exists()


def test_an_agent_that_is_gone_takes_nothing() -> None:
    with world("agent=offline", second=FAST) as ssm:
        (one,) = ssm.client.describe_instance_information()["InstanceInformationList"]
        assert one["PingStatus"] == "ConnectionLost"
        command = ssm.send("echo never", TimeoutSeconds=30)
        assert ssm.wait(command)["StatusDetails"] == "DeliveryTimedOut"
        cancelled = ssm.send("echo never")
        waiting = ssm.invocation(cancelled)
        assert (waiting["Status"], waiting["ResponseCode"]) == ("Pending", -1)
        ssm.client.cancel_command(CommandId=cancelled)
        assert ssm.invocation(cancelled)["Status"] == "Cancelled"


def test_an_invocation_is_not_seen_at_once() -> None:
    with world("1=unseen:2") as ssm:
        command = ssm.send("echo there")
        listed = ssm.client.list_command_invocations(CommandId=command)
        assert listed["CommandInvocations"] == []
        with pytest.raises(ssm.client.exceptions.InvocationDoesNotExist):
            ssm.invocation(command)
        assert ssm.wait(command)["StandardOutputContent"] == "there\n"


def test_the_waiter_of_boto3_waits_for_the_end() -> None:
    with world() as ssm:
        waiter = ssm.client.get_waiter("command_executed")
        quickly = {"Delay": 0, "MaxAttempts": 10_000}
        instance = {"InstanceId": ssm.served.instance_id, "WaiterConfig": quickly}
        waiter.wait(CommandId=ssm.send("sleep 0.1"), **instance)
        with pytest.raises(WaiterError, match="Failed"):
            waiter.wait(CommandId=ssm.send("false"), **instance)


def test_faults_of_one_command_add_up() -> None:
    faults = Faults.parse(["2=twice", "2=delay:0.5", "each=unseen:1"])
    assert faults.of(1) == CommandFault(unseen_calls=1)
    assert faults.of(2) == CommandFault(twice=True, delay_seconds=0.5)


@pytest.mark.parametrize(
    "spec",
    [
        *("", "lost", "2", "0=lost", "2=lost:1", "2=delay", "2=delay:x", "2=delay:", "-1=lost"),
        *("agent=lost", "agent=offline:1", "each=offline", "1=unseen:0.5", "1=delay:1e9", "²=lost"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_is(spec: str) -> None:
    with pytest.raises(BadFault, match="is not a fault; write "):
        Faults.parse([spec])
