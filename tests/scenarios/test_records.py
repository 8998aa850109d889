"""Records: written by passing runs under the root of AWS, read back, and refused when damaged."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scenarios.recording import Destination, Due, days, destination, found, record
from scenarios.records import (
    AWS_ROOT_SHA256,
    HARDWARE,
    REHEARSAL,
    BadRecord,
    Record,
    checksum,
    file_name,
    read,
    read_all,
    write,
)
from scenarios.results import ScenarioResult

NAME = "bugs.bug_8_2_no_public_key.validation.json"
ANSWER = {"outcome": "error", "code": "ValidationException", "message": "no", "http_status": 400}
STEP = {"kind": "kms", "by": "enclave", "operation": "Decrypt", "request": {}, "answer": ANSWER}
RECORD = Record(
    scenario="bugs/bug-8-2-no-public-key",
    target=HARDWARE,
    when="2026-11-27T21:00:00Z",
    attested_kms="0.1.0",
    provenance={"root_sha256": AWS_ROOT_SHA256, "region": "eu-central-1"},
    seconds=0.5,
    steps=[STEP],
)
RESULT = ScenarioResult(
    id=RECORD.scenario,
    nodeid="node",
    summary="",
    docstring="",
    evidence="reported",
    source="a source",
    outcome="passed",
    reason="",
    steps=[{**STEP, "answer": {**ANSWER, "rule": "public-key.missing"}}],
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(RECORD, tmp_path / NAME)
    assert read(tmp_path / NAME) == RECORD
    assert read_all(tmp_path, target=HARDWARE) == {RECORD.scenario: RECORD}
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


def test_a_record_is_named_for_its_scenario() -> None:
    assert file_name("test_bugs", "test_bug_8_2_no_public_key") == NAME
    assert file_name("test_area", "test_name[a/b c]") == "area.name-a-b-c.validation.json"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"steps": []}, "somebody has edited it"),
        ({"checksum": "00"}, "somebody has edited it"),
        ({"version": 2}, "its version is 2 and this project reads 1"),
        ({"seconds": "long"}, "seconds is 'long'"),
        ({"steps": None}, "steps is None"),
    ],
)
def test_an_edited_record_is_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    file = tmp_path / NAME
    write(RECORD, file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(BadRecord, match=problem) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert "delete it and run its scenario" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"provenance": {}}, "its root certificate is not that of AWS"),
        ({"target": "moon"}, "its target is 'moon'"),
        ({"outcome": "failed"}, "its outcome is 'failed'"),
        ({"when": "yesterday"}, "when is 'yesterday'"),
        ({"steps": ["attest"]}, "one of its steps is none"),
    ],
)
def test_a_record_with_a_right_checksum_may_still_be_none(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    file = tmp_path / NAME
    write(RECORD, file)
    members = json.loads(file.read_text()) | change
    file.write_text(json.dumps(members | {"checksum": checksum(members)}))
    with pytest.raises(BadRecord, match=problem):
        read(file)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "[" * 100_000, "\udcff"])
def test_no_record_at_all(tmp_path: Path, text: str) -> None:
    file = tmp_path / NAME
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadRecord):
        read(file)


def test_a_damaged_record_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / NAME
    file.write_text("{")
    with pytest.raises(BadRecord):
        record(RESULT, Destination(REHEARSAL, tmp_path), NAME, {})
    assert file.read_text() == "{"


def test_a_record_under_another_scenarios_name(tmp_path: Path) -> None:
    write(RECORD, tmp_path / NAME)
    assert found(tmp_path / "none", RECORD.scenario) is None
    assert found(tmp_path / NAME, RECORD.scenario) == RECORD
    with pytest.raises(BadRecord, match="is of bugs/bug-8-2-no-public-key, and this is a/b's"):
        found(tmp_path / NAME, "a/b")


def test_a_rehearsal_beside_the_scenarios_is_no_record_of_hardware(tmp_path: Path) -> None:
    write(replace(RECORD, target=REHEARSAL, provenance={}), tmp_path / NAME)
    with pytest.raises(BadRecord, match="of a run on rehearsal, not on hardware"):
        read(tmp_path / NAME, target=HARDWARE)


def test_a_record_holds_no_rule_and_replaces_the_last(tmp_path: Path) -> None:
    where = Destination(REHEARSAL, tmp_path / "new")
    for _ in range(2):
        record(RESULT, where, NAME, {"region": "eu-central-1"})
    kept = read(where.folder / NAME)
    assert (kept.target, kept.provenance) == (REHEARSAL, {"region": "eu-central-1"})
    assert kept.steps == [STEP]


def test_only_what_passed_is_recorded(tmp_path: Path) -> None:
    for outcome in ("failed", "error", "skipped"):
        with pytest.raises(ValueError, match="only what passed"):
            record(replace(RESULT, outcome=outcome), Destination(REHEARSAL, tmp_path), NAME, {})
    assert list(tmp_path.iterdir()) == []


def test_where_records_go(tmp_path: Path) -> None:
    beside, named = tmp_path / "scenarios", tmp_path / "named"
    aws = AWS_ROOT_SHA256
    assert destination("hardware", aws, beside, None) == Destination(HARDWARE, beside)
    assert destination("hardware", aws, beside, named) == Destination(HARDWARE, named)
    for target, root in (("rehearsal", aws), ("rehearsal", "ab"), ("hardware", "ab")):
        assert destination(target, root, beside, named) == Destination(REHEARSAL, named)
        for folder in (None, beside, beside / ".." / "scenarios" / "below"):
            assert "Nothing was recorded" in str(destination(target, root, beside, folder))
    assert "is not known" in str(destination("hardware", None, beside, None))
    assert destination("sim", aws, beside, None) == ""
    assert destination("host", None, beside, named) == ""


def test_what_is_due() -> None:
    old = datetime.now(UTC) - timedelta(days=31)
    aged = replace(RECORD, when=old.strftime("%Y-%m-%dT%H:%M:%SZ"))
    new = replace(RECORD, when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    due = Due(30)
    assert [due.chooses(kept) for kept in (None, aged, new)] == [True, True, False]
    assert str(due) == (
        "2 scenarios are due: 1 have no record and 1 one of 30 days or more; 1 are fresher and "
        "left out."
    )
    assert Due(0).chooses(new)
    none = Due(30)
    assert not none.chooses(new)
    assert "nothing is due" in str(none)


@pytest.mark.parametrize("text", ["-1", "soon", "nan", "inf", ""])
def test_days_are_a_number_from_0(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no number of days"):
        days(text)
    assert days("0.5") == 0.5
