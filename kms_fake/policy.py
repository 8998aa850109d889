"""Key policies and identity policies, read once into a form that answers quickly.

A small IAM of our own, for the actions of KMS. Whatever it would have to guess at is refused when
the policy is read, naming it, so that no condition is ever skipped in silence.

The source of the language is "Grammar of the IAM JSON policy language" and the "IAM JSON policy
elements" pages of the IAM User Guide, and "Create a key policy" of the KMS Developer Guide. Each
rule below that goes beyond the grammar names its page.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from kms_fake.actions import ACTIONS
from kms_fake.condition_keys import fold_key
from kms_fake.conditions import Condition, all_hold, read_conditions
from kms_fake.policy_json import (
    MalformedPolicy,
    UnsupportedPolicy,
    decode,
    read_object,
    read_string,
    read_strings,
    shown,
)
from kms_fake.principals import EVERYBODY, Principals, Unlisted, read_principals
from kms_fake.resources import Resources, read_resources
from kms_fake.wildcards import compile_wildcards

if TYPE_CHECKING:
    from kms_fake.conditions import Context

__all__ = [
    "MalformedPolicy",
    "Policy",
    "PolicyKind",
    "Statement",
    "UnsupportedPolicy",
    "parse_policy",
]

_VERSION_WITH_VARIABLES = "2012-10-17"
_VERSIONS = ("2008-10-17", _VERSION_WITH_VARIABLES)
_POLICY_ELEMENTS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_ELEMENTS = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_ACTION = re.compile(r"\*|(?:[A-Za-z0-9-]+|\*):[A-Za-z0-9*?_-]+")


class PolicyKind(enum.Enum):
    """What a policy is attached to, which decides what it must and must not hold."""

    KEY = "key"
    """The policy of a KMS key: names its principals."""
    IDENTITY = "identity"
    """A policy of an IAM user, group, role or role session: its principal is who it is attached to.
    Permissions boundaries are such policies too."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that can bear on an action of KMS."""

    allows: bool
    """Whether its effect is Allow; else it is Deny."""
    principals: Principals
    actions: frozenset[str]
    """Those of `kms_fake.actions.ACTIONS` that the statement is about."""
    resources: Resources | None
    """None for `*`, every resource."""
    conditions: tuple[Condition, ...]
    names_by_condition: bool = False
    """Whether it means everybody, under a condition that aws:PrincipalArn be somebody's. A boundary
    or a session policy limits no permission that is granted so ("Principal", documented)."""

    def applies(self, action: str, key_arn: str, context: Context) -> bool:
        """Whether action, key and conditions fit; the caller is asked of `principals`."""
        if action not in self.actions:
            return False
        if self.resources is not None and not self.resources.mean(
            key_arn, context, allows=self.allows
        ):
            return False
        return all_hold(self.conditions, context, allows=self.allows)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, ready to be evaluated. The order of its statements means nothing."""

    kind: PolicyKind
    denies: tuple[Statement, ...]
    allows: tuple[Statement, ...]


def parse_policy(text: str, kind: PolicyKind) -> Policy:
    """The policy that the JSON `text` spells; the last 16,384 results are kept.

    Raises MalformedPolicy if it is no policy of that kind, and UnsupportedPolicy if evaluating it
    here would be a guess. In a key policy that goes for every statement; in an identity policy only
    for those that can match an action of KMS, since the others may be about any service.
    """
    return _parse(text, kind)


@lru_cache(maxsize=16384)  # Each key has a policy of its own; an entry takes about 3 KB.
def _parse(text: str, kind: PolicyKind) -> Policy:
    document = read_object(decode(text), "the policy", _POLICY_ELEMENTS)
    read_string(document.get("Id", ""), "Id")
    # Absent means the older language: "IAM JSON policy elements: Version" (documented).
    version = document.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise MalformedPolicy(f"Version: must be 2012-10-17 or 2008-10-17, not {shown(version)}")
    reader = _StatementReader(kind, variables=version == _VERSION_WITH_VARIABLES)
    for where, statement in _statements(document, kind):
        reader.read(read_object(statement, where, _STATEMENT_ELEMENTS), where)
    return Policy(kind, tuple(reader.denies), tuple(reader.allows))


def _statements(document: dict[str, object], kind: PolicyKind) -> list[tuple[str, object]]:
    if "Statement" not in document:
        raise MalformedPolicy("the policy has no Statement")
    element = document["Statement"]
    if not isinstance(element, list):
        return [("Statement", element)]
    # "A key policy document must have at least one statement" (documented); IAM's page on identity
    # policies is silent, and no statement allows nothing.
    if not element and kind is PolicyKind.KEY:
        raise MalformedPolicy("Statement: a key policy must have at least one statement")
    return [(f"Statement[{index}]", statement) for index, statement in enumerate(element)]


class _StatementReader:
    """Reads the statements of one policy, one after the other."""

    def __init__(self, kind: PolicyKind, *, variables: bool) -> None:
        self.denies: list[Statement] = []
        self.allows: list[Statement] = []
        self._kind = kind
        self._variables = variables
        self._sids: set[str] = set()

    def read(self, element: dict[str, object], where: str) -> None:
        """Take the statement in if it can bear on an action of KMS."""
        self._check_sid(element, where)
        allows = _read_effect(element, where)
        principals = self._read_principals(element, where, allows=allows)
        actions = self._read_actions(element, where)
        if self._kind is PolicyKind.IDENTITY and not actions:
            return
        conditions = read_conditions(
            element.get("Condition", {}),
            f"{where}.Condition",
            variables=self._variables,
            in_key_policy=self._kind is PolicyKind.KEY,
        )
        resources = self._read_resources(element, where)
        # A statement without actions or resources that could fit was only checked.
        if actions and (resources is None or resources.can_mean):
            statements = self.allows if allows else self.denies
            statements.append(
                Statement(
                    allows,
                    principals,
                    actions,
                    resources,
                    conditions,
                    principals == EVERYBODY and _names_principal(element.get("Condition", {})),
                )
            )

    def _check_sid(self, element: dict[str, object], where: str) -> None:
        """Refuse a Sid that stands twice in an identity policy.

        IAM wants it unique ("IAM JSON policy elements: Sid", documented); in a key policy it is
        "an arbitrary string" ("Create a key policy", documented).
        """
        sid = read_string(element.get("Sid", ""), f"{where}.Sid")
        if self._kind is PolicyKind.KEY or not sid:
            return
        if sid in self._sids:
            raise MalformedPolicy(f"{where}.Sid: {shown(sid)} stands on another statement too")
        self._sids.add(sid)

    def _read_principals(
        self, element: dict[str, object], where: str, *, allows: bool
    ) -> Principals:
        name = _one_of(element, "Principal", "NotPrincipal", where)
        if self._kind is PolicyKind.IDENTITY:
            if name is not None:
                raise MalformedPolicy(
                    f"{where}.{name}: an identity policy has no principal: it is whoever the "
                    "policy is attached to"
                )
            return EVERYBODY
        if name is None:
            raise MalformedPolicy(f"{where}: a statement of a key policy must have a Principal")
        place = f"{where}.{name}"
        listed = read_principals(element[name], place)
        if name == "Principal":
            return listed
        if allows:
            raise UnsupportedPolicy(
                f'{place}: AWS does not support NotPrincipal with "Effect": "Allow"; supported: '
                "Principal with Allow and Deny, NotPrincipal with Deny"
            )
        return Unlisted(listed)

    def _read_actions(self, element: dict[str, object], where: str) -> frozenset[str]:
        """Those of ACTIONS that the statement is about.

        Prefix and name are case-insensitive ("IAM JSON policy elements: Action", documented).
        """
        name = _one_of(element, "Action", "NotAction", where)
        if name is None:
            # "If either of the required Resource or Action elements are missing from a key policy
            # statement, the policy statement has no effect", and the API takes it (documented:
            # PutKeyPolicy).
            if self._kind is PolicyKind.KEY:
                return frozenset()
            raise MalformedPolicy(f"{where}: a statement must have an Action or a NotAction")
        place = f"{where}.{name}"
        texts = read_strings(element[name], place)
        matched = frozenset[str]().union(*(_read_action(text, place) for text in texts))
        return matched if name == "Action" else ACTIONS - matched

    def _read_resources(self, element: dict[str, object], where: str) -> Resources | None:
        name = _one_of(element, "Resource", "NotResource", where)
        if name is None:
            if self._kind is PolicyKind.KEY:
                return Resources.NONE  # As for a missing Action, above.
            raise MalformedPolicy(f"{where}: a statement must have a Resource or a NotResource")
        return read_resources(
            element[name],
            f"{where}.{name}",
            negated=name == "NotResource",
            variables=self._variables,
        )


def _names_principal(conditions: object) -> bool:
    """Whether a Condition element, read before, says who the caller must be, and not who not."""
    return any(
        fold_key(key) == "aws:principalarn"
        and not any(part in operator for part in ("Not", "IfExists", "Null", "ForAllValues"))
        for operator, tests in read_object(conditions, "Condition").items()
        for key in read_object(tests, operator)
    )


def _read_effect(element: dict[str, object], where: str) -> bool:
    """Whether the statement allows. The value is case-sensitive ("Effect", documented)."""
    effect = element.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise MalformedPolicy(f"{where}.Effect: must be Allow or Deny, not {shown(effect)}")
    return effect == "Allow"


def _read_action(text: str, where: str) -> frozenset[str]:
    if not _ACTION.fullmatch(text):
        raise MalformedPolicy(
            f'{where}: {shown(text)} must be a service and an action, as in kms:Decrypt, or "*"'
        )
    return _actions_meant(text.lower())


@lru_cache(maxsize=1024)
def _actions_meant(lowered: str) -> frozenset[str]:
    pattern = compile_wildcards(lowered)
    return frozenset(action for action in ACTIONS if pattern.fullmatch(action.lower()))


def _one_of(element: dict[str, object], name: str, negation: str, where: str) -> str | None:
    """Which of two mutually exclusive elements is there ("IAM JSON policy element reference")."""
    if name in element and negation in element:
        raise MalformedPolicy(f"{where}: has both {name} and {negation}; only one can stand")
    return next((present for present in (name, negation) if present in element), None)
