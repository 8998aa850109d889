"""`attested-kms report`: its files, its JSON, and every input that is no result of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from simulator import cli
from simulator.schema_check import schema
from tests.simulator.report_world import (
    HARDWARE,
    STEPS,
    World,
    kms,
    record,
    refused,
    results,
    scenario,
)

OTHER = "flow/opens"


@pytest.fixture(name="world")
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def report(world: World, *arguments: str) -> int:
    return cli.main(["report", *world.options, *arguments])


def answer(world: World, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert report(world, "--json", "-") == 0
    read: dict[str, object] = json.loads(capsys.readouterr().out)
    return read


def refusal(world: World, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and sentence of a report that cannot be made; it makes nothing."""
    before = sorted(Path.cwd().rglob("*"))
    code = report(world, *arguments)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("attested-kms report: ")
    assert said.err.count("\n") == 1
    assert sorted(Path.cwd().rglob("*")) == before
    return code, said.err


def test_a_page_where_nothing_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ran(results())
    assert cli.main(["report", "--records", str(world.records)]) == 0
    assert Path("report.html").read_text().startswith("<!doctype html>\n<html lang=")
    said = capsys.readouterr().out
    assert said.startswith("report.html: 1 scenario. Nothing has been recorded on hardware. ")


def test_page_and_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ran(results())
    assert report(world, "-o", "a.html", "--json", "a.json") == 0
    assert capsys.readouterr().out.startswith("a.html and a.json: 1 scenario.")
    assert json.loads(Path("a.json").read_text())["format"] == 1
    assert sorted(path.name for path in Path.cwd().iterdir() if path.is_file()) == [
        "a.html",
        "a.json",
    ]


