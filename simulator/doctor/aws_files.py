"""AWS's shared files, `~/.aws/config` and `credentials`, read on any host as botocore reads them.

Values are secrets: nothing here puts one into a message, and of a file that does not parse only the
line is told, for its text may be the secret. Source: botocore 1.44 (configloader.py), and "Finding
and changing the location of the shared config and credentials files" (AWS SDKs and Tools Reference
Guide, documented). botocore decodes by the locale; here it is UTF-8.
"""

from __future__ import annotations

import configparser
import enum
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.doctor.host import MOST_BYTES, Host, PathKind

Value = str | Mapping[str, str]
"""Of an option: its text, or the options below it where they follow indented."""
Sections = Mapping[str, Mapping[str, Value]]

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)
_PASSWD = "/etc/passwd"  # noqa: S105  # A file's name.


class BadIni(ValueError):
    """A file is no INI file; the message says where, without a word of its text."""


class FileState(enum.Enum):
    """What became of reading a file."""

    READ = "read"
    MISSING = "missing"
    """No file, which botocore takes for an empty one."""
    UNREADABLE = "unreadable"
    """There, and this user may not read it: botocore passes it over without a word."""
    BROKEN = "broken"
    """botocore raises ConfigParseError, whatever else is configured."""


@dataclass(frozen=True, slots=True)
class SharedFile:
    """One of the files."""

    path: str
    state: FileState
    sections: Sections = field(default_factory=dict, repr=False)
    trouble: str = ""
    """For UNREADABLE and BROKEN: why, as the end of a sentence."""


def parse_ini(data: bytes) -> dict[str, dict[str, Value]]:
    """Sections and their options, names of options in lower case. Raises BadIni."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadIni(f"byte {error.start} is no UTF-8") from None
    parser = configparser.RawConfigParser()
    try:
        parser.read_file(io.StringIO(text, newline=None))
    except configparser.Error as error:
        raise BadIni(_where(error)) from None
    return {
        name: {option: _value(parser.get(name, option)) for option in parser.options(name)}
        for name in parser.sections()
    }


def _where(error: configparser.Error) -> str:
    match error:
        case configparser.MissingSectionHeaderError(lineno=line):
            return f"line {line} stands before any [section]"
        case configparser.DuplicateSectionError(lineno=line):
            return f"the section of line {line} is there twice"
        case configparser.DuplicateOptionError(lineno=line):
            return f"the name of line {line} is there twice in its section"
        case configparser.ParsingError(errors=[(int(line), *_), *_]):
            return f"line {line} is neither `name = value` nor a [section]"
        case _:
            return "it is no INI file"


def _value(text: str) -> Value:
    if not text.startswith("\n"):
        return text
    nested = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise BadIni("a line that is indented below an empty value is no `name = value`")
        nested[name.strip()] = value.strip()
    return nested


def read_shared_file(host: Host, path: str) -> SharedFile:
    """The file at `path`, in which ~ and variables are expanded."""
    path = expanded(host, path)
    if not path.startswith("/"):
        return SharedFile(path, FileState.MISSING)
    try:
        if host.look(path) is not PathKind.FILE:
            return SharedFile(path, FileState.MISSING)
        data = host.read(path)
    except OSError as error:
        return SharedFile(path, FileState.UNREADABLE, trouble=error.strerror or "unreadable")
    if len(data) >= MOST_BYTES:
        return SharedFile(path, FileState.UNREADABLE, trouble="it is longer than doctor reads")
    try:
        return SharedFile(path, FileState.READ, parse_ini(data))
    except BadIni as error:
        return SharedFile(path, FileState.BROKEN, trouble=str(error))


def expanded(host: Host, path: str) -> str:
    """`path` with variables, ~ and ~USER put in, as Python's os.path does; else as it is."""

    def variable(match: re.Match[str]) -> str:
        return host.environ.get(match[1].strip("{}"), match[0])

    path = _VARIABLE.sub(variable, path)
    if not path.startswith("~"):
        return path
    user, slash, rest = path[1:].partition("/")
    home = _home_of(host, user) if user else home_folder(host)
    return path if home is None else (home.rstrip("/") + slash + rest) or "/"


def home_folder(host: Host) -> str | None:
    """HOME, and without it the folder that /etc/passwd names; None for neither."""
    return host.environ["HOME"] if "HOME" in host.environ else _home_of(host, host.user_id)


def _home_of(host: Host, user: str | int) -> str | None:
    try:
        lines = host.read(_PASSWD).decode(errors="replace").splitlines()
    except OSError:
        return None  # As for a user whom it does not list: ~ stays what it is.
    column, wanted = (2, str(user)) if isinstance(user, int) else (0, user)
    entries = (line.split(":") for line in lines)
    return next(
        (entry[5] for entry in entries if len(entry) == 7 and entry[column] == wanted), None
    )
