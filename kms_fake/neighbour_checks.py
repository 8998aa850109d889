"""The questions behind `kms_fake.neighbours`: each looks at one request, and says what is wrong.

Unlike those of `kms_fake.checks` they are asked in one order only: a question about the key comes
after the one whether there is such a key, and one about a member after the one about its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from kms_fake import asymmetric, recipient_key
from kms_fake.grants import LONGEST_VALUE, MOST_PAIRS, grant_operations
from kms_fake.keys import KmsKey, NoSuchKey
from kms_fake.neighbour_request import NeighbourRequest as Request
from kms_fake.principals import is_principal
from kms_fake.shapes import validation_text

MOST_TAGS = 50
"""Tags of one key; one more is refused in AWS-validated snapshots of LocalStack."""

MOST_ROTATIONS = 25
""""RotateKeyOnDemand", AWS KMS API Reference; it was 10 when LocalStack's snapshot was made."""

_AES_SIZES = {"NumberOfBytes", "KeySpec"}

# "Key spec reference", AWS KMS Developer Guide. Other specs of the model are not simulated.
_USAGES: Mapping[str, tuple[str, ...]] = {
    "SYMMETRIC_DEFAULT": ("ENCRYPT_DECRYPT",),
    **dict.fromkeys(("RSA_2048", "RSA_3072", "RSA_4096"), ("ENCRYPT_DECRYPT", "SIGN_VERIFY")),
    **dict.fromkeys(
        ("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"), ("SIGN_VERIFY", "KEY_AGREEMENT")
    ),
    "ECC_SECG_P256K1": ("SIGN_VERIFY",),
    **dict.fromkeys(
        ("HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512"), ("GENERATE_VERIFY_MAC",)
    ),
}  # fmt: skip


def wrong_type(request: Request) -> str | None:
    return request.wrong_type and f"{request.wrong_type}."


def violations(request: Request) -> str | None:
    return validation_text(request.violations) if request.violations else None


def given(member: str) -> Callable[[Request], str | None]:
    """Refuses a member that is there."""
    return lambda request: f"{member} is not simulated." if member in request.members else None


def lacks(member: str) -> Callable[[Request], str | None]:
    """Refuses a request without the member."""
    return lambda request: None if member in request.members else f"no {member}"


def data_key_size(request: Request) -> str | None:
    return None if len(_AES_SIZES & set(request.members)) == 1 else "neither or both"


def _key_spec(request: Request) -> str:
    older = request.text("CustomerMasterKeySpec", "SYMMETRIC_DEFAULT")
    return request.text("KeySpec", older)


def not_simulated(request: Request) -> str | None:
    """A spec that moto makes another key for, and the stores that it takes for no matter."""
    spec, origin = _key_spec(request), request.text("Origin", "AWS_KMS")
    if spec not in _USAGES:
        return f"A key of spec {spec} is not simulated."
    if origin not in {"AWS_KMS", "EXTERNAL"}:
        return f"A key of origin {origin} is not simulated."
    return given("CustomKeyStoreId")(request)


def no_usage(request: Request) -> str | None:
    if "KeyUsage" in request.members or _key_spec(request) == "SYMMETRIC_DEFAULT":
        return None
    return "no KeyUsage"


def unfit_usage(request: Request) -> str | None:
    spec = _key_spec(request)
    usage = request.text("KeyUsage", "ENCRYPT_DECRYPT")
    if usage in _USAGES[spec]:
        return None
    return f"KeyUsage {usage} is not compatible with KeySpec {spec}"


def alias_prefix(request: Request) -> str | None:
    return None if request.text("AliasName").startswith("alias/") else "no prefix"


def _tag_keys(request: Request) -> Iterable[str]:
    return [tag["TagKey"] for tag in request.members.get("Tags", ())]


def reserved_tag(request: Request) -> str | None:
    found = (key for key in _tag_keys(request) if key.lower().startswith("aws:"))
    return next(found, None)


def same_tag_twice(request: Request) -> str | None:
    keys = list(_tag_keys(request))
    return None if len(keys) == len(set(keys)) else "twice"


def too_many_tags(request: Request) -> str | None:
    kept = request.key.tag_keys if request.key else frozenset()
    count = len(kept.union(_tag_keys(request)))
    return f"{count} tags" if count > MOST_TAGS else None


def window(request: Request) -> str | None:
    days = request.members.get("PendingWindowInDays", 30)
    return None if 7 <= days <= 30 else f"PendingWindowInDays is {days}; it must be 7 to 30."


def unparsable_ciphertext(request: Request) -> str | None:
    return "" if request.source_key is None else None


def foreign_ciphertext(request: Request) -> str | None:
    unknown = isinstance(request.source_key, NoSuchKey)
    return "unknown key" if unknown and request.named_source_key is None else None


