"""The simulator's time: the machine's own, moved as far as a test says."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from kms_fake.record import iso_time
from nsm_fake import ClockOutsideValidityError
from nsm_fake.pki import check_time

_END_MS = int(dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp() * 1000)


class SimulatedClock:
    """A clock that goes on ticking and can be moved. Called, it gives ms since the Unix epoch.

    One clock is shared by the NSM and KMS, as both follow true time on real machines; a test that
    wants skew gives them two. Thread-safe.
    """

    def __init__(self) -> None:
        self._offset_ms = 0
        self._lock = Lock()

    def __call__(self) -> int:
        """Milliseconds since the Unix epoch."""
        return _machine_ms() + self._offset_ms

    @property
    def offset_ms(self) -> int:
        """How far this clock is ahead of the machine's, in milliseconds."""
        return self._offset_ms

    def pass_time(self, seconds: float) -> None:
        """Move the clock by `seconds`; negative moves it back."""
        with self._lock:
            self._offset_ms += round(seconds * 1000)

    def set_offset(self, offset_ms: int) -> None:
        """Put the clock `offset_ms` ahead of the machine's, wherever it was."""
        with self._lock:
            self._offset_ms = offset_ms


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000


class BadTime(ValueError):
    """A clock cannot be set so: the message names the member, what is wrong, and what to give."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """KMS's clock and the enclaves', set together or apart by what a user sends."""

    kms: SimulatedClock
    enclaves: SimulatedClock

    def state(self) -> dict[str, dict[str, Any]]:
        """JSON: for `kms` and `enclaves` the time `now` and `offset_seconds` to the machine's."""
        return {
            name: {"now": iso_time(clock()), "offset_seconds": clock.offset_ms / 1000}
            for name, clock in {"kms": self.kms, "enclaves": self.enclaves}.items()
        }

    def set(self, wanted: Mapping[str, object]) -> None:
        """Set as `{"of": "kms"|"enclaves"|"all", "offset_seconds": N}` or `"now": ISO 8601` says.

        `of` may be left out: all. Either both clocks of `all` are set, or none. Raises BadTime.
        """
        unknown = ", ".join(sorted(set(wanted) - {"of", "offset_seconds", "now"}))
        if unknown:
            raise BadTime(f"There is no member {unknown}; give of, and offset_seconds or now.")
        of = wanted.get("of", "all")
        if of not in ("kms", "enclaves", "all"):
            raise BadTime(f"of is {of!r}; give kms, enclaves or all.")
        offset_ms = _offset_ms(wanted)
        now_ms = _machine_ms() + offset_ms
        if not 0 <= now_ms < _END_MS:
            raise BadTime("The clock would leave the years 1970 to 9999.")
        if of != "kms":
            try:
                check_time(now_ms)
            except ClockOutsideValidityError as error:
                raise BadTime(str(error)) from error
            self.enclaves.set_offset(offset_ms)
        if of != "enclaves":
            self.kms.set_offset(offset_ms)


def _offset_ms(wanted: Mapping[str, object]) -> int:
    if ("offset_seconds" in wanted) == ("now" in wanted):
        raise BadTime("Give either offset_seconds or now.")
    if "now" in wanted:
        return _ms_of_iso(wanted["now"]) - _machine_ms()
    seconds = wanted["offset_seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadTime("offset_seconds is not a number.")
    if not abs(seconds) <= _END_MS:  # NaN is not either.
        raise BadTime("offset_seconds is not a number of seconds within the years 1970 to 9999.")
    return round(seconds * 1000)


def _ms_of_iso(text: object) -> int:
    try:
        moment = dt.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadTime(
            "now is not a time in ISO 8601 with its zone; give one such as 2026-08-03T19:19:56Z."
        )
    return round(moment.timestamp() * 1000)
