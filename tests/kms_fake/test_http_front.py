"""Whatever is sent to the server gets one AWS-shaped answer, and the server goes on."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_fake import KmsServer, serving
from kms_fake.catalogue import catalogue
from kms_fake.http_front import MAX_BODY
from kms_fake.record import BY_MOTO
from tests.kms_fake import world
from tests.kms_fake.world import Document, moto_key, sealed

CREDENTIAL = "AKIA/20260101/us-east-1/kms/aws4_request"
SIGNED = {
    "Authorization": f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature=0",
    "Content-Type": "application/x-amz-json-1.1",
}


RULE_IDS = {row["id"] for row in catalogue()} | {BY_MOTO}


@pytest.fixture(scope="module")
def server() -> Iterator[KmsServer]:
    with serving(world.fake()) as running:
        yield running


@pytest.fixture(scope="module")
def connection(server: KmsServer) -> Iterator[http.client.HTTPConnection]:
    """One keep-alive connection for all requests of the module."""
    made = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=30)
    yield made
    made.close()


Answer = tuple[int, dict[str, Any]]


def send(
    connection: http.client.HTTPConnection, body: bytes, *, target: str = "Decrypt", **headers: str
) -> Answer:
    all_headers = {**SIGNED, "X-Amz-Target": f"TrentService.{target}", **headers}
    connection.request("POST", "/", body, all_headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.getheader("Content-Type") == "application/x-amz-json-1.1"
    assert response.getheader("x-amzn-RequestId")
    rule = response.getheader("x-attested-kms-rule")
    assert (rule in RULE_IDS) if response.status >= 400 else rule is None
    return response.status, answer


def good_body() -> bytes:
    document = base64.b64encode(Document().build()).decode()
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}
    blob = base64.b64encode(sealed(moto_key())).decode()
    return json.dumps({"CiphertextBlob": blob, "Recipient": recipient}).encode()


def test_a_good_request(connection: http.client.HTTPConnection) -> None:
    status, answer = send(connection, good_body())
    assert status == 200
    assert base64.b64decode(answer["CiphertextForRecipient"]).startswith(b"\x30\x80")


@pytest.mark.parametrize("operation", ["Decrypt", "GenerateDataKey"])
@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b'"text"', b"5", b"null", b"{", b"\xff\xfe", b"not json", b"{}}"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_object(
    connection: http.client.HTTPConnection, operation: str, body: bytes
) -> None:
    status, answer = send(connection, body, target=operation)
    assert (status, answer["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("Decrypt", {"CiphertextBlob": 5}),
        ("Decrypt", {"CiphertextBlob": "not base64!"}),
        ("Decrypt", {"CiphertextBlob": "YWJj\nYWJj"}),
        ("Decrypt", {"CiphertextBlob": {"a": 1}}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "KeyId": ["x"]}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "EncryptionContext": "x"}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "EncryptionContext": {"a": 1}}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "GrantTokens": {"a": "b"}}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "GrantTokens": [1]}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "DryRun": "true"}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "EncryptionAlgorithm": 1}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "Recipient": "YWJj"}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "Recipient": []}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "Recipient": {"AttestationDocument": {}}}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "Recipient": {"AttestationDocument": "%"}}),
        ("Decrypt", {"CiphertextBlob": "YWJj", "Recipient": {"KeyEncryptionAlgorithm": 1}}),
        ("GenerateDataKey", {"KeyId": 5}),
        ("GenerateDataKey", {"KeyId": "x", "NumberOfBytes": "32"}),
        ("GenerateDataKey", {"KeyId": "x", "NumberOfBytes": True}),
        ("GenerateDataKey", {"KeyId": "x", "NumberOfBytes": 32.5}),
        ("GenerateDataKey", {"KeyId": "x", "KeySpec": {}}),
    ],
    ids=str,
)
def test_a_member_of_a_wrong_type(
    connection: http.client.HTTPConnection, operation: str, members: Any
) -> None:
    status, answer = send(connection, json.dumps(members).encode(), target=operation)
    assert (status, answer["__type"]) == (400, "SerializationException")
    name = next(reversed(members))
    assert name in answer["message"]


def test_the_largest_document_is_judged_and_a_larger_one_refused(
    connection: http.client.HTTPConnection,
) -> None:
    for size, expected in ((262_144, "document.structure"), (262_145, "length less than or equal")):
        document = base64.b64encode(bytes(size)).decode()
        recipient = {
            "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "AttestationDocument": document,
        }
        body = json.dumps({"CiphertextBlob": "YWJj", "Recipient": recipient}).encode()
        status, answer = send(connection, body)
        assert (status, answer["__type"]) == (400, "ValidationException")
        assert expected in answer["message"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": ""}, "MissingAuthenticationTokenException"),
        ({"Authorization": "Bearer token"}, "MissingAuthenticationTokenException"),
        ({"X-Amz-Target": ""}, "UnknownOperationException"),
        ({"X-Amz-Target": "TrentService.Nothing"}, "UnknownOperationException"),
        ({"X-Amz-Target": "TrentService.CallAction"}, "UnknownOperationException"),
        ({"X-Amz-Target": "TrentService.Dispatch"}, "UnknownOperationException"),
        ({"X-Amz-Target": "TrentService.__init__"}, "UnknownOperationException"),
        (
            {"Authorization": SIGNED["Authorization"].replace("us-east-1", "mars-north-1")},
            "InvalidSignatureException",
        ),
        ({"X-Amz-Target": "DynamoDB_20120810.GetItem"}, "UnknownOperationException"),
        (
            {"Authorization": SIGNED["Authorization"].replace("/kms/", "/s3/")},
            "UnknownServiceException",
        ),
    ],
    ids=str,
)
def test_headers_that_name_nothing(
    connection: http.client.HTTPConnection, headers: dict[str, str], expected: str
) -> None:
    status, answer = send(connection, b"{}", **headers)
    assert (status, answer["__type"]) == (400, expected)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_other_methods_are_refused_and_the_connection_goes_on(
    connection: http.client.HTTPConnection, method: str
) -> None:
    connection.request(method, "/", good_body(), {**SIGNED, "X-Amz-Target": "TrentService.Decrypt"})
    response = connection.getresponse()
    body = response.read()
    assert response.status == 400
    assert body == b"" if method == "HEAD" else b"UnknownOperationException" in body
    assert send(connection, good_body())[0] == 200


@pytest.mark.parametrize("operation", ["ListKeys", "CreateKey", "Encrypt"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000])
def test_operations_of_moto_take_json_objects_only(
    connection: http.client.HTTPConnection, operation: str, body: bytes
) -> None:
    status, answer = send(connection, body, target=operation)
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_what_moto_does_not_foresee_is_no_stack_trace(
    connection: http.client.HTTPConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    for operation, body in (
        ("GenerateRandom", b"{}"),
        ("Encrypt", b"[]"),
        ("CreateKey", b"not json"),
        ("PutKeyPolicy", b"{}"),
        ("DescribeKey", b'{"KeyId": 5}'),
    ):
        status, answer = send(connection, body, target=operation)
        assert 400 <= status < 500, (operation, answer)
        assert answer["__type"].endswith("Exception")
    assert "Traceback" not in capfd.readouterr().err


def test_a_body_over_the_limit_is_refused(server: KmsServer) -> None:
    made = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=30)
    headers = {**SIGNED, "X-Amz-Target": "TrentService.Decrypt"}
    made.putrequest("POST", "/")
    for name, value in {**headers, "Content-Length": str(MAX_BODY + 1)}.items():
        made.putheader(name, value)
    made.endheaders(bytes(MAX_BODY + 1))
    response = made.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["__type"] == "RequestEntityTooLargeException"
    made.close()


def test_a_chunked_body_is_read(connection: http.client.HTTPConnection) -> None:
    headers = {**SIGNED, "X-Amz-Target": "TrentService.Decrypt"}
    connection.request("POST", "/", iter([good_body()]), headers, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, "CiphertextForRecipient" in json.loads(response.read())) == (200, True)


SIGNED_HEAD = "".join(f"{name}: {value}\r\n" for name, value in SIGNED.items()).encode()
HEAD = b"POST / HTTP/1.1\r\nHost: kms\r\nX-Amz-Target: TrentService.Decrypt\r\n" + SIGNED_HEAD


def raw(server: KmsServer, start: bytes, *, finish: bool = False) -> socket.socket:
    """A connection that has sent `start` and, with `finish`, says that no more will come."""
    netloc = urlsplit(server.endpoint)
    made = socket.create_connection((netloc.hostname, netloc.port or 0), timeout=30)
    made.sendall(start)
    if finish:
        made.shutdown(socket.SHUT_WR)
    return made


def answer_of(made: socket.socket) -> tuple[int, dict[str, Any]]:
    """The status and JSON body of what comes until the server closes the connection."""
    with made, made.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    assert b"application/x-amz-json-1.1" in head
    assert b"\r\nx-attested-kms-rule: http." in head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\nhalf", id="body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\nhalf", id="chunk"),
    ],
)
def test_half_a_body_is_answered(server: KmsServer, start: bytes) -> None:
    status, answer = answer_of(raw(server, start, finish=True))
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_half_a_request_then_silence_is_answered_when_its_time_is_over(
    capfd: pytest.CaptureFixture[str],
) -> None:
    starts = (
        HEAD + b"Content-Length: 100\r\n\r\nhalf",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\nhalf",
        b"POST / HTTP/1.1\r\nHost: k",
    )
    with serving(world.fake(), request_timeout_seconds=2) as impatient:
        silent = [raw(impatient, start) for start in starts]
        for made in silent:
            status, answer = answer_of(made)
            assert (status, answer["__type"]) == (408, "RequestTimeoutException")
    assert capfd.readouterr().err == ""


def test_half_a_request_then_silence_does_not_stop_the_others(
    server: KmsServer, connection: http.client.HTTPConnection
) -> None:
    starts = (b"POST / HT", HEAD + b"Content-Length: 100\r\n\r\nhalf", b"")
    silent = [raw(server, start) for start in starts * 20]
    assert send(connection, good_body())[0] == 200
    for made in silent:
        made.close()
    assert send(connection, good_body())[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01 not http\r\n\r\n",
        b"POST http://elsewhere/ HTTP/1.1\r\nHost: kms\r\n\r\n",
        b"POST /\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: kms\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: +2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 1_0\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: kms\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_too(
    server: KmsServer, connection: http.client.HTTPConnection, request_bytes: bytes
) -> None:
    status, answer = answer_of(raw(server, request_bytes, finish=True))
    assert status in {400, 413, 501}
    assert answer["__type"].endswith("Exception")
    assert send(connection, good_body())[0] == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ["CiphertextBlob", "KeyId", "EncryptionContext", "Recipient", "NumberOfBytes", "KeySpec"]


@pytest.mark.parametrize(
    ("target", "service", "rule", "status"),
    [
        ("Decrypt", None, "http.authentication", 400),
        ("Nonsense", "kms", "http.operation", 400),
        ("Decrypt", "s3", "http.service", 400),
        ("DescribeKey", "kms", "operation.key-not-found", 400),
        ("", "iam", "moto", 404),
    ],
)
def test_every_refusal_names_its_rule_in_a_header(
    connection: http.client.HTTPConnection,
    target: str,
    service: str | None,
    rule: str,
    status: int,
) -> None:
    headers = {**SIGNED, "X-Amz-Target": f"TrentService.{target}"}
    body = b'{"KeyId": "alias/nothing"}'
    if service is None:
        del headers["Authorization"]
    elif service == "iam":
        headers = {"Authorization": SIGNED["Authorization"].replace("/kms/", "/iam/")}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = b"Action=GetUser&UserName=nobody&Version=2010-05-08"
    else:
        headers["Authorization"] = SIGNED["Authorization"].replace("/kms/", f"/{service}/")
    connection.request("POST", "/", body, headers)
    response = connection.getresponse()
    answer = response.read()
    assert (response.status, response.getheader("x-attested-kms-rule")) == (status, rule), answer
    assert response.headers.get_all("x-amzn-requestid", []) == [
        response.getheader("x-amzn-RequestId")
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operation=st.sampled_from(["Decrypt", "GenerateDataKey"]),
    members=st.dictionaries(st.sampled_from(MEMBERS), JSON),
)
def test_any_members_get_a_client_error(
    connection: http.client.HTTPConnection, operation: str, members: dict[str, Any]
) -> None:
    status, answer = send(connection, json.dumps(members).encode(), target=operation)
    assert status == 400
    assert answer["__type"].endswith("Exception")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.binary(min_size=1, max_size=600))
def test_any_document_gets_a_client_error(
    connection: http.client.HTTPConnection, document: bytes
) -> None:
    recipient = {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": base64.b64encode(document).decode(),
    }
    body = json.dumps({"CiphertextBlob": "YWJj", "Recipient": recipient}).encode()
    status, answer = send(connection, body)
    assert (status, answer["__type"]) == (400, "ValidationException")
