"""Making grants and finding them again, where moto 5.2.5 differs from KMS.

moto makes another grant where the retry of a request must find the first one, and knows one token
of each grant. The grants stay moto's; their further tokens are kept here and go with them. Source:
"CreateGrant", AWS KMS API Reference, documented.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

_FURTHER_TOKENS: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""For each of moto's grants, the tokens of the requests that found it."""


def make_grant(moto_key: Any, members: Mapping[str, Any]) -> tuple[str, str]:
    """The id and the token of a grant of a key of moto's, as the members of CreateGrant have it.

    "When this value [Name] is present, you can retry a CreateGrant request with identical
    parameters; if the grant already exists, the original GrantId is returned"; the token is
    another one each time.
    """
    wanted = {
        "name": members.get("Name"),
        "grantee_principal": members.get("GranteePrincipal"),
        "operations": members["Operations"],
        "constraints": members.get("Constraints"),
        "retiring_principal": members.get("RetiringPrincipal"),
    }
    if wanted["name"] is not None:
        for grant in list(moto_key.grants.values()):
            if _parameters(grant) == _comparable(wanted):
                token = secrets.token_hex(32)
                _FURTHER_TOKENS.setdefault(grant, set()).add(token)
                return grant.id, token
    made = moto_key.add_grant(**wanted)
    return made.id, made.token


def grant_of_token(moto_keys: Iterable[Any], token: str) -> tuple[Any, str] | None:
    """The key of moto's and the id of its grant that `token` stands for; None without one."""
    for key in moto_keys:
        for grant in list(key.grants.values()):
            if grant.token == token or token in _FURTHER_TOKENS.get(grant, ()):
                return key, grant.id
    return None


def _parameters(grant: Any) -> Mapping[str, Any]:
    return _comparable(
        {
            "name": grant.name,
            "grantee_principal": grant.grantee_principal,
            "operations": grant.operations,
            "constraints": grant.constraints,
            "retiring_principal": grant.retiring_principal,
        }
    )


def _comparable(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Them with nothing for an empty set of constraints, and no order of operations (inferred)."""
    return {
        **parameters,
        "operations": frozenset(parameters["operations"]),
        "constraints": parameters["constraints"] or None,
    }
