"""Errors in the forms in which each service of AWS writes them.

Bodies: `json` 1.1 of KMS and tagging; `query` of IAM and STS; that of EC2, `Response/Errors`
("Error codes for the Amazon EC2 API"). Codes and statuses are documented ("Common Errors" of each
service's API Reference) unless a row says otherwise.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from xml.sax.saxutils import escape

from kms_fake.http_server import Answer

JSON = "application/x-amz-json-1.1"
XML = "text/xml;charset=UTF-8"

_IAM = "https://iam.amazonaws.com/doc/2010-05-08/"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
NAMESPACES = {"iam": _IAM, "sts": _STS, "ec2": EC2}

SKEW_SECONDS = 600
"""How far AWS is ahead of an instance whose clock is wrong."""

_ALLOWED_SECONDS = 300
_EXPIRED_TEXT = "The security token included in the request is expired"
_INVALID_TEXT = "The security token included in the request is invalid."


def error(service: str, code: str, message: str, status: int, request_id: str) -> Answer:
    """The service's error."""
    if service not in NAMESPACES:
        member = "Message" if code == "AccessDeniedException" else "message"
        body = json.dumps({"__type": code, member: message})
        return Answer(status, body.encode(), {"Content-Type": JSON})
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        text = (
            f"<Response><Errors><Error>{inner}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    else:
        text = (
            f'<ErrorResponse xmlns="{NAMESPACES[service]}"><Error><Type>Sender</Type>{inner}'
            f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return _xml(status, text)


def code_of(answer: Answer) -> str | None:
    """The code of a service's error; None for an answer that is none."""
    if answer.status < 400:
        return None
    text = answer.body.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        found: Mapping[str, str] = json.loads(text)
        return str(found.get("__type", answer.status)).rpartition("#")[2]
    return text.partition("<Code>")[2].partition("</Code>")[0] or str(answer.status)


def expired(service: str, request_id: str) -> Answer:
    """Of temporary credentials whose time is over; EC2's and KMS's code as clients report it."""
    if service in ("iam", "sts"):
        return error(service, "ExpiredToken", _EXPIRED_TEXT, 403, request_id)
    if service == "ec2":
        return error(service, "RequestExpired", "Request has expired.", 400, request_id)
    return error(service, "ExpiredTokenException", _EXPIRED_TEXT, 400, request_id)


def unknown_caller(service: str, request_id: str) -> Answer:
    """Of an access key that AWS does not know."""
    if service in ("iam", "sts"):
        return error(service, "InvalidClientTokenId", _INVALID_TEXT, 403, request_id)
    if service == "ec2":
        text = "AWS was not able to validate the provided access credentials"
        return error(service, "AuthFailure", text, 401, request_id)
    return error(service, "UnrecognizedClientException", _INVALID_TEXT, 400, request_id)


def skewed(service: str, request_id: str) -> Answer:
    """Of a signature whose time is not AWS's: five minutes are allowed (documented).

    "Troubleshooting AWS Signature Version 4" (IAM User Guide); for EC2 and tagging inferred.
    """
    now = time.time()
    theirs, ours = (
        time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(one)) for one in (now, now + SKEW_SECONDS)
    )
    earliest = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now + SKEW_SECONDS - _ALLOWED_SECONDS))
    text = f"Signature expired: {theirs} is now earlier than {earliest} ({ours} - 5 min.)"
    if service == "ec2":
        return unknown_caller(service, request_id)
    if service in ("iam", "sts"):
        return error(service, "SignatureDoesNotMatch", text, 403, request_id)
    return error(service, "InvalidSignatureException", text, 400, request_id)


def throttled(service: str, request_id: str) -> Answer:
    """Of too many requests."""
    if service == "ec2":
        return error(service, "RequestLimitExceeded", "Request limit exceeded.", 503, request_id)
    code = "Throttling" if service in ("iam", "sts") else "ThrottlingException"
    return error(service, code, "Rate exceeded", 400, request_id)


def denied(service: str, text: str, request_id: str) -> Answer:
    """Of what no policy allows."""
    if service in ("iam", "sts"):
        return error(service, "AccessDenied", text, 403, request_id)
    if service == "ec2":
        message = f"You are not authorized to perform this operation. {text}"
        return error(service, "UnauthorizedOperation", message, 403, request_id)
    return error(service, "AccessDeniedException", text, 400, request_id)


def result(service: str, operation: str, members: object, request_id: str) -> Answer:
    """A form's answer: EC2's members stand alone, those of others in `OperationResult`."""
    if service == "ec2":
        text = (
            f'<{operation}Response xmlns="{EC2}"><requestId>{request_id}</requestId>'
            f"{_elements(members, 'item')}</{operation}Response>"
        )
    else:
        text = (
            f'<{operation}Response xmlns="{NAMESPACES[service]}"><{operation}Result>'
            f"{_elements(members, 'member')}</{operation}Result><ResponseMetadata>"
            f"<RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
        )
    return _xml(200, text)


def _xml(status: int, text: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'
    return Answer(status, body.encode(), {"Content-Type": XML})


def _elements(value: object, item: str) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_elements(one, item)}</{name}>" for name, one in value.items())
    if isinstance(value, list):
        return "".join(f"<{item}>{_elements(one, item)}</{item}>" for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))
