"""At most so many tasks at a time, the others in their order, as the crate threadpool has it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from simulator.vsock_proxy.failure import Failed


class Workers:
    """Threads that are made when they are needed, and end with the process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = 0

    def execute(self, task: Callable[[], None]) -> None:
        """Run it as soon as a worker is free; the task raises nothing. Raises Failed."""
        with self._guard:
            self._waiting.append(task)
            if self._busy == self._most:
                return
            self._busy += 1
        try:
            threading.Thread(target=self._work, daemon=True).start()
        except RuntimeError as error:
            raise Failed("No thread can be started for it; let there be fewer workers") from error

    def _work(self) -> None:
        while True:
            with self._guard:
                if not self._waiting:
                    self._busy -= 1
                    return
                task = self._waiting.popleft()
            task()
