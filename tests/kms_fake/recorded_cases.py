"""What real KMS was recorded to answer to its neighbouring operations.

Short facts from public recordings, each by its name there: the AWS-validated snapshots of
LocalStack (localstack/localstack at 8b9a79f, tests/aws/services/kms/test_kms.snapshot.json), a
test that moto runs against AWS (getmoto/moto at 0af643a, tests/test_kms/test_kms_encrypt.py), and
two errors of AWS quoted in comments of hashicorp/terraform-provider-aws. None was recorded by this
project: the evidence of all is `reported`.

Left out is one snapshot, of March 2025, whose test LocalStack has deleted: RotateKeyOnDemand of a
key with imported material was unsupported then.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.kms_fake import recorded as made
from tests.kms_fake.recorded import ABSENT, ABSENT_MRK, ELSEWHERE, Make, World, arn, attempt, of


@dataclass(frozen=True)
class Recorded:
    """One recorded error; HTTP status 400 in all of them."""

    source: str
    """The test in LocalStack's file and the name of the snapshot in it, or the other source."""
    date: str
    """When it was recorded, if that is known."""
    make: Make
    code: str
    message: str


VALIDATION = "ValidationException"
MISSING = "NotFoundException"
STATE = "KMSInvalidStateException"
USAGE = "InvalidKeyUsageException"
UNSUPPORTED = "UnsupportedOperationException"
CIPHERTEXT = "InvalidCiphertextException"
WRONG_KEY = "IncorrectKeyException"
TAG = "TagException"

NO_KEY = "Key '{key}' does not exist"
PENDING_IMPORT = "{key} is pending import."
NOT_EXTERNAL = "{key} origin is AWS_KMS which is not valid for this operation."
RESERVED_TAG = "Tags beginning with aws: are reserved"
DRY_RUN = "The request would have succeeded, but the DryRun option is set."
INCORRECT = "The key ID in the request does not identify a CMK that can perform this operation."
ALIAS_PREFIX = (
    'Alias must start with the prefix "alias/". Please see '
    "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
)
NO_USAGE = (
    "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
)
NO_VALID_TO = "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"
ONE_PENDING = (
    "New key material (id: {new}) cannot be imported into KMS key {key}, because another key "
    "material (id: {pending}) is pending rotation."
)
NO_MORE_ROTATIONS = (
    "The on-demand rotations limit has been reached for the given keyId. No more on-demand "
    "rotations can be performed for this key: {key}"
)
KEY_SPECS = (
    "RSA_2048, ECC_NIST_P384, ECC_NIST_P256, ECC_NIST_P521, HMAC_384, RSA_3072, ECC_SECG_P256K1, "
    "RSA_4096, SYMMETRIC_DEFAULT, HMAC_256, HMAC_224, HMAC_512"
)
KEY_USAGES = "ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC"
MACS = "HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512"


def constraint(value: str, member: str, must: str) -> str:
    """The text for a value outside its constraint."""
    shown = f"{value} at '{member}'"
    return f"1 validation error detected: {shown} failed to satisfy constraint: Member must {must}"


def not_in(value: str, member: str, values: str) -> str:
    """The text for a value outside its enumeration."""
    return constraint(f"Value '{value}'", member, f"satisfy enum value set: [{values}]")


def not_valid(usage: str, operation: str) -> str:
    """The text for a key of another usage."""
    return f"{{key}} key usage is {usage} which is not valid for {operation}."


def incompatible(algorithm: str, spec: str) -> str:
    """The text for an algorithm that is not the key's."""
    return f"Algorithm {algorithm} is incompatible with key spec {spec}."


