"""The condition keys that a request has by where, when, by whom and on which key it is made.

What the request itself says (its encryption context, its attestation document) is not here. Source
of each value: "AWS KMS condition keys" (KMS Developer Guide) and "AWS global condition context
keys" (IAM User Guide), documented, unless said otherwise. Keys that no call of an enclave's parent
has are known (`kms_fake.condition_keys`) and absent: those of AWS services that call on somebody's
behalf, of grants, of other operations. What only the network knows (aws:SourceIp, aws:SourceVpce
and the like) and what only the organization knows (aws:PrincipalOrgID) comes with the caller
(`kms_fake.callers.Caller.context`) or is absent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kms_fake.condition_keys import fold_key

if TYPE_CHECKING:
    from kms_fake.callers import Caller
    from kms_fake.keys import KmsKey

Values = tuple[str, ...]

_RESOURCE_TAG = "aws:resourcetag/"
_PRINCIPAL_TYPES = {
    "user": "User",
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "root": "Account",
}
"""By the first part of an ARN's resource ("Variables and tags", principal key values)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who asks, when and where, and of which key."""

    caller: Caller
    account: str
    """The account that owns the key."""
    region: str
    now_ms: int
    key: KmsKey | None
    """None where there is none yet."""

    def values(self, name: str) -> Values:
        """The values of the condition key of this folded name; none where it is absent.

        What the caller brings comes first, so that a test can have it otherwise.
        """
        given = self.of_caller(name)
        if given:
            return given
        read = _READERS.get(name)
        if read is not None:
            return read(self)
        if name.startswith(_RESOURCE_TAG) and self.key is not None:
            wanted = name.removeprefix(_RESOURCE_TAG)
            return tuple(value for tag, value in self.key.tags.items() if fold_key(tag) == wanted)
        return ()

    @property
    def now(self) -> dt.datetime:
        """The time of the request, in whole seconds."""
        return dt.datetime.fromtimestamp(self.now_ms // 1000, dt.UTC)

    @property
    def caller_kind(self) -> str:
        """The first part of the resource in the caller's ARN: `user`, `assumed-role`, `root`."""
        return self.caller.principal.arn.split(":", 5)[-1].split("/")[0]

    def of_caller(self, name: str) -> Values:
        """The values that the caller brings under this name, in whatever case."""
        given = self.caller.context.items()
        return next((values for key, values in given if fold_key(key) == name), ())


_Read = Callable[[Surroundings], Values]


def _of_key(read: Callable[[KmsKey], str | None]) -> _Read:
    def values(here: Surroundings) -> Values:
        value = None if here.key is None else read(here.key)
        return () if value is None else (value,)

    return values


def _username(here: Surroundings) -> Values:
    if here.caller_kind != "user":
        return ()
    return (here.caller.principal.arn.rsplit("/", 1)[-1],)


def _of_session(read: _Read) -> _Read:
    return lambda here: read(here) if here.caller_kind == "assumed-role" else ()


def _of_same_account(name: str) -> _Read:
    """What is said of the caller's account, where the key is of that account (inferred)."""
    return lambda here: (
        here.of_caller(name) if here.caller.principal.account == here.account else ()
    )


def _iso(here: Surroundings) -> Values:
    return (here.now.strftime("%Y-%m-%dT%H:%M:%SZ"),)


_READERS: Mapping[str, _Read] = {
    "kms:keyspec": _of_key(lambda key: key.spec),
    "kms:customermasterkeyspec": _of_key(lambda key: key.spec),
    "kms:keyusage": _of_key(lambda key: key.usage),
    "kms:customermasterkeyusage": _of_key(lambda key: key.usage),
    "kms:keyorigin": _of_key(lambda key: key.origin),
    "kms:multiregion": _of_key(lambda key: "true" if key.multi_region_type else "false"),
    "kms:multiregionkeytype": _of_key(lambda key: key.multi_region_type),
    "kms:resourcealiases": lambda here: here.key.aliases if here.key else (),
    "aws:currenttime": _iso,
    "aws:epochtime": lambda here: (str(here.now_ms // 1000),),
    # A fake keeps no record of when credentials were made; they are as new as can be (inferred).
    "aws:tokenissuetime": _of_session(_iso),
    "aws:multifactorauthpresent": _of_session(lambda _: ("false",)),
    "aws:principaltype": lambda here: (_PRINCIPAL_TYPES.get(here.caller_kind, "AssumedRole"),),
    "aws:principalisawsservice": lambda _: ("false",),
    "aws:viaawsservice": lambda _: ("false",),
    "aws:username": _username,
    "aws:requestedregion": lambda here: (here.region,),
    "aws:resourceaccount": lambda here: (here.account,),
    "aws:resourceorgid": _of_same_account("aws:principalorgid"),
    "aws:resourceorgpaths": _of_same_account("aws:principalorgpaths"),
    # KMS takes TLS only; a plain connection to the fake stands for one (inferred).
    "aws:securetransport": lambda _: ("true",),
}
"""Those of a name of their own, by their folded names."""
