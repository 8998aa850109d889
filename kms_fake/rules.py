"""Every reason for which this KMS refuses Decrypt and GenerateDataKey, in the order of its checks.

One row is one refusal. The rows' order is the order of the checks; what is known of it is stated
in each row, apart from what is known of the exception type and of the text. Where the real text is
unknown the message is ours and says so at its end, so that nobody writes code against it.

A row whose ground is missing refuses as well (see `kms_fake.checks`): leaving out a row, or
asking in another order, never lets through what another row would have stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kms_fake import checks
from kms_fake.authorization import Denial
from kms_fake.call import Call, RuleSet
from kms_fake.errors import KmsRefusal, our_text
from kms_fake.evidence import Evidence
from kms_fake.received import ReceivedDocument
from kms_fake.shapes import Operation

_DOCUMENTED = Evidence.DOCUMENTED
_REPORTED = Evidence.REPORTED
_INFERRED = Evidence.INFERRED
_UNKNOWN = Evidence.UNKNOWN

BOTH = frozenset(Operation)
DECRYPT = frozenset({Operation.DECRYPT})
GENERATE = frozenset({Operation.GENERATE_DATA_KEY})
EVERY_SET = frozenset(RuleSet)

NO_ALGORITHM = "You must specify an encryption algorithm in this request."
NO_PUBLIC_KEY = "You must specify a recipient public key in this request."
BAD_PUBLIC_KEY = "Invalid public key"
NO_SIZE = "Please specify either number of bytes or key spec."
FOREIGN_CIPHERTEXT = (
    "The ciphertext refers to a customer master key that does not exist, does not exist in this "
    "region, or you are not allowed to access."
)
NO_CONTEXT = "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
WRONG_KEY = "The key ID in the request does not identify a CMK that can perform this operation."


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    id: str
    exception: str
    """The AWS exception type, as `__type` carries it."""
    text: str | None
    """The message; `{}` stands for what the check found; None where the real text is unknown."""
    refuses: Callable[[Call], str | None]
    """What it found wrong, in words for the user or as the text's `{}`; None to let pass."""
    type_evidence: Evidence
    text_evidence: Evidence
    order_evidence: Evidence
    """How sure it is that this row comes after the one before it."""
    source: str
    operations: frozenset[Operation] = BOTH
    rule_sets: frozenset[RuleSet] = EVERY_SET
    http_status: int = 400

    def applies_to(self, operation: Operation, rule_set: RuleSet) -> bool:
        """Whether this row belongs to the operation and the rule set."""
        return operation in self.operations and rule_set in self.rule_sets

    def refuse(self, found: str) -> KmsRefusal:
        """The error that a caller gets for what the check found."""
        message = our_text(found, self.id) if self.text is None else self.text.replace("{}", found)
        return KmsRefusal(self.exception, message, self.http_status, self.id)


