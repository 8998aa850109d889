"""Commands and their invocations: moto's own, which say what the agent has replied.

moto keeps commands and lists them; to it every command has succeeded at once. Truth of the states:
"Understanding command statuses" (AWS Systems Manager User Guide) and the service model.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ssm.models import Command

from simulator.systems_manager import document
from simulator.systems_manager.faults import CommandFault
from simulator.systems_manager.messages import Reply, Result


class State(enum.Enum):
    """Of an invocation, by StatusDetails.

    Those of the two timeouts are written as the filters of ListCommandInvocations name them
    (CommandFilter); the pages print them with spaces.
    """

    PENDING = "Pending"
    DELAYED = "Delayed"
    IN_PROGRESS = "InProgress"
    CANCELLING = "Cancelling"
    SUCCESS = "Success"
    FAILED = "Failed"
    EXECUTION_TIMED_OUT = "ExecutionTimedOut"
    DELIVERY_TIMED_OUT = "DeliveryTimedOut"
    CANCELLED = "Cancelled"

    @property
    def status(self) -> str:
        """The Status that goes with it."""
        timed_out = self in (State.EXECUTION_TIMED_OUT, State.DELIVERY_TIMED_OUT)
        return "TimedOut" if timed_out else self.value

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self in _FINAL


_FINAL = frozenset(
    {
        *(State.SUCCESS, State.FAILED, State.CANCELLED),
        *(State.EXECUTION_TIMED_OUT, State.DELIVERY_TIMED_OUT),
    }
)
_UNDELIVERED = frozenset({State.PENDING, State.DELAYED})
_AFTER_REPLY = {
    Result.IN_PROGRESS: State.IN_PROGRESS,
    Result.SUCCESS: State.SUCCESS,
    Result.FAILED: State.FAILED,
    Result.TIMED_OUT: State.EXECUTION_TIMED_OUT,
    Result.CANCELLED: State.CANCELLED,
}
_NOT_RUN = -1
"""ResponseCode of a command that has not run, or does still (the service model's text)."""
_STDERR_LIMIT = 8000
"""Characters of standard error that the service gives (the service model). The agent sends more;
that the service cuts them without a mark is inferred."""
_NO_NOTIFICATION: Mapping[str, Any] = {
    "NotificationArn": "",
    "NotificationEvents": [],
    "NotificationType": "",
}
_NO_CLOUDWATCH: Mapping[str, Any] = {
    "CloudWatchLogGroupName": "",
    "CloudWatchOutputEnabled": False,
}


@dataclass(slots=True)
class Invocation:
    """What became of a command on its one instance."""

    state: State
    delivery_seconds: int
    """How long it may take to come to the agent."""
    expires: float
    """Seconds since the epoch, after which the command is not delivered any more."""
    fault: CommandFault
    reply: Reply | None = None
    asked: int = 0
    """How often it was asked for."""

    def is_there(self) -> bool:
        """Whether it is seen by who asks for it now."""
        self.asked += 1
        return self.asked > self.fault.unseen_calls

    def take(self, reply: Reply) -> None:
        """Note what the agent says, unless nothing can come any more."""
        if self.state.is_final:
            return
        if reply.result is Result.IN_PROGRESS and self.state is State.CANCELLING:
            return
        self.state = _AFTER_REPLY[reply.result]
        self.reply = reply

    def refresh(self) -> None:
        """Time out what was not delivered in time."""
        if self.state in _UNDELIVERED and time.time() >= self.expires:
            self.state = State.DELIVERY_TIMED_OUT

    @property
    def code(self) -> int:
        """The ResponseCode."""
        return self.reply.code if self.reply is not None and self.state.is_final else _NOT_RUN

    @property
    def finished(self) -> Reply | None:
        """The reply with the output; none while there is no output to give."""
        return self.reply if self.state.is_final else None


class RunCommand(Command):  # type: ignore[misc]  # moto ships no types.
    """moto's command, on one instance, as the agent has replied."""

    invocation: Invocation
    document_version = "$DEFAULT"

    def sent_object(self) -> dict[str, Any]:
        """The Command of SendCommand, whose counts are 0 (moto; so is the run cited above)."""
        counts = ("TargetCount", "CompletedCount", "ErrorCount", "DeliveryTimedOutCount")
        return {**self.response_object(), **dict.fromkeys(counts, 0)}

    def _get_instance_ids_from_targets(self) -> list[str]:
        """None: they are named. moto would take every instance of its EC2."""
        return []

    def response_object(self) -> dict[str, Any]:
        """The Command of ListCommands."""
        state = self.invocation.state
        failed = state in (State.FAILED, State.EXECUTION_TIMED_OUT)
        timeout = int(document.only(self.parameters, "executionTimeout"))
        return {
            **super().response_object(),
            # Delivery and execution together, as stephane-devops/pingMeCdkTransitGateway shows it.
            "ExpiresAfter": self.expires_after + timedelta(seconds=timeout),
            "InstanceIds": [] if self.targets else self.instance_ids,
            "DocumentVersion": self.document_version,
            "NotificationConfig": _NO_NOTIFICATION,
            "CloudWatchOutputConfig": _NO_CLOUDWATCH,
            "Status": "Pending" if state is State.DELAYED else state.status,
            "StatusDetails": "Pending" if state is State.DELAYED else state.value,
            "TargetCount": 1,
            "CompletedCount": int(state.is_final),
            "ErrorCount": int(failed),
            "DeliveryTimedOutCount": int(state is State.DELIVERY_TIMED_OUT),
        }

    def get_invocation(self, instance_id: str, plugin_name: str | None) -> dict[str, Any]:
        """The answer of GetCommandInvocation."""
        invocation = self.invocation
        finished = invocation.finished
        elapsed = finished.ended - finished.began if finished is not None else 0.0
        return {
            **super().get_invocation(instance_id, plugin_name),
            "DocumentVersion": self.document_version,
            "ResponseCode": invocation.code,
            "ExecutionStartDateTime": _written(finished.began) if finished is not None else "",
            "ExecutionElapsedTime": f"PT{elapsed:.3f}S" if finished is not None else "",
            "ExecutionEndDateTime": _written(finished.ended) if finished is not None else "",
            "Status": invocation.state.status,
            "StatusDetails": invocation.state.value,
            "StandardOutputContent": finished.stdout if finished is not None else "",
            "StandardOutputUrl": "",
            "StandardErrorContent": finished.stderr[:_STDERR_LIMIT] if finished is not None else "",
            "StandardErrorUrl": "",
            "CloudWatchOutputConfig": _NO_CLOUDWATCH,
        }

    def listed(self, *, details: bool) -> dict[str, Any]:
        """The CommandInvocation of ListCommandInvocations."""
        state = self.invocation.state
        members = {
            "CommandId": self.command_id,
            "InstanceId": self.instance_ids[0],
            "InstanceName": "",
            "Comment": self.comment,
            "DocumentName": self.document_name,
            "DocumentVersion": self.document_version,
            "RequestedDateTime": self.requested_date_time,
            "Status": state.status,
            "StatusDetails": state.value,
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
            "ServiceRole": "",
            "NotificationConfig": _NO_NOTIFICATION,
            "CloudWatchOutputConfig": _NO_CLOUDWATCH,
            "CommandPlugins": [],
        }
        if details and state not in _UNDELIVERED:
            members["CommandPlugins"] = [self._plugin()]
        return members

    def _plugin(self) -> dict[str, Any]:
        invocation = self.invocation
        finished = invocation.finished
        times: dict[str, datetime] = {}
        if finished is not None:
            times["ResponseStartDateTime"] = datetime.fromtimestamp(finished.began, UTC)
            times["ResponseFinishDateTime"] = datetime.fromtimestamp(finished.ended, UTC)
        return {
            "Name": document.PLUGIN,
            "Status": invocation.state.status,
            "StatusDetails": invocation.state.value,
            "ResponseCode": invocation.code,
            **times,
            "Output": finished.output if finished is not None else "",
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
            "OutputS3Region": "",
            "OutputS3BucketName": "",
            "OutputS3KeyPrefix": "",
        }


def _written(moment: float) -> str:
    """As ExecutionStartDateTime is written: milliseconds and Z (AWS CLI Command Reference)."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
