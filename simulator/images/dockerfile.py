"""Dockerfiles: their instructions with the lines they stand on, and the words in them.

The grammar is that of Docker's reference (parser directives, continued lines, comments, flags, exec
and shell form, here-documents, variables). What an instruction does is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from simulator.images.errors import BadImage

KEYWORDS = frozenset(
    {
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"),
        *("LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME"),
        "WORKDIR",
    }
)
"""Every instruction there is."""

_WITH_FLAGS = frozenset({"ADD", "COPY", "FROM", "HEALTHCHECK", "RUN"})
_WITH_EXEC_FORM = frozenset(
    {"ADD", "CMD", "COPY", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL", "VOLUME"}
)
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_LARGEST = 1024 * 1024
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
_KNOWN_DIRECTIVES = frozenset({"escape", "syntax", "check"})
_FLAG = re.compile(r"--([A-Za-z][A-Za-z0-9-]*)(?:=(\S*))?(?:\s+|$)")
_HEREDOC = re.compile(r"(?<!<)\d*<<(-?)(?!<)([\"']?)([A-Za-z0-9_.]+)\2")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+")


class BadDockerfile(BadImage):
    """A Dockerfile that cannot be read; the message names the line."""

    def __init__(self, source: str, line: int, message: str) -> None:
        super().__init__(f"{source}:{line}: {message}")
        self.line = line
        self.reason = message


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A file whose text stands in the Dockerfile."""

    name: str
    text: str
    expand: bool
    """Whether variables in it are replaced: its name is not in quotes."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction."""

    keyword: str
    """In capitals, however it is written."""
    line: int
    """That it begins on, counted from 1."""
    original: str
    """As it stands in the file, all of its lines."""
    flags: tuple[tuple[str, str | None], ...]
    """Name and value of each `--name=value`."""
    arguments: str
    """What follows the flags, on one line."""
    exec_form: tuple[str, ...] | None
    """The words of the form ["a", "b"]; None for the shell form, which `['a']` is too."""
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str) -> str | None:
        """The value of a flag, the last one's if it stands twice."""
        return dict(self.flags).get(name)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile that has been read."""

    source: str
    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    directives: Mapping[str, str] | None = None


def parse_dockerfile(text: str, source: str = "Dockerfile") -> Dockerfile:
    """Read a Dockerfile; `source` is what messages call it."""
    if len(text) > _LARGEST:
        raise BadDockerfile(source, 1, f"a Dockerfile has no more than {_LARGEST} characters")
    lines = text.removeprefix("\ufeff").splitlines()
    directives = dict(_directives(lines))
    escape = directives.get("escape", "\\")
    if escape not in {"\\", "`"}:
        raise BadDockerfile(source, 1, f"the escape character is \\ or `, and not {escape}")
    instructions = tuple(_Reader(lines, source, escape).instructions())
    if not instructions:
        raise BadDockerfile(source, 1, "there is no instruction in it")
    return Dockerfile(source, instructions, escape, directives)


def _directives(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Directives stand before everything else, and end at the first line that is none."""
    for line in lines:
        match = _DIRECTIVE.match(line.strip())
        if match is None or match[1].lower() not in _KNOWN_DIRECTIVES:
            return
        yield match[1].lower(), match[2]


class _Reader:
    def __init__(self, lines: list[str], source: str, escape: str) -> None:
        self._lines = lines
        self._at = 0
        self._source = source
        self._continued = re.compile(rf"{re.escape(escape)}[ \t]*$")

    def instructions(self) -> Iterator[Instruction]:
        while self._at < len(self._lines):
            line = self._lines[self._at].strip()
            if line and not line.startswith("#"):
                yield self._instruction()
            else:
                self._at += 1

    def _instruction(self) -> Instruction:
        start = self._at
        keyword, _, rest = self._logical_line().strip().partition(" ")
        keyword, _, tabbed = keyword.partition("\t")
        rest = f"{tabbed} {rest}".strip()
        name = keyword.upper()
        if name not in KEYWORDS:
            raise BadDockerfile(self._source, start + 1, f"there is no instruction {keyword}")
        flags, arguments = _flags(rest) if name in _WITH_FLAGS else ((), rest)
        if not arguments:
            raise BadDockerfile(self._source, start + 1, f"{name} needs an argument")
        heredocs = tuple(self._heredocs(arguments, start)) if name in _WITH_HEREDOCS else ()
        return Instruction(
            keyword=name,
            line=start + 1,
            original="\n".join(self._lines[start : self._at]),
            flags=flags,
            arguments=arguments,
            exec_form=_exec_form(_after_command(name, arguments), name),
            heredocs=heredocs,
        )

    def _logical_line(self) -> str:
        """Continued lines as one; comments and empty lines between them are left out."""
        parts = []
        first = True
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if not first and (not line.strip() or line.strip().startswith("#")):
                continue
            first = False
            continued = self._continued.search(line)
            parts.append(line if continued is None else line[: continued.start()])
            if continued is None:
                break
        return "".join(parts)

    def _heredocs(self, arguments: str, start: int) -> Iterator[Heredoc]:
        for match in _HEREDOC.finditer(arguments):
            dash, quote, name = match.groups()
            lines = []
            while self._at < len(self._lines):
                line = self._lines[self._at].lstrip("\t" if dash else "")
                self._at += 1
                if line == name:
                    break
                lines.append(line + "\n")
            else:
                raise BadDockerfile(self._source, start + 1, f"<<{name} has no end, a line {name}")
            yield Heredoc(name, "".join(lines), expand=not quote)


