"""The questions behind the rule table: each looks at one call and says what is wrong, or None.

A question about something that is not there refuses, so that it stands on its own: the table may
leave out a row or ask in another order, and nothing is let through that should have been stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kms_fake import recipient_key
from kms_fake.authorization import Denial, denial_text
from kms_fake.call import Call
from kms_fake.keys import SYMMETRIC_DEFAULT, NoSuchKey
from kms_fake.received import ReceivedDocument
from kms_fake.shapes import validation_text


def not_an_object(call: Call) -> str | None:
    return None if isinstance(call.given, Mapping) else "The request is not a JSON object."


def wrong_type(call: Call) -> str | None:
    return not_an_object(call) or (call.wrong_type and f"{call.wrong_type}.")


def violations(call: Call) -> str | None:
    return validation_text(call.violations) if call.violations else None


def modifiers(call: Call) -> str | None:
    return "DryRunModifiers is not simulated." if "DryRunModifiers" in call.members else None


def data_key_size(call: Call) -> str | None:
    one = ("NumberOfBytes" in call.members) != ("KeySpec" in call.members)
    return None if one else "neither or both"


def no_encryption_algorithm(call: Call) -> str | None:
    if call.recipient is None or "EncryptionAlgorithm" in call.members:
        return None
    return "no EncryptionAlgorithm"


def no_key_encryption_algorithm(call: Call) -> str | None:
    if call.recipient is None or "KeyEncryptionAlgorithm" in call.recipient:
        return None
    return "no KeyEncryptionAlgorithm"


def no_document(call: Call) -> str | None:
    if call.recipient is None or "AttestationDocument" in call.recipient:
        return None
    return "You must specify an attestation document in Recipient."


def of_document(
    question: Callable[[ReceivedDocument], str | None],
) -> Callable[[Call], str | None]:
    def ask(call: Call) -> str | None:
        if call.recipient is None:
            return None
        found = "there is no document" if call.document is None else question(call.document)
        return found and f"The attestation document is not valid: {found}."

    return ask


def no_public_key(call: Call) -> str | None:
    return None if call.recipient is None or call.recipient_der else "no public key"


def bad_public_key(call: Call) -> str | None:
    return None if call.recipient is None or call.recipient_key is not None else "not SPKI"


def not_rsa(call: Call) -> str | None:
    if call.recipient is None or recipient_key.is_rsa(call.recipient_key):
        return None
    return "The recipient public key is not an RSA key; KMS documents RSA-2048."


def other_rsa_size(call: Call) -> str | None:
    key = call.recipient_key
    accepted = call.settings.accept_unknown_keys and recipient_key.can_take_envelope(key)
    if call.recipient is None or accepted or recipient_key.has_required_size(key):
        return None
    return "The recipient public key is not an RSA key of 2048 bits; KMS documents RSA-2048."


def no_key_id(call: Call) -> str | None:
    if call.algorithm == SYMMETRIC_DEFAULT or "KeyId" in call.members:
        return None
    return "no KeyId"


def unparsable_ciphertext(call: Call) -> str | None:
    return "" if call.ciphertext_key is None else None


def foreign_ciphertext(call: Call) -> str | None:
    # A KeyId that names nothing has a row of its own.
    if call.ciphertext_key is None:
        return "no key"
    named_by_request = call.ciphertext_key is call.named_key
    unknown = isinstance(call.ciphertext_key, NoSuchKey) and not named_by_request
    return "unknown key" if unknown else None


def key_not_found(call: Call) -> str | None:
    return call.named_key.text if isinstance(call.named_key, NoSuchKey) else None


def wrong_key(call: Call) -> str | None:
    if call.named_key is None:
        return None
    if isinstance(call.named_key, NoSuchKey) or call.key is None:
        return "no key"
    return None if call.named_key.arn == call.key.arn else "another key"


def unknown_grant_token(call: Call) -> str | None:
    tokens = call.members.get("GrantTokens") or ()
    if all(call.store.grant_of_token(token) for token in tokens):
        return None
    return "GrantTokens holds the token of no grant of this account and Region."


def unreadable_policy(call: Call) -> str | None:
    if call.unreadable_policy is None:
        return None
    return f"A policy cannot be evaluated, so nothing is allowed: {call.unreadable_policy}"


def denied(denial: Denial) -> Callable[[Call], str | None]:
    def ask(call: Call) -> str | None:
        access = call.access
        # Emptiness first: it is the common case, and the hash of an enum member is slow.
        if access is not None and not (access.denials and denial in access.denials):
            return None
        arn = call.key.arn if call.key else "*"
        return denial_text(denial, call.caller.principal, call.operation.action, arn)

    return ask


def disabled(call: Call) -> str | None:
    if call.key is None:
        return "*"
    return call.key.arn if call.key.state == "Disabled" else None


def other_state(call: Call) -> str | None:
    if call.key is None:
        return "* is unavailable."
    if call.key.state == "Enabled":
        return None
    words = {"PendingDeletion": "pending deletion", "PendingImport": "pending import"}
    return f"{call.key.arn} is {words.get(call.key.state, call.key.state)}."


def wrong_usage(call: Call) -> str | None:
    if call.key is None:
        return "*"
    if call.key.usage == "ENCRYPT_DECRYPT":
        return None
    operation = call.operation.value
    return f"{call.key.arn} key usage is {call.key.usage} which is not valid for {operation}."


def wrong_algorithm(call: Call) -> str | None:
    algorithms = call.key.encryption_algorithms if call.key else ()
    if call.algorithm in algorithms:
        return None
    spec = call.key.spec if call.key else "*"
    return f"Algorithm {call.algorithm} is incompatible with key spec {spec}."


def asymmetric_context(call: Call) -> str | None:
    if not call.context or (call.key is not None and call.key.is_symmetric):
        return None
    return "a context"


def does_not_open(call: Call) -> str | None:
    return "" if call.plaintext is None else None


def dry_run(call: Call) -> str | None:
    return "dry run" if call.members.get("DryRun") is True else None
