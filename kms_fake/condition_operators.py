"""The condition operators of IAM: how the values of a policy and those of a request are compared.

Source: "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys
or values" (IAM User Guide, documented). What holds for all of them stands in
`kms_fake.conditions`; here is what each compares, and which keys each belongs to.

The pages say which operators a key is made for, not what happens with another; such a pair is
refused when the policy is set. String operators go with every key, as text (inferred).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kms_fake.condition_keys import KeyType
from kms_fake.condition_values import (
    Address,
    Network,
    address,
    binary,
    date,
    network,
    number,
    read_values,
)
from kms_fake.policy_json import UnsupportedPolicy, shown
from kms_fake.variables import Template
from kms_fake.wildcards import ArnComponents, Piece, compile_wildcards

Matches = Callable[[str], bool]
"""Whether one value of the request is meant by one of the policy's values."""
Values = tuple[tuple[Piece, ...], ...]
"""The values of a policy, each in its pieces."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an operator compares, before negation and before IfExists and set operators."""

    match: Callable[[Values, str], Matches]
    """The test of one value, from the policy's values and the path of the condition."""
    types: frozenset[KeyType]
    """The keys it goes with."""
    negated: bool = False
    takes_variables: bool = False
    check: Callable[[Values, str], None] | None = None
    """Refuses values that a policy must not hold, where they are known when it is read."""

    @property
    def is_numeric(self) -> bool:
        """Whether it compares numbers, so that a policy may write decimals unquoted."""
        return self.types == _NUMERIC_KEYS


def _joined(values: Values) -> tuple[str, ...]:
    return tuple("".join(piece.text for piece in pieces) for pieces in values)


def _equals(values: Values, _where: str) -> Matches:
    return frozenset(_joined(values)).__contains__


def _equals_ignoring_case(values: Values, _where: str) -> Matches:
    lowered = frozenset(text.lower() for text in _joined(values))
    return lambda value: value.lower() in lowered


def _like(values: Values, _where: str) -> Matches:
    patterns = tuple(compile_wildcards(*pieces) for pieces in values)
    return lambda value: any(pattern.fullmatch(value) for pattern in patterns)


def _arn(values: Values, _where: str) -> Matches:
    patterns = tuple(ArnComponents.of(*pieces) for pieces in values)
    return lambda value: any(pattern.matches(value) for pattern in patterns)


def _only_arns(values: Values, where: str) -> None:
    for text in _joined(values):
        if text.count(":") < 5 or not text.startswith(("arn:", "*", "?")):
            raise UnsupportedPolicy(
                f"{where}: {shown(text)} is no ARN, and AWS does not document what that means; "
                "supported: all six parts of an ARN, wildcards in each"
            )


def _boolean(values: Values, where: str) -> Matches:
    texts = _joined(values)
    only_booleans(texts, where)
    return frozenset(texts).__contains__


def _binary(values: Values, where: str) -> Matches:
    wanted = frozenset(read_values(_joined(values), binary, where, "base64"))
    # JSON can bring half a surrogate pair, which equals no text in UTF-8.
    return lambda value: value.encode(errors="surrogatepass") in wanted


def _address(values: Values, where: str) -> Matches:
    form = "IPv4 addresses, and IPv4 and IPv6 ranges such as 203.0.113.0/24 and 2001:db8::/64"
    networks: tuple[Network, ...] = read_values(_joined(values), network, where, form)

    def matches(value: str) -> bool:
        given = address(value)
        return given is not None and any(_within(given, one) for one in networks)

    return matches


def _within(given: Address, one: Network) -> bool:
    return given.version == one.version and int(one[0]) <= int(given) <= int(one[-1])


def _ordered(
    read: Callable[[str], Any], compare: Callable[[Any, Any], bool], form: str
) -> Callable[[Values, str], Matches]:
    def match(values: Values, where: str) -> Matches:
        bounds = read_values(_joined(values), read, where, form)

        def matches(value: str) -> bool:
            given = read(value)
            return given is not None and any(compare(given, bound) for bound in bounds)

        return matches

    return match


def only_booleans(texts: tuple[str, ...], where: str) -> None:
    """Raise UnsupportedPolicy for a text that is neither "true" nor "false"."""
    read_values(texts, lambda text: text if text in {"true", "false"} else None, where, _BOOLEANS)


_BOOLEANS = "true, false"
_NUMBERS = "integers and decimals"
_DATES = "dates such as 2026-01-31 and 2026-01-31T12:00:00Z, and seconds since 1970"
_ORDERS = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_NUMERIC_KEYS = frozenset({KeyType.NUMBER, KeyType.EPOCH})
_DATE_KEYS = frozenset({KeyType.DATE, KeyType.EPOCH})
_ARN_KEYS = frozenset({KeyType.ARN, KeyType.STRING})
_BOOLEAN_KEYS = frozenset({KeyType.BOOLEAN, KeyType.STRING})


def _comparisons() -> Mapping[str, Comparison]:
    table: dict[str, Comparison] = {}
    for negation, negated in (("", False), ("Not", True)):
        for name, match in (
            ("Equals", _equals),
            ("EqualsIgnoreCase", _equals_ignoring_case),
            ("Like", _like),
        ):
            table[f"String{negation}{name}"] = Comparison(
                match, frozenset(KeyType), negated, takes_variables=True
            )
        for name in ("Equals", "Like"):
            table[f"Arn{negation}{name}"] = Comparison(
                _arn, _ARN_KEYS, negated, takes_variables=True, check=_only_arns
            )
        name = f"{negation}IpAddress"
        table[name] = Comparison(_address, frozenset({KeyType.ADDRESS}), negated)
    for name, compare in _ORDERS.items():
        table[f"Numeric{name}"] = Comparison(_ordered(number, compare, _NUMBERS), _NUMERIC_KEYS)
        table[f"Date{name}"] = Comparison(_ordered(date, compare, _DATES), _DATE_KEYS)
    equal = operator.eq
    table["NumericNotEquals"] = Comparison(
        _ordered(number, equal, _NUMBERS), _NUMERIC_KEYS, negated=True
    )
    table["DateNotEquals"] = Comparison(_ordered(date, equal, _DATES), _DATE_KEYS, negated=True)
    table["Bool"] = Comparison(_boolean, _BOOLEAN_KEYS)
    table["BinaryEquals"] = Comparison(_binary, frozenset({KeyType.STRING}))
    return table


COMPARISONS = _comparisons()
"""Each operator without IfExists and without a set operator."""

SUPPORTED_OPERATORS = (
    "String*, Numeric*, Date*, Arn*, Bool, BinaryEquals, IpAddress, NotIpAddress, each also with "
    "IfExists and after ForAnyValue: or ForAllValues:, and Null"
)


def literal_pieces(
    templates: tuple[Template, ...], comparison: Comparison, where: str
) -> Values | None:
    """The values where they are known; None where a variable must be filled in first.

    Raises UnsupportedPolicy for a variable where the operator takes none. On Bool the two pages
    contradict each other.
    """
    values = tuple(pieces for template in templates if (pieces := template.plain) is not None)
    if len(values) == len(templates):
        if comparison.check is not None:
            comparison.check(values, where)
        return values
    if not comparison.takes_variables:
        raise UnsupportedPolicy(
            f"{where}: a policy variable, which AWS does not take with this operator; supported: "
            "variables with string and ARN operators"
        )
    return None
