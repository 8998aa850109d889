"""Policies that have, and have not, the traps in how conditions are written."""

from __future__ import annotations

from tests.simulator.policy_world import (
    ADMINISTRATORS,
    DENY_OTHERS,
    DENY_WITHOUT,
    PINNED,
    ROOT,
    SAFE_ALLOW,
    ZEROS,
    Example,
    Pair,
    allow,
    deny,
    digest,
    identity,
    one,
    only,
    pcr,
    policy,
    statement,
)

CONDITIONS: dict[str, Pair] = {
    "if-exists": Pair(
        has=(
            one("equals", allow(only("StringEqualsIfExists", pcr(0), digest(0)))),
            one("like", allow(only("StringLikeIfExists", pcr(0), digest(0)))),
            one("not-equals", allow(only("StringNotEqualsIfExists", pcr(0), ZEROS))),
            Example(
                "in-an-identity-policy",
                policy(statement(principal={"AWS": ROOT}), SAFE_ALLOW),
                identities=(
                    identity("kms:Decrypt", only("StringEqualsIfExists", pcr(0), digest(0))),
                ),
            ),
        ),
        has_not=(
            one("plain", SAFE_ALLOW),
            one(
                "beside-a-plain-one",
                allow(
                    {
                        "StringEquals": {pcr(0): digest(0)},
                        "StringEqualsIfExists": {pcr(1): digest(1)},
                    }
                ),
            ),
            one(
                "denied-without-document",
                allow(only("StringEqualsIfExists", pcr(0), digest(0))),
                DENY_WITHOUT,
            ),
            one("in-a-deny", statement(), deny(only("StringNotEqualsIfExists", pcr(0), digest(0)))),
        ),
    ),
    "negated-operator": Pair(
        has=(
            one("not-equals", allow(only("StringNotEquals", pcr(0), ZEROS))),
            one("not-like", allow(only("StringNotLike", pcr(0), "00*"))),
            one("ignoring-case", allow(only("StringNotEqualsIgnoreCase", pcr(0), ZEROS))),
        ),
        has_not=(
            one("positive", SAFE_ALLOW),
            one(
                "with-null-false",
                allow({"StringNotEquals": {pcr(0): ZEROS}, "Null": {pcr(0): "false"}}),
            ),
            one("in-a-deny", statement(), DENY_OTHERS),
        ),
    ),
    "for-all-values": Pair(
        has=(
            one("equals", allow(only("ForAllValues:StringEquals", pcr(0), digest(0)))),
            one("like", allow(only("ForAllValues:StringLike", pcr(0), digest(0)))),
        ),
        has_not=(one("plain", SAFE_ALLOW),),
    ),
    "null-inverted": Pair(
        has=(
            one("allow-true", allow(only("Null", pcr(0), "true"))),
            one("allow-true-unquoted", allow(only("Null", pcr(0), True))),
            one("deny-false", SAFE_ALLOW, deny(only("Null", pcr(0), "false"))),
        ),
        has_not=(
            one("allow-false", allow({**PINNED, "Null": {pcr(0): "false"}})),
            one("deny-true", SAFE_ALLOW, DENY_WITHOUT),
            one(
                "deny-false-and-another",
                SAFE_ALLOW,
                deny({"Null": {pcr(0): "false"}, "StringNotEquals": {pcr(0): digest(0)}}),
            ),
        ),
    ),
    "deny-ignores-absent": Pair(
        has=(
            one("equals", SAFE_ALLOW, statement(), deny(only("StringEquals", pcr(0), ZEROS))),
            one("like", statement(), deny(only("StringLike", pcr(0), "00*"))),
        ),
        has_not=(
            one("not-equals", statement(), DENY_OTHERS),
            one("nobody-without-document", SAFE_ALLOW, deny(only("StringEquals", pcr(0), ZEROS))),
            one(
                "another-deny-stops-them",
                statement(),
                DENY_WITHOUT,
                deny(only("StringEquals", pcr(0), ZEROS)),
            ),
        ),
        severities={"equals": "warning", "like": "warning"},
    ),
    "combined-denial": Pair(
        has=(
            one("one-operator", statement(), DENY_OTHERS),
            one(
                "two-operators",
                statement(),
                deny(
                    {
                        "StringNotEquals": {pcr(0): digest(0)},
                        "StringNotEqualsIgnoreCase": {pcr(2): digest(2)},
                    }
                ),
            ),
        ),
        has_not=(
            one(
                "one-each",
                statement(),
                deny(only("StringNotEquals", pcr(0), digest(0))),
                deny(only("StringNotEquals", pcr(1), digest(1))),
            ),
            one("the-allow-asks-too", SAFE_ALLOW, DENY_OTHERS),
            one(
                "one-measurement-twice",
                statement(),
                deny({"StringNotEquals": {pcr(0): digest(0)}, "Null": {pcr(0): "false"}}),
                DENY_WITHOUT,
            ),
        ),
    ),
    "unknown-attestation-key": Pair(
        has=(
            one(
                "no-measurement",
                SAFE_ALLOW,
                deny(only("Null", "kms:RecipientAttestation", "true")),
            ),
            one("misspelt", allow(only("StringEquals", "kms:RecipientAttestion:PCR0", digest(0)))),
            one(
                "other-service",
                allow(only("StringEquals", "aws:RecipientAttestation:PCR0", digest(0))),
            ),
            one("no-prefix", allow(only("StringEquals", "RecipientAttestation:PCR0", digest(0)))),
            one(
                "no-such-pcr",
                allow(only("StringEquals", "kms:RecipientAttestation:PCR32", digest(0))),
            ),
            one(
                "no-such-name",
                allow(only("StringEquals", "kms:RecipientAttestation:ImageSha256", digest(0))),
            ),
            one("plain-pcr", allow(only("StringEquals", "kms:PCR0", digest(0)))),
            one("lets-in", allow(only("StringNotEquals", "kms:RecipientAttestation", "x"))),
        ),
        has_not=(
            one("right", SAFE_ALLOW),
            one(
                "in-other-case",
                allow(only("StringEquals", "KMS:recipientattestation:pcr0", digest(0))),
            ),
            one("own-name", allow({**PINNED, "StringEquals": {"kms:EncryptionContext:PCR0": "x"}})),
        ),
    ),
    "malformed-measurement": Pair(
        has=(
            one("0x", allow(only("StringEquals", pcr(0), "0x" + digest(0)))),
            one("short", allow(only("StringEqualsIgnoreCase", pcr(0), digest(0)[:64]))),
            one("empty", allow(only("StringEquals", pcr(0), ""))),
            one("base64", allow(only("StringEquals", pcr(0), "q83vEjRW" * 8))),
            one("wildcard", allow(only("StringEquals", pcr(0), digest(0)[:8] + "*"))),
            one("one-of-two", allow(only("StringEquals", pcr(0), [digest(0), "sha384"]))),
            one("in-a-deny", SAFE_ALLOW, deny(only("StringNotEquals", pcr(0), "0x00"))),
            Example(
                "in-an-identity-policy",
                policy(ADMINISTRATORS, SAFE_ALLOW),
                identities=(identity("kms:Decrypt", only("StringEquals", pcr(0), "0x00")),),
            ),
        ),
        has_not=(
            one("right", SAFE_ALLOW),
            one("wildcard-that-is-one", allow(only("StringLike", pcr(0), digest(0)[:8] + "*"))),
            one(
                "another-key", allow({**PINNED, "StringEquals": {"kms:EncryptionContext:a": "0x"}})
            ),
        ),
    ),
    "upper-case-measurement": Pair(
        has=(
            one("equals", allow(only("StringEquals", pcr(0), digest(0).upper()))),
            one("like", allow(only("StringLike", pcr(0), digest(0).upper()))),
            one("in-a-deny", SAFE_ALLOW, deny(only("StringNotEquals", pcr(0), digest(0).upper()))),
        ),
        has_not=(
            one("ignoring-case", allow(only("StringEqualsIgnoreCase", pcr(0), digest(0).upper()))),
            one("lower-case", allow(only("StringEquals", pcr(0), digest(0)))),
        ),
    ),
    "measurement-wildcard": Pair(
        has=(
            one("star", allow(only("StringLike", pcr(0), digest(0)[:40] + "*"))),
            one("question-mark", allow(only("StringLike", pcr(0), digest(0)[:95] + "?"))),
        ),
        has_not=(
            one("like-without", allow(only("StringLike", pcr(0), digest(0)))),
            one("another-key", allow({**PINNED, "StringLike": {"kms:EncryptionContext:a": "*"}})),
        ),
        severities={"star": "warning", "question-mark": "warning"},
    ),
    "several-measurements": Pair(
        has=(
            one("two-builds", allow(only("StringEquals", pcr(0), [digest(0), digest(0, "2")]))),
            one(
                "spared-by-deny",
                statement(),
                DENY_WITHOUT,
                deny(only("StringNotEquals", pcr(0), [digest(0), digest(0, "2")])),
            ),
        ),
        has_not=(
            one("one", SAFE_ALLOW),
            one("one-in-a-list", allow(only("StringEquals", pcr(0), [digest(0)]))),
            one(
                "denied-builds",
                SAFE_ALLOW,
                deny(only("StringEquals", pcr(0), [digest(0, "2"), digest(0, "3")])),
            ),
        ),
        severities={"two-builds": "info", "spared-by-deny": "info"},
    ),
}
