"""The suite around a stub of a target: what a run leaves, records, and holds to its records."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scenarios.records import AWS_ROOT_SHA256, read

ROOT = Path(__file__).resolve().parents[2]
OTHER_ROOT = "ab" * 32

SCENARIOS = '''
import os
import signal
import pytest
from scenarios.target import Capability, PublicKeyForm

@pytest.mark.inferred("nothing")
def test_refused(target, observe):
    """The wrong form is refused. It is observed."""
    observe("pkcs1", target.enclave().run("Decrypt", {}, public_key=PublicKeyForm.PKCS1))

@pytest.mark.inferred("nothing")
def test_failed(target):
    """It fails."""
    assert target.name == "arn:aws:iam::123456789012:root"

@pytest.mark.needs(Capability.PASS_HOURS)
@pytest.mark.inferred("nothing")
def test_skipped(target):
    """It is skipped."""

@pytest.fixture
def broken(target):
    raise ConnectionError("nobody there")

@pytest.mark.inferred("nothing")
def test_broken(broken):
    """Its fixture fails."""

@pytest.mark.inferred("nothing")
def test_interrupted(target):
    """Somebody wants to go home."""
    if "STUB_INTERRUPT" in os.environ:
        os.kill(os.getpid(), int(os.environ["STUB_INTERRUPT"]))
        signal.pause()
'''
REFUSED = "area.refused.validation.json"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with the suite's own files, a stub as each target, and five scenarios."""
    for folder in ("scenarios", "simulator"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    # The root conftest has options of its.
    shutil.copytree(ROOT / "real_hw", tmp_path / "real_hw")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    for file in (ROOT / "scenarios").glob("*.py"):
        if not file.name.startswith(("test_", "conftest")):
            shutil.copy(file, tmp_path / "scenarios")
    stub = Path(__file__).with_name("stub_target.py")
    for folder in ("simulator", "real_hw"):
        shutil.copy(stub, tmp_path / folder / "target.py")
    (tmp_path / "scenarios" / "test_area.py").write_text(SCENARIOS)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npythonpath = ["."]\naddopts = ["--import-mode=importlib"]\n'
    )
    return tmp_path


def run(suite: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "scenarios", *arguments],
        cwd=suite,
        env={**os.environ, **plugins, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def results(suite: Path, target: str) -> dict[str, dict[str, Any]]:
    document = json.loads((suite / ".results" / f"{target}.json").read_text())
    return {scenario["id"]: scenario for scenario in document["scenarios"]}


def test_a_run_on_hardware_leaves_results_and_records(suite: Path) -> None:
    ran = run(suite, "--target", "hardware", STUB_ROOT=AWS_ROOT_SHA256)
    assert ran.returncode == 1
    assert "Passing scenarios were recorded as hardware in" in ran.stdout
    came = results(suite, "hardware")
    assert {name: it["outcome"] for name, it in came.items()} == {
        "area/refused": "passed",
        "area/failed": "failed",
        "area/skipped": "skipped",
        "area/broken": "error",
        "area/interrupted": "passed",
    }
    assert came["area/skipped"]["reason"] == "the target stub lacks pass-hours"
    assert "nobody there" in came["area/broken"]["reason"]
    assert "arn:aws:iam::<account>:root" in came["area/failed"]["reason"]
    assert [step["kind"] for step in came["area/refused"]["steps"]] == ["kms", "observation"]
    records = {file.name for file in (suite / "scenarios").glob("*.json")}
    assert records == {REFUSED, "area.interrupted.validation.json"}
    assert read(suite / "scenarios" / REFUSED).provenance["region"] == "eu-central-1"

    held = run(suite, "-k", "refused", STUB_MESSAGE="Another text")
    assert held.returncode == 1
    assert "Not as recorded on hardware on 20" in held.stdout
    assert "pkcs1: message is 'Another text', recorded is 'Invalid public key'" in held.stdout
    assert results(suite, "sim")["area/refused"]["outcome"] == "failed"

    due = run(suite, "--target", "hardware", "--revalidate-older-than", "1", "-k", "refused")
    assert due.returncode == 0
    assert "All 1 scenarios have a record of less than 1 days: nothing is due." in due.stdout


def test_a_rehearsal_is_recorded_where_it_was_told_to(suite: Path) -> None:
    nowhere = run(suite, "--target", "hardware", "-k", "refused", STUB_ROOT=OTHER_ROOT)
    assert nowhere.returncode == 0
    assert f"the enclave's documents has the SHA-256 {OTHER_ROOT}, and" in nowhere.stdout
    assert list((suite / "scenarios").glob("*.json")) == []

    folder = str(suite / "rehearsed")
    ran = run(
        suite, "--target", "hardware", "-k", "refused", "--records", folder, STUB_ROOT=OTHER_ROOT
    )
    assert "recorded as rehearsal in" in ran.stdout
    assert read(suite / "rehearsed" / REFUSED).target == "rehearsal"
    assert list((suite / "scenarios").glob("*.json")) == []


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 2), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_what_has_run(
    suite: Path, number: signal.Signals, exit_code: int
) -> None:
    ran = run(suite, STUB_INTERRUPT=str(int(number)))
    assert ran.returncode == exit_code
    assert (suite / "closed").exists()
    came = results(suite, "sim")
    assert came["area/refused"]["outcome"] == "passed"
    cut = came["area/interrupted"]
    assert (cut["outcome"], cut["reason"]) == ("error", "The run ended before it did.")


def test_a_damaged_record_stops_the_run_before_it_begins(suite: Path) -> None:
    (suite / "scenarios" / REFUSED).write_text("{}")
    ran = run(suite)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{REFUSED}: the record is damaged, its version is None" in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert (suite / "scenarios" / REFUSED).read_text() == "{}"
    assert not (suite / ".results").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--revalidate-older-than", "soon"), "'soon' is no number of days"),
        (("--records", "anywhere"), "--records with --target sim"),
    ],
)
def test_wrong_usage(suite: Path, arguments: tuple[str, ...], sentence: str) -> None:
    ran = run(suite, *arguments)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert sentence in ran.stderr


def test_results_that_cannot_be_written_fail_nothing(suite: Path) -> None:
    (suite / ".results").write_text("a file")
    ran = run(suite, "-k", "refused")
    assert ran.returncode == 0
    assert "The results were not written into" in ran.stdout
