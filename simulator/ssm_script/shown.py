"""A run as JSON, and the calls of one that is not made."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.ssm_script.limits import SLICE_CHARACTERS
from simulator.ssm_script.plan import Plan, Request
from simulator.ssm_script.running import Result

FORMAT = 1


def result_json(result: Result, instance: str) -> dict[str, Any]:
    """As simulator/schemas/ssm-run.schema.json describes it."""
    return {
        "format": FORMAT,
        "instance": instance,
        "ended": result.ended.word,
        "exit_code": result.exit_code,
        "script_exit_code": result.script_exit_code,
        "stdout": _text(result.stdout),
        "stderr": _text(result.stderr),
        "message": result.message or None,
        "folder": result.folder,
        "commands": list(result.commands),
    }


def _text(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


@dataclass(frozen=True)
class Call:
    """One SendCommand of a run. `step` is bring, run, fetch or clean."""

    step: str
    request: Request


def calls(plan: Plan) -> list[Call]:
    """In order. There is one fetch, for the slice after the report's: nobody knows how many."""
    return [
        *(Call("bring", request) for request in plan.bring()),
        Call("run", plan.run()),
        Call("fetch", plan.fetch(1)),
        Call("clean", plan.clean()),
    ]


def calls_json(plan: Plan) -> dict[str, Any]:
    """As the same schema describes it."""
    return {
        "format": FORMAT,
        "instance": plan.instance,
        "calls": [
            {"step": call.step, "operation": "SendCommand", "parameters": call.request}
            for call in calls(plan)
        ],
    }


def calls_text(plan: Plan, options: Sequence[str]) -> Iterator[str]:
    """Lines for a shell with the AWS CLI; `options` are those that each call gets."""
    beside = "".join(f" {shlex.quote(option)}" for option in options)
    yield f"# What attested-kms ssm run sends to {plan.instance}, for a shell with the AWS CLI."
    yield f"# A real run has random digits where this has {plan.run_id}."
    for call in calls(plan):
        yield ""
        yield from _COMMENTS[call.step]
        line = _send(call.request, beside)
        if call.step == "fetch":
            yield f"# {line}"
            continue
        which = f'--command-id "$command" --instance-id {plan.instance}{beside}'
        yield f"command=$({line})"
        # A script that fails makes `wait` fail; the report comes all the same.
        yield f"aws ssm wait command-executed {which} || true"
        yield (
            f"aws ssm get-command-invocation {which} --query StandardOutputContent --output text"
        )


def _send(request: Request, beside: str) -> str:
    # No apostrophe is in it: shell.py has none, and the rest are plain letters.
    document = json.dumps(request)
    return (
        f"aws ssm send-command{beside} --query Command.CommandId --output text "
        f"--cli-input-json {shlex.quote(document)}"
    )


_COMMENTS = {
    "bring": ["# Brings parts of the script."],
    "run": [
        "# Brings the last parts, looks that all are there, runs the script. It prints how many",
        "# bytes it wrote, what there is to fetch, the first of that, and its exit code.",
    ],
    "fetch": [
        f"# Where `sent` says more than {SLICE_CHARACTERS}: the next slices are i=1, i=2 ...",
        "# What stands after `data` of all, in one line, is base64 of gzip of both outputs.",
    ],
    "clean": ["# Removes what the run left."],
}
