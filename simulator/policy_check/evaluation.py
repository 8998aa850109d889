"""What the evaluator of `kms_fake` says of one request under the policies of a check.

The only place that builds an `AccessRequest`. One thing is done to a policy before the evaluator
reads it, which does not change what it means: a condition key that was meant to be one of
attestation and is none (a misspelling) is replaced by one that no request of a check has. KMS takes
such a name and no request ever has it (aws-nitro-enclaves-sdk-c, issue 157), and the evaluator
refuses it by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kms_fake.authorization import AccessRequest, IdentityPermissions, assess
from kms_fake.grants import Grant
from kms_fake.policy import (
    MalformedPolicy,
    Policy,
    PolicyKind,
    UnsupportedPolicy,
    parse_policy,
)
from kms_fake.principals import Listed, Match
from simulator.policy_check.reading import PolicyFile, Unreadable
from simulator.policy_check.requests import Values
from simulator.policy_check.statements import Statement, is_misspelt
from simulator.policy_check.subjects import Iam, Subject

_ABSENT_KEY = "aws:ResourceTag/absent {}"
"""Stands for a key that does not exist; any operator over strings takes it."""


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
        self._key_policy = _parse(key_policy, key_policy.document)
        self._given = IdentityPermissions(tuple(_parse(each, each.document) for each in identities))
        self._single: dict[tuple[PolicyKind, str, int], Policy] = {}

    def allows(self, subject: Subject, action: str, context: Values) -> bool:
        """Whether `subject` may call `action` with these condition keys."""
        request = self._request(subject, action, context)
        return not assess(request, self._key_policy, self._identity(subject)).denials

    def allows_by_grant(self, subject: Subject, action: str, context: Values) -> bool:
        """Whether `subject` may call `action` with a grant for it, whoever made the grant."""
        grantee = Listed(
            everybody=False, arns=frozenset({subject.principal.arn}), accounts=frozenset()
        )
        grant = Grant(grantee, frozenset({action.removeprefix("kms:")}))
        request = self._request(subject, action, context)
        return not assess(request, self._key_policy, self._identity(subject), (grant,)).denials

    def lets_in(
        self, statement: Statement, subject: Subject, action: str, context: Values
    ) -> Match:
        """How this Allow, taken alone, lets the subject in.

        Match.ACCOUNT is a statement of the key policy that leaves the decision to the subject's IAM
        policies, which allow. A statement of an identity policy is taken with a key policy that
        leaves everything to IAM.
        """
        request = self._request(subject, action, context)
        alone = self._alone(statement)
        if statement.in_key_policy:
            denials = assess(request, alone, self._identity(subject)).denials
            return Match.NONE if denials else alone.allows[0].principals.match(subject.principal)
        key_policy = _delegation_to(subject.principal.account)
        denials = assess(request, key_policy, IdentityPermissions((alone,))).denials
        return Match.NONE if denials else Match.NAMED

    def denies_some(self, statement: Statement, subject: Subject, action: str) -> bool:
        """Whether this Deny means the subject and the action, under whatever conditions."""
        return any(
            action in deny.actions and deny.principals.match(subject.principal) is not Match.NONE
            for deny in self._alone(statement).denies
        )

    def _alone(self, statement: Statement) -> Policy:
        """The policy that holds this statement only."""
        file = statement.file
        place = (file.kind, file.name, statement.index)
        if place not in self._single:
            document = {**file.document, "Statement": [statement.element]}
            self._single[place] = _parse(file, document)
        return self._single[place]

    def _identity(self, subject: Subject) -> IdentityPermissions:
        match subject.iam:
            case Iam.NOTHING:
                return IdentityPermissions(())
            case Iam.EVERYTHING:
                return IdentityPermissions.all_of_kms()
            case Iam.GIVEN:
                return self._given

    def _request(self, subject: Subject, action: str, context: Values) -> AccessRequest:
        return AccessRequest(
            principal=subject.principal,
            action=action,
            key_arn=self._key.arn,
            key_account=self._key.account,
            context=context,
        )


def _delegation_to(account: str) -> Policy:
    """A key policy that leaves everything to the IAM policies of one account."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": account},
        "Action": "kms:*",
        "Resource": "*",
    }
    return parse_policy(json.dumps({"Statement": statement}), PolicyKind.KEY)


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
                _ABSENT_KEY.format(key) if is_misspelt(key) else key: values
                for key, values in block.items()
            }
            if isinstance(block, dict)
            else block
            for operator, block in conditions.items()
        },
    }
