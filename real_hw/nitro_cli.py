"""nitro-cli's refusals, in a sentence with their code and what its error log says.

How it prints them: aws-nitro-enclaves-cli 1.4.4, src/common/mod.rs (inferred: its sources were
read). What fails in an enclave's own process is printed there first, and then once more as E39,
which gives the exit code: the first error printed is the one to look at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real_hw.actions import ActionFailed, Actions, Command
from scenarios.target import Finished

PROGRAM = "nitro-cli"
SOURCE = "AWS Nitro Enclaves User Guide, Nitro CLI command reference"

_ERROR = re.compile(r"^\[ (E\d\d) \] (.*)$", re.MULTILINE)
_LOG = re.compile(r'please provide the error log found at "([^"]+)"')
_LAST_LINES = 20


class NitroCliFailed(ActionFailed):
    """nitro-cli refused; `code` is that of the first error that it printed, such as `E29`."""

    def __init__(self, sentence: str, code: str | None) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Refusal:
    """What nitro-cli printed of an error."""

    code: str
    text: str
    log: str | None
    """The path of the error log."""


def refusals(stderr: str) -> list[Refusal]:
    """The errors in the order in which they were printed."""
    found = list(_ERROR.finditer(stderr))
    told = []
    for index, one in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(stderr)
        log = _LOG.search(stderr, one.end(), end)
        told.append(Refusal(one[1], one[2], log[1] if log else None))
    return told


def succeeded(actions: Actions, command: Command) -> Finished:
    """Run nitro-cli, which must succeed. Raises NitroCliFailed, ActionFailed."""
    finished = actions.run(command)
    if finished.exit_code == 0:
        return finished
    what = " ".join(command.words[:2])
    told = refusals(finished.stderr)
    if not told:
        printed = "\n".join(finished.stderr.strip().splitlines()[-_LAST_LINES:]) or "nothing"
        raise NitroCliFailed(
            f"{what} ended with exit code {finished.exit_code} and printed: {printed}", None
        )
    first = told[0]
    later = f", and then {', '.join(one.code for one in told[1:])}" if len(told) > 1 else ""
    raise NitroCliFailed(
        f"{what} failed with {first.code}: {first.text} (exit code {finished.exit_code}; it "
        f"printed {first.code} first{later}). It was to do this: {command.why}."
        f"{_log_of(actions, first)}",
        first.code,
    )


def answer(actions: Actions, command: Command) -> Any:
    """The JSON that nitro-cli prints. Raises NitroCliFailed, ActionFailed."""
    finished = succeeded(actions, command)
    try:
        return json.loads(finished.stdout)
    except ValueError as error:
        raise ActionFailed(
            f"{' '.join(command.words[:2])} printed no JSON: {finished.stdout!r:.200}"
        ) from error


def version(actions: Actions) -> str:
    """The version, such as `1.4.4`. Raises NitroCliFailed, ActionFailed."""
    command = Command(
        (PROGRAM, "--version"),
        "for the records of this run, and whether the package is there",
        SOURCE,
        Finished(0, "Nitro CLI 0.0.0\n", ""),
    )
    told = succeeded(actions, command).stdout.split()
    return told[-1] if told else "unknown"


def enclaves(actions: Actions, why: str) -> list[Mapping[str, Any]]:
    """The enclaves of this instance, as describe-enclaves tells them."""
    told = answer(
        actions, Command((PROGRAM, "describe-enclaves"), why, SOURCE, Finished(0, "[]\n", ""))
    )
    return [one for one in told if isinstance(one, Mapping)]


def terminate(actions: Actions, enclave_id: str, why: str) -> None:
    """End an enclave. Raises NitroCliFailed unless it is gone."""
    stand_in = json.dumps({"EnclaveID": enclave_id, "Terminated": True})
    command = Command(
        (PROGRAM, "terminate-enclave", "--enclave-id", enclave_id),
        why,
        SOURCE,
        Finished(0, stand_in, ""),
    )
    try:
        succeeded(actions, command)
    except NitroCliFailed:
        # One that has ended meanwhile, by itself or by a scenario, is E11.
        if any(one.get("EnclaveID") == enclave_id for one in enclaves(actions, f"{why}: gone?")):
            raise


def _log_of(actions: Actions, refusal: Refusal) -> str:
    if refusal.log is None:
        return ""
    try:
        text = actions.read(Path(refusal.log), "").strip()
    except ActionFailed as error:
        return f" Its error log could not be read: {error}"
    return f" Its error log {refusal.log} says:\n{text}"
