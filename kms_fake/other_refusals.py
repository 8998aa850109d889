"""Refusals outside the rule table: of policies when set, of other operations, of the front.

They have no order among themselves: each belongs to one operation or one step before any. Their
texts are ours throughout and end so; the evidence is that of the exception type.
"""

from __future__ import annotations

from dataclasses import dataclass

from kms_fake.errors import KmsRefusal, our_text
from kms_fake.evidence import Evidence

_LIMIT = "a limit of this fake, not of KMS"


@dataclass(frozen=True, slots=True)
class OtherRefusal:
    """One reason to refuse."""

    id: str
    exception: str
    """The AWS exception type."""
    evidence: Evidence
    source: str
    http_status: int = 400

    def refuse(self, found: str) -> KmsRefusal:
        """The error that a caller gets."""
        return KmsRefusal(self.exception, our_text(found, self.id), self.http_status, self.id)


POLICY_TYPE = OtherRefusal(
    "policy.type", "SerializationException", Evidence.INFERRED, "json 1.1 protocol of AWS services"
)
POLICY_MALFORMED = OtherRefusal(
    "policy.malformed",
    "MalformedPolicyDocumentException",
    Evidence.DOCUMENTED,
    '"PutKeyPolicy", AWS KMS API Reference',
)
POLICY_UNSUPPORTED = OtherRefusal(
    "policy.unsupported", "UnsupportedOperationException", Evidence.UNKNOWN, _LIMIT
)
RECIPIENT_OPERATION = OtherRefusal(
    "recipient.operation", "UnsupportedOperationException", Evidence.UNKNOWN, _LIMIT
)
ENCRYPT_ALGORITHM = OtherRefusal(
    "encrypt.algorithm",
    "InvalidKeyUsageException",
    Evidence.DOCUMENTED,
    '"Encrypt", AWS KMS API Reference',
)
ENCRYPT_LENGTH = OtherRefusal(
    "encrypt.length",
    "ValidationException",
    Evidence.INFERRED,
    '"Encrypt", AWS KMS API Reference: maximum sizes for RSA keys',
)
RE_ENCRYPT = OtherRefusal(
    "re-encrypt.rsa", "UnsupportedOperationException", Evidence.UNKNOWN, _LIMIT
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
SERVICE = OtherRefusal("http.service", "UnknownServiceException", Evidence.UNKNOWN, _LIMIT)
MOTO = OtherRefusal("http.moto", "ValidationException", Evidence.UNKNOWN, _LIMIT)
NOT_HTTP = OtherRefusal("http.protocol", "BadRequestException", Evidence.UNKNOWN, "HTTP/1.1")
BODY = OtherRefusal("http.body", "SerializationException", Evidence.UNKNOWN, "HTTP/1.1")
BODY_LENGTH = OtherRefusal(
    "http.length", "RequestEntityTooLargeException", Evidence.UNKNOWN, "HTTP/1.1", http_status=413
)
TIMEOUT = OtherRefusal(
    "http.timeout", "RequestTimeoutException", Evidence.UNKNOWN, "HTTP/1.1", http_status=408
)

OTHER_REFUSALS = (
    *(POLICY_TYPE, POLICY_MALFORMED, POLICY_UNSUPPORTED, RECIPIENT_OPERATION),
    *(ENCRYPT_ALGORITHM, ENCRYPT_LENGTH, RE_ENCRYPT, REPLICA, NOT_AN_OBJECT, INACTIVE_KEY, REGION),
    *(AUTHENTICATION, OPERATION, SERVICE, MOTO, NOT_HTTP, BODY, BODY_LENGTH, TIMEOUT),
)
"""All of them, for documentation."""
