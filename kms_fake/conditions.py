"""The Condition element of a policy statement: read once, then asked per request.

Not the whole of IAM: the string operators, `Null` and `Bool`, over the condition keys that Decrypt
and GenerateDataKey have here. All of them are single-valued, so the set operators `ForAnyValue` and
`ForAllValues` do not belong to them. Everything else is refused when the policy is read, because an
operator or a key that is skipped turns a condition into none.

What holds for all operators, with its source:

- several operators, and several keys of one operator, must all hold; of several values one must
  match, and for a negated operator none may ("Conditions with multiple context keys or values",
  documented);
- names of condition keys are case-insensitive, the name of an encryption context pair included
  ("IAM JSON policy elements: Condition"; "AWS KMS condition keys", on the case sensitivity of
  kms:EncryptionContext; documented);
- a key that the request does not have never matches; a negated operator is therefore true, and so
  is any operator with `IfExists` ("IAM JSON policy elements: Condition operators", documented);
- no value is normalised: KMS supplies measurements in lower-case hexadecimal (inferred), so one
  written in upper case, or with `0x`, is legal and never matches under StringEquals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from kms_fake.policy_json import UnsupportedPolicy, read_object, read_string, shown
from kms_fake.wildcards import compile_wildcards

Accepts = Callable[[str | None], bool]
"""Whether a condition holds for the value of its key; None where the request has no such key."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator over one key: holds or not for what the request has under that key."""

    key: str
    """The name of the condition key, folded by `fold_key`."""
    accepts: Accepts


Context = Mapping[str, tuple[str, ...]]
"""The condition keys of a request, their names folded by `fold_key`, each with its value.

A key has two values where the request brought two names that differ by case only, which KMS allows
in an encryption context. AWS says that a condition then matches one of them, not which ("IAM JSON
policy elements: Condition"): unknown. Such a condition is taken the way that allows less.
"""

_ABSENT = (None,)


def all_hold(conditions: tuple[Condition, ...], context: Context, *, allows: bool) -> bool:
    """Whether all conditions of a statement hold; `allows` is the effect of the statement."""
    hold = all if allows else any
    for condition in conditions:
        if not hold(map(condition.accepts, context.get(condition.key, _ABSENT))):
            return False
    return True


@lru_cache(maxsize=1024)  # The names of a request are mostly those of the request before.
def fold_key(name: str) -> str:
    """The form of a condition key's name in which names are compared."""
    return name.lower()


def read_conditions(element: object, where: str, *, variables: bool) -> tuple[Condition, ...]:
    """The conditions of a Condition element, all of which must hold.

    `element` is its decoded JSON and `where` its path. `variables` says whether `${...}` is a
    policy variable in this policy. Raises MalformedPolicy and UnsupportedPolicy.
    """
    conditions: list[Condition] = []
    for operator, block in read_object(element, where).items():
        place = f"{where}.{operator}"
        build = _builder(operator, place)
        tests = read_object(block, place)
        if not tests:
            raise UnsupportedPolicy(
                f"{place}: holds no condition key, and AWS does not document what that means; "
                "remove the operator or give it a key"
            )
        for name, values in tests.items():
            key = _supported_key(name, place)
            texts = _texts(values, f"{place}.{name}", variables=variables)
            conditions.append(Condition(key, build(texts, f"{place}.{name}")))
    return tuple(conditions)


# Condition keys.

_PLAIN_KEYS = frozenset(
    {
        # "AWS KMS condition keys for AWS Nitro Enclaves" (documented). ImageSha384 is PCR0.
        "kms:recipientattestation:imagesha384",
        # "AWS global condition context keys" (documented).
        "aws:principalarn",
        "aws:principalaccount",
        # "AWS KMS condition keys" (documented).
        "kms:calleraccount",
    }
)
# The documentation names PCR 0, 1, 2, 3, 4, 8 and "a custom PCR ID that you defined" (documented);
# the bound is that of the NSM, which has 32 (inferred).
_PCR_KEY = re.compile(r"kms:recipientattestation:pcr([0-9]|[12][0-9]|3[01])")
_ENCRYPTION_CONTEXT = "kms:encryptioncontext:"

SUPPORTED_KEYS = (
    "kms:RecipientAttestation:ImageSha384, kms:RecipientAttestation:PCR0 to :PCR31, "
    "kms:EncryptionContext:NAME, aws:PrincipalArn, aws:PrincipalAccount, kms:CallerAccount"
)


def _supported_key(name: str, where: str) -> str:
    key = fold_key(name)
    if key in _PLAIN_KEYS or _PCR_KEY.fullmatch(key):
        return key
    if key.startswith(_ENCRYPTION_CONTEXT) and key != _ENCRYPTION_CONTEXT:
        return key
    # SDK-C issue 157: KMS takes this name, no request ever has it, and the policy looks right.
    hint = (
        " (KMS has no key of this name: a measurement must follow, as in "
        "kms:RecipientAttestation:PCR0; on AWS this condition sees the key as absent)"
        if key.rstrip(":") == "kms:recipientattestation"
        else ""
    )
    raise UnsupportedPolicy(
        f"{where}: the condition key {shown(name)} is not evaluated here{hint}; supported keys: "
        f"{SUPPORTED_KEYS}"
    )


