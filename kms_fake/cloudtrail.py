"""A call as CloudTrail would write it, for those who watch their enclaves by its events.

Only for the operations that this fake answers itself: an event of another would need response
elements that moto does not give. Where the fields come from:

| field | evidence | source |
|---|---|---|
| names and order of the fields, eventSource, responseElements null, readOnly | documented | "Monitoring requests for Nitro enclaves", "Decrypt", "GenerateDataKey" (AWS KMS Developer Guide, CloudTrail log entries) |
| eventVersion 1.11, managementEvent, eventCategory | documented | the same "Decrypt", example of 2025; the example for enclaves is of 2020 and has 1.05 |
| tlsDetails | left out | this fake speaks no TLS |
| requestParameters: encryptionAlgorithm also where it was not sent | documented | the same "Decrypt" |
| requestParameters: the rest as it was sent, no ciphertext, no recipient, DryRun | documented, inferred for DryRun | the same; a ciphertext without KeyId has no keyId (reported: an event of 2020 in Google's security research on the AWS Encryption SDK) |
| additionalEventData.recipient: names; only where the request was attested | documented | "Monitoring requests for Nitro enclaves" |
| ... values in base64 | reported | yawn/ned, README: an event of 2025; Prowler's enclave checks |
| ... all seven fields, zero PCRs too | reported | yawn/ned, README |
| ... the module id in the document's form | reported | yawn/ned, README: the zero after `-enc` is there |
| ... absent where the call was refused | reported | EphemeralML, README: an audit on hardware |
| ... of a NitroTPM document | left out | its fields are not known to us |
| additionalEventData.keyMaterialId of calls without Recipient | left out | documented, but a record does not hold it |
| errorCode AccessDenied, not AccessDeniedException | reported | aws-samples/baseline-environment-on-aws, pull request 51 |
| errorCode: the exception's name, otherwise | documented | "Decrypt": IncorrectKeyException |
| errorMessage absent where the message is empty | reported | the event of 2020 named above |
| requestParameters null of an AccessDenied | reported | an event in a write-up on Amazon MWAA of 2021 |
| ... and of a request that is no request of the operation | inferred | |
| resources of a refused call | documented for IncorrectKeyException, inferred for others | "Decrypt" |
| userIdentity | documented | "CloudTrail userIdentity element", AWS CloudTrail User Guide |
| ... principalId | made up | it derives from the ARN; sessionContext has no attributes, since nothing knows when a session began |
| eventID | made up | it derives from the request id |
"""  # noqa: E501  # A table's rows are lines.

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kms_fake.keys import SYMMETRIC_DEFAULT
from kms_fake.shapes import Operation

if TYPE_CHECKING:
    from kms_fake.document import AttestationDocument
    from kms_fake.principals import Principal
    from kms_fake.record import CallRecord

_EVENT_IDS = uuid.UUID("a6b3d4f5-6c0e-5a53-8b7e-0b6d9b2c9e41")
_OPERATIONS = frozenset(operation.value for operation in Operation)
_PCRS = (1, 2, 3, 4, 8)
_ACCESS_DENIED = "AccessDeniedException"
_UNREADABLE = "SerializationException"
_HERE = "127.0.0.1"
"""The source address of a call inside this process."""
_PARAMETERS = {
    "KeyId": "keyId",
    "EncryptionContext": "encryptionContext",
    "EncryptionAlgorithm": "encryptionAlgorithm",
    "KeySpec": "keySpec",
    "NumberOfBytes": "numberOfBytes",
    "DryRun": "dryRun",
}


def has_event(record: CallRecord) -> bool:
    """Whether CloudTrail's event of this call can be told.

    Not for the operations that moto answers, and not for a caller whose access key was refused: no
    identity can be written for it.
    """
    return record.operation in _OPERATIONS and record.caller is not None


def cloudtrail_events(records: Iterable[CallRecord]) -> list[dict[str, Any]]:
    """The events of those calls that have one."""
    return [cloudtrail_event(record) for record in records if has_event(record)]


