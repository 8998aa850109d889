"""The plan of a run on hardware: every command and call in its order, with none of them done.

The opening, what the target does for each scenario, and the closing come from the code that does
them on hardware (`HardwareTarget`), whose actions are collected instead of done. What each scenario
asks beyond that comes from the simulator's last results, where there are some: a scenario is a
program, and only running it tells what it asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from real_hw import estimate
from real_hw.actions import Call, Command, Started
from real_hw.planning import PlannedActions, PlannedProcess, shown
from real_hw.target import HardwareTarget
from scenarios.target import Capability, Finished, Members, ParentInstance

OPENING = "opening"
CLOSING = "closing"

_PARENT = frozenset({Capability.NITRO_CLI.value, Capability.PARENT_INSTANCE.value})
_FOLDER = "<temporary>"
"""What the folder of a scenario's files is called in results."""
_LONGEST = 200
"""Characters of a step of a kind that has no words of its own."""
_IMAGE = "scenario:latest"
"""What the simulator calls the image that a scenario asked for last."""
_ROLE = "arn:aws:iam::<account>:role/<role>"
"""What the role of the parent instance is called there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a run would do."""

    part: str
    """`opening`, `closing` or a scenario's id."""
    kind: str
    """`run`, `call`, `start`, `ask`, `make`, `write`, `remove`, `wait`, or `scenario` for what the
    scenario itself asks."""
    what: str
    why: str
    source: str = ""
    words: tuple[str, ...] = ()
    """Of a command."""
    call: Mapping[str, Any] | None = None
    """`service`, `operation` and `members` of a call, blobs as placeholders."""


class Collected(PlannedActions):
    """Actions that are kept as steps and answered with their stand-ins."""

    def __init__(self) -> None:
        super().__init__(self._ask)
        self.steps: list[Step] = []
        self.part = OPENING
        self._words: tuple[str, ...] = ()
        self._call: Mapping[str, Any] | None = None

    def run(self, command: Command) -> Finished:
        """The stand-in of a command."""
        self._words = command.words
        return super().run(command)

    def start(self, started: Started) -> PlannedProcess:
        """A process that nobody started."""
        self._words = started.command.words
        return super().start(started)

    def call(self, call: Call) -> Members:
        """The stand-in of a call."""
        self._call = {
            "service": call.service,
            "operation": call.operation,
            "members": shown(call.members),
        }
        return super().call(call)

    def add(self, kind: str, what: str, why: str, source: str = "") -> None:
        """Keep one more step."""
        step = Step(self.part, kind, what, why, source, self._words, self._call)
        self._words, self._call = (), None
        self.steps.append(step)

    def _tell(self, kind: str, what: str, why: str, source: str = "") -> None:
        self.add(kind, what, why, source)

    def _ask(self, line: str) -> None:
        """What a process is asked: the planned process tells it as a line."""
        kind, _, what = line.partition(" ")
        self.add(kind, what.strip(), "over vsock, by the dialler", "scenarios/workload/dial.py")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario of the suite as it was collected."""

    id: str
    needs: tuple[str, ...] = ()
    """The names of the capabilities."""
    stands_on: str = ""
    """Its evidence and whose: `reported: field notes, bug 8.2`."""


@dataclass(frozen=True, slots=True)
class Results:
    """What the simulator's last run says of each scenario."""

    when: str
    steps: Mapping[str, Sequence[Mapping[str, Any]]]
    """By the scenario's id."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run."""

    steps: tuple[Step, ...]
    skipped: Mapping[str, str]
    """Scenarios that the target lacks a capability for, and its name."""
    remarks: tuple[str, ...]
    evidence: Mapping[str, str] = field(default_factory=dict)
    """What each scenario stands on."""
    counts: estimate.Counts = field(default_factory=estimate.Counts)


def read_results(path: Path) -> Results | str:
    """The simulator's results, or why there are none, in a sentence."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Results(told["when"], {one["id"]: one["steps"] for one in told["scenarios"]})
    except FileNotFoundError:
        return (
            "What each scenario asks is known from a run against the simulator, and there is none: "
            "run ./toxw -e sim first to see it here. Until then the scenarios are listed only."
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path} cannot be read ({error!r:.120}): run ./toxw -e sim to write it anew."


def plan(
    open_target: Callable[[PlannedActions], HardwareTarget],
    scenarios: Sequence[Scenario],
    results: Results | str,
) -> Plan:
    """The plan of a run of these scenarios against the target that `open_target` makes."""
    actions = Collected()
    target = open_target(actions)
    lacking = {one.id: missing for one in scenarios if (missing := _lacks(target, one)) is not None}
    known = results.steps if isinstance(results, Results) else {}
    for one in scenarios:
        if one.id not in lacking:
            actions.part = one.id
            _scenario(target, actions, one, known)
    actions.part = CLOSING
    target.close()
    remark = (
        f"What the scenarios ask is what they asked the simulator at {results.when}."
        if isinstance(results, Results)
        else results
    )
    return Plan(
        tuple(actions.steps),
        lacking,
        (remark,),
        {one.id: one.stands_on for one in scenarios},
        _counts(actions.steps, known, lacking),
    )


def _lacks(target: HardwareTarget, scenario: Scenario) -> str | None:
    had = {capability.value for capability in target.capabilities}
    return next((name for name in scenario.needs if name not in had), None)


def _scenario(
    target: HardwareTarget,
    actions: Collected,
    scenario: Scenario,
    known: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """What is done for a scenario, and what it asked the simulator."""
    with ExitStack() as stack:
        parent = None
        if _PARENT.intersection(scenario.needs):
            parent = stack.enter_context(target.parent_instance())
        elif Capability.ENCLAVE.value in scenario.needs:
            target.enclave(debug=Capability.DEBUG_ENCLAVE.value in scenario.needs)
        if scenario.id not in known:
            actions.add("scenario", scenario.id, "what it asks is not known here")
        replay = _Replay(target, parent, actions)
        for step in known.get(scenario.id, ()):
            replay.step(step)


class _Replay:
    """What a scenario asked the simulator, asked of the target that does nothing."""

    def __init__(
        self, target: HardwareTarget, parent: ParentInstance | None, actions: Collected
    ) -> None:
        self._target = target
        self._parent = parent
        self._actions = actions
        self._image = _IMAGE

    def step(self, step: Mapping[str, Any]) -> None:
        """Ask it of the target where it is the target's to do, else tell it."""
        kind = step["kind"]
        if kind == "boot":
            self._target.enclave(debug=step["debug"])
        elif kind == "key":
            self._target.key(_statements(step["statements"], self._target))
        elif kind == "time":
            self._target.pass_time(step["seconds"])
        elif kind == "image" and self._parent is not None:
            self._image = self._parent.image(entrypoint=step.get("entrypoint"), cmd=step.get("cmd"))
        elif kind == "command" and self._parent is not None:
            self._command(self._parent, step)
        else:
            self._actions.add("scenario", _asked(step), _answered(step), _source(step))

    def _command(self, parent: ParentInstance, step: Mapping[str, Any]) -> None:
        words = [
            self._image if word == _IMAGE else word.replace(_FOLDER, parent.folder)
            for word in step["words"][1:]
        ]
        if "killed_after" in step:
            parent.nitro_cli_killed(*words, after=step["killed_after"])
        else:
            parent.nitro_cli(*words, environment=step.get("environment"))


