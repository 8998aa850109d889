"""Asks the NSM: attestation documents, its description and PCRs, as the official client asks.

Requests and answers are the CBOR of aws-nitro-enclaves-nsm-api (`src/api/mod.rs`): a map of one,
from the request's name to its fields, or the bare name where there are none. A document is passed
on as the NSM signed it; nothing here reads one. How the NSM is reached is `transport`'s.
"""

from __future__ import annotations

import io
from typing import Any, TypeVar

import cbor2

from scenarios.workload import transport

T = TypeVar("T")


class NsmError(Exception):
    """The NSM refused, or answered what is no answer; `code` is its error code or `BadNsmAnswer`.

    Its error codes are those of `ErrorCode` in aws-nitro-enclaves-nsm-api.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def attest(*, user_data: bytes | None, nonce: bytes | None, public_key: bytes | None) -> bytes:
    """A fresh attestation document: COSE_Sign1 bytes.

    None leaves a field null in the document, which KMS and verifiers tell from an empty one.
    Raises `NsmError` and `transport.TransportError`.
    """
    # The order of the official client; absent options are written as null.
    fields = {"user_data": user_data, "nonce": nonce, "public_key": public_key}
    return _typed(_fields("Attestation", fields), "Attestation", "document", bytes)


def describe() -> dict[str, Any]:
    """The fields of DescribeNSM as the NSM gives them; `locked_pcrs` is a list of indexes.

    Raises `NsmError` and `transport.TransportError`.
    """
    description = _fields("DescribeNSM", None)
    locked = _typed(description, "DescribeNSM", "locked_pcrs", list)
    if not all(type(index) is int for index in locked):
        raise _bad_answer("DescribeNSM", "locked_pcrs are not integers")
    return description


def pcr(index: int) -> bytes:
    """The 48 bytes of a PCR; raises `NsmError` and `transport.TransportError`."""
    return _typed(_fields("DescribePCR", {"index": index}), "DescribePCR", "data", bytes)


def _fields(name: str, fields: dict[str, Any] | None) -> dict[str, Any]:
    """Send the request `name` with `fields` and return the fields of its answer."""
    request = cbor2.dumps(name if fields is None else {name: fields})
    match _decode(name, transport.nsm_request(request)):
        case {"Error": str(code), **others} if not others:
            raise NsmError(code, f"the NSM refused {name}: {code}")
        case dict(answer) if list(answer) == [name] and isinstance(answer[name], dict):
            fields_of_answer: dict[str, Any] = answer[name]
            return fields_of_answer
        case other:
            raise _bad_answer(name, f"got {other!r:.80}")


def _decode(name: str, answer: bytes) -> Any:
    stream = io.BytesIO(answer)
    try:
        value = cbor2.load(stream, allow_duplicate_keys=False)
    except cbor2.CBORDecodeError as error:
        raise _bad_answer(name, f"not CBOR: {error}") from error
    if stream.read(1):  # cbor2 leaves what follows the first item unread.
        raise _bad_answer(name, "bytes follow after the answer")
    return value


def _typed(fields: dict[str, Any], name: str, field: str, kind: type[T]) -> T:
    value = fields.get(field)
    if not isinstance(value, kind):
        raise _bad_answer(name, f"{field} is a {type(value).__name__}, not {kind.__name__}")
    return value


def _bad_answer(name: str, problem: str) -> NsmError:
    return NsmError("BadNsmAnswer", f"the NSM's answer to {name} is not one: {problem}")
