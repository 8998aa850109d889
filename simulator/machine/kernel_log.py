"""What the instance's kernel says: `dmesg`. Kept in the instance's files, as the driver's state is.

The driver says most of its errors with the device's name before them (dev_err: `misc
nitro_enclaves: `), those about the pool with its own (pr_err: `nitro_enclaves: `). `inferred`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATH = "/var/log/dmesg"
"""On the instance. A real one has it in memory."""

_LONGEST = 256 * 1024


@dataclass(frozen=True, slots=True)
class KernelLog:
    """The log of one instance. `booted` is its boot, in seconds since the epoch."""

    path: Path
    booted: float
    clock: Callable[[], float] = time.time

    def error(self, text: str) -> None:
        """pr_err of the driver."""
        self._append(f"nitro_enclaves: {text}")

    def device_error(self, text: str) -> None:
        """dev_err of the driver's device."""
        self._append(f"misc nitro_enclaves: {text}")

    def lines(self) -> list[str]:
        """All there is, oldest first."""
        try:
            return self.path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _append(self, text: str) -> None:
        line = f"[{max(0.0, self.clock() - self.booted):12.6f}] {text}\n"
        with suppress(OSError):  # A kernel's ring forgets too: on a full disk, what is new.
            if self.path.exists() and self.path.stat().st_size > _LONGEST:
                kept = self.lines()
                self.path.write_text("".join(f"{one}\n" for one in kept[len(kept) // 2 :]))
            with self.path.open("a") as log:
                log.write(line)
