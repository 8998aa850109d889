"""What a KMS remembers of its calls: as objects, over HTTP, inside moto, and of moto's own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import boto3
import pytest
from botocore.exceptions import ClientError

from kms_fake import KmsFake, KmsRefusal, mock_attested_kms
from kms_fake.errors import RULE_HEADER
from kms_fake.record import KEPT_BODY, KEPT_CALLS, Origin
from tests.kms_fake import world
from tests.kms_fake.world import MODULE_ID, NOW_MS, PCRS, Document, Request, moto_key, policy


def call(fake: KmsFake, **parts: Any) -> None:
    request = Request(**parts)
    fake.call(request.operation, request.build(), caller=request.caller())


def test_an_answered_call(fake: KmsFake) -> None:
    call(fake)
    (record,) = fake.calls
    assert (record.operation, record.region, record.account) == (
        "Decrypt",
        "us-east-1",
        "123456789012",
    )
    assert record.caller is not None
    assert record.caller.principal_arn == world.ROLE
    assert record.time_ms == NOW_MS
    assert record.key_arn is not None
    assert record.key_arn.endswith(moto_key())
    assert record.document is not None
    assert record.document.module_id == MODULE_ID
    assert record.document.pcrs == PCRS
    assert record.refused is None


def test_a_refused_call_has_its_rule(fake: KmsFake) -> None:
    with pytest.raises(KmsRefusal) as raised:
        call(fake, document={"public_key": None})
    refused = fake.calls[-1].refused
    assert refused is not None
    error = raised.value
    assert refused == (error.rule, error.exception, error.message, error.http_status)
    assert refused.rule == "public-key.missing"


def test_the_record_as_json(fake: KmsFake) -> None:
    with pytest.raises(KmsRefusal):
        call(
            fake,
            operation="GenerateDataKey",
            key=lambda: moto_key("closed", policy_text=policy(world.statement(Effect="Deny"))),
        )
    shown = json.loads(json.dumps(fake.calls[-1].as_json()))
    assert shown["document"]["pcrs"]["0"] == PCRS[0].hex()
    assert shown["document"]["timestamp"].endswith(".000Z")
    assert shown["members"]["KeySpec"] == "AES_256"
    assert shown["refused"]["rule"] == "authorization.key-policy-deny"
    assert shown["refused"]["message"].startswith("User: arn:aws:sts::")
    assert shown["refused"]["evidence"]["text"] == "reported"
    assert list(shown) == [
        *("number", "time", "operation", "region", "account", "caller", "access_key"),
        *("request_id", "source_address", "user_agent", "members", "document", "key_arn"),
        "refused",
    ]


@pytest.mark.parametrize(
    "document",
    [{"raw": b"no document"}, {"fields": {"digest": "SHA1"}}],
    ids=["not COSE", "bad payload"],
)
def test_a_document_that_does_not_read_is_none(fake: KmsFake, document: dict[str, Any]) -> None:
    with pytest.raises(KmsRefusal):
        call(fake, document=document)
    assert fake.calls[-1].document is None
    assert fake.calls[-1].as_json()["members"]["Recipient"]["AttestationDocument"]


def test_a_document_that_is_not_believed_is_shown(fake: KmsFake) -> None:
    with pytest.raises(KmsRefusal, match=r"document\.root"):
        call(fake, document={"chain": (world.FOREIGN_ROOT,)})
    document = fake.calls[-1].document
    assert document is not None
    assert document.module_id == MODULE_ID


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "text",
        {"CiphertextBlob": object(), "KeyId": 5.5, "EncryptionContext": [float("nan"), (1, None)]},
        {"Recipient": "text"},
        {"Recipient": {"AttestationDocument": "text"}},
        {"EncryptionContext": {1: {2: {3: True}}}},
    ],
)
def test_whatever_was_given_is_recorded_and_is_json(fake: KmsFake, given: object) -> None:
    with pytest.raises(KmsRefusal):
        fake.call("Decrypt", given)
    shown = json.dumps(fake.calls[-1].as_json(), allow_nan=False)
    assert json.loads(shown)["refused"]["exception"] == "SerializationException"


def test_what_is_nested_too_deeply_is_cut(fake: KmsFake) -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(KmsRefusal):
        fake.call("Decrypt", {"KeyId": deep})
    assert "..." in json.dumps(fake.calls[-1].as_json())


def test_a_call_in_a_region_there_is_not(fake: KmsFake) -> None:
    somebody = world.caller()
    with pytest.raises(KmsRefusal):
        fake.call("Decrypt", {}, caller=somebody, region="nowhere-1")
    record = fake.calls[-1]
    assert record.refused is not None
    assert record.refused.rule == "request.region"
    assert record.caller is somebody.principal


def test_the_last_calls_are_kept_and_the_others_counted(fake: KmsFake) -> None:
    for _ in range(KEPT_CALLS + 7):
        with pytest.raises(KmsRefusal):
            fake.call("Decrypt", None)
    assert (len(fake.calls), fake.calls.dropped) == (KEPT_CALLS, 7)
    assert [fake.calls[0].number, fake.calls[-1].number] == [8, KEPT_CALLS + 7]
    assert len(fake.calls[-3:]) == 3
    fake.calls.clear()
    assert (len(fake.calls), fake.calls.dropped, list(fake.calls)) == (0, 0, [])


def test_calls_from_many_threads(fake: KmsFake) -> None:
    def ask(_: int) -> int:
        with pytest.raises(KmsRefusal):
            fake.call("Decrypt", None)
        return len(list(fake.calls))

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(ask, range(200))) == 200
    assert {record.number for record in fake.calls} == set(range(1, 201))
    assert len({record.request_id for record in fake.calls}) == 200


def test_a_long_request_is_recorded_without_its_members(fake: KmsFake) -> None:
    kept = Origin(body_length=KEPT_BODY)
    long = Origin(body_length=KEPT_BODY + 1)
    for origin in (kept, long):
        with pytest.raises(KmsRefusal):
            fake.call("Decrypt", {"CiphertextBlob": b"x"}, origin=origin)
    assert [record.members for record in fake.calls] == [{"CiphertextBlob": b"x"}, None]
    assert fake.calls[-1].as_json()["members"] is None
    assert fake.calls[-1].document is None


def decrypt(kms: Any, **parts: Any) -> dict[str, Any]:
    members: Any = Request(**parts).build()
    answer: dict[str, Any] = kms.decrypt(**members)
    return answer


def rule_header(error: ClientError) -> str | None:
    headers: dict[str, str] = error.response["ResponseMetadata"]["HTTPHeaders"]
    return headers.get(RULE_HEADER)


def test_through_a_front_the_request_is_recorded_whole(fake: KmsFake, kms: Any) -> None:
    answer = decrypt(kms)
    record = fake.calls[-1]
    assert record.request_id == answer["ResponseMetadata"]["RequestId"]
    assert UUID(record.request_id)
    # moto itself sees no access keys but those of AWS's length.
    assert record.origin.access_key in {"UNKNOWN", "AKIAEXAMPLE"}
    assert str(record.origin.user_agent).startswith("Boto3/")
    assert record.document is not None
    assert RULE_HEADER not in answer["ResponseMetadata"]["HTTPHeaders"]
    assert [made.operation for made in fake.calls] == ["Decrypt"]


def test_a_refusal_names_its_rule_in_a_header_and_never_in_the_body(
    fake: KmsFake, kms: Any
) -> None:
    with pytest.raises(ClientError) as raised:
        decrypt(kms, document={"public_key": None})
    assert rule_header(raised.value) == "public-key.missing"
    assert raised.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "You must specify a recipient public key in this request.",
    }
    refused = fake.calls[-1].refused
    assert refused is not None
    assert refused.rule == "public-key.missing"
    metadata = raised.value.response["ResponseMetadata"]
    assert fake.calls[-1].request_id == metadata["RequestId"]


def test_a_refusal_beside_the_table(fake: KmsFake, kms: Any) -> None:
    with pytest.raises(ClientError) as raised:
        kms.create_key(Policy="{")
    assert rule_header(raised.value) == "policy.malformed"
    record = fake.calls[-1]
    assert record.refused is not None
    assert (record.operation, record.refused.rule) == ("CreateKey", "policy.malformed")


def test_recipient_where_it_is_not_simulated(fake: KmsFake, kms: Any) -> None:
    recipient = {"AttestationDocument": Document().build()}
    with pytest.raises(ClientError) as raised:
        kms.generate_random(NumberOfBytes=5, Recipient=recipient)
    assert rule_header(raised.value) == "recipient.operation"
    assert [record.operation for record in fake.calls] == ["GenerateRandom"]


def test_what_moto_answers_and_refuses_is_recorded(fake: KmsFake, kms: Any) -> None:
    key = kms.create_key(Description="a key")["KeyMetadata"]["KeyId"]
    with pytest.raises(ClientError) as raised:
        kms.get_key_policy(KeyId=key, PolicyName="other")
    assert rule_header(raised.value) == "moto"
    kms.encrypt(KeyId=key, Plaintext=b"secret")
    created, refused, encrypted = fake.calls
    assert created.members is not None
    assert (created.operation, created.members["Description"]) == ("CreateKey", "a key")
    assert created.refused is None
    assert refused.refused is not None
    error = raised.value.response["Error"]
    expected = ("moto", error["Code"], error["Message"], 400)
    assert refused.refused == expected
    assert refused.as_json()["refused"]["evidence"] is None
    assert encrypted.members == {"KeyId": key, "Plaintext": "c2VjcmV0"}
    assert encrypted.caller is not None
    assert encrypted.caller.principal_arn == world.ROLE


def test_a_caller_who_is_refused_is_nobody(fake: KmsFake) -> None:
    """Inside one mock, so that the access key is one that IAM made."""
    with mock_attested_kms(fake):
        iam = boto3.client("iam")
        iam.create_user(UserName="somebody")
        key = iam.create_access_key(UserName="somebody")["AccessKey"]
        iam.update_access_key(
            UserName="somebody", AccessKeyId=key["AccessKeyId"], Status="Inactive"
        )
        kms = boto3.client(
            "kms",
            region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )
        with pytest.raises(ClientError) as raised:
            kms.decrypt(CiphertextBlob=b"x")
        kms.create_key()
        kms.close()
    assert rule_header(raised.value) == "caller.inactive-key"
    refused, created = fake.calls
    assert (refused.operation, refused.caller) == ("Decrypt", None)
    assert (created.operation, created.caller) == ("CreateKey", None)
    assert refused.as_json()["caller"] is None
