from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from real_hw import estimate, plan
from real_hw.plan import Plan, Results, Scenario, Step
from real_hw.target import planned
from simulator.instance import docker
from simulator.nitro_cli import command_line
from simulator.nitro_cli.usage import Shown, UsageError
from simulator.nitro_cli.versions import VERSIONS
from simulator.schema_check import schema

ROOT = Path(__file__).resolve().parents[2]
SUITE = (
    Scenario("a/decrypts", ("enclave",), "reported: somebody"),
    Scenario("a/in-debug-mode", ("enclave", "debug-enclave")),
    Scenario("b/boots", ("parent-instance",)),
    Scenario("b/years", ("enclave", "pass-hours")),
)
STATEMENT = {"Effect": "Allow", "Principal": {"AWS": "<role>"}, "Action": ["kms:Decrypt"]}
RUN = [
    *("nitro-cli", "run-enclave", "--eif-path", "<temporary>/app.eif"),
    *("--cpu-count", "2", "--memory", "512", "--attach-console"),
]
BUILD = [
    *("nitro-cli", "build-enclave", "--docker-uri", "scenario:latest"),
    *("--output-file", "<temporary>/app.eif"),
]
DECRYPT = {
    "kind": "kms",
    "by": "enclave",
    "operation": "Decrypt",
    "request": {"CiphertextBlob": {"bytes": 70}},
    "answer": {"outcome": "error", "code": "E", "message": "No."},
}
STEPS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "a/decrypts": [{"kind": "key", "statements": [STATEMENT]}, DECRYPT],
    "a/in-debug-mode": [
        {"kind": "boot", "debug": True},
        {"kind": "attest", "public_key": "spki", "outcome": "document"},
        {"kind": "time", "seconds": 290},
    ],
    "b/boots": [
        {"kind": "image", "entrypoint": None, "cmd": ["/hello"]},
        {"kind": "command", "words": BUILD},
        {"kind": "command", "words": RUN, "environment": {"HOME": None}},
        {"kind": "observation", "name": "what is this"},
        {"kind": "command", "words": RUN, "killed_after": "hello"},
        {**DECRYPT, "answer": {"outcome": "not-sent", "message": "two\nlines " + "x" * 999}},
    ],
    "b/years": [{"kind": "time", "seconds": 1_000_000}],
}


@pytest.fixture(scope="module")
def made() -> Plan:
    return plan.plan(planned, SUITE, Results("2026-11-27T21:00:00Z", STEPS))


def of_part(made: Plan, part: str) -> list[Step]:
    return [step for step in made.steps if step.part == part]


def operations(steps: Sequence[Step]) -> list[str]:
    return [step.call["operation"] for step in steps if step.call is not None]


def words(steps: Sequence[Step], program: str) -> list[tuple[str, ...]]:
    return [step.words for step in steps if step.words[:1] == (program,)]


def test_the_opening_looks_before_it_makes(made: Plan) -> None:
    first, second, *_ = of_part(made, plan.OPENING)
    assert first.words[1] == "doctor"
    assert second.what == "sts GetCallerIdentity {}"


def test_a_scenario_has_its_boot_its_key_and_its_requests(made: Plan) -> None:
    steps = of_part(made, "a/decrypts")
    commands = [one[1] for one in words(steps, "nitro-cli")]
    assert commands == ["build-enclave", "run-enclave"]
    [create] = [step.call for step in steps if step.call and step.call["operation"] == "CreateKey"]
    tags = create["members"]["Tags"]
    assert tags == [{"TagKey": "attested-kms:run", "TagValue": "attested-kms-RUN"}]
    assert steps[-1].what == 'enclave: kms Decrypt {"CiphertextBlob": {"bytes": 70}}'
    assert steps[-1].why == "the simulator's answer: E: No."
    assert steps[-1].source == "AWS KMS API Reference, Decrypt"


