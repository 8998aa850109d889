"""When an answer of KMS is believed, although KMS learns of a new key or policy late.

Real KMS is eventually consistent: a change takes up to some seconds, in rare cases minutes, to be
seen everywhere (documented: AWS KMS Developer Guide, "AWS KMS eventual consistency"). So while a
key is young its answers are asked for again until several in a row are the same. Two answers are
the same that differ only in what no two answers share: plaintexts, blobs, times and request ids.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from real_hw.actions import ActionFailed, Actions
from scenarios.target import KmsError, Members, Opened, RawAnswer, Refused, Result

IN_A_ROW = 3
PAUSE_SECONDS = 1.0
LONGEST_SECONDS = 60.0
YOUNG_SECONDS = 30.0
"""How long after its making a key's answers are not believed at once."""

T = TypeVar("T")

_REQUEST_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)


class Unsettled(ActionFailed):
    """KMS did not make up its mind."""


class Settling:
    """Asks again while a key is young. `clock` gives seconds.

    A key is young for a time after its making or change, and however long ago that was until its
    first answers were the same.
    """

    def __init__(self, actions: Actions, clock: Callable[[], float]) -> None:
        self._actions = actions
        self._clock = clock
        self._changed_at: dict[str, float] = {}
        self._unasked: set[str] = set()
        self._key_of_blob: dict[bytes, str] = {}

    def changed(self, arn: str) -> None:
        """A key was made, or its policy or state changed: now."""
        self._changed_at[arn] = self._clock()
        self._unasked.add(arn)

    def encrypted(self, blob: bytes, arn: str) -> None:
        """Remember under which key a ciphertext is."""
        self._key_of_blob[blob] = arn

    def believed(self, ask: Callable[[], T], what: str, members: Members) -> T:
        """The answer to a request with `members`: asked once, or as often as it takes.

        Raises Unsettled, and what `ask` raises.
        """
        keys = self._keys_of(members)
        if not any(map(self._is_young, keys)):
            return ask()
        answer = self.settled(ask, what)
        self._unasked -= keys
        return answer

    def _is_young(self, arn: str) -> bool:
        is_new = self._clock() - self._changed_at[arn] < YOUNG_SECONDS
        return is_new or arn in self._unasked

    def _keys_of(self, members: Members) -> set[str]:
        """The key of a request; all of them where that cannot be told."""
        blob = members.get("CiphertextBlob")
        if isinstance(blob, str):
            blob = _decoded(blob)
        # A scenario may send what is no key and no blob.
        by_blob = self._key_of_blob.get(blob) if isinstance(blob, bytes) else None
        for arn in (members.get("KeyId"), by_blob):
            if isinstance(arn, str) and arn in self._changed_at:
                return {arn}
        return set(self._changed_at)

    def settled(self, ask: Callable[[], T], what: str) -> T:
        """The last of several equal answers in a row. Raises Unsettled, and what `ask` raises."""
        answer = ask()
        same = 1
        told = [_essence(answer)]
        for _ in range(int(LONGEST_SECONDS / PAUSE_SECONDS)):
            if same == IN_A_ROW:
                return answer
            self._actions.wait(PAUSE_SECONDS, f"until KMS answers the same again: {what}")
            answer = ask()
            essence = _essence(answer)
            same = same + 1 if essence == told[-1] else 1
            if same == 1:
                told.append(essence)
        if same == IN_A_ROW:
            return answer
        raise Unsettled(
            f"KMS did not give the same answer {IN_A_ROW} times in a row within "
            f"{LONGEST_SECONDS:.0f} seconds, so nothing is known: {what}. Its last answers: "
            f"{told[-2]}, then {told[-1]}"
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _essence(answer: object) -> object:
    """What two equal answers share."""
    match answer:
        case KmsError():
            return ("error", answer.code, _normal(answer.message), answer.http_status)
        case Opened():
            return ("opened", _shape(answer.response))
        case Refused():
            return ("refused", answer.reason, _shape(answer.response))
        case Result():
            return ("result", _shape(answer.members))
        case RawAnswer():
            names = tuple(sorted(set(re.findall(r'"([A-Za-z_]+)":', answer.body))))
            return ("raw", answer.http_status, names)
    return answer


def _shape(value: Any) -> object:
    match value:
        case Mapping():
            return tuple((name, _shape(value[name])) for name in sorted(value))
        case list() | tuple():
            return tuple(_shape(item) for item in value)
        case str():
            return _normal(value)
        case bytes() if not value:
            return b""
        case bool() | int() | float() | None:
            return value
    return type(value).__name__


def _normal(text: str) -> str:
    """A text without request ids; a key's own id stays what it is in both."""
    return text if "arn:" in text else _REQUEST_ID.sub("<id>", text)
