"""The machine that is examined, as far as checks may see it: files, commands, network, time.

Nothing here changes the machine. What takes longer than its time is given up, and said.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MOST_BYTES = 1 << 20
"""Of a file or of a command's output; what is beyond is not read."""
COMMAND_SECONDS = 10.0
NETWORK_SECONDS = 5.0


class CommandMissing(Exception):
    """There is no such command on the machine's PATH; the message is its name."""


class CommandHangs(Exception):
    """A command did not end in its time and was ended; the message says which and after what."""


class Unreachable(Exception):
    """Nobody answered at an address, or not as asked; the message says who and why."""


class NotCalled(Exception):
    """A call of AWS was never made: no credentials, no Region; the message is why."""


class NetworkNotAsked(Exception):
    """The question would leave this machine, and nobody has allowed that (--network)."""


class HostKind(enum.Enum):
    """Whose machine it is."""

    THIS_MACHINE = "this-machine"
    SIMULATED = "simulated"
    """A parent instance of the simulator (`attested-kms machine`)."""
    FOLDER = "folder"
    """What somebody has written down of a machine."""


class PathKind(enum.Enum):
    """What is at a path, links followed."""

    FILE = "file"
    FOLDER = "folder"
    DEVICE = "device"
    """A character device; on a simulated machine a file stands for it, and is one here too."""
    SOCKET = "socket"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    exit_code: int
    """Negative for a signal, as `subprocess` has it."""
    stdout: str
    """Bytes that are no UTF-8 are replaced."""
    stderr: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Of an HTTP server."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """The first MOST_BYTES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAnswer:
    """Of an operation of AWS."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    members: Mapping[str, Any]
    """Of the result, as boto3 has them; empty for a refusal."""
    code: str = ""
    """Of the refusal, such as `AccessDenied`; empty for a result."""
    message: str = ""
    """Of the refusal."""
    before: float
    """When it was asked, by the machine's clock in seconds of the epoch."""
    after: float
    """When it answered."""


class Host(Protocol):
    """One machine."""

    @property
    def name(self) -> str:
        """For readers: `this machine`, `the simulated parent instance FOLDER`, FOLDER."""

    @property
    def kind(self) -> HostKind:
        """Whose machine it is."""

    @property
    def environ(self) -> Mapping[str, str]:
        """Environment variables of whoever asks."""

    @property
    def user_id(self) -> int:
        """Of whoever asks; 0 is root."""

    def look(self, path: str) -> PathKind | None:
        """What is at an absolute path; None for nothing. Raises OSError where it cannot be told."""

    def read(self, path: str) -> bytes:
        """The first MOST_BYTES of a file. Raises OSError."""

    def entries(self, path: str) -> Sequence[str]:
        """The names in a folder, sorted. Raises OSError."""

    def may_write(self, path: str) -> bool:
        """Whether whoever asks may write the file or make files in the folder."""

    def which(self, command: str, path: str | None = None) -> str | None:
        """Where a command is found by PATH, or by `path` of the same form; None if nowhere."""

    def run(self, *words: str, seconds: float = COMMAND_SECONDS) -> Ran:
        """Run a command that changes nothing, without input, with LC_ALL=C.

        Raises CommandMissing, CommandHangs, OSError.
        """

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Answer:
        """Ask an http or https server; certificates are checked, redirects not followed.

        Any status is an answer. Raises Unreachable; and NetworkNotAsked where the address is not
        this machine's own and nobody has allowed it.
        """

    def ask_aws(
        self, service: str, operation: str, members: Mapping[str, Any], *, region: str
    ) -> AwsAnswer:
        """Call an operation that changes nothing, once, as boto3 calls it on this machine.

        `service` is boto3's name of it, `members` are of JSON's types. Credentials and endpoints
        are those that boto3 finds; a refusal is an answer. Raises NotCalled, Unreachable, and
        NetworkNotAsked.
        """

    def now(self) -> float:
        """Its clock, in seconds of the epoch."""
