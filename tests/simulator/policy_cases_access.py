"""Policies that have, and have not, the traps in who is let in."""

from __future__ import annotations

from tests.simulator.policy_world import (
    ACCOUNT,
    ADMINISTRATION,
    ADMINISTRATORS,
    DELEGATION,
    DENY_OTHERS,
    DENY_WITHOUT,
    ENCLAVE,
    OWNER,
    PINNED,
    ROOT,
    SAFE_ALLOW,
    ZEROS,
    Example,
    Pair,
    allow,
    as_admin,
    as_enclave,
    deny,
    digest,
    identity,
    measured,
    one,
    only,
    pcr,
    policy,
    statement,
)

ACCESS: dict[str, Pair] = {
    "no-attestation": Pair(
        has=(
            Example("default-policy", policy(DELEGATION)),
            one("unconditional", statement()),
            one("only-a-context", allow(only("StringEquals", "kms:EncryptionContext:app", "x"))),
        ),
        has_not=(
            one("pinned", SAFE_ALLOW),
            Example("nobody-uses-it", policy(ADMINISTRATORS)),
        ),
    ),
    "unconditional-allow": Pair(
        has=(
            one("same-principal", SAFE_ALLOW, statement()),
            one("other-principal", SAFE_ALLOW, statement(principal={"AWS": OWNER})),
            one("administrator-of-all", SAFE_ALLOW, as_admin("kms:*")),
            one(
                "only-a-context",
                SAFE_ALLOW,
                allow(only("StringEquals", "kms:EncryptionContext:app", "vault")),
            ),
            one("data-keys-of-the-attested", SAFE_ALLOW, as_enclave("kms:GenerateDataKey*")),
            one(
                "data-owner",
                SAFE_ALLOW,
                statement(principal={"AWS": OWNER}, action="kms:GenerateDataKey"),
            ),
            one(
                "deny-for-another-action",
                SAFE_ALLOW,
                statement(),
                deny({"Null": {pcr(0): "true"}}, "kms:GenerateDataKey"),
            ),
        ),
        has_not=(
            one("conditioned", SAFE_ALLOW, allow(PINNED, principal={"AWS": OWNER})),
            one("denied-without-document", SAFE_ALLOW, statement(), DENY_WITHOUT),
            one("denied-unless-equal", SAFE_ALLOW, statement(), DENY_OTHERS),
            one("another-action", SAFE_ALLOW, as_enclave("kms:DescribeKey")),
        ),
        severities={"data-owner": "warning"},
    ),
    "iam-bypass": Pair(
        has=(
            Example("iam-unknown", policy(DELEGATION, SAFE_ALLOW)),
            Example("account-number", policy(statement(principal={"AWS": ACCOUNT}), SAFE_ALLOW)),
            Example(
                "iam-allows",
                policy(DELEGATION, SAFE_ALLOW),
                identities=(identity("kms:Decrypt"),),
                callers=(ENCLAVE,),
            ),
            Example(
                "iam-allows-all",
                policy(DELEGATION, SAFE_ALLOW),
                identities=(identity("*"),),
            ),
        ),
        has_not=(
            Example(
                "only-administration",
                policy(statement(principal={"AWS": ROOT}, action=ADMINISTRATION), SAFE_ALLOW),
                identities=(identity(),),
            ),
            Example("denied-without-document", policy(DELEGATION, SAFE_ALLOW, DENY_WITHOUT)),
            Example(
                "iam-asks-too",
                policy(statement(principal={"AWS": ROOT}), SAFE_ALLOW),
                identities=(identity("kms:Decrypt", PINNED),),
            ),
            Example("delegation-asks", policy(allow(PINNED, principal={"AWS": ROOT}))),
        ),
        severities={"iam-unknown": "warning", "account-number": "warning"},
    ),
    "everybody": Pair(
        has=(
            one("with-a-document", allow(PINNED, principal="*")),
            one("in-an-object", allow(PINNED, principal={"AWS": "*"})),
            one("without-a-document", SAFE_ALLOW, statement(principal="*")),
        ),
        has_not=(
            one("named", SAFE_ALLOW),
            one(
                "of-the-account",
                allow({**PINNED, "StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, principal="*"),
            ),
            one(
                "caller-account",
                allow({**PINNED, "StringEquals": {"kms:CallerAccount": ACCOUNT}}, principal="*"),
            ),
            one("another-action", SAFE_ALLOW, statement(principal="*", action="kms:DescribeKey")),
        ),
        severities={"with-a-document": "warning", "in-an-object": "warning"},
    ),
    "service-without-attestation": Pair(
        has=(one("a-service", SAFE_ALLOW, statement(principal={"Service": "logs.amazonaws.com"})),),
        has_not=(
            one("no-service", SAFE_ALLOW),
            one(
                "another-action",
                SAFE_ALLOW,
                statement(principal={"Service": "logs.amazonaws.com"}, action="kms:DescribeKey"),
            ),
            one(
                "denied",
                SAFE_ALLOW,
                statement(principal={"Service": "logs.amazonaws.com"}),
                DENY_WITHOUT,
                deny({"StringNotEqualsIgnoreCase": {pcr(0): digest(0)}}),
            ),
        ),
        severities={"a-service": "warning"},
    ),
    "image-not-pinned": Pair(
        has=(
            one("null-false", allow(only("Null", pcr(0), "false"))),
            one("any-value", allow(only("StringLike", pcr(0), "*"))),
            one("role-only", allow(measured(3))),
            one("role-and-instance", allow(measured(3, 4))),
            one(
                "all-but-one",
                allow({"StringNotEquals": {pcr(0): ZEROS}, "Null": {pcr(0): "false"}}),
            ),
            Example("only-denied-without", policy(ADMINISTRATORS, statement(), DENY_WITHOUT)),
        ),
        has_not=(
            one("image", allow(measured(0))),
            one("signer", allow(measured(8))),
            one("role-and-signer", allow(measured(3, 8))),
            one(
                "denied-unless-equal",
                statement(),
                DENY_WITHOUT,
                deny({"StringNotEquals": {pcr(0): digest(0)}}),
            ),
        ),
    ),
    "pcr0-only": Pair(
        has=(
            one("pcr0", allow(measured(0, 8))),
            one(
                "image-sha384",
                allow(
                    only(
                        "StringEqualsIgnoreCase", "kms:RecipientAttestation:ImageSha384", digest(0)
                    )
                ),
            ),
            one("one-statement-each", allow(measured(0)), allow(measured(1)), allow(measured(2))),
            one("by-deny", statement(), deny({"StringNotEquals": {pcr(0): digest(0)}})),
        ),
        has_not=(
            one("all-three", allow(measured(0, 1, 2))),
            one(
                "the-others-by-deny",
                allow(measured(0)),
                deny({"StringNotEquals": {pcr(1): digest(1)}}),
                deny({"StringNotEquals": {pcr(2): digest(2)}}),
            ),
            one("signer", allow(measured(8))),
        ),
        severities=dict.fromkeys(
            ("pcr0", "image-sha384", "one-statement-each", "by-deny"), "warning"
        ),
    ),
    "image-partly-pinned": Pair(
        has=(
            one("kernel", allow(measured(1))),
            one("application", allow(measured(2))),
            one("one-of-several", statement(), DENY_OTHERS),
        ),
        has_not=(
            one("both", allow(measured(1, 2))),
            one("all-three", allow(measured(0, 1, 2))),
            one("pcr0", allow(measured(0))),
            one("application-and-signer", allow(measured(2, 8))),
        ),
        severities=dict.fromkeys(("kernel", "application", "one-of-several"), "warning"),
    ),
    "debug-enclave": Pair(
        has=(
            one("zeros", allow(only("StringEquals", pcr(0), ZEROS))),
            one(
                "zeros-of-image-sha384",
                allow(
                    only("StringEqualsIgnoreCase", "kms:RecipientAttestation:ImageSha384", ZEROS)
                ),
            ),
            one("zeros-beside-a-build", allow(only("StringEquals", pcr(0), [digest(0), ZEROS]))),
            one(
                "zeros-spared-by-deny",
                statement(),
                DENY_WITHOUT,
                deny(only("StringNotEquals", pcr(0), [digest(0), ZEROS])),
            ),
            one("signer-only", allow(measured(8))),
        ),
        has_not=(
            one("pinned", SAFE_ALLOW),
            one("unused-registers", allow({"StringEquals": {pcr(5): ZEROS, pcr(0): digest(0)}})),
            one("zeros-denied", allow(measured(8)), deny(only("StringEquals", pcr(0), ZEROS))),
            one(
                "nitro-tpm",
                allow(
                    {
                        "StringEquals": {
                            "kms:RecipientAttestation:NitroTPMPCR4": digest(4),
                            "kms:RecipientAttestation:NitroTPMPCR12": ZEROS,
                        }
                    }
                ),
            ),
        ),
        severities={"signer-only": "warning"},
    ),
    "no-deployment-binding": Pair(
        has=(
            one("image-only", allow(measured(0, 1, 2))),
            one("image-only-for-everybody", allow(measured(0, 1, 2), principal="*")),
        ),
        has_not=(
            one("role", allow(measured(0, 1, 2, 3))),
            one("instance", allow(measured(0, 1, 2, 4))),
            one("signer", SAFE_ALLOW),
            one(
                "account",
                allow({**measured(0, 1, 2), "StringEquals": {"aws:PrincipalAccount": ACCOUNT}}),
            ),
        ),
        severities={"image-only": "info", "image-only-for-everybody": "warning"},
    ),
}
