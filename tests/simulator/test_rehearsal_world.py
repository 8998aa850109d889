"""The world of a rehearsal: one for the module, in which a program does what is looked at here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.rehearsal_world import ROOT, Rehearsed, rehearsed

STEPS = ROOT / "tests" / "simulator" / "rehearsal_steps.py"
ROLE = "arn:aws:iam::123456789012:role/EnclaveInstance"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return rehearsed(
        tmp_path_factory.mktemp("world"),
        *("--without-permission", "kms:EnableKey"),
        *("--fail", "kms.ListKeys=cut:1:1", "--fail", "iam.ListRoles=expired"),
        *("--fail", "kms.ListAliases=throttled", "--fail", "run-enclave=E29"),
        *("--fail", "docker-build=sigterm", "--fail", "describe-enclaves=E18:1"),
        *("--", "python", str(STEPS)),
    )


@pytest.fixture(scope="module")
def told(world: Rehearsed) -> dict[str, Any]:
    assert world.exit_code == 0, world.stderr
    found: dict[str, Any] = json.loads(world.stdout)
    return found


def test_the_instance_has_its_role_s_credentials_by_its_metadata(told: dict[str, Any]) -> None:
    found = told["identity"]
    instance, enabled = found["instance"]
    assert (found["method"], enabled, found["type"]) == ("iam-role", True, "supported")
    assert found["arn"] == f"arn:aws:sts::123456789012:assumed-role/EnclaveInstance/{instance}"


def test_iam_simulates_the_role_s_policy(told: dict[str, Any]) -> None:
    found = told["identity"]
    assert found["simulated"] == {"kms:CreateKey": "allowed", "kms:EnableKey": "implicitDeny"}
    assert found["session"][:2] == ["InvalidInput", 400]
    code, status, text = found["role"]
    assert (code, status) == ("AccessDenied", 403)
    assert text.endswith("because no identity-based policy allows the iam:GetRole action")


def test_ec2_knows_this_instance_alone(told: dict[str, Any]) -> None:
    found = told["identity"]
    text = "The instance ID 'i-0123456789abcdef0' does not exist"
    assert found["other"] == ["InvalidInstanceID.NotFound", 400, text]
    assert found["dry"][:2] == ["DryRunOperation", 412]


def test_changes_of_a_key_are_seen_late(told: dict[str, Any]) -> None:
    found = told["keys"]
    assert [one and one[0] for one in found["new"]] == ["NotFoundException", None] * 2
    assert [one and one[0] for one in found["encrypt"]] == [None, "AccessDeniedException"] * 2
    assert [one and one[0] for one in found["decrypt"]] == [None, "DisabledException"] * 2
    assert found["plaintext"] == "secret"


def test_administration_takes_key_policy_and_role_policy(told: dict[str, Any]) -> None:
    found = told["keys"]
    code, status, text = found["enable"]
    assert (code, status) == ("AccessDeniedException", 400)
    assert f"kms:EnableKey on resource: {found['arn']} because no resource-based policy" in text
    assert found["alias"][0] == "AccessDeniedException"
    assert found["window"][:2] == ["ValidationException", 400]


def test_keys_are_found_by_their_tags(told: dict[str, Any]) -> None:
    found = told["keys"]
    tags = [{"Key": "attested-kms:run", "Value": "r1"}]
    assert found["tagged"] == [{"ResourceARN": found["arn"], "Tags": tags}]


def test_calls_fail_as_they_are_told_to(told: dict[str, Any]) -> None:
    found = told["failures"]
    assert found["cut"] == [None, ["ConnectionClosedError"], None]
    text = "The security token included in the request is expired"
    assert found["expired"] == [["ExpiredToken", 403, text]]
    assert found["throttled"] == ["ThrottlingException", 400, "Rate exceeded"]


def test_an_access_key_that_aws_does_not_know(told: dict[str, Any]) -> None:
    found = told["failures"]
    assert found["nobody"][:2] == ["UnrecognizedClientException", 400]
    assert found["nobody's sts"][:2] == ["InvalidClientTokenId", 403]


def test_docker_of_the_instance(told: dict[str, Any]) -> None:
    found = told["commands"]
    code, identifier, _ = found["build"]
    assert (code, found["images"][:2]) == (0, [0, "app:latest\n"])
    assert found["remove"] == [0, f"Untagged: app:latest\nDeleted: {identifier}", ""]


def test_a_command_fails_as_it_is_told_to(told: dict[str, Any]) -> None:
    code, out, err = told["commands"]["run"]
    assert (code, out) == (39, "")
    assert "[ E29 ] Ioctl failure." in err
    assert "Failed connections: 1" in err


def test_a_command_fails_the_second_time(told: dict[str, Any]) -> None:
    found = told["commands"]
    assert (found["describe"][0], found["again"][0]) == (0, 18)


def test_a_signal_comes_while_a_command_goes_on(told: dict[str, Any]) -> None:
    found = told["commands"]
    assert (found["heard"], found["build"][0]) == ([True], 0)


def test_the_environment_is_the_world_s(told: dict[str, Any]) -> None:
    found = told["surroundings"]
    assert found["launcher"] == ["attested-kms", "run", "--parent", "--"]
    assert (found["region"], found["moved"]) == ("us-east-1", 3600)
    assert (found["device"], found["records"]) == (True, True)
    assert found["variables"] == [
        "ATTESTED_KMS_MACHINE",
        "ATTESTED_KMS_REHEARSAL",
        "AWS_CONFIG_FILE",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SHARED_CREDENTIALS_FILE",
    ]


def test_just_the_scheduled_key_is_left(world: Rehearsed, told: dict[str, Any]) -> None:
    left = world.left
    assert (left["too_much"], left["exit_code"]) == ([], 0)
    (key,) = left["keys"]
    assert (key["arn"], key["state"]) == (told["keys"]["arn"], "PendingDeletion")
    assert key["tags"] == {"attested-kms:run": "r1"}
    assert f"to be deleted, as it should be: key {key['arn']}" in world.stderr


def test_the_log_has_calls_and_commands_in_order(world: Rehearsed) -> None:
    calls = [line for line in world.log if line["kind"] == "call"]
    commands = [line["words"] for line in world.log if line["kind"] == "command"]
    ended = [line["exit_code"] for line in world.log if line["kind"] == "ended"]
    made = next(call for call in calls if call["operation"] == "CreateKey")
    encrypted = [call for call in calls if call["operation"] == "Encrypt"]
    assert made["members"]["Tags"] == [{"TagKey": "attested-kms:run", "TagValue": "r1"}]
    assert encrypted[0]["members"]["Plaintext"] == {"bytes": 6}
    assert [call.get("late", False) for call in encrypted] == [False, *[True, False] * 2]
    assert [call["error"] for call in calls if call["operation"] == "ListKeys"] == [
        *(None, "cut", None, "UnrecognizedClientException"),
    ]
    assert [words[:2] for words in commands] == [
        ["docker", "build"],
        ["docker", "images"],
        ["docker", "rmi"],
        *[["nitro-cli", "describe-enclaves"]] * 2,
        ["nitro-cli", "run-enclave"],
    ]
    assert ended == [0, 0, 0, 0, 18, 39]


def test_nothing_secret_is_in_the_log(world: Rehearsed) -> None:
    text = Path(world.folder, "log.jsonl").read_text()
    assert "c2VjcmV0" not in text
    assert "ASIA" not in text
