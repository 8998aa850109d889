"""/var/log/nitro_enclaves/nitro_enclaves.log, as far as an enclave's own process writes it.

Format and lines: src/common/logger.rs and src/enclave_proc of v1.4.4, `inferred`. A log that
cannot be written stops nobody.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

PATH = "/var/log/nitro_enclaves/nitro_enclaves.log"
_PROCESS = "src/enclave_proc/mod.rs"
CONNECTION = "src/enclave_proc/connection.rs"
MANAGER = "src/enclave_proc/resource_manager.rs"
_COMMON = "src/common/mod.rs"


@dataclass(frozen=True, slots=True)
class ProcessLog:
    """The log as one process writes it."""

    path: Path
    process: int
    name: str = "enc-xxxxxxx"
    """Until the enclave has its id."""

    @property
    def writer(self) -> str:
        """The process, as its lines name it."""
        return f"{self.name}:{self.process}"

    def of_command(self, folder: str | None) -> ProcessLog:
        """The same where a command's NITRO_CLI_LOGS_PATH is: its enclave process inherits it."""
        return self if folder is None else replace(self, path=Path(folder, self.path.name))

    def of_enclave(self, slot_uid: int, process: int) -> ProcessLog:
        """The same from the launch on."""
        return replace(self, name=f"enc-{slot_uid:x}", process=process)

    def info(self, line: int, text: str, *, file: str = _PROCESS) -> None:
        """A line about progress."""
        self._write("INFO", file, line, text)

    def warn(self, line: int, text: str, *, file: str = _PROCESS) -> None:
        """A line about something unusual."""
        self._write("WARN", file, line, text)

    def error(self, line: int, text: str) -> None:
        """A line of notify_error."""
        self._write("ERROR", _COMMON, line, text)

    def _write(self, level: str, file: str, line: int, text: str) -> None:
        now = time.time_ns() // 1_000_000
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000))
        head = f"[{self.writer}][{level}][{moment}.{now % 1000:03d}Z][{file}:{line}]"
        with suppress(OSError):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"{head} {text}\n".encode(errors="surrogateescape"))
            finally:
                os.close(descriptor)