_RANDOM = "TestKMS::test_generate_random_invalid_number_of_bytes"
_MAC_KEY = "TestKMS::test_hmac_create_key_invalid_operations/create-hmac-key"
_REGION = "TestKMS::test_get_key_in_different_region/describe-key-diff-region-with"
_ABSENT = "TestKMS::test_get_key_does_not_exist/describe"
_NO_UUID = "TestKMS::test_get_key_invalid_uuid/describe-key-with-invalid-uuid"
_MAC = "TestKMS::test_generate_and_verify_mac"
_BAD_MAC = "TestKMS::test_invalid_verify_mac[HMAC_256"
_RSA_SIZE = "TestKMS::test_encrypt_validate_plaintext_size_per_key_type"
_CONTEXT = "TestKMS::test_encrypt_decrypt_encryption_context/decrypt_response"
_DATA_KEY = "TestKMSGenerateKeys::test_encryption_context_generate_data_key"
_USAGE = "TestKMS::test_error_messaging_for_invalid_keys"
_AGREE = "TestKMS::test_derive_shared_secret/response-invalid"
_PAIR = "TestKMSGenerateKeys::test_generate_data_key_pair"
_TAG = "TestKMS::test_create_key_with_invalid_tag_key"
_IMPORT = "TestKMS::test_import_key_symmetric"
_PARAMETERS = "TestKMS::test_get_parameters_for_import"
_TWO_PENDING = "TestKMS::test_import_key_material_raises_if_there_is_already_key_material_pending"
_ROTATE = "TestKMS::test_rotate_key_on_demand"
_EMPTY = f"{_ROTATE}_on_external_key_with_no_key_material"

_APRIL_23 = "13-04-2023"
_JUNE_23 = "16-06-2023"
_NOVEMBER_23 = "07-11-2023"
_DECEMBER_24 = "25-12-2024"
_MARCH_25 = "08-03-2025"
_SEPTEMBER_25 = "08-09-2025"
_NOVEMBER_25 = "10-11-2025"

_P256 = "ECC_NIST_P256"
_SIGNING = of("SIGN_VERIFY", "RSA_2048")
_AGREEING = "KEY_AGREEMENT"
_MAC_224 = of("GENERATE_VERIFY_MAC", "HMAC_224")
_WRAPPED = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_4096"}
_MESSAGE = {"Message": b"some important message"}
_PLAIN = made.plain
_RSA_4096 = of("ENCRYPT_DECRYPT", "RSA_4096")


def _disabled_rsa(world: World) -> str:
    return world.disabled(KeyUsage="ENCRYPT_DECRYPT", KeySpec="RSA_4096")


def _digest(spec: str, algorithm: str) -> Make:
    members = {**_MESSAGE, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}
    return attempt("sign", of("SIGN_VERIFY", spec), **members)


def _too_long(spec: str, algorithm: str) -> Make:
    members = {"Plaintext": made.LONG, "EncryptionAlgorithm": algorithm}
    return attempt("encrypt", of("ENCRYPT_DECRYPT", spec), **members)


def _mac(spec: str, algorithm: str) -> Make:
    key = of("GENERATE_VERIFY_MAC", spec)
    return attempt("generate_mac", key, **_MESSAGE, MacAlgorithm=algorithm)


REQUESTS = (
    Recorded(f"{_RANDOM}[None]/generate-random-exc", _APRIL_23,
             attempt("generate_random"), VALIDATION, "NumberOfBytes is required."),
    Recorded(f"{_RANDOM}[0]/generate-random-exc", _APRIL_23,
             attempt("generate_random", NumberOfBytes=0), VALIDATION,
             constraint("Value '0'", "numberOfBytes", "have value greater than or equal to 1")),
    Recorded(f"{_RANDOM}[1025]/generate-random-exc", _APRIL_23,
             attempt("generate_random", NumberOfBytes=1025), VALIDATION,
             constraint("Value '1025'", "numberOfBytes", "have value less than or equal to 1024")),
    Recorded("TestKMS::test_create_alias/create_alias", _APRIL_23,
             made.unprefixed_alias, VALIDATION, ALIAS_PREFIX),
    Recorded(f"{_MAC_KEY}-without-key-usage", _APRIL_23,
             attempt("create_key", KeySpec="HMAC_256"), VALIDATION, NO_USAGE),
    Recorded(f"{_MAC_KEY}-invalid-spec", _APRIL_23,
             attempt("create_key", KeySpec="HMAC_random"), VALIDATION,
             not_in("HMAC_random", "keySpec", KEY_SPECS)),
    Recorded(f"{_MAC_KEY}-invalid-key-usage", _APRIL_23,
             attempt("create_key", KeySpec="HMAC_256", KeyUsage="RANDOM"), VALIDATION,
             not_in("RANDOM", "keyUsage", KEY_USAGES)),
    Recorded(f"{_AGREE}-key-spec", _DECEMBER_24,
             attempt("create_key", KeySpec="RSA_2048", KeyUsage=_AGREEING), VALIDATION,
             "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"),
)  # fmt: skip

