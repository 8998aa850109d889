"""Every condition operator over present, absent and empty keys."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kms_fake.condition_keys import fold_key
from kms_fake.conditions import Context, all_hold, read_conditions

PCR0 = "kms:RecipientAttestation:PCR0"
LOWER = "9fedcba8" * 12
OTHER = "0" * 96

POSITIVE = ["StringEquals", "StringEqualsIgnoreCase", "StringLike"]
NEGATED = ["StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike"]


def holds(
    condition: object, context: dict[str, str], *, allows: bool = True, variables: bool = True
) -> bool:
    conditions = read_conditions(condition, "Condition", variables=variables, in_key_policy=False)
    folded = Context({fold_key(name): (value,) for name, value in context.items()})
    return all_hold(conditions, folded, allows=allows)


@pytest.mark.parametrize(
    ("operator", "given_values", "value", "expected"),
    [
        pytest.param("StringEquals", LOWER, LOWER, True, id="equals"),
        pytest.param("StringEquals", LOWER.upper(), LOWER, False, id="equals-upper-case-hex"),
        pytest.param("StringEquals", f"0x{LOWER}", LOWER, False, id="equals-with-0x"),
        pytest.param("StringEquals", "9fed*", LOWER, False, id="equals-has-no-wildcards"),
        pytest.param("StringEquals", [OTHER, LOWER], LOWER, True, id="equals-one-of-two"),
        pytest.param("StringEqualsIgnoreCase", LOWER.upper(), LOWER, True, id="ignoring-case"),
        pytest.param("StringEqualsIgnoreCase", "aBc", "AbC", True, id="ignoring-both-cases"),
        pytest.param("StringEqualsIgnoreCase", OTHER, LOWER, False, id="ignoring-case-other"),
        pytest.param("StringLike", "9fed*", LOWER, True, id="like"),
        pytest.param("StringLike", "9FED*", LOWER, False, id="like-is-case-sensitive"),
        pytest.param("StringLike", ["x*", "?fed*"], LOWER, True, id="like-one-of-two"),
        pytest.param("StringNotEquals", LOWER, LOWER, False, id="not-equals"),
        pytest.param("StringNotEquals", LOWER.upper(), LOWER, True, id="not-equals-other-case"),
        pytest.param("StringNotEquals", [OTHER, LOWER], LOWER, False, id="not-equals-is-nor"),
        pytest.param("StringNotEqualsIgnoreCase", LOWER.upper(), LOWER, False, id="not-ignoring"),
        pytest.param("StringNotLike", "9fed*", LOWER, False, id="not-like"),
        pytest.param("StringNotLike", ["x*", "9fed*"], LOWER, False, id="not-like-is-nor"),
        pytest.param("StringNotLike", ["x*", "y*"], LOWER, True, id="not-like-none-of-two"),
        pytest.param("Null", "true", LOWER, False, id="null-true-of-a-present-key"),
        pytest.param("Null", "false", LOWER, True, id="null-false-of-a-present-key"),
        pytest.param("Null", ["true", "false"], LOWER, True, id="null-of-both"),
        pytest.param("Bool", "true", "true", True, id="bool"),
        pytest.param("Bool", True, "true", True, id="bool-unquoted"),
        pytest.param("Bool", "true", "false", False, id="bool-false"),
        pytest.param("Bool", "true", LOWER, False, id="bool-of-no-boolean"),
        pytest.param("StringEquals", True, "true", True, id="unquoted-boolean"),
        pytest.param("StringEquals", 12, "12", True, id="unquoted-number"),
    ],
)
@pytest.mark.parametrize("key", [PCR0, "kms:EncryptionContext:name"])
def test_present_key(
    operator: str, given_values: object, value: str, expected: bool, key: str
) -> None:
    assert holds({operator: {key: given_values}}, {key: value}) is expected
    if operator != "Null":
        assert holds({f"{operator}IfExists": {key: given_values}}, {key: value}) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [(operator, False) for operator in (*POSITIVE, "Bool")]
    + [(operator, True) for operator in NEGATED]
    + [(f"{operator}IfExists", True) for operator in (*POSITIVE, *NEGATED, "Bool")],
)
def test_absent_key(operator: str, expected: bool) -> None:
    assert holds({operator: {PCR0: "true"}}, {}) is expected


def test_null_of_an_absent_key() -> None:
    assert holds({"Null": {PCR0: "true"}}, {})
    assert not holds({"Null": {PCR0: "false"}}, {})


def test_an_empty_value_is_null_but_can_be_compared() -> None:
    key = "kms:EncryptionContext:name"
    assert holds({"Null": {key: "true"}}, {key: ""})
    assert not holds({"Null": {key: "false"}}, {key: ""})
    assert holds({"StringEquals": {key: ""}}, {key: ""})


@pytest.mark.parametrize(
    ("written", "requested"),
    [
        pytest.param("KMS:recipientattestation:pcr0", PCR0, id="measurement"),
        pytest.param("kms:EncryptionContext:Appname", "kms:EncryptionContext:AppName", id="pair"),
        pytest.param("AWS:principalARN", "aws:PrincipalArn", id="caller"),
        pytest.param(
            "kms:EncryptionContext:aws:s3:arn", "kms:EncryptionContext:aws:s3:arn", id=":"
        ),
        pytest.param(
            "kms:RecipientAttestation:PCR31", "kms:RecipientAttestation:PCR31", id="last-pcr"
        ),
    ],
)
def test_names_of_keys_are_case_insensitive(written: str, requested: str) -> None:
    assert holds({"StringEquals": {written: "v"}}, {requested: "v"})


def test_keys_and_operators_must_all_hold() -> None:
    other = "kms:EncryptionContext:b"
    both_keys = {"StringEquals": {PCR0: "a", other: "b"}}
    both_operators = {"StringEquals": {PCR0: "a"}, "StringLike": {other: "b*"}}
    for condition in (both_keys, both_operators):
        assert holds(condition, {PCR0: "a", other: "b"})
        assert not holds(condition, {PCR0: "a", other: "c"})
        assert not holds(condition, {PCR0: "c", other: "b"})
        assert not holds(condition, {PCR0: "a"})


def test_variables_are_compared_as_text_in_the_older_language() -> None:
    condition = {"StringEquals": {PCR0: "${x}"}}
    assert holds(condition, {PCR0: "${x}"}, variables=False)


@pytest.mark.parametrize(
    ("values", "as_allow", "as_deny"),
    [
        pytest.param(("a", "a"), True, True, id="both-match"),
        pytest.param(("a", "b"), False, True, id="one-matches"),
        pytest.param(("b", "c"), False, False, id="none-matches"),
    ],
)
def test_names_that_differ_by_case_allow_less(
    values: tuple[str, ...], as_allow: bool, as_deny: bool
) -> None:
    key = "kms:EncryptionContext:name"
    conditions = read_conditions(
        {"StringEquals": {key: "a"}}, "Condition", variables=True, in_key_policy=True
    )
    context = Context({fold_key(key): values})
    assert all_hold(conditions, context, allows=True) is as_allow
    assert all_hold(conditions, context, allows=False) is as_deny


@pytest.mark.parametrize("text", ["a", "${kms:ViaService}"])
def test_any_value_of_an_absent_key_allows_less_if_it_exists(text: str) -> None:
    key = "kms:EncryptionContextKeys"
    conditions = read_conditions(
        {"ForAnyValue:StringEqualsIfExists": {key: text}},
        "Condition",
        variables=True,
        in_key_policy=True,
    )
    absent = Context()
    assert not all_hold(conditions, absent, allows=True)
    assert all_hold(conditions, absent, allows=False)
    for values in [("a", "b"), ("b",)]:
        present = Context({fold_key(key): values, "kms:viaservice": ("a",)})
        assert all_hold(conditions, present, allows=True) is ("a" in values)
        assert all_hold(conditions, present, allows=False) is ("a" in values)


VALUES = st.text(alphabet="aA*?", max_size=4)


@settings(max_examples=150)
@given(st.sampled_from([*POSITIVE, "Bool"]), st.lists(VALUES, min_size=1, max_size=3))
def test_positive_operators_never_match_an_absent_key(operator: str, values: list[str]) -> None:
    values = ["true"] if operator == "Bool" else values
    assert not holds({operator: {PCR0: values}}, {})


@settings(max_examples=150)
@given(
    st.sampled_from([*POSITIVE, *NEGATED]),
    st.lists(VALUES, min_size=1, max_size=3),
    st.none() | VALUES,
)
def test_if_exists_adds_absence_and_nothing_else(
    operator: str, values: list[str], value: str | None
) -> None:
    context = {} if value is None else {PCR0: value}
    plain = holds({operator: {PCR0: values}}, context)
    assert holds({f"{operator}IfExists": {PCR0: values}}, context) is (value is None or plain)


@settings(max_examples=150)
@given(
    st.sampled_from(list(zip(POSITIVE, NEGATED, strict=True))),
    st.lists(VALUES, min_size=1, max_size=3),
    st.none() | VALUES,
)
def test_negation_is_the_opposite(
    pair: tuple[str, str], values: list[str], value: str | None
) -> None:
    context = {} if value is None else {PCR0: value}
    positive, negated = pair
    assert holds({positive: {PCR0: values}}, context) is not holds(
        {negated: {PCR0: values}}, context
    )
