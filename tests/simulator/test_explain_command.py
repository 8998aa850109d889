"""The command `attested-kms explain` as a user runs it: exit codes, streams, forms."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from simulator import cli
from simulator.commands import explain as command
from simulator.explanations import BY_ID, EXPLANATIONS, Sdk, explain
from simulator.explanations.report import as_json, list_as_json

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "simulator" / "schemas" / "explain.schema.json").read_text())
TRANSCRIPTS = yaml.safe_load((Path(__file__).parent / "transcripts.yaml").read_text())

NO_KEY = "You must specify a recipient public key in this request."
NO_ALGORITHM = "You must specify an encryption algorithm in this request."
UNRELATED = "docker: Error response from daemon: pull access denied for app"


def run(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "simulator.cli", "explain", *arguments],
        input=text,
        capture_output=True,
        check=False,
    )


def test_the_command_as_a_user_runs_it() -> None:
    result = run("-", text=NO_KEY.encode() + b"\xff\xfe")
    assert (result.returncode, result.stderr) == (0, b"")
    shown = result.stdout.decode()
    assert shown.startswith("public-key.missing\n")
    assert shown.index("Fix") < shown.index("Meaning") < shown.index("Causes")
    for part in ("Rust", "AWS CLI", "bug 8.2", "text reported", "field notes, bug 8.2"):
        assert part in shown


def test_one_sdk_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "--sdk", "go", *NO_ALGORITHM.split()]) == 0
    shown = capsys.readouterr().out
    assert "KeyEncryptionMechanismRsaesOaepSha256" in shown
    assert "Python" not in shown


def test_unknown_says_so_and_what_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", UNRELATED]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("unknown")
    for help_ in ("attested-kms inspect", "GET /calls", "x-attested-kms-rule"):
        assert help_ in shown


@pytest.mark.parametrize("arguments", [[], ["  "], ["--list", "text"], [""]], ids=str)
def test_no_text_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", *arguments]) == 2
    assert capsys.readouterr().err.startswith("attested-kms explain: ")


def test_empty_input_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    assert cli.main(["explain", "-"]) == 2
    assert "no text" in capsys.readouterr().err


def test_a_log_that_takes_long_is_announced_and_a_huge_one_refused() -> None:
    log = b"a line of a log\n" * 80_000 + NO_KEY.encode()
    result = run("-", text=log)
    assert (result.returncode, result.stderr) == (
        0,
        b"attested-kms explain: 1 MB to search, a second or so for each\n",
    )
    assert result.stdout.startswith(b"public-key.missing\n")
    result = run("-", text=b"\0" * (command.MAX_TEXT + 1))
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"Give the part around the error, as in tail" in result.stderr


def test_an_unknown_sdk_is_wrong_usage() -> None:
    result = run("--sdk", "cobol", "text")
    assert result.returncode == 2
    assert b"cobol" in result.stderr


def test_the_list_has_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(BY_ID)


def test_json_is_as_its_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    texts = [*(item["text"] for item in TRANSCRIPTS), UNRELATED]
    for text in texts:
        jsonschema.validate(as_json(explain(text), text, None), SCHEMA)
    jsonschema.validate(list_as_json(Sdk.RUST), SCHEMA)
    assert cli.main(["explain", "--json", "--sdk", "c", NO_KEY]) == 0
    answer = json.loads(capsys.readouterr().out)
    jsonschema.validate(answer, SCHEMA)
    (entry,) = answer["explanations"]
    assert (entry["id"], entry["found"], set(entry["fix_per_sdk"])) == (
        "public-key.missing",
        NO_KEY.rstrip("."),
        {"c"},
    )
    assert cli.main(["explain", "--json", "--list"]) == 0
    assert len(json.loads(capsys.readouterr().out)["explanations"]) == len(EXPLANATIONS)


def test_the_sdks_on_offer_are_those_there_are() -> None:
    assert list(command.SDKS) == [sdk.value for sdk in Sdk]


@pytest.mark.parametrize("words", [[], ["-"]])
def test_what_is_redirected_to_it_is_read(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Docker error: PullError\n")))
    assert cli.main(["explain", *words]) == 0
    assert "attested-kms machine load" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["-"]])
def test_a_closed_standard_input_is_no_text(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["explain", *words]) == 2
    assert "There is no text to explain" in capsys.readouterr().err
