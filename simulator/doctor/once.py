"""A machine that is asked each question once: checks that look at the same time share its answers.

Questions are those that take time: commands, servers, AWS. Files are read each time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from simulator.doctor.host import (
    COMMAND_SECONDS,
    Answer,
    AwsAnswer,
    Host,
    HostKind,
    PathKind,
    Ran,
)


class OnceHost:
    """A Host; see there. Thread-safe as far as the host below is."""

    def __init__(self, host: Host, *, command_seconds: float = COMMAND_SECONDS) -> None:
        """`command_seconds` is the most that a command gets."""
        self._host = host
        self._command_seconds = command_seconds
        self._lock = threading.Lock()
        self._answers: dict[object, Future[Any]] = {}
        self.name: str = host.name
        self.kind: HostKind = host.kind
        self.user_id: int = host.user_id
        self.environ: Mapping[str, str] = host.environ

    def look(self, path: str) -> PathKind | None:
        """What is at a path."""
        return self._host.look(path)

    def read(self, path: str) -> bytes:
        """The beginning of a file."""
        return self._host.read(path)

    def entries(self, path: str) -> Sequence[str]:
        """The names in a folder."""
        return self._host.entries(path)

    def may_write(self, path: str) -> bool:
        """Whether whoever asks may."""
        return self._host.may_write(path)

    def which(self, command: str, path: str | None = None) -> str | None:
        """Where a command is found."""
        return self._host.which(command, path)

    def run(self, *words: str, seconds: float = COMMAND_SECONDS) -> Ran:
        """Run a command."""
        most = min(seconds, self._command_seconds)
        ran: Ran = self._once(words, lambda: self._host.run(*words, seconds=most))
        return ran

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Answer:
        """Ask a server."""
        key = method, url, tuple(sorted((headers or {}).items()))
        answer: Answer = self._once(key, lambda: self._host.fetch(url, headers, method=method))
        return answer

    def ask_aws(
        self, service: str, operation: str, members: Mapping[str, Any], *, region: str
    ) -> AwsAnswer:
        """Call AWS."""
        key = service, operation, json.dumps(members, sort_keys=True), region
        answer: AwsAnswer = self._once(
            key, lambda: self._host.ask_aws(service, operation, members, region=region)
        )
        return answer

    def now(self) -> float:
        """The clock."""
        return self._host.now()

    def _once(self, key: object, question: Callable[[], Any]) -> Any:
        """Its answer, or what it raised; whoever comes second waits for the first."""
        with self._lock:
            answer = self._answers.get(key)
            is_first = answer is None
            if answer is None:
                answer = self._answers[key] = Future()
        if is_first:
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001  # It is raised to all who ask.
                answer.set_exception(error)
        return answer.result()
