"""The state of the service: commands in moto's backend, and the agent that runs them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from moto.ssm.models import SimpleSystemManagerBackend

from simulator.systems_manager import document
from simulator.systems_manager.commands import Invocation, RunCommand, State
from simulator.systems_manager.faults import Faults
from simulator.systems_manager.instance import AgentConnection, Instance, commands_run
from simulator.systems_manager.messages import Cancel, Reply
from simulator.systems_manager.rules import ACCOUNT

DEFAULT_DELIVERY_SECONDS = 3600
"""TimeoutSeconds of a command that has none ("Understanding command timeout values")."""


class SystemsManager:
    """Run Command for one instance. `close` ends the agent and its scripts.

    `second` is how long a second of the service's timeouts lasts, so that tests need not wait.
    """

    def __init__(self, instance: Instance, faults: Faults, second: float) -> None:
        self.instance = instance
        self.backend = SimpleSystemManagerBackend(instance.region, ACCOUNT)
        self._faults = faults
        self._second = second
        self._lock = Lock()
        self._commands: dict[str, RunCommand] = {}
        self._agent = AgentConnection(instance, self._heard)

    def close(self) -> None:
        """End the agent and all that came of its scripts."""
        self._agent.close()

    @property
    def is_online(self) -> bool:
        """Whether the agent takes commands."""
        is_reached = self._agent.is_alive and not self._faults.is_offline
        return is_reached and self.instance.is_there()

    def command(self, command_id: str) -> RunCommand | None:
        """The command of an id, as it stands now."""
        with self._lock:
            command = self._commands.get(command_id)
            if command is not None:
                command.invocation.refresh()
            return command

    def parameter(self, name: str) -> str | None:
        """The value of a parameter in moto's Parameter Store that a script may refer to."""
        found = self.backend.get_parameters([name])
        values = [one.value for one in found.values() if one.parameter_type != "SecureString"]
        return values[0] if values else None

    def commands(self) -> Sequence[RunCommand]:
        """All of them, the newest first."""
        with self._lock:
            for command in self._commands.values():
                command.invocation.refresh()
            return list(reversed(self._commands.values()))

    def send(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a command that the rules let pass; the Command of the answer."""
        parameters: Mapping[str, Sequence[str]] = members["Parameters"]
        delivery = members.get("TimeoutSeconds", DEFAULT_DELIVERY_SECONDS)
        command = RunCommand(
            account_id=ACCOUNT,
            comment=members.get("Comment", ""),
            document_name=document.NAME,
            timeout_seconds=delivery,
            instance_ids=[self.instance.instance_id],
            max_concurrency=members.get("MaxConcurrency", "50"),
            max_errors=members.get("MaxErrors", "0"),
            parameters=dict(parameters),
            targets=members.get("Targets", []),
            backend_region=self.instance.region,
        )
        command.document_version = members.get("DocumentVersion", command.document_version)
        with self._lock:
            fault = self._faults.of(len(self._commands) + 1)
            is_late = fault.delay_seconds > 0
            command.invocation = Invocation(
                State.DELAYED if is_late else State.PENDING,
                delivery_seconds=delivery,
                expires=time.time() + delivery * self._second,
                fault=fault,
            )
            self._commands[command.command_id] = command
            self.backend._commands.append(command)  # noqa: SLF001  # moto has no other way in.
            answer = command.sent_object()
        if self._is_delivered(command.invocation):
            self._agent.tell(
                commands_run(
                    self.instance,
                    command.command_id,
                    document.resolved(parameters, self.parameter),
                    second=self._second,
                    delay_seconds=fault.delay_seconds,
                    times=2 if fault.twice else 1,
                )
            )
        return answer

    def cancel(self, command: RunCommand) -> None:
        """Try to end a command: its script is killed if it runs."""
        with self._lock:
            if command.invocation.state.is_final:
                return
            delivered = self._is_delivered(command.invocation)
            command.invocation.state = State.CANCELLING if delivered else State.CANCELLED
        self._agent.tell(Cancel(command.command_id))

    def _is_delivered(self, invocation: Invocation) -> bool:
        """Whether the command has come to the agent, or will."""
        fault = invocation.fault
        in_time = fault.delay_seconds < invocation.delivery_seconds
        return self.is_online and in_time and not fault.lost

    def _heard(self, reply: Reply) -> None:
        with self._lock:
            self._commands[reply.command_id].invocation.take(reply)
