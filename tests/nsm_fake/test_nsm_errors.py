"""The table of errors says of each code who returns it."""

from nsm_fake import ErrorCode, Evidence, NsmError
from nsm_fake.errors import ERROR_RULES, Origin


def test_every_code_but_success_has_a_reason() -> None:
    assert {rule.code for rule in ERROR_RULES} == set(ErrorCode) - {ErrorCode.SUCCESS}


def test_what_the_device_answers_is_inferred_until_hardware_was_asked() -> None:
    device = [rule for rule in ERROR_RULES if rule.origin is Origin.DEVICE]
    assert [rule.code for rule in device] == [
        ErrorCode.INPUT_TOO_LARGE,
        ErrorCode.INVALID_OPERATION,
        ErrorCode.INVALID_INDEX,
        ErrorCode.READ_ONLY_INDEX,
        ErrorCode.INTERNAL_ERROR,
    ]
    assert {rule.evidence for rule in device} == {Evidence.INFERRED}


def test_an_error_carries_its_code_and_its_reason() -> None:
    error = NsmError(ErrorCode.READ_ONLY_INDEX, "PCR3 is locked")
    assert error.code is ErrorCode.READ_ONLY_INDEX
    assert str(error) == "ReadOnlyIndex: PCR3 is locked"