KEY_NAMES = (
    Recorded(f"{_REGION}-id", _NOVEMBER_25, made.elsewhere(by_arn=False), MISSING, NO_KEY),
    Recorded(f"{_REGION}-arn", _NOVEMBER_25,
             made.elsewhere(by_arn=True), MISSING, f"Invalid arn {ELSEWHERE}"),
    Recorded("TestKMS::test_replicate_key/describe-key-from-different-region", _NOVEMBER_25,
             made.primary_seen_elsewhere, MISSING, NO_KEY),
    *(
        Recorded(f"{_ABSENT}-{snapshot}", _SEPTEMBER_25,
                 attempt("describe_key", made.named(name)), MISSING, NO_KEY)
        for snapshot, name in (
            ("nonexistent-key-with-id", ABSENT),
            ("nonexistent-with-arn", arn(ABSENT)),
            ("key-with-valid-id-mrk", ABSENT_MRK),
        )
    ),
    *(
        Recorded(f"{_NO_UUID}{snapshot}", _NOVEMBER_23,
                 attempt("describe_key", made.named(name)), MISSING, f"Invalid keyId '{name}'")
        for snapshot, name in (
            ("", "fake-key-id"),
            ("-2", "134f2428cec14b25a1ae9048164dba47"),
            ("-mrk", "mrk-fake-key-id"),
        )
    ),
    *(
        Recorded(f"{_MAC}[HMAC_{size}-HMAC_SHA_{size}]/{snapshot}-mac-invalid-key-id",
                 _NOVEMBER_23,
                 attempt(f"{snapshot}_mac", made.named("key_id"), **_MESSAGE, **more,
                         MacAlgorithm=f"HMAC_SHA_{size}"),
                 MISSING, "Invalid keyId 'key_id'")
        for size in (224, 256, 384, 512)
        for snapshot, more in (("generate", {}), ("verify", {"Mac": b"mac"}))
    ),
    Recorded("TestKMS::test_replicate_replica_key_should_fail/fail-replicate-non-primary-key",
             _SEPTEMBER_25, made.replica, UNSUPPORTED,
             "{key} is not a multi-region primary key."),
)  # fmt: skip

SIGNATURES = tuple(
    recorded
    for spec, algorithm in (
        ("RSA_2048", "RSASSA_PSS_SHA_256"),
        ("RSA_2048", "RSASSA_PSS_SHA_384"),
        ("RSA_2048", "RSASSA_PSS_SHA_512"),
        ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_256"),
        ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512"),
        (_P256, "ECDSA_SHA_256"),
        ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
        ("ECC_NIST_P384", "ECDSA_SHA_384"),
    )
    for test in (f"TestKMS::test_sign_verify[{spec}-{algorithm}]",)
    for recorded in (
        Recorded(f"{test}/bad-digest", _APRIL_23, _digest(spec, algorithm), VALIDATION,
                 f"Digest is invalid length for algorithm {algorithm}."),
        Recorded(f"{test}/bad-signature", _APRIL_23,
                 made.bad_signature(spec, algorithm), "KMSInvalidSignatureException", ""),
    )
)  # fmt: skip

