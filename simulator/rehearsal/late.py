"""Changes of keys that are seen late, as KMS is only eventually consistent.

"AWS KMS eventual consistency" (AWS KMS Developer Guide, documented): what was changed may not be
visible to the calls after it, most often for a few seconds; right after CreateKey a call may say
NotFoundException. There it is a matter of time and of
luck; here of a number, so that a run can be repeated: of the uses of a key after a change every
other one, beginning with the first, sees what was before it, as many times as the number says. So
one good answer proves nothing, as with KMS, where the next may come from another of its servers
(inferred). A new key is not there yet; a key's policy, and whether it is enabled, are the former
ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CHANGES = frozenset({"CreateKey", "PutKeyPolicy", "EnableKey", "DisableKey"})
"""What is seen late."""
AT_ONCE = CHANGES | {
    *("ScheduleKeyDeletion", "CancelKeyDeletion", "TagResource", "UntagResource"),
    *("UpdateKeyDescription", "ListKeys", "ListAliases"),
}
"""Operations that see every change at once. That is kinder than KMS, which promises it of none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a use of a key sees."""

    is_there: bool
    policy: str
    state: str
    enabled: bool

    @classmethod
    def of(cls, key: Any) -> Seen:
        """The key of moto as it is."""
        return cls(True, key.policy, key.key_state, key.enabled)

    def put_on(self, key: Any) -> None:
        """Make the key so."""
        key.policy, key.key_state, key.enabled = self.policy, self.state, self.enabled


@dataclass(slots=True)
class _Pending:
    seen: Seen
    uses: int
    """How many will see it."""
    is_seen_next: bool = True


class LateChanges:
    """Those of all keys, by key id. Not thread-safe: one call of KMS at a time."""

    def __init__(self, uses: int) -> None:
        self._uses = uses
        self._pending: dict[str, _Pending] = {}

    @contextmanager
    def used(self, backend: Any, key_id: str) -> Iterator[bool]:
        """Within, the key is what a use of it sees; whether that is not what it is."""
        pending = self._pending.get(key_id)
        key = backend.keys.get(key_id)
        if pending is None or key is None:
            yield False
            return
        if not pending.is_seen_next:
            pending.is_seen_next = True
            yield False
            return
        pending.is_seen_next = False
        pending.uses -= 1
        if pending.uses == 0:
            del self._pending[key_id]
        now = Seen.of(key)
        pending.seen.put_on(key)
        if not pending.seen.is_there:
            del backend.keys[key_id]
        try:
            yield True
        finally:
            now.put_on(key)
            backend.keys[key_id] = key

    def before(self, key: Any) -> Seen:
        """What a use would see now, to be told to `changed`."""
        pending = self._pending.get(key.id)
        return Seen.of(key) if pending is None else pending.seen

    def changed(self, key_id: str, before: Seen) -> None:
        """The key is another one than `before`, for those who will see it."""
        if self._uses:
            self._pending[key_id] = _Pending(before, self._uses)

    def created(self, key: Any) -> None:
        """The key is new."""
        now = Seen.of(key)
        self.changed(key.id, Seen(False, now.policy, now.state, now.enabled))
