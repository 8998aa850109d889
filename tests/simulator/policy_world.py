"""Builders of policies for the tests of the check, and policies that are right."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kms_fake.policy import PolicyKind
from simulator.policy_check.check import Result, check
from simulator.policy_check.reading import PolicyFile

ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ENCLAVE = f"arn:aws:iam::{ACCOUNT}:role/enclave"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/administrator"
OWNER = f"arn:aws:iam::{ACCOUNT}:role/data-owner"
ZEROS = "0" * 96

ATTESTED = [
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
]
GUARDED = [*ATTESTED, "kms:ReEncrypt*"]
ADMINISTRATION = ["kms:DescribeKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"]

Json = dict[str, Any]


def pcr(index: int) -> str:
    return f"kms:RecipientAttestation:PCR{index}"


def digest(index: int, build: str = "1") -> str:
    return hashlib.sha384(f"build {build}, PCR{index}".encode()).hexdigest()


def measured(*indices: int) -> Json:
    """The condition that asks for some PCRs of the build."""
    return {"StringEqualsIgnoreCase": {pcr(index): digest(index) for index in indices}}


PINNED = measured(0, 1, 2, 8)


def statement(
    effect: str = "Allow",
    *,
    principal: object = None,
    action: object = ATTESTED,
    condition: Json | None = None,
    **more: object,
) -> Json:
    element: Json = {
        "Effect": effect,
        "Principal": {"AWS": ENCLAVE} if principal is None else principal,
        "Action": action,
        "Resource": "*",
    }
    if condition is not None:
        element["Condition"] = condition
    element |= more
    return {name: value for name, value in element.items() if value is not False}


ADMINISTRATORS = statement(principal={"AWS": ADMIN}, action=ADMINISTRATION)
DELEGATION = statement(principal={"AWS": ROOT}, action="kms:*", Sid="Enable IAM User Permissions")
SAFE_ALLOW = statement(condition=PINNED)


def deny(condition: Json, action: str | Sequence[str] = GUARDED) -> Json:
    return statement("Deny", principal="*", action=action, condition=condition)


DENY_WITHOUT = deny({"Null": {pcr(0): "true"}})
DENY_OTHERS = deny({"StringNotEqualsIgnoreCase": PINNED["StringEqualsIgnoreCase"]})


def allow(condition: Json | None, **changes: Any) -> Json:
    return statement(condition=condition, **changes)


def policy(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def identity(action: str | Sequence[str] = "kms:*", condition: Json | None = None) -> Json:
    return policy(statement(principal=False, action=action, condition=condition))


@dataclass(frozen=True)
class Example:
    """The input of one check."""

    name: str
    policy: Json
    identities: tuple[Json, ...] = ()
    callers: tuple[str, ...] = ()

    def check(self) -> Result:
        return checked(self.policy, *self.identities, callers=self.callers)


def checked(key_policy: Json, *identities: Json, **options: Any) -> Result:
    files = [
        PolicyFile(f"identity-{number}.json", PolicyKind.IDENTITY, each)
        for number, each in enumerate(identities, start=1)
    ]
    return check(PolicyFile("key.json", PolicyKind.KEY, key_policy), files, **options)


SAFE: tuple[Example, ...] = (
    Example("four-measurements", policy(ADMINISTRATORS, SAFE_ALLOW)),
    Example(
        "role-and-image",
        policy(ADMINISTRATORS, allow(measured(0, 1, 2, 3))),
    ),
    Example(
        "deny-without-a-document",
        policy(ADMINISTRATORS, SAFE_ALLOW, DENY_WITHOUT),
    ),
    Example(
        "deny-of-other-measurements",
        policy(
            ADMINISTRATORS,
            statement(),
            deny({"Null": {pcr(0): "true"}}),
            *(
                deny({"StringNotEqualsIgnoreCase": {pcr(index): digest(index)}})
                for index in (0, 1, 2, 8)
            ),
        ),
    ),
    Example(
        "account-and-denials",
        policy(
            DELEGATION,
            *(
                deny({"StringNotEqualsIgnoreCase": {pcr(index): digest(index)}})
                for index in (0, 1, 2, 8)
            ),
        ),
    ),
    Example(
        "one-element-each",
        policy(
            ADMINISTRATORS,
            allow(
                {
                    "StringEquals": {pcr(0): digest(0), pcr(1): digest(1)},
                    "StringEqualsIgnoreCase": {pcr(2): digest(2).upper(), pcr(8): digest(8)},
                    "Null": {pcr(0): "false"},
                }
            ),
        ),
    ),
    Example(
        "with-encryption-context",
        policy(
            ADMINISTRATORS,
            allow({**PINNED, "StringEquals": {"kms:EncryptionContext:app": "vault"}}),
        ),
    ),
)
"""Policies without errors and warnings."""


@dataclass(frozen=True)
class Pair:
    """The examples of one trap."""

    has: tuple[Example, ...]
    has_not: tuple[Example, ...]
    severities: Mapping[str, str] = field(default_factory=dict)
    """By the name of an example that has it: the severity of the worst finding, else error."""


def one(name: str, *statements: Json, **more: Any) -> Example:
    return Example(name, policy(ADMINISTRATORS, *statements), **more)


def as_admin(action: str, **changes: Any) -> Json:
    return statement(principal={"AWS": ADMIN}, action=action, **changes)


def as_enclave(action: str) -> Json:
    return statement(action=action)


def only(operator: str, key: str, value: object) -> Json:
    return {operator: {key: value}}