MAC_ERRORS = (
    Recorded("TestKMS::test_invalid_generate_mac[HMAC_224-HMAC_SHA_256]/generate-mac", _APRIL_23,
             _mac("HMAC_224", "HMAC_SHA_256"), USAGE, incompatible("HMAC_SHA_256", "HMAC_224")),
    Recorded("TestKMS::test_invalid_generate_mac[HMAC_256-INVALID]/generate-mac", _APRIL_23,
             _mac("HMAC_256", "INVALID"), VALIDATION, not_in("INVALID", "macAlgorithm", MACS)),
    Recorded(f"{_BAD_MAC}-HMAC_SHA_256-some different important message]/verify-mac", _APRIL_23,
             made.bad_mac("HMAC_SHA_256", b"different"), "KMSInvalidMacException", ""),
    Recorded(f"{_BAD_MAC}-HMAC_SHA_512-some important message]/verify-mac", _APRIL_23,
             made.bad_mac("HMAC_SHA_512"), USAGE, incompatible("HMAC_SHA_512", "HMAC_256")),
    Recorded(f"{_BAD_MAC}-INVALID-some important message]/verify-mac", _APRIL_23,
             made.bad_mac("INVALID"), VALIDATION, not_in("INVALID", "macAlgorithm", MACS)),
)  # fmt: skip

ENCRYPTION = (
    *(
        Recorded(f"{_RSA_SIZE}[{spec}-{algorithm}]/generate-random-exc", _APRIL_23,
                 _too_long(spec, algorithm), VALIDATION,
                 f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than "
                 f"{most} bytes.")
        for spec, algorithm, most in (
            ("RSA_2048", "RSAES_OAEP_SHA_1", 214),
            ("RSA_2048", "RSAES_OAEP_SHA_256", 190),
            ("RSA_3072", "RSAES_OAEP_SHA_1", 342),
            ("RSA_3072", "RSAES_OAEP_SHA_256", 318),
            ("RSA_4096", "RSAES_OAEP_SHA_1", 470),
            ("RSA_4096", "RSAES_OAEP_SHA_256", 446),
        )
    ),
    Recorded("TestKMS::test_plaintext_size_for_encrypt/invalid-plaintext-size-encrypt", _APRIL_23,
             attempt("encrypt", _PLAIN, Plaintext=bytes(4097)), VALIDATION,
             constraint("Value", "plaintext", "have length less than or equal to 4096")),
    Recorded(f"{_CONTEXT}_without_encryption_context", "22-09-2025",
             made.decrypt(context=True), CIPHERTEXT, ""),
    Recorded(f"{_CONTEXT}_with_invalid_ciphertext", "22-09-2025",
             made.decrypt(CiphertextBlob=b"x" * 90), CIPHERTEXT, ""),
    *(
        Recorded(f"{_DATA_KEY}{kind}/decrypt-without-encryption-context", _JUNE_23,
                 made.data_key(f"generate_data_key{kind}"), CIPHERTEXT, "")
        for kind in ("", "_without_plaintext", "_pair", "_pair_without_plaintext")
    ),
    Recorded("TestKMS::test_key_rotations_encryption_decryption/bad-ciphertext", "09-02-2026",
             made.spoilt_after_rotation, CIPHERTEXT, ""),
    Recorded("TestKMS::test_re_encrypt_incorrect_source_key/incorrect-source-key", "09-06-2025",
             made.re_encrypt_by_mac_key, WRONG_KEY, INCORRECT),
)  # fmt: skip

