"""The calls that a KMS was asked, kept for whoever wants to know afterwards: `KmsFake.calls`.

A call is kept as it was judged and put into words only when somebody asks, so that keeping it costs
the call next to nothing. The last 1,000 are kept. What they hold is shown as it came: plaintexts of
Encrypt too, since this is a test double.
"""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import math
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from kms_fake.catalogue import evidence_of
from kms_fake.document import (
    AttestationDocument,
    NotADocument,
    read_cose_sign1,
    read_payload,
)

if TYPE_CHECKING:
    from kms_fake.principals import Principal

KEPT_CALLS = 1000
KEPT_BODY = 64 * 1024
"""Bytes of a request's body: the members of a longer one are not kept, so that a thousand calls
cannot fill the memory. With a document of today's hardware it has about 7,000."""

BY_MOTO = "moto"
"""In place of a rule, for a refusal of moto's own: in records and in the refusal's header."""

_DEEPEST = 16
_WITHOUT_ID = uuid.UUID("5f6f0f0e-6c0b-4f0c-8f5e-3d9a3c1f7c11")


class Origin(NamedTuple):
    """Where a request came from, as far as a front knows; None for a call of an object."""

    access_key: str | None = None
    request_id: str | None = None
    source_address: str | None = None
    user_agent: str | None = None
    body_length: int = 0

    def kept(self, members: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """`members`, if the request was not too long to keep."""
        return members if self.body_length <= KEPT_BODY else None


class Refused(NamedTuple):
    """Why a call was refused: the error that the caller got, and the rule that it was not told."""

    rule: str
    exception: str
    message: str
    http_status: int


class CallRecord(NamedTuple):
    """One call and what became of it."""

    number: int
    """Counts the calls of one KMS from 1."""
    operation: str
    time_ms: int
    """KMS's own clock, milliseconds since the Unix epoch."""
    region: str
    account: str
    """The account in which the key was looked for."""
    caller: Principal | None
    """None for a caller that was refused before it was known."""
    origin: Origin
    members: Mapping[str, Any] | None
    """As they came: blobs are bytes, or base64 text in calls that moto answered; None if the
    request was longer than KEPT_BODY."""
    key_arn: str | None
    """The key that the operation used or would have; None where none was found, or moto looked."""
    refused: Refused | None
    """None for a call that was answered."""

    @property
    def request_id(self) -> str:
        """The request's id: that of the answer's header, where there was one."""
        return self.origin.request_id or str(
            uuid.uuid5(_WITHOUT_ID, f"{self.number}/{self.time_ms}")
        )

    @property
    def document(self) -> AttestationDocument | None:
        """What the attestation document says, whether or not it was believed; None if unreadable.

        Read anew at each call.
        """
        recipient = (self.members or {}).get("Recipient")
        raw = recipient.get("AttestationDocument") if isinstance(recipient, Mapping) else None
        if not isinstance(raw, bytes):
            return None
        try:
            return read_payload(read_cose_sign1(raw).payload)
        except NotADocument:
            return None

    def as_json(self) -> dict[str, Any]:
        """The record as JSON values: blobs in base64, PCRs in hexadecimal, times in ISO 8601."""
        refused = None
        if self.refused is not None:
            refused = {**self.refused._asdict(), "evidence": evidence_of(self.refused.rule)}
        return {
            "number": self.number,
            "time": iso_time(self.time_ms),
            "operation": self.operation,
            "region": self.region,
            "account": self.account,
            "caller": self.caller and self.caller.arn,
            "access_key": self.origin.access_key,
            "request_id": self.request_id,
            "source_address": self.origin.source_address,
            "user_agent": self.origin.user_agent,
            "members": None if self.members is None else _plain(self.members),
            "document": _document(self.document),
            "key_arn": self.key_arn,
            "refused": refused,
        }


class CallLog(Sequence[CallRecord]):
    """The last calls of one KMS, oldest first: index it, iterate over it. Thread-safe."""

    def __init__(self, most: int = KEPT_CALLS) -> None:
        self._records: deque[CallRecord] = deque(maxlen=most)
        self._lock = Lock()
        self._numbers = itertools.count(1)
        self._added = 0

    def number(self) -> int:
        """The number of the next call."""
        return next(self._numbers)

    def add(self, record: CallRecord) -> None:
        """Keep one more call."""
        with self._lock:
            self._added += 1
            self._records.append(record)

    @property
    def dropped(self) -> int:
        """How many calls since the last `clear` are no longer kept."""
        with self._lock:
            return self._added - len(self._records)

    def clear(self) -> None:
        """Forget every call; the numbers go on."""
        with self._lock:
            self._records.clear()
            self._added = 0

    def snapshot(self) -> list[CallRecord]:
        """The calls that are kept now."""
        with self._lock:
            return list(self._records)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> CallRecord: ...

    @overload
    def __getitem__(self, index: slice) -> list[CallRecord]: ...

    def __getitem__(self, index: int | slice) -> CallRecord | list[CallRecord]:
        return self.snapshot()[index]

    def __iter__(self) -> Iterator[CallRecord]:
        return iter(self.snapshot())


def iso_time(time_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-08-03T19:19:56.857Z`."""
    moment = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _document(document: AttestationDocument | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return {
        "module_id": document.module_id,
        "timestamp": iso_time(document.timestamp_ms),
        "nitro_tpm": document.nitro_tpm,
        "pcrs": {str(index): digest.hex() for index, digest in document.pcrs.items()},
    }


def _plain(value: object, depth: int = 0) -> object:
    """`value` as JSON values; what JSON does not have is shown as Python writes it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping | list | tuple):
        return _plain_items(value, depth + 1) if depth < _DEEPEST else "..."
    if value is None or isinstance(value, str | int) or _is_json_number(value):
        return value
    return repr(value)


def _plain_items(items: Mapping[Any, Any] | Sequence[Any], depth: int) -> object:
    if isinstance(items, Mapping):
        return {str(name): _plain(item, depth) for name, item in items.items()}
    return [_plain(item, depth) for item in items]


def _is_json_number(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)
