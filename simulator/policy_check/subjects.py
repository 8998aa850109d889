"""The principals that a check asks about: those that the policies name, and the caller's own.

A statement can mean principals that no file lists: every role and user of an account that the
policy trusts to decide by IAM, or everybody. One made-up principal stands for each such group.
Source: "AWS JSON policy elements: Principal" (IAM User Guide) and "Default key policy" (KMS
Developer Guide), documented.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kms_fake.authorization import Principal
from simulator.policy_check.reading import Unreadable
from simulator.policy_check.statements import Statement

EXAMPLE_ACCOUNT = "111122223333"
"""Stands for the key's account where no principal tells it (AWS's example account)."""

_ARN = re.compile(
    r"arn:(?P<partition>aws(?:-[a-z]+)*):(?P<service>iam|sts)::(?P<account>[0-9]{12}):"
    r"(?P<kind>root|user|role|assumed-role|federated-user)(?:/(?P<name>[^*?\s]+))?"
)
_ACCOUNT = re.compile(r"[0-9]{12}")
_KEY_ARN = re.compile(r"arn:aws(?:-[a-z]+)*:kms:[a-z0-9-]+:([0-9]{12}):key/[A-Za-z0-9-]+")
_SERVICES = {
    "root": "iam", "user": "iam", "role": "iam", "assumed-role": "sts", "federated-user": "sts",
}  # fmt: skip


class Kind(enum.Enum):
    """Why a principal is asked about."""

    NAMED = "named"
    """A policy names it."""
    CALLER = "caller"
    """The user names it."""
    ACCOUNT = "account"
    """It stands for the principals of an account that the key policy lets IAM decide for."""
    ANYBODY = "anybody"
    """It stands for the principals of the key's account, where the key policy means everybody."""
    OUTSIDER = "outsider"
    """It stands for the principals of all other accounts, where the key policy means everybody."""


class Iam(enum.Enum):
    """What the principal's own IAM policies allow, as the check takes it."""

    NOTHING = "nothing"
    """They are left out: only the key policy can let it in."""
    EVERYTHING = "everything"
    """They are not known, and taken to allow all of KMS."""
    GIVEN = "given"
    """They are the files that the user gave."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One principal, or one that stands for many."""

    label: str
    """What the user reads."""
    kind: Kind
    principal: Principal
    iam: Iam

    @property
    def only_if_iam_allows(self) -> bool:
        """Whether what it may do hangs on IAM policies that nobody has seen."""
        return self.kind is Kind.ACCOUNT and self.iam is Iam.EVERYTHING


def principal_of(arn: str) -> Principal:
    """The principal that the ARN of a user, role, session or account means.

    A role stands for one of its sessions. The path of a session's role is not in its ARN, so the
    role is taken to have none. Raises Unreadable.
    """
    match = _ARN.fullmatch(arn)
    if (
        match is None
        or _SERVICES[match["kind"]] != match["service"]
        or (match["kind"] == "root") != (match["name"] is None)
        or (match["kind"] == "assumed-role" and match["name"].count("/") != 1)
    ):
        raise Unreadable(
            f"{arn!r} is no principal; give the ARN of a user, a role or a role session, such as "
            f"arn:aws:iam::{EXAMPLE_ACCOUNT}:role/NAME"
        )
    partition, account, name = match["partition"], match["account"], match["name"]
    match match["kind"]:
        case "role":
            session = f"{name.rsplit('/', 1)[-1]}/policy-check"
            sts = f"arn:{partition}:sts::{account}:assumed-role/{session}"
            return Principal(sts, account, arn)
        case "assumed-role":
            role = f"arn:{partition}:iam::{account}:role/{name.split('/')[0]}"
            return Principal(arn, account, role)
        case _:
            return Principal(arn, account, arn)


def key_of(
    statements: Sequence[Statement], account: str | None, key_arn: str | None
) -> tuple[str, str]:
    """The key's ARN and account: as given, or as the key policy's principals tell.

    Without `key_arn` the ARN is made up; a policy that names keys by their ARNs is then refused.
    Raises Unreadable.
    """
    if account is not None and not _ACCOUNT.fullmatch(account):
        raise Unreadable(f"--account {account}: no account; give its number of 12 digits")
    if key_arn is not None:
        match = _KEY_ARN.fullmatch(key_arn)
        if match is None:
            raise Unreadable(
                f"--key-arn {key_arn}: no key's ARN; give one such as "
                f"arn:aws:kms:eu-central-1:{EXAMPLE_ACCOUNT}:key/ID"
            )
        if account not in {None, match[1]}:
            raise Unreadable(
                f"--key-arn {key_arn} and --account {account} name two accounts; give one of them"
            )
        return key_arn, match[1]
    _need_no_arn(statements)
    owner = account or _owner(statements)
    partition = next(
        (arn.split(":")[1] for arn in _names(statements) if arn.startswith("arn:aws")), "aws"
    )
    return f"arn:{partition}:kms:us-east-1:{owner}:key/00000000-0000-0000-0000-000000000000", owner


