"""Explanations: requests that KMS refuses for their members, and what it says of its neighbours."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations import snippets
from simulator.explanations.model import Cause, Claim, Explanation

_SNAPSHOTS = Claim(
    Evidence.REPORTED, "AWS-validated snapshots of LocalStack (test_kms.snapshot.json)"
)
_MEMBERS = (
    *("recipient.attestationDocument", "ciphertextBlob", "numberOfBytes", "keyId", "plaintext"),
    *("encryptionAlgorithm", "grantTokens", "encryptionContext", "keyAgreementAlgorithm"),
    *("keyPairSpec", "macAlgorithm", "signingAlgorithm", "keyUsage", "keySpec", "policyName"),
    *("tags.{}.member.tagKey", "tags.{}.member.tagValue", "grantId", "aliasName", "targetKeyId"),
    *("granteePrincipal", "retiringPrincipal", "grantToken", "messageType", "publicKey"),
    *("wrappingAlgorithm", "wrappingKeySpec", "importToken", "encryptedKeyMaterial"),
    *("expirationModel", "importType", "sourceKeyId", "destinationKeyId"),
    *("sourceEncryptionAlgorithm", "destinationEncryptionAlgorithm", "customKeyStoreId"),
    *("replicaRegion", "primaryRegion", "pendingWindowInDays", "rotationPeriodInDays"),
)
"""Those of KMS's members that have constraints, without the names that every service has."""

_GRANT_OPERATIONS = (
    "at 'operations' failed to satisfy constraint: Member must satisfy constraint: "
    "[Member must satisfy enum value set: [{}GenerateDataKey"
)

