"""The codec against answers of AWS's own crate, and against whatever else may arrive."""

import io
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsm_fake import ErrorCode, NitroSecurityModule, NsmError
from nsm_fake.codec import (
    REQUEST_MAX,
    Attest,
    AttestationDocument,
    DescribeNsm,
    DescribePcr,
    ExtendPcr,
    GetRandom,
    LockPcr,
    LockPcrs,
    NsmDescription,
    PcrDescription,
    PcrExtended,
    PcrLocked,
    PcrRangeLocked,
    RandomBytes,
    Refusal,
    Request,
    Response,
    decode_request,
    encode_response,
)

# Printed by serde_cbor::to_vec(&Request::...) of aws-nitro-enclaves-nsm-api.
OFFICIAL_REQUESTS: dict[str, tuple[str, Request]] = {
    "DescribeNSM": ("6b44657363726962654e534d", DescribeNsm()),
    "GetRandom": ("6947657452616e646f6d", GetRandom()),
    "DescribePCR{0}": ("a16b4465736372696265504352a165696e64657800", DescribePcr(0)),
    "DescribePCR{31}": ("a16b4465736372696265504352a165696e646578181f", DescribePcr(31)),
    "DescribePCR{65535}": (
        "a16b4465736372696265504352a165696e64657819ffff",
        DescribePcr(65535),
    ),
    "ExtendPCR{16,[1,2,3]}": (
        "a169457874656e64504352a265696e64657810646461746143010203",
        ExtendPcr(16, b"\x01\x02\x03"),
    ),
    "LockPCR{16}": ("a1674c6f636b504352a165696e64657810", LockPcr(16)),
    "LockPCRs{32}": ("a1684c6f636b50435273a16572616e67651820", LockPcrs(32)),
    "Attestation{None,None,None}": (
        "a16b4174746573746174696f6ea369757365725f64617461f6656e6f6e6365f66a7075626c69635f6b6579f6",
        Attest(None, None, None),
    ),
    "Attestation{ud=01,nonce=02,pk=03}": (
        (
            "a16b4174746573746174696f6ea369757365725f646174614101656e6f6e636541026a7075626c69635f6b6579"
            "4103"
        ),
        Attest(b"\x01", b"\x02", b"\x03"),
    ),
    "Attestation{ud=empty}": (
        "a16b4174746573746174696f6ea369757365725f6461746140656e6f6e6365f66a7075626c69635f6b6579f6",
        Attest(b"", None, None),
    ),
}

ERROR_BYTES = {
    ErrorCode.SUCCESS: "a1654572726f726753756363657373",
    ErrorCode.INVALID_ARGUMENT: "a1654572726f726f496e76616c6964417267756d656e74",
    ErrorCode.INVALID_INDEX: "a1654572726f726c496e76616c6964496e646578",
    ErrorCode.INVALID_RESPONSE: "a1654572726f726f496e76616c6964526573706f6e7365",
    ErrorCode.READ_ONLY_INDEX: "a1654572726f726d526561644f6e6c79496e646578",
    ErrorCode.INVALID_OPERATION: "a1654572726f7270496e76616c69644f7065726174696f6e",
    ErrorCode.BUFFER_TOO_SMALL: "a1654572726f726e427566666572546f6f536d616c6c",
    ErrorCode.INPUT_TOO_LARGE: "a1654572726f726d496e707574546f6f4c61726765",
    ErrorCode.INTERNAL_ERROR: "a1654572726f726d496e7465726e616c4572726f72",
}

# Printed by serde_cbor::to_vec(&Response::...) of the same crate.
OFFICIAL_RESPONSES: dict[str, tuple[str, Response]] = {
    "DescribePCR{lock,data}": (
        "a16b4465736372696265504352a2646c6f636bf564646174615830" + "00" * 48,
        PcrDescription(lock=True, data=bytes(48)),
    ),
    "ExtendPCR{data}": (
        "a169457874656e64504352a164646174615830" + "aa" * 48,
        PcrExtended(b"\xaa" * 48),
    ),
    "LockPCR": ("674c6f636b504352", PcrLocked()),
    "LockPCRs": ("684c6f636b50435273", PcrRangeLocked()),
    "DescribeNSM": (
        (
            "a16b44657363726962654e534da76d76657273696f6e5f6d616a6f72016d76657273696f6e5f6d696e6f7200"
            "6d76657273696f6e5f706174636800696d6f64756c655f69647827692d313233343536373839306162636465"
            "66302d656e6330313233343536373839616263646566686d61785f7063727318206b6c6f636b65645f706372"
            "7390000102030405060708090a0b0c0d0e0f6664696765737466534841333834"
        ),
        NsmDescription(
            version=(1, 0, 0),
            module_id="i-1234567890abcdef0-enc0123456789abcdef",
            max_pcrs=32,
            locked_pcrs=tuple(range(16)),
            digest="SHA384",
        ),
    ),
    "Attestation{document=00}": (
        "a16b4174746573746174696f6ea168646f63756d656e744100",
        AttestationDocument(b"\x00"),
    ),
    "GetRandom{4 bytes}": (
        "a16947657452616e646f6da16672616e646f6d4401020304",
        RandomBytes(b"\x01\x02\x03\x04"),
    ),
}
OFFICIAL_RESPONSES |= {f"Error({c.value})": (ERROR_BYTES[c], Refusal(c)) for c in ErrorCode}