def source_not_found(request: Request) -> str | None:
    named = request.named_source_key
    return named.text if isinstance(named, NoSuchKey) else None


def wrong_source(request: Request) -> str | None:
    named, source = request.named_source_key, request.source_key
    if named is None:
        return None
    if not isinstance(named, KmsKey) or not isinstance(source, KmsKey):
        return "no key"
    return None if named.arn == source.arn else "another key"


def not_found(request: Request) -> str | None:
    return request.named_key.text if isinstance(request.named_key, NoSuchKey) else None


def unknown_grant_token(request: Request) -> str | None:
    tokens = request.members.get("GrantTokens", ()) if "GrantTokens" in request.shape else ()
    if all(request.store.grant_of_token(token) for token in tokens):
        return None
    return "GrantTokens holds the token of no grant of this account and Region."


def grant_to_service(request: Request) -> str | None:
    names = ("GranteeServicePrincipal", "RetiringServicePrincipal")
    return next((f"{name} is not simulated." for name in names if name in request.members), None)


def only_create_grant(request: Request) -> str | None:
    return "CreateGrant" if set(request.members["Operations"]) == {"CreateGrant"} else None


def _context_constraints(request: Request) -> Mapping[str, Mapping[str, str]]:
    """The constraints on the encryption context that are not empty."""
    constraints = request.members.get("Constraints", {})
    names = ("EncryptionContextEquals", "EncryptionContextSubset")
    return {name: constraints[name] for name in names if constraints.get(name)}


def two_constraints(request: Request) -> str | None:
    return "two" if len(_context_constraints(request)) > 1 else None


def large_constraint(request: Request) -> str | None:
    for name, pairs in _context_constraints(request).items():
        if len(pairs) > MOST_PAIRS:
            return f"{name} has {len(pairs)} pairs; {MOST_PAIRS} is the most."
        if any(len(value) > LONGEST_VALUE for value in pairs.values()):
            return f"{name} has a value of more than {LONGEST_VALUE} characters."
    return None


def unfit_constraint(request: Request) -> str | None:
    key = request.key
    if key is None or key.is_symmetric or not _context_constraints(request):
        return None
    return f"{key.arn} is of spec {key.spec}, which takes no encryption context."


def unfit_grant_operation(request: Request) -> str | None:
    key = request.key
    if key is None:
        return None
    unfit = set(request.members["Operations"]) - grant_operations(key.spec, key.usage)
    if not unfit:
        return None
    return f"{key.arn} is of spec {key.spec} and usage {key.usage}, not for {min(unfit)}."


def no_principal(request: Request) -> str | None:
    names = ("GranteePrincipal", "RetiringPrincipal")
    given_names = (request.members[name] for name in names if name in request.members)
    return next((name for name in given_names if not is_principal(name)), None)


def no_grant_named(request: Request) -> str | None:
    if "GrantToken" in request.members or {"KeyId", "GrantId"} <= set(request.members):
        return None
    return "Give GrantToken, or both KeyId and GrantId."


def not_a_grant_token(request: Request) -> str | None:
    if "GrantToken" not in request.members or request.ended_grant is not None:
        return None
    return "GrantToken is the token of no grant of this account and Region."


def no_such_grant(request: Request) -> str | None:
    if request.ended_grant is not None:
        return None
    return f"The key has no grant {request.text('GrantId')}."


def by_alias(request: Request) -> str | None:
    name = request.key_name or ""
    if not (name.startswith("alias/") or ":alias/" in name):
        return None
    return f"{request.operation} takes a key id or a key ARN, no alias."


def in_state(state: str) -> Callable[[Request], str | None]:
    """Refuses a key in that state, by its ARN."""
    return lambda request: next((key.arn for key in request.keys if key.state == state), None)


def not_pending_deletion(request: Request) -> str | None:
    if request.key is None or request.key.state == "PendingDeletion":
        return None
    return request.key.arn


def not_imported(request: Request) -> str | None:
    if request.key is None or request.key.origin == "EXTERNAL":
        return None
    return f"{request.key.arn} origin is {request.key.origin}"


def imported(request: Request) -> str | None:
    if request.key is None or request.key.origin != "EXTERNAL":
        return None
    return f"{request.key.arn} origin is EXTERNAL"


def not_symmetric(request: Request) -> str | None:
    key = request.key
    return None if key is None or key.is_symmetric else f"{key.arn} is of spec {key.spec}."


def not_asymmetric(request: Request) -> str | None:
    key = request.key
    if key is None or not (key.is_symmetric or key.spec.startswith("HMAC_")):
        return None
    return f"{key.arn} is of spec {key.spec}, which has no public key."


