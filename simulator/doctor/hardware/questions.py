"""What several checks of the preflight ask: which instance, which Region, whose credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.doctor.aws_settings import AwsSettings, BadSetting
from simulator.doctor.checks.imds import InstanceIdentity, NoRole, instance_identity
from simulator.doctor.host import AwsAnswer, Host, HostKind, NotCalled

NO_METADATA = "a simulated machine has no metadata service, unless one is configured"

_ARN = re.compile(r"arn:([a-z-]+):(?:sts|iam)::([0-9]{12}):(.+)", re.ASCII)
_DISABLED = "AWS_EC2_METADATA_DISABLED is true: nobody asks the metadata service"


class NotAnInstance(Exception):
    """It is not known which instance this is; `fix` says what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.fix = fix


class Refused(Exception):
    """AWS answered with a refusal."""

    def __init__(self, answer: AwsAnswer) -> None:
        super().__init__(f"{answer.code}: {answer.message}" if answer.message else answer.code)
        self.answer = answer

    @property
    def code(self) -> str:
        """Such as `AccessDenied`."""
        return self.answer.code


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls."""

    arn: str
    partition: str
    account: str
    policies_of: str
    """The ARN of the user or role whose policies count; empty for the account's root user.

    Of a role without its path, which the ARN of its session does not have.
    """

    @property
    def name(self) -> str:
        """Of the user or role."""
        return self.policies_of.rpartition("/")[2] or "the root user"


def instance(host: Host) -> InstanceIdentity:
    """Raises NotAnInstance, NetworkNotAsked."""
    settings = AwsSettings.of(host)
    if not settings.may_ask_metadata:
        raise NotAnInstance(_DISABLED, "unset AWS_EC2_METADATA_DISABLED")
    try:
        if host.kind is HostKind.SIMULATED and not settings.metadata_service().source:
            raise NotAnInstance(
                NO_METADATA, "Set AWS_EC2_METADATA_SERVICE_ENDPOINT to the one that is served"
            )
        return instance_identity(host, settings)
    except NoRole as error:
        raise NotAnInstance(error.finding.found, error.finding.fix) from error
    except BadSetting as error:
        raise NotAnInstance(str(error), "Remove the setting: it has a default") from error


def region_of(host: Host) -> str:
    """Where AWS is asked: as it is set, else the instance's own. Raises NotCalled."""
    try:
        named = AwsSettings.of(host).region()
    except BadSetting as error:
        raise NotCalled(str(error)) from error
    region = named.value if named else host.environ.get("AWS_REGION", "")
    if region:
        return region
    try:
        return instance(host).region
    except NotAnInstance as error:
        raise NotCalled("No Region is set, and the instance does not tell its own") from error


def asked(host: Host, service: str, operation: str, members: Mapping[str, Any]) -> AwsAnswer:
    """A result. Raises Refused, NotCalled, Unreachable, NetworkNotAsked."""
    answer = host.ask_aws(service, operation, members, region=region_of(host))
    if answer.code:
        raise Refused(answer)
    return answer


def identity(host: Host) -> Identity:
    """Raises Refused, NotCalled, Unreachable, NetworkNotAsked."""
    arn = asked(host, "sts", "GetCallerIdentity", {}).members.get("Arn")
    match = _ARN.fullmatch(arn) if isinstance(arn, str) else None
    if match is None:
        raise NotCalled("STS names no caller")
    partition, account, resource = match.groups()
    kind, *names = resource.split("/")
    own = f"arn:{partition}:iam::{account}"
    if kind == "assumed-role" and names:
        return Identity(match[0], partition, account, f"{own}:role/{names[0]}")
    return Identity(match[0], partition, account, match[0] if kind == "user" else "")
