"""The machine that doctor runs on: its real files, commands and network."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.doctor import ending, files, web
from simulator.doctor.aws import Aws
from simulator.doctor.host import (
    COMMAND_SECONDS,
    Answer,
    AwsAnswer,
    CommandMissing,
    HostKind,
    PathKind,
    Ran,
)


class ThisMachine:
    """A Host; see there."""

    name = "this machine"
    kind = HostKind.THIS_MACHINE

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        network: bool = False,
        network_seconds: float | None = None,
    ) -> None:
        """`network_seconds` is for the whole of a question; by default it depends on the kind."""
        self.environ = environ
        self.user_id = os.geteuid()
        self._network = network
        self._seconds = network_seconds
        self._aws = Aws(network=network, seconds=network_seconds)

    def look(self, path: str) -> PathKind | None:
        """What is at a path."""
        return files.look(path)

    def read(self, path: str) -> bytes:
        """The beginning of a file."""
        return files.read(path)

    def entries(self, path: str) -> Sequence[str]:
        """The names in a folder."""
        return files.entries(path)

    def may_write(self, path: str) -> bool:
        """Whether this process may."""
        return files.may_write(path)

    def which(self, command: str, path: str | None = None) -> str | None:
        """Where a command is found."""
        searched = self.environ.get("PATH", os.defpath) if path is None else path
        return files.on_path(command, searched, _is_program)

    def run(self, *words: str, seconds: float = COMMAND_SECONDS) -> Ran:
        """Run a command."""
        program = self.which(words[0])
        if program is None:
            raise CommandMissing(words[0])
        return ending.run(program, words, self.environ, seconds)

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Answer:
        """Ask a server."""
        web.check_allowed(url, network=self._network)
        return web.fetch(url, headers or {}, method, self._seconds)

    def ask_aws(
        self, service: str, operation: str, members: Mapping[str, Any], *, region: str
    ) -> AwsAnswer:
        """Call AWS."""
        return self._aws.ask(service, operation, members, region)

    def now(self) -> float:
        """The clock."""
        return time.time()


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113  # A string of PATH.
