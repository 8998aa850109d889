"""A script as the parameters of SendCommand calls, each below the limit of a command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simulator.ssm_script import shell
from simulator.ssm_script.limits import (
    CHUNK_CHARACTERS,
    COMMAND_CHARACTERS,
    DEFAULT_WAIT,
    HELPER_TIMEOUT,
    OUTPUT_BYTES,
)
from simulator.ssm_script.payload import Part, Payload, Script, pack

DOCUMENT = "AWS-RunShellScript"

Request = Mapping[str, Any]
"""The parameters of one SendCommand call, as boto3 takes them."""

_ONE_PART = Part(10**6, "A" * CHUNK_CHARACTERS)


@dataclass(frozen=True)
class Plan:
    """All the calls for one run of a script.

    `run_id` names the folder on the instance; `timeout` and `wait` are seconds that the script may
    take, and the agent to take a command.
    """

    script: Script
    instance: str
    run_id: str
    timeout: int
    output_bytes: int = OUTPUT_BYTES
    wait: int = DEFAULT_WAIT

    @property
    def folder(self) -> str:
        """Where everything of this run is on the instance."""
        return shell.FOLDER + self.run_id

    @cached_property
    def payload(self) -> Payload:
        """The script in chunks."""
        return pack(self.script)

    def bring(self, numbers: Iterable[int] | None = None) -> list[Request]:
        """Bring these parts; without numbers, all that the run's own command has no room for."""
        parts = self.payload.parts
        if numbers is None:
            chosen: Sequence[Part] = parts[: len(parts) - self._beside_the_run]
        else:
            chosen = [parts[number - 1] for number in numbers]
        room = _room(shell.bring(self.folder, []))
        batches = [chosen[start : start + room] for start in range(0, len(chosen), room)]
        return [
            self._helper(f"part {number} of {len(batches)}", shell.bring(self.folder, batch))
            for number, batch in enumerate(batches, 1)
        ]

    def run(self) -> Request:
        """Check that everything is there, run the script, report."""
        parts = self.payload.parts[len(self.payload.parts) - self._beside_the_run :]
        return self._request("run", self._run_lines(parts), self.timeout)

    def report(self) -> Request:
        """Report a run that could not do it itself."""
        return self._helper("report", shell.report(self.folder, self.output_bytes))

    def fetch(self, number: int) -> Request:
        """Print a slice of the output."""
        return self._helper(f"output {number}", shell.fetch(self.folder, number))

    def clean(self, *, kill: bool = False) -> Request:
        """Remove what the run left on the instance."""
        return self._helper("clean", shell.clean(self.folder, kill=kill))

    @property
    def _beside_the_run(self) -> int:
        return min(_room(self._run_lines([])), len(self.payload.parts))

    def _run_lines(self, parts: Iterable[Part]) -> list[str]:
        name = self.script.file_name
        return shell.run(self.folder, self.payload, name, parts, self.output_bytes)

    def _helper(self, what: str, commands: list[str]) -> Request:
        return self._request(what, commands, HELPER_TIMEOUT)

    def _request(self, what: str, commands: list[str], timeout: int) -> Request:
        return {
            "InstanceIds": [self.instance],
            "DocumentName": DOCUMENT,
            "Comment": f"attested-kms ssm run {self.script.file_name}: {what}",
            "TimeoutSeconds": self.wait,
            "Parameters": _parameters(commands, timeout),
        }


def run_id_of(script: Script, instance: str) -> str:
    """The name of a run that has to be the same each time: 32 digits."""
    return hashlib.sha256(f"{pack(script).sha256} {instance}".encode()).hexdigest()[:32]


def characters(parameters: Mapping[str, Sequence[str]]) -> int:
    """How long Parameters are as JSON, which is how they travel."""
    return len(json.dumps(parameters))


def _parameters(commands: list[str], timeout: int) -> Mapping[str, Sequence[str]]:
    return {"commands": commands, "executionTimeout": [str(timeout)]}


def _room(commands: list[str]) -> int:
    """How many chunks a command has room for beside these lines."""
    without = characters(_parameters(commands, 10**6))
    one = characters(_parameters([*commands, *shell.bring("", [_ONE_PART])[-2:-1]], 10**6))
    return (COMMAND_CHARACTERS - without) // (one - without)