def test_the_debug_enclave_is_booted_for_its_scenario(made: Plan) -> None:
    steps = of_part(made, "a/in-debug-mode")
    commands = words(steps, "nitro-cli")
    assert [one[1] for one in commands] == ["terminate-enclave", "run-enclave", "console"]
    assert "--debug-mode" in commands[1]
    assert [step.what for step in steps if step.kind == "wait"] == ["290 s"]


def test_commands_of_scenarios_are_those_that_hardware_gets(made: Plan) -> None:
    steps = [step for step in of_part(made, "b/boots") if "--attach-console" in step.words]
    files = "attested-kms-RUN/work/scenario-files/app.eif"
    assert [step.words[3].partition("attested-kms-runs/")[2] for step in steps] == [files] * 2
    [build] = [one for one in words(of_part(made, "b/boots"), "nitro-cli") if "--docker-uri" in one]
    [docker_build] = words(of_part(made, "b/boots"), "docker")
    assert build[3] == docker_build[4] == "attested-kms-RUN-scenario-1:latest"
    assert steps[0].what.startswith("env -u HOME nitro-cli run-enclave")


def test_the_closing_removes_all_and_lists_the_keys(made: Plan) -> None:
    closing = of_part(made, plan.CLOSING)
    assert operations(closing) == ["DisableKey", "ScheduleKeyDeletion", "DescribeKey"]
    images = [one for one in words(closing, "docker") if one[1] == "image"]
    built = [one for one in words(made.steps, "docker") if one[1] == "build"]
    assert len(images) == len(built) == 2
    assert any(step.kind == "remove" and step.what.endswith("/work") for step in closing)


def test_what_hardware_lacks_is_named_and_not_planned(made: Plan) -> None:
    assert dict(made.skipped) == {"b/years": "pass-hours"}
    assert of_part(made, "b/years") == []


def test_the_estimate_counts_what_the_plan_has(made: Plan) -> None:
    assert (made.counts.keys, made.counts.waited_seconds) == (1, 290)
    assert (made.counts.boots, made.counts.commands) == (4, 3)
    more = estimate.Counts(boots=9, keys=9, commands=2, requests=9, waited_seconds=290)
    assert estimate.seconds(more) > estimate.seconds(made.counts) > 290
    assert estimate.dollars(more) > estimate.dollars(made.counts) > 0.03


def test_a_long_answer_is_one_short_line(made: Plan) -> None:
    why = of_part(made, "b/boots")[-3].why
    assert why.startswith("the simulator's answer: two lines xxx")
    assert why.endswith("x...")
    assert len(why) < 400


def test_every_command_and_call_says_why_and_by_whose_word(made: Plan) -> None:
    outward = [step for step in made.steps if step.kind in {"run", "call", "start", "ask"}]
    assert len(outward) > 20
    assert [step for step in outward if not (step.why and step.source)] == []


def test_the_text_numbers_every_step(made: Plan) -> None:
    lines = list(plan.as_text(made))
    numbers = [int(line.split()[0]) for line in lines if line[:5].strip().isdigit()]
    assert numbers == list(range(1, len(made.steps) + 1))
    assert (
        "What the scenarios ask is what they asked the simulator at 2026-11-27T21:00:00Z." in lines
    )


def test_the_json_has_the_published_form(made: Plan) -> None:
    told = {"version": 1, **plan.as_json(made)}
    assert list(Draft202012Validator(schema("hardware-plan")).iter_errors(told)) == []


def refused_by_nitro_cli(command: Sequence[str]) -> str | None:
    try:
        command_line.read(command[1:], VERSIONS[0])
    except Shown:
        return None
    except UsageError as error:
        return str(error)
    return None


def refused_by_docker(command: Sequence[str]) -> str | None:
    try:
        docker._read(*docker._command(list(command[1:])))
    except docker._Unusable as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("program", "refused"),
    [("nitro-cli", refused_by_nitro_cli), ("docker", refused_by_docker)],
)
def test_every_planned_command_is_one_that_the_program_takes(
    made: Plan, program: str, refused: Callable[[Sequence[str]], str | None]
) -> None:
    planned_words = words(made.steps, program)
    assert {one: refused(one) for one in planned_words if refused(one)} == {}
    assert refused([*planned_words[-1], "--no-such-option"]) is not None
    assert len(planned_words) > 3