EXPLANATIONS = (
    Explanation(
        id="request.data-key-size",
        error="ValidationException: Please specify either number of bytes or key spec.",
        texts=("Please specify either number of bytes or key spec",),
        meaning="GenerateDataKey wants KeySpec or NumberOfBytes: one, not both, not none.",
        fix="Set KeySpec to AES_256, and nothing for NumberOfBytes.",
        per_sdk=snippets.DATA_KEY_SIZE,
        causes=(
            Cause("Neither is set", "the proxy dropped the member, or mapped its name to null"),
            Cause("Both are set", "a default of the wrapper beside your own"),
        ),
        field_note="7",
        rules=("data-key.size",),
    ),
    Explanation(
        id="request.constraint",
        error="ValidationException: 1 validation error detected: Value ... at '...' failed to "
        "satisfy constraint: ...",
        texts=(
            *(f"at '{member}' failed to satisfy constraint" for member in _MEMBERS),
            _GRANT_OPERATIONS,
        ),
        near=("validation error", "kms"),
        meaning="The member in quotes is missing, too long, too short or none of its values.",
        fix="Read the constraint in the message: null means missing; lengths are in bytes.",
        causes=(
            Cause("Value null: the member was not sent", "its name on the wire, capitals included"),
            Cause("A value of another operation or spelling", "AES-256 instead of AES_256"),
            Cause("AttestationDocument over 262144 bytes, or empty", "log its length"),
        ),
        rules=("operation.constraint",),
    ),
    Explanation(
        id="request.key-encryption-algorithm-value",
        error="ValidationException: ... Value '...' at 'recipient.keyEncryptionAlgorithm' failed "
        "to satisfy constraint: Member must satisfy enum value set: [RSAES_OAEP_SHA_256]",
        texts=("at 'recipient.keyEncryptionAlgorithm' failed to satisfy constraint",),
        meaning="KeyEncryptionAlgorithm has one value: RSAES_OAEP_SHA_256.",
        fix="Send RSAES_OAEP_SHA_256, and open the envelope with SHA-256 for OAEP and for MGF1.",
        per_sdk=snippets.RECIPIENT,
        causes=(
            Cause("RSAES_OAEP_SHA_1, as clients of 2020 to 2022 sent", "look at Recipient"),
            Cause("SYMMETRIC_DEFAULT, meant for EncryptionAlgorithm", "look at Recipient"),
        ),
        rules=("request.constraint",),
        claim=Claim(Evidence.INFERRED, "KMS's form of such errors; its value list in botocore"),
    ),
    Explanation(
        id="request.key-spec-value",
        error="ValidationException: ... Value 'AES-256' at 'keySpec' failed to satisfy "
        "constraint: Member must satisfy enum value set: [RSA_2048, ...]",
        texts=("Value 'AES{}' at 'keySpec' failed to satisfy constraint",),
        meaning="The value is misspelt. The list in the message is of another operation: "
        "GenerateDataKey takes AES_256 and AES_128.",
        fix="Write AES_256 or AES_128, with an underscore.",
        per_sdk=snippets.DATA_KEY_SIZE,
        rules=("request.constraint",),
        claim=Claim(Evidence.REPORTED, "boto/boto3, issue 3428"),
    ),
    Explanation(
        id="request.object",
        error="SerializationException: the request is not a JSON object",
        meaning="The body is no JSON object.",
        fix="POST a JSON object with Content-Type application/x-amz-json-1.1.",
        causes=(Cause("A list, a string or double-encoded JSON", "log the body"),),
    ),
    Explanation(
        id="request.member-type",
        error="SerializationException: a member has the wrong JSON type",
        texts=("SerializationException",),
        near=("kms", "recipient", "trentservice"),
        meaning="A member of the JSON has another type than the model's, for example Recipient as "
        "a string instead of an object.",
        fix='Recipient is an object: {"KeyEncryptionAlgorithm": ..., "AttestationDocument": '
        '"<base64>"}; blobs are base64 strings; NumberOfBytes is a number.',
        per_sdk=snippets.RECIPIENT,
        causes=(
            Cause("Recipient sent as the document itself", "raw JSON of one's own client"),
            Cause("Bytes as an array of numbers", "a Uint8Array through JSON.stringify"),
        ),
        field_note="6",
        rules=("operation.member-type",),
    ),
    Explanation(
        id="request.dry-run",
        error="DryRunOperationException: The request would have succeeded, but the DryRun option "
        "is set.",
        texts=(
            "The request would have succeeded, but the DryRun option is set",
            "DryRunOperationException",
        ),
        meaning="Success: all checks passed, and DryRun asked for nothing more.",
        fix="Take DryRun out to get the answer.",
        rules=("operation.dry-run",),
    ),
    Explanation(
        id="request.dry-run-modifiers",
        error="UnsupportedOperationException: DryRunModifiers is not simulated",
        meaning="A limit of attested-kms, not of KMS.",
        fix="Leave DryRunModifiers out in tests.",
        rules=("re-encrypt.dry-run-modifiers",),
    ),
    Explanation(
        id="request.region",
        error="InvalidSignatureException: the credential scope names no Region",
        meaning="The Region in the request's signature is none that exists.",
        fix="Set AWS_REGION, or the client's region, to a real one such as us-east-1.",
        causes=(Cause("Unset or misspelt in the enclave, which inherits nothing", "env"),),
    ),
    Explanation(
        id="request.number-of-bytes",
        error="ValidationException: NumberOfBytes is required.",
        texts=("NumberOfBytes is required",),
        meaning="GenerateRandom wants NumberOfBytes.",
        fix="Set NumberOfBytes, 1 to 1024.",
        claim=_SNAPSHOTS,
        rules=("random.length",),
    ),
    Explanation(
        id="request.digest",
        error="ValidationException: Digest is invalid length for algorithm ...",
        texts=("Digest is invalid length for algorithm",),
        meaning="MessageType is DIGEST, and Message is not as long as the algorithm's hash.",
        fix="Hash with the algorithm's own hash, or send MessageType RAW.",
        claim=_SNAPSHOTS,
        rules=("signature.digest",),
    ),
    Explanation(
        id="request.key-usage",
        error="ValidationException: You must specify a KeyUsage value ...; KeyUsage ... is not "
        "compatible with KeySpec ...",
        texts=(
            "You must specify a KeyUsage value for all KMS keys except for symmetric encryption",
            "KeyUsage {} is not compatible with KeySpec",
        ),
        meaning="CreateKey: KeyUsage is missing, or does not go with KeySpec.",
        fix="Set KeyUsage for every KeySpec but SYMMETRIC_DEFAULT.",
        claim=_SNAPSHOTS,
        rules=("create-key.usage-missing", "create-key.usage"),
    ),
    Explanation(
        id="request.alias",
        error='ValidationException: Alias must start with the prefix "alias/".',
        texts=("Alias must start with the prefix alias/",),
        meaning="An alias's name includes its prefix.",
        fix="Write alias/NAME.",
        claim=_SNAPSHOTS,
        rules=("alias.prefix",),
    ),
    Explanation(
        id="request.import",
        error="ValidationException: A validTo date must be set if the ExpirationModel is "
        "KEY_MATERIAL_EXPIRES",
        texts=("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",),
        meaning="ImportKeyMaterial: the material is to expire, and no date says when.",
        fix="Set ValidTo, or ExpirationModel KEY_MATERIAL_DOES_NOT_EXPIRE.",
        claim=_SNAPSHOTS,
        rules=("import.valid-to",),
    ),
    Explanation(
        id="request.tags",
        error="TagException: Duplicate tag keys; Tags beginning with aws: are reserved; Too many "
        "tags",
        texts=(
            "TagException{}Duplicate tag keys",
            "TagException{}Tags beginning with aws: are reserved",
            "TagException{}Too many tags",
        ),
        meaning="CreateKey or TagResource: the tags break a rule.",
        fix="Up to 50 tags, each key once, none that begins with aws:.",
        claim=_SNAPSHOTS,
        rules=("tag.reserved", "tag.twice", "tag.count"),
    ),
    Explanation(
        id="request.primary-key",
        error="UnsupportedOperationException: ... is not a multi-region primary key.",
        texts=("is not a multi-region primary key",),
        meaning="The operation is for the primary of a multi-Region key.",
        fix="Call it with the primary's ARN, in its Region.",
        claim=_SNAPSHOTS,
        rules=("replicate-key.primary",),
    ),
    Explanation(
        id="request.grant-tokens",
        error="InvalidGrantTokenException: a grant token is not valid",
        texts=("InvalidGrantTokenException",),
        meaning="GrantTokens, or GrantToken of RetireGrant, holds what is no grant token.",
        fix="Leave GrantTokens out, or send GrantToken of the answer of CreateGrant, unchanged. A "
        "grant works without its token as soon as all of KMS knows it.",
        causes=(
            Cause("The grant's id in its place", "GrantId is another member of the answer"),
            Cause("The grant was retired or revoked", "aws kms list-grants --key-id ARN"),
            Cause("Another account or Region", "grants are of the key's"),
        ),
        rules=("operation.grant-tokens", "grant.token"),
    ),
    Explanation(
        id="grant.operations",
        error="ValidationException: Grants must not contain only the CreateGrant operation; an "
        "operation that the key does not support",
        texts=("Grants must not contain only the CreateGrant operation",),
        meaning="Operations of CreateGrant holds what a grant of this key cannot allow.",
        fix="Symmetric keys: Decrypt, Encrypt, GenerateDataKey..., ReEncrypt...; RSA keys: no data "
        "keys; Sign and Verify for SIGN_VERIFY; CreateGrant only beside another operation.",
        causes=(Cause("A list for another kind of key", "aws kms describe-key"),),
        rules=("grant.only-create-grant",),
    ),
    Explanation(
        id="grant.constraints",
        error="ValidationException: More than one constraint supplied",
        texts=("More than one constraint supplied",),
        near=("kms", "grant", "validationexception"),
        meaning="Constraints of CreateGrant holds what KMS does not take.",
        fix="EncryptionContextEquals or EncryptionContextSubset, not both; up to 8 pairs; for "
        "symmetric encryption keys only.",
        rules=("grant.constraint-size", "grant.constraint-key"),
    ),
    Explanation(
        id="grant.principal",
        error="InvalidArnException: ARN does not refer to a valid principal: ...",
        texts=("ARN does not refer to a valid principal",),
        meaning="GranteePrincipal or RetiringPrincipal of CreateGrant names nobody.",
        fix="Give the ARN of a user, a role, a role session or an account's root; no group.",
        causes=(
            Cause("A role or session that does not exist", "aws sts get-caller-identity"),
            Cause("A role that is new", "IAM takes seconds to show it to KMS; try again"),
        ),
    ),
    Explanation(
        id="grant.grantee",
        error="ValidationException: CreateGrant without GranteePrincipal",
        meaning="A grant is for somebody.",
        fix="Set GranteePrincipal.",
    ),
    Explanation(
        id="grant.not-found",
        error="NotFoundException: the key has no such grant",
        meaning="RetireGrant or RevokeGrant names a grant that is not there.",
        fix="aws kms list-grants --key-id ARN shows GrantId of each grant of the key.",
        causes=(
            Cause("It was retired or revoked before", "CloudTrail shows who did"),
            Cause("GrantId of another key", "a grant is of one key"),
        ),
    ),
    Explanation(
        id="grant.not-named",
        error="ValidationException: RetireGrant without a grant",
        meaning="RetireGrant names a grant by GrantToken, or by KeyId and GrantId together.",
        fix="Send GrantToken, or both others.",
    ),
    Explanation(
        id="encrypt.length",
        error="ValidationException: Algorithm ... and key spec ... cannot encrypt data larger "
        "than ... bytes.",
        texts=("and key spec {} cannot encrypt data larger than",),
        meaning="The plaintext is too long for this RSA key and padding: 190 bytes for RSA-2048 "
        "with RSAES_OAEP_SHA_256.",
        fix="Encrypt a data key with it and the data with that, or use a symmetric key (4096 "
        "bytes).",
    ),
    Explanation(
        id="replicate-key.exists",
        error="AlreadyExistsException: the key is already in that Region",
        meaning="ReplicateKey: there is a replica in that Region.",
        fix="Use the replica that is there; its key id is the same.",
    ),
)
