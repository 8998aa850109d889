"""Explanations: AccessDeniedException, whose text is one for many reasons."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations import snippets
from simulator.explanations.model import Cause, Claim, Explanation, Role

_POLICY_CHECK = "`attested-kms policy check` and `attested-kms inspect --policy` tell which"
_IAM_GUIDE = '"Troubleshoot access denied error messages", IAM User Guide; not shown for KMS'

_NO_RECIPIENT = Cause(
    "No Recipient was sent, so that no kms:RecipientAttestation key exists",
    "log the request's members; CloudTrail does not help: it shows no recipient of denied calls",
)
_DEBUG = Cause(
    "The enclave runs in debug mode: its PCR0, PCR1 and PCR2 are zeros in the document",
    "nitro-cli describe-enclaves says DEBUG_MODE; it shows the image's real PCRs even so, "
    "`attested-kms inspect` those that KMS sees",
)
_OTHER_PCR = Cause(
    "The image was built again, or the policy's value is cut or of another build",
    "compare all 96 digits with nitro-cli describe-eif --eif-path of the running image",
)
_UPPER_CASE = Cause(
    "Upper-case hex with StringEquals: KMS compares with lower case",
    "use StringEqualsIgnoreCase, or lower-case digits, without 0x",
)
_CONDITION_KEY = Cause(
    "The condition key does not exist",
    "only kms:RecipientAttestation:ImageSha384, :PCR0 and so on (kms:RecipientAttestation alone "
    "is none; NitroTPM has keys of its own)",
)
_PRINCIPAL = Cause(
    "The statement names another principal",
    'the "User:" in the message is the session of a role: the policy must name that role '
    "(arn:aws:iam::ACCOUNT:role/NAME)",
)
_UNATTESTED = Cause(
    "The statement conditions an operation that has no Recipient (kms:Sign, kms:Encrypt, ...)",
    "attestation exists for Decrypt, DeriveSharedSecret, GenerateDataKey, GenerateDataKeyPair "
    "and GenerateRandom only",
)

_WITHOUT_RECIPIENT = (
    *("Sign", "Verify", "Encrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateMac", "VerifyMac"),
    *("GetPublicKey", "DescribeKey", "PutKeyPolicy", "CreateGrant", "ImportKeyMaterial"),
    *("GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPairWithoutPlaintext"),
)
_AUTHORIZATION_ROWS = (
    *("authorization.key-policy", "authorization.key-policy-deny"),
    *("authorization.identity", "authorization.identity-deny"),
)

EXPLANATIONS = (
    Explanation(
        id="authorization.key-policy",
        error="AccessDeniedException: User: ... is not authorized to perform: kms:... because no "
        "resource-based policy allows the kms:... action",
        texts=("no resource-based policy allows the kms:",),
        meaning="No statement of the key policy lets this call in, as it was made. The same text "
        "stands for a missing document, another measurement and a mistake in the policy.",
        fix="Send Recipient with a fresh document, from an enclave that is not in debug mode, and "
        "make the policy's value its PCR0.",
        per_sdk=snippets.RECIPIENT,
        causes=(
            *(_NO_RECIPIENT, _DEBUG, _OTHER_PCR, _UPPER_CASE, _CONDITION_KEY, _PRINCIPAL),
            _UNATTESTED,
            Cause("The key policy does not delegate to IAM, and only IAM allows", _POLICY_CHECK),
        ),
    ),
    Explanation(
        id="authorization.unattested-operation",
        error="AccessDeniedException: ... because no resource-based policy allows the kms:Sign "
        "action (or another without Recipient)",
        texts=tuple(
            f"no resource-based policy allows the kms:{name} action" for name in _WITHOUT_RECIPIENT
        ),
        meaning="No statement of the key policy allows this operation. It has no Recipient: a "
        "condition on kms:RecipientAttestation never holds for it.",
        fix="Take the attestation condition off this action, or do the work inside the enclave "
        "with a key that was unwrapped by an attested Decrypt.",
        causes=(_UNATTESTED, _PRINCIPAL, Cause("The action is not allowed at all", _POLICY_CHECK)),
        rules=("authorization.key-policy",),
        claim=Claim(
            Evidence.REPORTED,
            "aws-nitro-enclaves-sdk-c, issue 127 (kms:Sign) and issue 29: not on the roadmap",
        ),
    ),
    Explanation(
        id="authorization.key-policy-deny",
        error="AccessDeniedException: User: ... is not authorized to perform: kms:... with an "
        "explicit deny in a resource-based policy",
        texts=("not authorized to perform: kms:{}explicit deny in a resource-based policy",),
        meaning="A Deny of the key policy applies. It wins over every Allow.",
        fix="Find the Deny that matches. Mostly it demands attestation, so fix the attestation: "
        "Recipient sent, no debug mode, right PCR, right condition key.",
        per_sdk=snippets.RECIPIENT,
        causes=(
            Cause(
                'Deny with "Null": {"kms:RecipientAttestation:...": "true"}, and no Recipient sent',
                _NO_RECIPIENT.tell,
            ),
            Cause(
                "The Deny asks for a key that does not exist, so that it always applies",
                _CONDITION_KEY.tell,
            ),
            Cause(
                "Deny with a negated operator, which also holds where the key is absent",
                "StringNotEquals on PCR0: another PCR or no Recipient",
            ),
            *(_DEBUG, _OTHER_PCR, _UPPER_CASE),
        ),
    ),
    Explanation(
        id="authorization.identity",
        error="AccessDeniedException: User: ... is not authorized to perform: kms:... because no "
        "identity-based policy allows the kms:... action",
        texts=("no identity-based policy allows the kms:",),
        meaning="The key policy leaves it to IAM, and no IAM policy of the caller allows it.",
        fix="Allow the action on the key's ARN in a policy of the role, or name the role in the "
        "key policy, with the attestation condition there.",
        causes=(
            Cause("The role lacks kms:Decrypt or kms:GenerateDataKey", "iam simulate or the role"),
            Cause("Its policy names another key, an alias or another Region", "compare the ARNs"),
            Cause("Its attestation condition does not hold: no Recipient, other PCR", _DEBUG.tell),
        ),
    ),
    Explanation(
        id="authorization.identity-deny",
        error="AccessDeniedException: User: ... is not authorized to perform: kms:... with an "
        "explicit deny in an identity-based policy",
        texts=("not authorized to perform: kms:{}explicit deny in an identity-based policy",),
        meaning="A Deny of the caller's own IAM policies applies.",
        fix="Find the Deny in the policies of the role, user or its groups.",
        causes=(Cause("A Deny that demands attestation or MFA, or bounds Regions", _POLICY_CHECK),),
    ),
    Explanation(
        id="authorization.session",
        error="AccessDeniedException: ... because no session policy allows the kms:... action",
        texts=("no session policy allows the kms:",),
        meaning="The session was made with a policy of its own, which does not allow this.",
        fix="Name the kms action in the Policy given to AssumeRole, or leave that Policy out.",
    ),
    Explanation(
        id="authorization.session-deny",
        error="AccessDeniedException: ... with an explicit deny in a session policy",
        texts=(
            "not authorized to perform: kms:{}explicit deny in a session policy",
            "not authorized to perform: kms:{}explicit deny in a sessions policy",
        ),
        meaning="The session was made with a policy of its own, which denies this.",
        fix="Take the Deny out of the Policy given to AssumeRole.",
    ),
    Explanation(
        id="authorization.boundary",
        error="AccessDeniedException: ... because no permissions boundary allows the kms:... "
        "action",
        texts=("no permissions boundary allows the kms:",),
        meaning="The role or user has a permissions boundary, which does not allow this.",
        fix="Allow the action in the boundary; an Allow in another policy does not help.",
    ),
    Explanation(
        id="authorization.boundary-deny",
        error="AccessDeniedException: ... with an explicit deny in a permissions boundary",
        texts=("not authorized to perform: kms:{}explicit deny in a permissions boundary",),
        meaning="The permissions boundary of the role or user denies this.",
        fix="Take the Deny out of the boundary.",
    ),
    Explanation(
        id="authorization.organization",
        error="AccessDeniedException: ... service control policy (or resource control policy)",
        texts=(
            "no service control policy allows the kms:",
            "not authorized to perform: kms:{}explicit deny in a service control policy",
            "no resource control policy allows the kms:",
            "not authorized to perform: kms:{}explicit deny in a resource control policy",
        ),
        meaning="A policy of the organization forbids it, whatever key policy and IAM say.",
        fix="Ask whoever keeps the organization's policies; the account cannot change it.",
        claim=Claim(Evidence.INFERRED, _IAM_GUIDE),
    ),
    Explanation(
        id="authorization.endpoint-policy",
        error="AccessDeniedException: ... because no VPC endpoint policy allows the kms:... action",
        texts=(
            "no VPC endpoint policy allows the kms:",
            "not authorized to perform: kms:{}explicit deny in a VPC endpoint policy",
        ),
        meaning="The call goes through a VPC endpoint whose policy does not allow it.",
        fix="Allow the action, the key and the role in the endpoint's policy.",
        claim=Claim(Evidence.INFERRED, _IAM_GUIDE),
    ),
    Explanation(
        id="authorization.other-account",
        error="AccessDeniedException: ... on this resource because the resource does not exist in "
        "this Region, no resource-based policies allow access, or ...",
        texts=(
            "not authorized to perform: kms:{}because the resource does not exist in this Region",
        ),
        meaning="A caller of another account is not told whether the key exists.",
        fix="Check Region and ARN, then allow the role both in the key policy and in its own "
        "account's IAM: across accounts both must allow.",
        rules=("authorization.key-policy", "key-id.not-found"),
        claim=Claim(
            Evidence.INFERRED, "public reports of such calls; the exact text was not found"
        ),
    ),
    Explanation(
        id="authorization.unreadable-policy",
        error="AccessDeniedException: a policy cannot be evaluated",
        meaning="A limit of attested-kms: a policy uses something that it does not evaluate, so "
        "nothing is allowed.",
        fix="Use what AWS documents for key policies, or test this policy on real KMS.",
    ),
    Explanation(
        id="authorization.no-reason",
        error="AccessDeniedException: User: ... is not authorized to perform: kms:... (no reason)",
        texts=("is not authorized to perform: kms:",),
        meaning="KMS denies the call; the end of the text, which names the kind of policy, is "
        "missing here.",
        fix="Get the whole message. Until then: Recipient sent, no debug mode, right PCR0?",
        causes=(_NO_RECIPIENT, _DEBUG, _OTHER_PCR, _PRINCIPAL),
        rules=_AUTHORIZATION_ROWS,
        claim=Claim(Evidence.INFERRED, "the shape of KMS's other denials"),
        role=Role.LAST,
    ),
    Explanation(
        id="kms.access-denied",
        error="AccessDeniedException of Decrypt or GenerateDataKey, without its text",
        texts=(
            "AccessDeniedException{}calling the Decrypt operation",
            "AccessDeniedException{}calling the GenerateDataKey operation",
            "KMS: Decrypt{}AccessDeniedException",
            "KMS: GenerateDataKey{}AccessDeniedException",
        ),
        meaning="KMS denies the call; its document, if it has one, was accepted.",
        fix="Get the whole message: it names the kind of policy.",
        causes=(_NO_RECIPIENT, _DEBUG, _OTHER_PCR, _PRINCIPAL),
        rules=_AUTHORIZATION_ROWS,
        claim=Claim(
            Evidence.REPORTED,
            "EphemeralML audit on an m6i.xlarge: wrong PCR0, no Recipient, debug mode",
        ),
        role=Role.LAST,
    ),
)
