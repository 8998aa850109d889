"""The shapes of requests: members, their types, and the constraints on their values.

From the service model of KMS (botocore, data/kms/2014-11-01/service-2.json): by hand for the two
operations of this package, by `kms_fake.request_model` for the others. A member with a wrong type
fails to deserialize; a well-typed member outside its constraint is a validation error whose text
has one form across KMS (AWS-validated snapshots of LocalStack's test_kms.py).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


class Operation(enum.Enum):
    """The operations that this fake answers itself; the value is the API's name."""

    DECRYPT = "Decrypt"
    GENERATE_DATA_KEY = "GenerateDataKey"

    @property
    def action(self) -> str:
        """The name that policies use."""
        return f"kms:{self.value}"


class Kind(enum.Enum):
    """JSON types of the `json` 1.1 protocol; a blob is base64 text on the wire, bytes here."""

    BLOB = "a base64 string"
    STRING = "a string"
    INTEGER = "an integer"
    BOOLEAN = "a boolean"
    STRINGS = "an array of strings"
    STRING_MAP = "an object of strings"
    STRUCTURE = "an object"
    ARRAY = "an array"
    TIMESTAMP = "a number of seconds"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a structure. `least` and `most` bound a length, or an integer's value."""

    kind: Kind
    least: int | None = None
    most: int | None = None
    values: tuple[str, ...] = ()
    required: bool = False
    members: Mapping[str, Member] = field(default_factory=dict)
    pattern: str = ""
    element: Member | None = None
    """What an array holds."""
    shown_values: tuple[str, ...] = ()
    """The values as KMS was seen to list them, where it was; else `values`."""


_RECIPIENT = Member(
    Kind.STRUCTURE,
    members={
        "KeyEncryptionAlgorithm": Member(Kind.STRING, values=("RSAES_OAEP_SHA_256",)),
        "AttestationDocument": Member(Kind.BLOB, least=1, most=262144),
    },
)
_KEY_ID = Member(Kind.STRING, least=1, most=2048)
_COMMON = {
    "EncryptionContext": Member(Kind.STRING_MAP),
    "GrantTokens": Member(
        Kind.STRINGS, least=0, most=10, element=Member(Kind.STRING, least=1, most=8192)
    ),
    "Recipient": _RECIPIENT,
    "DryRun": Member(Kind.BOOLEAN),
}
_ENCRYPTION_ALGORITHMS = ("SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE")

SHAPES: Mapping[Operation, Mapping[str, Member]] = {
    Operation.DECRYPT: {
        # Not required in the model since DryRunModifiers; without them a ciphertext must be there.
        "CiphertextBlob": Member(Kind.BLOB, least=1, most=6144, required=True),
        "KeyId": _KEY_ID,
        "EncryptionAlgorithm": Member(Kind.STRING, values=_ENCRYPTION_ALGORITHMS),
        "DryRunModifiers": Member(Kind.STRINGS),
        **_COMMON,
    },
    Operation.GENERATE_DATA_KEY: {
        "KeyId": Member(Kind.STRING, least=1, most=2048, required=True),
        "NumberOfBytes": Member(Kind.INTEGER, least=1, most=1024),
        "KeySpec": Member(Kind.STRING, values=("AES_256", "AES_128")),
        **_COMMON,
    },
}


def blob_members(shape: Mapping[str, Member]) -> Iterator[tuple[str, ...]]:
    """The paths of a shape's blobs, for example `("Recipient", "AttestationDocument")`."""
    for name, member in shape.items():
        if member.kind is Kind.BLOB:
            yield (name,)
        for path in blob_members(member.members):
            yield (name, *path)


def wrong_type(shape: Mapping[str, Member], members: Mapping[str, object]) -> str | None:
    """The first member whose value has another type than the model's, in words; None if none."""
    return _wrong_members(shape, members, "")


def _wrong_members(
    shape: Mapping[str, Member], members: Mapping[str, object], prefix: str
) -> str | None:
    found = (
        _wrong_value(member, members[name], f"{prefix}{name}")
        for name, member in shape.items()
        if members.get(name) is not None
    )
    return next(filter(None, found), None)