def _need_no_arn(statements: Iterable[Statement]) -> None:
    for statement in statements:
        if not statement.is_about("kms:Decrypt") and not statement.in_key_policy:
            continue
        resource = statement.element.get("Resource")
        for text in resource if isinstance(resource, list) else [resource]:
            if isinstance(text, str) and ":kms:" in text:
                raise Unreadable(
                    f"{statement.file.name}: {statement.path}.Resource: {text!r} is for certain "
                    "keys; say with --key-arn ARN which key is asked about"
                )


def _owner(statements: Iterable[Statement]) -> str:
    names = list(_names(statement for statement in statements if statement.in_key_policy))
    roots = {_account_in(name) for name in names if _is_account(name)}
    accounts = roots or {_account_in(name) for name in names}
    if len(accounts) > 1:
        raise Unreadable(
            f"the principals are of several accounts ({', '.join(sorted(accounts))}); say with "
            "--account NUMBER which one owns the key"
        )
    return next(iter(accounts), EXAMPLE_ACCOUNT)


def _names(statements: Iterable[Statement]) -> Iterator[str]:
    """Principals by ARN or account number, those that conditions name too."""
    for statement in statements:
        yield from filter(_is_plain, statement.principals())
        for condition in statement.conditions:
            key = condition.key.lower()
            exact = condition.base in {"StringEquals", "ArnEquals", "StringLike", "ArnLike"}
            if exact and key in {"aws:principalarn", "aws:principalaccount", "kms:calleraccount"}:
                yield from filter(_is_plain, condition.values)


def _is_plain(name: str) -> bool:
    return bool(_ACCOUNT.fullmatch(name) or _ARN.fullmatch(name))


def _is_account(name: str) -> bool:
    return bool(_ACCOUNT.fullmatch(name)) or name.endswith(":root")


def _account_in(name: str) -> str:
    return name if _ACCOUNT.fullmatch(name) else name.split(":")[4]


def subjects_of(
    statements: Sequence[Statement],
    *,
    account: str,
    partition: str,
    callers: Sequence[str],
    has_identity: bool,
) -> tuple[Subject, ...]:
    """Everybody who is asked about, each once. Raises Unreadable for a caller that is none.

    The identity policies are those of the callers, or of every principal of the key's account where
    no caller is given. A principal of another account needs its own account's IAM beside the key
    policy, which is taken to allow everything.
    """
    in_key_policy = [statement for statement in statements if statement.in_key_policy]
    given = Iam.GIVEN if has_identity else None
    own = Iam.NOTHING if callers else (given or Iam.NOTHING)
    found: dict[str, Subject] = {}

    def add(label: str, kind: Kind, principal: Principal, iam: Iam) -> None:
        if principal.account != account and (kind is not Kind.CALLER or iam is Iam.NOTHING):
            iam = Iam.EVERYTHING
        found.setdefault(principal.arn, Subject(label, kind, principal, iam))

    for arn in callers:
        add(arn, Kind.CALLER, principal_of(arn), given or Iam.NOTHING)
    for name in _names(in_key_policy):
        if not _is_account(name):
            add(name, Kind.NAMED, principal_of(name), own)
    principals = [name for statement in in_key_policy for name in statement.principals()]
    for number in dict.fromkeys(map(_account_in, filter(_is_account, principals))):
        knows = has_identity and not callers and number == account
        iam = Iam.GIVEN if knows else Iam.EVERYTHING
        stand_in = _role(partition, number, "any-role-that-IAM-allows")
        label = f"account {number}, " + (
            "as its IAM policies allow" if iam is Iam.EVERYTHING else "with the given IAM policies"
        )
        add(label, Kind.ACCOUNT, stand_in, iam)
    if any(statement.allows and "*" in statement.principals() for statement in in_key_policy):
        add(
            f"everybody in account {account}",
            Kind.ANYBODY,
            _role(partition, account, "any-role"),
            own,
        )
        add(
            "everybody in other accounts",
            Kind.OUTSIDER,
            _role(partition, other_account(account), "any-role-elsewhere"),
            Iam.EVERYTHING,
        )
    return tuple(found.values())


def _role(partition: str, account: str, name: str) -> Principal:
    return principal_of(f"arn:{partition}:iam::{account}:role/{name}")


def other_account(account: str) -> str:
    """The number of another account than `account`."""
    return next(number for number in ("999999999999", "888888888888") if number != account)


def root_user(partition: str, account: str) -> Principal:
    """The root user of the account, who needs no IAM policy."""
    return principal_of(f"arn:{partition}:iam::{account}:root")
