"""Records: what a scenario that passed on real hardware did and saw, kept as evidence.

One JSON file a scenario, beside it (`AREA.NAME.validation.json`), written by a run and by nobody
else: its checksum makes an edited file a clear error. Not a result: of a scenario that failed there
is no record. A rehearsal writes the same files into a folder of its own, and says that it did.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenarios.notes import Step
from scenarios.results import write_whole

VERSION = 1
SUFFIX = ".validation.json"
HARDWARE = "hardware"
REHEARSAL = "rehearsal"

AWS_ROOT_SHA256 = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
"""SHA-256 of the DER certificate "AWS Nitro Enclaves Root G1", with which the cabundle of every
real document begins (documented: AWS Nitro Enclaves User Guide, "Verifying the root of trust";
computed from the certificate)."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_CHECKSUM = "checksum"


class BadRecord(Exception):
    """A record cannot be used: the message names the file and says what is wrong and what to do."""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(
            f"{file}: {problem}. Runs write records, never people: bring it back from version "
            "control, or delete it and run its scenario on that target again."
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What one passing run of a scenario left."""

    scenario: str
    """`area/name`."""
    target: str
    """HARDWARE, where KMS trusted documents under the root of AWS, or REHEARSAL."""
    when: str
    """UTC: `2026-11-27T21:00:00Z`."""
    attested_kms: str
    provenance: Mapping[str, str]
    """As `Target.provenance`."""
    seconds: float
    steps: Sequence[Step]
    """As in the results, without what the target cannot tell."""

    def age_days(self, now: datetime | None = None) -> float:
        """How many days ago it was written; less than 0 for one from the future."""
        written = datetime.strptime(self.when, _TIME).replace(tzinfo=UTC)
        return ((now or datetime.now(UTC)) - written).total_seconds() / 86_400


def file_name(stem: str, function: str) -> str:
    """The record's name for a test function of a module: `bugs.bug_8_2_no_public_key...`."""
    name = re.sub(r"\W+", "-", function.removeprefix("test_")).strip("-")
    return f"{stem.removeprefix('test_')}.{name}{SUFFIX}"


def checksum(members: Mapping[str, Any]) -> str:
    """SHA-256 over the members but `checksum`, as JSON in one canonical form."""
    kept = {name: it for name, it in members.items() if name != _CHECKSUM}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write(record: Record, file: Path) -> None:
    """Write the record whole; one that is there must be sound. Raises BadRecord, OSError."""
    if file.exists():
        read(file)
    members: dict[str, Any] = {"version": VERSION, **asdict(record), "outcome": "passed"}
    members[_CHECKSUM] = checksum(members)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(members, indent=1, ensure_ascii=False) + "\n")


def read(file: Path, *, target: str | None = None) -> Record:
    """The record in a file, of `target` if that is given. Raises BadRecord."""
    try:
        members = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRecord(file, f"the record cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BadRecord(file, f"the record is damaged, it is no JSON ({error})") from error
    problem = _problem(members)
    if problem is not None:
        raise BadRecord(file, f"the record is damaged, {problem}")
    kept = {name: members[name] for name in Record.__slots__}
    record = Record(**kept)
    if target is not None and record.target != target:
        raise BadRecord(file, f"the record is of a run on {record.target}, not on {target}")
    return record


def read_all(folder: Path, *, target: str | None = None) -> dict[str, Record]:
    """All records of a folder by their scenarios' ids. Raises BadRecord."""
    records = (read(file, target=target) for file in sorted(folder.glob(f"*{SUFFIX}")))
    return {record.scenario: record for record in records}


_MEMBERS: Mapping[str, type | tuple[type, ...]] = {
    "version": int,
    "scenario": str,
    "target": str,
    "when": str,
    "attested_kms": str,
    "provenance": dict,
    "outcome": str,
    "seconds": (int, float),
    "steps": list,
    _CHECKSUM: str,
}


def _problem(members: Any) -> str | None:
    """What makes the content no record."""
    if not isinstance(members, dict):
        return "it is no JSON object"
    if members.get("version") != VERSION:
        return f"its version is {members.get('version')!r} and this project reads {VERSION}"
    missing = [name for name in _MEMBERS if name not in members]
    if missing:
        return f"{', '.join(missing)} is missing"
    for name, kind in _MEMBERS.items():
        if not isinstance(members[name], kind):
            return f"{name} is {members[name]!r:.60}"
    if members[_CHECKSUM] != checksum(members):
        return "its content is not what its checksum is of: somebody has edited it"
    return _wrong_content(members)


def _wrong_content(members: Mapping[str, Any]) -> str | None:
    if members["target"] not in {HARDWARE, REHEARSAL}:
        return f"its target is {members['target']!r:.60}"
    if members["outcome"] != "passed":
        return f"its outcome is {members['outcome']!r:.60}"
    root = members["provenance"].get("root_sha256")
    if members["target"] == HARDWARE and root != AWS_ROOT_SHA256:
        return "it claims to be of hardware and its root certificate is not that of AWS"
    if not all(isinstance(step, dict) and "kind" in step for step in members["steps"]):
        return "one of its steps is none"
    try:
        datetime.strptime(members["when"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return f"when is {members['when']!r:.60}, not a time such as 2026-11-27T21:00:00Z"
    return None
