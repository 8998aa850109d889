"""Messages: answers are read back as they were written, and fields are typed."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.workload import messages
from scenarios.workload.envelope import Opener
from scenarios.workload.messages import AnswerError, Fields, Kind


def test_a_result_is_read_back() -> None:
    assert messages.result_of(messages.success({"a": b"1"})) == {"a": b"1"}


@pytest.mark.parametrize("status", [400, None])
def test_an_error_is_read_back(status: int | None) -> None:
    error = AnswerError(Kind.KMS, "ValidationException", "Invalid public key", status)
    with pytest.raises(AnswerError) as caught:
        messages.result_of(messages.failure(error))
    assert caught.value.args == error.args


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"version": 2, "ok": {}},
        {"version": 1},
        {"version": 1, "ok": []},
        {"version": 1, "ok": {}, "error": {}},
        {"version": 1, "error": {"kind": "kms", "code": "C"}},
        {"version": 1, "error": {"kind": "x", "code": "", "message": "", "http_status": None}},
        {"version": 1, "error": {"kind": "kms", "code": 1, "message": "", "http_status": None}},
    ],
)
def test_what_is_no_answer_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no answer of version 1"):
        messages.result_of(answer)


@pytest.mark.parametrize("version", [None, 0, 2, "1", True, 1.0])
def test_only_version_1_is_spoken(version: object) -> None:
    with pytest.raises(AnswerError) as caught:
        Fields({"version": version}).check_version()
    assert (caught.value.kind, caught.value.code) == (Kind.PROTOCOL, "UnsupportedVersion")


def test_fields_are_taken_by_type_or_default() -> None:
    fields = Fields({"version": 1, "text": "t", "blob": b"", "none": None, "opener": "cms"})
    fields.check_version()
    assert fields.take("text", str) == "t"
    assert fields.take("absent", str, "default") == "default"
    assert fields.take("flag", bool, default=False) is False
    assert fields.take_bytes_or_null("blob") == b""
    assert fields.take_bytes_or_null("none") is None
    assert fields.take_choice("opener", Opener, Opener.STRICT_DER) is Opener.CMS
    assert fields.take_choice("absent", Opener, Opener.STRICT_DER) is Opener.STRICT_DER
    fields.end()


@pytest.mark.parametrize(
    ("value", "problem"),
    [(1, "text is a int: it must be str"), (None, "text is absent"), (b"", "text is a bytes")],
)
def test_an_ill_typed_field_is_named(value: object, problem: str) -> None:
    with pytest.raises(AnswerError) as caught:
        Fields({"text": value}).take("text", str)
    assert problem in caught.value.message
    assert caught.value.code == "InvalidField"


@pytest.mark.parametrize("value", ["CMS", 1, None, [], {"a": 1}])
def test_a_choice_that_is_none_names_the_choices(value: object) -> None:
    with pytest.raises(AnswerError) as caught:
        Fields({"opener": value}).take_choice("opener", Opener, Opener.CMS)
    assert "one of cms, strict-der, raw-rsa-oaep" in caught.value.message


def test_a_field_that_nobody_knows_is_named() -> None:
    with pytest.raises(AnswerError) as caught:
        Fields({"operaton": "Decrypt"}).end()
    assert "operaton" in caught.value.message
