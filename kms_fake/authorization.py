"""Whether a caller may use a key: the key policy, the grants, and the policies of the caller.

Pure functions over parsed policies; nothing here knows keys, credentials or HTTP. It leaves out the
policies of organizations and of VPC endpoints. Sources, all documented: "Policy evaluation logic"
and "Cross-account policy evaluation logic" (IAM User Guide), "Key policies in AWS KMS", "Default
key policy" and "Grants in AWS KMS" (KMS Developer Guide). The rules:

- an explicit Deny that applies, in any policy, decides ("Policy evaluation logic");
- in the account of the key, an Allow of the key policy that names the caller suffices, whatever its
  identity policies leave out ("Policy evaluation logic", resource-based policies); so does a grant;
- an Allow of the key policy for an account only lets that account's IAM policies decide: an
  identity policy must allow as well ("Default key policy": the statement "doesn't give any IAM
  users or roles permission");
- nothing else lets identity policies allow ("Key policies in AWS KMS": "without permission from the
  key policy, IAM policies that allow permissions have no effect");
- a permissions boundary and a session policy must allow too, unless an Allow of the key policy
  names the user or the session itself, or everybody under a condition on aws:PrincipalArn ("Policy
  evaluation logic"; "Principal", on aws:PrincipalArn);
- a Deny with NotPrincipal denies whoever has a permissions boundary, whomever it lists
  ("Permissions boundaries for IAM entities");
- a caller of another account needs the key policy's side and its own ("Cross-account policy
  evaluation logic"). The fake does not look up keys of other accounts yet, so nobody asks for that.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from kms_fake.actions import ACTIONS
from kms_fake.condition_keys import fold_key
from kms_fake.conditions import Context
from kms_fake.evidence import Evidence
from kms_fake.policy import Policy, PolicyKind, Statement, parse_policy
from kms_fake.principals import Match, Principal, Unlisted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kms_fake.grants import Grant

__all__ = [
    "Access",
    "AccessRequest",
    "Denial",
    "IdentityPermissions",
    "Principal",
    "assess",
    "denial_text",
]


@dataclass(frozen=True, slots=True)
class IdentityPermissions:
    """What the IAM policies of the caller say: of the user and its groups, or of the role.

    Raises ValueError for a policy that was not read as an identity policy.
    """

    policies: tuple[Policy, ...]
    boundary: Policy | None = None
    """The permissions boundary of the user or the role."""
    session: tuple[Policy, ...] = ()
    """The session policies that were given when the role was assumed: one of them must allow."""

    def __post_init__(self) -> None:
        boundary = () if self.boundary is None else (self.boundary,)
        policies = (*self.policies, *boundary, *self.session)
        if any(policy.kind is not PolicyKind.IDENTITY for policy in policies):
            raise ValueError("identity permissions are made of identity policies")

    @staticmethod
    @cache
    def all_of_kms() -> IdentityPermissions:
        """Allows `kms:*` on everything."""
        text = '{"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}'
        return IdentityPermissions((parse_policy(text, PolicyKind.IDENTITY),))


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One call that wants to use a key. Raises ValueError for what is no action of KMS."""

    principal: Principal
    action: str
    """`kms:Decrypt` or another of `kms_fake.actions.ACTIONS`, spelt as there."""
    key_arn: str
    """`arn:aws:kms:REGION:ACCOUNT:key/ID`."""
    key_account: str
    """The account that owns the key: 12 digits."""
    context: Mapping[str, str | tuple[str, ...]]
    """Condition keys of the request and their values, a tuple where a key may have several, such as
    `kms:RecipientAttestation:PCR0` (96 lower-case hexadecimal digits) and
    `kms:EncryptionContext:NAME`. A key that is not here is absent. Names should differ by more
    than case (`kms_fake.conditions.Context`). Those of the caller (aws:PrincipalArn,
    aws:PrincipalAccount, kms:CallerAccount) are filled in."""
    derive: Callable[[str], tuple[str, ...]] | None = None
    """The values of a key that is not in `context`, by its folded name; none if it is absent."""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"{self.action} is no action of KMS, spelt as AWS spells them")


