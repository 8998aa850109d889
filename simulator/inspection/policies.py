"""Whether a key policy lets a caller with this document use the key, and which condition does not.

Not an evaluator: every answer, also that for a single condition, is `kms_fake`'s for a policy, made
of the part in question. What inspect cannot know is assumed and said: that the caller's IAM
policies allow the call, and which key it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kms_fake.authorization import (
    Access,
    AccessRequest,
    Denial,
    IdentityPermissions,
    assess,
    denial_text,
)
from kms_fake.caller_arns import NoCaller, principal_of_arn
from kms_fake.callers import default_principal
from kms_fake.policy import (
    MalformedPolicy,
    Policy,
    PolicyKind,
    UnsupportedPolicy,
    parse_policy,
)
from kms_fake.principals import Listed, Principal
from kms_fake.shapes import Operation

_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+(?=\")")
_ANY_KEY = "key/00000000-0000-0000-0000-000000000000"
_DIGITS = 96

# Which denial AWS tells of several: the order of the rows in `kms_fake.rules`.
_ORDER = (
    Denial.IDENTITY_EXPLICIT,
    Denial.RESOURCE_EXPLICIT,
    Denial.NO_RESOURCE_ALLOW,
    Denial.NO_IDENTITY_ALLOW,
)


class BadQuestion(ValueError):
    """The policy, the caller or the operation cannot be asked about; the message says why."""


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """Whether this caller may use a key that has this policy."""

    text: str
    """The key policy, JSON."""
    policy: Policy
    caller: Principal
    action: str
    key_arn: str

    @property
    def roles(self) -> tuple[str, ...]:
        """ARNs of the IAM roles that the question names: what PCR3 may be measured from."""
        arns = {self.caller.principal_arn, *_named(self.policy)[0]}
        return tuple(sorted(arn for arn in arns if ":role/" in arn))


@dataclass(frozen=True, slots=True)
class ConditionReport:
    """One operator over one condition key."""

    path: str
    operator: str
    key: str
    expected: tuple[str, ...]
    found: str | None
    """What the document or the caller has; None where neither has the key."""
    holds: bool
    hint: str | None


@dataclass(frozen=True, slots=True)
class StatementReport:
    """One statement, and which of its parts fit the call."""

    path: str
    sid: str | None
    effect: str
    applies: bool
    """Whether all of it fits, so that it takes effect."""
    principal: bool
    action: bool
    resource: bool
    conditions: tuple[ConditionReport, ...]


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What the policy says of the call."""

    allowed: bool
    caller: str
    action: str
    key_arn: str
    message: str | None
    """The message of the AccessDeniedException."""
    statements: tuple[StatementReport, ...]


def policy_question(text: str, *, caller: str | None, operation: str) -> PolicyQuestion:
    """The question about the key policy `text`. Raises BadQuestion.

    `caller` is the ARN of a role, a role's session, a user or an account's root; without it, the
    one principal that the policy's Allow statements name.
    """
    action = _action(operation)
    try:
        policy = parse_policy(text, PolicyKind.KEY)
    except MalformedPolicy as error:
        raise BadQuestion(f"it is not a key policy: {error}") from error
    except UnsupportedPolicy as error:
        raise BadQuestion(f"it cannot be evaluated here: {error}") from error
    principal = caller_of(caller) if caller else _only_principal(policy, action)
    return PolicyQuestion(text, policy, principal, action, _key_arn(text, principal))


def _action(operation: str) -> str:
    """The action of an operation that takes a document."""
    actions = {known.value: known.action for known in Operation}
    action = actions.get(operation.removeprefix("kms:"))
    if action is None:
        raise BadQuestion(
            f"{operation} is not an operation that is evaluated with a document; there are "
            f"{', '.join(sorted(actions))}"
        )
    return action


def caller_of(arn: str) -> Principal:
    """The caller that `arn` means; a role's ARN means a session of it. Raises BadQuestion."""
    try:
        return principal_of_arn(arn)
    except NoCaller as error:
        raise BadQuestion(
            f"{arn} is not the ARN of a caller; give --caller the ARN of a role (arn:aws:iam::"
            "ACCOUNT:role/NAME), a role's session, whose name has 2 to 64 characters, a user, or "
            "an account's root"
        ) from error


def judge_policy(
    question: PolicyQuestion, context: Mapping[str, str], *, debug_mode: bool
) -> PolicyReport:
    """What the policy says; `context` holds the condition keys that the document brings."""
    access = _assess(question, question.policy, context)
    first = next((denial for denial in _ORDER if denial in access.denials), None)
    caller = question.caller
    judge = _StatementJudge(question, context, debug_mode=debug_mode)
    return PolicyReport(
        allowed=not access.denials,
        caller=caller.arn,
        action=question.action,
        key_arn=question.key_arn,
        message=first and denial_text(first, caller, question.action, question.key_arn),
        statements=tuple(judge.reports()),
    )


def _named(policy: Policy, action: str | None = None) -> tuple[set[str], set[str]]:
    """Users, roles and sessions, and accounts, that Allow statements name."""
    arns: set[str] = set()
    accounts: set[str] = set()
    for statement in policy.allows:
        if isinstance(statement.principals, Listed) and action in {None, *statement.actions}:
            arns |= statement.principals.arns
            accounts |= statement.principals.accounts
    return arns, {re.sub(r"\D", "", name) for name in accounts}


