"""`attested-kms fidelity`: the rule table beside what hardware is said to have answered."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kms_fake.evidence import Evidence
from kms_fake.rules import NO_PUBLIC_KEY, RULES
from simulator import cli
from simulator.fidelity.report import as_text
from simulator.fidelity.survey import survey
from simulator.fidelity.unknowns import unknowns
from simulator.report import reading
from simulator.schema_check import schema
from tests.simulator.report_world import Json, World, record, refused, results, scenario

ASKED = "unknowns/age-limit"


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path)


def observed(answer: Json, *rules: str, name: str = "it") -> Json:
    return {"kind": "observation", "name": name, "rules": list(rules), "answer": answer}


def fidelity(world: World, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = cli.main(["fidelity", *world.options, *arguments])
    said = capsys.readouterr()
    assert said.err == ""
    return code, said.out


def answer(world: World, capsys: pytest.CaptureFixture[str]) -> Any:
    code, out = fidelity(world, capsys, "--json")
    made = json.loads(out)
    assert list(Draft202012Validator(schema("fidelity")).iter_errors(made)) == []
    assert made["exit_code"] == code == bool(made["differences"] or made["claims_without_record"])
    return made


def facet(made: Any, rule: str, name: str) -> Any:
    [row] = [row for row in made["rules"] if row["id"] == rule]
    return row["facets"][name]


def verdicts(made: Any, rule: str) -> dict[str, list[str]]:
    [row] = [row for row in made["rules"] if row["id"] == rule]
    return {
        name: [each["verdict"] for each in facet["records"]]
        for name, facet in row["facets"].items()
        if facet["records"]
    }


def test_what_is_known_without_any_record(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = fidelity(world, capsys)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["rule", "type", "text", "order", "recorded"]
    place = next(n for n, line in enumerate(lines) if line.startswith("public-key.missing "))
    assert lines[place].split() == [
        *("public-key.missing", "reported", "reported", "inferred", "never")
    ]
    assert lines[place + 1].startswith("    field notes, bug 8.2; that an empty public_key")
    assert lines[-1] == "Nothing has been recorded on hardware."
    assert f"{3 * len(RULES)} facets of {len(RULES)} rules: " in out
    assert " 0 recorded, " in out
    assert max(map(len, lines)) <= 100


def test_the_counts_are_those_of_the_table(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    Draft202012Validator.check_schema(schema("fidelity"))
    made = answer(world, capsys)
    assert [row["id"] for row in made["rules"]] == [rule.id for rule in RULES]
    counts = made["facets"]
    assert counts["total"] == 3 * len(RULES) == sum(counts[each.value] for each in Evidence)
    assert counts["settled"] == counts["recorded"] == 0


def ask(world: World, recorded: Json, simulated: Json | None, *rules: str) -> None:
    """What hardware and the simulator answered to one observation."""
    world.recorded(record(ASKED, steps=[observed(recorded, *rules)]))
    if simulated is not None:
        world.ran(results("sim", scenario(ASKED, steps=[observed(simulated, *rules)])))


def test_a_record_that_agrees(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    ask(world, refused(), refused(), "public-key.missing", "key.disabled")
    made = answer(world, capsys)
    assert verdicts(made, "public-key.missing") == {"type": ["agrees"], "text": ["agrees"]}
    # It was to meet this one too, which did not speak.
    assert verdicts(made, "key.disabled") == {"order": ["agrees"]}
    known = facet(made, "public-key.missing", "type")
    # The table has not been changed, and is not said to have been.
    assert known["evidence"] == "reported"
    assert known["records"][0]["when"] == "2026-12-01T09:30:00Z"
    assert known["records"][0]["instance_type"] == "m6i.xlarge"
    assert made["facets"]["recorded"] == 0
    assert made["facets"]["settled"] == 3
    code, out = fidelity(world, capsys)
    assert code == 0
    assert "reported    reported    inferred    2026-12-01 (type, text)\n" in out
    assert "documented  reported    inferred    2026-12-01 (order)\n" in out
    assert "1 record of hardware with 1 observation: no difference." in out


ACCEPTED: Json = {"outcome": "result", "members": {}}
OLD = refused("too old [attested-kms: real text unknown, document.age]", "document.age")
OF_AGE = "ValidationException, HTTP 400"


@pytest.mark.parametrize(
    ("recorded", "simulated", "difference"),
    [
        (refused("Not a document"), OLD, ("document.age", "text", None, "Not a document")),
        (
            refused("Another text"),
            refused(),
            ("public-key.missing", "text", NO_PUBLIC_KEY, "Another text"),
        ),
        (
            refused("x", code="KMSInternalException", http_status=500),
            OLD,
            ("document.age", "type", OF_AGE, "KMSInternalException, HTTP 500"),
        ),
        (
            refused("<arn> is disabled.", code="DisabledException"),
            refused(),
            (
                *("public-key.missing", "order", "public-key.missing first"),
                "key.disabled first: DisabledException, HTTP 400: <arn> is disabled.",
            ),
        ),
        (
            refused("<arn> is not authorized", code="AccessDeniedException"),
            OLD,
            (
                *("document.age", "order", "document.age first"),
                "one of 8 rules first: AccessDeniedException, HTTP 400: <arn> is not authorized",
            ),
        ),
        (ACCEPTED, OLD, ("document.age", "type", OF_AGE, "accepted")),
        (
            refused("Too young"),
            ACCEPTED,
            ("document.age", "type", "accepted", f"{OF_AGE}: Too young"),
        ),
    ],
)
def test_a_record_that_differs(
    world: World,
    capsys: pytest.CaptureFixture[str],
    recorded: Json,
    simulated: Json,
    difference: tuple[str | None, ...],
) -> None:
    ask(world, recorded, simulated, "document.age")
    [found] = answer(world, capsys)["differences"]
    assert (found["rule"], found["facet"], found["table"], found["recorded"]) == difference
    code, out = fidelity(world, capsys)
    assert code == 1
    assert f"{difference[1]} DIFFERS)" in out
    assert f"  {difference[1]} of {difference[0]}\n" in out
    assert "unknowns.age_limit.validation.json, 2026-12-01 on m6i.xlarge" in out


def test_a_refusal_that_the_table_does_not_have(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(world, refused("No", code="NewException"), ACCEPTED, "document.age")
    [found] = answer(world, capsys)["differences"]
    assert (found["rule"], found["table"]) == (None, "accepted")
    assert "  type of a rule that the table does not have\n" in fidelity(world, capsys)[1]


def test_without_the_simulators_answer_nothing_is_decided(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rules are named for what they let pass as well; which would refuse, the simulator knows."""
    ask(world, ACCEPTED, None, "document.age", "key.disabled")
    made = answer(world, capsys)
    assert verdicts(made, "document.age") == {"type": ["undecided"]}
    assert verdicts(made, "key.disabled") == {"type": ["undecided"]}
    assert (made["exit_code"], made["facets"]["settled"]) == (0, 0)
    assert "1 answer is undecided: the simulator has not answered the same; `pyt" in " ".join(
        fidelity(world, capsys)[1].split()
    )


