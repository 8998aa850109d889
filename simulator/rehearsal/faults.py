"""What goes wrong in a world, as `--fail STEP=KIND` says. Standard library only.

Three kinds of step: a part of the world (`device`, `docker`), which is then made otherwise; a call
of AWS (`kms.CreateKey`); a command of the instance (`nitro-cli run-enclave`).
"""

from __future__ import annotations

import enum
import re
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock

GRAMMAR = (
    "CALL=KIND[:AFTER[:TIMES]] where CALL is aws, a service such as kms, or one operation of it, "
    "kms.CreateKey, and KIND is cut, expired, denied, throttled or a signal, sigterm; "
    "COMMAND=KIND[:AFTER[:TIMES]] such as run-enclave=E36, docker-build=1, build-enclave=sigint"
)
SERVICES = ("kms", "sts", "iam", "ec2", "tagging")
COMMANDS = (
    *("build-enclave", "run-enclave", "describe-enclaves", "terminate-enclave", "describe-eif"),
    *("console", "pcr"),
)
"""Of nitro-cli."""

SIGNALS = {"sigint": signal.SIGINT, "sigterm": signal.SIGTERM, "sighup": signal.SIGHUP}
"""What the command is told while the step goes on."""

_CALL = re.compile(
    rf"(?P<service>aws|{'|'.join(SERVICES)})(?:\.(?P<operation>[A-Z]\w+))?", re.ASCII
)
_KIND = re.compile(r"(?P<kind>\w+)(?::(?P<after>\d{1,6}))?(?::(?P<times>\d{1,6}))?", re.ASCII)
_DOCKER = re.compile(r"docker-(?P<command>[a-z]+)", re.ASCII)
_CODE = re.compile(r"E\d\d", re.ASCII)
_EXIT_CODE = re.compile(r"[1-9]\d{0,2}", re.ASCII)
_MOST_CODE = 255


class BadFault(ValueError):
    """No fault is like this; the message is a sentence that says what to give."""


class Part(enum.Enum):
    """A part of the world that is not as it should be."""

    ALLOCATOR = ("allocator=off", "nitro-enclaves-allocator.service was never started")
    BLOBS = ("blobs=absent", "the package aws-nitro-enclaves-cli-devel is not installed")
    CREDENTIALS = ("credentials=absent", "the instance has no role")
    DEVICE = ("device=absent", "launched without --enclave-options Enabled=true: no driver")
    DOCKER = ("docker=absent", "the command docker is not there")
    DOCKER_STOPPED = ("docker=stopped", "docker.service is not started")
    METADATA = ("metadata=absent", "nobody answers at the metadata service's address")
    NITRO_CLI = ("nitro-cli=absent", "the package aws-nitro-enclaves-cli is not installed")
    CLOCK = ("clock=skewed", "the instance's clock is ten minutes behind that of AWS")
    REGION = ("region=mismatch", "AWS_REGION names another Region than the instance's")

    def __init__(self, text: str, meaning: str) -> None:
        self.text = text
        """As `--fail` takes it."""
        self.meaning = meaning


class CallKind(enum.Enum):
    """What becomes of a call of AWS."""

    CUT = "cut"
    EXPIRED = "expired"
    DENIED = "denied"
    THROTTLED = "throttled"
    SIGINT = "sigint"
    SIGTERM = "sigterm"
    SIGHUP = "sighup"

    @property
    def signal(self) -> signal.Signals | None:
        """What the command is told, while the call itself goes on."""
        return SIGNALS.get(self.value)


@dataclass(frozen=True, slots=True)
class Span:
    """Which times: those from the one after `after` on, `times` of them, None for all."""

    after: int = 0
    times: int | None = None

    def has(self, index: int) -> bool:
        """Whether the one with this number is among them, counted from 0."""
        return index >= self.after and (self.times is None or index < self.after + self.times)


@dataclass(frozen=True, slots=True)
class CallFault:
    """Calls that fail."""

    service: str
    """`aws` for any."""
    operation: str | None
    kind: CallKind
    span: Span

    def means(self, service: str, operation: str) -> bool:
        """Whether it is about such a call."""
        return self.service in ("aws", service) and self.operation in (None, operation)


@dataclass(frozen=True, slots=True)
class CommandFault:
    """A command of the instance that fails, or goes on while the rehearsed one is told to end."""

    program: str
    command: str
    kind: str
    """`E36` for nitro-cli, an exit code in digits for docker, or one of SIGNALS."""
    span: Span


@dataclass(frozen=True, slots=True)
class Faults:
    """Those of one world."""

    parts: frozenset[Part]
    calls: tuple[CallFault, ...]
    commands: tuple[CommandFault, ...]


def parse(texts: Iterable[str]) -> Faults:
    """What `--fail` was given. Raises BadFault."""
    parts, calls, commands = set[Part](), [], []
    for text in texts:
        match _fault(text):
            case Part() as part:
                parts.add(part)
            case CallFault() as call:
                calls.append(call)
            case CommandFault() as command:
                commands.append(command)
    return Faults(frozenset(parts), tuple(calls), tuple(commands))


def _fault(text: str) -> Part | CallFault | CommandFault:
    for part in Part:
        if part.text == text:
            return part
    step, _, rest = text.partition("=")
    how = _KIND.fullmatch(rest)
    if how is not None:
        kind = how["kind"]
        # It is told once: who is interrupted while it cleans up has asked for that.
        once = 1 if kind in SIGNALS else None
        span = Span(int(how["after"] or 0), int(how["times"]) if how["times"] else once)
        found = _of_call(step, kind, span) or _of_command(step, kind, span)
        if found is not None:
            return found
    known = ", ".join(part.text for part in Part)
    raise BadFault(f"--fail {text}: give {GRAMMAR}; or one of {known}.")


def _of_call(step: str, kind: str, span: Span) -> CallFault | None:
    called = _CALL.fullmatch(step)
    if called is None or kind not in [one.value for one in CallKind]:
        return None
    return CallFault(called["service"], called["operation"], CallKind(kind), span)


def _of_command(step: str, kind: str, span: Span) -> CommandFault | None:
    docker = _DOCKER.fullmatch(step)
    if step in COMMANDS:
        if kind in SIGNALS or _CODE.fullmatch(kind):
            return CommandFault("nitro-cli", step, kind, span)
    elif docker is not None:
        is_code = _EXIT_CODE.fullmatch(kind) and int(kind) <= _MOST_CODE
        if kind in SIGNALS or is_code:
            return CommandFault("docker", docker["command"], kind, span)
    return None


class Counted:
    """The faults of calls, each with how many calls it has seen. Thread-safe."""

    def __init__(self, faults: Iterable[CallFault]) -> None:
        self._faults = tuple(faults)
        self._seen = [0] * len(self._faults)
        self._lock = Lock()

    def next(self, service: str, operation: str) -> CallKind | None:
        """What becomes of this call; None if nothing does."""
        with self._lock:
            struck = list(self._struck(service, operation))
        return struck[0] if struck else None

    def _struck(self, service: str, operation: str) -> Iterator[CallKind]:
        for index, fault in enumerate(self._faults):
            if not fault.means(service, operation):
                continue
            number = self._seen[index]
            self._seen[index] += 1
            if fault.span.has(number):
                yield fault.kind
