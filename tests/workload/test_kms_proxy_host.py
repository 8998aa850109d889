"""The host proxy as a process before a stub KMS: members out and in, errors as they come."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from scenarios.workload.kms_proxy_host import KmsPipe
from scenarios.workload.messages import AnswerError, Kind

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    Ask = Callable[[dict[str, Any]], dict[str, Any]]
    KmsRequests = list[tuple[str, dict[str, Any]]]
    KmsAnswers = deque[tuple[int, bytes]]

DECRYPT = {"operation": "Decrypt", "members": {"CiphertextBlob": b"blob"}}


def test_members_go_out_and_come_back_as_they_are(
    ask_proxy: Ask, kms_requests: KmsRequests, kms_answers: KmsAnswers
) -> None:
    body = {"KeyId": "k", "Plaintext": "AP8=", "CiphertextBlob": "AQ=="}
    kms_answers.append((200, json.dumps(body).encode()))
    members = {"KeyId": "alias/a", "KeySpec": "AES_256", "EncryptionContext": {"a": "AP8="}}
    answer = ask_proxy({"operation": "GenerateDataKey", "members": members})
    assert answer == {"ok": {"KeyId": "k", "Plaintext": b"\0\xff", "CiphertextBlob": b"\1"}}
    assert kms_requests == [("GenerateDataKey", members)]


def test_nothing_is_added_to_an_empty_request(
    ask_proxy: Ask, kms_requests: KmsRequests, kms_answers: KmsAnswers
) -> None:
    kms_answers.append((200, b"{}"))
    assert ask_proxy({"operation": "GenerateRandom", "members": {}}) == {"ok": {}}
    assert kms_requests == [("GenerateRandom", {})]


def test_times_come_as_iso_8601(ask_proxy: Ask, kms_answers: KmsAnswers) -> None:
    metadata = {"KeyId": "k", "CreationDate": 1_700_000_000.5, "EncryptionAlgorithms": ["A"]}
    kms_answers.append((200, json.dumps({"KeyMetadata": metadata}).encode()))
    answer = ask_proxy({"operation": "DescribeKey", "members": {"KeyId": "k"}})
    created = answer["ok"]["KeyMetadata"].pop("CreationDate")
    assert created.startswith("2023-11-1")
    assert answer == {"ok": {"KeyMetadata": {"KeyId": "k", "EncryptionAlgorithms": ["A"]}}}


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, b'{"__type": "ValidationException", "message": "A."}', "ValidationException", "A."),
        (400, b'{"__type": "NotFoundException", "Message": "B"}', "NotFoundException", "B"),
        (400, b'{"__type": "DisabledException"}', "DisabledException", ""),
        (400, b'{"__type": "DisabledException", "message": null}', "DisabledException", ""),
        (503, b"down for maintenance", "503", "down for maintenance"),
    ],
)
def test_an_error_of_kms_comes_as_given_and_is_not_retried(
    ask_proxy: Ask,
    kms_requests: KmsRequests,
    kms_answers: KmsAnswers,
    status: int,
    body: bytes,
    code: str,
    message: str,
) -> None:
    kms_answers.append((status, body))
    error = ask_proxy(DECRYPT)["error"]
    assert error == {"kind": "kms", "code": code, "message": message, "http_status": status}
    assert len(kms_requests) == 1


@pytest.mark.parametrize("body", [b'{"Plaintext": "A"}', b'{"Plaintext": 1}', b"[]", b"\xff"])
def test_a_response_that_boto3_cannot_read_is_an_error_of_the_client(
    ask_proxy: Ask, kms_answers: KmsAnswers, body: bytes
) -> None:
    kms_answers.append((200, body))
    error = ask_proxy(DECRYPT)["error"]
    assert (error["kind"], error["http_status"]) == ("client", None)
    assert error["code"]


@pytest.mark.parametrize(
    ("operation", "members", "problem"),
    [
        ("Decrypt", {"CiphertextBlob": 1}, "Invalid type for parameter CiphertextBlob"),
        ("Decrypt", {"Blob": b"b"}, 'Unknown parameter in input: "Blob"'),
        ("GenerateDataKey", {}, 'Missing required parameter in input: "KeyId"'),
        ("Decrypt", {"Recipient": {"attestationDocument": b"d"}}, "Unknown parameter in Recipient"),
    ],
)
def test_what_boto3_refuses_comes_as_it_says_it(
    ask_proxy: Ask, operation: str, members: dict[str, Any], problem: str
) -> None:
    error = ask_proxy({"operation": operation, "members": members})["error"]
    assert (error["kind"], error["code"]) == ("client", "ParamValidationError")
    assert problem in error["message"]


def test_a_member_named_like_a_python_argument_harms_nothing(ask_proxy: Ask) -> None:
    error = ask_proxy({"operation": "Decrypt", "members": {"self": 1}})["error"]
    assert error["kind"] == "client"


@pytest.mark.parametrize(
    ("request_", "code", "problem"),
    [
        ({"version": 7} | DECRYPT, "UnsupportedVersion", "version 7"),
        (DECRYPT | {"operation": "decrypt"}, "UnknownOperation", "'decrypt'"),
        (DECRYPT | {"operation": "close"}, "UnknownOperation", "'close'"),
        (DECRYPT | {"operation": 1}, "InvalidField", "operation is a int"),
        (DECRYPT | {"members": "x"}, "InvalidField", "members is a str"),
        ({"operation": "Decrypt"}, "InvalidField", "members is absent"),
        (DECRYPT | {"region": "eu"}, "UnknownField", "region"),
    ],
)
def test_what_is_no_request_is_refused(
    ask_proxy: Ask, request_: dict[str, Any], code: str, problem: str
) -> None:
    error = ask_proxy(request_)["error"]
    assert (error["kind"], error["code"], error["http_status"]) == ("protocol", code, None)
    assert problem in error["message"]


def test_an_endpoint_that_refuses_is_an_error_of_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    pipe = KmsPipe("eu-central-1", f"http://127.0.0.1:{port}")
    with pytest.raises(AnswerError) as caught:
        pipe.handle({"version": 1} | DECRYPT)
    assert (caught.value.kind, caught.value.code) == (Kind.CLIENT, "EndpointConnectionError")
    assert f"127.0.0.1:{port}" in caught.value.message