def _statements(told: Any, target: HardwareTarget) -> Any:
    """The statements of a key policy with the role that results do not name."""
    return json.loads(json.dumps(told).replace(_ROLE, target.role_arn))


def _asked(step: Mapping[str, Any]) -> str:
    """One step of a scenario in words."""
    match step["kind"]:
        case "kms":
            return f"{step['by']}: kms {step['operation']} {json.dumps(shown(step['request']))}"
        case "attest":
            return f"enclave: attest, public key {step['public_key']}"
        case "ask":
            return f"a line of {step['sent_bytes']} bytes to the enclave, vsock port {step['port']}"
        case "observation":
            return f"observe: {step['name']}"
    rest = {name: value for name, value in step.items() if name != "kind"}
    return f"{step['kind']} {json.dumps(rest)[:_LONGEST]}"


def _answered(step: Mapping[str, Any]) -> str:
    """What the simulator answered, where it was asked."""
    answer = step.get("answer")
    if not isinstance(answer, Mapping):
        return "the scenario's own step"
    told = f"{answer.get('code')}: {answer['message']}" if answer.get("message") else ""
    return f"the simulator's answer: {told or answer.get('code') or answer.get('outcome')}"


def _source(step: Mapping[str, Any]) -> str:
    """By whose word it is written so."""
    match step["kind"]:
        case "kms":
            return f"AWS KMS API Reference, {step['operation']}"
        case "attest":
            return "aws-nitro-enclaves-nsm-api, Request::Attestation"
    return "scenarios/workload"


def _counts(
    steps: Sequence[Step],
    known: Mapping[str, Sequence[Mapping[str, Any]]],
    lacking: Mapping[str, str],
) -> estimate.Counts:
    asked = [one for name, told in known.items() if name not in lacking for one in told]
    kinds = [one["kind"] for one in asked]
    calls = [step.call for step in steps if step.call is not None]
    return estimate.Counts(
        boots=sum("run-enclave" in step.words for step in steps),
        keys=sum(call["operation"] == "CreateKey" for call in calls),
        commands=kinds.count("command"),
        requests=kinds.count("kms") + sum(call["service"] == "kms" for call in calls),
        waited_seconds=sum(one["seconds"] for one in asked if one["kind"] == "time"),
    )


def as_text(made: Plan) -> Iterator[str]:
    """The plan in lines, its steps numbered."""
    yield "The plan of a run on hardware. Nothing of it is done, and nobody is asked."
    yield ""
    yield "Estimate"
    yield from (f"  {line}" for line in estimate.as_text(made.counts))
    part = ""
    for number, step in enumerate(made.steps, start=1):
        if step.part != part:
            part = step.part
            yield ""
            yield _title(made, part)
        yield f"{number:5}  {step.kind:8} {step.what}"
        if step.why or step.source:
            yield f"{'':15} # {step.why}{f' [{step.source}]' if step.source else ''}"
    yield ""
    yield from made.remarks
    for name, missing in made.skipped.items():
        yield f"skipped: {name}, for lack of {missing}"


def _title(made: Plan, part: str) -> str:
    if part in {OPENING, CLOSING}:
        return part.capitalize()
    stands_on = made.evidence.get(part)
    return f"{part}  ({stands_on})" if stands_on else part


def as_json(made: Plan) -> dict[str, Any]:
    """The same for programs: simulator/schemas/hardware-plan.schema.json."""
    return {
        "estimate": {
            "minutes": round(estimate.seconds(made.counts) / 60, 1),
            "dollars": round(estimate.dollars(made.counts), 2),
            "evidence": "unknown",
        },
        "steps": [
            {
                "number": number,
                "part": step.part,
                "kind": step.kind,
                "what": step.what,
                "why": step.why,
                "source": step.source,
                **({"words": list(step.words)} if step.words else {}),
                **({"call": step.call} if step.call is not None else {}),
            }
            for number, step in enumerate(made.steps, start=1)
        ],
        "skipped": dict(made.skipped),
        "remarks": list(made.remarks),
    }
