"""AWS by boto3, as the parent instance's role reaches it.

Credentials, region and endpoints are those that the AWS SDKs find by themselves. What the answers
mean is not known here; that there is none (no network, credentials that have expired, too many
requests) is told apart from a refusal, which is an answer.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from real_hw.actions import ActionFailed, Call, CallRefused
from scenarios.target import Members, NotSent
from scenarios.target_parts import ask, kept_raw, send_as_it_stands

_CONNECT_SECONDS = 10
_READ_SECONDS = 30
NO_ANSWERS = {
    # CommonErrors of each service's API Reference.
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "RequestExpired": "the credentials or the clock are not right",
    "InvalidClientTokenId": "the credentials are not known",
    "UnrecognizedClientException": "the credentials are not known",
    "Throttling": "AWS wants fewer requests a second",
    "ThrottlingException": "AWS wants fewer requests a second",
}
"""Codes that say nothing of what was asked."""


class Aws:
    """The clients of one run, made when they are first used."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._session: Any = None
        self._clients: dict[tuple[str, int], Any] = {}

    def call(self, call: Call) -> Members:
        """The members of the response. Raises CallRefused, NotSent, ActionFailed."""
        try:
            client = self._client(call.service, call.attempts)
            send = send_as_it_stands if call.as_it_stands else ask
            with kept_raw(client, call.operation, call.raw) if call.raw else nullcontext():
                return send(client, call.operation, call.members)
        except ParamValidationError as error:
            raise NotSent(str(error)) from error
        except ClientError as error:
            raise _refusal(call, error) from error
        except (BotoCoreError, OSError, ValueError) as error:
            raise ActionFailed(
                f"{call.service} {call.operation} got no answer, so nothing is known of it: "
                f"{str(error).rstrip('.')}. It was for this: {call.why}"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _client(self, service: str, attempts: int) -> Any:
        key = service, attempts
        if key not in self._clients:
            if self._session is None:
                self._session = boto3.Session(region_name=self._region)
            self._clients[key] = self._session.client(
                service,
                config=Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                ),
            )
        return self._clients[key]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who the credentials are of."""

    account: str
    arn: str
    """The ARN that a key policy names: of the role, where a role was assumed."""

    @property
    def partition(self) -> str:
        """`aws`, or that of another group of regions."""
        return self.arn.split(":")[1]

    @property
    def account_root(self) -> str:
        """`arn:aws:iam::ACCOUNT:root`."""
        return f"arn:{self.partition}:iam::{self.account}:root"


def caller_of(identity: Members) -> Caller:
    """The caller in a response of GetCallerIdentity.

    The ARN of an assumed role has no path, so neither has the one of the role that is made of it.
    """
    arn: str = identity["Arn"]
    head, _, resource = arn.rpartition(":")
    kind, *names = resource.split("/")
    if kind == "assumed-role":
        partition = head.split(":")[1]
        arn = f"arn:{partition}:iam::{identity['Account']}:role/{names[0]}"
    return Caller(identity["Account"], arn)


def _refusal(call: Call, error: ClientError) -> CallRefused | ActionFailed:
    details = error.response["Error"]
    code, message = details.get("Code") or "", details.get("Message") or ""
    if code in NO_ANSWERS:
        return ActionFailed(
            f"{call.service} {call.operation} is no answer to build on: {NO_ANSWERS[code]} "
            f"({code}: {message})"
        )
    return CallRefused(code, message, error.response["ResponseMetadata"]["HTTPStatusCode"])
