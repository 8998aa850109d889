"""The files that runs of the suite leave: results of the last run, and records of hardware.

Not the place that writes them: that is the root conftest with `scenarios.results` and
`scenarios.records`. Results are held to `simulator/schemas/results.schema.json`, records to their
checksum; a file is taken whole or refused with one sentence.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from scenarios import records, results
from simulator.schema_check import schema
from simulator.user_files import dotted

RECORDS = Path(records.__file__).parent
"""Where records of hardware lie: beside the scenarios of this installation."""
_LONGEST_SHOWN = 100


class Place(enum.Enum):
    """A target of the suite, by the name that `--target` takes."""

    SIMULATOR = "sim"
    REHEARSAL = "rehearsal"
    HARDWARE = "hardware"
    HOST = "host"

    @property
    def title(self) -> str:
        """The name at the head of a column."""
        return {"sim": "Simulator", "host": "Host"}.get(self.value, self.value.capitalize())


class Outcome(enum.Enum):
    """What came of a scenario."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


class NoResults(Exception):
    """No run of the suite has left anything; the message says which command does."""


class BadFile(ValueError):
    """A file is not what runs of the suite write; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a call."""

    outcome: str
    """`opened`, `result`, `refused` (by the enclave), `error` (by the service), `not-sent` (by the
    SDK) or `failed` (nobody answered as agreed)."""
    code: str = ""
    message: str = ""
    http_status: int | None = None
    rule: str = ""
    """Which rule of a fake refused; real services do not say."""
    reason: str = ""
    detail: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a scenario did, as `scenarios.watching` notes it."""

    members: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`kms`, `attest`, `command` and so on."""
        return self.text("kind")

    def text(self, name: str) -> str:
        """A member that is text; empty where there is none."""
        value = self.members.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """A member that is a finite number."""
        value = self.members.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if math.isfinite(value) else None

    def items(self, name: str) -> Sequence[Any]:
        """A member that is a list; empty where there is none."""
        value = self.members.get(name)
        return value if isinstance(value, list) else ()

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A member that is an object; empty where there is none."""
        value = self.members.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def answer(self) -> Answer | None:
        """What came back, if the step is a call."""
        given = self.mapping("answer")
        if not given:
            return None
        inner = Step(given)
        status = inner.number("http_status")
        return Answer(
            outcome=inner.text("outcome"),
            code=inner.text("code"),
            message=inner.text("message"),
            http_status=None if status is None else int(status),
            rule=inner.text("rule"),
            reason=inner.text("reason"),
            detail=inner.text("detail"),
            members=inner.mapping("members"),
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """One scenario of a run."""

    id: str
    nodeid: str
    summary: str
    docstring: str
    evidence: str
    source: str
    outcome: Outcome
    reason: str
    """Why it was skipped, or what failed; else empty."""
    seconds: float
    steps: tuple[Step, ...]

    @property
    def area(self) -> str:
        """The part of the suite it belongs to."""
        return self.id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Run:
    """The last run of the suite against one target."""

    place: Place
    path: Path
    transport: str
    when: str
    """UTC, `2026-11-27T21:00:00Z`."""
    version: str
    """Of attested-kms."""
    provenance: Mapping[str, str]
    deselected: int
    """How many scenarios were there and not chosen."""
    scenarios: Mapping[str, Shown]


@dataclass(frozen=True, slots=True)
class Record:
    """What one passing run wrote of one scenario."""

    path: Path
    scenario: str
    target: str
    when: str
    provenance: Mapping[str, str]
    steps: tuple[Step, ...]

    @property
    def is_of_hardware(self) -> bool:
        """Whether it is one: a record that says so has AWS's root, or is not read at all."""
        return self.target == records.HARDWARE


def under_aws_root(provenance: Mapping[str, str]) -> bool:
    """Whether a run says that the NSM's documents began with AWS's root certificate."""
    return provenance.get("root_sha256") == records.AWS_ROOT_SHA256


def read_runs(folder: Path) -> dict[Place, Run]:
    """The results in a folder, at least one. Raises NoResults, BadFile."""
    files = {place: folder / f"{place.value}.json" for place in Place}
    runs = {place: _run(place, path) for place, path in files.items() if path.exists()}
    if not runs:
        raise NoResults(
            f"There are no results in {folder} yet. `pytest scenarios --target sim` in a clone of "
            "the project makes them (`./toxw -e sim`), and `--results FOLDER` says where they are."
        )
    return runs


def read_records(folder: Path) -> tuple[Record, ...]:
    """The records in a folder, by scenario; none where there is no such folder. Raises BadFile."""
    if folder.exists() and not folder.is_dir():
        raise BadFile(f"{folder} is no folder; --records takes the folder of *{records.SUFFIX}.")
    by_scenario: dict[str, Record] = {}
    for path in sorted(folder.glob(f"*{records.SUFFIX}")):
        record = _record(path)
        other = by_scenario.setdefault(record.scenario, record)
        if other is not record:
            raise BadFile(
                f"{path} and {other.path} are both records of {record.scenario}; leave the one "
                "that the suite writes."
            )
    return tuple(by_scenario[scenario] for scenario in sorted(by_scenario))


def _record(path: Path) -> Record:
    try:
        read = records.read(path)
    except records.BadRecord as error:
        raise BadFile(str(error)) from error
    return Record(
        path=path,
        scenario=read.scenario,
        target=read.target,
        when=read.when,
        provenance=read.provenance,
        steps=tuple(map(Step, read.steps)),
    )


def _run(place: Place, path: Path) -> Run:
    top = _results(path)
    if top["target"] != place.value:
        raise _damaged(path, f"its target is {top['target']!r}, not {place.value!r}")
    scenarios: dict[str, Shown] = {}
    for each in top["scenarios"]:
        steps = tuple(map(Step, each["steps"]))
        shown = Shown(**{**each, "outcome": Outcome(each["outcome"]), "steps": steps})
        if shown.id in scenarios:
            raise _damaged(path, f"{shown.id} stands in it twice")
        scenarios[shown.id] = shown
    return Run(
        place=place,
        path=path,
        transport=top["transport"],
        when=top["when"],
        version=top["attested_kms"],
        provenance=top["provenance"],
        deselected=top["deselected"],
        scenarios=scenarios,
    )


def _results(path: Path) -> dict[str, Any]:
    """The content of a file of results, which is as the schema says."""
    try:
        value = json.loads(path.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise BadFile(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is not JSON ({error})") from error
    version = value.get("version") if isinstance(value, dict) else None
    rules = schema("results")
    if version is not None and version != rules["properties"]["version"]["const"]:
        raise BadFile(
            f"{path} is of version {json.dumps(version):.20}, and this attested-kms reads version "
            f"{results.VERSION}. Read it with the one that wrote it, or run the suite again."
        )
    problems = Draft202012Validator(rules).iter_errors(value)
    first = min(problems, key=lambda each: list(map(str, each.absolute_path)), default=None)
    if first is not None:
        where = dotted(tuple(first.absolute_path))
        message = " ".join(first.message.split())
        raise _damaged(path, f"{f'{where}: ' if where else ''}{message:.{_LONGEST_SHOWN}}")
    checked: dict[str, Any] = value
    return checked


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _damaged(path: Path, what: str) -> BadFile:
    return BadFile(f"{path} is damaged: {what}. Running the suite again writes it anew.")
