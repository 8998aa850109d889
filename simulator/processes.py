"""Real processes of the workload: started, waited for until they are ready, and ended."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO

from simulator.environment import without_aws

_START_SECONDS = 30.0
_END_SECONDS = 5.0


class ProgramFailed(RuntimeError):
    """A program of the workload did not become ready; the message carries what it printed."""


class Program:
    """One process of `python -m MODULE`, ready when it has printed the line `ready`.

    It ends with this process, however this one ends.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._name = module
        # A file, not a pipe: nobody reads it while the program runs, and a full pipe stops it.
        self._errors = TemporaryFile()  # noqa: SIM115  # `close` closes it.
        self._process = subprocess.Popen(  # noqa: S603  # Our own module, no shell.
            [sys.executable, "-m", "simulator.leash", module, *arguments],
            env={**without_aws(os.environ), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def wait_until_ready(self) -> None:
        """Return when it is ready. Raises ProgramFailed if it ends or says nothing instead."""
        stdout = self._process.stdout
        if stdout is None:
            raise RuntimeError("the program was started without a pipe")
        if _first_line(stdout, time.monotonic() + _START_SECONDS) != b"ready\n":
            self.end()
            self._errors.seek(0)
            errors = self._errors.read().decode(errors="replace").strip() or "nothing"
            raise ProgramFailed(
                f"{self._name} did not become ready in {_START_SECONDS:.0f} seconds; it ended with "
                f"code {self._process.returncode} and printed: {errors}"
            )

    def end(self) -> None:
        """End the process and wait for it; does nothing if it has ended."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def close(self) -> None:
        """End the process and let go of its output."""
        self.end()
        self._errors.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _first_line(stream: IO[bytes], deadline: float) -> bytes:
    """The first line of a pipe, or what came of it until the deadline or its end."""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(stream.fileno(), 1)
            if not part:
                break
            line += part
    return line