# What the crate's own types accept although its client never sends it.
TOLERATED: dict[str, tuple[str, Request]] = {
    "null after a unit variant": ("a16b44657363726962654e534df6", DescribeNsm()),
    "undefined after a unit variant": ("a16947657452616e646f6df7", GetRandom()),
    "no fields": ("a16b4174746573746174696f6ea0", Attest(None, None, None)),
    "public_key first": (
        "a16b4174746573746174696f6ea36a7075626c69635f6b6579f669757365725f64617461f6656e6f6e6365f6",
        Attest(None, None, None),
    ),
    "text for bytes": (
        (
            "a16b4174746573746174696f6ea369757365725f646174616161656e6f6e6365f66a7075626c69635f6b6579"
            "f6"
        ),
        Attest(b"a", None, None),
    ),
    "a missing optional field": (
        "a16b4174746573746174696f6ea269757365725f646174614101656e6f6e6365f6",
        Attest(b"\x01", None, None),
    ),
    "integers for bytes": (
        "a169457874656e64504352a265696e64657810646461746183010218ff",
        ExtendPcr(16, b"\x01\x02\xff"),
    ),
    "integers of indefinite length": (
        "a169457874656e64504352a265696e6465781064646174619f0102ff",
        ExtendPcr(16, b"\x01\x02"),
    ),
    "bytes of indefinite length": (
        "a169457874656e64504352a265696e6465781064646174615f41014102ff",
        ExtendPcr(16, b"\x01\x02"),
    ),
    "text whose chunks split a character": (
        "a169457874656e64504352a265696e6465781064646174617f61c361a9ff",
        ExtendPcr(16, "é".encode()),
    ),
    "an indefinite inner map": ("a1674c6f636b504352bf65696e64657810ff", LockPcr(16)),
    "an unknown field": ("a1674c6f636b504352a265696e6465781061788201a10203", LockPcr(16)),
    "an unknown field twice": ("a1674c6f636b504352a365696e64657810617801617802", LockPcr(16)),
    "a wide integer": ("a1674c6f636b504352a165696e6465781b0000000000000010", LockPcr(16)),
    "names as bytes": ("a1474c6f636b504352a145696e64657810", LockPcr(16)),
    "names as numbers": ("a102a10010", LockPcr(16)),
    "only a number": ("06", GetRandom()),
    "fields in an array": ("a169457874656e645043528210420102", ExtendPcr(16, b"\x01\x02")),
    "fields in an array of indefinite length": ("a1029f10ff", LockPcr(16)),
    "the older form": ("82674c6f636b504352a165696e64657810", LockPcr(16)),
    "the older form without fields": ("826947657452616e646f6df6", GetRandom()),
    "the older form of indefinite length": ("9f02a10010ff", LockPcr(16)),
    "tags inside": ("a1c1674c6f636b504352c1a1c165696e646578d8ff10", LockPcr(16)),
    "a tag around a unit variant": ("c16947657452616e646f6d", GetRandom()),
}
REFUSED = {
    "nothing": "",
    "an unknown variant": "63466f6f",
    "an unknown number": "07",
    "a struct variant without fields": "674c6f636b504352",
    "a map after a unit variant": "a16b44657363726962654e534da0",
    "true after a unit variant": "a16947657452616e646f6df5",
    "an indefinite outer map": "bf674c6f636b504352a165696e64657810ff",
    "an indefinite outer map without its break": "bf674c6f636b504352a165696e64657810",
    "an outer map with a wide head": "b801674c6f636b504352a165696e64657810",
    "an outer map of two": "a2674c6f636b504352a165696e64657810617800",
    "a tag around the outer map": "c1a1674c6f636b504352a165696e64657810",
    "bytes after the end": "6947657452616e646f6d00",
    "a missing field": "a1674c6f636b504352a0",
    "missing bytes": "a169457874656e64504352a165696e64657810",
    "a field twice": "a1674c6f636b504352a265696e6465781065696e64657810",
    "a field twice, once by number": "a1674c6f636b504352a265696e646578100010",
    "an index over u16": "a169457874656e64504352a265696e6465781a00010000646461746140",
    "a negative index": "a1674c6f636b504352a165696e64657820",
    "a float for an index": "a1674c6f636b504352a165696e646578f94c00",
    "an index as text": "a1674c6f636b504352a165696e646578623136",
    "null for an index": "a1674c6f636b504352a165696e646578f6",
    "null for bytes": "a169457874656e64504352a265696e646578106464617461f6",
    "undefined for optional bytes": "a16b4174746573746174696f6ea1656e6f6e6365f7",
    "a tagged null for optional bytes": "a16b4174746573746174696f6ea1656e6f6e6365c1f6",
    "a map for bytes": "a169457874656e64504352a265696e646578106464617461a0",
    "256 among integers for bytes": "a169457874656e64504352a265696e64657810646461746181190100",
    "text that is not UTF-8": "a169457874656e64504352a265696e64657810646461746161ff",
    "chunks of another kind": "a169457874656e64504352a265696e6465781064646174615f6161ff",
    "a chunk of indefinite length": "a169457874656e64504352a265696e6465781064646174615f5f41ff",
    "too few fields in an array": "a169457874656e645043528110",
    "too many fields in an array": "a1674c6f636b504352821010",
    "too many in an indefinite array": "a1674c6f636b5043529f1010ff",
    "a null as the name of a field": "a1674c6f636b504352a265696e64657810f600",
    "the older form without content": "816947657452616e646f6d",
    "the older form with three items": "836947657452616e646f6df6f6",
    "the older form without its break": "9f02a1001010",
    "a reserved initial byte": "a1674c6f636b504352a265696e6465781061781c" + "00" * 16,
    "an unassigned simple value": "a1674c6f636b504352a265696e646578106178e0",
    "a break where a value belongs": "a1674c6f636b504352a265696e646578106178ff",
    "a fixed field that is a number": "a1674c6f636b50435210",
    "a length without content": "a169457874656e64504352a265696e6465781064646174615b" + "ff" * 8,
}


