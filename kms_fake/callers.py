"""Who calls: the IAM user or assumed role behind an access key in moto, or the default caller.

Signatures are not checked. An access key that moto's IAM and STS do not know, and that is not among
the callers that a `KmsFake` was given, is the default caller: the role of the parent instance,
whose identity policies allow everything of KMS unless a test says otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from kms_fake.authorization import IdentityPermissions, Principal
from kms_fake.other_refusals import INACTIVE_KEY
from kms_fake.policy import MalformedPolicy, PolicyKind, UnsupportedPolicy, parse_policy

DEFAULT_ROLE_NAME = "EnclaveInstance"
DEFAULT_INSTANCE_ID = "i-0a1b2c3d4e5f60718"
_DEFAULT_ROLE_ID = "AROA0A1B2C3D4E5F60718"
_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what IAM lets them do."""

    principal: Principal
    identity: IdentityPermissions
    unreadable_policy: str | None = None
    """Why an identity policy could not be evaluated; such a caller is refused, not guessed at."""
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Condition keys that come with the caller or its connection, each with its values:
    aws:PrincipalOrgID, aws:PrincipalTag/NAME, aws:SourceVpce, aws:SourceIp and the like."""


def default_principal(account: str, region: str = "us-east-1") -> Principal:
    """The role of the parent instance, as EC2 names its sessions: by the instance id."""
    partition = get_partition(region)
    return Principal(
        arn=f"arn:{partition}:sts::{account}:assumed-role/{DEFAULT_ROLE_NAME}/{DEFAULT_INSTANCE_ID}",
        account=account,
        principal_arn=f"arn:{partition}:iam::{account}:role/{DEFAULT_ROLE_NAME}",
    )


@lru_cache(maxsize=64)
def default_caller(account: str, region: str = "us-east-1") -> Caller:
    """The default caller with the identity policies of an administrator of KMS."""
    instance = f"{get_partition(region)}:ec2:{region}:{account}:instance/{DEFAULT_INSTANCE_ID}"
    return Caller(
        default_principal(account, region),
        IdentityPermissions.all_of_kms(),
        context={
            "aws:userid": (f"{_DEFAULT_ROLE_ID}:{DEFAULT_INSTANCE_ID}",),
            "ec2:SourceInstanceArn": (f"arn:{instance}",),
        },
    )


def access_key_of(headers: Mapping[str, str]) -> str | None:
    """The access key that a request is signed with, of whatever length; None if it is not."""
    match = _CREDENTIAL.search(headers.get("Authorization", ""))
    return match["key"] if match else None


def account_of_access_key(access_key: str) -> str | None:
    """The account whose user or role session moto made `access_key` for; None if moto did not."""
    # Copies, since another thread may be at IAM or STS.
    for account, partitions in list(iam_backends.items()):
        if any(access_key in iam.access_keys for iam in list(partitions.values())):
            return str(account)
    return None


def known_caller(access_key: str, account: str, region: str) -> Caller | None:
    """The user or role session that moto made `access_key` for; None if moto made it not.

    Raises KmsRefusal for an access key that is inactive or whose user is gone.
    """
    partition = get_partition(region)
    iam = iam_backends[account][partition]
    # Copies, since another thread may be at IAM or STS.
    for session in list(sts_backends[account][partition].assumed_roles):
        if session.access_key_id == access_key:
            return _session(iam, session, account)
    key = iam.access_keys.get(access_key)
    if key is None:
        return None
    # Not by the key's user name, which moto leaves as it was when a user is renamed.
    for user in list(iam.users.values()):
        if key in user.access_keys:
            return _user(iam, user, key)
    raise INACTIVE_KEY.refuse("The access key belongs to nobody any more.")


def _user(iam: Any, user: Any, key: Any) -> Caller:
    if key.status != "Active":
        raise INACTIVE_KEY.refuse("The access key is inactive.")
    principal = Principal(arn=user.arn, account=user.account_id, principal_arn=user.arn)
    context = {"aws:userid": (user.id,), **_tags(user.tags)}
    return _with_policies(principal, _policies_of_user(iam, user), context=context)


def _session(iam: Any, session: Any, account: str) -> Caller:
    principal = Principal(arn=session.arn, account=account, principal_arn=session.role_arn)
    roles = list(iam.roles.values())
    role = next((role for role in roles if role.arn == session.role_arn), None)
    given = (session.policy,) if session.policy else ()
    if role is None:
        # moto lets a role be assumed that was never created; it allows nothing.
        return _with_policies(principal, (), session=given)
    return _with_policies(
        principal,
        _policies_of(role),
        boundary=_boundary_of(iam, role),
        session=given,
        context={"aws:userid": (f"{role.id}:{session.session_name}",), **_tags(role.tags)},
    )


def _boundary_of(iam: Any, role: Any) -> str | None:
    """The permissions boundary of a role, as JSON. moto keeps none for users."""
    arn = role.permissions_boundary_arn
    if not arn:
        return None
    policy = iam.managed_policies.get(arn)
    # A boundary that is not there allows nothing.
    return _NO_STATEMENT if policy is None else next(_default_version(policy))


_NO_STATEMENT = '{"Version": "2012-10-17", "Statement": []}'


def _tags(tags: Any) -> dict[str, tuple[str, ...]]:
    return {f"aws:PrincipalTag/{tag['Key']}": (tag["Value"],) for tag in tags or ()}


def identity_of_policies(texts: Iterable[str]) -> IdentityPermissions:
    """What identity policies allow, from their JSON. Raises MalformedPolicy, UnsupportedPolicy."""
    return IdentityPermissions(tuple(parse_policy(text, PolicyKind.IDENTITY) for text in texts))


def _with_policies(
    principal: Principal,
    texts: Iterable[str],
    *,
    boundary: str | None = None,
    session: tuple[str, ...] = (),
    context: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Caller:
    try:
        identity = IdentityPermissions(
            identity_of_policies(texts).policies,
            None if boundary is None else parse_policy(boundary, PolicyKind.IDENTITY),
            identity_of_policies(session).policies,
        )
    except (MalformedPolicy, UnsupportedPolicy) as error:
        return _unreadable(principal, str(error))
    return Caller(principal, identity, context=context)


def _unreadable(principal: Principal, reason: str) -> Caller:
    return Caller(principal, IdentityPermissions(()), unreadable_policy=reason)


def _policies_of_user(iam: Any, user: Any) -> Iterator[str]:
    yield from _policies_of(user)
    for group in iam.get_groups_for_user(user.name):
        yield from _policies_of(group)


def _policies_of(holder: Any) -> Iterator[str]:
    """The inline and attached policies of a user, a group or a role, as JSON."""
    documents = list(holder.policies.values())
    for policy in list(holder.managed_policies.values()):
        documents += _default_version(policy)
    for document in documents:
        yield json.dumps(document) if isinstance(document, Mapping) else document


def _default_version(policy: Any) -> Iterator[str]:
    for version in policy.versions:
        if version.is_default:
            yield version.document
