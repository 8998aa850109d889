"""doctor: what this project's own tools need."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.doctor.checks import harness
from simulator.doctor.checks.harness import CHECKS, judge_packages, judge_supervisor
from simulator.doctor.folder import FolderHost
from simulator.doctor.host import Host, HostKind
from simulator.doctor.model import Finding, Outcome
from simulator.doctor.this_machine import ThisMachine
from tests.simulator.doctor_hosts import command, host, written
from tests.simulator.doctor_servers import findings

AMAZON = 'NAME="Amazon Linux"\nVERSION="2023"\nID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n'
DEBIAN = "PRETTY_NAME=Debian\nID=debian\n"
UBUNTU = "ID=ubuntu\nID_LIKE=debian\n"
VENV = ("-c", "import ensurepip, venv")


def _asked(check: str, machine: Host) -> Finding:
    (found,) = findings(CHECKS, f"harness.{check}", machine)
    return found


def _python(name: str, version: str, *, venv: int = 0) -> list[dict[str, Any]]:
    return [
        command(name, "--version", stdout=f"Python {version}\n"),
        command(name, *VENV, exit_code=venv),
    ]


@pytest.mark.parametrize(
    ("release", "fix"),
    [
        (AMAZON, "dnf install -y python3.11 python3.11-pip"),
        (DEBIAN, "apt-get update && apt-get install -y python3.11 python3.11-venv"),
        (UBUNTU, "apt-get update && apt-get install -y python3.11 python3.11-venv"),
        ("ID=arch\n", ""),
        ("", ""),
    ],
)
def test_an_old_python_is_named_with_what_installs_another(
    tmp_path: Path, release: str, fix: str
) -> None:
    machine = host(tmp_path, {"/etc/os-release": release}, commands=_python("python3", "3.9.20"))
    found = _asked("python", machine)
    assert found.outcome is Outcome.WARNING
    assert "python3 is 3.9" in found.found
    assert found.command == fix


def test_the_one_beside_it_is_taken(tmp_path: Path) -> None:
    commands = [*_python("python3", "3.9.20"), *_python("python3.11", "3.11.9")]
    found = _asked("python", host(tmp_path, commands=commands))
    assert found.outcome is Outcome.OK
    assert "python3.11 is 3.11" in found.found


def test_one_without_ensurepip_is_passed_over_for_one_with_it(tmp_path: Path) -> None:
    commands = [*_python("python3.12", "3.12.3", venv=1)]
    alone = _asked("python", host(tmp_path / "a", {"/etc/os-release": UBUNTU}, commands=commands))
    assert alone.outcome is Outcome.WARNING
    assert alone.command == "apt-get update && apt-get install -y python3.12-venv"
    commands += _python("python3", "3.13.0")
    assert _asked("python", host(tmp_path / "b", commands=commands)).outcome is Outcome.OK


@pytest.mark.parametrize(
    "commands",
    [
        [],
        [command("python3", "--version", exit_code=127)],  # A shim of pyenv.
        [command("python3", "--version", hangs=True)],
        [command("python3", "--version", stdout={"base64": "/////w=="})],
        [command("python3", "--version", stdout="Jython\n")],
        [command("python3", "-x")],
    ],
)
def test_what_tells_no_version_is_no_python(tmp_path: Path, commands: list[dict[str, Any]]) -> None:
    found = _asked("python", host(tmp_path, commands=commands))
    assert found.outcome is Outcome.WARNING
    assert found.fix


def test_a_name_tells_the_version_where_nothing_can_be_run(tmp_path: Path) -> None:
    """As on a simulated machine, where a package brings just the file."""
    machine = host(tmp_path, {"/usr/bin/python3.11": "", "/usr/bin/python3": ""})
    assert _asked("python", machine).outcome is Outcome.OK


def test_the_python_of_amazon_linux_is_known_to_be_too_old(tmp_path: Path) -> None:
    machine = host(tmp_path, {"/usr/bin/python3": "", "/etc/os-release": AMAZON})
    found = _asked("python", machine)
    assert "python3 is 3.9" in found.found
    assert found.command == "dnf install -y python3.11 python3.11-pip"


def test_this_python_is_found_on_this_machine() -> None:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    assert _asked("python", ThisMachine(environ)).outcome is Outcome.OK


def test_the_packages_of_this_python_are_there() -> None:
    found = _asked("packages", ThisMachine(os.environ))
    assert found.outcome in (Outcome.OK, Outcome.WARNING)
    assert found.outcome is Outcome.OK or "not installed" in found.found


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({}, "boto3 is missing"),
        ({"boto3": "1.9"}, "boto3 is 1.9, older than 1.40"),
        ({"boto3": "1.40"}, ""),
        ({"boto3": "1.40.0"}, ""),
        ({"boto3": "1.40rc1"}, ""),
        ({"boto3": "2"}, ""),
    ],
)
def test_packages_are_compared_by_their_release(installed: Mapping[str, str], said: str) -> None:
    found = judge_packages(["boto3>=1.40"], installed.get, lambda _: "")
    assert found.outcome is (Outcome.WARNING if said else Outcome.OK)
    assert said in found.found


def test_a_package_that_cannot_be_imported_is_said_with_the_reason() -> None:
    trouble = {"yaml": "libyaml.so.0: cannot open shared object file"}
    found = judge_packages(
        ["pyyaml>=6.0.2", 'tomli>=2; python_version < "3.11"'],
        lambda _: "9",
        lambda module: trouble.get(module, ""),
    )
    assert found.outcome is Outcome.WARNING
    assert "libyaml.so.0" in found.found
    assert "attested-kms" in found.command


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.integers(0, 3))
def test_zeros_at_the_end_of_a_version_count_for_nothing(parts: list[int], zeros: int) -> None:
    version = ".".join(map(str, parts))
    longer = version + ".0" * zeros
    found = judge_packages([f"a>={longer}"], lambda _: version, lambda _: "")
    assert found.outcome is Outcome.OK


def test_supervision_is_tried_on_this_machine() -> None:
    found = _asked("supervisor", ThisMachine(os.environ))
    assert found.outcome in (Outcome.OK, Outcome.NOTE, Outcome.WARNING)
    assert "attested-kms run" in found.found


def test_the_second_best_technique_is_a_note_and_none_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second = judge_supervisor({"best": "this user may make no namespaces", "other": None})
    assert second.outcome is Outcome.NOTE
    assert "no namespaces" in second.found
    none = {"best": "the profile refuses", "other": "the profile refuses"}
    monkeypatch.setattr(harness, "_can_be_mended", lambda: True)
    assert judge_supervisor(none).outcome is Outcome.WARNING
    monkeypatch.setattr(harness, "_can_be_mended", lambda: False)
    elsewhere = judge_supervisor(none)
    assert elsewhere.outcome is Outcome.NOTE
    assert "fabric" in elsewhere.found


@pytest.mark.parametrize("check", ["packages", "supervisor"])
def test_of_other_machines_it_is_not_told(tmp_path: Path, check: str) -> None:
    assert _asked(check, host(tmp_path)).outcome is Outcome.SKIPPED


def test_the_loopback_module_is_looked_for(tmp_path: Path) -> None:
    there = host(tmp_path / "a", {"/sys/module/vsock_loopback/refcnt": "0\n"})
    assert _asked("vsock-loopback", there).outcome is Outcome.OK
    found = _asked("vsock-loopback", host(tmp_path / "b"))
    assert found.outcome is Outcome.NOTE
    assert "CID 1" in found.found


def test_a_simulated_machine_has_its_fabric(tmp_path: Path) -> None:
    class Simulated(FolderHost):
        kind = HostKind.SIMULATED

    assert _asked("vsock-loopback", Simulated(written(tmp_path))).outcome is Outcome.SKIPPED


def test_nothing_of_the_harness_is_an_error_or_changes_anything(tmp_path: Path) -> None:
    outcomes = [each.outcome for check in CHECKS for each in check.probe(host(tmp_path))]
    assert Outcome.ERROR not in outcomes
