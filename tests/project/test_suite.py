"""What a scenario must declare, enforced at collection; and targets that are not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from simulator.schema_check import schema

ROOT = Path(__file__).resolve().parents[2]

GOOD = '''
import pytest
@pytest.mark.documented("an AWS page")
def test_something():
    """Who does what, and what must happen."""
'''


def collect(tmp_path: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest's collection of one scenario under a copy of the root conftest."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "scenarios").mkdir()
    for file in (ROOT / "scenarios").glob("*.py"):
        if not file.name.startswith(("test_", "conftest")):
            (tmp_path / "scenarios" / file.name).write_text(file.read_text())
    (tmp_path / "scenarios" / "test_area.py").write_text(source)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npythonpath = ["."]\naddopts = ["--strict-markers"]\n'
    )
    return pytest_in(tmp_path, "scenarios", *arguments)


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_good_scenario_is_run_and_shown(tmp_path: Path) -> None:
    result = collect(tmp_path, GOOD)
    assert result.returncode == 0, result.stdout
    assert "area/something  documented  passed" in result.stdout
    assert "A pass in the simulator is not a pass on hardware." in result.stdout


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (GOOD.replace('@pytest.mark.documented("an AWS page")', ""), "has 0 evidence markers"),
        (
            GOOD.replace("def ", '@pytest.mark.inferred("a guess")\ndef '),
            "has 2 evidence markers",
        ),
        (GOOD.replace('("an AWS page")', ""), "its marker documented names no source"),
        (GOOD.replace('"an AWS page"', '""'), "its marker documented names no source"),
        (GOOD.replace('"""Who does what, and what must happen."""', "pass"), "has no docstring"),
        (
            GOOD.replace("documented", "recorded"),
            "is marked recorded and area.something.validation.json does not exist",
        ),
    ],
)
def test_a_scenario_that_declares_too_little_stops_the_run(
    tmp_path: Path, source: str, complaint: str
) -> None:
    result = collect(tmp_path, source)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"scenarios/test_area.py::test_something: {complaint}" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_the_hardware_target_says_in_a_sentence_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    result = pytest_in(ROOT, "scenarios", "--target", "hardware", "--results", str(tmp_path))
    assert result.returncode == 1
    assert "This machine cannot run the suite" in result.stdout
    assert "Nothing was made" in result.stdout
    assert "Traceback" not in result.stdout


ONE = ("scenarios", "-k", "test_empty_recipient")


def test_the_suite_says_what_it_stood_on(tmp_path: Path) -> None:
    result = pytest_in(ROOT, *ONE, "--transport", "fabric", "--results", str(tmp_path))
    assert result.returncode == 0, result.stdout
    assert "Its programs used Unix sockets of the fabric." in result.stdout
    results = json.loads((tmp_path / "sim.json").read_text())
    assert results["transport"] == "Unix sockets of the fabric"
    assert list(Draft202012Validator(schema("results")).iter_errors(results)) == []
    [scenario] = results["scenarios"]
    assert (scenario["id"], scenario["outcome"]) == ("recipient/empty-recipient", "passed")
    assert [step["kind"] for step in scenario["steps"]] == ["key", "kms", "kms"]


@pytest.mark.parametrize(
    ("transport", "sentence"),
    [
        ("supervised", "The workload cannot be supervised: nothing works here."),
        ("auto", "Its programs used Unix sockets of the fabric: nothing works here."),
    ],
)
def test_where_nothing_can_be_supervised(tmp_path: Path, transport: str, sentence: str) -> None:
    elsewhere = (
        "import sys, pytest; from simulator.interpose import probe; "
        "probe._why_not_try = lambda: 'nothing works here'; sys.exit(pytest.main())"
    )
    result = subprocess.run(
        [
            *(sys.executable, "-c", elsewhere, "-p", "no:cacheprovider", *ONE),
            *("--transport", transport, "--results", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert sentence in result.stdout
    assert (result.returncode == 0) == (transport == "auto")


def test_an_unknown_target_is_wrong_usage() -> None:
    result = pytest_in(ROOT, "scenarios", "--target", "moon")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "invalid choice: 'moon'" in result.stderr


NEEDY = '''
import pytest
from scenarios.target import Capability
@pytest.mark.needs(Capability.PASS_HOURS)
@pytest.mark.inferred("nothing")
def test_needy(target):
    """The target lets hours pass."""
'''


def test_a_missing_capability_skips_with_its_name(tmp_path: Path) -> None:
    poor = "class PoorTarget:\n    name = 'poor'\n    capabilities = frozenset()\n"
    poor += "    def __init__(self, transport):\n        pass\n"
    poor += "    role_arn = account_root = ''; kms = None; provenance = {}\n"
    poor += "    def close(self):\n        pass\n"
    (tmp_path / "poor.py").write_text(poor)
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "__init__.py").write_text("")
    (tmp_path / "simulator" / "target.py").write_text(
        "from poor import PoorTarget as SimulatorTarget\n"
    )
    result = collect(tmp_path, NEEDY, "-rs")
    assert "the target poor lacks pass-hours" in result.stdout
    assert result.returncode == 0, result.stdout
    assert "area/needy  inferred    skipped" in result.stdout
