"""`attested-kms doctor` as a command: its choices, its exit codes, its sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from simulator import cli
from simulator.commands import doctor as doctor_command
from simulator.doctor.checks import AREAS, CHECKS
from simulator.doctor.examine import area_of
from simulator.doctor.model import Role
from simulator.environment import without_aws
from simulator.explanations.table import BY_ID
from simulator.schema_check import schema
from tests.simulator.doctor_hosts import command, written

ROOT = Path(__file__).resolve().parents[2]
AS_PARENT = ("--as", "parent", "--only", "artifacts")

COUNTING = """\
import ipaddress, sys
from simulator import cli
def watch(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in ("localhost", "127.0.0.1"):
        beyond.append(arguments[0])
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if not ipaddress.ip_address(arguments[1][0]).is_loopback:
            beyond.append(arguments[1])
beyond = []
sys.addaudithook(watch)
cli.main(sys.argv[1:])
print(beyond, file=sys.stderr)
"""
"""Doctor in a process that sees each name that is looked up, and each address that is dialled."""


def doctor(*words: str) -> int:
    return cli.main(["doctor", *words])


@pytest.fixture(name="broken")
def _broken(tmp_path: Path) -> str:
    return str(written(tmp_path / "broken", environ={"PATH": "/usr/bin"}))


@pytest.fixture(name="sound")
def _sound(tmp_path: Path) -> str:
    return str(written(tmp_path / "sound", environ={"HOME": "/root"}, writable=["/root"]))


@pytest.fixture(name="doubtful")
def _doubtful(tmp_path: Path) -> str:
    return str(written(tmp_path / "doubtful", environ={"HOME": "/root/x"}, denied=["/root"]))


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
    assert doctor("--host", broken, *AS_PARENT) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{broken}, examined as parent"
    assert "error: artifacts.folder: nitro-cli build-enclave has a folder to work in" in lines
    assert "next: artifacts.folder" in lines
    assert lines[-1] == "  run     export HOME=/root"


def test_nothing_comes_next_where_nothing_is_wrong(
    sound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = as_json(capsys, "--host", sound, *AS_PARENT)
    assert (answer["exit_code"], answer["next"]) == (0, None)
    assert answer["counts"] == {"error": 0, "warning": 0, "note": 0, "ok": 1, "skipped": 0}


def test_the_exit_code_is_that_of_what_was_asked(
    broken: str, sound: str, doubtful: str, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {
        (name, fail_on): doctor("--host", folder, *AS_PARENT, "--fail-on", fail_on)
        for name, folder in {"broken": broken, "sound": sound, "doubtful": doubtful}.items()
        for fail_on in ("error", "warning", "none")
    }
    assert {key for key, code in codes.items() if code == 1} == {
        ("broken", "error"),
        ("broken", "warning"),
        ("doubtful", "warning"),
    }
    assert set(codes.values()) == {0, 1}
    assert "/root/x cannot be read (Permission denied)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "none"), "none: there is no such folder"),
        (("--machine", "none"), "There is no machine in none"),
        (("--only", "artifact"), "artifacts.folder meant?"),
        (("--only", "artifacts,,"), "There is no check ''"),
        (("--explain", "artifacts.foldr"), "is artifacts.folder or artifacts meant?"),
        (("--list", "--json"), "--json goes with an examination only"),
        (("--list", "--record", "x"), "--record goes with an examination only"),
        (("--this-machine", "--record", "."), "give a folder that is new"),
    ],
)
def test_wrong_usage_is_a_sentence(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(*words) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("attested-kms doctor: ")
    assert said in error


@pytest.mark.parametrize(
    "words",
    [
        ("--host", "a", "--machine", "b"),
        ("--this-machine", "--host", "a"),
        ("--list", "--explain", "artifacts"),
        ("--as", "laptop"),
        ("--fail-on", "note"),
    ],
)
def test_choices_that_exclude_each_other(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor(*words)
    assert ended.value.code == 2
    assert "attested-kms doctor: error: " in capsys.readouterr().err


def test_a_machine_that_is_a_folder_is_not_recorded(
    sound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor("--host", sound, "--record", "elsewhere") == 2
    assert "is a folder already" in capsys.readouterr().err


def test_a_check_is_explained_without_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor("--explain", "artifacts.folder") == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "artifacts.folder: nitro-cli build-enclave has a folder to work in",
        "Artifacts path environment variable not set",
        "bug 3 of the field notes",
        "src/lib.rs (inferred)",
        "host.artifacts-path, as attested-kms explain has it",
        BY_ID["host.artifacts-path"].fix,
    ):
        assert part in text


def test_all_checks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [check.id for check in CHECKS]
    assert doctor("--list", "--only", "artifacts") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_what_takes_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    written_to = threading.Event()
    lines: list[str] = []

    class Terminal:
        def write(self, text: str) -> None:
            lines.append(text)
            written_to.set()

        def flush(self) -> None:
            """Nothing is held back."""

    monkeypatch.setattr(doctor_command, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with doctor_command._watched(CHECKS[0]):
        assert written_to.wait(30)
    assert lines[0].startswith(f"attested-kms doctor: still looking at {CHECKS[0].id}")


@pytest.mark.parametrize("role", ["parent", "development"])
def test_without_network_nothing_beyond_this_machine_is_asked(role: str, tmp_path: Path) -> None:
    environ = without_aws(os.environ) | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    environ.pop("ATTESTED_KMS_MACHINE", None)
    words = ["doctor", "--this-machine", "--as", role, "--json"]
    ran = subprocess.run(
        [sys.executable, "-c", COUNTING, *words],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr.splitlines()[-1] == "[]"
    Draft202012Validator(schema("doctor")).validate(json.loads(ran.stdout))
    assert list(tmp_path.iterdir()) == []


def test_a_preflight_where_there_is_nothing_says_all_that_is_missing_and_makes_nothing(
    tmp_path: Path,
) -> None:
    with create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    environ = without_aws(os.environ) | {
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": nobody,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": nobody,
    }
    environ.pop("ATTESTED_KMS_MACHINE", None)
    del environ["AWS_EC2_METADATA_DISABLED"]
    words = ["doctor", "--this-machine", "--hardware", "--json", "--patience", "8"]
    ran = subprocess.run(
        [sys.executable, "-c", COUNTING, *words],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr.splitlines()[-1] == "[]"
    answer = json.loads(ran.stdout)
    Draft202012Validator(schema("doctor")).validate(answer)
    missing = {entry["check"] for entry in answer["missing"]}
    assert missing >= {"hardware.instance-type", "hardware.credentials", "hardware.identity"}
    assert answer["exit_code"] == 1
    permissions = [each for each in answer["findings"] if each["check"].startswith("permissions.")]
    assert {each["outcome"] for each in permissions} == {"skipped"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("role", [role.value for role in Role])
@pytest.mark.parametrize(
    "described",
    [
        {},
        {"user_id": 1000, "denied": ["/"]},
        {"environ": {"PATH": "", "HOME": "\n\x1b[2J", "NITRO_CLI_ARTIFACTS": "$(reboot)"}},
        {"commands": [command("rpm", stdout={"base64": "/w=="}), command("nitro-cli")]},
    ],
)
def test_no_machine_is_too_odd_for_any_check(
    tmp_path: Path, described: dict[str, Any], role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(written(tmp_path, **described))
    as_json(capsys, "--host", folder, "--as", role)
    assert doctor("--host", folder, "--as", role, "--fail-on", "none") == 0
    assert capsys.readouterr().out.replace("\n", "").isprintable()


def test_the_table_is_whole() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    areas = [area_of(check) for check in CHECKS]
    assert sorted(areas, key=AREAS.index) == areas
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= set(ids[:number]), check.id
        assert set(check.explains) <= set(BY_ID), check.id
        assert check.roles, check.id
        for text in (check.title, check.why, check.source):
            assert text, check.id
            assert not text.endswith("."), check.id


def test_every_module_of_checks_has_its_place() -> None:
    modules = {path.stem for path in (ROOT / "simulator/doctor/checks").glob("[!_]*.py")}
    assert modules <= set(AREAS)
