"""What the rows of `simulator.systems_manager.rules` look at.

A check says what it found wrong, or None. It may rely on those before it in the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from kms_fake.shapes import validation_text
from kms_fake.shapes import violations as shape_violations
from kms_fake.shapes import wrong_type as shape_wrong_type
from simulator.systems_manager import document
from simulator.systems_manager.commands import RunCommand
from simulator.systems_manager.request_model import request_shape

SIZE_LIMIT = 64 * 1024
"""Bytes of a document with its parameters."""
INSTANCE_FILTERS = ("InstanceIds", "PingStatus", "PlatformTypes", "ResourceType", "AgentVersion")
_OTHER_INSTANCE_FILTERS = (
    *("ActivationIds", "IamRole", "AssociationStatus", "SourceIds", "SourceTypes", "tag-key"),
)
_VERSIONS = ("$DEFAULT", "$LATEST", "1")
_BY_INSTANCE = "InstanceIds"
"""The key of a target that names instances."""
_NOT_SIMULATED = (
    *("OutputS3BucketName", "NotificationConfig", "CloudWatchOutputConfig", "AlarmConfiguration"),
    *("ServiceRoleArn", "DocumentHash"),
)


@dataclass(frozen=True)
class Request:
    """One request to an operation of this service, and what it is asked of."""

    operation: str
    body: object
    """The JSON value that came; None where it was not JSON."""
    instance_id: str
    """The one managed instance."""
    instance_is_there: bool
    """False where its machine has been removed since, as an instance that is terminated."""
    command: Callable[[str], RunCommand | None]
    """The command of an id."""
    parameter: Callable[[str], str | None]
    """The value of a parameter in Parameter Store."""

    @cached_property
    def members(self) -> Mapping[str, Any]:
        """The members that are given, if it is an object."""
        given = self.body if isinstance(self.body, dict) else {}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def instance_ids(self) -> Sequence[str]:
        """The instances of a command, named by either member."""
        return [*self.members.get("InstanceIds", ()), *self._targeted]

    @property
    def _targeted(self) -> Sequence[str]:
        return [
            value
            for target in self.members.get("Targets", ())
            if target.get("Key") == _BY_INSTANCE
            for value in target.get("Values") or ()
        ]

    @property
    def parameters(self) -> Mapping[str, Sequence[str]]:
        """The parameters of a document."""
        parameters: Mapping[str, Sequence[str]] = self.members.get("Parameters", {})
        return parameters


def not_an_object(request: Request) -> str | None:
    return None if isinstance(request.body, dict) else "The body is not a JSON object."


def wrong_type(request: Request) -> str | None:
    found = shape_wrong_type(request_shape(request.operation), request.members)
    if found is not None:
        return f"{found}."
    for name, values in request.members.get("Parameters", {}).items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            return f"Parameters.{name} is not an array of strings."
    return None


def violations(request: Request) -> str | None:
    found = shape_violations(request_shape(request.operation), request.members)
    return validation_text(found) if found else None


def no_target(request: Request) -> str | None:
    if request.members.get("InstanceIds") or request.members.get("Targets"):
        return None
    return "The request names no instance: give InstanceIds or Targets."


def duplicate_instance(request: Request) -> str | None:
    counted = Counter(request.members.get("InstanceIds", ()))
    return "twice" if any(count > 1 for count in counted.values()) else None


def other_document(request: Request) -> str | None:
    name = request.members["DocumentName"]
    if name == document.NAME:
        return None
    return f"There is no document {name} here; {document.NAME} is the only one."


def other_version(request: Request) -> str | None:
    version = request.members.get("DocumentVersion", _VERSIONS[0])
    return None if version in _VERSIONS else f"{document.NAME} has no version {version}."


def bad_parameters(request: Request) -> str | None:
    """The document's own constraints, each in words."""
    given = request.parameters
    unknown = [name for name in given if name not in document.PARAMETERS]
    if unknown:
        known = ", ".join(document.PARAMETERS)
        return f"{document.NAME} has no parameter {unknown[0]}; it has {known}."
    if not given.get("commands"):
        return "The parameter commands is required, with at least one command."
    for name in ("workingDirectory", "executionTimeout"):
        if name in given and len(given[name]) != 1:
            return f"The parameter {name} is one string, not {len(given[name])}."
    if len(document.only(given, "workingDirectory")) > document.WORKING_DIRECTORY_LIMIT:
        return f"workingDirectory has more than {document.WORKING_DIRECTORY_LIMIT} characters."
    timeout = document.only(given, "executionTimeout")
    if re.fullmatch(document.EXECUTION_TIMEOUT, timeout) is None:
        return f"executionTimeout is {timeout!r}, not a number of seconds from 1 to 172800."
    return None