def _only_principal(policy: Policy, action: str) -> Principal:
    arns, accounts = _named(policy, action)
    if len(arns) == 1:
        try:
            return caller_of(*arns)
        except BadQuestion as error:
            raise BadQuestion(f"for {action} it names one principal alone: {error}") from error
    if not arns and len(accounts) == 1:
        return default_principal(*accounts)
    named = ", ".join(sorted(arns | accounts)) or "nobody"
    raise BadQuestion(
        f"for {action} it names {named}, so that it is open who calls; give --caller ARN, such as "
        "arn:aws:iam::ACCOUNT:role/NAME, the role of the parent instance"
    )


def _key_arn(text: str, caller: Principal) -> str:
    """The one key that the policy's Resource elements name, or any key of the caller's account."""
    named = set(_KEY_ARN.findall(text))
    if len(named) == 1:
        return str(*named)
    partition = caller.arn.split(":", 2)[1]
    return f"arn:{partition}:kms:us-east-1:{caller.account}:{_ANY_KEY}"


def _assess(question: PolicyQuestion, policy: Policy, context: Mapping[str, str]) -> Access:
    request = AccessRequest(
        principal=question.caller,
        action=question.action,
        key_arn=question.key_arn,
        key_account=question.key_arn.split(":")[4],
        context=context,
    )
    return assess(request, policy, IdentityPermissions.all_of_kms())


class _StatementJudge:
    """Asks about parts of a policy, each as a policy of its own."""

    def __init__(
        self, question: PolicyQuestion, context: Mapping[str, str], *, debug_mode: bool
    ) -> None:
        self._question = question
        self._context = context
        self._debug_mode = debug_mode
        document: dict[str, Any] = json.loads(question.text)
        self._version = {name: document[name] for name in ("Version",) if name in document}
        self._statements = document["Statement"]
        caller = question.caller
        # Names of condition keys are compared without their case, as kms_fake does.
        self._values = {name.lower(): value for name, value in context.items()} | {
            "aws:principalarn": caller.principal_arn,
            "aws:principalaccount": caller.account,
            "kms:calleraccount": caller.account,
        }

    def reports(self) -> Iterator[StatementReport]:
        """Each statement, in the order of the policy."""
        if isinstance(self._statements, dict):
            yield self._report("Statement", self._statements)
            return
        for index, statement in enumerate(self._statements):
            yield self._report(f"Statement[{index}]", statement)

    def _report(self, path: str, statement: dict[str, Any]) -> StatementReport:
        return StatementReport(
            path=path,
            sid=statement.get("Sid"),
            effect=statement["Effect"],
            applies=self._applies(statement),
            principal=self._fits(statement, "Principal", "NotPrincipal"),
            action=self._fits(statement, "Action", "NotAction"),
            resource=self._fits(statement, "Resource", "NotResource"),
            conditions=tuple(self._conditions(path, statement)),
        )

    def _fits(self, statement: dict[str, Any], *names: str) -> bool:
        """Whether the element that has one of `names` fits, all else being open."""
        open_elsewhere = {
            name: value
            for name, value in _anything(statement["Effect"]).items()
            if name not in names
        }
        element = {name: statement[name] for name in names if name in statement}
        return bool(element) and self._applies({**open_elsewhere, **element})

    def _conditions(self, path: str, statement: dict[str, Any]) -> Iterator[ConditionReport]:
        denies = statement["Effect"] == "Deny"  # One that does not apply needs no advice.
        for operator, tests in statement.get("Condition", {}).items():
            for key, values in tests.items():
                condition = {operator: {key: values}}
                holds = self._applies({**_anything(statement["Effect"]), "Condition": condition})
                expected = tuple(map(_as_text, values if isinstance(values, list) else [values]))
                found = self._values.get(key.lower())
                yield ConditionReport(
                    path=f"{path}.Condition.{operator}.{key}",
                    operator=operator,
                    key=key,
                    expected=expected,
                    found=found,
                    holds=holds,
                    hint=None if holds or denies else self._hint(operator, key, expected, found),
                )

    def _applies(self, statement: dict[str, Any]) -> bool:
        policy = parse_policy(
            json.dumps({**self._version, "Statement": [statement]}), PolicyKind.KEY
        )
        denials = _assess(self._question, policy, self._context).denials
        if statement["Effect"] == "Deny":
            return Denial.RESOURCE_EXPLICIT in denials
        return not denials

    def _hint(
        self, operator: str, key: str, expected: tuple[str, ...], found: str | None
    ) -> str | None:
        """Why it may not hold, where that can be told."""
        attested = key.lower().startswith("kms:recipientattestation:")
        if found is None:
            return self._hint_for_absent(key.lower()) if attested else _NOT_KNOWN
        if not attested or operator == "Null" or "Not" in operator:
            return None
        zero_in_debug = self._debug_mode and not found.strip("0")
        signs = {
            "KMS's values have no 0x": any(text.lower().startswith("0x") for text in expected),
            f"{operator} minds case, and KMS's values are in lower case": (
                found in {text.lower() for text in expected}
            ),
            f"a measurement has {_DIGITS} hexadecimal digits": any(
                len(text) != _DIGITS and not set(text) & set("*?") for text in expected
            ),
            "the enclave runs in debug mode, where this PCR is zero": zero_in_debug,
        }
        return next((hint for hint, present in signs.items() if present), None)

    def _hint_for_absent(self, key: str) -> str:
        if any("nitrotpm" in name for name in self._values):
            return (
                "the document is a NitroTPM's, whose keys are kms:RecipientAttestation:NitroTPMPCRn"
            )
        if "nitrotpm" in key:
            return "the document is an enclave's, whose keys are kms:RecipientAttestation:PCRn"
        return "the document has no such PCR: from 16 on they are in it once they are locked"


_NOT_KNOWN = "the request or its connection brings this key, which inspect does not know"


def _anything(effect: str) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": "kms:*", "Resource": "*"}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
