"""Who calls KMS, and whom the Principal and NotPrincipal elements of a key policy mean.

Not a directory: nothing here knows whether a user or role exists (AWS refuses a key policy that
names one that does not). Source: the AWS pages "AWS JSON policy elements: Principal",
"AWS JSON policy elements: NotPrincipal" and "Create a key policy".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from kms_fake.policy_json import MalformedPolicy, UnsupportedPolicy, read_strings, shown


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: an IAM user, a session of a role, or the root user of an account."""

    arn: str
    """As AWS prints it: `arn:aws:iam::ACCOUNT:user/NAME`,
    `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` or `arn:aws:iam::ACCOUNT:root`."""
    account: str
    """The account that the caller belongs to: 12 digits."""
    principal_arn: str
    """The value of aws:PrincipalArn: for a session the ARN of its role, with the role's path; else
    the same as `arn`."""

    @property
    def account_arn(self) -> str:
        """The ARN of the caller's account, which is also that of its root user."""
        partition = self.arn.split(":", 2)[1]
        return f"arn:{partition}:iam::{self.account}:root"


class Match(enum.Enum):
    """How a statement of a key policy means a caller."""

    DIRECT = "direct"
    """The statement names the caller itself, a user or a session: what IAM merely leaves out does
    not limit it ("Policy evaluation logic", resource-based policies, documented)."""
    NAMED = "named"
    """The statement names the caller's role, or everybody: identity policies need not allow, but a
    permissions boundary and a session policy must (documented of a role; inferred of everybody)."""
    ACCOUNT = "account"
    """The statement means the caller's account: an Allow only lets the account's IAM policies
    decide, a Deny holds for everybody in it ("AWS account principals", documented)."""
    NONE = "none"
    """The statement does not mean the caller."""


class Principals(Protocol):
    """Whom one statement means."""

    def match(self, principal: Principal) -> Match:
        """How `principal` is meant."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A Principal element.

    - `*` is everybody ("All principals", documented).
    - An account's ARN and its bare number are the same and mean the account, its root user included
      ("AWS account principals"; "Create a key policy"; documented).
    - A role's ARN means its sessions, a session's ARN that session only ("IAM role principals",
      "Role session principals", documented). Names are compared exactly: user names are
      case-sensitive in a Principal (documented), role names with them (inferred).
    """

    everybody: bool
    arns: frozenset[str]
    """Users, roles and sessions."""
    accounts: frozenset[str]
    """Account numbers and account ARNs."""

    def match(self, principal: Principal) -> Match:
        """How `principal` is meant."""
        if principal.arn in self.arns:
            return Match.DIRECT
        if self.everybody or principal.principal_arn in self.arns:
            return Match.NAMED
        return Match.ACCOUNT if self.has_account_of(principal) else Match.NONE

    def has_account_of(self, principal: Principal) -> bool:
        """Whether the caller's account is listed as such."""
        return bool(self.accounts) and (
            principal.account in self.accounts or principal.account_arn in self.accounts
        )


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A NotPrincipal element, which AWS supports with Deny only: everybody but those listed.

    A caller is spared only if each layer of it is listed: the account, and the user, or the role
    and the session. The page warns that with a layer missing AWS may deny the caller
    ("NotPrincipal", documented); that a role's session needs its own ARN beside the role's is said
    in the AWS Security Blog, "How to restrict Amazon S3 bucket access to a specific IAM role"
    (documented for S3; inferred for KMS).
    """

    spared: Listed

    def match(self, principal: Principal) -> Match:
        """How `principal` is meant."""
        if self.spared.everybody:
            return Match.NONE
        layers = {principal.arn, principal.principal_arn} - {principal.account_arn}
        spared = self.spared.has_account_of(principal) and layers <= self.spared.arns
        return Match.NONE if spared else Match.NAMED


# "IAM and AWS STS quotas, name requirements, and character limits" (documented).
NAME = r"[A-Za-z0-9_+=,.@-]+"
"""The name of a user, a role or a session, whose lengths are others' business: an expression."""
PATH = r"(?:[!-)+-.0->@-~]+/)*"
"""What stands before the name of a user or a role: printable ASCII, less the separator and the
wildcards. An expression too."""

EVERYBODY = Listed(everybody=True, arns=frozenset(), accounts=frozenset())

_ACCOUNT = re.compile(r"[0-9]{12}")
_ACCOUNT_ARN = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:root")
_IDENTITY_ARN = re.compile(
    r"arn:aws(?:-[a-z]+)*:"
    rf"(?:iam::[0-9]{{12}}:(?:user|role)/{PATH}{NAME}"
    rf"|sts::[0-9]{{12}}:(?:assumed-role/{NAME}/{NAME}|federated-user/{NAME}))"
)
_SERVICE = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def read_principals(element: object, where: str) -> Listed:
    """Whom a Principal or NotPrincipal element lists.

    `element` is its decoded JSON and `where` its path. Service principals are taken and match no
    caller, since no caller here is an AWS service ("Create a key policy": some AWS services are
    valid principals, documented). Federated and CanonicalUser principals are not on that page's
    list, so they are refused. Raises MalformedPolicy and UnsupportedPolicy.
    """
    if element == "*":
        return EVERYBODY
    if not isinstance(element, dict):
        raise MalformedPolicy(
            f'{where}: must be "*" or an object such as {{"AWS": "ARN"}}, not {shown(element)}'
        )
    if not element:
        raise MalformedPolicy(f"{where}: names nobody; each statement needs a principal")
    names: list[str] = []
    for kind, values in element.items():
        place = f"{where}.{kind}"
        if kind == "AWS":
            names += [_aws_principal(name, place) for name in read_strings(values, place)]
        elif kind == "Service":
            for name in read_strings(values, place):
                _check_service(name, place)
        elif kind in {"Federated", "CanonicalUser"}:
            raise UnsupportedPolicy(
                f"{place}: AWS does not list this kind of principal for key policies; supported "
                "kinds: AWS, Service"
            )
        else:
            raise MalformedPolicy(f"{place}: no kind of principal; AWS has AWS, Service")
    return listed(names)


def listed(names: Iterable[str]) -> Listed:
    """The principals of these ARNs, account numbers and `*`; what is none of these is nobody."""
    known = frozenset(names)
    return Listed(
        everybody="*" in known,
        arns=frozenset(filter(_IDENTITY_ARN.fullmatch, known)),
        accounts=frozenset(
            name for name in known if _ACCOUNT.fullmatch(name) or _ACCOUNT_ARN.fullmatch(name)
        ),
    )


def is_principal(name: str) -> bool:
    """Whether `name` looks like an account, a user, a role, a session or an AWS service."""
    forms = (_ACCOUNT, _ACCOUNT_ARN, _IDENTITY_ARN, _SERVICE)
    return any(form.fullmatch(name) for form in forms)


def _aws_principal(name: str, where: str) -> str:
    known = (_ACCOUNT, _ACCOUNT_ARN, _IDENTITY_ARN)
    if name == "*" or any(form.fullmatch(name) for form in known):
        return name
    reason = (
        "a wildcard cannot stand for part of a principal"
        if "*" in name or "?" in name
        else "not an account, user, role or session"
    )
    raise MalformedPolicy(
        f'{where}: {shown(name)} is no valid principal: {reason}; write "*", an account number of '
        "12 digits, or the ARN of an account's root, a user, a role or a role session"
    )


def _check_service(name: str, where: str) -> None:
    if not _SERVICE.fullmatch(name):
        raise MalformedPolicy(
            f"{where}: {shown(name)} is no service principal, such as logs.amazonaws.com"
        )
