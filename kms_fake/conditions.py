"""The Condition element of a policy statement: read once, then asked per request.

Operators, keys and values that AWS does not document are refused when the policy is read, because
an operator or a key that is skipped turns a condition into none. What holds for all operators,
with its source:

- several operators, and several keys of one operator, must all hold; of several values one must
  match, and for a negated operator none may ("Conditions with multiple context keys or values",
  documented);
- names of condition keys are case-insensitive, the name of an encryption context pair included
  ("IAM JSON policy elements: Condition"; "AWS KMS condition keys", on the case sensitivity of
  kms:EncryptionContext; documented);
- a key that the request does not have never matches; a negated operator is therefore true, and so
  is any operator with `IfExists` ("IAM JSON policy elements: Condition operators", documented);
- a key with several values needs a set operator. `ForAllValues` holds if every value of the request
  does, so also if there is none; `ForAnyValue` if one does, so not if there is none; values that
  are empty strings count as none ("Conditions with multiple context keys or values", documented).
  With `IfExists` too, the two pages contradict each other on an absent key under `ForAnyValue`:
  unknown, and taken the way that allows less;
- no value is normalised: KMS supplies measurements in lower-case hexadecimal (inferred), so one
  written in upper case, or with `0x`, is legal and never matches under StringEquals.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from kms_fake.condition_keys import (
    ENCRYPTION_CONTEXT_KEY,
    REQUEST_TAG_KEY,
    ConditionKey,
    condition_key,
    fold_key,
)
from kms_fake.condition_operators import (
    COMPARISONS,
    SUPPORTED_OPERATORS,
    Comparison,
    Matches,
    literal_pieces,
    only_booleans,
)
from kms_fake.policy_json import (
    MalformedPolicy,
    UnsupportedPolicy,
    read_object,
    read_string,
    shown,
)
from kms_fake.variables import read_template

Accepts = Callable[[tuple[str, ...]], bool]
"""Whether a condition holds for the values of its key; none where the request has no such key."""


class Context(dict[str, tuple[str, ...]]):
    """The condition keys of a request, their names folded, each with its values.

    `context[key]` is always there: a key that was not given is asked of `derive`, once, and has no
    values where the request has no such key.

    A single-valued key has two values where the request brought two names that differ by case only,
    which KMS allows in an encryption context. AWS says that a condition then matches one of them,
    not which ("IAM JSON policy elements: Condition"): unknown. Such a condition is taken the way
    that allows less.
    """

    derive: Callable[[str], tuple[str, ...]] | None = None
    """Set where there is anything to ask. Not an argument: the constructor of dict is the fastest,
    and each request makes one of these."""

    def __missing__(self, key: str) -> tuple[str, ...]:
        values = self[key] = self.derive(key) if self.derive else ()
        return values


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator over one key: holds or not for what the request has under that key."""

    key: str
    """The name of the condition key, folded."""
    multivalued: bool
    accepts: Accepts | None
    """None where the policy's values hold variables."""
    bind: Callable[[Context], Accepts] | None = None
    """The test with the variables of one request filled in."""
    unknown_if_absent: bool = False
    """Whether nobody knows what it comes to where the request has no such key."""

    def bound(self, context: Context) -> Accepts:
        """The test that `bind` makes."""
        if self.bind is None:
            raise ValueError("a condition has a test, or a way to make one")
        return self.bind(context)


def all_hold(conditions: tuple[Condition, ...], context: Context, *, allows: bool) -> bool:
    """Whether all conditions of a statement hold; `allows` is the effect of the statement."""
    hold = all if allows else any
    for condition in conditions:
        values = context[condition.key]
        if condition.unknown_if_absent and not values:
            if allows:
                return False
            continue
        accepts = condition.accepts or condition.bound(context)
        if len(values) < 2 or condition.multivalued:
            if not accepts(values):
                return False
        elif not hold(accepts((value,)) for value in values):
            return False
    return True


def read_conditions(
    element: object, where: str, *, variables: bool, in_key_policy: bool
) -> tuple[Condition, ...]:
    """The conditions of a Condition element, all of which must hold.

    `element` is its decoded JSON and `where` its path. `variables` says whether `${...}` is a
    policy variable in this policy. Raises MalformedPolicy and UnsupportedPolicy.
    """
    conditions: list[Condition] = []
    for operator, block in read_object(element, where).items():
        place = f"{where}.{operator}"
        reader = _read_operator(operator, place)
        tests = read_object(block, place)
        if not tests:
            raise UnsupportedPolicy(
                f"{place}: holds no condition key, and AWS does not document what that means; "
                "remove the operator or give it a key"
            )
        for name, values in tests.items():
            key = _known_key(name, place)
            _check_pair(reader, key, name, place, in_key_policy=in_key_policy)
            path = f"{place}.{name}"
            numbers = reader.comparison is not None and reader.comparison.is_numeric
            texts = _texts(values, path, numbers=numbers)
            conditions.append(
                reader.condition(fold_key(name), key, texts, path, variables=variables)
            )
    return tuple(conditions)


# Condition keys.


def _known_key(name: str, where: str) -> ConditionKey:
    key = condition_key(name)
    if key is not None:
        return key
    # SDK-C issue 157: KMS takes this name, no request ever has it, and the policy looks right.
    hint = (
        " (KMS has no key of this name: a measurement must follow, as in "
        "kms:RecipientAttestation:PCR0; on AWS this condition sees the key as absent)"
        if fold_key(name).rstrip(":") == "kms:recipientattestation"
        else ""
    )
    raise UnsupportedPolicy(
        f"{where}: the condition key {shown(name)} is not evaluated here{hint}; supported keys: "
        "those of the page AWS KMS condition keys, and the aws: keys of the page AWS global "
        "condition context keys"
    )


