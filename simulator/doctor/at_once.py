"""All probes at the same time, and an end to it: for a preflight, which nobody waits for long.

What has not told by then is a finding that says so. Whether a check counts, for what comes before
it, is `examine`'s to say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from simulator.doctor.examine import looked
from simulator.doctor.host import Host
from simulator.doctor.model import Check, Finding, Outcome

_Told = list[Finding] | BaseException


class AllAtOnce:
    """What each of the checks finds; it begins at once."""

    def __init__(self, host: Host, checks: Sequence[Check], end: float) -> None:
        """`host` is asked by many threads; all of them have until `end`, of `time.monotonic`."""
        self._end = end
        self._told: dict[str, SimpleQueue[_Told]] = {check.id: SimpleQueue() for check in checks}
        for check in checks:
            # Daemons: what hangs does not keep doctor from its end.
            thread = threading.Thread(target=self._tell, args=(check, host), daemon=True)
            thread.start()

    def __call__(self, check: Check) -> Sequence[Finding]:
        """Wait for one of them, once. What a probe should not have raised is raised here."""
        try:
            told = self._told[check.id].get(timeout=max(0.0, self._end - time.monotonic()))
        except Empty:
            return [_too_late(check)]
        if isinstance(told, BaseException):
            raise told
        return told

    def _tell(self, check: Check, host: Host) -> None:
        try:
            self._told[check.id].put(list(looked(check, host)))
        except BaseException as error:  # noqa: BLE001  # It is raised where it is asked for.
            self._told[check.id].put(error)


def _too_late(check: Check) -> Finding:
    return Finding(
        # What a run needs, and is not known to be there, is not there.
        outcome=Outcome.ERROR if check.option else Outcome.WARNING,
        found="It could not be told within the few seconds that a preflight has",
        fix=f"Look what takes so long: attested-kms doctor --hardware --only {check.id} has as "
        "much time for it alone",
    )