def test_both_accept(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    ask(world, ACCEPTED, {"outcome": "opened", "members": {}}, "document.age")
    made = answer(world, capsys)
    assert verdicts(made, "document.age") == {}
    assert made["exit_code"] == 0


def test_nobody_answered_and_rules_that_there_are_not(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = {"outcome": "failed", "message": "gone"}
    steps = [observed(lost, "document.age"), observed(refused(), "document.nothing", name="else")]
    world.recorded(record(ASKED, steps=steps))
    made = answer(world, capsys)
    assert (made["records"]["observations"], made["facets"]["settled"]) == (2, 0)


def test_a_rehearsal_settles_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    ask(world, refused(), refused("other"), "public-key.missing")
    seen = observed(refused("other"), "public-key.missing")
    world.recorded(record(ASKED, target="rehearsal", steps=[seen]))
    made = answer(world, capsys)
    assert (made["differences"], made["records"]["count"]) == ([], 0)
    assert made["records"]["left_out"] == ["unknowns.age_limit.validation.json"]
    assert "Left out, for they are not of hardware: unknowns.age_" in fidelity(world, capsys)[1]


def test_a_claim_without_a_record_is_a_difference(world: World) -> None:
    claims = [replace(RULES[0], text_evidence=Evidence.RECORDED)]
    made = survey(reading.read_records(world.records), None, claims)
    assert not made.agrees
    text = "\n".join(as_text(made, ()))
    assert f"  text of {RULES[0].id}\n    table     recorded\n    recorded  nothing here" in text


@pytest.fixture(name="suite")
def _suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite with two open questions, in place of the project's."""
    source = """
    def helper(): ...
    def test_age_limit():
        '''Which age is too old.

        More of it.
        '''
    def test_sizes(size):
        '''Which sizes are taken.'''
    """
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "test_unknowns.py").write_text(textwrap.dedent(source))
    monkeypatch.setattr(reading, "RECORDS", suite)
    return suite


def test_the_open_questions(world: World, suite: Path) -> None:
    world.recorded(record("unknowns/sizes[1024]"), record("unknowns/sizes-of-others"))
    found = unknowns(suite, None, reading.read_records(world.records))
    assert [(each.id, each.question, len(each.records)) for each in found] == [
        ("unknowns/age-limit", "Which age is too old.", 0),
        ("unknowns/sizes", "Which sizes are taken.", 1),
    ]


@pytest.mark.usefixtures("suite")
def test_only_the_open_questions(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.recorded(record("unknowns/sizes"))
    code, out = fidelity(world, capsys, "--unverified")
    assert code == 0
    assert out.splitlines() == [
        "Open questions of the suite that hardware has not answered, 1 of 2:",
        "  unknowns/age-limit",
        "    Which age is too old.",
    ]
    code, out = fidelity(world, capsys, "--unverified", "--json")
    assert json.loads(out)["unknowns"] == [
        {"id": "unknowns/age-limit", "question": "Which age is too old.", "recorded": None}
    ]
    recorded = {each["id"]: each["recorded"] for each in answer(world, capsys)["unknowns"]}
    assert recorded == {"unknowns/age-limit": None, "unknowns/sizes": "2026-12-01T09:30:00Z"}


def test_where_the_suite_is_not(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an installed wheel: the questions of the last run are known, if there was one."""
    monkeypatch.setattr(reading, "RECORDS", world.results)
    assert answer(world, capsys)["unknowns"] is None
    assert cli.main(["fidelity", *world.options, "--unverified"]) == 1
    assert "run this in a clone of the project" in capsys.readouterr().err
    world.ran(results("sim", scenario(ASKED)))
    assert "  unknowns/age-limit\n" in fidelity(world, capsys, "--unverified")[1]


def test_a_damaged_record(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.records / "a.validation.json").write_text("{")
    assert cli.main(["fidelity", *world.options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"attested-kms fidelity: {world.records / 'a.validation.json'}: ")
    assert said.err.count("\n") == 1


def test_a_record_cannot_steer_a_terminal(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    ask(world, refused("\x1b[2J\u202e"), refused(), "public-key.missing")
    code, out = fidelity(world, capsys)
    assert code == 1
    assert "\\x1b[2J\\u202e" in out
    assert all(each.isprintable() or each == "\n" for each in out)