def _check_pair(
    reader: _Operator, key: ConditionKey, name: str, where: str, *, in_key_policy: bool
) -> None:
    """Refuse an operator over a key where AWS refuses it or does not document what it means."""
    if in_key_policy and not key.in_key_policies:
        raise UnsupportedPolicy(
            f"{where}: AWS documents the condition key {shown(name)} for IAM policies only; "
            "supported in a key policy: all others"
        )
    if reader.comparison is not None and key.type not in reader.comparison.types:
        raise UnsupportedPolicy(
            f"{where}: the condition key {shown(name)} is {key.type.value}, and AWS does not "
            "document what this operator makes of it; supported: the operators of its type, and "
            "the String operators"
        )
    if key.multivalued and reader.quantifier is _Quantifier.ONE:
        raise UnsupportedPolicy(
            f"{where}: the condition key {shown(name)} has several values and needs a set "
            "operator; supported: ForAnyValue:, ForAllValues:, Null"
        )
    pair = key in (ENCRYPTION_CONTEXT_KEY, REQUEST_TAG_KEY)
    if in_key_policy and pair and reader.quantifier is _Quantifier.ALL:
        # "AWS KMS condition keys", on set operators (documented).
        raise MalformedPolicy(
            f"{where}: OverlyPermissiveCondition: Using the ForAllValues set operator with a "
            "single-valued condition key matches requests without the specified [encryption "
            "context or tag] or with an unspecified [encryption context or tag]. To fix, remove "
            "ForAllValues."
        )
    if in_key_policy and pair and reader.quantifier is _Quantifier.ANY:
        raise UnsupportedPolicy(
            f"{where}: a set operator over the single-valued key {shown(name)}, which AWS warns of "
            "and KMS may refuse; supported: the operator without ForAnyValue:"
        )


# Values.


def _texts(values: object, where: str, *, numbers: bool) -> tuple[str, ...]:
    """The values of one key. Booleans and integers may stand unquoted (policy grammar)."""
    texts = tuple(
        _text(value, where, numbers=numbers)
        for value in (values if isinstance(values, list) else [values])
    )
    if not texts:
        raise UnsupportedPolicy(
            f"{where}: an empty list of values, and AWS does not document what that means; remove "
            "the condition or give it a value"
        )
    return texts


def _text(value: object, where: str, *, numbers: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (numbers and isinstance(value, float)):
        return str(value)
    if isinstance(value, float):
        raise UnsupportedPolicy(
            f"{where}: the number {shown(value)}; supported values: strings, true, false, integers"
        )
    return read_string(value, where)


# Operators.


class _Quantifier(enum.Enum):
    """How many values of the request must match."""

    ONE = ""
    ANY = "ForAnyValue:"
    ALL = "ForAllValues:"
    NULL = "Null"


@dataclass(frozen=True, slots=True)
class _Operator:
    """One operator as a policy names it."""

    quantifier: _Quantifier
    comparison: Comparison | None
    """None for Null."""
    if_exists: bool = False

    def condition(
        self, name: str, key: ConditionKey, texts: tuple[str, ...], where: str, *, variables: bool
    ) -> Condition:
        """The condition over the key of this name. Raises UnsupportedPolicy."""
        if self.comparison is None:
            return Condition(name, multivalued=True, accepts=_null(texts, where))
        comparison = self.comparison
        templates = tuple(read_template(text, where, variables=variables) for text in texts)
        pieces = literal_pieces(templates, comparison, where)
        unknown_if_absent = self.if_exists and self.quantifier is _Quantifier.ANY
        if pieces is not None:
            accepts = self._quantified(comparison.match(pieces, where))
            return Condition(name, key.multivalued, accepts, unknown_if_absent=unknown_if_absent)

        def bind(context: Context) -> Accepts:
            filled = (template.filled(context) for template in templates)
            values = tuple(pieces for pieces in filled if pieces is not None)
            return self._quantified(comparison.match(values, where))

        return Condition(name, key.multivalued, None, bind, unknown_if_absent)

    def _quantified(self, matches: Matches) -> Accepts:
        negated = self.comparison is not None and self.comparison.negated
        if self.quantifier is _Quantifier.ONE:
            when_absent = negated or self.if_exists
            return lambda values: (matches(values[0]) is not negated) if values else when_absent
        if self.quantifier is _Quantifier.ALL:
            return lambda values: all(matches(value) is not negated for value in values if value)
        return lambda values: any(matches(value) is not negated for value in values if value)


def _null(texts: tuple[str, ...], where: str) -> Accepts:
    """`Null`: "true" holds for a key that is absent, "false" for one that is there.

    A key whose value is the empty string counts as absent ("IAM JSON policy elements: Condition":
    an empty string is null; "Condition operators": "the key exists and its value is not null";
    documented). Only what a user chose, such as an encryption context pair, can be empty.
    """
    only_booleans(texts, where)
    absent_holds, present_holds = "true" in texts, "false" in texts
    return lambda values: present_holds if any(values) else absent_holds


def _read_operator(text: str, where: str) -> _Operator:
    if text == "Null":
        return _Operator(_Quantifier.NULL, None)
    quantifier, name = _Quantifier.ONE, text
    for set_operator in (_Quantifier.ANY, _Quantifier.ALL):
        if text.startswith(set_operator.value):
            quantifier, name = set_operator, text.removeprefix(set_operator.value)
    comparison = COMPARISONS.get(name.removesuffix("IfExists"))
    if comparison is None:
        raise UnsupportedPolicy(
            f"{where}: the condition operator {shown(text)} is not evaluated here; supported "
            f"operators: {SUPPORTED_OPERATORS}"
        )
    return _Operator(quantifier, comparison, name.endswith("IfExists"))
