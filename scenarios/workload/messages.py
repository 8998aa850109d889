"""The envelope of the workload's messages: version, `ok` or `error`, and typed reading of fields.

Both wire protocols, of the enclave's control port and of the host proxy, use it. A request is
{"version": 1, ...}; an answer is {"version": 1, "ok": {...}} or {"version": 1, "error": {"kind":
..., "code": ..., "message": ..., "http_status": ...}}. What a request asks is not known here. The
protocol is this project's own; no other source stands behind it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1

T = TypeVar("T")
E = TypeVar("E", bound=enum.StrEnum)


class Kind(enum.StrEnum):
    """Who refused."""

    KMS = "kms"
    """KMS: code, message and HTTP status are as it gave them."""
    CLIENT = "client"
    """boto3 in the host proxy: the request never got an answer; code is the exception's class."""
    ENCLAVE = "enclave"
    """The enclave program: its NSM or its proxy did not answer as they should."""
    PROTOCOL = "protocol"
    """The program that was asked: the frame or its fields are not what it understands."""


class AnswerError(Exception):
    """The error of an answer. `http_status` is None for every kind but KMS."""

    def __init__(self, kind: Kind, code: str, message: str, http_status: int | None = None) -> None:
        super().__init__(kind, code, message, http_status)
        self.kind = kind
        self.code = code
        self.message = message
        self.http_status = http_status


def success(result: Mapping[str, Any]) -> dict[str, Any]:
    """The answer that carries `result`."""
    return {"version": VERSION, "ok": result}


def failure(error: AnswerError) -> dict[str, Any]:
    """The answer that carries `error`."""
    return {
        "version": VERSION,
        "error": {
            "kind": error.kind.value,
            "code": error.code,
            "message": error.message,
            "http_status": error.http_status,
        },
    }


def result_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The `ok` of an answer, or its `error` raised as `AnswerError`.

    Raises `ValueError` where the answer is neither, since the peer may be hostile.
    """
    match answer:
        case {"version": 1, "ok": dict(result), **others} if not others:
            return result
        case {
            "version": 1,
            "error": {
                "kind": str(kind),
                "code": str(code),
                "message": str(message),
                "http_status": (int() | None) as http_status,
            },
            **others,
        } if not others and kind in set(Kind):
            raise AnswerError(Kind(kind), code, message, http_status)
    raise ValueError(f"no answer of version {VERSION} with ok or error: {answer!r:.200}")


class Fields:
    """The fields of a request, taken one by one; what is left over is refused by `end`."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._left = dict(request)

    def check_version(self) -> None:
        """Take `version`; raises `AnswerError` for any but ours."""
        version = self._left.pop("version", None)
        if type(version) is not int or version != VERSION:  # True equals 1.
            raise _refusal(
                "UnsupportedVersion", f"version {version!r:.40}: this program has {VERSION}"
            )

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        """The field `name`, of type `kind`; a field without `default` must be there."""
        value = self._left.pop(name, default)
        if not isinstance(value, kind):
            raise _ill_typed(name, kind.__name__, value)
        return value

    def take_bytes_or_null(self, name: str) -> bytes | None:
        """The field `name`, bytes or null; absent means null."""
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, bytes):
            raise _ill_typed(name, "bytes or null", value)
        return value

    def take_choice(self, name: str, choices: type[E], default: E) -> E:
        """The field `name`, one of the values of `choices`."""
        value = self._left.pop(name, default.value)
        if value not in list(choices):
            allowed = ", ".join(choices)
            raise _refusal("InvalidField", f"{name} is {value!r:.80}: it must be one of {allowed}")
        return choices(value)

    def end(self) -> None:
        """Raises `AnswerError` when the request has a field that nobody took."""
        if self._left:
            names = ", ".join(sorted(self._left))
            raise _refusal("UnknownField", f"the request has fields unknown here: {names:.200}")


def _ill_typed(name: str, expected: str, value: object) -> AnswerError:
    found = "absent" if value is None else f"a {type(value).__name__}"
    return _refusal("InvalidField", f"{name} is {found}: it must be {expected}")


def _refusal(code: str, message: str) -> AnswerError:
    return AnswerError(Kind.PROTOCOL, code, message)