class Denial(enum.Enum):
    """Why a request is denied: the end of AWS's message, and how sure we are of that text."""

    RESOURCE_EXPLICIT = (
        "with an explicit deny in a resource-based policy",
        Evidence.REPORTED,
        "aws/aws-nitro-enclaves-sdk-c issue 157 (kms:Decrypt)",
    )
    IDENTITY_EXPLICIT = (
        "with an explicit deny in an identity-based policy",
        Evidence.INFERRED,
        "IAM User Guide, Troubleshoot access denied error messages (general; not shown for KMS)",
    )
    BOUNDARY_EXPLICIT = (
        "with an explicit deny in a permissions boundary",
        Evidence.INFERRED,
        "IAM User Guide, Troubleshoot access denied error messages (general; not shown for KMS)",
    )
    SESSION_EXPLICIT = (
        "with an explicit deny in a session policy",
        Evidence.INFERRED,
        "HashiCorp's Enos troubleshooting page (ec2:DescribeImages); AWS's page: `sessions policy`",
    )
    NO_RESOURCE_ALLOW = (
        "because no resource-based policy allows the {action} action",
        Evidence.REPORTED,
        "yawn/ned README (kms:Decrypt); aws/aws-nitro-enclaves-sdk-c issue 127 (kms:Sign)",
    )
    NO_IDENTITY_ALLOW = (
        "because no identity-based policy allows the {action} action",
        Evidence.REPORTED,
        "cattle-ops/terraform-aws-gitlab-runner pull request 1253 (kms:Decrypt, KMS status 400)",
    )
    NO_BOUNDARY_ALLOW = (
        "because no permissions boundary allows the {action} action",
        Evidence.REPORTED,
        "kirodotdev/KiroCrew issue 10229 (kms:Decrypt, by way of Session Manager)",
    )
    NO_SESSION_ALLOW = (
        "because no session policy allows the {action} action",
        Evidence.INFERRED,
        "IAM User Guide, Troubleshoot access denied error messages (general; not shown for KMS)",
    )

    def __init__(self, reason: str, evidence: Evidence, source: str) -> None:
        self.reason = reason
        """The end of the message; `{action}` stands for the action."""
        self.evidence = evidence
        """How sure we are of the text."""
        self.source = source


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that the policies hold against a request; allowed if that is nothing."""

    denials: frozenset[Denial]


def assess(
    request: AccessRequest,
    key_policy: Policy,
    identity: IdentityPermissions,
    grants: Sequence[Grant] = (),
) -> Access:
    """All denials of `request`, not only the one that AWS would name.

    Which of them the message tells is the order of the rows in `kms_fake.rules`: explicit before
    implicit ("Policy evaluation logic", documented), of two implicit ones that of the key policy,
    without which the other means nothing (inferred).

    Where nothing lets the request in, both missing allows are there: each stands on its own.
    Raises ValueError if `key_policy` was not read as a key policy.
    """
    if key_policy.kind is not PolicyKind.KEY:
        raise ValueError("the policy of a key was not read as a key policy")
    context = _context(request)
    denials = _explicit(request, context, key_policy, identity)
    let_in = _let_in(request, context, key_policy, grants)
    at_home = request.principal.account == request.key_account
    if let_in is Match.NONE:
        denials |= {Denial.NO_RESOURCE_ALLOW, Denial.NO_IDENTITY_ALLOW}
    elif not (at_home and let_in in _NAMED) and not _any_allows(
        identity.policies, request, context
    ):
        denials.add(Denial.NO_IDENTITY_ALLOW)
    if not (at_home and let_in is Match.DIRECT):
        if identity.boundary and not _any_allows((identity.boundary,), request, context):
            denials.add(Denial.NO_BOUNDARY_ALLOW)
        if identity.session and not _any_allows(identity.session, request, context):
            denials.add(Denial.NO_SESSION_ALLOW)
    return Access(frozenset(denials))


_NAMED = (Match.DIRECT, Match.NAMED)


def denial_text(denial: Denial, principal: Principal, action: str, key_arn: str) -> str:
    """The message of the AccessDeniedException, as AWS words it for a caller of the key's account.

    A caller of another account gets the same here. Real KMS is reported to tell it less: "on this
    resource because the resource does not exist in this Region, no resource-based policies allow
    access, or a resource-based policy explicitly denies access".
    """
    return (
        f"User: {principal.arn} is not authorized to perform: {action} "
        f"on resource: {key_arn} {denial.reason.format(action=action)}"
    )


def _context(request: AccessRequest) -> Context:
    """The condition keys of the request, folded, with those of the caller.

    The latter come last, so that no request can bring its own.
    """
    context = Context()
    if request.derive is not None:
        context.derive = request.derive
    if request.context:
        values = request.context.values()
        several = [value if isinstance(value, tuple) else (value,) for value in values]
        context.update(zip(_folded(tuple(request.context)), several, strict=True))
        if len(context) != len(request.context):
            _add_all_spellings(context, request.context)
    principal = request.principal
    context["aws:principalarn"] = (principal.principal_arn,)
    context["aws:principalaccount"] = context["kms:calleraccount"] = (principal.account,)
    return context


@lru_cache(maxsize=256)  # A request mostly has the names of the request before.
def _folded(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(fold_key(name) for name in names)


def _add_all_spellings(context: Context, given: Mapping[str, str | tuple[str, ...]]) -> None:
    context.clear()
    for name, value in given.items():
        values = value if isinstance(value, tuple) else (value,)
        key = fold_key(name)
        context[key] = (*context.get(key, ()), *values)


def _explicit(
    request: AccessRequest, context: Context, key_policy: Policy, identity: IdentityPermissions
) -> set[Denial]:
    """The explicit denials, each once."""
    denials = set()
    if _any_denies(identity.policies, request, context):
        denials.add(Denial.IDENTITY_EXPLICIT)
    if identity.boundary and _any_denies((identity.boundary,), request, context):
        denials.add(Denial.BOUNDARY_EXPLICIT)
    if identity.session and _any_denies(identity.session, request, context):
        denials.add(Denial.SESSION_EXPLICIT)
    bounded = identity.boundary is not None
    for statement in key_policy.denies:
        if _is_meant(statement, request.principal, bounded=bounded) and statement.applies(
            request.action, request.key_arn, context
        ):
            denials.add(Denial.RESOURCE_EXPLICIT)
            break
    return denials


def _is_meant(statement: Statement, principal: Principal, *, bounded: bool) -> bool:
    """Whether a Deny of the key policy is about `principal`, which may have a boundary."""
    if bounded and isinstance(statement.principals, Unlisted):
        return True
    return statement.principals.match(principal) is not Match.NONE


def _let_in(
    request: AccessRequest, context: Context, key_policy: Policy, grants: Sequence[Grant]
) -> Match:
    """How the key policy or a grant lets the caller in: the widest way of all that apply."""
    best = Match.NONE
    for statement in key_policy.allows:
        match = statement.principals.match(request.principal)
        if match is Match.NONE or not statement.applies(request.action, request.key_arn, context):
            continue
        if match is Match.DIRECT or statement.names_by_condition:
            return Match.DIRECT
        if best is not Match.NAMED:
            best = match
    operation = request.action.removeprefix("kms:")
    for grant in grants:
        if best is not Match.NAMED:
            found = grant.match(request.principal, operation, context)
            best = best if found is Match.NONE else found
    return best


def _any_denies(policies: tuple[Policy, ...], request: AccessRequest, context: Context) -> bool:
    for policy in policies:
        for statement in policy.denies:
            if statement.applies(request.action, request.key_arn, context):
                return True
    return False


def _any_allows(policies: tuple[Policy, ...], request: AccessRequest, context: Context) -> bool:
    """Whether IAM allows. The root user needs no policy for that ("Policy evaluation logic")."""
    if request.principal.arn == request.principal.account_arn:
        return True
    for policy in policies:
        for statement in policy.allows:
            if statement.applies(request.action, request.key_arn, context):
                return True
    return False