def test_json_is_as_the_schema_says(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    rules = schema("report")
    Draft202012Validator.check_schema(rules)
    failed = scenario(OTHER, outcome="failed", reason="why", steps=[kms(refused())])
    world.ran(results("sim", scenario(), failed), results("rehearsal"), results("host"))
    world.recorded(record(), record("gone/gone"))
    made = answer(world, capsys)
    assert list(Draft202012Validator(rules).iter_errors(made)) == []
    assert list(Path.cwd().glob("*.html")) == []


def test_the_answer(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ran(results("sim", scenario(), scenario(OTHER)), results("hardware"))
    world.recorded(record())
    made = json.loads(json.dumps(answer(world, capsys)))
    assert made["hardware"]["recorded"] == 1
    assert made["hardware"]["unverified"] == 1
    assert made["targets"]["rehearsal"] is None
    assert made["targets"]["hardware"]["counts"]["passed"] == 1
    first, second = made["scenarios"]
    assert first["validation"] == {"when": "2026-12-01T09:30:00Z", "instance_type": "m6i.xlarge"}
    assert second["validation"] is second["outcomes"]["hardware"] is None
    assert first["differences"] == []
    assert [(each["target"], each["step"], each["rule"]) for each in first["refusals"]] == [
        ("sim", 3, "public-key.missing"),
        ("hardware", 3, "public-key.missing"),
    ]


def test_what_only_calls_itself_hardware_is_left_out(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The root in the documents decides, not the name of the target."""
    simulated = {**HARDWARE, "root_sha256": "00" * 32}
    world.ran(results(), results("hardware", provenance=simulated))
    world.recorded(record(target="rehearsal", provenance=simulated))
    made = json.loads(json.dumps(answer(world, capsys)))
    assert made["hardware"]["recorded"] == 0
    assert made["targets"]["hardware"] is None
    assert [each["id"] for each in made["scenarios"]] == ["bugs/bug-8-2-no-public-key"]
    assert made["scenarios"][0]["validation"] is None
    first, second = made["left_out"]
    assert "hardware.json is left out: it calls itself a run on hardware" in first
    assert "is a record of rehearsal, not of hardware" in second
    world.recorded(record(provenance=simulated))
    code, told = refusal(world, capsys)
    assert code == 2
    assert "claims to be of hardware and its root certificate is not that of AWS" in told


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (refused("another text"), "message"),
        (refused(code="InvalidCiphertextException"), "code"),
        (refused(http_status=500), "http_status"),
        ({"outcome": "opened"}, "outcome"),
    ],
)
def test_differences(
    world: World, capsys: pytest.CaptureFixture[str], other: dict[str, object], what: str
) -> None:
    world.ran(results())
    steps = [*STEPS[:2], kms(other, public_key="absent"), STEPS[3]]
    world.recorded(record(steps=steps))
    made = json.loads(json.dumps(answer(world, capsys)))
    found = made["scenarios"][0]["differences"]
    assert what in [each["what"] for each in found]
    assert {each["answer"] for each in found} == {"Decrypt by enclave"}
    assert set(found[0]["values"]) == {"sim", "record"}


def test_a_skip_is_no_difference(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    skipped = scenario(outcome="skipped", reason="lacks it", steps=[])
    failed = scenario(outcome="failed", reason="not so")
    world.ran(results(), results("rehearsal", skipped), results("host", failed))
    made = json.loads(json.dumps(answer(world, capsys)))
    [found] = made["scenarios"][0]["differences"]
    assert (found["what"], found["values"]) == ("outcome", {"sim": "passed", "host": "failed"})


def test_no_results_yet(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = refusal(world, capsys)
    assert code == 1
    assert "There are no results in " in said
    assert "`pytest scenarios --target sim`" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is damaged: it is not JSON"),
        ("{", "is damaged: it is not JSON"),
        ("\xff", "is damaged: it is not JSON"),
        ("[" * 100_000, "is damaged: it is not JSON"),
        ("[]", "is damaged: [] is not of type 'object'"),
        (json.dumps(results(version=2)), "is of version 2, and this attested-kms reads version 1."),
        (json.dumps({}), "is damaged: 'version' is a required property"),
        (json.dumps(results("rehearsal")), "its target is 'rehearsal', not 'sim'"),
        (json.dumps(results(scenarios={})), "scenarios: {} is not of type 'array'"),
        (json.dumps(results(when="today")), "when: 'today' does not match"),
        (json.dumps(results("sim", scenario(), scenario())), "no-public-key stands in it twice"),
        (json.dumps(results("sim", scenario("nameless"))), "scenarios[0].id: 'nameless' does not"),
        (json.dumps(results("sim", scenario(outcome="good"))), "scenarios[0].outcome: 'good' is"),
        (json.dumps(results("sim", scenario(steps=[{}]))), "steps[0]: 'kind' is a required"),
        (json.dumps(results("sim", scenario(seconds=float("nan")))), "NaN is no number in JSON"),
    ],
)
def test_damaged_results(
    world: World, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    (world.results / "sim.json").write_bytes(content.encode("latin-1"))
    code, told = refusal(world, capsys)
    assert code == 2
    assert said in told
    assert str(world.results / "sim.json") in told


def test_damaged_records(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ran(results())
    world.recorded(record(checksum="00" * 32))
    code, told = refusal(world, capsys)
    assert code == 2
    assert "somebody has edited it" in told
    assert "bring it back from version control" in told
    world.recorded(record())
    (world.records / "bugs.copy.validation.json").write_text(json.dumps(record()))
    code, told = refusal(world, capsys)
    assert code == 2
    assert "are both records of bugs/bug-8-2-no-public-key" in told


def test_every_kind_of_step_is_drawn_whatever_it_lacks(world: World) -> None:
    """The schema asks little of most kinds, and a newer suite may know more of them."""
    kinds = schema("results")["$defs"]["step"]["properties"]["kind"]["enum"]
    needed = {
        "kms": kms({"outcome": "result"}, request={"Recipient": None}),
        "attest": {"kind": "attest", "public_key": "absent", "outcome": "failed"},
        "command": {"kind": "command", "words": ["x"]},
        "observation": {"kind": "observation", "name": "x", "rules": [], "answer": refused()},
        "systems-manager": {"kind": "systems-manager", "operation": "SendCommand"},
    }
    odd = [
        {"kind": "key", "statements": [1, {"Condition": {"StringEquals": 3}}]},
        {"kind": "time", "seconds": 1e300},
        {"kind": "ask", "port": None, "answered_bytes": 3},
    ]
    steps = [needed.get(kind, {"kind": kind}) for kind in kinds]
    world.ran(results("sim", scenario(steps=[*steps, *odd])))
    assert report(world) == 0
    assert Path("report.html").read_text().count("<li>") > len(steps)


def test_steps_that_no_suite_wrote(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ran(results("sim", scenario(steps=[{"kind": "systems-manager"}])))
    code, told = refusal(world, capsys)
    assert code == 2
    assert "The steps of bugs/bug-8-2-no-public-key on sim are not such as the suite" in told


def test_output_that_cannot_be_written(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ran(results())
    for output, why in (
        ("no/such/report.html", "No such file or directory"),
        (".", "Is a directory"),
    ):
        code, said = refusal(world, capsys, "-o", output)
        assert code == 1
        assert f"{output} cannot be written ({why})." in said


def test_what_was_there_stays_where_writing_fails(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ran(results())
    Path("report.html").write_text("the last one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    code, said = refusal(world, capsys)
    assert code == 1
    assert "report.html cannot be written (No space left on device)." in said
    assert Path("report.html").read_text() == "the last one"
