"""What the commands of shell.py print, read again.

Nothing is believed that the last line, `DONE rc=N`, does not close: the service cuts long output,
and a command that died looks the same.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass


class BadAnswer(Exception):
    """Output that is cut, damaged or no answer at all; the message says which."""


@dataclass(frozen=True)
class Answer:
    """The lines of one command, by their first word."""

    lines: dict[str, str]
    done: str

    @property
    def problem(self) -> Sequence[str]:
        """What the command could not do: a word and details; none where all went well."""
        return self.lines.get("PROBLEM", "").split()


def read(output: str) -> Answer:
    """Raises BadAnswer where the end is missing."""
    lines = output.strip().splitlines()
    if not lines or not lines[-1].startswith("DONE rc="):
        what = "is cut" if lines else "is empty"
        raise BadAnswer(f"the answer of the instance {what}: it does not end with DONE")
    pairs = (line.partition(" ") for line in lines[:-1])
    return Answer({word: rest for word, _, rest in pairs}, lines[-1].removeprefix("DONE rc="))


@dataclass(frozen=True)
class Stream:
    """How many bytes the script wrote, and how many of them will be fetched."""

    written: int
    fetched: int


@dataclass(frozen=True)
class Report:
    """The end of a run: `state` is the exit code in digits, `none` or `running`.

    `kept` is False where not all that the script wrote came into the files.
    """

    state: str
    stdout: Stream
    stderr: Stream
    kept: bool
    sha256: str
    characters: int
    first: str

    @property
    def exit_code(self) -> int | None:
        """The script's, or None where nobody knows it."""
        return int(self.state) if self.state.isdecimal() else None

    @property
    def complete(self) -> bool:
        """Whether all that the script wrote is fetched."""
        return all(stream.written == stream.fetched for stream in (self.stdout, self.stderr))


def report(answer: Answer) -> Report:
    """Raises BadAnswer, also where the command could not report."""
    if answer.problem:
        raise BadAnswer(f"the instance says {' '.join(answer.problem)}")
    try:
        return Report(
            answer.done,
            _stream(answer.lines["stdout"]),
            _stream(answer.lines["stderr"]),
            answer.lines["kept"] == "1",
            answer.lines["sha256"],
            int(answer.lines["sent"]),
            answer.lines["data"],
        )
    except (KeyError, ValueError) as error:
        raise BadAnswer(f"the report of the instance cannot be read ({error})") from error


def _stream(text: str) -> Stream:
    written, fetched = text.split()
    return Stream(int(written), int(fetched))


def piece(answer: Answer, number: int) -> str:
    """A slice of output, as base64. Raises BadAnswer where it is not what the instance read."""
    data = answer.lines.get("data", "")
    sha256 = hashlib.sha256(data.encode()).hexdigest()
    if answer.lines.get("slice") != f"{number} {sha256}":
        raise BadAnswer(f"slice {number} of the output came damaged")
    return data


def output(told: Report, characters: str) -> tuple[bytes, bytes]:
    """Standard output and standard error. Raises BadAnswer where a byte is wrong."""
    try:
        whole = gzip.decompress(base64.b64decode(characters, validate=True))
    except (binascii.Error, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadAnswer(f"the output came damaged ({error})") from error
    if hashlib.sha256(whole).hexdigest() != told.sha256:
        raise BadAnswer("the output came damaged (its SHA-256 is another)")
    return whole[: told.stdout.fetched], whole[told.stdout.fetched :]
