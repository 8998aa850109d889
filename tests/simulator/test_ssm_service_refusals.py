"""What Systems Manager refuses, and what the server does with what is no request at all."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.environment import away_from_aws
from simulator.explanations import BY_ID, explain
from simulator.systems_manager import document, rules
from tests.simulator.ssm_world import World, client_of, world

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "ssm.md"
STRANGER = "i-0123456789abcdef0"


@pytest.fixture(name="ssm", scope="module")
def _ssm() -> Iterator[World]:
    with world() as made:
        yield made


def refused(error: ClientError) -> tuple[str, str, str]:
    """Type, message and rule."""
    headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    return (
        error.response["Error"]["Code"],
        error.response["Error"]["Message"],
        headers["x-attested-kms-rule"],
    )


def ask(ssm: World, operation: str, members: Mapping[str, Any]) -> tuple[str, str, str]:
    """What is refused of a request that boto3 lets pass."""
    with pytest.raises(ClientError) as raised:
        getattr(ssm.client, operation)(**members)
    return refused(raised.value)


def sending(ssm: World, **members: Any) -> dict[str, Any]:
    return {
        "InstanceIds": [ssm.served.instance_id],
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["true"]},
        **members,
    }


def post(ssm: World, target: str, body: bytes, authorization: str | None = None) -> tuple[int, Any]:
    """A request without boto3, which refuses some itself."""
    key = ssm.served.credentials.access_key_id
    scope = f"{key}/20260127/us-east-1/ssm/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    connection = http.client.HTTPConnection(ssm.served.endpoint.removeprefix("http://"))
    try:
        connection.request(
            "POST",
            "/",
            body,
            {
                "X-Amz-Target": target,
                "Content-Type": "application/x-amz-json-1.1",
                "Authorization": signed if authorization is None else authorization,
            },
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_an_instance_that_is_not_managed(ssm: World) -> None:
    assert ask(ssm, "send_command", sending(ssm, InstanceIds=[STRANGER])) == (
        "InvalidInstanceId",
        f"Instances [[{STRANGER}]] not in a valid state for account 123456789012",
        "ssm.instance",
    )


@pytest.mark.parametrize(
    ("changes", "exception", "rule"),
    [
        ({"InstanceIds": []}, "ValidationException", "ssm.no-target"),
        ({"InstanceIds": [STRANGER] * 2}, "DuplicateInstanceId", "ssm.duplicate-instance"),
        ({"DocumentName": "My-Document"}, "InvalidDocument", "ssm.document"),
        ({"DocumentVersion": "7"}, "InvalidDocumentVersion", "ssm.document-version"),
        ({"Parameters": {}}, "InvalidParameters", "ssm.parameters"),
        ({"Parameters": {"commands": []}}, "InvalidParameters", "ssm.parameters"),
        (
            {"Parameters": {"commands": ["a"], "Commands": ["b"]}},
            "InvalidParameters",
            "ssm.parameters",
        ),
        (
            {"Parameters": {"commands": ["a"], "executionTimeout": ["0"]}},
            "InvalidParameters",
            "ssm.parameters",
        ),
        (
            {"Parameters": {"commands": ["a"], "executionTimeout": ["172801"]}},
            "InvalidParameters",
            "ssm.parameters",
        ),
        (
            {"Parameters": {"commands": ["a"], "workingDirectory": ["/a", "/b"]}},
            "InvalidParameters",
            "ssm.parameters",
        ),
        (
            {"Parameters": {"commands": ["echo {{ssm:nobody}}"]}},
            "InvalidParameters",
            "ssm.parameter-reference",
        ),
        (
            {"OutputS3BucketName": "bucket"},
            "UnsupportedOperationException",
            "ssm.not-simulated",
        ),
        (
            {"InstanceIds": [], "Targets": [{"Key": "tag:Name", "Values": ["x"]}]},
            "UnsupportedOperationException",
            "ssm.not-simulated",
        ),
    ],
)
def test_a_command_that_is_refused(
    ssm: World, changes: Mapping[str, Any], exception: str, rule: str
) -> None:
    found, message, by = ask(ssm, "send_command", sending(ssm, **changes))
    assert (found, by) == (exception, rule)
    if message:
        assert message.endswith(f", {rule}]")


def test_a_violated_constraint_is_worded_as_reported(ssm: World) -> None:
    request = {"CommandId": "0" * 36, "InstanceId": "i-083e1601960282cd"}
    exception, message, _ = ask(ssm, "get_command_invocation", request)
    assert exception == "ValidationException"
    assert message == (
        "1 validation error detected: Value 'i-083e1601960282cd' at 'instanceId' failed to satisfy "
        r"constraint: Member must satisfy regular expression pattern: (^i-(\w{8}|\w{17})$)|"
        r"(^mi-\w{17}$)"
    )


@pytest.mark.parametrize("excess", [0, 1])
def test_a_document_has_64_kb_with_its_parameters(ssm: World, excess: int) -> None:
    # Letters of two bytes: it is bytes that count.
    room = 65_536 - document.size({"commands": ["#"]})
    commands = ["#" + "ü" * (room // 2) + "x" * (room % 2 + excess)]
    request = sending(ssm, Parameters={"commands": commands})
    if not excess:
        answer = ssm.client.send_command(**request)
        assert ssm.wait(answer["Command"]["CommandId"])["Status"] == "Success"
        return
    exception, message, rule = ask(ssm, "send_command", request)
    assert (exception, rule) == ("MaxDocumentSizeExceeded", "ssm.size")
    assert "65537 bytes, and at most 65536" in message


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [
        ("get_command_invocation", {}, ("InvocationDoesNotExist", "", "ssm.invocation")),
        ("cancel_command", {}, ("InvalidCommandId", "", "ssm.command-id")),
    ],
)
def test_a_command_that_nobody_sent(
    ssm: World, operation: str, members: Mapping[str, Any], expected: tuple[str, ...]
) -> None:
    instance = {"InstanceId": ssm.served.instance_id} if operation.startswith("get") else {}
    assert ask(ssm, operation, {"CommandId": "0" * 36, **instance, **members}) == expected


def test_what_a_command_has_not(ssm: World) -> None:
    command = ssm.send("true")
    known = {"CommandId": command, "InstanceId": ssm.served.instance_id}
    assert ask(ssm, "get_command_invocation", {**known, "PluginName": "another"}) == (
        *("InvalidPluginName", ""),
        "ssm.plugin-name",
    )
    assert ask(ssm, "get_command_invocation", {**known, "InstanceId": STRANGER})[0] == (
        "InvocationDoesNotExist"
    )
    stranger = {"CommandId": command, "InstanceIds": [STRANGER]}
    assert ask(ssm, "cancel_command", stranger)[2] == "ssm.cancel-instance"


@pytest.mark.parametrize(
    ("operation", "members", "rule"),
    [
        (
            "list_command_invocations",
            {"Filters": [{"key": "ExecutionStage", "value": "Complete"}]},
            "ssm.filter-key",
        ),
        (
            "describe_instance_information",
            {"Filters": [{"Key": "Colour", "Values": ["red"]}]},
            "ssm.filter-key",
        ),
        (
            "describe_instance_information",
            {"Filters": [{"Key": "tag:Name", "Values": ["x"]}]},
            "ssm.filter",
        ),
        ("list_commands", {"NextToken": "x"}, "ssm.next-token"),
        (
            "list_commands",
            {"Filters": [{"key": "InvokedAfter", "value": "yesterday"}]},
            "ssm.filter-value",
        ),
    ],
)
def test_a_list_that_is_refused(
    ssm: World, operation: str, members: Mapping[str, Any], rule: str
) -> None:
    assert ask(ssm, operation, members)[2] == rule


def test_another_access_key_is_nobodys(ssm: World) -> None:
    stranger = client_of(ssm.served, access_key_id="AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(ClientError) as raised:
        stranger.send_command(**sending(ssm))
    assert refused(raised.value) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        "ssm.access-key",
    )


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic dXNlcjpwYXNz",
        "AWS4-HMAC-SHA256 Credential=KEY/20260127/us-east-1/kms/aws4_request, Signature=0",
    ],
)
def test_a_request_that_is_not_signed_for_it(ssm: World, authorization: str) -> None:
    with_key = authorization.replace("KEY", ssm.served.credentials.access_key_id)
    status, body = post(ssm, "AmazonSSM.SendCommand", b"{}", with_key)
    assert (status, body["__type"]) == (400, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    ("target", "body", "exception"),
    [
        ("AmazonSSM.SendCommand", b"", "ValidationException"),
        ("AmazonSSM.SendCommand", b"[]", "SerializationException"),
        ("AmazonSSM.SendCommand", b"{", "SerializationException"),
        ("AmazonSSM.SendCommand", b"\xff", "SerializationException"),
        ("AmazonSSM.SendCommand", b'{"Parameters": []}', "SerializationException"),
        (
            "AmazonSSM.SendCommand",
            b'{"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": "true"}}',
            "SerializationException",
        ),
        ("AmazonSSM.SendCommand", b'{"Targets": [{"Values": 1}]}', "SerializationException"),
        ("AmazonSSM.ListCommands", b'{"Filters": [{}]}', "ValidationException"),
        ("AmazonSSM.ListCommands", b'{"MaxResults": 0}', "ValidationException"),
        ("AmazonSSM.Nothing", b"{}", "UnknownOperationException"),
        ("AmazonSSM._get_param", b"{}", "UnknownOperationException"),
        ("TrentService.Decrypt", b"{}", "UnknownOperationException"),
    ],
)
def test_what_no_client_of_aws_sends(ssm: World, target: str, body: bytes, exception: str) -> None:
    status, answer = post(ssm, target, body)
    assert (status, answer["__type"]) == (400, exception)


def test_a_script_of_letters_that_are_none(ssm: World) -> None:
    """Half a surrogate pair is JSON, and no text."""
    body = json.dumps(sending(ssm, Parameters={"commands": ["echo '\ud800' | wc -c"]}))
    status, answer = post(ssm, "AmazonSSM.SendCommand", body.encode())
    assert status == 200
    assert ssm.wait(answer["Command"]["CommandId"])["StandardOutputContent"].strip() == "4"


def test_a_body_of_three_megabytes_is_too_long(ssm: World) -> None:
    status, answer = post(ssm, "AmazonSSM.SendCommand", b" " * 3_000_000)
    assert (status, answer["__type"]) == (413, "SerializationException")


def test_other_operations_are_motos(ssm: World) -> None:
    ssm.client.put_parameter(Name="mine", Value="1", Type="String")
    assert ssm.client.get_parameter(Name="mine")["Parameter"]["Value"] == "1"
    assert ask(ssm, "describe_sessions", {"State": "Active"})[2] == "ssm.operation"


@pytest.mark.parametrize(
    "row", [*rules.FRONT, *(rule.row for rule in rules.RULES)], ids=lambda row: row.id
)
def test_each_row_is_explained_with_its_evidence(row: rules.Row) -> None:
    explanation = BY_ID[row.id]
    assert explanation.claim is not None
    assert explanation.claim.evidence is row.type_evidence
    text = str(row.refuse("Something is wrong."))
    header = f"x-attested-kms-rule: {row.id}"
    assert row.id in [match.explanation.id for match in explain(f"{header}\n{text}")]


def test_the_page_lists_every_row_with_its_evidence() -> None:
    rows = [*rules.FRONT, *(rule.row for rule in rules.RULES)]
    assert len({row.id for row in rows}) == len(rows)
    lines = [
        f"| `{row.id}` | {row.exception} | {row.type_evidence.value}, {row.text_evidence.value} |"
        for row in rows
    ]
    shown = re.findall(r"^\| `ssm\..*$", PAGE.read_text(), re.MULTILINE)
    assert shown == lines


def test_the_pages_example_works() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    with away_from_aws(), TemporaryDirectory(prefix="ssm-") as temporary:
        exec(example, {"machine": Path(temporary, "machine")})  # noqa: S102  # Our own page.
