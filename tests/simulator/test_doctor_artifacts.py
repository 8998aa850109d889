"""Bug 3 of the field notes before it comes: the folder in which build-enclave works."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.doctor.checks.artifacts import CHECKS
from simulator.doctor.model import Finding, Outcome
from tests.simulator.doctor_hosts import host

(FOLDER,) = CHECKS


def found(tmp_path: Path, **described: object) -> Finding:
    (finding,) = FOLDER.probe(host(tmp_path, {"/etc/motd": ""}, **described))
    return finding


def test_with_neither_variable_there_is_none(tmp_path: Path) -> None:
    finding = found(tmp_path, environ={"PATH": "/usr/bin"})
    assert finding.outcome is Outcome.ERROR
    assert finding.found == "Neither NITRO_CLI_ARTIFACTS nor HOME is set"
    assert finding.command == "export HOME=/root"


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({"HOME": "/root"}, "/root/.nitro_cli can be made (HOME)"),
        ({"HOME": "/root/"}, "/root/.nitro_cli can be made (HOME)"),
        (
            {"NITRO_CLI_ARTIFACTS": "/root/deep/er"},
            "/root/deep/er can be made (NITRO_CLI_ARTIFACTS)",
        ),
        (
            {"NITRO_CLI_ARTIFACTS": "/root", "HOME": "/nowhere"},
            "/root is there (NITRO_CLI_ARTIFACTS)",
        ),
    ],
)
def test_a_folder_that_can_be_written_is_enough(
    tmp_path: Path, environ: dict[str, str], shown: str
) -> None:
    finding = found(tmp_path, environ=environ, writable=["/root"])
    assert (finding.outcome, finding.found) == (Outcome.OK, shown)


@pytest.mark.parametrize("home", ["/", ""])
def test_the_root_folder_as_home_is_for_root_alone(tmp_path: Path, home: str) -> None:
    finding = found(tmp_path, environ={"HOME": home}, user_id=1000)
    assert finding.outcome is Outcome.ERROR
    assert "this user may not write in / (E19)" in finding.found
    again = found(tmp_path, environ={"HOME": home}, writable=["/"])
    assert again.found == "/.nitro_cli can be made (HOME)"


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"NITRO_CLI_ARTIFACTS": "", "HOME": "/root"}, "empty: it names no folder (E48)"),
        ({"NITRO_CLI_ARTIFACTS": "/etc/motd"}, "/etc/motd is no folder (E19)"),
        ({"NITRO_CLI_ARTIFACTS": "/etc/motd/x"}, "/etc/motd is no folder (E19)"),
        ({"HOME": "/home/nobody"}, "this user may not write in / (E19)"),
    ],
)
def test_a_variable_may_lead_nowhere(tmp_path: Path, environ: dict[str, str], why: str) -> None:
    finding = found(tmp_path, environ=environ, writable=["/root"])
    assert finding.outcome is Outcome.ERROR
    assert why in finding.found
    assert finding.command == "export NITRO_CLI_ARTIFACTS=/tmp/nitro-cli-artifacts"


def test_a_relative_folder_is_another_everywhere(tmp_path: Path) -> None:
    finding = found(tmp_path, environ={"NITRO_CLI_ARTIFACTS": "artifacts"})
    assert finding.outcome is Outcome.WARNING