def cloudtrail_event(record: CallRecord) -> dict[str, Any]:
    """CloudTrail's event of one call, as JSON values. ValueError for a call that `has_event` not.

    The same record always gives the same event.
    """
    if not has_event(record) or record.caller is None:
        raise ValueError(f"there is no event for this {record.operation}")
    event = {
        "eventVersion": "1.11",
        "userIdentity": _identity(record.caller, record.origin.access_key),
        "eventTime": _seconds(record.time_ms),
        "eventSource": "kms.amazonaws.com",
        "eventName": record.operation,
        "awsRegion": record.region,
        "sourceIPAddress": record.origin.source_address or _HERE,
        "userAgent": record.origin.user_agent,
        **_error(record),
        "requestParameters": _parameters(record),
        "responseElements": None,
        **_recipient(record),
        "requestID": record.request_id,
        "eventID": str(uuid.uuid5(_EVENT_IDS, record.request_id)),
        "readOnly": True,
        "resources": _resources(record),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": record.account,
        "eventCategory": "Management",
    }
    return {name: value for name, value in event.items() if name != "userAgent" or value}


def _seconds(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _identity(caller: Principal, access_key: str | None) -> dict[str, Any]:
    account = {"accountId": caller.account}
    key = {"accessKeyId": access_key} if access_key else {}
    kind, _, path = caller.arn.split(":", 5)[5].partition("/")
    if kind == "assumed-role":
        role, _, session = path.partition("/")
        role_id = _unique_id("AROA", caller.principal_arn)
        issuer = {
            "type": "Role",
            "principalId": role_id,
            "arn": caller.principal_arn,
            **account,
            "userName": role,
        }
        start = {"type": "AssumedRole", "principalId": f"{role_id}:{session}", "arn": caller.arn}
        return {**start, **account, **key, "sessionContext": {"sessionIssuer": issuer}}
    if kind == "user":
        start = {
            "type": "IAMUser",
            "principalId": _unique_id("AIDA", caller.arn),
            "arn": caller.arn,
        }
        return {**start, **account, **key, "userName": path.rpartition("/")[2]}
    return {"type": "Root", "principalId": caller.account, "arn": caller.arn, **account, **key}


def _unique_id(prefix: str, arn: str) -> str:
    """21 characters, as IAM's unique ids have; the same for the same ARN."""
    return prefix + base64.b32encode(hashlib.sha256(arn.encode()).digest())[:17].decode("ascii")


def _error(record: CallRecord) -> dict[str, str]:
    refused = record.refused
    if refused is None:
        return {}
    code = "AccessDenied" if refused.exception == _ACCESS_DENIED else refused.exception
    return {
        "errorCode": code,
        **({"errorMessage": refused.message} if refused.message else {}),
    }


def _parameters(record: CallRecord) -> dict[str, Any] | None:
    refused = record.refused
    if record.members is None or (refused and refused.exception in {_ACCESS_DENIED, _UNREADABLE}):
        return None
    members = record.members
    shown = {ours: members[name] for name, ours in _PARAMETERS.items() if name in members}
    if record.operation == Operation.DECRYPT.value:
        shown = {"encryptionAlgorithm": SYMMETRIC_DEFAULT, **shown}
    return shown or None


def _recipient(record: CallRecord) -> dict[str, Any]:
    document = None if record.refused else record.document
    if document is None or document.nitro_tpm:
        return {}
    return {"additionalEventData": {"recipient": _measurements(document)}}


def _measurements(document: AttestationDocument) -> Mapping[str, str]:
    values = {"attestationDocumentModuleId": document.module_id}
    if 0 in document.pcrs:
        values["attestationDocumentEnclaveImageDigest"] = _base64(document.pcrs[0])
    named = {f"attestationDocumentEnclavePCR{index}": index for index in _PCRS}
    return values | {
        name: _base64(document.pcrs[index])
        for name, index in named.items()
        if index in document.pcrs
    }


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _resources(record: CallRecord) -> list[dict[str, str]]:
    if record.key_arn is None:
        return []
    account = record.key_arn.split(":")[4]
    return [{"accountId": account, "type": "AWS::KMS::Key", "ARN": record.key_arn}]
