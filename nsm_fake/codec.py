"""The wire of the NSM: request bytes to frozen values, frozen values to response bytes.

No state, no cryptography. Names, fields and their order are those of AWS's
`aws-nitro-enclaves-nsm-api` (`src/api/mod.rs`), which puts serde's externally tagged enums into
CBOR with serde_cbor: a variant without fields is a bare text string, one with fields is
`map(1) {text: map {text: value}}`.

Requests are accepted exactly as AWS's own types accept them. Compared with the crate itself
(version 0.5.2, serde_cbor 0.11.2) over thousands of well-made, bent and random requests, there is
no known difference:

- fields in any order, in maps of definite or indefinite length, or without names as an array;
- unknown fields are ignored, known ones may stand once;
- bytes may be written as a byte string, as text or as an array of integers;
- `user_data`, `nonce` and `public_key` may be missing or null, but not undefined;
- integers in any width, up to 65535; tags anywhere inside are ignored;
- variants and fields also by number; the older form `[variant, fields]`;
- the outer map has exactly the initial byte `a1`, and nothing follows the end.

That the real NSM accepts the same is inferred: its parser was never seen. So is the order of the
fields in its responses. QEMU's device is stricter (integers in one byte only, no older form).
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2

from nsm_fake.cbor_reader import CborReader, MalformedError
from nsm_fake.errors import ErrorCode, NsmError

REQUEST_MAX = 0x1000
"""The longest request in bytes (documented: Linux `NSM_REQUEST_MAX_SIZE`)."""
RESPONSE_MAX = 0x3000
"""The longest response in bytes (documented: Linux `NSM_RESPONSE_MAX_SIZE`).

No response can come near it, so nothing enforces it: the longest is a document with all 32 PCRs and
a request's worth of fields, about 9.5 KB (a test makes it).
"""


@dataclass(frozen=True, slots=True)
class DescribePcr:
    """Ask for the value and the lock of the PCR `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class ExtendPcr:
    """Extend the PCR `index` with `data`."""

    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LockPcr:
    """Lock the PCR `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class LockPcrs:
    """Lock the PCRs 0..range-1."""

    range: int


@dataclass(frozen=True, slots=True)
class DescribeNsm:
    """Ask for the module's id, version and registers."""


@dataclass(frozen=True, slots=True)
class Attest:
    """Ask for an attestation document (variant `Attestation`). Empty bytes are not None."""

    user_data: bytes | None
    nonce: bytes | None
    public_key: bytes | None


@dataclass(frozen=True, slots=True)
class GetRandom:
    """Ask for random bytes."""


Request = DescribePcr | ExtendPcr | LockPcr | LockPcrs | DescribeNsm | Attest | GetRandom


@dataclass(frozen=True, slots=True)
class PcrDescription:
    """Answer to DescribePcr; `data` is 48 bytes."""

    lock: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class PcrExtended:
    """Answer to ExtendPcr: the new value, 48 bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PcrLocked:
    """Answer to LockPcr."""


@dataclass(frozen=True, slots=True)
class PcrRangeLocked:
    """Answer to LockPcrs."""


@dataclass(frozen=True, slots=True)
class NsmDescription:
    """Answer to DescribeNsm."""

    version: tuple[int, int, int]
    module_id: str
    max_pcrs: int
    locked_pcrs: tuple[int, ...]
    """Ascending."""
    digest: str


@dataclass(frozen=True, slots=True)
class AttestationDocument:
    """Answer to Attest: COSE_Sign1 bytes."""

    document: bytes


@dataclass(frozen=True, slots=True)
class RandomBytes:
    """Answer to GetRandom."""

    random: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer to anything that went wrong (variant `Error`)."""

    code: ErrorCode


Response = (
    PcrDescription
    | PcrExtended
    | PcrLocked
    | PcrRangeLocked
    | NsmDescription
    | AttestationDocument
    | RandomBytes
    | Refusal
)


class _Form(enum.Enum):
    """The Rust type of a field."""

    U16 = enum.auto()
    BYTES = enum.auto()
    OPTIONAL_BYTES = enum.auto()


_Fields = tuple[tuple[bytes, _Form], ...]

# In the order of the Rust types: it gives variants and fields their numbers.
_VARIANTS: tuple[tuple[bytes, Callable[..., Request], _Fields], ...] = (
    (b"DescribePCR", DescribePcr, ((b"index", _Form.U16),)),
    (b"ExtendPCR", ExtendPcr, ((b"index", _Form.U16), (b"data", _Form.BYTES))),
    (b"LockPCR", LockPcr, ((b"index", _Form.U16),)),
    (b"LockPCRs", LockPcrs, ((b"range", _Form.U16),)),
    (b"DescribeNSM", DescribeNsm, ()),
    (
        b"Attestation",
        Attest,
        (
            (b"user_data", _Form.OPTIONAL_BYTES),
            (b"nonce", _Form.OPTIONAL_BYTES),
            (b"public_key", _Form.OPTIONAL_BYTES),
        ),
    ),
    (b"GetRandom", GetRandom, ()),
)
_VARIANT_NUMBERS = {name: number for number, (name, _, _) in enumerate(_VARIANTS)}


