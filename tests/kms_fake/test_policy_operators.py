"""The operators beyond strings, and the set operators, by the examples of the AWS pages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kms_fake.condition_keys import CONDITION_KEYS, KeyType, fold_key
from kms_fake.condition_operators import COMPARISONS
from kms_fake.conditions import Context, all_hold, read_conditions

NAMES = "kms:EncryptionContextKeys"
CALLER = "aws:PrincipalArn"
ROLE = "arn:aws:iam::111122223333:role/team/enclave"
KEYS_OF_TYPE = {key.type: key.name for key in CONDITION_KEYS if not key.multivalued}


def holds(operator: str, key: str, written: object, *values: str) -> bool:
    conditions = read_conditions(
        {operator: {key: written}}, "Condition", variables=True, in_key_policy=False
    )
    context = Context({fold_key(key): values} if values else {})
    return all_hold(conditions, context, allows=True)


def number(operator: str, written: object, value: str) -> bool:
    return holds(f"Numeric{operator}", "kms:RotationPeriodInDays", written, value)


@pytest.mark.parametrize(
    ("operator", "lower", "same", "higher"),
    [
        ("Equals", False, True, False),
        ("NotEquals", True, False, True),
        ("LessThan", True, False, False),
        ("LessThanEquals", True, True, False),
        ("GreaterThan", False, False, True),
        ("GreaterThanEquals", False, True, True),
    ],
)
def test_order(operator: str, lower: bool, same: bool, higher: bool) -> None:
    for value, expected in (("9", lower), ("10", same), ("11", higher)):
        assert number(operator, "10", value) is expected
        assert holds(f"Numeric{operator}IfExists", "aws:MultiFactorAuthAge", 10, value) is expected
    day = "2020-01-01T00:00:01Z"
    for value, expected in (("00", lower), ("01", same), ("02", higher)):
        moment = f"2020-01-01T00:00:{value}Z"
        assert holds(f"Date{operator}", "aws:TokenIssueTime", day, moment) is expected
    absent = operator == "NotEquals"
    assert holds(f"Date{operator}", "aws:TokenIssueTime", day) is absent
    assert holds(f"Numeric{operator}", "aws:MultiFactorAuthAge", "10") is absent
    assert holds(f"Numeric{operator}IfExists", "aws:MultiFactorAuthAge", "10")


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        pytest.param("10", "10.0", True, id="by-value"),
        pytest.param("+10", "10", True, id="sign"),
        pytest.param(10.5, "10.5", True, id="unquoted-decimal"),
        pytest.param("-1", "-1", True, id="negative"),
        pytest.param(["1", "2"], "2", True, id="one-of-two"),
        pytest.param("10", "ten", False, id="no-number-in-the-request"),
    ],
)
def test_numbers(written: object, value: str, expected: bool) -> None:
    assert number("Equals", written, value) is expected


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T12:00:00.000Z",
        "1769860800",
        1769860800,
    ],
)
def test_dates_are_compared_as_moments(written: object) -> None:
    assert holds("DateEquals", "aws:CurrentTime", written, "2026-01-31T12:00:00Z")
    assert holds("DateEquals", "aws:EpochTime", written, "1769860800")
    assert not holds("DateEquals", "aws:CurrentTime", written, "2026-01-31T12:00:01Z")


def test_a_date_without_a_time_begins_its_day() -> None:
    assert holds("DateGreaterThanEquals", "aws:CurrentTime", "2026-01-31", "2026-01-31T00:00:00Z")
    assert holds("DateLessThan", "aws:CurrentTime", "2026-02", "2026-01-31T23:59:59Z")
    assert holds("NumericLessThan", "aws:EpochTime", "1769860801", "1769860800")
    assert not holds("DateEquals", "aws:CurrentTime", "2026-01-31", "no date")


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        pytest.param("203.0.113.0/24", "203.0.113.255", True, id="range"),
        pytest.param("203.0.113.0/24", "203.0.114.0", False, id="beyond-the-range"),
        pytest.param("203.0.113.7", "203.0.113.7", True, id="default-prefix"),
        pytest.param("203.0.113.7", "203.0.113.8", False, id="another-address"),
        pytest.param("203.0.113.7/24", "203.0.113.200", True, id="host-bits-set"),
        pytest.param("2001:DB8:1234:5678::/64", "2001:db8:1234:5678::9", True, id="ipv6"),
        pytest.param("2001:DB8:1234:5678::/64", "2001:db8:1234:5679::", False, id="ipv6-beyond"),
        pytest.param(["203.0.113.0/24", "2001:DB8::/32"], "2001:db8::1", True, id="mixed"),
        pytest.param("0.0.0.0/0", "::1", False, id="another-version"),
        pytest.param("0.0.0.0/0", "somewhere", False, id="no-address"),
    ],
)
def test_addresses(written: object, value: str, expected: bool) -> None:
    assert holds("IpAddress", "aws:SourceIp", written, value) is expected
    assert holds("NotIpAddress", "aws:SourceIp", written, value) is not expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(ROLE, True, id="itself"),
        pytest.param("arn:aws:iam::*:role/team/*", True, id="wildcards"),
        pytest.param("arn:aws:iam::111122223333:*", True, id="whole-resource"),
        pytest.param("arn:aws:iam::111122223333:role/*/enclav?", True, id="question-mark"),
        pytest.param("arn:aws:iam::111122223333:ROLE/team/enclave", False, id="case"),
        pytest.param("arn:aws:*:111122223333:role/team/enclave:", False, id="star-stays-within"),
        pytest.param(["arn:aws:iam::*:user/*", ROLE], True, id="one-of-two"),
    ],
)
def test_arns(written: object, expected: bool) -> None:
    for name in ("Equals", "Like"):
        assert holds(f"Arn{name}", CALLER, written, ROLE) is expected
        assert holds(f"ArnNot{name}", CALLER, written, ROLE) is not expected
        assert not holds(f"Arn{name}", CALLER, written)
        assert holds(f"ArnNot{name}", CALLER, written)


def test_an_arn_operator_matches_what_is_between_colons() -> None:
    # The example of "Condition operators".
    pattern = "arn:aws:someservice:*:111122223333:finance/*"
    value = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"
    assert holds("StringLike", "aws:SourceArn", pattern, value)
    assert not holds("ArnLike", "aws:SourceArn", pattern, value)
    assert not holds("ArnLike", "aws:SourceArn", "arn:*:*:*:*:*", "no ARN")


def test_binary_values_are_base64_in_the_policy() -> None:
    key = "kms:EncryptionContext:name"
    assert holds("BinaryEquals", key, "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "BinaryValueInBase64")
    assert not holds("BinaryEquals", key, "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "binaryvalueinbase64")
    assert not holds("BinaryEquals", key, "Pw==", "\ud800")


def test_string_operators_go_with_every_type() -> None:
    for key in KEYS_OF_TYPE.values():
        assert holds("StringLike", key, "*", "anything")


@pytest.mark.parametrize(
    ("operator", "written", "values", "expected"),
    [
        # "Evaluation logic for multiple values with condition set operators".
        pytest.param(
            "AllValues:StringEquals", ["a", "b", "c"], ("a", "d"), False, id="all-one-not"
        ),
        pytest.param("AnyValue:StringEquals", ["a", "b", "c"], ("a", "d"), True, id="any-one"),
        pytest.param("AllValues:StringEquals", ["a", "b"], ("a", "b"), True, id="all"),
        pytest.param("AnyValue:StringEquals", ["a", "b"], ("d", "e"), False, id="any-none"),
        pytest.param("AllValues:StringEquals", "a", (), True, id="all-absent"),
        pytest.param("AnyValue:StringEquals", "a", (), False, id="any-absent"),
        pytest.param("AllValues:StringEqualsIfExists", "a", (), True, id="all-if-exists"),
        pytest.param("AnyValue:StringEqualsIfExists", "a", (), False, id="any-if-exists"),
        pytest.param("AllValues:StringEquals", "a", ("",), True, id="all-empty"),
        pytest.param("AnyValue:StringEquals", "", ("",), False, id="any-empty"),
        pytest.param("AllValues:StringNotEquals", "a", ("b", "c"), True, id="all-negated"),
        pytest.param("AllValues:StringNotEquals", "a", ("a", "c"), False, id="all-negated-one"),
        pytest.param("AnyValue:StringNotEquals", "a", ("a", "c"), True, id="any-negated-one"),
        pytest.param("AnyValue:StringNotEquals", "a", (), False, id="any-negated-absent"),
        pytest.param("AllValues:StringLike", "x*", ("xa", "xb"), True, id="all-like"),
        pytest.param("AnyValue:StringEqualsIgnoreCase", "APP", ("app",), True, id="any-case"),
    ],
)
def test_set_operators(
    operator: str, written: object, values: tuple[str, ...], expected: bool
) -> None:
    assert holds(f"For{operator}", NAMES, written, *values) is expected


def test_set_operators_over_a_single_value() -> None:
    assert holds("ForAllValues:StringEquals", "kms:ViaService", "a")
    assert not holds("ForAllValues:StringEquals", "kms:ViaService", "a", "b")
    assert not holds("ForAnyValue:StringEquals", "kms:ViaService", "a")
    assert holds("ForAnyValue:StringEquals", "kms:ViaService", "a", "a")


def test_null_of_several_values() -> None:
    assert holds("Null", NAMES, "false", "a", "b")
    assert holds("Null", NAMES, "true")
    assert not holds("Null", NAMES, "false", "")


VALUES = {
    KeyType.STRING: ("a", "b"),
    KeyType.BOOLEAN: ("true", "false"),
    KeyType.NUMBER: ("1", "2"),
    KeyType.DATE: ("2026-01-01", "2026-01-02"),
    KeyType.EPOCH: ("1769860800", "1769860801"),
    KeyType.ADDRESS: ("203.0.113.1", "203.0.113.2"),
    KeyType.ARN: ("arn:a:b:c:d:e", "arn:a:b:c:d:f"),
}
CASES = [
    (name, type_)
    for name, comparison in COMPARISONS.items()
    for type_ in comparison.types
    if name != "BinaryEquals"  # Its values are base64, which these are not.
    if not (name == "Bool" and type_ is not KeyType.BOOLEAN)
    if not (name.startswith("Arn") and type_ is not KeyType.ARN)
]


@settings(max_examples=200)
@given(st.sampled_from(CASES), st.sampled_from([0, 1]), st.none() | st.sampled_from([0, 1]))
def test_if_exists_adds_absence_and_nothing_else(
    case: tuple[str, KeyType], written: int, given: int | None
) -> None:
    operator, type_ = case
    key, texts = KEYS_OF_TYPE[type_], VALUES[type_]
    values = () if given is None else (texts[given],)
    plain = holds(operator, key, texts[written], *values)
    assert holds(f"{operator}IfExists", key, texts[written], *values) is (not values or plain)
    # Of one value, a set operator says the same.
    if values:
        assert holds(f"ForAnyValue:{operator}", key, texts[written], *values) is plain
        assert holds(f"ForAllValues:{operator}", key, texts[written], *values) is plain


@settings(max_examples=200)
@given(
    st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=3),
)
def test_all_implies_any(operator: str, written: list[str], values: list[str]) -> None:
    if holds(f"ForAllValues:{operator}", NAMES, written, *values):
        assert holds(f"ForAnyValue:{operator}", NAMES, written, *values)
