"""Real processes of the workload: started, waited for until they are ready, and ended."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from tempfile import TemporaryFile
from typing import IO, Protocol

from simulator.environment import without_aws
from simulator.interpose.run import Handle, Options, Run

_START_SECONDS = 30.0
_END_SECONDS = 5.0


class ProgramFailed(RuntimeError):
    """A program of the workload did not become ready; the message carries what it printed."""


class WorkloadProgram(Protocol):
    """One process of `python -m MODULE`, ready when it has printed the line `ready`.

    It ends with this process, however this one ends.
    """

    def wait_until_ready(self) -> None:
        """Return when it is ready. Raises ProgramFailed if it ends or says nothing instead."""

    def close(self) -> None:
        """End the process and let go of its output."""


class Program:
    """A WorkloadProgram that finds its peers in the fabric, which its environment names."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._name = module
        # A file, not a pipe: nobody reads it while the program runs, and a full pipe stops it.
        self._errors = TemporaryFile()  # noqa: SIM115  # `close` closes it.
        self._process = subprocess.Popen(  # noqa: S603  # Our own module, no shell.
            [sys.executable, "-m", "scenarios.workload.leash", module, *arguments],
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
        if not _is_ready(stdout):
            self.end()
            raise _failure(self._name, self._process.returncode, self._errors)

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


class SupervisedProgram:
    """A WorkloadProgram as on hardware: what it asks of `/dev/nsm` and vsock is answered."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        handle: Handle | None,
        options: Options,
    ) -> None:
        self._name = module
        self._errors = TemporaryFile()  # noqa: SIM115  # `close` closes it.
        reader, writer = os.pipe()
        self._output = os.fdopen(reader, "rb")
        with os.fdopen(writer, "wb") as output:
            self._run = Run(
                [sys.executable, "-m", module, *arguments],
                handle,
                replace(options, environment={**without_aws(os.environ), **environment}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=self._errors,
            )

    def wait_until_ready(self) -> None:
        """Return when it is ready. Raises ProgramFailed if it ends or says nothing instead."""
        if not _is_ready(self._output):
            self._run.close()
            raise _failure(self._name, self._run.wait(), self._errors)

    def close(self) -> None:
        """End the process and let go of its output."""
        self._run.close()
        self._output.close()
        self._errors.close()


def _is_ready(output: IO[bytes]) -> bool:
    return _first_line(output, time.monotonic() + _START_SECONDS) == b"ready\n"


def _failure(name: str, code: int, errors: IO[bytes]) -> ProgramFailed:
    errors.seek(0)
    printed = errors.read().decode(errors="replace").strip() or "nothing"
    return ProgramFailed(
        f"{name} did not become ready in {_START_SECONDS:.0f} seconds; it ended with code {code} "
        f"and printed: {printed}"
    )


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