RULES: tuple[Rule, ...] = (
    Rule(
        "request.object", "SerializationException", None, checks.not_an_object,
        _INFERRED, _UNKNOWN, _INFERRED, "json 1.1 protocol of AWS services",
    ),
    Rule(
        "request.member-type", "SerializationException", None, checks.wrong_type,
        _INFERRED, _UNKNOWN, _INFERRED, "json 1.1 protocol; KMS service model (botocore)",
    ),
    Rule(
        "request.constraint", "ValidationException", "{}", checks.violations,
        _REPORTED, _INFERRED, _INFERRED,
        "AWS-validated snapshots of LocalStack (test_kms.snapshot.json) show the form for other "
        "members of KMS",
    ),
    Rule(
        "request.data-key-size", "ValidationException", NO_SIZE, checks.data_key_size,
        _REPORTED, _REPORTED, _INFERRED, "field notes, bug 7; moto", operations=GENERATE,
    ),
    Rule(
        "request.dry-run-modifiers", "UnsupportedOperationException", None, checks.modifiers,
        _UNKNOWN, _UNKNOWN, _UNKNOWN, "a limit of this fake, not of KMS", operations=DECRYPT,
    ),
    Rule(
        "recipient.encryption-algorithm", "ValidationException", NO_ALGORITHM,
        checks.no_encryption_algorithm, _INFERRED, _INFERRED, _UNKNOWN,
        "field notes, bug 8.1, as they explain it: the text was seen, for another cause as the "
        "notes' own commits show",
        operations=DECRYPT, rule_sets=frozenset({RuleSet.FIELD_NOTES}),
    ),
    Rule(
        "recipient.key-encryption-algorithm", "ValidationException", NO_ALGORITHM,
        checks.no_key_encryption_algorithm, _REPORTED, _REPORTED, _INFERRED,
        "text: field notes, bug 8.1; cause inferred from the commits of tsyrulb/EphemeralML and "
        "three clients that work on real KMS without EncryptionAlgorithm",
    ),
    Rule(
        "recipient.attestation-document", "ValidationException", None, checks.no_document,
        _INFERRED, _UNKNOWN, _UNKNOWN,
        "aws-nitro-enclaves-sdk-c, docs/kms-apis/RecipientRequest.md: Required: Yes",
    ),
    Rule(
        "document.structure", "ValidationException", None,
        checks.of_document(ReceivedDocument.not_cose), _REPORTED, _UNKNOWN, _INFERRED,
        "EphemeralML audit on an m6i.xlarge: random bytes; attestation_process.md 2.1, 3.1",
    ),
    Rule(
        "document.payload", "ValidationException", None,
        checks.of_document(ReceivedDocument.bad_payload), _INFERRED, _UNKNOWN, _INFERRED,
        "attestation_process.md 3.2.2",
    ),
    Rule(
        "document.certificate", "ValidationException", None,
        checks.of_document(ReceivedDocument.unreadable_certificate), _INFERRED, _UNKNOWN, _INFERRED,
        "attestation_process.md 3.2.3",
    ),
    Rule(
        "document.root", "ValidationException", None,
        checks.of_document(ReceivedDocument.untrusted_root), _INFERRED, _UNKNOWN, _INFERRED,
        'AWS KMS Developer Guide, "Cryptographic attestation support": you cannot supply your own '
        "certificate",
    ),
    Rule(
        "document.chain", "ValidationException", None,
        checks.of_document(ReceivedDocument.bad_chain), _INFERRED, _UNKNOWN, _INFERRED,
        "attestation_process.md 3.2.3",
    ),
    Rule(
        "document.validity", "ValidationException", None,
        checks.of_document(ReceivedDocument.expired_chain), _INFERRED, _UNKNOWN, _INFERRED,
        "attestation_process.md 3.2.3: certificates valid at the time of the check",
    ),
    Rule(
        "document.signature", "ValidationException", None,
        checks.of_document(ReceivedDocument.bad_signature), _REPORTED, _UNKNOWN, _INFERRED,
        "EphemeralML audit: one flipped byte; attestation_process.md 3.2.4",
    ),
    Rule(
        "document.age", "ValidationException", None,
        checks.of_document(ReceivedDocument.too_old), _INFERRED, _UNKNOWN, _UNKNOWN,
        "five minutes: zama-ai/kms, bountynet; no AWS text found",
    ),
    Rule(
        "document.future", "ValidationException", None,
        checks.of_document(ReceivedDocument.from_the_future), _INFERRED, _UNKNOWN, _UNKNOWN,
        "nothing settles it; refused, since an accepted one would outlive the age limit",
    ),
    Rule(
        "public-key.missing", "ValidationException", NO_PUBLIC_KEY, checks.no_public_key,
        _REPORTED, _REPORTED, _INFERRED,
        "field notes, bug 8.2; that an empty public_key counts as none is inferred",
    ),
    Rule(
        "public-key.encoding", "ValidationException", BAD_PUBLIC_KEY, checks.bad_public_key,
        _REPORTED, _REPORTED, _REPORTED, "field notes, bug 8.3: PKCS#1; other encodings inferred",
    ),
    Rule(
        "public-key.algorithm", "ValidationException", None, checks.not_rsa,
        _INFERRED, _UNKNOWN, _INFERRED,
        "aws-nitro-enclaves-sdk-c, docs/kms-apis/RecipientRequest.md: RSA2048",
    ),
    Rule(
        "public-key.size", "ValidationException", None, checks.other_rsa_size,
        _INFERRED, _UNKNOWN, _INFERRED,
        "aws-nitro-enclaves-sdk-c, docs/kms-apis/RecipientRequest.md: RSA2048",
    ),
    Rule(
        "key-id.missing", "ValidationException", "KeyId must not be null", checks.no_key_id,
        _REPORTED, _REPORTED, _UNKNOWN,
        "floci-io/floci, pull request 3038, measured on real KMS: an RSA algorithm without KeyId",
        operations=DECRYPT,
    ),
    Rule(
        "ciphertext.unparsable", "InvalidCiphertextException", "", checks.unparsable_ciphertext,
        _REPORTED, _REPORTED, _UNKNOWN,
        "AWS-validated snapshots of LocalStack: empty message", operations=DECRYPT,
    ),
    Rule(
        "ciphertext.foreign-key", "AccessDeniedException", FOREIGN_CIPHERTEXT,
        checks.foreign_ciphertext, _REPORTED, _REPORTED, _INFERRED,
        "aws-encryption-sdk-javascript, issue 1005", operations=DECRYPT,
    ),
    Rule(
        "key-id.not-found", "NotFoundException", "{}", checks.key_not_found,
        _REPORTED, _REPORTED, _UNKNOWN,
        "AWS-validated snapshots of LocalStack; the text for an absent alias is inferred",
    ),
    Rule(
        "key-id.mismatch", "IncorrectKeyException", WRONG_KEY, checks.wrong_key,
        _DOCUMENTED, _REPORTED, _INFERRED,
        '"Decrypt", AWS KMS API Reference; text: AWS-validated snapshots of LocalStack',
        operations=DECRYPT,
    ),
    Rule(
        "request.grant-tokens", "InvalidGrantTokenException", None, checks.unknown_grant_token,
        _DOCUMENTED, _UNKNOWN, _UNKNOWN,
        '"Decrypt", AWS KMS API Reference; that the token of a grant that is gone is not valid '
        "either is inferred",
    ),
    Rule(
        "authorization.unreadable-policy", "AccessDeniedException", None, checks.unreadable_policy,
        _UNKNOWN, _UNKNOWN, _UNKNOWN, "a limit of this fake, not of KMS",
    ),
    Rule(
        "authorization.identity-deny", "AccessDeniedException", "{}",
        checks.denied(Denial.IDENTITY_EXPLICIT), _INFERRED,
        Denial.IDENTITY_EXPLICIT.evidence, _INFERRED,
        '"Troubleshoot access denied error messages", IAM User Guide',
    ),
    Rule(
        "authorization.boundary-deny", "AccessDeniedException", "{}",
        checks.denied(Denial.BOUNDARY_EXPLICIT), _INFERRED,
        Denial.BOUNDARY_EXPLICIT.evidence, _UNKNOWN,
        '"Troubleshoot access denied error messages", IAM User Guide',
    ),
    Rule(
        "authorization.session-deny", "AccessDeniedException", "{}",
        checks.denied(Denial.SESSION_EXPLICIT), _INFERRED,
        Denial.SESSION_EXPLICIT.evidence, _UNKNOWN,
        "HashiCorp's Enos troubleshooting page: ec2:DescribeImages; the IAM User Guide's own "
        "example has `sessions policy`",
    ),
    Rule(
        "authorization.key-policy-deny", "AccessDeniedException", "{}",
        checks.denied(Denial.RESOURCE_EXPLICIT), _REPORTED,
        Denial.RESOURCE_EXPLICIT.evidence, _UNKNOWN,
        "aws-nitro-enclaves-sdk-c, issue 157; that the identity policy's Deny is named first is "
        "inferred from a test of another service (dev.classmethod.jp, "
        "access-denied-error-message-vpcendpoint-crossaccount)",
    ),
    Rule(
        "authorization.key-policy", "AccessDeniedException", "{}",
        checks.denied(Denial.NO_RESOURCE_ALLOW), _REPORTED,
        Denial.NO_RESOURCE_ALLOW.evidence, _INFERRED,
        "yawn/ned README, a run on real KMS; aws-nitro-enclaves-sdk-c, issue 127",
    ),
    Rule(
        "authorization.identity", "AccessDeniedException", "{}",
        checks.denied(Denial.NO_IDENTITY_ALLOW), _REPORTED,
        Denial.NO_IDENTITY_ALLOW.evidence, _INFERRED,
        "cattle-ops/terraform-aws-gitlab-runner, pull request 1253: kms:Decrypt, KMS status 400",
    ),
    Rule(
        "authorization.boundary", "AccessDeniedException", "{}",
        checks.denied(Denial.NO_BOUNDARY_ALLOW), _INFERRED,
        Denial.NO_BOUNDARY_ALLOW.evidence, _INFERRED,
        "kirodotdev/KiroCrew, issue 10229: kms:Decrypt of Session Manager; the order of evaluation "
        'is that of "Policy evaluation logic", IAM User Guide',
    ),
    Rule(
        "authorization.session", "AccessDeniedException", "{}",
        checks.denied(Denial.NO_SESSION_ALLOW), _INFERRED,
        Denial.NO_SESSION_ALLOW.evidence, _INFERRED,
        '"Troubleshoot access denied error messages" and "Policy evaluation logic", IAM User Guide',
    ),
    Rule(
        "key.disabled", "DisabledException", "{} is disabled.", checks.disabled,
        _DOCUMENTED, _REPORTED, _INFERRED,
        '"Decrypt", AWS KMS API Reference; text: AWS-validated snapshots of LocalStack',
    ),
    Rule(
        "key.state", "KMSInvalidStateException", "{}", checks.other_state,
        _DOCUMENTED, _INFERRED, _INFERRED,
        '"Key states of AWS KMS keys", AWS KMS Developer Guide; the text of pending import is '
        "reported, the others' inferred from it",
    ),
    Rule(
        "key.usage", "InvalidKeyUsageException", "{}", checks.wrong_usage,
        _DOCUMENTED, _REPORTED, _INFERRED,
        '"Decrypt", AWS KMS API Reference; text: floci-io/floci, pull request 3038, measured on '
        "real KMS; its pattern is that of LocalStack's snapshots for DeriveSharedSecret",
    ),
    Rule(
        "key.algorithm", "InvalidKeyUsageException", "{}", checks.wrong_algorithm,
        _DOCUMENTED, _REPORTED, _INFERRED,
        '"Decrypt", AWS KMS API Reference; text: floci-io/floci, pull request 3038, measured on '
        "real KMS",
    ),
    Rule(
        "key.encryption-context", "ValidationException", NO_CONTEXT, checks.asymmetric_context,
        _REPORTED, _REPORTED, _INFERRED,
        "floci-io/floci, pull request 3038, errors as measured on real KMS in us-east-1; "
        '"Decrypt", AWS KMS API Reference: on symmetric encryption keys only',
        operations=DECRYPT,
    ),
    Rule(
        "ciphertext.decryption", "InvalidCiphertextException", "", checks.does_not_open,
        _DOCUMENTED, _REPORTED, _INFERRED,
        '"Decrypt", AWS KMS API Reference; empty text: AWS-validated snapshots of LocalStack',
        operations=DECRYPT,
    ),
    Rule(
        "request.dry-run", "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.", checks.dry_run,
        _DOCUMENTED, _REPORTED, _INFERRED,
        '"Testing your permissions", AWS KMS Developer Guide; text: AWS-validated snapshots of '
        "LocalStack",
    ),
)  # fmt: skip


class Judge:
    """The table, ready to be asked: the rows of each operation and rule set, in order."""

    def __init__(self, rules: Iterable[Rule] = RULES) -> None:
        table = tuple(rules)
        self._rows = {
            (operation, rule_set): tuple(
                rule for rule in table if rule.applies_to(operation, rule_set)
            )
            for operation in Operation
            for rule_set in RuleSet
        }

    def refusal(self, call: Call) -> KmsRefusal | None:
        """The refusal of the first row that the call meets, or None if it passes all."""
        for rule in self._rows[call.operation, call.settings.rule_set]:
            found = rule.refuses(call)
            if found is not None:
                return rule.refuse(found)
        return None