def unknown_reference(request: Request) -> str | None:
    names = document.references(request.parameters)
    unknown = [name for name in names if request.parameter(name) is None]
    if not unknown:
        return None
    return (
        f"The script refers to {unknown[0]} with {{{{ssm:...}}}}, and Parameter Store has no such "
        "parameter that is no SecureString."
    )


def too_large(request: Request) -> str | None:
    size = document.size(request.parameters)
    if size <= SIZE_LIMIT:
        return None
    return (
        f"The document with its parameters has {size} bytes, and at most {SIZE_LIMIT} are allowed; "
        "send the script in parts."
    )


def unmanaged_instance(request: Request) -> str | None:
    managed = request.instance_id if request.instance_is_there else None
    unmanaged = [name for name in request.instance_ids if name != managed]
    return ", ".join(unmanaged) or None


def not_simulated(request: Request) -> str | None:
    keys = [target.get("Key") for target in request.members.get("Targets", ())]
    if keys and keys != [_BY_INSTANCE]:
        return f"Only one target of key {_BY_INSTANCE} is simulated."
    if request.instance_ids != [request.instance_id]:
        return "A command goes to one instance here."
    names = [name for name in _NOT_SIMULATED if request.members.get(name)]
    return f"{names[0]} is not simulated; leave it out." if names else None


def unknown_command(request: Request) -> str | None:
    return None if request.command(request.members["CommandId"]) else "no such command"


def not_of_command(request: Request) -> str | None:
    strangers = [name for name in request.instance_ids if name != request.instance_id]
    return f"The command was not sent to {strangers[0]}." if strangers else None


def no_invocation(request: Request) -> str | None:
    command = request.command(request.members["CommandId"])
    if command is None or request.members["InstanceId"] != request.instance_id:
        return "no such invocation"
    return None if command.invocation.is_there() else "not to be seen yet"


def other_plugin(request: Request) -> str | None:
    name = request.members.get("PluginName", document.PLUGIN)
    return None if name == document.PLUGIN else "no such step"


def wrong_filter_key(request: Request) -> str | None:
    if request.operation == "ListCommandInvocations":
        keys = [one["key"] for one in request.members.get("Filters", ())]
        return "ExecutionStage" if "ExecutionStage" in keys else None
    if request.operation == "ListCommands":
        return None
    known = (*INSTANCE_FILTERS, *_OTHER_INSTANCE_FILTERS)
    keys = [one["Key"] for one in request.members.get("Filters", ())]
    return next((key for key in keys if key not in known and not key.startswith("tag:")), None)


def other_filter(request: Request) -> str | None:
    if request.operation != "DescribeInstanceInformation":
        return None
    keys = [one["Key"] for one in request.members.get("Filters", ())]
    keys += [one["key"] for one in request.members.get("InstanceInformationFilterList", ())]
    other = [key for key in keys if key not in INSTANCE_FILTERS]
    return f"The filter {other[0]} is not simulated." if other else None


def bad_filter_value(request: Request) -> str | None:
    if request.operation not in ("ListCommands", "ListCommandInvocations"):
        return None
    for one in request.members.get("Filters", ()):
        if one["key"] in ("InvokedAfter", "InvokedBefore"):
            try:
                datetime.fromisoformat(one["value"])
            except ValueError:
                return f"{one['key']} is {one['value']!r}, not a time as 2026-01-27T00:00:00Z."
    return None


def bad_token(request: Request) -> str | None:
    token = request.members.get("NextToken", "0")
    return None if re.fullmatch("[0-9]{1,9}", token) else "The NextToken is none of this service."
