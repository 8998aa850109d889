"""What the role of a hardware run must be allowed: each action, why, on what, and under which tag.

Pure data, and the IAM policy that is made of it (`attested-kms hardware policy`). Nobody is asked
here: `attested-kms doctor --hardware` asks IAM for each of them. It is no key policy. A key policy
that names the role allows it by itself; one whose administrator statement names the account's root
user leaves it to IAM who administers the key, and then these permissions decide ("Key policies in
AWS KMS", default key policy). Either way the suite's own keys alone are meant: they bear the tag
`attested-kms:run` from the call that makes them.

With such a policy a key should name the role beside the root user. CreateKey checks that its caller
could replace the policy, and whether it sees the new key's tags then is unknown; and a tag may take
five minutes to count ("Using tags to control access to KMS keys", AWS KMS Developer Guide). A
statement that names the role needs neither.

Source: "Actions, resources, and condition keys" for AWS KMS, IAM, Amazon EC2 and Resource Groups
Tagging (Service Authorization Reference), "ABAC for AWS KMS" (AWS KMS Developer Guide).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RUN_TAG = "attested-kms:run"
"""The tag of every key that a run makes; its value is the run's id."""

_ANY_VALUE = "?*"
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}", re.ASCII)
_ROLE = re.compile(r"(?:[\w+=,.@-]+/){0,64}[\w+=,.@-]{1,64}", re.ASCII)
_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
"""By the beginning of a Region's name; all others are in `aws`."""


class Scope(enum.Enum):
    """On what an action is wanted."""

    NOTHING = "nothing"
    """AWS asks no permission for it."""
    ANY = "*"
    """It takes no resource, or makes one whose name is not known before."""
    KEYS = "arn:{partition}:kms:{region}:{account}:key/{key}"
    OWN_ROLE = "arn:{partition}:iam::{account}:role/{role}"


class Guard(enum.Enum):
    """What keeps an action to the keys of runs: the condition key that must have the tag."""

    NONE = ""
    REQUEST_TAG = f"aws:RequestTag/{RUN_TAG}"
    """The call sets the tag."""
    RESOURCE_TAG = f"aws:ResourceTag/{RUN_TAG}"
    """The key has the tag."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One action."""

    action: str
    """`service:Operation`, as IAM spells it."""
    why: str
    """What the run does with it; a sentence without its full stop."""
    scope: Scope
    guard: Guard = Guard.NONE


_KEY = (Scope.KEYS, Guard.RESOURCE_TAG)

PERMISSIONS = (
    Permission(
        "kms:CreateKey",
        "The scenarios call with keys of their own, whose policies they choose",
        Scope.ANY,
        Guard.REQUEST_TAG,
    ),
    Permission(
        "kms:TagResource",
        "CreateKey sets the tag by which a key is known as a run's, and KMS wants this for it. It "
        "also lets the role put the tag on a key that is there, whose policy leaves that to IAM",
        Scope.KEYS,
        Guard.REQUEST_TAG,
    ),
    Permission("kms:DescribeKey", "The state of a key is looked at before and after", *_KEY),
    Permission("kms:Encrypt", "The parent makes the ciphertext that the enclave opens", *_KEY),
    Permission("kms:Decrypt", "The host proxy passes on what the enclave asks for", *_KEY),
    Permission("kms:GenerateDataKey", "The host proxy passes on what the enclave asks for", *_KEY),
    Permission("kms:PutKeyPolicy", "Scenarios change who may use their key, and under what", *_KEY),
    Permission("kms:EnableKey", "A scenario asks a disabled key, and enables it after", *_KEY),
    Permission("kms:DisableKey", "At the end nobody uses the keys of a run any more", *_KEY),
    Permission("kms:ScheduleKeyDeletion", "At the end KMS is told to delete them", *_KEY),
    Permission(
        "kms:ListKeys",
        "Keys that a run left behind are found, where tag:GetResources does not tell",
        Scope.ANY,
    ),
    Permission("kms:ListResourceTags", "Whether a key that is listed is a run's", *_KEY),
    Permission("tag:GetResources", "Keys that a run left behind are found by their tag", Scope.ANY),
    Permission(
        "ec2:DescribeInstances",
        "Whether the instance was launched with EnclaveOptions Enabled=true",
        Scope.ANY,
    ),
    Permission(
        "iam:SimulatePrincipalPolicy",
        "The role asks what it may, before anything is made",
        Scope.OWN_ROLE,
    ),
    Permission(
        "sts:GetCallerIdentity",
        "Whose credentials there are, and of which account",
        Scope.NOTHING,
    ),
)
"""In the order in which a run uses them, as far as it has one."""

_SIDS = {
    (Scope.ANY, Guard.REQUEST_TAG): "MakeKeysWithTheTag",
    (Scope.KEYS, Guard.REQUEST_TAG): "SetTheTag",
    (Scope.KEYS, Guard.RESOURCE_TAG): "UseKeysWithTheTag",
    (Scope.ANY, Guard.NONE): "LookAround",
    (Scope.OWN_ROLE, Guard.NONE): "AskWhatTheRoleMay",
}


class BadAccount(ValueError):
    """No such account, Region or role can be; the message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Where:
    """Whose keys and role are meant; `*` for any. Raises BadAccount."""

    account: str = "*"
    """12 digits."""
    region: str = "*"
    role: str = "*"
    """The role's name, with its path before it where it has one: `ci/runner`."""

    def __post_init__(self) -> None:
        wanted = (
            (self.account, _ACCOUNT, "account", "12 digits, such as 111122223333"),
            (self.region, _REGION, "Region", "a name such as us-east-1"),
            (self.role, _ROLE, "role", "the name of a role, without arn:"),
        )
        for given, form, what, right in wanted:
            if given != "*" and not form.fullmatch(given):
                raise BadAccount(f"{given!r} is no {what}; give {right}.")

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        found = (name for start, name in _PARTITIONS.items() if self.region.startswith(f"{start}-"))
        return next(found, "aws")

    def arn(self, scope: Scope, key: str = "*") -> str:
        """The resource of a scope."""
        return scope.value.format(
            partition=self.partition,
            region=self.region,
            account=self.account,
            role=self.role,
            key=key,
        )


def policy(where: Where) -> dict[str, Any]:
    """The IAM policy with those permissions and no others, as JSON is made of it."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            _statement(sid, scope, guard, where) for (scope, guard), sid in _SIDS.items()
        ],
    }


def _statement(sid: str, scope: Scope, guard: Guard, where: Where) -> Mapping[str, Any]:
    actions: Sequence[str] = [
        each.action for each in PERMISSIONS if (each.scope, each.guard) == (scope, guard)
    ]
    condition = {"Condition": {"StringLike": {guard.value: _ANY_VALUE}}} if guard.value else {}
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": where.arn(scope),
        **condition,
    }
