"""`attested-kms bugs`: text, JSON by its schema, a number that there is not."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from simulator import cli
from simulator.bugs import BUGS
from simulator.schema_check import schema


def test_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bugs"]) == 0
    shown = capsys.readouterr().out
    heads = [line for line in shown.splitlines() if line and not line.startswith(" ")]
    assert heads == [f"{bug.number}  {bug.title}" for bug in BUGS]
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert all(each.id in shown for bug in BUGS for each in bug.scenarios)


def test_one_with_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bugs", "8", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [bug["number"] for bug in answer["bugs"]] == ["8", "8.1", "8.2", "8.3"]
    assert [bug["correction"] is None for bug in answer["bugs"]] == [True, False, True, False]


def test_json_is_as_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    rules = schema("bugs")
    Draft202012Validator.check_schema(rules)
    assert cli.main(["bugs", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(Draft202012Validator(rules).iter_errors(answer)) == []
    assert len(answer["bugs"]) == len(BUGS)


@pytest.mark.parametrize("number", ["10", "0", "", "8.4", "."])
def test_a_number_that_there_is_not(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bugs", number]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"There is no bug {number!r} in the field notes. Give one of 1, 2, " in said.err
