"""Explanations: what clients say before a request leaves them, and around what KMS answered."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations import snippets
from simulator.explanations.model import Cause, Claim, Explanation, Role, Sdk

_CLI = Claim(Evidence.REPORTED, "run with awscli 1.46.3 and the v2 branch at 2.36.7")
_BOTOCORE = Claim(Evidence.REPORTED, "runs of botocore 1.44 (its parameter validation)")
_WITHOUT_RECIPIENT = (
    *("must be one of: KeyId, Plaintext", "must be one of: KeyId, Message"),
    "must be one of: KeyId, EncryptionContext, KeySpec, NumberOfBytes, GrantTokens, DryRun",
)
_C_SDK = "aws-nitro-enclaves-sdk-c, source/kms.c"
_C_CAUSES = (
    Cause(
        "AccessDeniedException: debug mode (zero PCRs), another PCR0, or the policy",
        "the usual one; compare the policy with `attested-kms inspect` of the document",
    ),
    Cause(
        "InvalidCiphertextException: an RSA key without --key-id and --encryption-algorithm, or a "
        "wrong encryption context",
        "decrypts with another client that passes them",
    ),
    Cause("Expired credentials, or no --aws-session-token", "aws sts get-caller-identity"),
    Cause("The ciphertext's key is of another Region", "--region"),
)

EXPLANATIONS = (
    Explanation(
        id="client.recipient-type",
        error="Invalid type for parameter Recipient, ... valid types: <class 'dict'>; Rust E0308 "
        "expected `RecipientInfo`, found `Blob`",
        texts=(
            "Invalid type for parameter Recipient,",
            "expected `RecipientInfo`,",
            "expected struct `RecipientInfo`,",
            "expected `Option<RecipientInfo>`,",
            "as *types.RecipientInfo value in",
            "cannot be converted to RecipientInfo",
            "is not assignable to type 'RecipientInfo'",
        ),
        meaning="Recipient is a structure with two members; the document alone was given. The "
        "request never left the client.",
        fix="Wrap the document into RecipientInfo, with KeyEncryptionAlgorithm.",
        per_sdk=snippets.RECIPIENT,
        field_note="6",
        correction="The notes call it an API change. Recipient has been RecipientInfo since the "
        "SDKs know it (2023-05-01).",
        claim=Claim(
            Evidence.REPORTED,
            "runs of botocore 1.44 and rustc 1.95 (a stub of the same shape); field notes, bug 6; "
            "the words of Go, Java and TypeScript are their compilers'",
        ),
    ),
    Explanation(
        id="client.recipient-unsupported",
        error='Unknown parameter in input: "Recipient"; Unknown options: --recipient',
        texts=(
            'Unknown parameter in input: "Recipient"',
            "Unknown options: --recipient",
            "no method named `recipient` found",
            "unknown field Recipient in struct literal",
        ),
        meaning="This SDK does not know Recipient for this operation.",
        fix="Upgrade the SDK.",
        per_sdk=snippets.UPGRADE,
        causes=(
            Cause("The SDK is older than 2023-05-01", "its version"),
            Cause(
                "The operation has no Recipient",
                "only Decrypt, DeriveSharedSecret, GenerateDataKey, GenerateDataKeyPair and "
                "GenerateRandom have",
            ),
        ),
        claim=Claim(Evidence.INFERRED, "botocore 1.29.123 lacks the member, 1.29.124 has it"),
    ),
    Explanation(
        id="client.recipient-operation",
        error='Unknown parameter in input: "Recipient", must be one of: KeyId, ...',
        texts=tuple(
            f'Unknown parameter in input: "Recipient", {members}' for members in _WITHOUT_RECIPIENT
        ),
        meaning="This operation has no Recipient: it returns no secret, or none in clear.",
        fix="Take Recipient out of it. Only Decrypt, DeriveSharedSecret, GenerateDataKey, "
        "GenerateDataKeyPair and GenerateRandom have it.",
        causes=(
            Cause("Encrypt, Sign or a ...WithoutPlaintext operation", "the list names its members"),
        ),
        claim=_BOTOCORE,
    ),
    Explanation(
        id="client.recipient-member",
        error='Unknown parameter in Recipient: "attestationDocument", must be one of: '
        "KeyEncryptionAlgorithm, AttestationDocument",
        texts=("Unknown parameter in Recipient:",),
        meaning="A member of Recipient is misspelt. The request never left the client.",
        fix="Write KeyEncryptionAlgorithm and AttestationDocument, with these capitals.",
        per_sdk=snippets.RECIPIENT,
        claim=_BOTOCORE,
    ),
    Explanation(
        id="client.recipient-value",
        error="Invalid type for parameter Recipient.AttestationDocument, ...",
        texts=(
            "Invalid type for parameter Recipient.AttestationDocument",
            "Invalid type for parameter Recipient.KeyEncryptionAlgorithm",
        ),
        meaning="A member of Recipient has the wrong type. The request never left the client.",
        fix="AttestationDocument is bytes, KeyEncryptionAlgorithm the text RSAES_OAEP_SHA_256.",
        per_sdk=snippets.RECIPIENT,
        claim=_BOTOCORE,
    ),
    Explanation(
        id="client.cli-recipient",
        error="AWS CLI: Error parsing parameter '--recipient'; 'in <string>' requires string as "
        "left operand, not int",
        texts=(
            "Error parsing parameter '--recipient'",
            "'in <string>' requires string as left operand, not int",
        ),
        near=("recipient", "kms", "fileb", "aws: [ERROR]"),
        meaning="--recipient is a structure of two members, and got a file or a text. The request "
        "never left the client.",
        fix="Name both members, and read the document with @= from its file.",
        per_sdk={Sdk.CLI: snippets.RECIPIENT[Sdk.CLI]},
        field_note="6",
        claim=_CLI,
    ),
    Explanation(
        id="client.cli-base64",
        error='AWS CLI version 2: Invalid base64: "fileb://doc.bin"',
        texts=('Invalid base64: "',),
        near=("--recipient", "attestationdocument", "fileb"),
        meaning="Inside a structure version 2 reads no file unless @= says so: it took the name "
        "for base64. The request never left the client.",
        fix="Write AttestationDocument@=fileb://doc.bin.",
        per_sdk={Sdk.CLI: snippets.RECIPIENT[Sdk.CLI]},
        claim=_CLI,
    ),
    Explanation(
        id="client.cli-file",
        error="AWS CLI: Unable to load paramfile (doc.bin), text contents could not be decoded.",
        texts=(
            (
                "Unable to load paramfile {}, text contents could not be decoded. If this is a "
                "binary file, please use the fileb:// prefix instead of the file:// prefix"
            ),
            "Unable to load paramfile {}, text contents could not be decoded",
        ),
        near=("recipient", "attestationdocument", "kms"),
        meaning="file:// reads text, and a document is bytes. The request never left the client.",
        fix="Write fileb://, and inside --recipient @=fileb://.",
        per_sdk={Sdk.CLI: snippets.RECIPIENT[Sdk.CLI]},
        claim=Claim(Evidence.REPORTED, "run with awscli 1.46.3"),
    ),
    Explanation(
        id="client.member-case",
        error='Unknown parameter in input: "recipient", must be one of: CiphertextBlob, ...',
        texts=(
            'Unknown parameter in input: "recipient", must be one of: CiphertextBlob{}Recipient',
        ),
        meaning="Members begin with capitals in boto3.",
        fix="Write Recipient.",
        per_sdk={Sdk.PYTHON: snippets.RECIPIENT[Sdk.PYTHON]},
        claim=_BOTOCORE,
    ),
    Explanation(
        id="client.c",
        error="Got non-200 answer from KMS: 400; Could not decrypt ciphertext; Could not decrypt; "
        "exit status 255",
        texts=(
            "Got non-200 answer from KMS",
            "Could not decrypt ciphertext",
            "Could not read response from KMS",
            "kmstool_enclave_cli{}exit status 255",
            "kmstool{}returned non-zero exit status 255",
        ),
        meaning="kmstool prints this for every refusal of KMS, and keeps the reason to itself.",
        fix="Make the reason visible: send the same call to `attested-kms serve` (header "
        "x-attested-kms-rule, GET /calls), or print `response` beside this message in "
        "source/kms.c.",
        causes=_C_CAUSES,
        claim=Claim(
            Evidence.REPORTED,
            f"{_C_SDK}; issues 67, 126; nitro-enclave-blockchain-wallet-on-eks, README",
        ),
        role=Role.WRAPPER,
    ),
    Explanation(
        id="client.c-outside",
        error="Fatal error condition ...: aws_nitro_enclaves_library_seed_entropy(1024) == (0)",
        texts=("aws_nitro_enclaves_library_seed_entropy",),
        meaning="kmstool seeds its random numbers from the NSM, and there is none.",
        fix="Run it inside an enclave, or where attested-kms provides /dev/nsm.",
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-sdk-c, issue 123"),
    ),
    Explanation(
        id="client.c-envelope",
        error="Cannot parse CMS enveloped data.; Cannot decrypt CMS encrypted content",
        texts=("Cannot parse CMS enveloped data", "Cannot decrypt CMS encrypted content"),
        meaning="KMS answered; the C SDK cannot read CiphertextForRecipient.",
        fix="Use the key whose public half is in the document, and an answer of KMS's own form.",
        causes=(
            Cause("The answer is LocalStack's: version 0, issuer and serial", "starts with 30 82"),
            Cause("The client was made anew between document and answer", "log the key's hash"),
        ),
        claim=Claim(Evidence.DOCUMENTED, "aws-nitro-enclaves-sdk-c, source/cms.c"),
    ),
    Explanation(
        id="client.c-vsock",
        error="AWS_IO_SOCKET_INVALID_ADDRESS; can't deal with VSOCK port > UINT16_MAX",
        texts=("AWS_IO_SOCKET_INVALID_ADDRESS", "deal with VSOCK port"),
        meaning="A fault of aws-nitro-enclaves-sdk-c 0.4.0; no request was sent.",
        fix="Use 0.4.1 or later, or 0.3.2.",
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-sdk-c, issue 122"),
    ),
    Explanation(
        id="client.opaque",
        error="KmsDecryptFailed; KMS Error. Decryption Failed.; service error",
        texts=(
            "KmsDecryptFailed",
            "KMS Error. Decryption Failed",
            "Failed to decrypt: service error",
            "KMS{}: service error",
        ),
        meaning="The client hides what KMS answered, or that it answered at all.",
        fix="Print the error with its sources, or look into CloudTrail for the call.",
        per_sdk={
            Sdk.RUST: "DisplayErrorContext(&error), or error.into_service_error()",
            Sdk.GO: "errors.As(err, &apiError); apiError.ErrorCode(), ErrorMessage()",
            Sdk.PYTHON: 'error.response["Error"]',
            Sdk.JAVA: "exception.awsErrorDetails()",
            Sdk.JAVASCRIPT: "error.name, error.message, error.$metadata.requestId",
            Sdk.C: "print the response body in source/kms.c",
            Sdk.CLI: "--debug",
        },
        causes=(
            Cause(
                "The request did not reach KMS",
                "no event in CloudTrail: vsock-proxy, its allowlist, TLS, clock",
            ),
            *_C_CAUSES[:3],
        ),
        claim=Claim(
            Evidence.REPORTED,
            "aws-nitro-enclaves-acm, issue 32; aws-nitro-enclaves-workshop, issue 32; "
            "aws-sdk-rust, issue 1250",
        ),
        role=Role.WRAPPER,
    ),
    Explanation(
        id="client.tls",
        error="Certificate is untrusted (s2n_x509_validator.c); x509: certificate is valid for "
        "kms. ...",
        texts=(
            "Certificate is untrusted{}s2n_x509_validator",
            "x509: certificate is valid for kms.",
        ),
        meaning="The enclave's TLS does not accept the certificate that it was shown.",
        fix="Let the client and vsock-proxy name the same host, kms.REGION.amazonaws.com, also "
        "for a VPC endpoint (private DNS), and put its CA into the image.",
        causes=(
            Cause("The client asks for one Region, vsock-proxy leads to another", "both names"),
            Cause("vsock-proxy leads to an endpoint with another name", "vsock-proxy's arguments"),
            Cause("No CA bundle in the image", "/etc/ssl/certs/ca-certificates.crt"),
            Cause("A fake KMS with a CA of its own", "add its CA to that bundle"),
        ),
        claim=Claim(
            Evidence.REPORTED,
            "aws-nitro-enclaves-cli, issue 610; nitro-enclave-blockchain-wallet-on-eks, README",
        ),
    ),
    Explanation(
        id="client.plaintext-missing",
        error="The answer has no Plaintext, or an empty one",
        texts=("KeyError: 'Plaintext'", "response has no Plaintext"),
        meaning="No error of KMS: with Recipient the secret is in CiphertextForRecipient.",
        fix="Open CiphertextForRecipient with the recipient's private key.",
        per_sdk=snippets.ENVELOPE,
        claim=Claim(Evidence.DOCUMENTED, '"Decrypt", AWS KMS API Reference: null or empty'),
    ),
)
