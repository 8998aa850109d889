"""The principals file of `attested-kms serve`: who calls with which access key.

Its form is the schema `simulator/schemas/principals.schema.json`; the policies are checked as those
that are set over the API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from moto.utilities.utils import get_partition

from kms_fake.authorization import IdentityPermissions, Principal
from kms_fake.caller_arns import NoCaller, principal_of_arn
from kms_fake.callers import DEFAULT_INSTANCE_ID, Caller
from kms_fake.condition_keys import condition_key, fold_key
from kms_fake.policy import Policy, PolicyKind, parse_policy
from simulator.key_file import Defaults
from simulator.policy_texts import (
    Check,
    against_identity_policy,
    policy_in_place,
    policy_of_file,
)
from simulator.schema_check import schema_problems
from simulator.user_files import BadFile, UserFile, Where, read_user_file

_FOUND_BY_KMS = (
    *("aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:username"),
    *("aws:currenttime", "aws:epochtime", "aws:requestedregion", "aws:resourceaccount"),
    *("aws:requesttag/", "aws:resourcetag/", "aws:tagkeys"),
)
"""Condition keys, or the beginning of their names, that no caller brings: folded."""
_OF_THE_CONNECTION = "kms:viaservice"
"""The only key of KMS that is not found in the request."""
_NO_PERMISSIONS = IdentityPermissions(())
_ReadPolicy = Callable[[UserFile, Where, Any, Check], str]


def read_principals(path: Path, defaults: Defaults) -> dict[str, Caller]:
    """Access keys and who calls with them. Raises BadFile with everything that is wrong."""
    file = read_user_file(path)
    found = list(schema_problems(file, "principals"))
    reader = _Reader(file, defaults)
    reader.problems += [problem for _, problem in found]
    unfit = {where[:2] for where, _ in found}
    if unfit.isdisjoint({(), ("principals",)}):
        content: Any = file.value
        for access_key, entry in content["principals"].items():
            if ("principals", access_key) not in unfit:
                reader.read(access_key, entry)
    if reader.problems:
        raise BadFile(*reader.problems)
    return reader.callers


def named_principal(
    name: str, defaults: Defaults, *, session_name: str = DEFAULT_INSTANCE_ID
) -> Principal:
    """Who is meant by an ARN, or by its end (`user/NAME`) in the default account.

    Raises NoCaller.
    """
    if not name.startswith("arn:"):
        service = "sts" if name.startswith("assumed-role/") else "iam"
        name = f"arn:{get_partition(defaults.region)}:{service}::{defaults.account}:{name}"
    return principal_of_arn(name, session_name=session_name)


def without_session(identity: IdentityPermissions) -> IdentityPermissions:
    """What the user or the role is allowed, whatever the session."""
    return replace(identity, session=())


def _is_role(name: str) -> bool:
    return name.rsplit(":", maxsplit=1)[-1].startswith("role/")


class _Reader:
    """Reads one principal after the other."""

    def __init__(self, file: UserFile, defaults: Defaults) -> None:
        self.problems: list[str] = []
        self.callers: dict[str, Caller] = {}
        self._file = file
        self._defaults = defaults
        self._listed: dict[str, tuple[str, IdentityPermissions]] = {}

    def read(self, access_key: str, entry: Mapping[str, Any]) -> None:
        """Take in an entry that the schema has nothing against."""
        before = len(self.problems)
        where: Where = ("principals", access_key)
        principal = self._principal(where, entry)
        identity = self._identity(where, entry)
        context = self._context((*where, "context"), entry.get("context", {}))
        if principal is None or len(self.problems) > before:
            return
        if identity != _NO_PERMISSIONS and principal.arn == principal.account_arn:
            self._complain(where, "the root user of an account has no policies of IAM")
        if identity.session and principal.arn == principal.principal_arn:
            self._complain(where, f"{principal.arn} is no session, so it has no session policies")
        first, same = self._listed.setdefault(principal.principal_arn, (access_key, identity))
        if without_session(identity) != without_session(same):
            self._complain(
                where,
                f"{principal.principal_arn} has other policies under {first}; a user or role has "
                "the same ones under each access key",
            )
        self.callers[access_key] = Caller(principal, identity, context=context)

    def _complain(self, where: Where, text: str) -> None:
        self.problems.append(self._file.problem(where, text))

    def _principal(self, where: Where, entry: Mapping[str, Any]) -> Principal | None:
        session_name = entry.get("session_name")
        try:
            principal = named_principal(
                entry["arn"], self._defaults, session_name=session_name or DEFAULT_INSTANCE_ID
            )
        except NoCaller as error:
            self._complain((*where, "arn"), str(error))
            return None
        if session_name and not _is_role(entry["arn"]):
            self._complain(
                (*where, "session_name"),
                f"{principal.arn} has no session to be named; give session_name with the ARN of "
                "a role",
            )
        return principal

    def _identity(self, where: Where, entry: Mapping[str, Any]) -> IdentityPermissions:
        """The policies of the entry; those that are wrong are complained of and left out."""
        boundary, boundary_file = "permissions_boundary", "permissions_boundary_file"
        if boundary in entry and boundary_file in entry:
            self._complain(where, f"has both {boundary} and {boundary_file}; leave one")
        boundaries = [
            *self._policy((*where, boundary), entry.get(boundary), policy_in_place),
            *self._policy((*where, boundary_file), entry.get(boundary_file), policy_of_file),
        ]
        return IdentityPermissions(
            self._policies(where, entry, "policies", "policy_files"),
            boundaries[0] if boundaries else None,
            self._policies(where, entry, "session_policies", "session_policy_files"),
        )

    def _policies(
        self, where: Where, entry: Mapping[str, Any], in_place: str, files: str
    ) -> tuple[Policy, ...]:
        return tuple(
            policy
            for member, read in ((in_place, policy_in_place), (files, policy_of_file))
            for index, value in enumerate(entry.get(member, ()))
            for policy in self._policy((*where, member, index), value, read)
        )

    def _policy(self, where: Where, value: Any, read: _ReadPolicy) -> list[Policy]:
        """The policy, or none where there is none or it is wrong."""
        if value is None:
            return []
        try:
            text = read(self._file, where, value, against_identity_policy)
        except BadFile as error:
            self.problems += error.problems
            return []
        return [parse_policy(text, PolicyKind.IDENTITY)]

    def _context(
        self, where: Where, entry: Mapping[str, str | list[str]]
    ) -> dict[str, tuple[str, ...]]:
        """The condition keys that come with the caller, each with its values."""
        context = {}
        for name, given in entry.items():
            values = (given,) if isinstance(given, str) else tuple(given)
            key = condition_key(name)
            folded = fold_key(name)
            if key is None:
                self._complain((*where, name), "AWS has no such condition key")
            elif folded.startswith(_FOUND_BY_KMS) or (
                folded.startswith("kms:") and folded != _OF_THE_CONNECTION
            ):
                self._complain(
                    (*where, name), "KMS finds it in the request itself; leave it out here"
                )
            elif len(values) != 1 and not (values and key.multivalued):
                self._complain((*where, name), f"{key.name} has one value; give one")
            context[name] = values
        return context