def refusal(request: bytes) -> ErrorCode:
    with pytest.raises(NsmError) as caught:
        decode_request(request)
    return caught.value.code


@pytest.mark.parametrize("name", OFFICIAL_REQUESTS)
def test_requests_of_the_official_client(name: str) -> None:
    encoded, request = OFFICIAL_REQUESTS[name]
    assert decode_request(bytes.fromhex(encoded)) == request


@pytest.mark.parametrize("name", OFFICIAL_RESPONSES)
def test_responses_are_those_of_the_official_types(name: str) -> None:
    encoded, response = OFFICIAL_RESPONSES[name]
    assert encode_response(response).hex() == encoded


@pytest.mark.parametrize("name", TOLERATED)
def test_requests_that_the_official_types_tolerate(name: str) -> None:
    encoded, request = TOLERATED[name]
    assert decode_request(bytes.fromhex(encoded)) == request


@pytest.mark.parametrize("name", REFUSED)
def test_requests_that_the_official_types_refuse(name: str) -> None:
    assert refusal(bytes.fromhex(REFUSED[name])) is ErrorCode.INVALID_OPERATION


def test_the_shared_known_answers(shared_vectors: Path) -> None:
    """Every REQ, RESP and DECQ line; the inputs of the DECQ lines follow in the same order."""
    lines = (shared_vectors / "nsm_cbor_vectors.txt").read_text().splitlines()
    outcomes = [
        line for line in lines if line.startswith("DECQ") and ("Ok(" in line or "Err(" in line)
    ]
    inputs = [line for line in lines if line.startswith("DECQ") and line not in outcomes]
    requests = [
        line.split(maxsplit=1)[1].rsplit(maxsplit=1) for line in lines if line[:4] == "REQ "
    ]
    responses = [
        line.split(maxsplit=1)[1].rsplit(maxsplit=1) for line in lines if line[:5] == "RESP "
    ]
    assert {name: decode_request(bytes.fromhex(encoded)) for name, encoded in requests} == {
        name: request for name, (_, request) in OFFICIAL_REQUESTS.items()
    }
    assert dict(responses) == {
        name: encode_response(response).hex() for name, (_, response) in OFFICIAL_RESPONSES.items()
    }
    assert len(outcomes) == len(inputs) == 7
    for outcome, line in zip(outcomes, inputs, strict=True):
        request = bytes.fromhex(line.split()[1])
        if " Ok(" in outcome:
            decode_request(request)
        else:
            assert refusal(request) is ErrorCode.INVALID_OPERATION


@pytest.mark.parametrize("length", [1024, 1344, 1345, 1346, 1347, 1348])
def test_three_equal_fields_fit_up_to_1348_bytes(length: int) -> None:
    """No limit but that of the request: AWS's nsm-check.rs sends three times 1024 bytes."""
    content = bytes(length)
    fields = {"user_data": content, "nonce": content, "public_key": content}
    request = cbor2.dumps({"Attestation": fields})
    assert len(request) == (3122 if length == 1024 else 4082 + 3 * (length - 1344))
    assert decode_request(request) == Attest(content, content, content)


