"""Actions that are done: commands, AWS by boto3, processes and files of this machine.

Commands and processes have a session of their own: Ctrl-C in a terminal goes to its whole group,
and nitro-cli that dies of it leaves an enclave behind. What an action means is not known here.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from real_hw.actions import ActionFailed, Call, Command, Question, Started
from real_hw.aws import Aws
from real_hw.interruption import Interruption
from scenarios.target import Finished, Members

_READY_SECONDS = 60.0
_END_SECONDS = 5.0
_MAX_ANSWER_BYTES = 4 << 20


class RealProcess:
    """A process with its standard input as the leash: a leaf ends where that ends."""

    def __init__(self, started: Started) -> None:
        self._name = _name(started.command)
        self._log = started.log
        self._asked = 0
        self._came = b""
        with ExitStack() as stack:
            output = started.output
            self._process = _popen(
                started.command,
                stdin=subprocess.PIPE,
                stdout=stack.enter_context(output.open("wb")) if output else subprocess.PIPE,
                stderr=stack.enter_context(started.log.open("ab")),
            )

    def wait_until_ready(self) -> None:
        """Return when it has printed `ready`."""
        line = self._line(time.monotonic() + _READY_SECONDS)
        if line != b"ready\n":
            self.end()
            raise ActionFailed(
                f"{self._name} did not become ready within {_READY_SECONDS:.0f} seconds and ended "
                f"with code {self._process.returncode}; it said: {self.said() or 'nothing'}."
            )

    def ask(self, question: Question) -> Mapping[str, Any]:
        """Its answer."""
        self._asked += 1
        message = {**question.message, "id": self._asked}
        with suppress(OSError):  # It has ended, and there will be no answer.
            _pipe(self._process.stdin).write(json.dumps(message).encode() + b"\n")
            _pipe(self._process.stdin).flush()
        deadline = time.monotonic() + question.seconds
        while line := self._line(deadline):
            told: Mapping[str, Any] = json.loads(line)
            # An answer that came too late for its own question is not this one's.
            if told.get("id") == self._asked:
                return told
        raise ActionFailed(
            f"{self._name} gave no answer within {question.seconds:.0f} seconds to this: "
            f"{question.why}; it said: {self.said() or 'nothing'}."
        )

    def said(self) -> str:
        """What it wrote to its standard error."""
        return self._log.read_text(errors="replace").strip()[-2000:]

    def end(self) -> None:
        """End it and wait for it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _line(self, deadline: float) -> bytes:
        """A line of its output with its end, or nothing where none came in time."""
        output = _pipe(self._process.stdout)
        os.set_blocking(output.fileno(), False)
        while b"\n" not in self._came and len(self._came) < _MAX_ANSWER_BYTES:
            if not _readable(output, deadline - time.monotonic()):
                return b""
            part = os.read(output.fileno(), 1 << 16)
            if not part:
                return b""
            self._came += part
        line, end, self._came = self._came.partition(b"\n")
        return line + end


class RealActions:
    """Does what it is asked. `wait` is how seconds pass."""

    def __init__(self, aws: Aws, interruption: Interruption, wait: Callable[[float], None]) -> None:
        self._aws = aws
        self._interruption = interruption
        self._wait = wait

    def run(self, command: Command) -> Finished:
        """Run a command to its end."""
        self._interruption.check()
        if command.interruptible:
            return _run(command)
        with self._interruption.held(command.why):
            return _run(command)

    def call(self, call: Call) -> Members:
        """The members of the response."""
        self._interruption.check()
        return self._aws.call(call)

    def start(self, started: Started) -> RealProcess:
        """Start a process."""
        self._interruption.check()
        return RealProcess(started)

    def make_folder(self, path: Path, why: str) -> None:  # noqa: ARG002  # A plan tells why.
        """Make a folder, and those above it."""
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ActionFailed(f"the folder {path} cannot be made: {error.strerror}") from error

    def write(
        self,
        path: Path,
        text: str,
        why: str,  # noqa: ARG002  # A plan tells why.
        *,
        mode: int = 0o644,
    ) -> None:
        """Write a text file anew."""
        try:
            path.write_text(text, encoding="utf-8")
            path.chmod(mode)
        except OSError as error:
            raise ActionFailed(f"{path} cannot be written: {error.strerror}") from error

    def append(self, path: Path, line: str) -> None:
        """Add a line to a file, on the disk when this returns."""
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ActionFailed(f"{path} cannot be written: {error.strerror}") from error

    def remove(self, path: Path, why: str) -> None:  # noqa: ARG002  # A plan tells why.
        """Remove a folder with all that is in it, or a file."""
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ActionFailed(f"{path} cannot be removed: {error.strerror}") from error

    def read(self, path: Path, stand_in: str) -> str:  # noqa: ARG002  # The plan's.
        """A text file."""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ActionFailed(f"{path} cannot be read: {error.strerror}") from error

    def size(self, path: Path, stand_in: int | None) -> int | None:  # noqa: ARG002  # The plan's.
        """The size of a file in bytes."""
        try:
            return path.stat().st_size
        except OSError:
            return None

    def wait(self, seconds: float, why: str) -> None:  # noqa: ARG002  # A plan tells why.
        """Let `seconds` pass."""
        self._interruption.check()
        self._wait(seconds)


def _run(command: Command) -> Finished:
    if command.kill_after is not None:
        return _run_until(command, command.kill_after)
    process = _popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            stdout, stderr = process.communicate(timeout=command.seconds)
        except subprocess.TimeoutExpired as error:
            _end_group(process)
            raise ActionFailed(
                f"{' '.join(command.words)} did not end within {command.seconds:.0f} seconds"
            ) from error
        except BaseException:
            _end_group(process)
            raise
    return Finished(process.returncode, _text(stdout), _text(stderr))


def _run_until(command: Command, text: str) -> Finished:
    process = _popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    late = threading.Timer(command.seconds, process.kill)
    late.start()
    with process:
        printed = ""
        try:
            for line in _pipe(process.stdout):
                printed += _text(line)
                if text in _text(line):
                    process.kill()
                    break
        finally:
            late.cancel()
        return Finished(process.wait(), printed, "")


def _popen(command: Command, **streams: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **command.environment}
    try:
        return subprocess.Popen(  # noqa: S603  # Words of ours, no shell.
            command.words,
            env={name: value for name, value in environment.items() if value is not None},
            cwd=command.folder,
            start_new_session=True,
            **streams,
        )
    except OSError as error:
        raise ActionFailed(
            f"{command.words[0]} cannot be run: {error.strerror}. It is for this: {command.why}."
        ) from error


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started; an enclave's process has left its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _readable(output: IO[bytes], seconds: float) -> bool:
    return bool(select.select([output], [], [], max(0.0, seconds))[0])


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("the process was started without this pipe")
    return stream


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _name(command: Command) -> str:
    words = command.words
    return words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name


def python_module(launcher: tuple[str, ...], module: str, *arguments: str) -> tuple[str, ...]:
    """The words that run a module of this Python."""
    return (*launcher, sys.executable, "-m", module, *arguments)
