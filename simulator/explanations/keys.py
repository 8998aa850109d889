"""Explanations: ciphertexts, key ids, and the state and usage of keys."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Cause, Claim, Explanation, Role, Sdk

_SNAPSHOTS = "AWS-validated snapshots of LocalStack (test_kms.snapshot.json)"
_KMS = ("kms", "decrypt", "generatedatakey")
_ONE_WORD = "InvalidCiphertextException"
_KEY_ARNS = tuple(f"arn:{partition}:kms:{{}}" for partition in ("aws", "aws-us-gov", "aws-cn"))

EXPLANATIONS = (
    Explanation(
        id="ciphertext.decryption",
        error="InvalidCiphertextException, with an empty message",
        texts=(_ONE_WORD,),
        meaning="KMS knows the key, and the ciphertext does not open with it.",
        fix="Send the EncryptionContext of Encrypt or GenerateDataKey again, exactly; for an RSA "
        "key send KeyId and EncryptionAlgorithm too.",
        per_sdk={
            Sdk.C: "kmstool_enclave_cli decrypt --key-id ARN "
            "--encryption-algorithm RSAES_OAEP_SHA_256 for an RSA key",
            Sdk.CLI: "--encryption-context name=value; --ciphertext-blob fileb://blob.bin",
            Sdk.JAVASCRIPT: "the SDK prints UnknownError for the empty message",
        },
        causes=(
            Cause(
                "EncryptionContext missing or different, in a value's case or spaces too",
                "CloudTrail shows the context of the call that encrypted",
            ),
            Cause(
                "The key is asymmetric, and EncryptionAlgorithm is missing",
                "the ciphertext is as long as the key: 256 bytes for RSA-2048",
            ),
            Cause("The ciphertext was changed or cut", "compare lengths and hashes"),
        ),
        rules=("re-encrypt.decryption",),
    ),
    Explanation(
        id="ciphertext.unparsable",
        error="InvalidCiphertextException, with an empty message",
        texts=(_ONE_WORD,),
        meaning="CiphertextBlob is nothing that KMS wrote: it names no key.",
        fix="Send the bytes of CiphertextBlob themselves, decoded once.",
        per_sdk={
            Sdk.PYTHON: "CiphertextBlob=base64.b64decode(text)",
            Sdk.GO: "base64.StdEncoding.DecodeString(text)",
            Sdk.RUST: "Blob::new(base64_decoded)",
            Sdk.JAVA: "SdkBytes.fromByteArray(Base64.getDecoder().decode(text))",
            Sdk.JAVASCRIPT: 'Buffer.from(text, "base64")',
            Sdk.C: "kmstool_enclave_cli --ciphertext takes base64, once",
            Sdk.CLI: "--ciphertext-blob fileb://blob.bin, not the base64 text in version 1",
        },
        causes=(
            Cause("base64 text given as bytes", "the first bytes are the letters AQIC"),
            Cause("A ciphertext of the AWS Encryption SDK", "its base64 starts with AYAD or AgV4"),
            Cause("A ciphertext of another KMS or emulator", "where was it encrypted?"),
            Cause("CiphertextForRecipient sent back to KMS", "starts with 30 80"),
        ),
        rules=("re-encrypt.unparsable",),
    ),
    Explanation(
        id="ciphertext.foreign-key",
        error="AccessDeniedException: The ciphertext refers to a customer master key that does "
        "not exist, does not exist in this region, or you are not allowed to access.",
        texts=(
            (
                "The ciphertext refers to a customer master key that does not exist, does not "
                "exist in this region, or you are not allowed to access"
            ),
        ),
        meaning="The ciphertext names a key that this account and Region do not have, or that the "
        "caller may not use.",
        fix="Call the Region of the key; pass KeyId with the full ARN, so that the answer says "
        "which of the three it is.",
        causes=(
            Cause("Another Region", "the key's ARN names its Region; endpoint and client, theirs"),
            Cause("Credentials of another account or role", "aws sts get-caller-identity"),
            Cause("No kms:Decrypt on this key", "GenerateDataKey works with the same credentials"),
            Cause("The key is deleted", "aws kms describe-key --key-id ARN"),
        ),
        rules=("re-encrypt.foreign-key",),
    ),
    Explanation(
        id="key-id.missing",
        error="ValidationException: KeyId must not be null",
        texts=("KeyId must not be null",),
        near=(*_KMS, "validationexception"),
        meaning="EncryptionAlgorithm is one of RSA, whose ciphertexts do not name their key.",
        fix="Pass KeyId, the ARN of the key that encrypted, beside EncryptionAlgorithm.",
    ),
    Explanation(
        id="key-id.not-found",
        error="NotFoundException: Key '...' does not exist; Invalid keyId '...'; Invalid arn ...; "
        "Alias ... is not found.",
        texts=(
            *(f"Key '{arn}' does not exist" for arn in _KEY_ARNS),
            "NotFoundException{}Invalid keyId",
            "NotFoundException{}Invalid arn",
            *(f"Alias {arn} is not found" for arn in _KEY_ARNS),
            "Invalid keyId",
        ),
        near=("kms", "key", "notfoundexception"),
        meaning="KeyId names no key of this account in this Region.",
        fix="Use the full key ARN, and a client of its Region.",
        causes=(
            Cause("The client's Region is another", "Invalid arn REGION says so"),
            Cause("A name that is no key id, ARN or alias/...", "Invalid keyId says so"),
            Cause("Another account", "the ARN in the message names the account that was searched"),
            Cause("The server of the test was started anew, and its keys are gone", "create them"),
        ),
        rules=("operation.key-not-found", "re-encrypt.source-not-found"),
    ),
    Explanation(
        id="key-id.mismatch",
        error="IncorrectKeyException: The key ID in the request does not identify a CMK that can "
        "perform this operation.",
        texts=(
            "The key ID in the request does not identify a CMK that can perform this operation",
            "IncorrectKeyException",
        ),
        meaning="KeyId names another key than the one that encrypted.",
        fix="Pass the ARN of the key that encrypted, or treat it as an attack: who chose the blob?",
        causes=(
            Cause("An alias that points to a new key since", "aws kms describe-key alias/..."),
            Cause("Ciphertexts of two keys or Regions mixed up", "log KeyId when encrypting"),
            Cause("The host swapped the ciphertext", "KeyId set in the enclave is what caught it"),
        ),
        rules=("re-encrypt.source-key",),
    ),
    Explanation(
        id="operation.alias",
        error="NotFoundException: the operation takes a key id or a key ARN, no alias; of "
        "CreateGrant InvalidArnException: Key Aliases are not supported for this operation.",
        texts=("Key Aliases are not supported for this operation",),
        meaning="KeyId is an alias, and this operation does not look aliases up.",
        fix="Take KeyId from `aws kms describe-key --key-id alias/NAME`, which does.",
        rules=("grant.alias",),
    ),
    Explanation(
        id="key.disabled",
        error="DisabledException: ... is disabled.",
        texts=("DisabledException", *(f"{arn} is disabled" for arn in _KEY_ARNS)),
        near=_KMS,
        meaning="The key is disabled.",
        fix="aws kms enable-key --key-id ARN",
        causes=(Cause("Somebody disabled it", "CloudTrail: DisableKey"),),
        rules=("operation.disabled",),
    ),
    Explanation(
        id="key.state",
        error="KMSInvalidStateException: ... is pending deletion. (or pending import)",
        texts=(
            "KMSInvalidStateException",
            *(f"{arn} is pending deletion" for arn in _KEY_ARNS),
            *(f"{arn} is pending import" for arn in _KEY_ARNS),
        ),
        meaning="The key is in a state in which it cannot be used.",
        fix="pending deletion: aws kms cancel-key-deletion, then enable-key. pending import: "
        "import the key material.",
        causes=(
            Cause("pending deletion", "aws kms describe-key shows DeletionDate"),
            Cause("pending import: no key material, or it has expired", "Origin is EXTERNAL"),
            Cause("Its key store is disconnected", "aws kms describe-custom-key-stores"),
        ),
        rules=("operation.pending-import", "operation.pending-deletion"),
    ),
    Explanation(
        id="deletion.not-pending",
        error="KMSInvalidStateException: ... is not pending deletion.",
        texts=tuple(f"{arn} is not pending deletion" for arn in _KEY_ARNS),
        meaning="CancelKeyDeletion: nobody waits for this key's deletion.",
        fix="Nothing is to be cancelled. If the key does not work, `aws kms describe-key` shows "
        "its state; `aws kms enable-key` if that is Disabled.",
        causes=(
            Cause("It was cancelled already; the key is Disabled since", "CloudTrail"),
            Cause("Another key or Region", "the ARN in the message"),
        ),
    ),
    Explanation(
        id="key.usage",
        error="InvalidKeyUsageException: ... key usage is ... which is not valid for ...",
        texts=("key usage is {} which is not valid for", "InvalidKeyUsageException"),
        meaning="The key was created for something else, for example SIGN_VERIFY.",
        fix="Use a key with KeyUsage ENCRYPT_DECRYPT; GenerateDataKey wants a symmetric one. The "
        "usage of a key cannot be changed.",
        causes=(
            Cause("A signing or MAC key", "aws kms describe-key shows KeyUsage and KeySpec"),
            Cause("The wrong alias", "aws kms list-aliases"),
        ),
        rules=(
            "operation.usage-encrypt-decrypt",
            "operation.usage-sign-verify",
            "operation.usage-generate-verify-mac",
            "operation.usage-key-agreement",
            "data-key.key-spec",
        ),
    ),
    Explanation(
        id="key.algorithm",
        error="InvalidKeyUsageException: Algorithm ... is incompatible with key spec ...",
        texts=(
            "Algorithm RSAES_{} is incompatible with key spec",
            "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec",
            "Algorithm SM2PKE is incompatible with key spec",
        ),
        meaning="EncryptionAlgorithm does not fit the key, or is missing for an RSA key; "
        "GenerateDataKey wants a symmetric key.",
        fix="Symmetric keys: SYMMETRIC_DEFAULT or nothing. RSA keys: RSAES_OAEP_SHA_256, or the "
        "algorithm that encrypted.",
        per_sdk={
            Sdk.RUST: ".encryption_algorithm(EncryptionAlgorithmSpec::RsaesOaepSha256)",
            Sdk.GO: "EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256",
            Sdk.PYTHON: 'EncryptionAlgorithm="RSAES_OAEP_SHA_256"',
            Sdk.JAVA: ".encryptionAlgorithm(EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256)",
            Sdk.JAVASCRIPT: 'EncryptionAlgorithm: "RSAES_OAEP_SHA_256"',
            Sdk.C: "--encryption-algorithm RSAES_OAEP_SHA_256 with --key-id",
            Sdk.CLI: "--encryption-algorithm RSAES_OAEP_SHA_256",
        },
        causes=(Cause("An algorithm of RSA with a symmetric key, or the reverse", "describe-key"),),
        rules=("encrypt.algorithm",),
    ),
    Explanation(
        id="key.encryption-context",
        error="ValidationException: EncryptionContext is not supported when encrypting/decrypting "
        "with asymmetric CMKs.",
        texts=("EncryptionContext is not supported when encrypting/decrypting with asymmetric",),
        meaning="Only symmetric encryption keys take an EncryptionContext, and this one is not.",
        fix="Leave EncryptionContext out and bind what it said inside the plaintext, or encrypt "
        "under a key of spec SYMMETRIC_DEFAULT.",
        causes=(Cause("Code written for a symmetric key", "describe-key shows KeySpec"),),
        rules=("encrypt.encryption-context",),
    ),
    Explanation(
        id="key.mac-algorithm",
        error="InvalidKeyUsageException: Algorithm ... is incompatible with key spec ...",
        texts=("Algorithm HMAC_{} is incompatible with key spec",),
        meaning="MacAlgorithm does not fit the HMAC key's size.",
        fix="Use the algorithm of the key's KeySpec: HMAC_SHA_256 for HMAC_256.",
        claim=Claim(Evidence.REPORTED, _SNAPSHOTS),
        rules=("mac.algorithm",),
    ),
    Explanation(
        id="signature.algorithm",
        error="InvalidKeyUsageException: Algorithm ECDSA_... (or RSASSA_...) is incompatible with "
        "key spec ...",
        texts=(
            "Algorithm ECDSA_{} is incompatible with key spec",
            "Algorithm RSASSA_{} is incompatible with key spec",
        ),
        meaning="SigningAlgorithm does not fit the key of Sign or Verify.",
        fix="Use one of SigningAlgorithms of `aws kms get-public-key`: RSASSA_... for RSA keys, "
        "ECDSA_SHA_256 for ECC_NIST_P256, _384 for P384, _512 for P521.",
    ),
    Explanation(
        id="key.origin",
        error="UnsupportedOperationException: ... origin is ... which is not valid for this "
        "operation.",
        texts=("origin is {} which is not valid for this operation",),
        near=(*_KMS, "unsupportedoperationexception"),
        meaning="The operation is for keys of another origin: imported ones, or KMS's own.",
        fix="aws kms describe-key shows Origin; create a key with the one you need.",
        claim=Claim(Evidence.REPORTED, _SNAPSHOTS),
        rules=("operation.origin", "rotation.origin"),
    ),
    Explanation(
        id="key.rotation",
        error="KMSInvalidStateException, LimitExceededException: on-demand rotation",
        texts=(
            "The on-demand rotations limit has been reached for the given keyId",
            "No available key material pending rotation for the key",
            "cannot be imported into KMS key{}is pending rotation",
        ),
        meaning="Rotation on demand: the limit is reached, or key material is missing or waiting.",
        fix="aws kms list-key-rotations --key-id ARN; import or rotate the pending material first.",
        claim=Claim(Evidence.REPORTED, _SNAPSHOTS),
        rules=("rotation.no-material", "rotation.limit", "import.pending"),
    ),
    Explanation(
        id="rotation.key-spec",
        error="UnsupportedOperationException of RotateKeyOnDemand or EnableKeyRotation, with an "
        "empty message",
        texts=tuple(
            text
            for name in ("RotateKeyOnDemand", "EnableKeyRotation")
            for text in (
                f"UnsupportedOperationException{{}}calling the {name} operation",
                f"KMS: {name}{{}}UnsupportedOperationException",
            )
        ),
        meaning="The key is asymmetric or an HMAC key: KMS rotates symmetric encryption keys only.",
        fix="Make a new key, and let the alias point to it: aws kms update-alias.",
        causes=(Cause("Not a key of spec SYMMETRIC_DEFAULT", "aws kms describe-key: KeySpec"),),
        role=Role.LAST,
    ),
    Explanation(
        id="rotation.replica",
        error="UnsupportedOperationException: rotation of a replica key",
        meaning="A multi-Region key is rotated at its primary; the replicas follow.",
        fix="Call it with the primary's ARN, in its Region: PrimaryKey in `aws kms describe-key`.",
    ),
    Explanation(
        id="key.signature",
        error="KMSInvalidSignatureException, KMSInvalidMacException, with an empty message",
        texts=("KMSInvalidSignatureException", "KMSInvalidMacException"),
        meaning="Verify or VerifyMac: signature or MAC is not of this message, key and algorithm.",
        fix="Use the same MessageType, algorithm and key as when it was made.",
        claim=Claim(Evidence.REPORTED, _SNAPSHOTS),
        rules=("signature.invalid", "mac.invalid"),
    ),
)
