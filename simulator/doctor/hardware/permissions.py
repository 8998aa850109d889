"""Preflight: may the caller do what a run does, each action for itself, as IAM tells it.

IAM is asked what the caller's identity policies, its boundary and the organization's policies say
of each action with the tag of a run's key (SimulatePrincipalPolicy). Key policies are not asked:
the keys do not exist yet. Where IAM may not be asked nothing is known, and nothing is passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from kms_fake.evidence import Evidence
from simulator.doctor.hardware.needs import Needs, Permission
from simulator.doctor.hardware.questions import Identity, Refused, asked, identity, region_of
from simulator.doctor.host import Host, NotCalled, Unreachable
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import short

ASKING = "iam:SimulatePrincipalPolicy"

_Check = partial(
    Check,
    roles=frozenset({Role.PARENT}),
    option="--hardware",
    evidence=Evidence.DOCUMENTED,
    source='"SimulatePrincipalPolicy" (IAM API Reference); which keys its conditions know: '
    "Service Authorization Reference",
)
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_RUN = "preflight"
"""A value of the tag, for a key that nobody makes."""
_ALLOWED = "allowed"
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})


def name_of(action: str) -> str:
    """`permissions.kms-create-key` for kms:CreateKey."""
    service, _, operation = action.partition(":")
    return f"permissions.{service}-{_CAPITAL.sub('-', operation).lower()}"


class _NotTold(Exception):
    """IAM does not say what the caller may; `finding` says why and what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.finding = Finding(
            outcome=Outcome.WARNING,
            found=f"None of the permissions could be checked: {found}",
            fix=fix,
        )


def _asking(needs: Needs, host: Host) -> Iterator[Finding]:
    """The one check that tells of all where IAM does not."""
    try:
        who = identity(host)
        for resource in dict.fromkeys(each.resource for each in needs.permissions):
            _decisions(needs, host, who, resource)
    except _NotTold as error:
        yield error.finding
    else:
        yield Finding(outcome=Outcome.OK, found=f"IAM tells what {short(who.name)} may")


def _one(needs: Needs, permission: Permission, host: Host) -> Iterator[Finding]:
    try:
        who = identity(host)
        decision = _decisions(needs, host, who, permission.resource).get(permission.action)
    except _NotTold:
        yield Finding(outcome=Outcome.SKIPPED, found=f"Not checked: {name_of(ASKING)} says why")
        return
    if decision is None:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"IAM says nothing of {permission.action}",
            fix="Ask it by hand: aws iam simulate-principal-policy --action-names "
            f"{permission.action} --policy-source-arn {who.policies_of}",
        )
        return
    yield _judged(host, permission, who, decision)


def _judged(
    host: Host, permission: Permission, who: Identity, decision: Mapping[str, Any]
) -> Finding:
    action, said = permission.action, decision.get("EvalDecision")
    if said == _ALLOWED:
        return Finding(outcome=Outcome.OK, found=f"{short(who.name)} may {action}")
    unknown = [short(str(each)) for each in decision.get("MissingContextValues") or ()]
    if unknown and said != "explicitDeny":
        return Finding(
            outcome=Outcome.WARNING,
            found=f"Whether {short(who.name)} may {action} depends on {', '.join(unknown)}, which "
            "is not known before the call",
            fix="See that the condition will be met from this instance",
        )
    return Finding(
        outcome=Outcome.ERROR,
        found=f"{short(who.name)} may not {action}: {short(str(said))}{_by_whom(decision)}",
        fix=f"Give it the policy that this prints, from where that is allowed: {_policy(host, who)}"
        if said != "explicitDeny"
        else f"Find the Deny among its policies, its boundary and the organization's, and except "
        f"{action} from it",
    )


def _by_whom(decision: Mapping[str, Any]) -> str:
    boundary = decision.get("PermissionsBoundaryDecisionDetail") or {}
    organization = decision.get("OrganizationsDecisionDetail") or {}
    if boundary.get("AllowedByPermissionsBoundary") is False:
        return ", by its permissions boundary"
    if organization.get("AllowedByOrganizations") is False:
        return ", by a policy of the organization"
    return ""


def _policy(host: Host, who: Identity) -> str:
    words = f"attested-kms hardware policy --account {who.account} --region {region_of(host)}"
    return f"{words} --role {who.name}" if ":role/" in who.policies_of else words


def _decisions(
    needs: Needs, host: Host, who: Identity, resource: str
) -> Mapping[str, Mapping[str, Any]]:
    """What IAM says of all actions on a resource, by action. Raises _NotTold."""
    if not who.policies_of:
        raise _NotTold(
            f"the caller is {who.arn}, which IAM is not asked about",
            "Run it with a role of its own: the root user may do everything, and so may a mistake",
        )
    members: dict[str, Any] = {
        "PolicySourceArn": who.policies_of,
        "ActionNames": [each.action for each in needs.permissions if each.resource == resource],
        "ContextEntries": [
            {
                "ContextKeyName": f"aws:{kind}Tag/{needs.run_tag}",
                "ContextKeyValues": [_RUN],
                "ContextKeyType": "string",
            }
            for kind in ("Request", "Resource")
        ],
    }
    if resource:
        members["ResourceArns"] = [
            resource.format(partition=who.partition, region=region_of(host), account=who.account)
        ]
    try:
        answer = asked(host, "iam", "SimulatePrincipalPolicy", members)
    except Refused as error:
        raise _refused(host, who, error) from error
    except (NotCalled, Unreachable) as error:
        raise _NotTold(
            f"IAM does not answer: {error}",
            "Give the subnet a way to IAM, which has VPC endpoints in few Regions: a NAT gateway, "
            "or set HTTPS_PROXY",
        ) from error
    results = answer.members.get("EvaluationResults")
    return {
        str(each["EvalActionName"]): each
        for each in (results if isinstance(results, list) else ())
        if isinstance(each, Mapping) and "EvalActionName" in each
    }


def _refused(host: Host, who: Identity, error: Refused) -> _NotTold:
    if error.code in _DENIED:
        return _NotTold(
            f"{short(who.name)} may not ask IAM what it may ({short(str(error))})",
            f"Allow it {ASKING} on {who.policies_of}, as the policy does that this prints: "
            f"{_policy(host, who)}",
        )
    if error.code == "NoSuchEntity":
        return _NotTold(
            f"IAM knows no {who.policies_of}; the role may have a path, which its session does not "
            "tell",
            "Take a role without a path, such as role/runner in place of role/ci/runner",
        )
    return _NotTold(f"IAM says {short(str(error))}", "See what it says, and try again")


def checks(needs: Needs) -> tuple[Check, ...]:
    """One that says whether IAM tells it, and one for each action."""
    return (
        _Check(
            id=name_of(ASKING),
            title="IAM may be asked what the caller may",
            why="Without it what is not allowed shows in the midst of a run, after keys were made",
            probe=partial(_asking, needs),
            needs=("hardware.identity",),
        ),
        *(
            _Check(
                id=name_of(each.action),
                title=f"The caller may {each.action}",
                why=f"{each.why}. Otherwise the call ends with AccessDeniedException"
                if not each.action.startswith("ec2:")
                else f"{each.why}. Otherwise the call ends with UnauthorizedOperation",
                probe=partial(_one, needs, each),
                needs=("hardware.identity",),
            )
            for each in needs.permissions
        ),
    )
