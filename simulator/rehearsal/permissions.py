"""What the instance's role may do: its inline policy, read once, and asked for each call.

Actions of KMS are left to the evaluator of the KMS fake (`kms_fake.policy`); for those of other
services the same language is read here with its readers of conditions and resources. Source:
"Policy evaluation logic" and "IAM JSON policy elements" (IAM User Guide, documented).
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kms_fake.actions import ACTIONS
from kms_fake.callers import identity_of_policies
from kms_fake.conditions import Condition, Context, all_hold, read_conditions
from kms_fake.policy import MalformedPolicy, PolicyKind, Statement, UnsupportedPolicy, parse_policy
from kms_fake.resources import Resources, read_resources
from kms_fake.wildcards import compile_wildcards

NEEDED = (
    *("sts:GetCallerIdentity", "iam:SimulatePrincipalPolicy"),
    *("ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "tag:GetResources"),
    *("kms:CreateKey", "kms:DescribeKey", "kms:ListKeys", "kms:PutKeyPolicy", "kms:GetKeyPolicy"),
    *("kms:TagResource", "kms:ListResourceTags", "kms:EnableKey", "kms:DisableKey"),
    *("kms:ScheduleKeyDeletion", "kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"),
    *("kms:GenerateDataKeyPair", "kms:GenerateRandom", "kms:DeriveSharedSecret"),
)
"""What the role may do unless somebody says otherwise."""

Derive = Callable[[str], tuple[str, ...]]

_FREE = frozenset({"sts:GetCallerIdentity"})
"""Needs no permission ("GetCallerIdentity", AWS STS API Reference, documented)."""
_VERSION = "2012-10-17"


class BadPolicy(ValueError):
    """The role cannot have this policy; the message is a sentence that says why."""


class Decision(enum.Enum):
    """As SimulatePrincipalPolicy names them."""

    ALLOWED = "allowed"
    IMPLICIT_DENY = "implicitDeny"
    EXPLICIT_DENY = "explicitDeny"


@dataclass(frozen=True, slots=True)
class _Statement:
    """About actions of any service."""

    allows: bool
    patterns: tuple[re.Pattern[str], ...]
    negated: bool
    """NotAction."""
    resources: Resources | None
    conditions: tuple[Condition, ...]

    def applies(self, action: str, resource: str, context: Context) -> bool:
        named = any(pattern.fullmatch(action.lower()) for pattern in self.patterns)
        if named == self.negated:
            return False
        if self.resources is not None and not self.resources.mean(
            resource, context, allows=self.allows
        ):
            return False
        return all_hold(self.conditions, context, allows=self.allows)


class RolePolicy:
    """One inline policy. Raises BadPolicy for a text that is none, or that would be a guess."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.identity = identity_of_policies([text])
            self._kms = parse_policy(text, PolicyKind.IDENTITY)
            self._others = [_read(element) for element in _elements(json.loads(text))]
        except (MalformedPolicy, UnsupportedPolicy) as error:
            raise BadPolicy(f"The role's policy cannot be evaluated: {error}.") from error

    def decide(
        self,
        action: str,
        resource: str,
        context: Mapping[str, Sequence[str]],
        derive: Derive | None = None,
    ) -> Decision:
        """What the policy alone says; key policies are another matter.

        `derive` gives the condition keys that `context` has not, by their folded names.
        """
        if action in _FREE:
            return Decision.ALLOWED
        asked = Context({name.lower(): tuple(values) for name, values in context.items()})
        asked.derive = derive
        canonical = _canonical(action)
        statements: Iterable[Statement | _Statement] = self._others
        if canonical in ACTIONS:
            statements = (*self._kms.allows, *self._kms.denies)
        applying = [one.allows for one in statements if one.applies(canonical, resource, asked)]
        if not all(applying):
            return Decision.EXPLICIT_DENY
        return Decision.ALLOWED if applying else Decision.IMPLICIT_DENY


def _canonical(action: str) -> str:
    """An action of KMS as `ACTIONS` spells it."""
    return _SPELLING.get(action.lower(), action)


_SPELLING = {action.lower(): action for action in ACTIONS}


def needed_policy() -> dict[str, Any]:
    """A policy that allows just `NEEDED`."""
    return {
        "Version": _VERSION,
        "Statement": [{"Effect": "Allow", "Action": list(NEEDED), "Resource": "*"}],
    }


def without(policy: Mapping[str, Any], actions: Iterable[str]) -> str:
    """The policy's text, with those actions taken out wherever they are listed by name.

    Raises BadPolicy for one that is not listed: a pattern may still allow it.
    """
    left = {action.lower(): action for action in actions}
    found = set[str]()
    statements = []
    for element in _elements(policy):
        listed = element.get("Action", [])
        listed = [listed] if isinstance(listed, str) else list(listed)
        kept = [action for action in listed if action.lower() not in left]
        found |= {action.lower() for action in listed} & left.keys()
        if kept or "Action" not in element:
            statements.append({**element, **({"Action": kept} if "Action" in element else {})})
    for name, action in left.items():
        if name not in found:
            raise BadPolicy(
                f"{action} is not listed in the role's policy, so it cannot be taken out; those "
                "that are listed by name can."
            )
    return json.dumps({**policy, "Statement": statements})


def _elements(policy: Any) -> list[dict[str, Any]]:
    statements = policy.get("Statement", []) if isinstance(policy, dict) else []
    return [statements] if isinstance(statements, dict) else list(statements)


def _read(element: Mapping[str, Any]) -> _Statement:
    """A statement that `parse_policy` has taken."""
    name = "Action" if "Action" in element else "NotAction"
    texts = element[name]
    texts = [texts] if isinstance(texts, str) else texts
    negated = "NotResource" in element
    resources = element["NotResource" if negated else "Resource"]
    # What is about KMS alone is asked of the KMS fake's own reading.
    of_kms = all(text.lower().startswith("kms:") for text in texts) and name == "Action"
    return _Statement(
        element["Effect"] == "Allow",
        tuple(compile_wildcards(text.lower()) for text in texts),
        name == "NotAction",
        None if of_kms else read_resources(resources, "Resource", negated=negated, variables=True),
        ()
        if of_kms
        else read_conditions(
            element.get("Condition", {}), "Condition", variables=True, in_key_policy=False
        ),
    )
