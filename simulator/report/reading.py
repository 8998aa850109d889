"""The files that runs of the suite leave: results of the last run, and records of hardware.

Not the place that writes them: that is the root conftest with `scenarios.records`. A file is taken
whole or refused with one sentence; what a step says beyond the members used here is ignored.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kms_fake.roots import AWS_ROOT_SHA256
from scenarios import target as contract

VERSION = 1
"""Of both kinds of files."""
RECORDS = Path(contract.__file__).parent
"""Where records of hardware lie: beside the scenarios of this installation."""
_SUFFIX = ".validation.json"
_IDENTIFIER = re.compile(r"[^/\s]+/[^/\n]+")
_EVIDENCE = ("documented", "recorded", "reported", "inferred")
_Member = TypeVar("_Member", bound=enum.Enum)


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
        """Whether its documents were signed under AWS's root, by its own account."""
        return self.target == Place.HARDWARE.value and under_aws_root(self.provenance)


def under_aws_root(provenance: Mapping[str, str]) -> bool:
    """Whether a run says that the NSM's documents began with AWS's root certificate."""
    return provenance.get("root_sha256") == AWS_ROOT_SHA256


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
        raise BadFile(f"{folder} is no folder; --records takes the folder of *{_SUFFIX}.")
    records = [_record(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))]
    by_scenario: dict[str, Record] = {}
    for record in records:
        other = by_scenario.setdefault(record.scenario, record)
        if other is not record:
            raise BadFile(
                f"{record.path} and {other.path} are both records of {record.scenario}; leave the "
                "one that the suite writes."
            )
    return tuple(by_scenario[scenario] for scenario in sorted(by_scenario))


def _run(place: Place, path: Path) -> Run:
    file = _File(path, "pytest scenarios writes it anew")
    top = file.top()
    if file.text(top, "target") != place.value:
        raise file.wrong(f"target is {top.members['target']!r}, not {place.value!r}")
    scenarios: dict[str, Shown] = {}
    for number, value in enumerate(file.list_of(top, "scenarios")):
        shown = _shown(file, file.object(value, f"scenarios[{number}]"))
        if shown.id in scenarios:
            raise file.wrong(f"{shown.id} stands in it twice")
        scenarios[shown.id] = shown
    return Run(
        place=place,
        path=path,
        transport=top.text("transport"),
        when=file.text(top, "when"),
        version=top.text("attested_kms"),
        provenance=_provenance(top),
        deselected=int(top.number("deselected") or 0),
        scenarios=scenarios,
    )


def _shown(file: _File, value: Step) -> Shown:
    evidence = file.text(value, "evidence")
    if evidence not in _EVIDENCE:
        raise file.wrong(f"evidence is {evidence!r}, not one of {', '.join(_EVIDENCE)}")
    return Shown(
        id=file.identifier(value, "id"),
        nodeid=value.text("nodeid"),
        summary=value.text("summary"),
        docstring=value.text("docstring"),
        evidence=evidence,
        source=value.text("source"),
        outcome=file.one_of(Outcome, value, "outcome"),
        reason=value.text("reason"),
        seconds=value.number("seconds") or 0.0,
        steps=file.steps(value),
    )


def _record(path: Path) -> Record:
    file = _File(path, "restore it from version control, or remove it and record again")
    top = file.top()
    if file.text(top, "outcome") != Outcome.PASSED.value:
        raise file.wrong("a record is of a scenario that passed, and this one says otherwise")
    return Record(
        path=path,
        scenario=file.identifier(top, "scenario"),
        target=file.text(top, "target"),
        when=file.text(top, "when"),
        provenance=_provenance(top),
        steps=file.steps(top),
    )


def _provenance(top: Step) -> Mapping[str, str]:
    given = top.mapping("provenance")
    return {name: value for name, value in given.items() if isinstance(value, str)}


@dataclass(frozen=True, slots=True)
class _File:
    """One file, and the sentences about it."""

    path: Path
    remedy: str

    def wrong(self, what: str) -> BadFile:
        return BadFile(f"{self.path} is damaged: {what}. To mend it: {self.remedy}.")

    def top(self) -> Step:
        """The object of the file, in the version that is read here."""
        try:
            value = json.loads(self.path.read_bytes())
        except OSError as error:
            raise BadFile(f"{self.path} cannot be read ({error.strerror}).") from error
        except (ValueError, RecursionError) as error:
            raise self.wrong(f"it is not JSON ({error})") from error
        top = self.object(value, "the file")
        version = top.members.get("version")
        if version != VERSION or isinstance(version, bool):
            raise BadFile(
                f"{self.path} is of version {json.dumps(version)}, and this attested-kms reads "
                f"version {VERSION}. Read it with the one that wrote it, or make it anew: "
                f"{self.remedy}."
            )
        return top

    def object(self, value: Any, name: str) -> Step:
        if not isinstance(value, dict):
            raise self.wrong(f"{name} is no JSON object")
        return Step(value)

    def text(self, value: Step, name: str) -> str:
        text = value.text(name)
        if not text:
            raise self.wrong(f"{name} is missing or no text")
        return text

    def identifier(self, value: Step, name: str) -> str:
        text = self.text(value, name)
        if not _IDENTIFIER.fullmatch(text):
            raise self.wrong(f"{name} {text!r} is not area/name")
        return text

    def list_of(self, value: Step, name: str) -> Sequence[Any]:
        if not isinstance(value.members.get(name), list):
            raise self.wrong(f"{name} is missing or no list")
        return value.items(name)

    def one_of(self, choices: type[_Member], value: Step, name: str) -> _Member:
        text = self.text(value, name)
        try:
            return choices(text)
        except ValueError:
            known = ", ".join(str(choice.value) for choice in choices)
            raise self.wrong(f"{name} is {text!r}, not one of {known}") from None

    def steps(self, value: Step) -> tuple[Step, ...]:
        return tuple(self._steps(value))

    def _steps(self, value: Step) -> Iterator[Step]:
        for number, given in enumerate(self.list_of(value, "steps")):
            step = self.object(given, f"steps[{number}]")
            self.text(step, "kind")
            yield step
