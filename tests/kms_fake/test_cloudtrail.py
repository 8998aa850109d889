"""CloudTrail's events, against the documented examples and what real ones were reported to be."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

import pytest
from botocore.exceptions import ClientError

from kms_fake import KmsFake, KmsRefusal, cloudtrail_event, cloudtrail_events
from kms_fake.authorization import Principal
from kms_fake.callers import Caller, identity_of_policies
from kms_fake.cloudtrail import has_event
from tests.kms_fake import world
from tests.kms_fake.world import MODULE_ID, OPEN, PCRS, Request, moto_key, policy, statement

ALICE = "arn:aws:iam::123456789012:user/staff/Alice"

# The example "Decrypt (for an enclave)" of "Monitoring requests for Nitro enclaves" (AWS KMS
# Developer Guide): the fields and their order; its values are an example's.
DOCUMENTED = [
    *("eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion"),
    *("sourceIPAddress", "userAgent", "requestParameters", "responseElements"),
    *("additionalEventData", "requestID", "eventID", "readOnly", "resources", "eventType"),
    "recipientAccountId",
]
RECIPIENT = {
    "attestationDocumentModuleId": MODULE_ID,
    "attestationDocumentEnclaveImageDigest": PCRS[0],
    **{f"attestationDocumentEnclavePCR{index}": PCRS[index] for index in (1, 2, 3, 4, 8)},
}


def user(arn: str = ALICE) -> Caller:
    account = arn.split(":")[4]
    allow = policy({"Effect": "Allow", "Action": "kms:*", "Resource": "*"})
    return Caller(Principal(arn, account, arn), identity_of_policies([allow]))


def open_key() -> str:
    """The id of a key whose policy lets the whole account in."""
    return moto_key("for all", policy_text=policy(statement(Principal="*")))


def decrypt(kms: Any, **parts: Any) -> None:
    """An attested Decrypt by boto3."""
    members: Any = Request(**{"key": open_key, **parts}).build()
    kms.decrypt(**members)


def event_of(fake: KmsFake, **parts: Any) -> dict[str, Any]:
    """The event of one call, answered or refused."""
    request = Request(**{"key": open_key, **parts})
    try:
        fake.call(request.operation, request.build(), caller=request.caller())
    except KmsRefusal:
        assert fake.calls[-1].refused is not None
    event: dict[str, Any] = json.loads(json.dumps(cloudtrail_event(fake.calls[-1])))
    return event


def test_an_attested_decrypt_has_the_documented_shape(kms: Any, fake: KmsFake) -> None:
    decrypt(kms)
    event = cloudtrail_event(fake.calls[-1])
    assert [name for name in event if name in DOCUMENTED] == DOCUMENTED
    # What examples of 2025 have beside them ("Decrypt", example of eventVersion 1.11).
    assert set(event) - set(DOCUMENTED) == {"managementEvent", "eventCategory"}
    assert (event["eventSource"], event["eventName"]) == ("kms.amazonaws.com", "Decrypt")
    assert (event["eventType"], event["eventCategory"]) == ("AwsApiCall", "Management")
    assert event["responseElements"] is None
    assert event["readOnly"] is True
    assert event["requestParameters"] == {"encryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    assert UUID(event["requestID"])
    assert UUID(event["eventID"])
    assert event["recipientAccountId"] == "123456789012"
    (resource,) = event["resources"]
    assert list(resource) == ["accountId", "type", "ARN"]
    assert resource["ARN"].endswith(f":123456789012:key/{open_key()}")
    assert resource["type"] == "AWS::KMS::Key"


def test_measurements_are_base64_as_in_real_events(fake: KmsFake) -> None:
    recipient = event_of(fake)["additionalEventData"]["recipient"]
    decoded = {
        name: value if name.endswith("ModuleId") else base64.b64decode(value, validate=True)
        for name, value in recipient.items()
    }
    assert decoded == RECIPIENT
    assert {len(value) for name, value in recipient.items() if "PCR" in name} == {64}


def test_zero_registers_are_there_and_others_are_not(fake: KmsFake) -> None:
    document = {"pcrs": {**PCRS, 8: bytes(48)}}
    recipient = event_of(fake, document=document)["additionalEventData"]["recipient"]
    assert recipient["attestationDocumentEnclavePCR8"] == "A" * 64
    assert len(recipient) == 7


def test_generate_data_key_shows_what_was_asked(fake: KmsFake) -> None:
    key = open_key()
    members = {"EncryptionContext": {"Project": "Alpha"}, "KeySpec": None, "NumberOfBytes": 32}
    event = event_of(fake, operation="GenerateDataKey", members=members)
    assert event["requestParameters"] == {
        "keyId": key,
        "encryptionContext": {"Project": "Alpha"},
        "numberOfBytes": 32,
    }
    spec = event_of(fake, operation="GenerateDataKey")["requestParameters"]
    assert spec == {"keyId": key, "keySpec": "AES_256"}


def test_the_encryption_algorithm_that_was_sent(fake: KmsFake) -> None:
    key = open_key()
    members = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    shown = event_of(fake, members=members)["requestParameters"]
    assert shown == {"encryptionAlgorithm": "RSAES_OAEP_SHA_256", "keyId": key}


def test_a_plain_call_has_no_recipient_data(fake: KmsFake) -> None:
    event = event_of(fake, recipient=None)
    assert "additionalEventData" not in event
    assert "errorCode" not in event


def test_a_denied_call_has_its_error_and_no_recipient_data(fake: KmsFake) -> None:
    """Reported: no recipient data (EphemeralML); AccessDenied, and null for the parameters."""
    deny = policy(statement(Principal="*"), statement(Effect="Deny"))
    event = event_of(fake, key=lambda: moto_key("denied", policy_text=deny))
    assert "additionalEventData" not in event
    assert event["errorCode"] == "AccessDenied"
    assert event["errorMessage"].endswith("with an explicit deny in a resource-based policy")
    assert event["requestParameters"] is None


def test_another_refusal_keeps_its_name_and_its_parameters(fake: KmsFake) -> None:
    """As the documented failure of Decrypt, an IncorrectKeyException, does."""
    other = moto_key("another", policy_text=OPEN)
    event = event_of(fake, members={"KeyId": other})
    assert event["errorCode"] == "IncorrectKeyException"
    assert event["errorMessage"].startswith("The key ID in the request does not identify")
    expected = {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": other}
    assert event["requestParameters"] == expected
    assert event["resources"][0]["ARN"].endswith(open_key())


def test_an_empty_message_is_left_out(fake: KmsFake) -> None:
    event = event_of(fake, members={"CiphertextBlob": b"no ciphertext"})
    assert event["errorCode"] == "InvalidCiphertextException"
    assert "errorMessage" not in event
    assert event["resources"] == []


def test_a_request_that_does_not_deserialize_has_no_parameters(fake: KmsFake) -> None:
    event = event_of(fake, given={"KeyId": 5})
    assert event["errorCode"] == "SerializationException"
    assert event["requestParameters"] is None


def test_the_parent_instances_role_is_an_assumed_role(fake: KmsFake) -> None:
    identity = event_of(fake)["userIdentity"]
    issuer = identity.pop("sessionContext")["sessionIssuer"]
    assert identity == {
        "type": "AssumedRole",
        "principalId": f"{issuer['principalId']}:i-0a1b2c3d4e5f60718",
        "arn": "arn:aws:sts::123456789012:assumed-role/EnclaveInstance/i-0a1b2c3d4e5f60718",
        "accountId": "123456789012",
    }
    assert issuer.pop("principalId").startswith("AROA")
    assert issuer == {
        "type": "Role",
        "arn": world.ROLE,
        "accountId": "123456789012",
        "userName": "EnclaveInstance",
    }


def test_a_user_is_an_iam_user(fake: KmsFake) -> None:
    identity = event_of(fake, caller=user)["userIdentity"]
    assert len(identity.pop("principalId")) == len("AIDAJQABLZS4A3QDU576Q")
    assert identity == {
        "type": "IAMUser",
        "arn": ALICE,
        "accountId": "123456789012",
        "userName": "Alice",
    }


def test_the_root_user(fake: KmsFake) -> None:
    root = "arn:aws:iam::123456789012:root"
    assert event_of(fake, caller=lambda: user(root))["userIdentity"] == {
        "type": "Root",
        "principalId": "123456789012",
        "arn": root,
        "accountId": "123456789012",
    }


def test_the_access_key_and_the_agent_come_from_the_request(fake: KmsFake, kms: Any) -> None:
    decrypt(kms)
    event = cloudtrail_event(fake.calls[-1])
    assert event["userIdentity"]["accessKeyId"] in {"UNKNOWN", "AKIAEXAMPLE"}
    assert event["userAgent"].startswith("Boto3/")
    assert event["sourceIPAddress"] == "127.0.0.1"


def test_the_event_is_a_function_of_the_record(fake: KmsFake) -> None:
    event_of(fake)
    record = fake.calls[-1]
    assert cloudtrail_event(record) == cloudtrail_event(record)
    assert cloudtrail_event(record)["eventTime"].endswith("Z")


def test_operations_of_moto_have_no_event(fake: KmsFake, kms: Any) -> None:
    kms.create_key()
    assert not has_event(fake.calls[-1])
    assert cloudtrail_events(fake.calls) == []
    with pytest.raises(ValueError, match="there is no event for this CreateKey"):
        cloudtrail_event(fake.calls[-1])


def test_a_users_test_asserts_on_the_trail(fake: KmsFake, kms: Any) -> None:
    """What users write: that every answered call was attested, by the image that they released."""
    decrypt(kms)
    with pytest.raises(ClientError):
        decrypt(kms, document={"public_key": None})
    released = base64.b64encode(PCRS[0]).decode()
    for event in cloudtrail_events(fake.calls):
        if "errorCode" not in event:
            recipient = event["additionalEventData"]["recipient"]
            assert recipient["attestationDocumentEnclaveImageDigest"] == released
    last = fake.calls[-1].refused
    assert last is not None
    assert last.rule == "public-key.missing"
