"""The table of errors says of each code who returns it."""

from collections.abc import Callable

import cbor2
import pytest

from nsm_fake import ErrorCode, Evidence, NitroSecurityModule, NsmError
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


ANSWERED = {
    # Each also breaks what the device checks later, so that the order of the rows is the order.
    ErrorCode.INPUT_TOO_LARGE: b"\xff" * 4097,
    ErrorCode.INVALID_OPERATION: cbor2.dumps({"ExtendPCR": {"index": 99}}),
    ErrorCode.INVALID_INDEX: cbor2.dumps({"ExtendPCR": {"index": 32, "data": b""}}),
    ErrorCode.READ_ONLY_INDEX: cbor2.dumps({"ExtendPCR": {"index": 0, "data": b""}}),
}


@pytest.mark.parametrize("code", ANSWERED, ids=str)
def test_the_device_answers_as_its_row_says(
    make_module: Callable[..., NitroSecurityModule], code: ErrorCode
) -> None:
    assert cbor2.loads(make_module().handle(ANSWERED[code])) == {"Error": code.value}


def test_every_row_of_the_device_is_asked_for() -> None:
    device = {rule.code for rule in ERROR_RULES if rule.origin is Origin.DEVICE}
    # InternalError needs a fake that cannot work: test_nsm_transport.py.
    assert device - {ErrorCode.INTERNAL_ERROR} == set(ANSWERED)
