"""Files that users write by hand, in YAML or JSON: their values, and the line each stands on.

Not a YAML of its own: PyYAML scans the text, and what it finds is put together here, because its
loaders guess types (`012345678901` becomes an octal number, `2012-10-17` a date, `no` false) and
forget lines. Here a plain scalar is text, except true, false and null. Refused by name: names that
stand twice, tags, merge keys, several documents, and aliases that multiply without end. A file
whose name ends in .json is read as JSON (RFC 8259), whose problems have a path and no line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Where = tuple[str | int, ...]
"""A place in a file: names of objects' members and indexes of lists, from the top."""

_MAX_VALUES = 2_000_000
_MAX_DEPTH = 100
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN_TAGS = frozenset(
    {None, "!"} | {f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq")}
)
# The same parser in C, where PyYAML was built with it: ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadFile(ValueError):
    """What is wrong with files: each problem is a line that says where, what and what would do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: its line, counted from 1, and the places of its parts."""

    line: int
    parts: Mapping[str | int, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UserFile:
    """The content of one file."""

    path: Path
    value: object
    """Dictionaries, lists, text, booleans and None; numbers too in JSON."""
    place: Place | None = None

    def problem(self, where: Where, text: str) -> str:
        """One line: file, line if known, path to the value, and `text`."""
        line = self._line(where)
        shown = "" if line is None else f":{line}"
        return f"{self.path}{shown}: {f'{dotted(where)}: ' if where else ''}{text}"

    def _line(self, where: Where) -> int | None:
        """The line of the value, or of the innermost part around it that there is."""
        place = self.place
        if place is None:
            return None
        for step in where:
            inner = place.parts.get(step)
            if inner is None:
                break
            place = inner
        return place.line


def dotted(where: Where) -> str:
    """A path as people write it: `keys[0].policy.Statement[1]`."""
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8. Raises BadFile."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadFile(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text"
        ) from error


def read_user_file(path: Path) -> UserFile:
    """What a file holds: JSON if its name ends in .json, else YAML. Raises BadFile."""
    text = read_text(path)
    if path.suffix.lower() == ".json":
        return UserFile(path, _read_json(path, text))
    return _Yaml(path).read(text)


def _read_json(path: Path, text: str) -> object:
    def without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [name for name, _ in pairs]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise BadFile(f"{path}: {', '.join(twice)}: stands twice in one object; leave one")
        return members

    def no_constant(name: str) -> object:
        raise BadFile(f"{path}: {name} is no JSON value")

    try:
        value: object = json.loads(
            text, object_pairs_hook=without_duplicates, parse_constant=no_constant
        )
    except json.JSONDecodeError as error:
        raise BadFile(
            f"{path}:{error.lineno}: not JSON: {error.msg} (column {error.colno})"
        ) from error
    except RecursionError as error:
        raise BadFile(f"{path}: nested too deeply") from error
    return value


@dataclass(slots=True)
class _Built:
    """A value that is complete, or a collection that is still open."""

    value: Any
    line: int
    anchor: str | None = None
    parts: dict[str | int, Place] = field(default_factory=dict)
    size: int = 1
    """How many values it holds, itself among them, aliases written out."""
    name: str | None = None
    """In an open object: the member whose value comes next."""

    @property
    def place(self) -> Place:
        return Place(self.line, self.parts)


class _Yaml:
    """Puts one document together from the events of PyYAML's parser.

    A stack of its own instead of recursion, so that no file can exhaust that of the interpreter.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[_Built] = []
        self._anchors: dict[str, _Built] = {}
        self._documents: list[_Built] = []
        self._problems: list[str] = []

    def read(self, text: str) -> UserFile:
        """The only document of `text`. Raises BadFile."""
        events: Any = yaml.parse(text, Loader=_LOADER)
        try:
            for event in events:
                self._take(event, event.start_mark.line + 1)
        except yaml.YAMLError as error:
            raise BadFile(self._syntax(error)) from error
        if len(self._documents) > 1:
            self._complain(self._documents[1].line, "a second document; leave only one")
        if self._problems:
            raise BadFile(*self._problems)
        if not self._documents:
            raise BadFile(f"{self._path}: the file is empty")
        return UserFile(self._path, self._documents[0].value, self._documents[0].place)

    def _syntax(self, error: yaml.YAMLError) -> str:
        mark: Any = getattr(error, "problem_mark", None)
        if mark is None:
            return f"{self._path}: not YAML: {' '.join(str(error).split())}"
        said = (getattr(error, "context", None), getattr(error, "problem", None))
        about = ", ".join(part for part in said if part)
        return f"{self._path}:{mark.line + 1}: not YAML: {about} (column {mark.column + 1})"

    def _complain(self, line: int, text: str) -> None:
        self._problems.append(f"{self._path}:{line}: {text}")

    def _take(self, event: Any, line: int) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._check_tag(event.tag, line)
            self._open.append(_Built(value, line, event.anchor))
            if len(self._open) > _MAX_DEPTH:
                raise BadFile(f"{self._path}:{line}: nested more than {_MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            self._complete(self._open.pop())
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), line)

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag not in _PLAIN_TAGS:
            self._complain(line, f"the tag {tag} is not taken; write the value without it")

    def _scalar(self, event: Any, line: int) -> None:
        self._check_tag(event.tag, line)
        value = event.value
        plain = event.implicit[0] and event.tag is None
        if self._wants_name():
            if plain and value == "<<":
                self._complain(line, "merge keys (<<) are not taken; write the members out")
            self._name(value, line)
        else:
            if plain:
                value = _CONSTANTS.get(value, value)
            self._complete(_Built(value, line, event.anchor))

    def _alias(self, anchor: str, line: int) -> None:
        # An anchor counts from the end of what it stands on, so that nothing can hold itself.
        meant = self._anchors.get(anchor)
        if meant is None:
            raise BadFile(f"{self._path}:{line}: *{anchor} stands for no value before it")
        self._complete(_Built(meant.value, meant.line, None, meant.parts, meant.size))

    def _wants_name(self) -> bool:
        return (
            bool(self._open)
            and isinstance(self._open[-1].value, dict)
            and (self._open[-1].name is None)
        )

    def _name(self, name: str, line: int) -> None:
        around = self._open[-1]
        if name in around.value:
            self._complain(line, f"{name}: stands twice in one object; leave one")
        around.name = name

    def _complete(self, built: _Built) -> None:
        if built.anchor is not None:
            self._anchors[built.anchor] = built
        if not self._open:
            self._documents.append(built)
            return
        around = self._open[-1]
        around.size += built.size
        if around.size > _MAX_VALUES:
            raise BadFile(
                f"{self._path}:{built.line}: more than {_MAX_VALUES} values, aliases written out"
            )
        if isinstance(around.value, list):
            around.parts[len(around.value)] = built.place
            around.value.append(built.value)
        elif around.name is None:
            raise BadFile(f"{self._path}:{built.line}: a name must be text, not a list or object")
        else:
            around.parts[around.name] = built.place
            around.value[around.name] = built.value
            around.name = None


def steps(path: str) -> Iterator[str | int]:
    """The steps of a path such as `Statement[0].Principal.AWS`."""
    for part in path.replace("[", ".").replace("]", "").split("."):
        yield int(part) if part.isdigit() else part
