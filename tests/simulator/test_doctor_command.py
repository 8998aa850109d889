"""`attested-kms doctor` as a command: its choices, its exit codes, its sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from simulator import cli
from simulator.schema_check import schema
from tests.simulator.doctor_hosts import written

AS_PARENT = ("--as", "parent", "--only", "artifacts")


def doctor(*words: str) -> int:
    return cli.main(["doctor", *words])


@pytest.fixture(name="broken")
def _broken(tmp_path: Path) -> str:
    return str(written(tmp_path / "broken", environ={"PATH": "/usr/bin"}))


@pytest.fixture(name="sound")
def _sound(tmp_path: Path) -> str:
    return str(written(tmp_path / "sound", environ={"HOME": "/root"}, writable=["/root"]))


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    exit_code = doctor(*words, "--json")
    answer = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("doctor")).validate(answer)
    assert answer["exit_code"] == exit_code
    return answer


def test_the_first_error_is_what_comes_next(
    broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = as_json(capsys, "--host", broken, *AS_PARENT)
    assert answer["exit_code"] == 1
    assert answer["next"]["check"] == "artifacts.folder"
    assert answer["next"]["command"] == "export HOME=/root"


def test_nothing_comes_next_where_nothing_is_wrong(
    sound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = as_json(capsys, "--host", sound, *AS_PARENT)
    assert (answer["exit_code"], answer["next"]) == (0, None)
    assert answer["counts"] == {"error": 0, "warning": 0, "note": 0, "ok": 1, "skipped": 0}
