"""The condition keys that a request to KMS can have, and what AWS documents of each.

A key that stands here is known: a policy may ask for it. Whether a request has it is another
matter, which `operations` tells of KMS as a whole and `kms_fake.request_context` of this fake. A
name that no AWS page lists is no key; a policy that asks for it is refused when it is set.

Sources, unless a key names its own: "AWS KMS condition keys" and "Condition keys for attested
platforms" (KMS Developer Guide), "Condition keys for AWS Key Management Service" (Service
Authorization Reference), "AWS global condition context keys" (IAM User Guide); all documented.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from functools import lru_cache

from kms_fake.actions import (
    CRYPTOGRAPHIC_OPERATIONS,
    CUSTOM_KEY_STORE_OPERATIONS,
    ENCRYPTION_CONTEXT_OPERATIONS,
    KEY_OPERATIONS,
    OPERATIONS,
)
from kms_fake.evidence import Evidence


class KeyType(enum.Enum):
    """What the values of a key are; the operators of a type belong to it."""

    STRING = "a string"
    BOOLEAN = "true or false"
    NUMBER = "a number"
    DATE = "a date"
    EPOCH = "a date in seconds since 1970, also compared as a number"
    ADDRESS = "an IP address"
    ARN = "an ARN"


@dataclass(frozen=True, slots=True)
class ConditionKey:
    """One condition key, or a family of keys whose names end in what the user chose."""

    name: str
    """As AWS spells it; NAME stands for what the user chose."""
    type: KeyType = KeyType.STRING
    multivalued: bool = False
    """Whether one request can have several values, so that a set operator is needed."""
    operations: frozenset[str] = field(default=OPERATIONS)
    """The operations whose requests can have it (`kms_fake.actions`)."""
    in_key_policies: bool = True
    """Whether AWS documents it for key policies, not for IAM policies alone."""
    can_be_variable: bool = True
    """Whether `${name}` may stand in a policy: single-valued keys ("Variables and tags")."""
    evidence: Evidence = Evidence.DOCUMENTED
    source: str = "AWS global condition context keys"


ATTESTED_OPERATIONS = frozenset(
    {"Decrypt", "DeriveSharedSecret", "GenerateDataKey", "GenerateDataKeyPair", "GenerateRandom"}
)
"""The operations that take a Recipient."""

_WITH_PROPERTIES = KEY_OPERATIONS | {"CreateKey"}
_WITH_CONTEXT = ENCRYPTION_CONTEXT_OPERATIONS | {"CreateGrant", "RetireGrant"}


def _kms(
    name: str,
    *operations: str,
    of: frozenset[str] = frozenset(),
    type_: KeyType = KeyType.STRING,
    multivalued: bool = False,
    in_key_policies: bool = True,
) -> ConditionKey:
    return ConditionKey(
        f"kms:{name}",
        type_,
        multivalued,
        of | frozenset(operations),
        in_key_policies,
        can_be_variable=not multivalued,
        source="AWS KMS condition keys; Condition keys for AWS Key Management Service",
    )


def _aws(
    name: str,
    type_: KeyType = KeyType.STRING,
    *,
    multivalued: bool = False,
    operations: frozenset[str] = OPERATIONS,
) -> ConditionKey:
    return ConditionKey(
        f"aws:{name}", type_, multivalued, operations, can_be_variable=not multivalued
    )


_BOOLEAN, _NUMBER, _ARN = KeyType.BOOLEAN, KeyType.NUMBER, KeyType.ARN
_PAIRS = frozenset({"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"})

_KMS_KEYS = (
    _kms("BypassPolicyLockoutSafetyCheck", "CreateKey", "PutKeyPolicy", type_=_BOOLEAN),
    _kms("CallerAccount", of=KEY_OPERATIONS | CUSTOM_KEY_STORE_OPERATIONS),
    _kms("CustomerMasterKeySpec", of=_WITH_PROPERTIES),
    _kms("CustomerMasterKeyUsage", of=_WITH_PROPERTIES),
    _kms("DataKeyPairSpec", of=_PAIRS),
    _kms("EncryptionAlgorithm", of=ENCRYPTION_CONTEXT_OPERATIONS),
    _kms("EncryptionContextKeys", of=_WITH_CONTEXT, multivalued=True),
    _kms("ExpirationModel", "ImportKeyMaterial"),
    _kms("GrantConstraintSourceArn", "CreateGrant", type_=_ARN),
    _kms("GrantConstraintType", "CreateGrant", "RetireGrant"),
    _kms("GrantIsForAWSResource", "CreateGrant", "ListGrants", "RevokeGrant", type_=_BOOLEAN),
    _kms("GrantOperations", "CreateGrant", multivalued=True),
    _kms("GranteePrincipal", "CreateGrant"),
    _kms("GranteeServicePrincipal", "CreateGrant"),
    _kms("KeyAgreementAlgorithm", "DeriveSharedSecret"),
    _kms("KeyOrigin", of=_WITH_PROPERTIES),
    _kms("KeySpec", of=_WITH_PROPERTIES),
    _kms("KeyUsage", of=_WITH_PROPERTIES),
    _kms("MacAlgorithm", "GenerateMac", "VerifyMac"),
    _kms("MessageType", "Sign", "Verify"),
    _kms("MultiRegion", of=_WITH_PROPERTIES, type_=_BOOLEAN),
    _kms("MultiRegionKeyType", of=_WITH_PROPERTIES),
    _kms("PrimaryRegion", "UpdatePrimaryRegion"),
    _kms("ReEncryptOnSameKey", "ReEncryptFrom", "ReEncryptTo", type_=_BOOLEAN),
    _kms("ReplicaRegion", "ReplicateKey"),
    _kms("RequestAlias", "DescribeKey", "GetPublicKey", of=CRYPTOGRAPHIC_OPERATIONS),
    _kms("ResourceAliases", of=KEY_OPERATIONS, multivalued=True, in_key_policies=False),
    _kms("RetiringPrincipal", "CreateGrant"),
    _kms("RetiringServicePrincipal", "CreateGrant"),
    _kms("RotationPeriodInDays", "EnableKeyRotation", type_=_NUMBER),
    _kms("ScheduleKeyDeletionPendingWindowInDays", "ScheduleKeyDeletion", type_=_NUMBER),
    _kms("SigningAlgorithm", "Sign", "Verify"),
    _kms("TrailingDaysWithoutKeyUsage", "DisableKey", "ScheduleKeyDeletion", type_=_NUMBER),
    _kms("ValidTo", "ImportKeyMaterial", type_=KeyType.DATE),
    _kms("ViaService", of=KEY_OPERATIONS),
    _kms("WrappingAlgorithm", "GetParametersForImport"),
    _kms("WrappingKeySpec", "GetParametersForImport"),
    # ImageSha384 is PCR0 ("Condition keys for AWS Nitro Enclaves").
    _kms("RecipientAttestation:ImageSha384", of=ATTESTED_OPERATIONS),
)

_TAGGING = frozenset({"CreateKey", "TagResource", "UntagResource", "ReplicateKey"})

_GLOBAL_KEYS = (
    _aws("AssumedRoot", _BOOLEAN),
    _aws("CalledVia", multivalued=True),
    _aws("CalledViaAWSMCP"),
    _aws("CalledViaFirst"),
    _aws("CalledViaLast"),
    _aws("ChatbotSourceArn", _ARN),
    _aws("CurrentTime", KeyType.DATE),
    _aws("Ec2InstanceSourcePrivateIPv4", KeyType.ADDRESS),
    _aws("Ec2InstanceSourceVpc"),
    _aws("EpochTime", KeyType.EPOCH),
    _aws("FederatedProvider"),
    _aws("IsMcpServiceAction", _BOOLEAN),
    _aws("MultiFactorAuthAge", _NUMBER),
    _aws("MultiFactorAuthPresent", _BOOLEAN),
    _aws("PrincipalAccount"),
    _aws("PrincipalArn", _ARN),
    _aws("PrincipalIsAWSService", _BOOLEAN),
    _aws("PrincipalOrgID"),
    _aws("PrincipalOrgPaths", multivalued=True),
    _aws("PrincipalServiceName"),
    _aws("PrincipalServiceNamesList", multivalued=True),
    _aws("PrincipalType"),
    _aws("Referer"),
    _aws("RequestedRegion"),
    _aws("ResourceAccount"),
    _aws("ResourceOrgID"),
    _aws("ResourceOrgPaths", multivalued=True),
    _aws("SecureTransport", _BOOLEAN),
    _aws("SignInSessionArn", _ARN),
    _aws("SourceAccount"),
    _aws("SourceArn", _ARN),
    _aws("SourceIdentity"),
    _aws("SourceIp", KeyType.ADDRESS),
    _aws("SourceOrgID"),
    _aws("SourceOrgPaths", multivalued=True),
    _aws("SourceVpc"),
    _aws("SourceVpcArn", _ARN),
    _aws("SourceVpce"),
    _aws("TagKeys", multivalued=True, operations=_TAGGING),
    _aws("TokenIssueTime", KeyType.DATE),
    _aws("UserAgent"),
    _aws("ViaAWSMCPService", _BOOLEAN),
    _aws("ViaAWSService", _BOOLEAN),
    _aws("VpcSourceIp", KeyType.ADDRESS),
    _aws("VpceAccount"),
    _aws("VpceOrgID"),
    _aws("VpceOrgPaths", multivalued=True),
    _aws("userid"),
    _aws("username"),
)

_SESSION_KEYS = tuple(
    ConditionKey(name, type_)
    for name, type_ in (
        ("codebuild:BuildArn", _ARN),
        ("codebuild:ProjectArn", _ARN),
        ("ec2:RoleDelivery", _NUMBER),
        ("ec2:SourceInstanceArn", _ARN),
        ("glue:CredentialIssuingService", KeyType.STRING),
        ("glue:RoleAssumedBy", KeyType.STRING),
        ("identitystore:UserId", KeyType.STRING),
        ("lambda:SourceFunctionArn", _ARN),
        ("ssm:SourceInstanceArn", _ARN),
    )
)
"""Keys of other services that a role session brings wherever it calls (same page)."""

CONDITION_KEYS = (*_KMS_KEYS, *_GLOBAL_KEYS, *_SESSION_KEYS)
"""The keys whose names are fixed."""

ENCRYPTION_CONTEXT_KEY = _kms("EncryptionContext:NAME", of=_WITH_CONTEXT)
REQUEST_TAG_KEY = _aws("RequestTag/NAME", operations=_TAGGING)

KEY_FAMILIES = (
    # One key for each name of an encryption context, which may hold colons.
    (re.compile(r"kms:encryptioncontext:.+", re.DOTALL), ENCRYPTION_CONTEXT_KEY),
    # The documentation names PCR 0, 1, 2, 3, 4, 8 and "a custom PCR ID that you defined"; the
    # reference lists 0 to 31, and for NitroTPM 0 to 23.
    (
        re.compile(r"kms:recipientattestation:pcr([0-9]|[12][0-9]|3[01])"),
        _kms("RecipientAttestation:PCR0 to :PCR31", of=ATTESTED_OPERATIONS),
    ),
    (
        re.compile(r"kms:recipientattestation:nitrotpmpcr([0-9]|1[0-9]|2[0-3])"),
        _kms("RecipientAttestation:NitroTPMPCR0 to :NitroTPMPCR23", of=ATTESTED_OPERATIONS),
    ),
    (re.compile(r"aws:principaltag/.+"), _aws("PrincipalTag/NAME")),
    (re.compile(r"aws:requesttag/.+"), REQUEST_TAG_KEY),
    (re.compile(r"aws:resourcetag/.+"), _aws("ResourceTag/NAME", operations=_WITH_PROPERTIES)),
    # The KMS page shows one of these as a variable ("kms:EncryptionContext:context-key"); they
    # come with callers who signed in elsewhere.
    (
        re.compile(r"cognito-identity\.amazonaws\.com:(aud|sub)"),
        ConditionKey(
            "cognito-identity.amazonaws.com:aud and :sub",
            source="Available keys for AWS OIDC federation",
        ),
    ),
)
"""The keys whose names hold something of the user's, each with the form of its folded name."""

_FIXED = {key.name.lower(): key for key in CONDITION_KEYS}


@lru_cache(maxsize=1024)  # The names of a request are mostly those of the request before.
def fold_key(name: str) -> str:
    """The form of a condition key's name in which names are compared: case means nothing."""
    return name.lower()


def condition_key(name: str) -> ConditionKey | None:
    """The key of this name, however its case is written; None for a name that AWS does not list."""
    folded = fold_key(name)
    for form, key in KEY_FAMILIES:
        if form.fullmatch(folded):
            return key
    return _FIXED.get(folded)
