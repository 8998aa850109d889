"""A machine that somebody has written down: a folder with host.json, and its files below root/.

The form of host.json is the schema `simulator/schemas/doctor-host.schema.json`. Nothing is run and
nobody is asked: commands and servers answer what stands there. A command whose words do not stand
there is no command that is missing, if its program has others: what it says is not known.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from simulator.doctor import files, web
from simulator.doctor.host import (
    COMMAND_SECONDS,
    Answer,
    AwsAnswer,
    CommandHangs,
    CommandMissing,
    HostKind,
    NetworkNotAsked,
    NotCalled,
    PathKind,
    Ran,
    Unreachable,
)
from simulator.schema_check import schema_problems
from simulator.user_files import BadFile, read_user_file

DESCRIPTION = "host.json"
_LISTED = {"devices": PathKind.DEVICE, "sockets": PathKind.SOCKET}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


class FolderHost:
    """A Host; see there."""

    kind = HostKind.FOLDER

    def __init__(self, folder: Path, *, network: bool = False) -> None:
        """Raises BadFile, with a line for everything that is wrong with the folder."""
        self._root = folder / "root"
        self._network = network
        self._given = _described(folder)
        self.name: str = self._given.get("name") or str(folder)
        self.environ: Mapping[str, str] = self._given.get("environ", {})
        self.user_id: int = self._given.get("user_id", 0)

    def look(self, path: str) -> PathKind | None:
        """What is at a path."""
        self._check_entered(path)
        for member, kind in _LISTED.items():
            if path in self._paths(member):
                return kind
        with files.named(path):
            found = files.look(files.inside(self._root, path))
        if found is None and path in self._paths("writable"):
            return PathKind.FOLDER
        return found

    def read(self, path: str) -> bytes:
        """The beginning of a file."""
        self._check_denied(path)
        if path in self._listed():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        with files.named(path):
            return files.read(files.inside(self._root, path))

    def entries(self, path: str) -> Sequence[str]:
        """The names in a folder."""
        self._check_denied(path)
        listed = [
            PurePosixPath(each).name
            for each in self._listed()
            if str(PurePosixPath(each).parent) == (path.rstrip("/") or "/")
        ]
        with files.named(path):
            place = files.inside(self._root, path)
            if not place.exists() and (listed or path in self._paths("writable")):
                return sorted(listed)
            return sorted({*files.entries(place), *listed})

    def may_write(self, path: str) -> bool:
        """Whether it is one of the writable, or below one."""
        try:
            is_there = self.look(path) is not None
        except OSError:
            return False
        return is_there and _is_in_or_below(path, self._paths("writable"))

    def which(self, command: str, path: str | None = None) -> str | None:
        """Where a command is found: as a file, or in /usr/bin if host.json alone has it."""
        own = self.environ.get("PATH", _PATH)
        searched = own if path is None else path
        found = files.on_path(command, searched, self._is_file)
        if found is None and "/usr/bin" in searched.split(":") and self._has_command(command):
            is_elsewhere = files.on_path(command, own, self._is_file) is not None
            return None if is_elsewhere else f"/usr/bin/{command}"
        return found

    def run(self, *words: str, seconds: float = COMMAND_SECONDS) -> Ran:
        """What host.json has as its output."""
        for entry in self._given.get("commands", ()):
            if entry["words"] == list(words):
                return _ran(entry, seconds)
        if not self._has_command(words[0]):
            raise CommandMissing(words[0])
        raise OSError(f"{DESCRIPTION} does not say what `{' '.join(words)}` prints")

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Answer:
        """What host.json has as the answer."""
        del headers
        for entry in self._given.get("answers", ()):
            if entry["url"] == url and entry.get("method", method) == method:
                if "unreachable" in entry:
                    raise Unreachable(entry["unreachable"])
                named = {name.lower(): value for name, value in entry.get("headers", {}).items()}
                return Answer(entry.get("status", 200), named, _bytes(entry.get("body", "")))
        web.check_allowed(url, network=self._network)
        raise Unreachable(f"{DESCRIPTION} has no answer of {web.where(url)}")

    def ask_aws(
        self, service: str, operation: str, members: Mapping[str, Any], *, region: str
    ) -> AwsAnswer:
        """What host.json has as the answer: of the first entry whose members the call has."""
        del region
        for entry in self._given.get("aws", ()):
            if (entry["service"], entry["operation"]) == (service, operation) and all(
                members.get(name) == value for name, value in entry.get("members", {}).items()
            ):
                return _aws_answer(entry, self.now())
        if not self._network:
            raise NetworkNotAsked("AWS is asked with --network only")
        raise NotCalled(f"{DESCRIPTION} has no answer of {service} {operation}")

    def now(self) -> float:
        """The clock of host.json, or the real one."""
        return float(self._given.get("now", time.time()))

    def _paths(self, member: str) -> Sequence[str]:
        paths: Sequence[str] = self._given.get(member, ())
        return paths

    def _listed(self) -> Sequence[str]:
        return [path for member in _LISTED for path in self._paths(member)]

    def _has_command(self, name: str) -> bool:
        return any(entry["words"][0] == name for entry in self._given.get("commands", ()))

    def _is_file(self, path: str) -> bool:
        try:
            return self.look(path) is PathKind.FILE
        except OSError:
            return False

    def _check_denied(self, path: str) -> None:
        if _is_in_or_below(path, self._paths("denied")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def _check_entered(self, path: str) -> None:
        """What is there can be seen from the folder around it."""
        self._check_denied(str(PurePosixPath(path).parent))


def _described(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise BadFile(f"{folder}: there is no such folder; give one with {DESCRIPTION} and root/")
    try:
        is_other = files.look(folder / DESCRIPTION) not in {PathKind.FILE, None}
    except OSError:
        is_other = False  # What hinders is said by whoever reads it.
    if is_other:
        raise BadFile(f"{folder / DESCRIPTION}: it is no file, and is not read")
    file = read_user_file(folder / DESCRIPTION)
    problems = [problem for _, problem in schema_problems(file, "doctor-host")]
    if problems or not isinstance(file.value, dict):
        raise BadFile(*problems)
    try:
        json.dumps(file.value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadFile(
            f"{file.path}: half a character (\\ud800 to \\udfff) stands alone in it; give bytes "
            'that are no UTF-8 as {"base64": ...}'
        ) from error
    return file.value


def _is_in_or_below(path: str, places: Sequence[str]) -> bool:
    above = (path.rstrip("/") or "/", *map(str, PurePosixPath(path).parents))
    return any((place.rstrip("/") or "/") in above for place in places)


def _ran(entry: Mapping[str, Any], seconds: float) -> Ran:
    if entry.get("hangs"):
        shown = " ".join(entry["words"])
        raise CommandHangs(f"`{shown}` did not end within {seconds:g} seconds, and was killed")
    stdout, stderr = (
        _bytes(entry.get(name, "")).decode(errors="replace") for name in ("stdout", "stderr")
    )
    return Ran(entry.get("exit_code", 0), stdout, stderr)


def _aws_answer(entry: Mapping[str, Any], now: float) -> AwsAnswer:
    """Raises Unreachable, NotCalled."""
    if "unreachable" in entry:
        raise Unreachable(entry["unreachable"])
    if "not_called" in entry:
        raise NotCalled(entry["not_called"])
    error = entry.get("error", {})
    return AwsAnswer(
        status=entry.get("status", 400 if error else 200),
        headers={name.lower(): value for name, value in entry.get("headers", {}).items()},
        members=entry.get("result", {}),
        code=error.get("code", ""),
        message=error.get("message", ""),
        before=now,
        after=now,
    )


def _bytes(value: str | Mapping[str, str]) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(value["base64"])