def test_no_scenario_ends_the_enclaves_of_others() -> None:
    """On hardware all enclaves of the user are meant by --all, whoever booted them."""
    files = {path.name: path.read_text() for path in (ROOT / "scenarios").glob("test_*.py")}
    assert [name for name, text in files.items() if '"--all"' in text] == []


def test_a_misspelt_flag_of_the_plan_would_be_seen(made: Plan) -> None:
    [run, *_] = [one for one in words(made.steps, "nitro-cli") if one[1] == "run-enclave"]
    for flag in ("--cpu-count", "--memory", "--eif-path", "--enclave-name"):
        wrong = [f"{word}s" if word == flag else word for word in run]
        assert "unexpected argument" in (refused_by_nitro_cli(wrong) or "")


def test_nothing_is_done_and_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object, **__: object) -> None:
        raise AssertionError("a plan does nothing")

    for place, name in ((socket.socket, "connect"), (subprocess, "Popen"), (os, "mkdir")):
        monkeypatch.setattr(place, name, no)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert plan.plan(planned, SUITE, Results("now", STEPS)).steps


def test_without_results_of_the_simulator_the_scenarios_are_listed(tmp_path: Path) -> None:
    told = plan.read_results(tmp_path / "sim.json")
    assert isinstance(told, str)
    assert "run ./toxw -e sim first" in told
    without = plan.plan(planned, SUITE, told)
    listed = [step.part for step in without.steps if step.kind == "scenario"]
    assert listed == ["a/decrypts", "a/in-debug-mode", "b/boots"]
    assert told in list(plan.as_text(without))


def test_scenarios_that_failed_there_are_named(tmp_path: Path) -> None:
    scenarios = [
        {"id": "a/decrypts", "outcome": "failed", "steps": [DECRYPT]},
        {"id": "b/boots", "outcome": "passed", "steps": []},
    ]
    told = {"when": "now", "scenarios": scenarios}
    (tmp_path / "sim.json").write_text(json.dumps(told))
    results = plan.read_results(tmp_path / "sim.json")
    remarks = plan.plan(planned, SUITE, results).remarks
    assert remarks[-1].endswith("for they failed there: a/decrypts.")


@pytest.mark.parametrize("text", ["", "[]", '{"when": "now"}', '{"when": 1, "scenarios": [{}]}'])
def test_damaged_results_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "sim.json").write_text(text)
    told = plan.read_results(tmp_path / "sim.json")
    assert isinstance(told, str)
    assert "cannot be read" in told


def suite(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The suite with an environment that has nothing."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "scenarios"),
            *("--target", "hardware", *options),
        ],
        cwd=cwd,
        env={"PATH": "/nonexistent", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_suite_prints_and_writes_its_plan(tmp_path: Path) -> None:
    finished = suite("--results", str(tmp_path), "--plan", str(tmp_path / "plan.json"), cwd=ROOT)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "The plan of a run on hardware. Nothing of it is done" in finished.stdout
    assert "run ./toxw -e sim first" in finished.stdout
    told = json.loads((tmp_path / "plan.json").read_text())
    assert list(Draft202012Validator(schema("hardware-plan")).iter_errors(told)) == []
    parts = {step["part"] for step in told["steps"]}
    assert "bugs/bug-8-2-no-public-key" in parts
    assert "host/e51-build-without-home" in parts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json"]


def test_a_plan_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    options = ("--dry-run", "--plan", str(tmp_path / "no" / "plan.json"))
    finished = suite(*options, "--results", str(tmp_path), "-k", "test_e51", cwd=ROOT)
    assert finished.returncode == 1, finished.stdout
    assert "cannot be written to" in finished.stdout
