"""One command line's surroundings: its streams, its environment, its log files, its failures.

Paths have two faces. What the command prints is the instance's path; where the file is, is below
the machine's folder (`simulator.nitro_cli.places`), unless the environment names another: that is
a path of this system, as it would be on the real one.

What the simulator itself has to say (a `notice`) must not disturb a script that compares standard
error: it goes to standard error only where that is a terminal, and to nitro_enclaves.log always. A
`warning` goes to both, always: of what happens on no real instance, and makes a script's further
output wrong without a reason to be seen.

Source: aws-nitro-enclaves-cli v1.4.4, src/common/mod.rs and logger.rs: `inferred`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from simulator.nitro_cli.errors import ERRORS, backtrace, message
from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.places import MachineFolder
from simulator.nitro_cli.rust_text import debug

_STDOUT, _STDERR = 1, 2
_LOGS = ("NITRO_CLI_LOGS_PATH", "/var/log/nitro_enclaves")
_SOCKETS = ("NITRO_CLI_SOCKETS_PATH", "/run/nitro_enclaves")
_BLOBS = ("NITRO_CLI_BLOBS", "/usr/share/nitro_enclaves/blobs/")
_LOG_NAME = "nitro_enclaves.log"
_LOG_MODE = 0o766
_LEVELS = ("off", "error", "warn", "info", "debug", "trace")
_LOGGER = "src/common/logger.rs"
_NANOSECONDS = 1_000_000_000


class CannotPrint(OSError):
    """A standard stream that does not take what is written: Rust's print! panics at it."""