def _flags(rest: str) -> tuple[tuple[tuple[str, str | None], ...], str]:
    flags = []
    while match := _FLAG.match(rest):
        flags.append((match[1], match[2]))
        rest = rest[match.end() :]
    return tuple(flags), rest.strip()


def _after_command(keyword: str, arguments: str) -> str:
    """Of HEALTHCHECK what follows CMD: the form is that of a command."""
    if keyword == "HEALTHCHECK":
        return re.sub(r"^CMD\s+", "", arguments, flags=re.IGNORECASE)
    return arguments


def _exec_form(arguments: str, keyword: str) -> tuple[str, ...] | None:
    if keyword not in _WITH_EXEC_FORM or not arguments.startswith("["):
        return None
    try:
        words = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    return tuple(words)


class Words:
    """The words of an argument, with quotes taken off and variables replaced as Docker does it."""

    def __init__(self, variables: Mapping[str, str], escape: str = "\\") -> None:
        self._variables = variables
        self._escape = escape

    def split(self, text: str) -> list[str]:
        """The words, each replaced; a variable's value is not split again."""
        return [self.replace(word) for word in raw_words(text, self._escape)]

    def replace(self, text: str) -> str:
        """One word, or a whole argument, replaced."""
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        at = 0
        quoted = False
        while at < len(text):
            character = text[at]
            if character == "'" and not quoted:
                end = _closing(text, at)
                yield text[at + 1 : end]
                at = end + 1
            elif character == '"':
                quoted = not quoted
                at += 1
            elif character == self._escape and at + 1 < len(text):
                following = text[at + 1]
                # Between double quotes it quotes these alone.
                kept = quoted and following not in {'"', "$", self._escape}
                yield character + following if kept else following
                at += 2
            elif character == "$":
                value, at = self._variable(text, at)
                yield value
            else:
                yield character
                at += 1

    def _variable(self, text: str, at: int) -> tuple[str, int]:
        if text.startswith("${", at):
            return self._braced(text, at)
        match = _NAME.match(text, at + 1)
        if match is None:
            return "$", at + 1
        return self._variables.get(match[0], ""), match.end()

    def _braced(self, text: str, at: int) -> tuple[str, int]:
        end = _brace(text, at)
        match = _NAME.match(text, at + 2)
        if match is None or match.end() > end:
            raise ValueError(f"{text[at : end + 1]} names no variable")
        operator = text[match.end() : end]
        value = self._variables.get(match[0])
        for mark in (":-", ":+", ":?", "-", "+", "?"):
            if operator.startswith(mark):
                given = value if mark[0] != ":" else value or None
                return self._or_else(match[0], given, mark[-1], operator[len(mark) :]), end + 1
        if operator:
            raise ValueError(f"{text[at : end + 1]} is not a replacement that is known here")
        return value or "", end + 1

    def _or_else(self, name: str, value: str | None, mark: str, word: str) -> str:
        if mark == "+":
            return "" if value is None else self.replace(word)
        if value is not None:
            return value
        if mark == "?":
            raise ValueError(f"{name} has no value: {self.replace(word) or 'it needs one'}")
        return self.replace(word)


def raw_words(text: str, escape: str = "\\") -> list[str]:
    """The words with their quotes still on."""
    words: list[str] = []
    word = ""
    at = 0
    quote = ""
    while at < len(text):
        character = text[at]
        if character.isspace() and not quote:
            words += [word] if word else []
            word = ""
        elif character == escape and quote != "'" and at + 1 < len(text):
            word += text[at : at + 2]
            at += 1
        else:
            if character in "'\"" and quote in {"", character}:
                quote = "" if quote else character
            word += character
        at += 1
    return [*words, word] if word else words


def _closing(text: str, at: int) -> int:
    end = text.find(text[at], at + 1)
    if end < 0:
        raise ValueError(f"a quote {text[at]} has no end")
    return end


def _brace(text: str, at: int) -> int:
    depth = 0
    for index in range(at + 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ValueError("${ has no end")