USAGES = (
    Recorded(f"{_USAGE}/decrypt-invalid-key-id", _APRIL_23,
             made.decrypt_by_mac_key, WRONG_KEY, INCORRECT),
    Recorded(f"{_USAGE}/generate-mac-invalid-key-id", _APRIL_23,
             attempt("generate_mac", _PLAIN, **_MESSAGE, MacAlgorithm="HMAC_SHA_224"),
             USAGE, not_valid("ENCRYPT_DECRYPT", "GenerateMac")),
    Recorded(f"{_USAGE}/sign-invalid-key-id", _APRIL_23,
             attempt("sign", _MAC_224, **_MESSAGE, SigningAlgorithm="RSASSA_PSS_SHA_256"),
             USAGE, not_valid("GENERATE_VERIFY_MAC", "Sign")),
    Recorded(f"{_USAGE}/verify-invalid-key-id", _APRIL_23,
             attempt("verify", _PLAIN, **_MESSAGE, SigningAlgorithm="ECDSA_SHA_256",
                     Signature=b"random text"),
             USAGE, not_valid("ENCRYPT_DECRYPT", "Verify")),
    Recorded(f"{_USAGE}/encrypt-invalid-key-id", _APRIL_23,
             attempt("encrypt", _SIGNING, Plaintext=b"message"),
             USAGE, not_valid("SIGN_VERIFY", "Encrypt")),
    Recorded(f"{_AGREE}-key-usage", _DECEMBER_24,
             made.agree("SIGN_VERIFY", _P256), USAGE,
             not_valid("SIGN_VERIFY", "DeriveSharedSecret")),
    Recorded(f"{_AGREE}-key", _DECEMBER_24,
             made.agree("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"), USAGE,
             not_valid("ENCRYPT_DECRYPT", "DeriveSharedSecret")),
    Recorded(f"{_AGREE}-key-agreement-algo", _DECEMBER_24,
             made.agree(_AGREEING, _P256, KeyAgreementAlgorithm="INVALID"), VALIDATION,
             not_in("INVALID", "keyAgreementAlgorithm", "ECDH")),
    Recorded(f"{_AGREE}-public-key", _DECEMBER_24,
             made.agree(_AGREEING, _P256, PublicKey=b"InvalidPublicKey"), VALIDATION, ""),
)  # fmt: skip

DRY_RUNS = (
    Recorded(f"{_PAIR}_dry_run/dryrun_exception", "06-04-2025",
             attempt("generate_data_key_pair", _PLAIN, KeyPairSpec="RSA_2048", DryRun=True),
             "DryRunOperationException", DRY_RUN),
    Recorded(f"{_PAIR}_without_plaintext_dry_run/dryrun_exception", "07-04-2025",
             attempt("generate_data_key_pair_without_plaintext", _PLAIN, KeyPairSpec="RSA_2048",
                     DryRun=True),
             "DryRunOperationException", DRY_RUN),
)  # fmt: skip

TAGS = (
    Recorded("TestKMS::test_tag_key_with_duplicate_tag_keys_raises_error/duplicate-tag-keys",
             "17-01-2025", attempt("tag_resource", _PLAIN, Tags=made.tags("tag1", "tag1")),
             TAG, "Duplicate tag keys"),
    Recorded("TestKMS::test_create_key_with_too_many_tags_raises_error/invalid-tag-key",
             "21-01-2025",
             attempt("create_key", Tags=made.tags(*(f"key{at}" for at in range(51)))),
             TAG, "Too many tags"),
    Recorded("TestKMS::test_tag_existing_key_with_invalid_tag_key/invalid-tag-key", "21-01-2025",
             attempt("tag_resource", _PLAIN, Tags=made.tags("aws:key1")), TAG, RESERVED_TAG),
    Recorded(f"{_TAG}[lowercase_prefix]/invalid-tag-key", "22-01-2025",
             attempt("create_key", Tags=made.tags("aws:key1")), TAG, RESERVED_TAG),
    Recorded(f"{_TAG}[uppercase_prefix]/invalid-tag-key", "22-01-2025",
             attempt("create_key", Tags=made.tags("AWS:key1")), TAG, RESERVED_TAG),
    Recorded(f"{_TAG}[too_long_key]/invalid-tag-key", "22-01-2025",
             attempt("create_key", Tags=made.tags("a" * 129)), VALIDATION,
             constraint(f"Value '{'a' * 129}'", "tags.1.member.tagKey",
                        "have length less than or equal to 128")),
    Recorded("TestKMS::test_key_with_long_tag_value_raises_error/too-long-tag-value",
             "21-01-2025", attempt("create_key", Tags=made.tags("tag1", value="v" * 257)),
             VALIDATION,
             constraint(f"Value '{'v' * 257}'", "tags.1.member.tagValue",
                        "have length less than or equal to 256")),
)  # fmt: skip

