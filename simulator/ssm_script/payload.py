"""What is sent: the script with a launcher before it, as numbered chunks of base64.

    payload = launcher + script      packed = base64(gzip(payload))      chunks of 2,900 characters

The launcher is a line for `sh` that names interpreter, arguments and environment. All that the user
wrote is inside, so no shell and no `{{ }}` of Systems Manager touches it on the way.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulator.ssm_script.errors import Ended, RunFailed
from simulator.ssm_script.limits import CHUNK_CHARACTERS, SCRIPT_BYTES

DEFAULT_SHELL = "bash"

BORN = """\
born() { sed -n "s/^.*) [^ZX] //p" "/proc/$1/stat" 2>/dev/null | cut -d " " -f 19; }
"""
"""When a process began, in the kernel's ticks; nothing for one that has ended. Its number alone may
be another's by now. Source: proc(5), /proc/PID/stat."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME_LENGTH = 40


@dataclass(frozen=True)
class Script:
    """A script, and how to run it.

    `name` is what `$0` ends with; `shell` the words of its interpreter, or none for what its first
    line names, else bash.
    """

    content: bytes
    name: str = "script"
    shell: Sequence[str] = ()
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise RunFailed for what cannot be run anywhere."""
        if not self.content.strip():
            raise RunFailed(
                Ended.USAGE, f"The script {self.name} is empty: there is nothing to send."
            )
        if len(self.content) > SCRIPT_BYTES:
            raise RunFailed(
                Ended.USAGE,
                f"The script has {len(self.content):,} bytes; {SCRIPT_BYTES:,} are the most. Put "
                "its data in S3 and let the script fetch them.",
            )
        if self.content.split(b"\n", 1)[0].endswith(b"\r"):
            raise RunFailed(
                Ended.USAGE,
                "The script has Windows line ends (CR LF), which shells on Linux take for part of "
                "each command. Convert it, for example with sed -i 's/\\r$//'.",
            )
        for variable in self.environment:
            if not _VARIABLE.fullmatch(variable):
                # Not its value, which may be a secret.
                raise RunFailed(
                    Ended.USAGE,
                    f"--env {variable}=...: the name of a variable has letters, digits and _ "
                    "only, and no digit first.",
                )

    @property
    def file_name(self) -> str:
        """Its name with letters that no shell, console or JSON needs to quote."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", self.name).lstrip(".-")
        return plain[:_NAME_LENGTH] or "script"

    @property
    def interpreter(self) -> Sequence[str]:
        """What runs it: as chosen, as its first line says, or bash."""
        return self.shell or _first_line(self.content) or (DEFAULT_SHELL,)

    @property
    def launcher(self) -> bytes:
        """Run by `sh` with the script's path and the path for its process id."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        before = _words(["env", *settings, *self.interpreter] if settings else self.interpreter)
        after = _words(self.arguments)
        number = b'echo "$$ $(born "$$")" > "$2"\n'
        return BORN.encode() + number + b"exec " + before + b' "$1" ' + after + b"\n"


def _first_line(content: bytes) -> Sequence[str]:
    """The words of `#!`: a path and, as Linux has it, at most one argument."""
    line = content.split(b"\n", 1)[0]
    if not line.startswith(b"#!"):
        return ()
    return [os.fsdecode(word) for word in line[2:].strip().split(maxsplit=1)]


def _words(words: Sequence[str]) -> bytes:
    return os.fsencode(" ".join(map(shlex.quote, words)))


@dataclass(frozen=True)
class Part:
    """One chunk: its number from 1, its characters, and the SHA-256 of those in hexadecimal."""

    number: int
    characters: str

    @property
    def sha256(self) -> str:
        """Of the characters."""
        return hashlib.sha256(self.characters.encode()).hexdigest()


@dataclass(frozen=True)
class Payload:
    """The whole: what the instance must have before anything runs."""

    launcher_bytes: int
    sha256: str
    parts: tuple[Part, ...]


def pack(script: Script) -> Payload:
    """The script in chunks: the same for the same script."""
    launcher = script.launcher
    whole = launcher + script.content
    packed = base64.b64encode(gzip.compress(whole, 9, mtime=0)).decode()
    starts = range(0, len(packed), CHUNK_CHARACTERS)
    parts = (
        Part(number, packed[start : start + CHUNK_CHARACTERS])
        for number, start in enumerate(starts, 1)
    )
    return Payload(len(launcher), hashlib.sha256(whole).hexdigest(), tuple(parts))
