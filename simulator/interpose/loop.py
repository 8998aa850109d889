"""The supervisor's event loop: poll, and things to do later. One thread, stdlib only.

poll(2), not epoll(7): the kernel lets a supervisor go on at once on the processor of the program
that it stopped (`kernel.Listener`), but not through epoll, as measured. The descriptors are few:
one more for each thread that is blocked in accept.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable

Callback = Callable[[int], None]
"""Takes the events of poll."""


class Loop:
    """Runs callbacks of descriptors and timers until it is stopped."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._running = True

    def watch(self, descriptor: int, callback: Callback, events: int = select.POLLIN) -> None:
        """Call back whenever the descriptor has one of the events, an error or a hang-up."""
        self._callbacks[descriptor] = callback
        self._poll.register(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch it no more; before it is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a time."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    def stop(self) -> None:
        """Return from `run` after the callback that calls this."""
        self._running = False

    def run(self) -> None:
        """Until stopped."""
        while self._running:
            for descriptor, events in self._poll.poll(self._wait()):
                callback = self._callbacks.get(descriptor)
                if callback is not None:  # Else an earlier callback of this round forgot it.
                    callback(events)
            self._fire()

    def _wait(self) -> float | None:
        """Milliseconds until the next timer."""
        if not self._timers:
            return None
        return max(0.0, 1000 * (self._timers[0][0] - time.monotonic()))

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