def decode_request(request: bytes) -> Request:
    """The request in `request`, which is one CBOR item of at most 4096 bytes.

    Raises NsmError: InputTooLarge if it is longer, InvalidOperation if it is anything but a
    request (names and order inferred: QEMU).
    """
    if len(request) > REQUEST_MAX:
        raise NsmError(
            ErrorCode.INPUT_TOO_LARGE,
            f"the request has {len(request)} bytes, and {REQUEST_MAX} are the most",
        )
    reader = CborReader(request)
    try:
        decoded = _read_request(reader)
        reader.end()
    except MalformedError as error:
        raise NsmError(ErrorCode.INVALID_OPERATION, f"not a request: {error}") from error
    return decoded


def _read_request(reader: CborReader) -> Request:
    initial = reader.peek()
    if initial == 0xA1:
        reader.head()
        return _read_variant(reader)
    if initial >> 5 == 4:
        return _read_variant_in_array(reader)
    _, make, fields = _VARIANTS[_variant_number(reader, 0)]
    if fields:
        raise MalformedError("its fields are missing")
    return make()


def _read_variant_in_array(reader: CborReader) -> Request:
    """`[variant, fields]`, the form of serde_cbor before 0.10, which it still reads."""
    _, length = reader.head()
    if length not in (None, 2):
        raise MalformedError("an array of a length other than 2")
    decoded = _read_variant(reader)
    if length is None and not reader.take_break():
        raise MalformedError("an array of more than 2 items")
    return decoded


def _read_variant(reader: CborReader) -> Request:
    """A variant and its content, one level deep."""
    _, make, fields = _VARIANTS[_variant_number(reader, 1)]
    if not fields:
        reader.unit(1)
        return make()
    return make(*_read_fields(reader, fields))


def _variant_number(reader: CborReader, depth: int) -> int:
    identifier = reader.identifier(depth)
    if isinstance(identifier, bytes):
        identifier = _VARIANT_NUMBERS.get(identifier, len(_VARIANTS))
    if identifier >= len(_VARIANTS):
        raise MalformedError("an unknown request")
    return identifier


def _read_fields(reader: CborReader, fields: _Fields) -> list[int | bytes | None]:
    is_map, length, depth = reader.container(1)
    if not is_map:
        return _read_fields_in_order(reader, fields, length, depth)
    names = {name: number for number, (name, _) in enumerate(fields)}
    values: dict[int, int | bytes | None] = {}
    while not reader.exhausted(length):
        length = None if length is None else length - 1
        identifier = reader.identifier(depth)
        number = identifier if isinstance(identifier, int) else names.get(identifier, len(fields))
        if number >= len(fields):
            reader.skip(depth)
        elif number in values:
            raise MalformedError(f"the field {fields[number][0].decode()} stands twice")
        else:
            values[number] = _read_field(reader, fields[number][1], depth)
    return [_value_or_default(values, number, field) for number, field in enumerate(fields)]


def _read_fields_in_order(
    reader: CborReader, fields: _Fields, length: int | None, depth: int
) -> list[int | bytes | None]:
    if length not in (None, len(fields)):
        raise MalformedError(f"{length} fields in an array where {len(fields)} belong")
    values = [_read_field(reader, form, depth) for _, form in fields]
    if length is None and not reader.take_break():
        raise MalformedError(f"more than {len(fields)} fields in an array")
    return values


def _read_field(reader: CborReader, form: _Form, depth: int) -> int | bytes | None:
    match form:
        case _Form.U16:
            return reader.unsigned(depth, 0xFFFF)
        case _Form.BYTES:
            return reader.byte_string(depth)
        case _Form.OPTIONAL_BYTES:
            return reader.optional_byte_string(depth)


def _value_or_default(
    values: dict[int, int | bytes | None], number: int, field: tuple[bytes, _Form]
) -> int | bytes | None:
    name, form = field
    if number not in values and form is not _Form.OPTIONAL_BYTES:
        raise MalformedError(f"the field {name.decode()} is missing")
    return values.get(number)


def encode_response(response: Response) -> bytes:
    """The bytes of `response`: definite lengths, shortest heads, fields in the order of Rust.

    The order is inferred from AWS's types (QEMU sorts by length); the form of GetRandom is
    documented: Linux compares its first bytes.
    """
    return cbor2.dumps(_plain(response))


def _plain(  # noqa: PLR0911  (one form per variant)
    response: Response,
) -> str | dict[str, Any]:
    match response:
        case PcrLocked():
            return "LockPCR"
        case PcrRangeLocked():
            return "LockPCRs"
        case PcrDescription(lock, data):
            return {"DescribePCR": {"lock": lock, "data": data}}
        case PcrExtended(data):
            return {"ExtendPCR": {"data": data}}
        case AttestationDocument(document):
            return {"Attestation": {"document": document}}
        case RandomBytes(random):
            return {"GetRandom": {"random": random}}
        case Refusal(code):
            return {"Error": code.value}
        case NsmDescription():
            return {"DescribeNSM": _plain_description(response)}


def _plain_description(description: NsmDescription) -> dict[str, Any]:
    major, minor, patch = description.version
    return {
        "version_major": major,
        "version_minor": minor,
        "version_patch": patch,
        "module_id": description.module_id,
        "max_pcrs": description.max_pcrs,
        "locked_pcrs": list(description.locked_pcrs),
        "digest": description.digest,
    }
