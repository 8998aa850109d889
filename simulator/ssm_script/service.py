"""Systems Manager through boto3: send a command, wait for its end, cancel it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator.ssm_script.errors import Ended, RunFailed
from simulator.ssm_script.limits import IN_FLIGHT
from simulator.ssm_script.plan import Request
from simulator.ssm_script.progress import Progress
from simulator.ssm_script.refusals import BOTO3, BUSY, NOT_YET, UNREACHED, code_of, failed

_WAITING = frozenset({"Pending", "Delayed"})
_ENDED = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})
_NEVER_RAN = frozenset({"AccessDenied", "DeliveryTimedOut", "InvalidPlatform", "Undeliverable"})
"""StatusDetails, without spaces. Documented: "Understanding command statuses"."""

_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0
_GROWTH = 1.5
_UNKNOWN_FOR = 60.0
"""Seconds after which a command that was accepted ought to be known to GetCommandInvocation."""
_PATIENCE = 300.0
"""Seconds for which a busy service, or a network that has worked before, is tried again."""
_LAST_PATIENCE = 10.0
"""Those for which what runs is called off: whoever waits has been told already, or leaves."""
_LATE = 300.0
"""Seconds beyond its timeout after which a command that still goes on has lost its agent."""


@dataclass(frozen=True)
class Invocation:
    """How a command ended: `details` without spaces; output as the service gives it."""

    command_id: str
    status: str
    details: str
    stdout: str
    stderr: str

    @property
    def timed_out(self) -> bool:
        """Whether executionTimeout ended it."""
        return self.status == "TimedOut"

    @property
    def cancelled(self) -> bool:
        """Whether somebody ended it."""
        return self.status == "Cancelled" or self.details == "Terminated"


@dataclass
class Service:
    """One instance, seen through a boto3 client. Raises RunFailed for all that goes wrong.

    `running` has the commands whose end has not been seen; `sent` counts all.
    """

    client: Any
    instance: str
    progress: Progress
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    running: dict[str, None] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    _answered: bool = False
    _patience: float = _PATIENCE

    def execute(self, request: Request) -> Invocation:
        """Send one command and wait for its end."""
        return self._wait(self._send(request), request)

    def execute_all(
        self, requests: Iterable[Request], doing: Callable[[int], str]
    ) -> Iterator[Invocation]:
        """Several that may run at the same time; their ends in order. `doing` names number N."""
        waiting: deque[tuple[str, Request]] = deque()
        ended = 0
        for request in requests:
            if len(waiting) == IN_FLIGHT:
                ended += 1
                self.progress.begin(doing(ended))
                yield self._wait(*waiting.popleft())
            waiting.append((self._send(request), request))
        for number, one in enumerate(waiting, ended + 1):
            self.progress.begin(doing(number))
            yield self._wait(*one)

    def cancel_all(self) -> None:
        """Ask for the end of all that runs, and wait a little for it."""
        self._patience = _LAST_PATIENCE
        for command_id in list(self.running):
            self._call("cancel_command", CommandId=command_id, InstanceIds=[self.instance])
        until = self.clock() + _UNKNOWN_FOR / 2
        for command_id in list(self.running):
            while command_id in self.running and self.clock() < until:
                self._look(command_id)
                self.sleep(_FIRST_DELAY)

    def _send(self, request: Request) -> str:
        command_id = str(self._call("send_command", **request)["Command"]["CommandId"])
        self.running[command_id] = None
        self.sent.append(command_id)
        return command_id

    def _wait(self, command_id: str, request: Request) -> Invocation:
        began = seen_waiting = self.clock()
        patience = int(request["TimeoutSeconds"])
        limit = patience + int(request["Parameters"]["executionTimeout"][0]) + _LATE
        delay = _FIRST_DELAY
        while True:
            status, invocation = self._look(command_id)
            if invocation is not None:
                return self._that_ran(invocation)
            now = self.clock()
            if status not in _WAITING and status != NOT_YET:
                seen_waiting = now
            if status == NOT_YET and now - began > _UNKNOWN_FOR:
                raise RunFailed(
                    Ended.UNREACHABLE,
                    f"Systems Manager accepted command {command_id} and does not know it "
                    f"{_UNKNOWN_FOR:.0f} seconds later.",
                )
            if now - seen_waiting > patience or now - began > limit:
                raise self._lost(status)
            self.progress.tick(status if status != NOT_YET else "accepted")
            self.sleep(delay)
            delay = min(delay * _GROWTH, _LONGEST_DELAY)

    def _look(self, command_id: str) -> tuple[str, Invocation | None]:
        """The status, and the invocation once it has ended."""
        try:
            answer = self._call(
                "get_command_invocation", CommandId=command_id, InstanceId=self.instance
            )
        except _NotYet:
            return NOT_YET, None
        status = str(answer["Status"])
        if status not in _ENDED:
            return status, None
        self.running.pop(command_id, None)
        return status, Invocation(
            command_id,
            status,
            str(answer.get("StatusDetails", "")).replace(" ", ""),
            str(answer.get("StandardOutputContent", "")),
            str(answer.get("StandardErrorContent", "")),
        )

    def _that_ran(self, invocation: Invocation) -> Invocation:
        if invocation.details in _NEVER_RAN:
            raise self._lost(invocation.details)
        return invocation

    def _lost(self, status: str) -> RunFailed:
        return RunFailed(
            Ended.UNREACHABLE,
            f"The agent of {self.instance} does not take or end its command (status {status}). "
            "Look whether the instance runs, and whether amazon-ssm-agent there is running and "
            "reaches the service (aws ssm describe-instance-information shows its PingStatus).",
        )

    def _call(self, operation: str, **parameters: object) -> dict[str, Any]:
        until = self.clock() + self._patience
        delay = 1.0
        while True:
            try:
                answer: dict[str, Any] = getattr(self.client, operation)(**parameters)
            except BOTO3 as error:
                if code_of(error) == NOT_YET:
                    raise _NotYet from error
                # A network that never worked is a mistake in the configuration.
                unreached = isinstance(error, UNREACHED) and self._answered
                if not (unreached or code_of(error) in BUSY) or self.clock() > until:
                    region = str(self.client.meta.region_name)
                    raise failed(error, instance=self.instance, region=region) from error
                self.progress.tick(f"trying again after {code_of(error) or 'a network error'}")
                self.sleep(delay)
                delay = min(delay * 2, 4 * _LONGEST_DELAY)
            else:
                self._answered = True
                return answer


class _NotYet(Exception):
    """GetCommandInvocation knows no such invocation, yet."""