IMPORTS = (
    Recorded(f"{_IMPORT}/encrypt-before-import-error", _NOVEMBER_25,
             attempt("encrypt", made.external, Plaintext=b"content"), STATE, PENDING_IMPORT),
    Recorded(f"{_IMPORT}/import-expiring-key-without-valid-to", _NOVEMBER_25,
             made.expiring_import, VALIDATION, NO_VALID_TO),
    Recorded(f"{_IMPORT}/encrypt-after-delete-error", _NOVEMBER_25,
             attempt("encrypt", made.deleted_import, Plaintext=b"content"), STATE,
             PENDING_IMPORT),
    Recorded(f"{_PARAMETERS}/response-error", "25-10-2023",
             attempt("get_parameters_for_import", of("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"),
                     **_WRAPPED),
             UNSUPPORTED, NOT_EXTERNAL),
    Recorded(f"{_PARAMETERS}_raises_for_non_external_kms_keys/get-import-parameters-error",
             _NOVEMBER_25,
             attempt("get_parameters_for_import", _PLAIN,
                     **{**_WRAPPED, "WrappingKeySpec": "RSA_2048"}),
             UNSUPPORTED, NOT_EXTERNAL),
    Recorded(f"{_TWO_PENDING}/existing-pending-material-error", _NOVEMBER_25,
             made.third_material, STATE, ONE_PENDING),
)  # fmt: skip

ROTATIONS = (
    Recorded(f"{_ROTATE}_raises_error_given_key_is_disabled/error-response", _MARCH_25,
             attempt("rotate_key_on_demand", _disabled_rsa), "DisabledException",
             "{key} is disabled."),
    Recorded(f"{_ROTATE}_raises_error_given_key_that_does_not_exist/error-response", _MARCH_25,
             attempt("rotate_key_on_demand", made.named(ABSENT)), MISSING, NO_KEY),
    Recorded(f"{_ROTATE}_raises_error_given_non_symmetric_key/error-response", _MARCH_25,
             attempt("rotate_key_on_demand", _RSA_4096), UNSUPPORTED, ""),
    Recorded("TestKMS::test_key_rotations_limits/error-response", "03-04-2025",
             attempt("rotate_key_on_demand", made.rotated_out), "LimitExceededException",
             NO_MORE_ROTATIONS),
    *(
        Recorded(f"{_EMPTY}[{spec}]/rotate-key-on-demand-error-response-{spec}", "05-11-2025",
                 attempt("rotate_key_on_demand", made.external), STATE, PENDING_IMPORT)
        for spec in ("SYMMETRIC_DEFAULT", "RSA_4096")  # Both tests make a symmetric key.
    ),
    Recorded(f"{_ROTATE}_raises_for_no_pending_key_material"
             "/rotate-key-on-demand-invalid-state-error", "19-11-2025",
             attempt("rotate_key_on_demand", World.imported), STATE,
             "No available key material pending rotation for the key: {key}."),
)  # fmt: skip

LOCALSTACK = (
    *(*REQUESTS, *KEY_NAMES, *SIGNATURES, *MAC_ERRORS, *ENCRYPTION, *USAGES, *DRY_RUNS, *TAGS),
    *(*IMPORTS, *ROTATIONS),
)

OTHERS = (
    Recorded("getmoto/moto: test_encrypt_key_with_empty_content", "",
             attempt("encrypt", _PLAIN, Plaintext=b""), VALIDATION,
             constraint("Value", "plaintext", "have length greater than or equal to 1")),
    Recorded("hashicorp/terraform-provider-aws: internal/service/kms/external_key.go", "",
             attempt("disable_key", made.external), STATE, PENDING_IMPORT),
    Recorded("hashicorp/terraform-provider-aws: resource_aws_kms_key.go", "",
             attempt("schedule_key_deletion", World.going), STATE, "{key} is pending deletion."),
)  # fmt: skip