# Values.


def _texts(values: object, where: str, *, variables: bool) -> tuple[str, ...]:
    """The values of one key. Booleans and integers may stand unquoted (policy grammar)."""
    texts = tuple(
        _text(value, where) for value in (values if isinstance(values, list) else [values])
    )
    if not texts:
        raise UnsupportedPolicy(
            f"{where}: an empty list of values, and AWS does not document what that means; remove "
            "the condition or give it a value"
        )
    for text in texts:
        refuse_variables(text, where, variables=variables)
    return texts


def _text(value: object, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        raise UnsupportedPolicy(
            f"{where}: the number {shown(value)}; supported values: strings, true, false, integers"
        )
    return read_string(value, where)


def refuse_variables(text: str, where: str, *, variables: bool) -> None:
    """Raise UnsupportedPolicy if `text` holds a policy variable.

    `variables` says whether the policy has any: only Version 2012-10-17 does, in all others
    `${...}` is literal text ("IAM policy elements: Variables and tags", documented).
    """
    if variables and "${" in text:
        raise UnsupportedPolicy(
            f"{where}: the policy variable in {shown(text)} is not evaluated here; supported: "
            "literal text, with * and ? where AWS takes them"
        )


# Operators. A builder makes the test of one key from the values that the policy gives.

_Builder = Callable[[tuple[str, ...], str], Accepts]
_Matches = Callable[[str], bool]


def _equals(texts: tuple[str, ...]) -> _Matches:
    return frozenset(texts).__contains__


def _equals_ignoring_case(texts: tuple[str, ...]) -> _Matches:
    lowered = frozenset(text.lower() for text in texts)
    return lambda value: value.lower() in lowered


def _like(texts: tuple[str, ...]) -> _Matches:
    patterns = tuple(compile_wildcards(text) for text in texts)
    return lambda value: any(pattern.fullmatch(value) for pattern in patterns)


def _string(
    matcher: Callable[[tuple[str, ...]], _Matches], *, negated: bool, if_exists: bool
) -> _Builder:
    when_absent = negated or if_exists

    def build(texts: tuple[str, ...], _where: str) -> Accepts:
        matches = matcher(texts)
        return lambda value: when_absent if value is None else matches(value) is not negated

    return build


def _bool(*, if_exists: bool) -> _Builder:
    """`Bool`: the value as text is "true" or "false".

    No key supported here is a boolean, so this compares strings (inferred); only an encryption
    context pair can hold one of the two texts.
    """

    def build(texts: tuple[str, ...], where: str) -> Accepts:
        _only_booleans(texts, where)
        matches = _equals(texts)
        return lambda value: if_exists if value is None else matches(value)

    return build


def _null(texts: tuple[str, ...], where: str) -> Accepts:
    """`Null`: "true" holds for a key that is absent, "false" for one that is there.

    A key whose value is the empty string counts as absent ("IAM JSON policy elements: Condition":
    an empty string is null; "Condition operators": "the key exists and its value is not null";
    documented). Only an encryption context pair can be empty.
    """
    _only_booleans(texts, where)
    absent_holds, present_holds = "true" in texts, "false" in texts
    return lambda value: present_holds if value else absent_holds


def _only_booleans(texts: tuple[str, ...], where: str) -> None:
    for text in texts:
        if text not in {"true", "false"}:
            raise UnsupportedPolicy(
                f"{where}: AWS documents no meaning of {shown(text)} here; supported: true, false"
            )


def _operators() -> dict[str, _Builder]:
    builders: dict[str, _Builder] = {"Null": _null}
    for suffix in ("", "IfExists"):
        if_exists = bool(suffix)
        builders[f"Bool{suffix}"] = _bool(if_exists=if_exists)
        for negation, negated in (("", False), ("Not", True)):
            for name, matcher in (
                ("Equals", _equals),
                ("EqualsIgnoreCase", _equals_ignoring_case),
                ("Like", _like),
            ):
                builders[f"String{negation}{name}{suffix}"] = _string(
                    matcher, negated=negated, if_exists=if_exists
                )
    return builders


_OPERATORS = _operators()

SUPPORTED_OPERATORS = (
    "StringEquals, StringNotEquals, StringEqualsIgnoreCase, StringNotEqualsIgnoreCase, StringLike, "
    "StringNotLike and Bool, each also with IfExists, and Null"
)


def _builder(operator: str, where: str) -> _Builder:
    builder = _OPERATORS.get(operator)
    if builder is None:
        raise UnsupportedPolicy(
            f"{where}: the condition operator {shown(operator)} is not evaluated here; supported "
            f"operators: {SUPPORTED_OPERATORS}"
        )
    return builder
