"""Refusals outside the rule table: of policies when set, of other operations, of the front.

They have no order among themselves: each belongs to one operation or one step before any. Where
the real text is unknown ours ends so. Those of the neighbouring operations, which are asked in an
order, are in `kms_fake.neighbours`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kms_fake.errors import KmsRefusal, our_text
from kms_fake.evidence import Evidence

LIMIT = "a limit of this fake, not of KMS"


@dataclass(frozen=True, slots=True)
class OtherRefusal:
    """One reason to refuse."""

    id: str
    exception: str
    """The AWS exception type."""
    evidence: Evidence
    """How sure the exception type is."""
    source: str
    http_status: int = 400
    text: str | None = None
    """The message; `{}` stands for what was found; None where the real text is unknown."""
    text_evidence: Evidence = Evidence.UNKNOWN

    def refuse(self, found: str) -> KmsRefusal:
        """The error that a caller gets."""
        message = our_text(found, self.id) if self.text is None else self.text.replace("{}", found)
        return KmsRefusal(self.exception, message, self.http_status, self.id)


POLICY_MALFORMED = OtherRefusal(
    "policy.malformed",
    "MalformedPolicyDocumentException",
    Evidence.DOCUMENTED,
    '"PutKeyPolicy", AWS KMS API Reference',
)
POLICY_UNSUPPORTED = OtherRefusal(
    "policy.unsupported", "UnsupportedOperationException", Evidence.UNKNOWN, LIMIT
)
POLICY_SIZE = OtherRefusal(
    "policy.size",
    "LimitExceededException",
    Evidence.INFERRED,
    '"Create a key policy", AWS KMS Developer Guide: up to 32 kilobytes (32,768 bytes)',
)
POLICY_LOCKOUT = OtherRefusal(
    "policy.lockout",
    "MalformedPolicyDocumentException",
    Evidence.REPORTED,
    "terraform-aws-modules/terraform-aws-kms, issue 14; terraform-aws-modules/terraform-aws-eks, "
    "issue 2843 (CreateKey); data-dot-all/dataall, issue 956 (PutKeyPolicy)",
    text="The new key policy will not allow you to update the key policy in the future.",
    text_evidence=Evidence.REPORTED,
)
RECIPIENT_OPERATION = OtherRefusal(
    "recipient.operation", "UnsupportedOperationException", Evidence.UNKNOWN, LIMIT
)
REPLICA = OtherRefusal(
    "replicate-key.exists",
    "AlreadyExistsException",
    Evidence.DOCUMENTED,
    '"ReplicateKey", AWS KMS API Reference',
)
NOT_AN_OBJECT = OtherRefusal(
    "operation.object",
    "SerializationException",
    Evidence.INFERRED,
    "json 1.1 protocol of AWS services",
)
INACTIVE_KEY = OtherRefusal(
    "caller.inactive-key",
    "UnrecognizedClientException",
    Evidence.INFERRED,
    '"Common Error Types", AWS KMS API Reference',
)
REGION = OtherRefusal(
    "request.region",
    "InvalidSignatureException",
    Evidence.INFERRED,
    "credential scope of Signature Version 4",
)
AUTHENTICATION = OtherRefusal(
    "http.authentication",
    "MissingAuthenticationTokenException",
    Evidence.INFERRED,
    '"Common Error Types", AWS KMS API Reference',
)
OPERATION = OtherRefusal(
    "http.operation",
    "UnknownOperationException",
    Evidence.INFERRED,
    "json 1.1 protocol of AWS services",
)
SERVICE = OtherRefusal("http.service", "UnknownServiceException", Evidence.UNKNOWN, LIMIT)
MOTO = OtherRefusal("http.moto", "ValidationException", Evidence.UNKNOWN, LIMIT)
NOT_HTTP = OtherRefusal("http.protocol", "BadRequestException", Evidence.UNKNOWN, "HTTP/1.1")
BODY = OtherRefusal("http.body", "SerializationException", Evidence.UNKNOWN, "HTTP/1.1")
BODY_LENGTH = OtherRefusal(
    "http.length", "RequestEntityTooLargeException", Evidence.UNKNOWN, "HTTP/1.1", http_status=413
)
TIMEOUT = OtherRefusal(
    "http.timeout", "RequestTimeoutException", Evidence.UNKNOWN, "HTTP/1.1", http_status=408
)

OTHER_REFUSALS = (
    *(POLICY_SIZE, POLICY_MALFORMED, POLICY_UNSUPPORTED, POLICY_LOCKOUT, RECIPIENT_OPERATION),
    *(REPLICA, NOT_AN_OBJECT, INACTIVE_KEY, REGION),
    *(AUTHENTICATION, OPERATION, SERVICE, MOTO, NOT_HTTP, BODY, BODY_LENGTH, TIMEOUT),
)
"""All of them, for documentation."""
