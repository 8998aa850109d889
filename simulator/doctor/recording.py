"""What was seen of a machine, kept as a folder that `doctor --host` examines in its place.

Only what the checks asked about is kept, and without what looks like a secret
(`simulator.doctor.redaction`). What cannot be written down, such as an error of a disk, is left
out: then it cannot be told there either.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from simulator.doctor import files
from simulator.doctor.folder import DESCRIPTION
from simulator.doctor.host import (
    COMMAND_SECONDS,
    Answer,
    AwsAnswer,
    CommandHangs,
    Host,
    HostKind,
    NotCalled,
    PathKind,
    Ran,
    Unreachable,
)
from simulator.doctor.redaction import variable_without_secrets, without_secrets

_LISTED = {PathKind.DEVICE: "devices", PathKind.SOCKET: "sockets"}


class RecordingHost:
    """A Host that asks another, and remembers; see there."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.name: str = host.name
        self.kind: HostKind = host.kind
        self.user_id: int = host.user_id
        self._environ = _Asked(host.environ)
        self.environ: Mapping[str, str] = self._environ
        self._kinds: dict[str, PathKind] = {}
        self._contents: dict[str, bytes] = {}
        self._paths: dict[str, set[str]] = {"writable": set(), "denied": set()}
        self._commands: dict[tuple[str, ...], dict[str, Any]] = {}
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._aws: dict[str, dict[str, Any]] = {}

    def look(self, path: str) -> PathKind | None:
        """What is at a path."""
        try:
            kind = self._host.look(path)
        except PermissionError:
            self._paths["denied"].add(str(PurePosixPath(path).parent))
            raise
        if kind is not None:
            self._kinds[path] = kind
        return kind

    def read(self, path: str) -> bytes:
        """The beginning of a file."""
        try:
            content = self._host.read(path)
        except PermissionError:
            self._paths["denied"].add(path)
            self._kinds.setdefault(path, PathKind.FILE)
            raise
        self._kinds.setdefault(path, PathKind.FILE)
        self._contents[path] = content
        return content

    def entries(self, path: str) -> Sequence[str]:
        """The names in a folder."""
        try:
            names = self._host.entries(path)
        except PermissionError:
            self._paths["denied"].add(path)
            self._kinds.setdefault(path, PathKind.FOLDER)
            raise
        self._kinds[path] = PathKind.FOLDER
        for name in names:
            entry = f"{path.rstrip('/')}/{name}"
            self._kinds.setdefault(entry, self._kind_of(entry))
        return names

    def may_write(self, path: str) -> bool:
        """Whether whoever asks may."""
        may = self._host.may_write(path)
        if may:
            self.look(path)
            self._paths["writable"].add(path)
        return may

    def which(self, command: str, path: str | None = None) -> str | None:
        """Where a command is found."""
        if path is None:
            self._environ.get("PATH")
        found = self._host.which(command, path)
        if found is not None:
            self._kinds[found] = PathKind.FILE
        return found

    def run(self, *words: str, seconds: float = COMMAND_SECONDS) -> Ran:
        """Run a command."""
        try:
            ran = self._host.run(*words, seconds=seconds)
        except CommandHangs:
            self._commands[words] = {"hangs": True}
            raise
        self._commands[words] = {
            "exit_code": ran.exit_code,
            "stdout": without_secrets(ran.stdout),
            "stderr": without_secrets(ran.stderr),
        }
        return ran

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Answer:
        """Ask a server."""
        try:
            answer = self._host.fetch(url, headers, method=method)
        except Unreachable as error:
            self._answers[url, method] = {"unreachable": str(error)}
            raise
        self._answers[url, method] = {
            "status": answer.status,
            "headers": {
                name: variable_without_secrets(name, value)
                for name, value in answer.headers.items()
            },
            "body": _bytes(answer.body),
        }
        return answer

    def ask_aws(
        self, service: str, operation: str, members: Mapping[str, Any], *, region: str
    ) -> AwsAnswer:
        """Call AWS."""
        asked = {"service": service, "operation": operation, "members": members}
        key = json.dumps(asked, sort_keys=True)
        try:
            answer = self._host.ask_aws(service, operation, members, region=region)
        except Unreachable as error:
            self._aws[key] = {**asked, "unreachable": str(error)}
            raise
        except NotCalled as error:
            self._aws[key] = {**asked, "not_called": without_secrets(str(error))}
            raise
        refusal = {"code": answer.code, "message": without_secrets(answer.message)}
        self._aws[key] = {
            **asked,
            "status": answer.status,
            "headers": {
                name: variable_without_secrets(name, value)
                for name, value in answer.headers.items()
            },
            **({"error": refusal} if answer.code else {"result": _shown("", dict(answer.members))}),
        }
        return answer

    def now(self) -> float:
        """The clock."""
        return self._host.now()

    def write(self, folder: Path) -> None:
        """Write the folder, which is made, or is empty. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(None, "it is not empty", str(folder))
        root = folder / "root"
        root.mkdir()
        for path, kind in sorted(self._kinds.items()):
            place = files.inside(root, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            if kind is PathKind.FOLDER:
                place.mkdir(exist_ok=True)
            elif kind not in _LISTED and not place.is_dir():
                place.write_bytes(_redacted(self._contents.get(path, b"")))
        description = json.dumps(self._description(), indent=2)
        (folder / DESCRIPTION).write_text(f"{description}\n", encoding="utf-8")

    def _kind_of(self, path: str) -> PathKind:
        try:
            return self._host.look(path) or PathKind.OTHER
        except OSError:
            return PathKind.OTHER

    def _description(self) -> dict[str, Any]:
        listed = {
            member: sorted(path for path, kind in self._kinds.items() if kind is wanted)
            for wanted, member in _LISTED.items()
        }
        return {
            "format": 1,
            "user_id": self.user_id,
            "now": self.now(),
            "environ": self._environ.shown(),
            **{member: sorted(paths) for member, paths in self._paths.items()},
            **listed,
            "commands": [{"words": list(words), **ran} for words, ran in self._commands.items()],
            "answers": [
                {"url": without_secrets(url), "method": method, **answer}
                for (url, method), answer in self._answers.items()
            ],
            "aws": list(self._aws.values()),
        }


class _Asked(Mapping[str, str]):
    """An environment that remembers which of its variables were asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self._asked.add(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)

    def shown(self) -> dict[str, str]:
        """Those that were, as text."""
        return {
            name: variable_without_secrets(name, _text(self._environ[name]))
            for name in sorted(self._asked)
            if name in self._environ
        }


def _text(value: str) -> str:
    return os.fsencode(value).decode(errors="replace")


def _redacted(content: bytes) -> bytes:
    try:
        return without_secrets(content.decode()).encode()
    except UnicodeDecodeError:
        return content


def _shown(name: str, value: Any) -> Any:
    """A member of an answer, as JSON has it and without secrets."""
    if isinstance(value, dict):
        return {each: _shown(each, inner) for each, inner in value.items()}
    if isinstance(value, list):
        return [_shown(name, each) for each in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return variable_without_secrets(name, str(value)) if name else without_secrets(str(value))


def _bytes(content: bytes) -> str | dict[str, str]:
    try:
        return without_secrets(content.decode())
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
