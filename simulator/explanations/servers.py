"""Explanations: what `attested-kms serve` and the fake around it refuse, and other emulators."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Cause, Claim, Explanation, Role

_KMS = ("kms", "decrypt", "generatedatakey")

EXPLANATIONS = (
    Explanation(
        id="policy.malformed",
        error="MalformedPolicyDocumentException",
        texts=("MalformedPolicyDocumentException",),
        near=_KMS,
        meaning="The key policy is no valid policy.",
        fix="Mend what the message names; `attested-kms policy check FILE` gives the place.",
        causes=(
            Cause("Principal missing in a statement", "key policies need it, IAM's must not"),
            Cause("A misspelt element or operator", "Statement, Effect, Action, Condition"),
            Cause(
                "A principal that does not exist", "real KMS looks it up, also just after creation"
            ),
        ),
    ),
    Explanation(
        id="policy.lockout",
        error="MalformedPolicyDocumentException: The new key policy will not allow you to update "
        "the key policy in the future.",
        texts=("The new key policy will not allow you to update the key policy in the future",),
        meaning="KMS's guard against lock-out: under the new policy its author could not call "
        "PutKeyPolicy again.",
        fix="Allow kms:PutKeyPolicy to the caller's role or to the account's root, in a statement "
        "without attestation conditions.",
        causes=(
            Cause("Every statement demands attestation", "PutKeyPolicy has no Recipient"),
            Cause("The caller is another role than the one named", "aws sts get-caller-identity"),
        ),
    ),
    Explanation(
        id="policy.principals",
        error="MalformedPolicyDocumentException: Policy contains a statement with one or more "
        "invalid principals.",
        texts=("Policy contains a statement with one or more invalid principals",),
        meaning="KMS looks principals up, and one does not exist.",
        fix="Correct the ARN; after creating a role or user, try again for a minute.",
        causes=(
            Cause("A role or user that was deleted, or not made yet", "aws iam get-role"),
            Cause("An account that does not exist, or a service misspelt", "read the Principals"),
        ),
        claim=Claim(
            Evidence.REPORTED,
            "cookiecutter-openedx-devops, issue 62; minimum-viable-dataspace-on-aws, issue 6",
        ),
    ),
    Explanation(
        id="policy.unsupported",
        error="UnsupportedOperationException: the policy uses what is not evaluated",
        meaning="A limit of attested-kms: real KMS takes this policy; here it would be ignored.",
        fix="Use what AWS documents for key policies, or test this policy on real KMS.",
    ),
    Explanation(
        id="policy.size",
        error="LimitExceededException: the key policy is larger than 32,768 bytes",
        meaning="A key policy holds 32 KB at the most, white space included.",
        fix="Leave the white space out; name roles by one statement, not one statement each.",
    ),
    Explanation(
        id="fake.limit",
        error="UnsupportedOperationException of attested-kms: not simulated",
        meaning="A limit of attested-kms: real KMS does this, and here it would be done wrongly.",
        fix="Leave it out in tests, or test it on real KMS; the README lists what is not there.",
        rules=(
            *("random.key-store", "create-key.kind", "key-pair.spec", "signature.message-type"),
            "grant.service-principal",
            *("import.expires", "import.wrapping"),
        ),
        claim=Claim(Evidence.UNKNOWN, "the README's list of known limits"),
    ),
    Explanation(
        id="deletion.window",
        error="ValidationException: PendingWindowInDays is out of its bounds",
        meaning="A key waits 7 to 30 days for its deletion.",
        fix="Set PendingWindowInDays to 7 at least, 30 at most, or leave it out (30).",
    ),
    Explanation(
        id="public-key.none",
        error="UnsupportedOperationException: GetPublicKey of a key that has none",
        meaning="Symmetric and HMAC keys have no public key.",
        fix="Use an asymmetric key. The enclave's own public key is not in KMS: it makes its own.",
    ),
    Explanation(
        id="agreement.public-key",
        error="ValidationException, with an empty message, of DeriveSharedSecret",
        meaning="PublicKey is no DER SubjectPublicKeyInfo, or not on the key's curve.",
        fix="Send the peer's public key as DER SubjectPublicKeyInfo, of the KMS key's curve.",
        texts=(
            "ValidationException{}calling the DeriveSharedSecret operation",
            "KMS: DeriveSharedSecret{}ValidationException",
        ),
        rules=("agreement.curve",),
        role=Role.LAST,
    ),
    Explanation(
        id="import.token",
        error="InvalidImportTokenException",
        texts=("InvalidImportTokenException",),
        meaning="ImportToken is not one that KMS gave for this key.",
        fix="Use ImportToken and PublicKey of one and the same GetParametersForImport.",
    ),
    Explanation(
        id="import.material",
        error="IncorrectKeyMaterialException",
        texts=("IncorrectKeyMaterialException",),
        meaning="These bytes are no material for this key, or not those that it had before.",
        fix="Import the bytes of the first import again. For another material make a new key; a "
        "symmetric one takes ImportType NEW_KEY_MATERIAL.",
        causes=(
            Cause(
                "Material was imported before and deleted, and this is another",
                "CloudTrail: DeleteImportedKeyMaterial",
            ),
            Cause(
                "The length or form does not fit the key's spec",
                "32 bytes for SYMMETRIC_DEFAULT, PKCS#8 DER for asymmetric keys",
            ),
            Cause("NEW_KEY_MATERIAL with bytes that the key has already", "ImportType"),
        ),
    ),
    Explanation(
        id="import.ciphertext",
        error="InvalidCiphertextException of ImportKeyMaterial, with an empty message",
        texts=(
            "InvalidCiphertextException{}calling the ImportKeyMaterial operation",
            "KMS: ImportKeyMaterial{}InvalidCiphertextException",
        ),
        meaning="EncryptedKeyMaterial does not open with the wrapping key of this ImportToken.",
        fix="Encrypt with the PublicKey and by the WrappingAlgorithm of the same "
        "GetParametersForImport that gave ImportToken.",
        causes=(
            Cause("SHA-1 for OAEP or MGF1 where SHA-256 was asked for", "OpenSSL's default"),
            Cause("The material itself, or its base64, was sent", "RSA_2048 gives 256 bytes"),
            Cause("PublicKey and ImportToken of two calls", "each call gives new ones"),
        ),
    ),
    Explanation(
        id="operation.object",
        error="SerializationException: the request is not a JSON object",
        meaning="The body is no JSON object.",
        fix="POST a JSON object, {} where the operation takes nothing.",
    ),
    Explanation(
        id="caller.inactive-key",
        error="UnrecognizedClientException: the access key is inactive or deleted",
        texts=(
            "UnrecognizedClientException",
            "The security token included in the request is invalid",
        ),
        near=_KMS,
        meaning="AWS does not know these credentials (any more).",
        fix="Get new credentials for the enclave: the parent hands them over, and they expire.",
        causes=(
            Cause("The session's credentials were not renewed", "ExpiredTokenException says so"),
            Cause("AWS_SESSION_TOKEN missing or of another session", "all three go together"),
            Cause("Credentials of another partition", "aws-cn and aws-us-gov have their own"),
        ),
    ),
    Explanation(
        id="caller.expired",
        error="ExpiredTokenException: The security token included in the request is expired",
        texts=("The security token included in the request is expired", "ExpiredTokenException"),
        near=_KMS,
        meaning="The session is over.",
        fix="Hand new credentials to the enclave before they expire.",
        claim=Claim(Evidence.DOCUMENTED, '"Common Error Types", AWS KMS API Reference'),
    ),
    Explanation(
        id="caller.clock",
        error="InvalidSignatureException: Signature expired: ... is now earlier than ...",
        texts=(
            "InvalidSignatureException{}Signature expired",
            "Signature expired:{}is now earlier",
        ),
        near=_KMS,
        meaning="The clock of the machine that signs is more than five minutes off.",
        fix="Set the clock; in an enclave it comes from the hypervisor, in a container from the "
        "host.",
        rules=("request.region",),
        claim=Claim(Evidence.REPORTED, "a log of credstash: KMS Decrypt, (... - 5 min.)"),
    ),
    Explanation(
        id="http.authentication",
        error="MissingAuthenticationTokenException",
        texts=("MissingAuthenticationTokenException",),
        near=_KMS,
        meaning="The request has no Signature Version 4 Authorization header.",
        fix="Call through an SDK, with any access key and secret: attested-kms checks none.",
        causes=(Cause("curl or a health check", "look for an Authorization header"),),
    ),
    Explanation(
        id="http.operation",
        error="UnknownOperationException",
        texts=("UnknownOperationException",),
        near=_KMS,
        meaning="X-Amz-Target names no operation, or the method is not POST.",
        fix="POST with X-Amz-Target: TrentService.OPERATION.",
    ),
    Explanation(
        id="http.service",
        error="UnknownServiceException: this service is not served here",
        meaning="attested-kms answers kms, iam and sts only.",
        fix="Set AWS_ENDPOINT_URL_KMS instead of AWS_ENDPOINT_URL, so that other services go on "
        "elsewhere.",
    ),
    Explanation(
        id="http.moto",
        error="ValidationException: moto could not answer",
        meaning="A limit of attested-kms: moto, which does the operations beside the attested "
        "ones, did not foresee this request.",
        fix="Compare the request with the API's reference; if it is right, report it.",
    ),
    Explanation(
        id="http.protocol",
        error="BadRequestException: the request was not read",
        meaning="What came is no HTTP/1.1 request.",
        fix="Use http://, not https://, unless the server was given a certificate.",
        causes=(Cause("TLS to a plain port", "the first byte is 0x16"),),
    ),
    Explanation(
        id="http.body",
        error="SerializationException: the body could not be read",
        meaning="The body is shorter than Content-Length, or no JSON.",
        fix="Send the whole body, with its length in bytes.",
    ),
    Explanation(
        id="http.length",
        error="RequestEntityTooLargeException",
        meaning="The body is over 2 MiB; no request of KMS is that long.",
        fix="Send the document itself, at most 262144 bytes.",
    ),
    Explanation(
        id="http.timeout",
        error="RequestTimeoutException",
        meaning="The rest of the body did not come in time.",
        fix="Look for a proxy that holds back bytes, or a wrong Content-Length.",
    ),
    Explanation(
        id="emulator.localstack-ciphertext",
        error="InvalidCiphertextException: LocalStack is unable to deserialize the ciphertext "
        "blob.",
        texts=(
            "InvalidCiphertextException: LocalStack is unable to deserialize the ciphertext blob",
            "LocalStack is unable to deserialize the ciphertext blob",
        ),
        meaning="LocalStack's own text: the blob is not in its format. Real KMS says nothing here.",
        fix="Encrypt with the same endpoint that decrypts.",
        rules=("ciphertext.unparsable",),
        claim=Claim(Evidence.REPORTED, "localstack/localstack, issue 11313"),
    ),
    Explanation(
        id="emulator.localstack-recipient",
        error="InternalError: exception while calling kms.Decrypt: 'AttestationDocument'",
        texts=("exception while calling kms.Decrypt: 'AttestationDocument'",),
        meaning="LocalStack's own text: Recipient without AttestationDocument. It checks nothing "
        "of the document: what it takes, real KMS may refuse.",
        fix="Put AttestationDocument into Recipient, and test against attested-kms.",
        rules=("recipient.attestation-document",),
        claim=Claim(Evidence.REPORTED, "a run of localstack-core 2026.3.0; its kms/provider.py"),
    ),
)