def not_primary(request: Request) -> str | None:
    key = request.key
    return None if key is None or key.is_primary else key.arn


def replica(request: Request) -> str | None:
    key = request.key
    return (
        f"{key.arn} is a replica." if key and key.is_multi_region and not key.is_primary else None
    )


def no_pending_material(request: Request) -> str | None:
    key = request.key
    if key is None or key.origin != "EXTERNAL" or key.history.pending is not None:
        return None
    return key.arn


def too_many_rotations(request: Request) -> str | None:
    key = request.key
    return key.arn if key and key.history.rotations >= MOST_ROTATIONS else None


def wrong_usage(usage: str) -> Callable[[Request], str | None]:
    """Refuses a key of another usage."""

    def ask(request: Request) -> str | None:
        found = (key for key in request.keys if key.usage != usage)
        key = next(found, None)
        if key is None:
            return None
        return f"{key.arn} key usage is {key.usage} which is not valid for {request.operation}."

    return ask


def encryption_algorithm(request: Request) -> str | None:
    key, algorithm = request.key, request.encryption_algorithm
    if key is None or algorithm in key.encryption_algorithms:
        return None
    return _incompatible(algorithm, key)


def asymmetric_context(request: Request) -> str | None:
    used = [(request.key, request.encryption_context)]
    if isinstance(request.source_key, KmsKey) and request.operation == "ReEncrypt":
        used.append((request.source_key, request.members.get("SourceEncryptionContext", {})))
    unfit = (key for key, context in used if context and key and not key.is_symmetric)
    return next((key.arn for key in unfit), None)


def signing_algorithm(request: Request) -> str | None:
    return _unfit(request, "SigningAlgorithm", asymmetric.signing_algorithms)


def mac_algorithm(request: Request) -> str | None:
    return _unfit(request, "MacAlgorithm", asymmetric.mac_algorithms)


def _unfit(
    request: Request, member: str, algorithms: Callable[[str], tuple[str, ...]]
) -> str | None:
    key, algorithm = request.key, request.text(member)
    return (
        None if key is None or algorithm in algorithms(key.spec) else _incompatible(algorithm, key)
    )


def _incompatible(algorithm: str, key: KmsKey) -> str:
    return f"Algorithm {algorithm} is incompatible with key spec {key.spec}."


def does_not_open(request: Request) -> str | None:
    return "" if request.reencrypted is None else None


def too_long(request: Request) -> str | None:
    if request.key is None or request.key.is_symmetric:
        return None
    most = request.key.most_rsa_bytes(request.encryption_algorithm)
    if len(request.plaintext) <= most:
        return None
    return (
        f"Algorithm {request.encryption_algorithm} and key spec {request.key.spec} cannot encrypt "
        f"data larger than {most} bytes."
    )


def other_message_type(request: Request) -> str | None:
    kind = request.text("MessageType", "RAW")
    return f"MessageType {kind} is for ML-DSA keys." if kind == "EXTERNAL_MU" else None


def digest_length(request: Request) -> str | None:
    if request.text("MessageType") != "DIGEST":
        return None
    algorithm = request.text("SigningAlgorithm")
    fits = len(request.blob("Message")) == asymmetric.digest_length(algorithm)
    return None if fits else algorithm


def bad_signature(request: Request) -> str | None:
    if request.key is None:
        return ""
    good = asymmetric.is_signature(
        request.key.private_key,
        request.text("SigningAlgorithm"),
        request.blob("Message"),
        request.blob("Signature"),
        is_digest=request.text("MessageType") == "DIGEST",
    )
    return None if good else ""


def bad_mac(request: Request) -> str | None:
    if request.key is None:
        return ""
    made = asymmetric.mac(
        request.key.mac_key, request.text("MacAlgorithm"), request.blob("Message")
    )
    return None if made == request.blob("Mac") else ""


def bad_public_key(request: Request) -> str | None:
    key = recipient_key.read_spki(request.blob("PublicKey"))
    return None if isinstance(key, ec.EllipticCurvePublicKey) else ""


def other_curve(request: Request) -> str | None:
    given_key = recipient_key.read_spki(request.blob("PublicKey"))
    if request.key is None or not isinstance(given_key, ec.EllipticCurvePublicKey):
        return "There is no key to agree with."
    if given_key.curve.name == request.key.private_key.curve.name:
        return None
    return f"PublicKey is on the curve {given_key.curve.name}, the KMS key is {request.key.spec}."


def unknown_pair(request: Request) -> str | None:
    spec = request.text("KeyPairSpec")
    return None if spec in asymmetric.KEY_PAIRS else f"KeyPairSpec {spec} is not simulated."


def dry_run(request: Request) -> str | None:
    asked = "DryRun" in request.shape and request.members.get("DryRun") is True
    return "dry run" if asked else None