def test_one_field_fits_up_to_4050_bytes() -> None:
    fields = {"user_data": None, "nonce": None, "public_key": bytes(4050)}
    longest = cbor2.dumps({"Attestation": fields})
    assert len(longest) == REQUEST_MAX
    assert decode_request(longest) == Attest(None, None, bytes(4050))
    too_long = cbor2.dumps({"Attestation": fields | {"public_key": bytes(4051)}})
    assert refusal(too_long) is ErrorCode.INPUT_TOO_LARGE


def test_length_is_checked_before_content() -> None:
    assert refusal(b"\xff" * REQUEST_MAX) is ErrorCode.INVALID_OPERATION
    assert refusal(b"\xff" * (REQUEST_MAX + 1)) is ErrorCode.INPUT_TOO_LARGE


@pytest.mark.parametrize("opening", ["81", "9f", "a100", "bf00", "c1"])
def test_127_levels_are_read_and_no_more(opening: str) -> None:
    """Two of them are the outer map and that of the fields."""

    def request(levels: int) -> bytes:
        closing = b"\xff" * levels if opening in ("9f", "bf00") else b""
        deep = bytes.fromhex(opening) * levels + b"\x00" + closing
        return bytes.fromhex("a1674c6f636b504352a265696e646578106178") + deep

    assert decode_request(request(125)) == LockPcr(16)
    assert refusal(request(126)) is ErrorCode.INVALID_OPERATION
    assert refusal(request(1300)) is ErrorCode.INVALID_OPERATION


def test_levels_inside_bytes_are_counted_too() -> None:
    """The outer map, that of the fields, tags, and an array of integers."""

    def request(tags: int) -> bytes:
        start = bytes.fromhex("a169457874656e64504352a265696e646578106464617461")
        return start + b"\xc1" * tags + bytes.fromhex("8105")

    assert decode_request(request(124)) == ExtendPcr(16, b"\x05")
    assert refusal(request(125)) is ErrorCode.INVALID_OPERATION


cbor_values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text()
    | st.binary()
    | st.integers(-(2**64), 2**64 - 1),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
variants = st.sampled_from([name.partition("{")[0] for name in OFFICIAL_REQUESTS]) | st.text()
field_names = st.sampled_from(["index", "data", "range", "user_data", "nonce", "public_key"])
fields = st.dictionaries(field_names, cbor_values | st.integers(0, 40), max_size=4)
well_formed = st.builds(
    lambda variant, content: cbor2.dumps({variant: content}), variants, fields | cbor_values
) | st.builds(cbor2.dumps, cbor_values)
official = st.sampled_from([bytes.fromhex(encoded) for encoded, _ in OFFICIAL_REQUESTS.values()])


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A good request with a piece cut out, and other bytes put there."""
    request = draw(official | well_formed)
    start = draw(st.integers(0, len(request)))
    end = draw(st.integers(start, len(request)))
    return request[:start] + draw(st.binary(max_size=8)) + request[end:]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(request=st.binary() | bent() | well_formed | st.binary(min_size=4000, max_size=5000))
def test_any_bytes_get_one_well_formed_answer(
    request: bytes, make_module: Callable[..., NitroSecurityModule]
) -> None:
    stream = io.BytesIO(make_module().handle(request))
    answer = cbor2.load(stream)
    assert stream.read() == b""
    kind = answer if isinstance(answer, str) else next(iter(answer))
    assert kind in {
        "Attestation",
        "DescribeNSM",
        "DescribePCR",
        "Error",
        "ExtendPCR",
        "GetRandom",
        "LockPCR",
        "LockPCRs",
    }
    if kind == "Error":
        assert ErrorCode(answer["Error"]) in {
            ErrorCode.INPUT_TOO_LARGE,
            ErrorCode.INVALID_INDEX,
            ErrorCode.INVALID_OPERATION,
            ErrorCode.READ_ONLY_INDEX,
        }


@given(request=official, end=st.integers(0, 60))
def test_every_truncation_is_refused(request: bytes, end: int) -> None:
    if end < len(request):
        assert refusal(request[:end]) is ErrorCode.INVALID_OPERATION


@given(
    user_data=st.none() | st.binary(max_size=1300),
    nonce=st.none() | st.binary(max_size=1300),
    public_key=st.none() | st.binary(max_size=1300),
)
def test_fields_arrive_as_they_were_sent(
    user_data: bytes | None, nonce: bytes | None, public_key: bytes | None
) -> None:
    sent = {"user_data": user_data, "nonce": nonce, "public_key": public_key}
    request = cbor2.dumps({"Attestation": sent})
    assert decode_request(request) == Attest(user_data, nonce, public_key)
