"""Why this KMS refuses its other operations, in the order of the checks: the neighbours' table.

moto answers them, or `kms_fake.neighbour_answers` where moto has no answer or a wrong one; this
table is asked first. It holds what was recorded on real KMS (the AWS-validated snapshots of
LocalStack, tests/aws/services/kms/test_kms.snapshot.json; two tests of moto that run against AWS)
and what AWS documents; what it does not hold, moto may still refuse in words of its own. The order
follows that of `kms_fake.rules`; it is inferred. Nobody is denied anything here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kms_fake import neighbour_checks as checks
from kms_fake.errors import KmsRefusal
from kms_fake.evidence import Evidence
from kms_fake.neighbour_request import NeighbourRequest
from kms_fake.other_refusals import LIMIT, OtherRefusal
from kms_fake.rules import FOREIGN_CIPHERTEXT, NO_CONTEXT, NO_SIZE, WRONG_KEY

_DOCUMENTED = Evidence.DOCUMENTED
_REPORTED = Evidence.REPORTED
_INFERRED = Evidence.INFERRED
_UNKNOWN = Evidence.UNKNOWN

_SNAPSHOTS = "AWS-validated snapshots of LocalStack (test_kms.snapshot.json)"
_STATES = '"Key states of AWS KMS keys", AWS KMS Developer Guide'

_ENCRYPTING = frozenset({"Encrypt", "ReEncrypt"})
_SEALING = frozenset(
    {
        "GenerateDataKeyWithoutPlaintext",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
    }
)
_PAIRS = frozenset({"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"})
_SIGNING = frozenset({"Sign", "Verify"})
_MACS = frozenset({"GenerateMac", "VerifyMac"})
_AGREEING = frozenset({"DeriveSharedSecret"})
_USING = _ENCRYPTING | _SEALING | _SIGNING | _MACS | _AGREEING
"""The cryptographic operations, Decrypt and GenerateDataKey aside."""

_SOURCE_KEY = frozenset({"ReEncrypt"})
_GRANTING = frozenset({"CreateGrant"})
_IMPORTING = frozenset({"GetParametersForImport", "ImportKeyMaterial"})
_ROTATING = frozenset({"EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"})
_WHEN_ENABLED = _USING | _ROTATING | {"CreateGrant", "GetPublicKey", "ReplicateKey"}
_WHEN_IMPORTED = _USING | {
    *("CreateGrant", "GetPublicKey", "EnableKey", "DisableKey", "RotateKeyOnDemand"),
}
_WHEN_NOT_GOING = _WHEN_ENABLED | _IMPORTING | {
    *("CreateAlias", "UpdateAlias", "EnableKey", "DisableKey", "ScheduleKeyDeletion"),
    *("TagResource", "UntagResource", "UpdateKeyDescription"),
}  # fmt: skip
_WITHOUT_ALIAS = _ROTATING | _IMPORTING | {
    *("CancelKeyDeletion", "ScheduleKeyDeletion", "ListGrants", "RevokeGrant"),
    *("DeleteImportedKeyMaterial", "EnableKey", "DisableKey", "TagResource", "UntagResource"),
    *("GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "ListResourceTags", "ReplicateKey"),
    *("GetKeyRotationStatus", "ListKeyRotations", "UpdateKeyDescription"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NeighbourRule:
    """One row: what refuses, for which operations; None stands for all that reach this table."""

    refusal: OtherRefusal
    refuses: Callable[[NeighbourRequest], str | None]
    operations: frozenset[str] | None


def _rule(
    name: str,
    exception: str,
    text: str | None,
    refuses: Callable[[NeighbourRequest], str | None],
    operations: Iterable[str] | None,
    type_evidence: Evidence,
    text_evidence: Evidence,
    source: str,
) -> NeighbourRule:
    row = OtherRefusal(
        name, exception, type_evidence, source, text=text, text_evidence=text_evidence
    )
    return NeighbourRule(row, refuses, None if operations is None else frozenset(operations))


NEIGHBOUR_RULES: tuple[NeighbourRule, ...] = (
    _rule(
        "operation.member-type", "SerializationException", None,
        checks.wrong_type, None, _INFERRED, _UNKNOWN,
        "json 1.1 protocol; KMS service model (botocore)",
    ),
    _rule(
        "operation.constraint", "ValidationException", "{}",
        checks.violations, None, _REPORTED, _REPORTED,
        f"{_SNAPSHOTS}; tests of moto against AWS (test_kms_encrypt.py); the "
        "forms for patterns, arrays of values and absent members are inferred",
    ),
    _rule(
        "random.length", "ValidationException", "NumberOfBytes is required.",
        checks.lacks("NumberOfBytes"), {"GenerateRandom"}, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "data-key.size", "ValidationException", NO_SIZE,
        checks.data_key_size, {"GenerateDataKeyWithoutPlaintext"}, _INFERRED, _INFERRED,
        "GenerateDataKey: field notes, bug 7",
    ),
    _rule(
        "grant.service-principal", "UnsupportedOperationException", None,
        checks.grant_to_service, _GRANTING, _UNKNOWN, _UNKNOWN, LIMIT,
    ),
    _rule(
        "grant.grantee", "ValidationException", None,
        checks.lacks("GranteePrincipal"), _GRANTING, _INFERRED, _UNKNOWN,
        '"CreateGrant", AWS KMS API Reference: either GranteePrincipal or GranteeServicePrincipal',
    ),
    _rule(
        "grant.only-create-grant", "ValidationException",
        "Grants must not contain only the CreateGrant operation.",
        checks.only_create_grant, _GRANTING, _REPORTED, _REPORTED,
        "ansible/ansible, pull request 31960",
    ),
    _rule(
        "grant.constraints", "ValidationException", "More than one constraint supplied",
        checks.two_constraints, _GRANTING, _REPORTED, _REPORTED,
        "hashicorp/terraform-provider-aws, internal/service/kms/grant.go",
    ),
    _rule(
        "grant.constraint-size", "ValidationException", None,
        checks.large_constraint, _GRANTING, _INFERRED, _UNKNOWN,
        '"CreateGrant", AWS KMS API Reference: up to 8 pairs, values of up to 384 characters',
    ),
    _rule(
        "re-encrypt.dry-run-modifiers", "UnsupportedOperationException", None,
        checks.given("DryRunModifiers"), _SOURCE_KEY, _UNKNOWN, _UNKNOWN, LIMIT,
    ),
    _rule(
        "random.key-store", "UnsupportedOperationException", None,
        checks.given("CustomKeyStoreId"), {"GenerateRandom"}, _UNKNOWN, _UNKNOWN, LIMIT,
    ),
    _rule(
        "create-key.kind", "UnsupportedOperationException", None,
        checks.not_simulated, {"CreateKey"}, _UNKNOWN, _UNKNOWN, LIMIT,
    ),
    _rule(
        "create-key.usage-missing", "ValidationException",
        "You must specify a KeyUsage value for all KMS keys except for symmetric "
        "encryption keys.",
        checks.no_usage, {"CreateKey"}, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "create-key.usage", "ValidationException", "{}",
        checks.unfit_usage, {"CreateKey"}, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "alias.prefix", "ValidationException",
        'Alias must start with the prefix "alias/". Please see '
        "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        checks.alias_prefix, {"CreateAlias"}, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "tag.reserved", "TagException", "Tags beginning with aws: are reserved",
        checks.reserved_tag, {"CreateKey", "TagResource", "ReplicateKey"}, _REPORTED, _REPORTED,
        _SNAPSHOTS,
    ),
    _rule(
        "tag.twice", "TagException", "Duplicate tag keys",
        checks.same_tag_twice, {"CreateKey", "TagResource", "ReplicateKey"}, _REPORTED, _REPORTED,
        _SNAPSHOTS,
    ),
    _rule(
        "deletion.window", "ValidationException", None,
        checks.window, {"ScheduleKeyDeletion"}, _INFERRED, _UNKNOWN,
        '"ScheduleKeyDeletion", AWS KMS API Reference: 7 to 30 days',
    ),
    _rule(
        "key-pair.spec", "UnsupportedOperationException", None,
        checks.unknown_pair, _PAIRS, _UNKNOWN, _UNKNOWN, LIMIT,
    ),
    _rule(
        "re-encrypt.unparsable", "InvalidCiphertextException", "",
        checks.unparsable_ciphertext, _SOURCE_KEY, _INFERRED, _INFERRED,
        f"Decrypt: {_SNAPSHOTS}",
    ),
    _rule(
        "re-encrypt.foreign-key", "AccessDeniedException", FOREIGN_CIPHERTEXT,
        checks.foreign_ciphertext, _SOURCE_KEY, _INFERRED, _INFERRED,
        "Decrypt: aws-encryption-sdk-javascript, issue 1005",
    ),
    _rule(
        "re-encrypt.source-not-found", "NotFoundException", "{}",
        checks.source_not_found, _SOURCE_KEY, _INFERRED, _INFERRED,
        f"DescribeKey: {_SNAPSHOTS}",
    ),
    _rule(
        "re-encrypt.source-key", "IncorrectKeyException", WRONG_KEY,
        checks.wrong_source, _SOURCE_KEY, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "operation.key-not-found", "NotFoundException", "{}",
        checks.not_found, None, _REPORTED, _REPORTED,
        f"{_SNAPSHOTS}; the text for an absent alias is inferred",
    ),
    _rule(
        "grant.not-named", "ValidationException", None,
        checks.no_grant_named, {"RetireGrant"}, _INFERRED, _UNKNOWN,
        '"RetireGrant", AWS KMS API Reference: a grant token, or both the grant ID and a key',
    ),
    _rule(
        "grant.token", "InvalidGrantTokenException", None,
        checks.not_a_grant_token, {"RetireGrant"}, _DOCUMENTED, _UNKNOWN,
        '"RetireGrant", AWS KMS API Reference',
    ),
    _rule(
        "grant.not-found", "NotFoundException", None,
        checks.no_such_grant, {"RetireGrant", "RevokeGrant"}, _INFERRED, _UNKNOWN,
        "hashicorp/terraform-provider-aws, internal/service/kms/grant.go: for both operations, of "
        "a grant that is gone",
    ),
    _rule(
        "operation.grant-tokens", "InvalidGrantTokenException", None,
        checks.unknown_grant_token, None, _DOCUMENTED, _UNKNOWN,
        '"Encrypt" and others, AWS KMS API Reference; that the token of a grant that is gone is '
        "not valid either is inferred",
    ),
    _rule(
        "grant.alias", "InvalidArnException",
        "Key Aliases are not supported for this operation.",
        checks.by_alias, _GRANTING, _REPORTED, _REPORTED, "boto/boto, pull request 3202",
    ),
    _rule(
        "operation.alias", "NotFoundException", None,
        checks.by_alias, _WITHOUT_ALIAS, _INFERRED, _UNKNOWN,
        "AWS KMS API Reference: these operations take a key id or a key ARN",
    ),
    _rule(
        "tag.count", "TagException", "Too many tags",
        checks.too_many_tags, {"CreateKey", "TagResource"}, _REPORTED, _REPORTED,
        f"CreateKey: {_SNAPSHOTS}",
    ),
    _rule(
        "operation.origin", "UnsupportedOperationException",
        "{} which is not valid for this operation.",
        checks.not_imported, _IMPORTING | {"DeleteImportedKeyMaterial"}, _REPORTED, _REPORTED,
        f"GetParametersForImport: {_SNAPSHOTS}",
    ),
    _rule(
        "rotation.origin", "UnsupportedOperationException",
        "{} which is not valid for this operation.",
        checks.imported, {"EnableKeyRotation", "DisableKeyRotation"}, _DOCUMENTED, _DOCUMENTED,
        _STATES,
    ),
    _rule(
        "operation.disabled", "DisabledException", "{} is disabled.",
        checks.in_state("Disabled"), _WHEN_ENABLED, _DOCUMENTED, _REPORTED,
        f"{_STATES}; RotateKeyOnDemand: {_SNAPSHOTS}",
    ),
    _rule(
        "operation.pending-import", "KMSInvalidStateException", "{} is pending import.",
        checks.in_state("PendingImport"), _WHEN_IMPORTED, _DOCUMENTED, _REPORTED,
        f"{_STATES}; Encrypt, RotateKeyOnDemand: {_SNAPSHOTS}; DisableKey: "
        "comments of hashicorp/terraform-provider-aws",
    ),
    _rule(
        "operation.pending-deletion", "KMSInvalidStateException", "{} is pending deletion.",
        checks.in_state("PendingDeletion"), _WHEN_NOT_GOING, _DOCUMENTED, _REPORTED,
        f"{_STATES}, which allows DisabledException too for cryptographic operations; "
        "ScheduleKeyDeletion: a comment of hashicorp/terraform-provider-aws",
    ),
    _rule(
        "deletion.not-pending", "KMSInvalidStateException", "{} is not pending deletion.",
        checks.not_pending_deletion, {"CancelKeyDeletion"}, _DOCUMENTED, _DOCUMENTED,
        _STATES,
    ),
    _rule(
        "rotation.key-spec", "UnsupportedOperationException", "",
        checks.not_symmetric, {"RotateKeyOnDemand", "EnableKeyRotation"}, _REPORTED, _REPORTED,
        f"RotateKeyOnDemand: {_SNAPSHOTS}; EnableKeyRotation inferred from it",
    ),
    _rule(
        "rotation.replica", "UnsupportedOperationException", None,
        checks.replica, {"RotateKeyOnDemand", "EnableKeyRotation", "DisableKeyRotation"},
        _INFERRED, _UNKNOWN,
        '"RotateKeyOnDemand", "EnableKeyRotation", AWS KMS API Reference: on the primary key',
    ),
    _rule(
        "rotation.no-material", "KMSInvalidStateException",
        "No available key material pending rotation for the key: {}.",
        checks.no_pending_material, {"RotateKeyOnDemand"}, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "rotation.limit", "LimitExceededException",
        "The on-demand rotations limit has been reached for the given keyId. No more "
        "on-demand rotations can be performed for this key: {}",
        checks.too_many_rotations, {"RotateKeyOnDemand"}, _REPORTED, _REPORTED,
        f'{_SNAPSHOTS}, at a limit of 10; 25 today: "RotateKeyOnDemand", AWS KMS API Reference',
    ),
    _rule(
        "replicate-key.primary", "UnsupportedOperationException",
        "{} is not a multi-region primary key.",
        checks.not_primary, {"ReplicateKey"}, _REPORTED, _REPORTED,
        f"{_SNAPSHOTS}: a replica; that of a single-Region key is inferred",
    ),
    _rule(
        "grant.operations", "ValidationException", None,
        checks.unfit_grant_operation, _GRANTING, _DOCUMENTED, _UNKNOWN,
        '"CreateGrant", AWS KMS API Reference, which calls it ValidationError',
    ),
    _rule(
        "grant.constraint-key", "ValidationException", None,
        checks.unfit_constraint, _GRANTING, _INFERRED, _UNKNOWN,
        '"CreateGrant", AWS KMS API Reference: no encryption context constraint for asymmetric '
        "and HMAC keys",
    ),
    _rule(
        "grant.principal", "InvalidArnException",
        "ARN does not refer to a valid principal: {}",
        checks.no_principal, _GRANTING, _REPORTED, _REPORTED,
        "aws/chalice, tests/functional/test_awsclient.py, as Lambda passes it on; that it goes "
        "for what has not the form of a principal is inferred",
    ),
    _rule(
        "public-key.none", "UnsupportedOperationException", None,
        checks.not_asymmetric, {"GetPublicKey"}, _INFERRED, _UNKNOWN,
        '"GetPublicKey", AWS KMS API Reference',
    ),
    *(
        _rule(
            f"operation.usage-{usage.lower().replace('_', '-')}", "InvalidKeyUsageException", "{}",
            checks.wrong_usage(usage), operations, _REPORTED, _REPORTED,
            f"{_SNAPSHOTS}, for Encrypt, Sign, Verify, GenerateMac and DeriveSharedSecret; the "
            "name that the text gives ReEncrypt is inferred",
        )
        for usage, operations in (
            ("ENCRYPT_DECRYPT", _ENCRYPTING | _SEALING),
            ("SIGN_VERIFY", _SIGNING),
            ("GENERATE_VERIFY_MAC", _MACS),
            ("KEY_AGREEMENT", _AGREEING),
        )
    ),
    _rule(
        "data-key.key-spec", "InvalidKeyUsageException", None,
        checks.not_symmetric, _SEALING, _INFERRED, _UNKNOWN,
        '"GenerateDataKeyPair", AWS KMS API Reference: a symmetric encryption KMS key',
    ),
    _rule(
        "encrypt.algorithm", "InvalidKeyUsageException", "{}",
        checks.encryption_algorithm, _ENCRYPTING, _DOCUMENTED, _INFERRED,
        '"Encrypt", AWS KMS API Reference; the text is that recorded for GenerateMac',
    ),
    _rule(
        "encrypt.encryption-context", "ValidationException", NO_CONTEXT,
        checks.asymmetric_context, _ENCRYPTING, _REPORTED, _REPORTED,
        "Encrypt: floci-io/floci, pull request 3038, errors as measured on real KMS; ReEncrypt "
        "inferred from it",
    ),
    _rule(
        "signature.algorithm", "InvalidKeyUsageException", "{}",
        checks.signing_algorithm, _SIGNING, _INFERRED, _INFERRED,
        '"Sign", AWS KMS API Reference; the text is that recorded for GenerateMac',
    ),
    _rule(
        "mac.algorithm", "InvalidKeyUsageException", "{}",
        checks.mac_algorithm, _MACS, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "re-encrypt.decryption", "InvalidCiphertextException", "",
        checks.does_not_open, _SOURCE_KEY, _INFERRED, _INFERRED,
        f"Decrypt: {_SNAPSHOTS}",
    ),
    _rule(
        "encrypt.length", "ValidationException", "{}",
        checks.too_long, _ENCRYPTING, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "signature.message-type", "UnsupportedOperationException", None,
        checks.other_message_type, _SIGNING, _UNKNOWN, _UNKNOWN, LIMIT,
    ),
    _rule(
        "signature.digest", "ValidationException", "Digest is invalid length for algorithm {}.",
        checks.digest_length, _SIGNING, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "signature.invalid", "KMSInvalidSignatureException", "",
        checks.bad_signature, {"Verify"}, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "mac.invalid", "KMSInvalidMacException", "",
        checks.bad_mac, {"VerifyMac"}, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "agreement.public-key", "ValidationException", "",
        checks.bad_public_key, _AGREEING, _REPORTED, _REPORTED, _SNAPSHOTS,
    ),
    _rule(
        "agreement.curve", "ValidationException", None,
        checks.other_curve, _AGREEING, _INFERRED, _UNKNOWN,
        '"DeriveSharedSecret", AWS KMS API Reference: a public key on the same curve',
    ),
    _rule(
        "operation.dry-run", "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
        checks.dry_run, None, _DOCUMENTED, _REPORTED,
        '"Testing your permissions", AWS KMS Developer Guide; text: '
        f"{_SNAPSHOTS}",
    ),
)  # fmt: skip

NEIGHBOUR_REFUSALS = tuple(rule.refusal for rule in NEIGHBOUR_RULES)
"""The refusals of the table, for documentation."""


def refusal(
    request: NeighbourRequest, rules: Iterable[NeighbourRule] = NEIGHBOUR_RULES
) -> KmsRefusal | None:
    """The refusal of the first row that the request meets, or None if it passes all."""
    for rule in rules:
        if rule.operations is None or request.operation in rule.operations:
            found = rule.refuses(request)
            if found is not None:
                return rule.refusal.refuse(found)
    return None
