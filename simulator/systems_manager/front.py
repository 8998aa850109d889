"""Systems Manager inside moto: Run Command is answered here, the rest by moto.

moto's handler is subclassed, its models are untouched: a command is moto's own (`commands`), kept
by a backend of this service's. What real Systems Manager refuses is refused first (`rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.ssm.responses import SimpleSystemManagerResponse

from kms_fake.wire import decode_json
from simulator.systems_manager import rules
from simulator.systems_manager.checks import Request
from simulator.systems_manager.commands import RunCommand
from simulator.systems_manager.instance import PLATFORM, PLATFORM_VERSION
from simulator.systems_manager.service import SystemsManager

_PAGE = 50
AGENT_VERSION = "3.3.0.0"
"""As the agent's sources call themselves (agent/version/version.go, October 2024)."""
_EXECUTING = ("Pending", "InProgress", "Cancelling")


class RunCommandResponse(SimpleSystemManagerResponse):  # type: ignore[misc]  # moto ships no types.
    """moto's handler of one request, with the commands of `service`."""

    service: ClassVar[SystemsManager]
    request: Request

    @property
    def ssm_backend(self) -> Any:
        """That of this service, which no other fake of the process shares."""
        return self.service.backend

    def call_action(self) -> Any:
        """Answer the request. Raises SsmRefusal."""
        body = self.body if isinstance(self.body, bytes) else str(self.body).encode()
        operation = self._get_action()
        if operation not in rules.ALL:
            return super().call_action()
        self.request = Request(
            operation=operation,
            body=decode_json(body),
            instance_id=self.service.instance.instance_id,
            instance_is_there=self.service.instance.is_there(),
            command=self.service.command,
            parameter=self.service.parameter,
        )
        refused = rules.refusal(self.request)
        if refused is not None:
            raise refused
        return super().call_action()

    def send_command(self) -> ActionResult:
        """SendCommand."""
        return ActionResult({"Command": self.service.send(self.request.members)})

    def get_command_invocation(self) -> ActionResult:
        """GetCommandInvocation."""
        command = self._command()
        return ActionResult(command.get_invocation(self.request.instance_id, None))

    def cancel_command(self) -> ActionResult:
        """CancelCommand, which moto has not."""
        self.service.cancel(self._command())
        return ActionResult({})

    def list_commands(self) -> ActionResult:
        """ListCommands."""
        chosen = [one.response_object() for one in self._chosen()]
        return self._page("Commands", [one for one in chosen if self._passes(one)])

    def list_command_invocations(self) -> ActionResult:
        """ListCommandInvocations, which moto has not."""
        details = self.request.members.get("Details") is True
        seen = [one for one in self._chosen() if one.invocation.is_there()]
        chosen = [one.listed(details=details) for one in seen]
        return self._page("CommandInvocations", [one for one in chosen if self._passes(one)])

    def describe_instance_information(self) -> ActionResult:
        """DescribeInstanceInformation, which moto has not."""
        described = {
            "InstanceId": self.request.instance_id,
            "PingStatus": "Online" if self.service.is_online else "ConnectionLost",
            "LastPingDateTime": datetime.now(UTC),
            "AgentVersion": AGENT_VERSION,
            "IsLatestVersion": False,
            "PlatformType": "Linux",
            "PlatformName": PLATFORM,
            "PlatformVersion": PLATFORM_VERSION,
            "ResourceType": "EC2Instance",
            "IPAddress": "127.0.0.1",
            "ComputerName": "ip-127-0-0-1.ec2.internal",
        }
        wanted = [
            (one["Key"], one["Values"]) for one in self.request.members.get("Filters", ())
        ] + [
            (one["key"], one["valueSet"])
            for one in self.request.members.get("InstanceInformationFilterList", ())
        ]
        is_wanted = all(described[_DESCRIBED.get(key, key)] in values for key, values in wanted)
        return self._page("InstanceInformationList", [described] if is_wanted else [])

    def _command(self) -> RunCommand:
        command = self.service.command(self.request.members["CommandId"])
        if command is None:
            raise RuntimeError("the rules let an unknown command pass")
        return command

    def _chosen(self) -> Sequence[RunCommand]:
        members = self.request.members
        return [
            command
            for command in self.service.commands()
            if members.get("CommandId") in (None, command.command_id)
            and members.get("InstanceId") in (None, *command.instance_ids)
        ]

    def _passes(self, listed: Mapping[str, Any]) -> bool:
        filters = self.request.members.get("Filters", ())
        return all(_FILTERS[one["key"]](listed, one["value"]) for one in filters)

    def _page(self, member: str, items: Sequence[Mapping[str, Any]]) -> ActionResult:
        first = int(self.request.members.get("NextToken", 0))
        end = first + self.request.members.get("MaxResults", _PAGE)
        more = {"NextToken": str(end)} if end < len(items) else {}
        return ActionResult({member: items[first:end], **more})


_DESCRIBED = {"InstanceIds": "InstanceId", "PlatformTypes": "PlatformType"}
"""The member that a filter is about, where they are named differently."""


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _requested(listed: Mapping[str, Any]) -> datetime:
    moment: datetime = listed["RequestedDateTime"]
    return moment.replace(tzinfo=UTC)


_FILTERS: Mapping[str, Callable[[Mapping[str, Any], str], bool]] = {
    "InvokedAfter": lambda listed, value: _requested(listed) > _moment(value),
    "InvokedBefore": lambda listed, value: _requested(listed) < _moment(value),
    "Status": lambda listed, value: value in (listed["Status"], listed["StatusDetails"]),
    "DocumentName": lambda listed, value: listed["DocumentName"] == value,
    "ExecutionStage": lambda listed, value: (
        (listed["Status"] in _EXECUTING) == (value == "Executing")
    ),
}


def response_class(service: SystemsManager) -> type[RunCommandResponse]:
    """The handler that answers for `service`."""
    return type("RunCommandResponse", (RunCommandResponse,), {"service": service})
