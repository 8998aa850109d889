"""Grants: what they allow, asked beside the policies of a key.

Pure values; `kms_fake.keys` reads them from moto, where a new grant is effective at once, so that a
grant token adds nothing: it must only be one. Sources: "Grants in AWS KMS" (KMS Developer Guide),
"GrantConstraints" and "CreateGrant" (KMS API Reference), all documented, unless said otherwise. A
grant can only allow; an explicit Deny of a policy still wins. No constraint of a grant asks for an
attestation document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kms_fake.condition_keys import fold_key
from kms_fake.principals import Listed, Match, Principal

_PAIR = "kms:encryptioncontext:"

MOST_PAIRS = 8
"""Pairs in one constraint ("CreateGrant", Constraints)."""
LONGEST_VALUE = 384
"""Characters of "the encryption context value in each constraint" (same place), taken as that of
each pair."""

_EVERY_KEY = frozenset({"CreateGrant", "DescribeKey", "RetireGrant"})
_ENCRYPTING = frozenset({"Decrypt", "Encrypt", "ReEncryptFrom", "ReEncryptTo"})
_GENERATING = frozenset(
    {
        *("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
        *("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"),
    }
)
_OF_USAGE = {
    "ENCRYPT_DECRYPT": _ENCRYPTING,
    "SIGN_VERIFY": frozenset({"Sign", "Verify"}),
    "GENERATE_VERIFY_MAC": frozenset({"GenerateMac", "VerifyMac"}),
    "KEY_AGREEMENT": frozenset({"DeriveSharedSecret"}),
}


def grant_operations(spec: str, usage: str) -> frozenset[str]:
    """What a grant of a key of this spec and usage can allow.

    "The operation must be supported on the KMS key" ("CreateGrant"); which are, is the table of
    "Key spec reference" and "Permissions reference" (KMS Developer Guide).
    """
    fit = _EVERY_KEY | _OF_USAGE.get(usage, frozenset())
    if spec == "SYMMETRIC_DEFAULT":
        return fit | _GENERATING
    return fit if spec.startswith("HMAC_") else fit | {"GetPublicKey"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant of a key, and its constraints, each None where it has none of the kind."""

    grantee: Listed
    """A role's ARN means its sessions too: "users who are authorized to assume the role" ("Creating
    grants"). An account's means what its IAM policies allow (inferred)."""
    operations: frozenset[str]
    """What it allows: `Decrypt`, `GenerateDataKey`, ..."""
    context_equals: Mapping[str, str] | None = None
    """EncryptionContextEquals: the pairs that the request must have, and no other."""
    context_subset: Mapping[str, str] | None = None
    """EncryptionContextSubset: the pairs that the request must have, among others."""
    source_arn: str | None = None
    """SourceArn: the resource on whose behalf the request must be made."""
    unknown_constraint: bool = False
    """Whether it has a constraint of another kind; such a grant allows nothing here."""

    def match(
        self, principal: Principal, operation: str, context: Mapping[str, tuple[str, ...]]
    ) -> Match:
        """How the grant lets `principal` do `operation`; `context` is that of the request.

        Names of pairs are compared without their case, values with it. A constraint on the
        encryption context also binds where an asymmetric key takes none (unknown: the page says
        that it is not applied there, and elsewhere that it cannot be used).
        """
        if operation not in self.operations or not self._constraints_met(context):
            return Match.NONE
        found = self.grantee.match(principal)
        # Whether a boundary or a session policy limits a grant to a user or a session itself is
        # not documented; it does here, which allows less (unknown).
        return Match.NAMED if found is Match.DIRECT else found

    def _constraints_met(self, context: Mapping[str, tuple[str, ...]]) -> bool:
        if self.unknown_constraint:
            return False
        if self.source_arn is not None and context["aws:sourcearn"] != (self.source_arn,):
            return False
        if self.context_equals is None and self.context_subset is None:
            return True
        given = {
            name.removeprefix(_PAIR): frozenset(values)
            for name, values in context.items()
            if name.startswith(_PAIR) and values
        }
        equals, subset = _pairs(self.context_equals), _pairs(self.context_subset)
        if equals is not None and given != equals:
            return False
        return subset is None or subset.items() <= given.items()


def _pairs(constraint: Mapping[str, str] | None) -> dict[str, frozenset[str]] | None:
    """The pairs of a constraint as those of a request are: two values where names differ by case.

    Then both sides must have both (unknown).
    """
    if constraint is None:
        return None
    pairs: dict[str, frozenset[str]] = {}
    for name, value in constraint.items():
        key = fold_key(name)
        pairs[key] = pairs.get(key, frozenset()) | {value}
    return pairs
