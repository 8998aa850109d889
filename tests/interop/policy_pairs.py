"""Pairs of policies and a request, drawn at random from a small world in which things often meet.

The same seed gives the same pairs. A pair is JSON, for judges in other languages: `key_policy`,
`identity` (a list), `boundary` and `session` (a policy or None), `principal`, `principal_arn`,
`account`, `action`, `key` and `context`, whose values are texts or lists of texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_KEY = KEY.replace("1234abcd", "00000000")
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Enclave"
OTHER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/Other"
USER = f"arn:aws:iam::{ACCOUNT}:user/alice"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/Enclave/i-0a1b2c3d4e5f60718"
_CALLERS = ((SESSION, ROLE), (USER, USER), (ROOT, ROOT))
_VERSION = "2012-10-17"

_GOOD, _BAD = "aa" * 48, "bb" * 48


@dataclass(frozen=True, slots=True)
class _Key:
    """A condition key: its operators, and the values that requests and policies have."""

    name: str
    operators: Sequence[str]
    values: Sequence[str]
    patterns: Sequence[str] = ()
    """Further values that only policies have."""
    multivalued: bool = False
    often: float = 0.6
    """How often a request has it."""


_STRING = ("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase")
_LIKE = ("StringLike", "StringNotLike")
_ANY_STRING = (*_STRING, *_LIKE)
_NUMERIC = tuple(
    f"Numeric{how}"
    for how in (
        *("Equals", "NotEquals", "LessThan", "LessThanEquals"),
        *("GreaterThan", "GreaterThanEquals"),
    )
)
_DATE = tuple(name.replace("Numeric", "Date") for name in _NUMERIC)
_ARN = ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike")

_KEYS = (
    _Key("kms:RecipientAttestation:ImageSha384", _ANY_STRING, (_GOOD, _BAD), (_GOOD.upper(),)),
    _Key("kms:RecipientAttestation:PCR0", _ANY_STRING, (_GOOD, _BAD), ("aa*", "*", "0" * 96)),
    _Key("kms:RecipientAttestation:PCR8", _STRING, ("cc" * 48, "0" * 96), ("dd" * 48,)),
    _Key(
        "kms:EncryptionContext:tenant",
        _ANY_STRING,
        ("red", "blue", "Red"),
        ("r*", "?ed", "${aws:PrincipalTag/team}", "${aws:PrincipalTag/team, 'red'}"),
    ),
    _Key(
        "kms:EncryptionContextKeys",
        _ANY_STRING,
        ("tenant", "app", "id"),
        ("t*",),
        multivalued=True,
    ),
    _Key("aws:PrincipalTag/team", _ANY_STRING, ("red", "blue"), ("*",)),
    _Key("aws:PrincipalOrgID", _STRING, ("o-a1b2c3d4e5", "o-zzzzzzzzzz"), ()),
    _Key(
        "aws:PrincipalOrgPaths",
        _ANY_STRING,
        ("o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/", "o-a1b2c3d4e5/r-ab12/"),
        ("o-a1b2c3d4e5/*",),
        multivalued=True,
    ),
    _Key("aws:SourceVpce", _STRING, ("vpce-0a1b2c3d", "vpce-99999999"), ()),
    _Key(
        "aws:SourceIp",
        ("IpAddress", "NotIpAddress"),
        ("10.0.0.5", "192.0.2.1"),
        ("10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "192.0.2.1/32"),
    ),
    _Key("kms:ViaService", _ANY_STRING, ("s3.us-east-1.amazonaws.com",), ("s3.*", "ebs.*")),
    _Key("aws:CurrentTime", _DATE, ("2026-03-02T12:00:00Z",), ("2026-01-01T00:00:00Z",), often=1),
    _Key("aws:MultiFactorAuthAge", _NUMERIC, ("300", "0", "7200"), ("3600", "299")),
    _Key("aws:SecureTransport", ("Bool",), ("true", "false"), (), often=0.8),
    _Key("aws:MultiFactorAuthPresent", ("Bool",), ("true", "false"), (), often=0.4),
    _Key(
        "aws:PrincipalArn",
        (*_ARN, *_LIKE),
        (),
        (ROLE, OTHER_ROLE, USER, f"arn:aws:iam::{ACCOUNT}:role/*", "arn:aws:iam::*:user/alice"),
    ),
    _Key("aws:PrincipalAccount", _STRING, (), (ACCOUNT, "111122223333")),
    _Key("kms:CallerAccount", _STRING, (), (ACCOUNT, "111122223333")),
    _Key("kms:EncryptionAlgorithm", _STRING, ("SYMMETRIC_DEFAULT",), ("RSAES_OAEP_SHA_256",)),
)


class Pairs:
    """Draws pairs."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # Nothing is secret here.

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._pair()

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _some(self, values: Sequence[str], most: int = 2) -> list[str]:
        return self._random.sample(values, self._random.randint(1, min(most, len(values))))

    def _pair(self) -> dict[str, Any]:
        (caller,) = self._random.choices(_CALLERS, weights=(5, 4, 1))
        principal, principal_arn = caller
        is_root, is_session = principal == ROOT, principal == SESSION
        identity = [] if is_root else [self._identity() for _ in range(self._random.randint(0, 2))]
        limited = not is_root and self._chance(0.25)
        return {
            "principal": principal,
            "principal_arn": principal_arn,
            "account": ACCOUNT,
            "action": self._random.choice(("kms:Decrypt", "kms:Decrypt", "kms:GenerateDataKey")),
            "key": KEY,
            "key_policy": self._policy(with_principals=True),
            "identity": identity,
            "boundary": self._identity() if limited else None,
            "session": self._identity() if is_session and self._chance(0.2) else None,
            "context": self._context(principal_arn),
        }

    def _context(self, principal_arn: str) -> dict[str, str | list[str]]:
        context: dict[str, str | list[str]] = {
            "aws:PrincipalArn": principal_arn,
            "aws:PrincipalAccount": ACCOUNT,
            "kms:CallerAccount": ACCOUNT,
        }
        for key in _KEYS:
            if key.values and self._chance(key.often):
                chosen = self._some(key.values, 3 if key.multivalued else 1)
                context[key.name] = chosen if key.multivalued else chosen[0]
        return context

    def _identity(self) -> dict[str, Any]:
        return self._policy(with_principals=False)

    def _policy(self, *, with_principals: bool) -> dict[str, Any]:
        count = self._random.choice((1, 1, 2, 3))
        statements = [self._statement(with_principals=with_principals) for _ in range(count)]
        return {"Version": _VERSION, "Statement": statements}

    def _statement(self, *, with_principals: bool) -> dict[str, Any]:
        allows = self._chance(0.75)
        statement: dict[str, Any] = {"Effect": "Allow" if allows else "Deny"}
        if with_principals:
            statement |= self._principals(allows=allows)
        statement |= self._actions()
        statement |= self._resources()
        conditions = 0 if self._chance(0.35) else self._random.choice((1, 1, 2))
        if conditions:
            statement["Condition"] = self._conditions(conditions)
        return statement

    def _principals(self, *, allows: bool) -> dict[str, Any]:
        listed = [ROLE, SESSION, USER, ROOT, OTHER_ROLE, ACCOUNT]
        if self._chance(0.15):
            return {"Principal": self._random.choice(("*", {"AWS": "*"}))}
        if not allows and self._chance(0.1):
            return {"NotPrincipal": {"AWS": [ROOT, *self._some([ROLE, SESSION, USER], 3)]}}
        return {"Principal": {"AWS": self._some(listed, 3)}}

    def _actions(self) -> dict[str, Any]:
        patterns = ("kms:Decrypt", "kms:GenerateDataKey", "kms:*", "kms:D*", "KMS:decrypt", "*")
        if self._chance(0.1):
            return {"NotAction": self._some(("kms:Decrypt", "kms:Sign", "kms:Gen*"))}
        return {"Action": self._some(patterns)}

    def _resources(self) -> dict[str, Any]:
        if self._chance(0.7):
            return {"Resource": "*"}
        patterns = (KEY, OTHER_KEY, f"arn:aws:kms:*:{ACCOUNT}:key/*", KEY[:-4] + "????")
        name = "NotResource" if self._chance(0.3) else "Resource"
        return {name: self._some(patterns)}

    def _conditions(self, count: int) -> dict[str, Any]:
        conditions: dict[str, Any] = {}
        for key in self._random.sample(_KEYS, count):
            operator = self._operator(key)
            if operator.removesuffix("IfExists") == "Null":
                values: Any = self._random.choice(("true", "false"))
            else:
                values = self._values(key, operator)
            conditions.setdefault(operator, {})[key.name] = values
        return conditions

    def _operator(self, key: _Key) -> str:
        if self._chance(0.12):
            return "Null"
        operator = self._random.choice(key.operators)
        if key.multivalued:
            return f"{self._random.choice(('ForAnyValue', 'ForAllValues'))}:{operator}"
        return f"{operator}IfExists" if self._chance(0.2) else operator

    def _values(self, key: _Key, operator: str) -> list[str]:
        literal = operator.rsplit(":", maxsplit=1)[-1].removesuffix("IfExists").endswith("Equals")
        wild = [v for v in key.patterns if not (literal and ("*" in v or "?" in v))]
        return self._some((*key.values, *(wild or key.patterns)), 3)


def features(pair: Mapping[str, Any]) -> set[str]:
    """What a pair uses, for statistics."""
    found: set[str] = set()
    policies = [pair["key_policy"], *pair["identity"]]
    for name in ("boundary", "session"):
        if pair[name] is not None:
            found.add(name)
            policies.append(pair[name])
    for policy in policies:
        for statement in policy["Statement"]:
            found |= {name for name in statement if name.startswith("Not")}
            for operator, block in statement.get("Condition", {}).items():
                found |= {operator, *block}
                found |= {"variable" for values in block.values() if "${" in str(values)}
    return found
