"""The Docker engine that build-enclave asks: never more than a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.doctor.checks import docker
from simulator.doctor.model import Outcome
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import SOCKET, doctor, only, parent, unit

SERVICE, GROUP = docker.CHECKS
AS_USER = {"PATH": "/usr/bin", "HOME": "/home/ec2-user", "USER": "ec2-user"}


@pytest.mark.parametrize(
    ("release", "install"),
    [
        ('ID="amzn"\nVERSION_ID="2023"\n', "dnf install -y docker && "),
        ('ID="amzn"\nVERSION_ID="2"\n', "amazon-linux-extras install -y docker && "),
        ("ID=ubuntu\nID_LIKE=debian\n", "apt-get install -y docker.io && "),
    ],
)
def test_without_an_engine_there_is_one_to_install(
    tmp_path: Path, release: str, install: str
) -> None:
    files = {"/usr/bin/docker": None, "/etc/os-release": release}
    finding = only(SERVICE, parent(tmp_path, files))
    assert finding.outcome is Outcome.WARNING
    assert finding.command == f"{install}systemctl enable --now docker.service"


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_stopped_engine_is_a_warning(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parent(tmp_path, {}, unit("docker.service", state, "disabled"))
    answer = doctor(folder, capsys)
    assert answer["exit_code"] == 0
    (finding,) = [one for one in answer["findings"] if one["check"] == "docker.service"]
    assert finding["outcome"] == "warning"
    assert finding["command"] == "systemctl enable --now docker.service"
    assert "E50" in finding["found"]


def test_an_engine_that_is_not_enabled_is_a_note(tmp_path: Path) -> None:
    commands = unit("docker.service", "active", "disabled")
    assert only(SERVICE, parent(tmp_path, {}, commands)).outcome is Outcome.NOTE


@pytest.mark.parametrize("socket", ["", None])
def test_without_systemd_the_socket_is_looked_for(tmp_path: Path, socket: str | None) -> None:
    refused = command(
        "systemctl", "is-active", "docker.service", exit_code=1, stderr="Failed to connect to bus\n"
    )
    finding = only(SERVICE, parent(tmp_path, {SOCKET: socket}, [refused]))
    assert finding.outcome is Outcome.NOTE
    assert finding.found.endswith("is there" if socket is not None else "is not there either")


def test_another_engine_is_not_looked_at(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "DOCKER_HOST": "tcp://10.0.0.1:2375\x1b"}
    folder = parent(tmp_path, environ=environ)
    assert only(SERVICE, folder).outcome is Outcome.NOTE
    assert "\x1b" not in only(SERVICE, folder).found
    assert only(GROUP, folder).outcome is Outcome.SKIPPED


def test_a_user_joins_the_group(tmp_path: Path) -> None:
    files = {"/etc/group": "docker:x:992:\n"}
    folder = parent(tmp_path, files, user_id=1000, environ=AS_USER, writable=[])
    finding = only(GROUP, folder)
    assert (finding.outcome, finding.command) == (
        Outcome.WARNING,
        "usermod -aG docker ec2-user",
    )


def test_a_member_logs_in_again(tmp_path: Path) -> None:
    finding = only(GROUP, parent(tmp_path, user_id=1000, environ=AS_USER, writable=[]))
    assert finding.outcome is Outcome.WARNING
    assert "Log out and in again" in finding.fix


def test_who_may_use_it_is_told_so(tmp_path: Path) -> None:
    folder = parent(tmp_path, user_id=1000, environ=AS_USER, writable=[SOCKET])
    assert only(GROUP, folder).outcome is Outcome.OK
    assert only(GROUP, parent(tmp_path / "other", {SOCKET: None})).outcome is Outcome.SKIPPED
