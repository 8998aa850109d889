"""doctor: vsock.device."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.doctor.checks.vsock import CHECKS
from simulator.doctor.folder import FolderHost
from simulator.doctor.host import HostKind
from simulator.doctor.model import Finding, Outcome
from tests.simulator.doctor_hosts import host
from tests.simulator.doctor_servers import findings


def _asked(machine: FolderHost) -> Finding:
    (found,) = findings(CHECKS, "vsock.device", machine)
    return found


def test_the_device_is_enough(tmp_path: Path) -> None:
    assert _asked(host(tmp_path, devices=["/dev/vsock"])).outcome is Outcome.OK


def test_root_may_open_what_nobody_else_may(tmp_path: Path) -> None:
    root = host(tmp_path / "root", devices=["/dev/vsock"], user_id=0)
    assert _asked(root).outcome is Outcome.OK
    user = host(tmp_path / "user", devices=["/dev/vsock"], user_id=1000)
    found = _asked(user)
    assert found.outcome is Outcome.WARNING
    assert "EACCES" in found.found
    assert found.command == "chmod 0666 /dev/vsock"
    may = host(tmp_path / "may", devices=["/dev/vsock"], user_id=1000, writable=["/dev/vsock"])
    assert _asked(may).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("path", "said", "command"),
    [
        ("/etc/hostname", "nor the module vsock", "modprobe vmw_vsock_virtio_transport"),
        ("/sys/module/vsock/refcnt", "The module vsock is loaded", "udevadm trigger"),
        ("/.dockerenv", "This container has no /dev/vsock", ""),
        ("/run/.containerenv", "This container has no /dev/vsock", ""),
    ],
)
def test_without_the_device_it_is_said_where_it_stops(
    tmp_path: Path, path: str, said: str, command: str
) -> None:
    found = _asked(host(tmp_path, files={path: "1"}))
    assert found.outcome is Outcome.WARNING
    assert said in found.found
    assert found.command.startswith(command)
    assert found.fix


def test_a_simulated_machine_needs_no_device(tmp_path: Path) -> None:
    class Simulated(FolderHost):
        kind = HostKind.SIMULATED

    host(tmp_path)
    assert _asked(Simulated(tmp_path)).outcome is Outcome.OK


def test_a_folder_that_may_not_be_entered_is_for_the_runner(tmp_path: Path) -> None:
    machine = host(tmp_path, denied=["/dev"])
    with pytest.raises(PermissionError):
        _asked(machine)
