"""The known traps in policies for attested keys: one row each, in the order of the reference.

`docs/reference/policy-traps.md` is made from this table. A source is what shows that KMS behaves so
or that people fell in; the evidence is that of the behaviour, not of this tool's reading of it.
"""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.policy_check import access_traps as access
from simulator.policy_check import action_traps as actions
from simulator.policy_check import condition_traps as conditions
from simulator.policy_check.findings import Severity, Trap

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
_DOCUMENTED, _REPORTED, _INFERRED = Evidence.DOCUMENTED, Evidence.REPORTED, Evidence.INFERRED

_OPERATORS = '"IAM JSON policy elements: Condition operators", IAM User Guide'
_ENCLAVE_KEYS = '"Condition keys for Nitro Enclaves", AWS KMS Developer Guide'
_SAFE_DENY = (
    'a Deny for everybody with Null {"kms:RecipientAttestation:PCR0": "true"} on Decrypt, '
    "DeriveSharedSecret, GenerateDataKey, GenerateDataKeyPair and ReEncrypt*"
)

TRAPS: tuple[Trap, ...] = (
    Trap(
        "no-attestation",
        (_ERROR,),
        "No statement asks for an attestation document",
        "The parent instance, and whoever else may use the key, gets the plaintext itself.",
        "Ask for the image's measurements in the Allow (StringEqualsIgnoreCase on "
        "kms:RecipientAttestation:PCR0, PCR1 and PCR2).",
        _ENCLAVE_KEYS,
        _DOCUMENTED,
        access.no_attestation,
    ),
    Trap(
        "unconditional-allow",
        (_ERROR, _WARNING),
        "An Allow without conditions on attestation beside one that has them",
        "One Allow is enough: the condition of another statement takes nothing away. A warning "
        "where the caller only makes data keys and was never to attest.",
        f"Remove the statement, give it the condition too, or add {_SAFE_DENY}.",
        "aws/aws-nitro-enclaves-sdk-c issues 100 and 157",
        _REPORTED,
        access.unconditional_allow,
    ),
    Trap(
        "iam-bypass",
        (_ERROR, _WARNING),
        "The account may decide by IAM, where an Allow needs no document",
        'The statement that AWS puts into a new key\'s policy (the account, "kms:*") lets every '
        "Allow in an IAM policy of the account count, beside the conditions of the key policy. An "
        "error where a given identity policy does it, a warning where IAM policies are not known.",
        "Give the account only the actions that administer the key (DescribeKey, PutKeyPolicy, "
        f"ScheduleKeyDeletion and so on), or add {_SAFE_DENY}.",
        '"Default key policy", AWS KMS Developer Guide; cyntrisec/EphemeralML, commit aed1938 (the '
        "condition on PCR0 was got round so)",
        _DOCUMENTED,
        access.iam_bypass,
    ),
    Trap(
        "everybody",
        (_ERROR, _WARNING),
        'Principal "*" lets in principals of any account',
        "Whoever has the image can run it in an account of their own, where they are the parent. "
        "An error where not even a document is needed.",
        "Name the role, or add a condition on aws:PrincipalAccount or aws:PrincipalOrgID.",
        '"AWS JSON policy elements: Principal", IAM User Guide',
        _DOCUMENTED,
        access.everybody,
    ),
    Trap(
        "service-without-attestation",
        (_WARNING,),
        "An AWS service may use the key without a document",
        "Services attest nothing; what they decrypt is plaintext outside the enclave.",
        "Give the service a key of its own.",
        '"Permissions for AWS services in key policies", AWS KMS Developer Guide',
        _DOCUMENTED,
        actions.service_without_attestation,
    ),
    Trap(
        "image-not-pinned",
        (_ERROR,),
        "A document of any image is enough",
        "An authentic document proves nothing alone: the parent can boot an image of its own and "
        'attest that. Null "false" and wildcards ask for no more than a document.',
        "Ask for PCR0, PCR1 and PCR2 of your build, or for PCR8 of your signing certificate.",
        _ENCLAVE_KEYS,
        _DOCUMENTED,
        access.image_not_pinned,
    ),
    Trap(
        "pcr0-only",
        (_WARNING,),
        "Of the image only PCR0 (ImageSha384) is asked for",
        "Bytes can be moved between the kernel's and the application's sections of an image so "
        "that PCR0 stays and PCR1 and PCR2 change.",
        "Ask for PCR0, PCR1 and PCR2 in the same statement.",
        "Trail of Bits, HyperLink AWS Nitro TEE security review (2026-03), TOB-HLTEE-5",
        _REPORTED,
        access.pcr0_only,
    ),
    Trap(
        "image-partly-pinned",
        (_WARNING,),
        "PCR1 alone or PCR2 alone is enough",
        "PCR1 measures the kernel and its boot filesystem, PCR2 the application; each leaves the "
        "other part of the image free.",
        "Ask for PCR0, PCR1 and PCR2 in the same statement: of several statements one is enough.",
        '"Where to get an enclave\'s measurements", AWS Nitro Enclaves User Guide',
        _DOCUMENTED,
        access.image_partly_pinned,
    ),
    Trap(
        "debug-enclave",
        (_ERROR, _WARNING),
        "An enclave in debug mode is let in",
        "In debug mode PCR0, PCR1 and PCR2 are zero, whatever image runs, and the parent reads the "
        "console. An error where the zeros are asked for, a warning where the three are free.",
        "Ask for the measurements of a build that runs without --debug-mode; add no zeros.",
        '"Cryptographic attestation", AWS Nitro Enclaves User Guide; prowler-cloud/prowler (PCR3, '
        "PCR4 and PCR8 keep their values)",
        _REPORTED,
        access.debug_enclave,
    ),
    Trap(
        "no-deployment-binding",
        (_WARNING, _INFO),
        "Nothing says where the image may run",
        "PCR0, PCR1 and PCR2 travel with the image. PCR3 (the parent's role), PCR4 (the instance), "
        "PCR8 (who signed the image) or a condition on account, organization or VPC does not. A "
        "warning where the statement is for everybody.",
        "Add PCR3 or PCR8, or both.",
        '"Where to get an enclave\'s measurements", AWS Nitro Enclaves User Guide; '
        "prowler-cloud/prowler, kms_key_enclave_attestation_no_deployment_binding",
        _DOCUMENTED,
        access.no_deployment_binding,
    ),
    Trap(
        "if-exists",
        (_ERROR,),
        "An IfExists operator on attestation in an Allow",
        "IfExists is true where the request has no such key, and without a document it has none.",
        "Take the IfExists away.",
        _OPERATORS,
        _DOCUMENTED,
        conditions.if_exists,
    ),
    Trap(
        "negated-operator",
        (_ERROR,),
        "A negated operator on attestation in an Allow",
        "A negated operator is true where the request has no such key, and without a document it "
        "has none.",
        "Say what is allowed (StringEqualsIgnoreCase), and keep the negation for a Deny.",
        _OPERATORS,
        _DOCUMENTED,
        conditions.negated_operator,
    ),
    Trap(
        "for-all-values",
        (_ERROR,),
        "ForAllValues on attestation in an Allow",
        "ForAllValues is true of no values at all, and the keys of attestation have one value or "
        "none.",
        "Take the ForAllValues away.",
        '"AWS KMS condition keys" and "Conditions with multiple context keys or values", AWS',
        _DOCUMENTED,
        conditions.for_all_values,
    ),
    Trap(
        "null-inverted",
        (_ERROR,),
        "Null the wrong way round",
        'Null "true" means that the key is absent: right in a Deny, and in an Allow it lets in '
        "those who bring no document.",
        'Write Null "false" in an Allow, "true" in a Deny.',
        _OPERATORS,
        _DOCUMENTED,
        conditions.null_inverted,
    ),
    Trap(
        "deny-ignores-absent",
        (_WARNING,),
        "A Deny that a request without a document passes",
        "A positive operator is false where the key is absent, so that the Deny stops certain "
        "documents and nobody who brings none.",
        'Deny with Null "true", or with StringNotEqualsIgnoreCase, which is true of an absent key.',
        _OPERATORS,
        _DOCUMENTED,
        conditions.deny_ignores_absent,
    ),
    Trap(
        "combined-denial",
        (_ERROR,),
        "A Deny with several measurements in one statement",
        "All conditions of a statement must hold, so that the Deny stops only an image that "
        "differs in every one of them: one equal measurement is enough to pass.",
        "Write one Deny for each measurement.",
        '"Conditions with multiple context keys or values", IAM User Guide',
        _DOCUMENTED,
        access.combined_denial,
    ),
    Trap(
        "unknown-attestation-key",
        (_ERROR,),
        "A condition key of attestation that does not exist",
        "KMS takes the policy, no request ever has the key, and the condition looks as if it "
        "worked.",
        "Write kms:RecipientAttestation:PCR0 (to PCR31), :ImageSha384 or :NitroTPMPCR0 (to 23).",
        "aws/aws-nitro-enclaves-sdk-c issue 157 (kms:RecipientAttestation)",
        _REPORTED,
        conditions.unknown_key,
    ),
    Trap(
        "malformed-measurement",
        (_ERROR,),
        "A value that is no SHA-384 measurement",
        "It never equals what KMS compares it with: an Allow lets nobody in, a Deny with a negated "
        "operator everybody out.",
        "Write the 96 hexadecimal digits that nitro-cli build-enclave printed, without 0x.",
        f"{_ENCLAVE_KEYS}; yawn/ned, bin/setup.yml (0x)",
        _DOCUMENTED,
        conditions.malformed_measurement,
    ),
    Trap(
        "upper-case-measurement",
        (_ERROR,),
        "Upper-case hexadecimal under an operator that minds case",
        "KMS supplies lower case, so StringEquals never matches.",
        "Write lower case, or use StringEqualsIgnoreCase, as AWS's examples do.",
        _ENCLAVE_KEYS,
        _INFERRED,
        conditions.upper_case_measurement,
    ),
    Trap(
        "measurement-wildcard",
        (_WARNING,),
        "A wildcard in a measurement",
        "Every digit that is left open makes it cheaper to find another image that fits.",
        "Write all 96 digits, several values for several builds.",
        _OPERATORS,
        _DOCUMENTED,
        conditions.measurement_wildcard,
    ),
    Trap(
        "several-measurements",
        (_INFO,),
        "Several values for one measurement",
        "Old builds stay allowed, their bugs with them. Values of two keys are combined freely.",
        "Take old builds away when they are no longer run.",
        '"Conditions with multiple context keys or values", IAM User Guide; tee8z/keymeld, '
        "docs/KMS.md (two builds during a change)",
        _DOCUMENTED,
        conditions.several_measurements,
    ),
    Trap(
        "attestation-on-other-action",
        (_ERROR, _WARNING),
        "A condition on attestation for an action that takes no document",
        "Only Decrypt, DeriveSharedSecret, GenerateDataKey, GenerateDataKeyPair and GenerateRandom "
        "take a Recipient. For all others the keys are absent: such an Allow never allows, or with "
        "IfExists and negated operators always.",
        "Allow the action in a statement of its own, without the condition, if it is meant.",
        "aws/aws-nitro-enclaves-sdk-c issue 127 (kms:Sign)",
        _REPORTED,
        actions.attestation_on_other_action,
    ),
    Trap(
        "policy-change-open",
        (_ERROR, _INFO),
        "PutKeyPolicy is allowed",
        "Whoever may change the policy can take the conditions away. Somebody must; it should not "
        "be the principal that must attest, nor a pipeline.",
        "Leave PutKeyPolicy to administrators who do not run the enclave.",
        "Trail of Bits, HyperLink AWS Nitro TEE security review (2026-03), TOB-HLTEE-22",
        _DOCUMENTED,
        actions.policy_change_open,
    ),
    Trap(
        "grant-open",
        (_ERROR, _WARNING),
        "CreateGrant is allowed, and no Deny stops the grantee",
        "A grant has no constraint on attestation, so its grantee decrypts without a document; "
        "only an explicit Deny still holds. The console's key administrators have kms:Create*.",
        f"Do not allow kms:CreateGrant, or add {_SAFE_DENY}.",
        '"GrantConstraints", AWS KMS API Reference (none is on attestation)',
        _INFERRED,
        actions.grant_open,
    ),
    Trap(
        "re-encrypt-open",
        (_ERROR, _WARNING),
        "ReEncrypt from this key is allowed",
        "ReEncrypt takes no document. It moves a ciphertext under a key of the caller's choice, "
        "who decrypts it there.",
        "Do not allow kms:ReEncryptFrom or kms:ReEncrypt*, or deny it.",
        '"ReEncrypt", AWS KMS API Reference; EnclaviaIO/enclavia, enclavia-protocol kms_policy.rs',
        _DOCUMENTED,
        actions.re_encrypt_open,
    ),
    Trap(
        "replicate-open",
        (_ERROR, _WARNING, _INFO),
        "ReplicateKey is allowed",
        "Of a multi-Region key it makes a replica in another Region, with the same key material "
        "and a key policy that the caller gives.",
        "Do not allow kms:ReplicateKey, and use a single-Region key.",
        '"ReplicateKey", AWS KMS API Reference; EnclaviaIO/enclavia, enclavia-protocol '
        "kms_policy.rs",
        _DOCUMENTED,
        actions.replicate_open,
    ),
    Trap(
        "import-open",
        (_ERROR, _WARNING, _INFO),
        "ImportKeyMaterial is allowed",
        "Whoever imports the material of a key of origin EXTERNAL knows it, and decrypts without "
        "KMS.",
        "Do not allow kms:ImportKeyMaterial, and use a key of origin AWS_KMS.",
        '"Importing key material", AWS KMS Developer Guide; EnclaviaIO/enclavia (refuses them)',
        _DOCUMENTED,
        actions.import_open,
    ),
    Trap(
        "not-action",
        (_WARNING,),
        "Allow with NotAction",
        "It allows Decrypt, CreateGrant, ReEncrypt and PutKeyPolicy unless each is listed.",
        "List the actions that are meant under Action.",
        '"IAM JSON policy elements: NotAction", IAM User Guide',
        _DOCUMENTED,
        actions.not_action,
    ),
    Trap(
        "not-principal",
        (_ERROR, _WARNING),
        "NotPrincipal",
        "With Allow it lets in everybody else, which AWS does not support. With Deny a role is "
        "spared only if its account and its sessions are listed too.",
        "Use Principal; in a Deny use a condition on aws:PrincipalArn.",
        '"AWS JSON policy elements: NotPrincipal", IAM User Guide',
        _DOCUMENTED,
        actions.not_principal,
    ),
    Trap(
        "deny-locks-out",
        (_ERROR,),
        "A Deny on attestation covers the key's administration",
        "PutKeyPolicy never comes with a document, so that nobody can change the policy any more, "
        "the root user of the account included. KMS refuses to set such a policy unless "
        "BypassPolicyLockoutSafetyCheck is true.",
        "List the actions of the Deny: Decrypt, DeriveSharedSecret, GenerateDataKey, "
        "GenerateDataKeyPair, ReEncrypt*.",
        '"Policy evaluation logic", IAM User Guide; "PutKeyPolicy", AWS KMS API Reference',
        _DOCUMENTED,
        actions.deny_locks_out,
    ),
)
