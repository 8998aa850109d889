"""What can be told of a shell script by reading it: its commands, and how it ends.

Not a shell. Where a script is more than it understands nothing is said of it, and what is said is
`may`: a program can always do otherwise than its name lets expect.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

_OPENING = {"if", "then", "else", "elif", "do", "{", "!", "time", "function", "("}
_CLOSING = {"fi", "done", "esac", "}", ")"}
_LOOPS = {"while", "until", "for", "case", "select"}
_ENDLESS = re.compile(
    r"\b(?:while\s+(?:true|:|\[\s*1\s*\]|\(\(\s*1\s*\)\))|until\s+false)(?=[\s;]|$)"
)
_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_]\w*)\1")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_SEPARATORS = set(";&|()")
"""Of these characters separators consist, such as `&&`, `|&` and `;;`."""
_OUTPUT = {">", ">>", ">|", "&>", "&>>", ">&"}
_LONG_SLEEP = 3600.0


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command."""

    words: tuple[str, ...]
    background: bool = False
    outputs: tuple[str, ...] = ()
    """The files that its output goes to."""
    piped_to: str = ""
    """The name of the program that reads its output, if one does."""

    @property
    def name(self) -> str:
        """Of the program, without its path."""
        return self.words[0].rpartition("/")[2] if self.words else ""


@dataclass(frozen=True, slots=True)
class Shell:
    """A script."""

    commands: tuple[Command, ...]
    is_endless: bool
    """Whether something in it seems to go on for ever."""
    ends_in_block: bool
    """Whether it ends in a loop or a condition, of which nothing is said."""


def read_shell(text: str) -> Shell | None:
    """The commands of a script; None where they cannot be told."""
    commands: list[Command] = []
    in_block = False
    try:
        for line in _lines(text):
            tokens = _tokens(line)
            if not tokens:
                continue
            commands += _with_readers(list(_commands(tokens)))
            in_block = tokens[-1] in _CLOSING or tokens[0] in _CLOSING
    except ValueError:
        # A quote that goes over several lines, or is never closed.
        return None
    commands = [unwrapped(command) for command in commands if command.words]
    endless = bool(_ENDLESS.search(text)) or any(map(goes_on, commands))
    return Shell(tuple(commands), endless, in_block)


def _lines(text: str) -> Iterator[str]:
    joined = text.replace("\r\n", "\n").replace("\\\n", " ")
    end = None
    for line in joined.split("\n"):
        if end is not None:
            if line.strip() == end:
                end = None
            continue
        found = _HEREDOC.search(line)
        if found:
            end = found[2]
        yield line


def _tokens(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    return list(lexer)


def _commands(tokens: Sequence[str]) -> Iterator[Command]:
    words: list[str] = []
    outputs: list[str] = []
    ahead = iter([*tokens, ";"])
    for token in ahead:
        if set(token) <= _SEPARATORS and token:
            background = token.startswith("&") and not token.startswith("&&")
            piped = token in {"|", "|&"}
            yield Command(_stripped(words), background, tuple(outputs), "|" if piped else "")
            words, outputs = [], []
        elif token in _OUTPUT:
            descriptor = words.pop() if words and words[-1].isdigit() else "1"
            target = next(ahead, "")
            if descriptor == "1" and not (target.isdigit() or target == "-"):
                outputs.append(target)
        elif set(token) <= set("<>&|"):
            next(ahead, "")
        else:
            words.append(token)


def _stripped(words: Sequence[str]) -> tuple[str, ...]:
    """Without keywords before the command; nothing of a loop's head."""
    rest = list(words)
    while rest and rest[0] in _OPENING:
        rest = rest[1:]
    if not rest or rest[0] in _CLOSING or rest[0] in _LOOPS:
        return ()
    return tuple(rest)


def _with_readers(commands: Sequence[Command]) -> Iterator[Command]:
    for command, after in zip(commands, [*commands[1:], None], strict=True):
        reader = after.name if command.piped_to and after is not None else ""
        yield replace(command, piped_to=reader)


_TAKES_COMMAND = {"exec", "nohup", "tini", "dumb-init", "su-exec", "gosu", "command", "builtin"}
_TAKES_USER = {"su-exec", "gosu"}


def unwrapped(command: Command) -> Command:
    """Without what only passes on to another command: exec, tini, NAME=VALUE."""
    words = list(command.words)
    while words:
        name = words[0].rpartition("/")[2]
        if _ASSIGNMENT.fullmatch(words[0]) and len(words) > 1:
            words = words[1:]
        elif (name in _TAKES_COMMAND or name == "env") and len(words) > 1:
            words = words[2:] if name in _TAKES_USER else words[1:]
            while words and words[0].startswith("-"):
                words = words[1:]
        else:
            break
    return Command(tuple(words), command.background, command.outputs, command.piped_to)


def goes_on(command: Command) -> bool:
    """Whether it is known to keep a script from ending."""
    words = command.words
    if command.background or not words:
        return False
    if command.name == "sleep":
        return len(words) > 1 and _seconds(words[1]) >= _LONG_SLEEP
    if command.name == "tail":
        return any(re.fullmatch(r"-[0-9a-zA-Z]*[fF].*|--follow.*", word) for word in words[1:])
    return command.name == "wait"


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        return float(text.rstrip("smhd")) * units.get(text[-1:], 1)
    except ValueError:
        # `infinity` and variables.
        return float("inf")
