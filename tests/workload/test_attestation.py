"""Requests to the NSM: bytes of the official client, and answers that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.workload import attestation, transport
from scenarios.workload.attestation import NsmError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ATTESTATION_ALL_NULL = (
    "a16b4174746573746174696f6ea369757365725f64617461f6656e6f6e6365f66a7075626c69635f6b6579f6"
)
ATTESTATION_1_2_3 = (
    "a16b4174746573746174696f6ea369757365725f646174614101656e6f6e636541026a7075626c69635f6b65794103"
)
ATTESTATION_EMPTY_USER_DATA = (
    "a16b4174746573746174696f6ea369757365725f6461746140656e6f6e6365f66a7075626c69635f6b6579f6"
)
DOCUMENT = bytes.fromhex("a16b4174746573746174696f6ea168646f63756d656e744100")


@pytest.fixture
def asked() -> list[bytes]:
    return []


@pytest.fixture
def answer_with(asked: list[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Let the NSM answer every request with these bytes; `asked` collects the requests."""

    def set_answer(answer: bytes) -> None:
        def nsm_request(request: bytes) -> bytes:
            asked.append(request)
            return answer

        monkeypatch.setattr(transport, "nsm_request", nsm_request)

    return set_answer


@pytest.mark.parametrize(
    ("user_data", "nonce", "public_key", "request_hex"),
    [
        (None, None, None, ATTESTATION_ALL_NULL),
        (b"\1", b"\2", b"\3", ATTESTATION_1_2_3),
        (b"", None, None, ATTESTATION_EMPTY_USER_DATA),
    ],
)
def test_attestation_asks_as_the_official_client(
    answer_with: Callable[[bytes], None],
    asked: list[bytes],
    user_data: bytes | None,
    nonce: bytes | None,
    public_key: bytes | None,
    request_hex: str,
) -> None:
    answer_with(DOCUMENT)
    document = attestation.attest(user_data=user_data, nonce=nonce, public_key=public_key)
    assert document == b"\0"
    assert asked == [bytes.fromhex(request_hex)]


def test_describe_asks_as_the_official_client(
    answer_with: Callable[[bytes], None], asked: list[bytes]
) -> None:
    fields = {"version_major": 1, "locked_pcrs": [0, 1], "digest": "SHA384"}
    answer_with(cbor2.dumps({"DescribeNSM": fields}))
    assert attestation.describe() == fields
    assert asked == [bytes.fromhex("6b44657363726962654e534d")]


def test_pcr_asks_as_the_official_client(
    answer_with: Callable[[bytes], None], asked: list[bytes]
) -> None:
    answer_with(cbor2.dumps({"DescribePCR": {"lock": True, "data": bytes(48)}}))
    assert attestation.pcr(31) == bytes(48)
    assert asked == [bytes.fromhex("a16b4465736372696265504352a165696e646578181f")]


def test_an_error_keeps_its_code(answer_with: Callable[[bytes], None]) -> None:
    answer_with(bytes.fromhex("a1654572726f726c496e76616c6964496e646578"))
    with pytest.raises(NsmError, match="refused DescribePCR: InvalidIndex") as caught:
        attestation.pcr(32)
    assert caught.value.code == "InvalidIndex"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        DOCUMENT + b"\0",
        DOCUMENT[:-1],
        cbor2.dumps("Attestation"),
        cbor2.dumps({"Attestation": None}),
        cbor2.dumps({"Attestation": {}}),
        cbor2.dumps({"Attestation": {"document": "text"}}),
        cbor2.dumps({"GetRandom": {"random": b""}}),
        cbor2.dumps({"Attestation": {"document": b""}, "Error": "InternalError"}),
        cbor2.dumps({"Error": 3}),
        # The same key twice: which of the two were the document?
        bytes.fromhex("a2") + DOCUMENT[1:] + DOCUMENT[1:],
    ],
)
def test_what_is_no_document_is_refused(
    answer_with: Callable[[bytes], None], answer: bytes
) -> None:
    answer_with(answer)
    with pytest.raises(NsmError) as caught:
        attestation.attest(user_data=None, nonce=None, public_key=None)
    assert caught.value.code == "BadNsmAnswer"


@pytest.mark.parametrize("locked", [None, [True], ["0"]])
def test_locked_pcrs_must_be_indexes(answer_with: Callable[[bytes], None], locked: Any) -> None:
    answer_with(cbor2.dumps({"DescribeNSM": {"locked_pcrs": locked}}))
    with pytest.raises(NsmError, match="locked_pcrs"):
        attestation.describe()


@given(answer=st.binary(max_size=80))
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_arbitrary_answers_are_refused(answer_with: Callable[[bytes], None], answer: bytes) -> None:
    answer_with(answer)
    with pytest.raises(NsmError):
        attestation.attest(user_data=None, nonce=None, public_key=None)


def test_the_stub_of_these_tests_is_asked_over_the_fabric(in_fabric: Path, nsm: Path) -> None:
    assert nsm.parent == in_fabric
    document = attestation.attest(user_data=None, nonce=b"n", public_key=b"")
    label, _, fields = cbor2.loads(document)
    assert (label, fields) == ("stub", {"user_data": None, "nonce": b"n", "public_key": b""})