def _wrong_value(member: Member, value: object, path: str) -> str | None:
    if not _HAS_TYPE[member.kind](value):
        return f"{path} is not {member.kind.value}"
    if member.members and isinstance(value, Mapping):
        return _wrong_members(member.members, value, f"{path}.")
    if isinstance(value, list | tuple) and member.element is not None:
        element = member.element
        found = (_wrong_value(element, item, f"{path}[{at}]") for at, item in enumerate(value))
        return next(filter(None, found), None)
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_strings(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_string_map(value: object) -> bool:
    return isinstance(value, Mapping) and _is_strings([*value.keys(), *value.values()])


_HAS_TYPE: Mapping[Kind, Callable[[object], bool]] = {
    Kind.BLOB: lambda value: isinstance(value, bytes),
    Kind.STRING: lambda value: isinstance(value, str),
    Kind.INTEGER: _is_integer,
    Kind.BOOLEAN: lambda value: isinstance(value, bool),
    Kind.STRINGS: _is_strings,
    Kind.STRING_MAP: _is_string_map,
    Kind.STRUCTURE: lambda value: isinstance(value, Mapping),
    Kind.ARRAY: lambda value: isinstance(value, list | tuple),
    Kind.TIMESTAMP: _is_number,
}


def violations(shape: Mapping[str, Member], members: Mapping[str, object]) -> Sequence[str]:
    """Each violated constraint in the words of KMS, in the order of the model's members."""
    return list(_violations(shape, members, ""))


def validation_text(failures: Sequence[str]) -> str:
    """The message for violated constraints, as KMS counts and joins them."""
    noun = "error" if len(failures) == 1 else "errors"
    return f"{len(failures)} validation {noun} detected: {'; '.join(failures)}"


def _violations(
    shape: Mapping[str, Member], members: Mapping[str, object], prefix: str
) -> Iterator[str]:
    for name, member in shape.items():
        value = members.get(name)
        if value is None and not member.required:
            continue
        path = f"{prefix}{name[0].lower()}{name[1:]}"
        if value is None:
            yield _failure(f"Value null at '{path}'", "not be null")
        else:
            yield from _value_violations(member, path, value)


def _value_violations(member: Member, path: str, value: object) -> Iterator[str]:
    if member.members and isinstance(value, Mapping):
        yield from _violations(member.members, value, f"{path}.")
    if member.values and value not in member.values:
        yield _failure(f"Value '{value}' at '{path}'", _enum_constraint(member))
    if member.pattern and isinstance(value, str) and not _matches(member.pattern, value):
        constraint = f"satisfy regular expression pattern: {member.pattern}"
        yield _failure(f"Value '{value}' at '{path}'", constraint)
    yield from _out_of_bounds(member, path, value)
    if isinstance(value, list | tuple) and member.element is not None:
        yield from _element_violations(member.element, path, value)


def _element_violations(element: Member, path: str, values: Sequence[object]) -> Iterator[str]:
    """Those of an array's elements, which are counted from 1 (`tags.1.member.tagKey`)."""
    if element.values:
        if any(value not in element.values for value in values):
            shown = ", ".join(map(str, values))
            inner = f"satisfy constraint: [Member must {_enum_constraint(element)}]"
            yield _failure(f"Value '[{shown}]' at '{path}'", inner)
        return
    for at, value in enumerate(values, start=1):
        yield from _value_violations(element, f"{path}.{at}.member", value)


def _enum_constraint(member: Member) -> str:
    return f"satisfy enum value set: [{', '.join(member.shown_values or member.values)}]"


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value, re.ASCII) is not None


def _out_of_bounds(member: Member, path: str, value: object) -> Iterator[str]:
    if member.least is None and member.most is None:
        return
    if isinstance(value, int):
        size, what, shown = value, "value", f"Value '{value}' at '{path}'"
    elif isinstance(value, bytes):
        # A blob's value is not printed: so LocalStack's snapshots show it for `plaintext`.
        size, what, shown = len(value), "length", f"Value at '{path}'"
    elif isinstance(value, str | list | tuple):
        size, what, shown = len(value), "length", f"Value '{value}' at '{path}'"
    else:
        return
    if member.least is not None and size < member.least:
        yield _failure(shown, f"have {what} greater than or equal to {member.least}")
    if member.most is not None and size > member.most:
        yield _failure(shown, f"have {what} less than or equal to {member.most}")


def _failure(shown: str, constraint: str) -> str:
    return f"{shown} failed to satisfy constraint: Member must {constraint}"
