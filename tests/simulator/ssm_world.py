"""A Systems Manager for tests, asked by real boto3 over a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
from botocore.config import Config

from simulator.environment import away_from_aws
from simulator.systems_manager.server import Served, serving

DOCUMENT = "AWS-RunShellScript"
SECONDS = 30.0
_READ = 1 << 10
FINAL = ("Success", "Failed", "TimedOut", "Cancelled")


def client_of(served: Served, *, access_key_id: str | None = None) -> Any:
    """A client of boto3 that neither retries nor finds the user's own AWS."""
    return boto3.client(
        "ssm",
        endpoint_url=served.endpoint,
        region_name=served.region,
        aws_access_key_id=access_key_id or served.credentials.access_key_id,
        aws_secret_access_key=served.credentials.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


@dataclass(frozen=True, slots=True)
class World:
    """What a test has."""

    served: Served
    client: Any
    machine: Path

    def send(self, *commands: str, **members: Any) -> str:
        """Send a script; the id of its command."""
        parameters: Mapping[str, Sequence[str]] = members.pop("Parameters", {})
        answer = self.client.send_command(
            InstanceIds=[self.served.instance_id],
            DocumentName=DOCUMENT,
            Parameters={"commands": list(commands), **parameters},
            **members,
        )
        return str(answer["Command"]["CommandId"])

    def invocation(self, command_id: str) -> Any:
        """The invocation as it stands."""
        return self.client.get_command_invocation(
            CommandId=command_id, InstanceId=self.served.instance_id
        )

    def wait(self, command_id: str, *statuses: str) -> Any:
        """The invocation once it has one of the statuses; without any, its end."""
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self.invocation(command_id)
            if answer["Status"] in (statuses or FINAL):
                return answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.02)

    def run(self, *commands: str, **members: Any) -> Any:
        """Send a script and wait for its end."""
        return self.wait(self.send(*commands, **members))

    def printed(self, command_id: str) -> str:
        """What a script has printed, once that is something: it runs."""
        deadline = time.monotonic() + SECONDS
        folder = self.machine / "root" / "var" / "lib" / "amazon" / "ssm"
        while True:
            for file in folder.glob(f"*/document/orchestration/{command_id}/*/*/stdout"):
                with file.open() as printed:
                    if text := printed.read(_READ):
                        return text
            assert time.monotonic() < deadline, self.invocation(command_id)
            time.sleep(0.02)

    def plugin(self, command_id: str) -> Any:
        """What ListCommandInvocations says of its one step, with details."""
        listed = self.client.list_command_invocations(CommandId=command_id, Details=True)
        return listed["CommandInvocations"][0]["CommandPlugins"][0]


@contextmanager
def world(*faults: str, second: float = 1.0) -> Iterator[World]:
    """A machine of its own and its Systems Manager."""
    # Not in pytest's folder: the sockets in a machine's folder take a short path.
    with away_from_aws(), TemporaryDirectory(prefix="ssm-") as temporary:
        machine = Path(temporary, "machine")
        with serving(machine, faults=faults, second=second) as served:
            yield World(served, client_of(served), machine)
