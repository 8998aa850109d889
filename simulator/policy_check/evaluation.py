"""What the evaluator of `kms_fake` says of one request under the policies of a check.

The only place that builds an `AccessRequest`. Two things are done to a policy before the evaluator
reads it, neither of which changes what it means:

- a condition key that was meant to be one of attestation and is none (a misspelling) is replaced by
  one that no request of a check has. KMS takes such a name and no request ever has it
  (aws-nitro-enclaves-sdk-c, issue 157), and the evaluator refuses it by name;
- for an action that the evaluator does not know, the statements about that action are asked as if
  they were about kms:Decrypt, and the others are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from kms_fake.authorization import Access, AccessRequest, IdentityPermissions, assess
from kms_fake.policy import EVALUATED_ACTIONS, MalformedPolicy, Policy, PolicyKind, parse_policy
from kms_fake.policy_json import UnsupportedPolicy
from kms_fake.principals import Match
from simulator.policy_check.reading import PolicyFile, Unreadable
from simulator.policy_check.requests import Values
from simulator.policy_check.statements import Statement, is_misspelt, statements_of
from simulator.policy_check.subjects import Iam, Subject

_KNOWN_ACTION = "kms:Decrypt"


class Unsupported(Exception):
    """The evaluator refuses a policy that AWS may take; the message names the file and the path."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key whose policy is checked."""

    arn: str
    account: str

    @property
    def partition(self) -> str:
        """`aws`, or the partition of another part of AWS."""
        return self.arn.split(":")[1]


class Evaluator:
    """The policies of a check, ready to be asked.

    Raises Unreadable for a policy that AWS would refuse, Unsupported for one that the evaluator
    does not know how to evaluate.
    """

    def __init__(self, key: Key, key_policy: PolicyFile, identities: Sequence[PolicyFile]) -> None:
        self._key = key
        self._key_policy = key_policy
        self._identities = tuple(identities)
        for file in (key_policy, *identities):
            _parse(file, file.document)
        self._policy_for = cache(self._policy_about)
        self._single_for = cache(self._single_about)

    def access(self, subject: Subject, action: str, context: Values) -> Access:
        """What the policies hold against `subject` calling `action` with these condition keys."""
        policy = self._policy_for(self._key_policy.name, action)
        identity = self._identity(subject, action)
        return assess(self._request(subject, action, context), policy, identity)

    def allows(self, subject: Subject, action: str, context: Values) -> bool:
        """Whether `subject` may call `action`."""
        return not self.access(subject, action, context).denials

    def lets_in(
        self, statement: Statement, subject: Subject, action: str, context: Values
    ) -> Match:
        """How this Allow, taken alone, lets the subject in.

        Match.ACCOUNT is a statement of the key policy that leaves the decision to the subject's IAM
        policies, which allow. A statement of an identity policy is taken with a key policy that
        leaves everything to IAM.
        """
        request = self._request(subject, action, context)
        single = self._single_for(statement.file.name, statement.index, action)
        if not single.allows:
            return Match.NONE
        if statement.in_key_policy:
            denials = assess(request, single, self._identity(subject, action)).denials
            return Match.NONE if denials else single.allows[0].principals.match(subject.principal)
        key_policy = _delegation_to(subject.principal.account)
        denials = assess(request, key_policy, IdentityPermissions((single,))).denials
        return Match.NONE if denials else Match.NAMED

    def denies_some(self, statement: Statement, subject: Subject, action: str) -> bool:
        """Whether this Deny means the subject and the action, under whatever conditions."""
        single = self._single_for(statement.file.name, statement.index, action)
        return any(
            deny.principals.match(subject.principal) is not Match.NONE for deny in single.denies
        )

    def _identity(self, subject: Subject, action: str) -> IdentityPermissions:
        match subject.iam:
            case Iam.NOTHING:
                return IdentityPermissions(())
            case Iam.EVERYTHING:
                return IdentityPermissions.all_of_kms()
            case Iam.GIVEN:
                return IdentityPermissions(
                    tuple(self._policy_for(file.name, action) for file in self._identities)
                )

    def _request(self, subject: Subject, action: str, context: Values) -> AccessRequest:
        return AccessRequest(
            principal=subject.principal,
            action=_asked_as(action),
            key_arn=self._key.arn,
            key_account=self._key.account,
            context=context,
        )

    def _file(self, name: str) -> PolicyFile:
        return next(file for file in (self._key_policy, *self._identities) if file.name == name)

    def _policy_about(self, name: str, action: str) -> Policy:
        file = self._file(name)
        return _about(file, statements_of(file), action)

    def _single_about(self, name: str, index: int, action: str) -> Policy:
        file = self._file(name)
        return _about(file, statements_of(file)[index : index + 1], action)


def _delegation_to(account: str) -> Policy:
    """A key policy that leaves everything to the IAM policies of one account."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": account},
        "Action": "kms:*",
        "Resource": "*",
    }
    return parse_policy(json.dumps({"Statement": statement}), PolicyKind.KEY)


def _asked_as(action: str) -> str:
    return action if action in EVALUATED_ACTIONS else _KNOWN_ACTION


def _about(file: PolicyFile, statements: Sequence[Statement], action: str) -> Policy:
    """The statements about `action`, as a policy about the action that it is asked as."""
    elements = [
        {
            **{name: value for name, value in each.element.items() if name != "NotAction"},
            "Action": _asked_as(action),
        }
        for each in statements
        if each.is_about(action)
    ]
    if not elements:
        return Policy(file.kind, (), ())
    return _parse(file, {**file.document, "Statement": elements})


def _parse(file: PolicyFile, document: Mapping[str, Any]) -> Policy:
    try:
        return parse_policy(json.dumps(_with_absent_keys(document)), file.kind)
    except MalformedPolicy as error:
        raise Unreadable(f"{file.name}: {error}") from error
    except UnsupportedPolicy as error:
        raise Unsupported(f"{file.name}: {error}") from error


def _with_absent_keys(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The policy with each misspelt key of attestation replaced by one that no request has."""
    if "Statement" not in document:
        return document
    element = document["Statement"]
    replaced = [_replaced(each) for each in element] if isinstance(element, list) else None
    return {**document, "Statement": _replaced(element) if replaced is None else replaced}


def _replaced(statement: object) -> object:
    if not isinstance(statement, dict) or not isinstance(statement.get("Condition"), dict):
        return statement
    conditions: dict[str, object] = statement["Condition"]
    return {
        **statement,
        "Condition": {
            operator: {
                f"kms:EncryptionContext:absent {key}" if is_misspelt(key) else key: values
                for key, values in block.items()
            }
            if isinstance(block, dict)
            else block
            for operator, block in conditions.items()
        },
    }
