"""What goes wrong in a world, as `--fail STEP=KIND` says. Standard library only.

Three kinds of step: a part of the world (`device`, `docker`), which is then made otherwise; a call
of AWS (`kms.CreateKey`); a command of the instance (`nitro-cli run-enclave`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock

GRAMMAR = (
    "PART=KIND, or CALL=KIND[:AFTER[:TIMES]] where CALL is aws, a service such as kms, or one "
    "operation of it, kms.CreateKey, and KIND is cut, expired, denied or throttled; or "
    "COMMAND=CODE, such as run-enclave=E36 or docker-build=1"
)
SERVICES = ("kms", "sts", "iam", "ec2", "tagging")
COMMANDS = (
    *("build-enclave", "run-enclave", "describe-enclaves", "terminate-enclave", "describe-eif"),
    *("console", "pcr"),
)
"""Of nitro-cli."""

_CALL = re.compile(
    rf"(?P<service>aws|{'|'.join(SERVICES)})(?:\.(?P<operation>[A-Z]\w+))?", re.ASCII
)
_KIND = re.compile(r"(?P<kind>[a-z]+)(?::(?P<after>\d{1,6}))?(?::(?P<times>\d{1,6}))?", re.ASCII)
_DOCKER = re.compile(r"docker-(?P<command>[a-z]+)", re.ASCII)
_CODE = re.compile(r"E(?P<number>\d\d)|(?P<plain>\d{1,3})", re.ASCII)
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


@dataclass(frozen=True, slots=True)
class CallFault:
    """Calls that fail: those from the one after `after` on, `times` of them, None for all."""

    service: str
    """`aws` for any."""
    operation: str | None
    kind: CallKind
    after: int = 0
    times: int | None = None

    def means(self, service: str, operation: str) -> bool:
        """Whether it is about such a call."""
        return self.service in ("aws", service) and self.operation in (None, operation)


@dataclass(frozen=True, slots=True)
class CommandFault:
    """A command of the instance that fails."""

    program: str
    command: str
    code: str
    """`E36` for nitro-cli, else the exit code in digits."""


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
    step, _, kind = text.partition("=")
    called, how = _CALL.fullmatch(step), _KIND.fullmatch(kind)
    kinds = {one.value: one for one in CallKind}
    if called and how and how["kind"] in kinds:
        return CallFault(
            called["service"],
            called["operation"],
            kinds[how["kind"]],
            int(how["after"] or 0),
            int(how["times"]) if how["times"] else None,
        )
    code = _CODE.fullmatch(kind)
    if code and step in COMMANDS and code["number"]:
        return CommandFault("nitro-cli", step, kind)
    docker = _DOCKER.fullmatch(step)
    if code and docker and code["plain"] and 0 < int(kind) <= _MOST_CODE:
        return CommandFault("docker", docker["command"], kind)
    known = ", ".join(part.text for part in Part)
    raise BadFault(f"--fail {text}: give {GRAMMAR}; or one of {known}.")


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
            number = self._seen[index] - fault.after
            self._seen[index] += 1
            if number >= 0 and (fault.times is None or number < fault.times):
                yield fault.kind