class Failed(Exception):
    """The command fails as the real one would."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


@contextmanager
def within(*subactions: str, action: str = "") -> Iterator[None]:
    """Pass a failure on with what its finder was called for."""
    try:
        yield
    except Failed as error:
        raise Failed(error.failure.within(*subactions, action=action)) from error


def failed(
    code: str, subaction: str, file: str, line: int, infos: tuple[str, ...] = (), action: str = ""
) -> Failed:
    """A failure that is found here."""
    return Failed(
        Failure(
            code=code, subactions=(subaction,), file=file, line=line, infos=infos, action=action
        )
    )


@dataclass(frozen=True, slots=True)
class Place:
    """A path of the instance."""

    shown: str
    """As messages have it."""
    actual: Path
    """Where it is on this system."""

    def file(self, name: str) -> Place:
        """A file in the folder, joined as the real one does, by one more slash."""
        return Place(f"{self.shown}/{name}", self.actual / name)


@dataclass(frozen=True, slots=True)
class Session:
    """The surroundings of one command line."""

    folder: MachineFolder
    environ: Mapping[str, str]
    version: str

    @property
    def logs(self) -> Place:
        """The folder of log files."""
        return self._place(*_LOGS)

    @property
    def named_logs(self) -> str | None:
        """That folder, if the environment names it."""
        return str(self.logs.actual.absolute()) if _LOGS[0] in self.environ else None

    @property
    def sockets(self) -> Place:
        """The folder of the enclave processes' sockets.

        Another one than the default's has the same enclaves: only whether it is there counts.
        """
        return self._place(*_SOCKETS)

    @property
    def has_own_sockets(self) -> bool:
        """Whether that folder is the instance's own."""
        return _SOCKETS[0] not in self.environ

    @property
    def blobs(self) -> Place:
        """The folder of kernel, init and command line: package aws-nitro-enclaves-cli-devel."""
        return self._place(*_BLOBS)

    def _place(self, variable: str, default: str) -> Place:
        given = self.environ.get(variable)
        if given is not None:
            return Place(given, Path(given))
        return Place(default, self.folder.on_instance(default))

    def open_log(self) -> None:
        """Raises Failed if nitro_enclaves.log cannot be written."""
        log = self._log()
        try:
            descriptor = os.open(log.actual, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            found = failed(
                "E19",
                f"Failed to open log file: {debug(error)}",
                _LOGGER,
                171,
                (log.shown, "Open"),
            )
            raise Failed(
                found.failure.within("Failed to open log file", action="Logger initialization")
            ) from error
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                os.fchmod(descriptor, _LOG_MODE)
        finally:
            os.close(descriptor)

    def _log(self) -> Place:
        logs = self.logs
        return Place(os.path.join(logs.shown, _LOG_NAME), logs.actual / _LOG_NAME)  # noqa: PTH118  # As text.

    def log(self, level: str, where: str, text: str, *, process: str = "") -> None:
        """Append a line, as far as RUST_LOG lets it pass; a log that fails stops nobody."""
        asked = self.environ.get("RUST_LOG", "info").lower()
        limit = _LEVELS.index(asked) if asked in _LEVELS else _LEVELS.index("info")
        if _LEVELS.index(level.lower()) > limit:
            return
        moment = timestamp(time.time_ns() // 1_000_000 * 1_000_000, digits=3)
        who = process or f"nitro-cli:{os.getpid()}"
        line = f"[{who}][{level}][{moment}Z][{where}] {text}\n"
        with suppress(OSError), self._log().actual.open("ab") as file:
            file.write(line.encode(errors="surrogateescape"))

    def info(self, where: str, text: str) -> None:
        """A line of the log that reports progress."""
        self.log("INFO", where, text)

    def notice(self, text: str) -> None:
        """Something that the simulator has to say, and the real one has not."""
        self.log("INFO", "attested-kms", text)
        if os.isatty(_STDERR):
            self.say(f"attested-kms: {text}")

    def warn(self, text: str) -> None:
        """Something that nobody may miss, of the simulator's own."""
        self.log("WARN", "attested-kms", text)
        self.say(f"attested-kms: {text}")

    def say(self, text: str) -> None:
        """A line on standard error."""
        write(_STDERR, f"{text}\n")

    def print(self, text: str) -> None:
        """A line on standard output."""
        write(_STDOUT, f"{text}\n")

    def fail(self, failure: Failure, *, is_logged: bool = True) -> int:
        """Write the failure's error log, tell user and log; returns the exit code."""
        trace = backtrace(failure, self.version)
        shown = trace if self.environ.get("BACKTRACE") == "1" else None
        text = message(failure, shown_backtrace=shown, log=self._error_log(trace))
        self.say(text)
        if is_logged:
            self.log("ERROR", "src/common/mod.rs:424", text, process=failure.process)
        return ERRORS[failure.code].exit_code

    def _error_log(self, trace: str) -> str | None:
        """Its path, or None if it cannot be written."""
        log = self.logs.file(f"err{timestamp(time.time_ns())}+00:00.log")
        try:
            log.actual.parent.mkdir(parents=True, exist_ok=True)
            log.actual.write_bytes(trace.encode(errors="surrogateescape"))
        except OSError:
            return None
        return log.shown


def working_directory() -> str:
    """Where the command stands; `/` where that is gone."""
    try:
        return os.getcwd()  # noqa: PTH109  # As text, whatever its encoding.
    except FileNotFoundError:
        return "/"


def write(descriptor: int, text: str) -> None:
    """All of the text, at once: no buffer to lose when the process is killed."""
    write_bytes(descriptor, text.encode(errors="surrogateescape"))


def write_bytes(descriptor: int, data: bytes) -> None:
    """All of the bytes; a stream that is closed takes them silently, as Rust's does.

    Raises CannotPrint.
    """
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError as error:
        if error.errno != errno.EBADF:
            raise CannotPrint(error.errno, os.strerror(error.errno or 0)) from error


def timestamp(nanoseconds: int, digits: int | None = None) -> str:
    """`2026-01-27T19:10:11.123456789`: as chrono's to_rfc3339, without the zone.

    Without `digits` the fraction has as many groups of three as it needs.
    """
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    if digits is None:
        digits = next(count for count in (0, 3, 6, 9) if fraction % 10 ** (9 - count) == 0)
    return f"{text}.{fraction:09d}"[: len(text) + 1 + digits] if digits else text
