"""What must be right beside the two operations, so that their answers are: policies, replicas.

moto does the work of these operations; this is what it gets wrong for them, or would answer where
nothing is simulated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kms_fake import other_refusals
from kms_fake.keys import KmsKey, MotoKeys
from kms_fake.policy import MalformedPolicy, PolicyKind, UnsupportedPolicy, parse_policy

_WITH_RECIPIENT = frozenset({"GenerateDataKeyPair", "GenerateRandom", "DeriveSharedSecret"})


# "Create a key policy", AWS KMS Developer Guide; the pattern of PolicyType in the service model.
_MOST_POLICY_BYTES = 32768
_NO_POLICY_CHARACTER = re.compile(r"[^\t\n\r\x20-\xff]")


def check_key_policy(text: str) -> None:
    """Refuse a key policy that this KMS could not enforce, when it is set.

    Raises KmsRefusal: LimitExceededException for one that is too large,
    MalformedPolicyDocumentException for what is no policy, UnsupportedOperationException for what
    real KMS takes and this evaluator does not.
    """
    stray = _NO_POLICY_CHARACTER.search(text)
    if stray is not None:  # Over the API the service model has refused it before.
        raise other_refusals.POLICY_MALFORMED.refuse(
            f"The policy holds the character {stray[0]!r}; AWS takes tab, line feed, carriage "
            "return and U+0020 to U+00FF."
        )
    size = len(text.encode())
    if size > _MOST_POLICY_BYTES:
        raise other_refusals.POLICY_SIZE.refuse(
            f"The policy has {size} bytes; {_MOST_POLICY_BYTES} is the most."
        )
    try:
        parse_policy(text, PolicyKind.KEY)
    except MalformedPolicy as error:
        raise other_refusals.POLICY_MALFORMED.refuse(str(error)) from error
    except UnsupportedPolicy as error:
        raise other_refusals.POLICY_UNSUPPORTED.refuse(str(error)) from error


def as_object(request: object) -> Mapping[str, object]:
    """The members of a request. Refuses what is no JSON object: moto takes it for an empty one."""
    if not isinstance(request, Mapping):
        raise other_refusals.NOT_AN_OBJECT.refuse("The request is not a JSON object.")
    return request


def check_no_replica(store: MotoKeys, key_id: str) -> None:
    """Refuse ReplicateKey where the key is already ("ReplicateKey", AWS KMS API Reference)."""
    if isinstance(store.named(key_id), KmsKey):
        raise other_refusals.REPLICA.refuse(f"The key is already in {store.region}.")


def refuse_recipient(operation: str, members: Mapping[str, object]) -> None:
    """Refuse Recipient where it is not simulated: an answer without an envelope would be a lie.

    Raises KmsRefusal for GenerateDataKeyPair, GenerateRandom and DeriveSharedSecret with
    Recipient; the other operations of KMS have no such member, and ignore it.
    """
    if operation in _WITH_RECIPIENT and members.get("Recipient") is not None:
        raise other_refusals.RECIPIENT_OPERATION.refuse(
            f"{operation} with Recipient is not simulated; Decrypt and GenerateDataKey are."
        )
