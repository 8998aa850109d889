"""Policies that have, and have not, the traps in what else is allowed."""

from __future__ import annotations

from tests.simulator.policy_world import (
    ADMINISTRATION,
    ATTESTED,
    DELEGATION,
    DENY_WITHOUT,
    ENCLAVE,
    OWNER,
    PINNED,
    ROOT,
    SAFE_ALLOW,
    Example,
    Pair,
    allow,
    as_enclave,
    deny,
    digest,
    identity,
    one,
    only,
    pcr,
    policy,
    statement,
)


def _open(action: str, *has_not: Example, other: str, by_iam: str) -> Pair:
    """For an action that knows no attestation: who may call it decides."""
    return Pair(
        has=(
            one("to-the-attested", SAFE_ALLOW, as_enclave(action)),
            one("by-wildcard", SAFE_ALLOW, as_enclave(action[:-2] + "*")),
            one("to-others", SAFE_ALLOW, statement(principal={"AWS": OWNER}, action=action)),
            one("by-iam", SAFE_ALLOW, statement(principal={"AWS": ROOT}, action=action)),
            one(
                "by-iam-policy",
                SAFE_ALLOW,
                statement(principal={"AWS": ROOT}, action=action),
                identities=(identity(action),),
                callers=(ENCLAVE,),
            ),
        ),
        has_not=(
            *has_not,
            Example("not-allowed", policy(SAFE_ALLOW)),
            Example(
                "denied",
                policy(
                    SAFE_ALLOW, as_enclave(action), statement("Deny", principal="*", action=action)
                ),
            ),
            Example(
                "iam-does-not-allow",
                policy(SAFE_ALLOW),
                identities=(identity(action),),
                callers=(ENCLAVE,),
            ),
        ),
        severities={"to-others": other, "by-iam": by_iam},
    )


ACTIONS: dict[str, Pair] = {
    "attestation-on-other-action": Pair(
        has=(
            one("never", allow(PINNED, action=["kms:Decrypt", "kms:Sign"])),
            one(
                "always", allow(only("StringEqualsIfExists", pcr(0), digest(0)), action="kms:Sign")
            ),
        ),
        has_not=(
            one("attested", allow(PINNED, action=[*ATTESTED, "kms:GenerateRandom"])),
            one("by-wildcard", allow(PINNED, action=["kms:Decrypt", "kms:GenerateDataKey*"])),
            one("apart", SAFE_ALLOW, as_enclave("kms:Sign")),
        ),
        severities={"never": "warning"},
    ),
    "policy-change-open": _open("kms:PutKeyPolicy", other="info", by_iam="info"),
    "grant-open": _open(
        "kms:CreateGrant",
        Example(
            "denied-to-the-grantee",
            policy(
                DELEGATION,
                SAFE_ALLOW,
                DENY_WITHOUT,
                deny(only("StringNotEquals", pcr(0), digest(0))),
            ),
        ),
        other="warning",
        by_iam="warning",
    ),
    "re-encrypt-open": _open("kms:ReEncryptFrom", other="error", by_iam="warning"),
    "replicate-open": _open("kms:ReplicateKey", other="warning", by_iam="info"),
    "import-open": _open("kms:ImportKeyMaterial", other="warning", by_iam="info"),
    "not-action": Pair(
        has=(
            one(
                "allow",
                SAFE_ALLOW,
                statement(action=False, NotAction="kms:Encrypt", principal={"AWS": OWNER}),
            ),
        ),
        has_not=(
            one("action", SAFE_ALLOW),
            one(
                "deny",
                SAFE_ALLOW,
                statement(
                    "Deny", principal="*", action=False, NotAction=[*ATTESTED, *ADMINISTRATION]
                ),
            ),
        ),
        severities={"allow": "warning"},
    ),
    "not-principal": Pair(
        has=(
            one("allow", SAFE_ALLOW, allow(PINNED, principal=False, NotPrincipal={"AWS": OWNER})),
            one(
                "deny",
                SAFE_ALLOW,
                statement("Deny", principal=False, NotPrincipal={"AWS": ENCLAVE}),
            ),
        ),
        has_not=(
            one("principal", SAFE_ALLOW),
            one(
                "by-condition",
                SAFE_ALLOW,
                deny(only("StringNotEquals", "aws:PrincipalArn", ENCLAVE)),
            ),
        ),
        severities={"deny": "warning"},
    ),
    "deny-locks-out": Pair(
        has=(
            one("every-action", SAFE_ALLOW, deny({"Null": {pcr(0): "true"}}, "kms:*")),
            Example(
                "account-too",
                policy(DELEGATION, deny({"StringNotEquals": {pcr(0): digest(0)}}, "kms:*")),
            ),
        ),
        has_not=(
            one("listed", SAFE_ALLOW, DENY_WITHOUT),
            one(
                "one-principal",
                SAFE_ALLOW,
                statement("Deny", action="kms:*", condition={"Null": {pcr(0): "true"}}),
            ),
        ),
    ),
}
