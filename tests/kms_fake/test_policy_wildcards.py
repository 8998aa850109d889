"""The wildcards of IAM, in text and in ARNs."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kms_fake.wildcards import ArnPattern, compile_wildcards

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        pytest.param("abc", "abc", True, id="literal"),
        pytest.param("abc", "ABC", False, id="case-sensitive"),
        pytest.param("a*", "a", True, id="star-takes-nothing"),
        pytest.param("a*c", "abbbc", True, id="star-takes-many"),
        pytest.param("*", "", True, id="star-alone-takes-the-empty-text"),
        pytest.param("a?c", "abc", True, id="question-mark-takes-one"),
        pytest.param("a?c", "ac", False, id="question-mark-never-takes-nothing"),
        pytest.param("*b?d*", "xxbbcdyy", True, id="both-in-one"),
        pytest.param("*ab*ab", "abxab", True, id="two-parts"),
        pytest.param("*ab*ab", "abx", False, id="a-part-is-not-used-twice"),
        pytest.param("*aab", "aaab", True, id="last-part-is-anchored"),
        pytest.param("a.c", "abc", False, id="dot-is-literal"),
        pytest.param("[ab]", "a", False, id="brackets-are-literal"),
        pytest.param("a*z", "a\nz", True, id="star-takes-line-ends"),
    ],
)
def test_wildcards(pattern: str, text: str, matches: bool) -> None:
    assert bool(compile_wildcards(pattern).fullmatch(text)) is matches


@settings(max_examples=200)
@given(st.text(alphabet="ab*?", max_size=12), st.text(alphabet="ab", max_size=12))
def test_wildcards_agree_with_the_standard_library(pattern: str, text: str) -> None:
    # fnmatch has brackets beside the two wildcards; this alphabet has none.
    assert bool(compile_wildcards(pattern).fullmatch(text)) is fnmatch.fnmatchcase(text, pattern)


def test_no_pattern_backtracks_without_end() -> None:
    # A plain translation to `.*a.*a...` would not end within the age of the universe.
    assert compile_wildcards("*a" * 2000 + "b").fullmatch("a" * 8192) is None


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        pytest.param(KEY, True, id="the-key-itself"),
        pytest.param("arn:aws:kms:*:111122223333:key/*", True, id="any-region-any-key"),
        pytest.param("arn:aws:kms:*", True, id="star-at-the-end-goes-on"),
        pytest.param("arn:aws:kms:eu-central-1:*", True, id="region-and-the-rest"),
        pytest.param("arn:aws:kms:*:key/*", True, id="star-that-ends-its-segment-goes-on"),
        pytest.param("arn:aws:kms:eu*1:*:key/*", True, id="star-inside-a-segment"),
        pytest.param("arn:aws:kms:eu*3:key/*", False, id="star-inside-a-segment-stays-in-it"),
        pytest.param("arn:aws:kms:eu-central-1:key/*", False, id="a-plain-segment-stays-in-it"),
        pytest.param("arn:aws:kms:eu-central-?:111122223333:key/*", True, id="question-mark"),
        pytest.param("arn:aws:kms:eu-central-1?111122223333:key/*", False, id="not-the-colon"),
        pytest.param("arn:aws:kms:*:999999999999:key/*", False, id="another-account"),
        pytest.param("arn:aws:kms:*:111122223333:alias/*", False, id="an-alias-is-no-key"),
        pytest.param("arn:aws:kms:*:111122223333:KEY/*", False, id="case-sensitive"),
        pytest.param("arn:aws:s3:::*", False, id="another-service"),
        pytest.param(f"{KEY}:more", False, id="longer-than-the-key"),
    ],
)
def test_arn_patterns(pattern: str, matches: bool) -> None:
    assert ArnPattern.of(pattern).matches(KEY) is matches
