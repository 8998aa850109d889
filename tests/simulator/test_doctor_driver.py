"""The driver's device: is it there, and may whoever asks open it."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.doctor.checks import driver
from simulator.doctor.checks.driver import PCI
from simulator.doctor.model import Outcome
from tests.simulator.doctor_parents import DEVICE, POOL, doctor, only, parent

LOADED, OPENED = driver.CHECKS
NETWORK_CARD = {f"{PCI}/0000:00:05.0/vendor": "0x1d0f\n", f"{PCI}/0000:00:05.0/device": "0xec20\n"}
ENCLAVES = {f"{PCI}/0000:00:02.0/vendor": "0x1d0f\n", f"{PCI}/0000:00:02.0/device": "0xe4c1\n"}
AS_USER = {"PATH": "/usr/bin", "HOME": "/home/ec2-user", "USER": "ec2-user"}


def test_without_the_module_it_is_loaded(tmp_path: Path) -> None:
    finding = only(LOADED, parent(tmp_path, {POOL: None}))
    assert (finding.outcome, finding.command) == (Outcome.ERROR, "modprobe nitro_enclaves")
    assert "--enclave-options Enabled=true" in finding.fix


def test_an_instance_without_the_pci_device_has_no_enclaves_enabled(tmp_path: Path) -> None:
    finding = only(LOADED, parent(tmp_path, {POOL: None, **NETWORK_CARD}))
    assert (finding.outcome, finding.command) == (Outcome.ERROR, "")
    assert finding.fix.startswith("Enclaves are not enabled for this instance")


def test_with_the_pci_device_only_the_module_is_missing(tmp_path: Path) -> None:
    finding = only(LOADED, parent(tmp_path, {POOL: None, **NETWORK_CARD, **ENCLAVES}))
    assert (finding.fix, finding.command) == ("Load it", "modprobe nitro_enclaves")


def test_a_module_without_a_pool_is_another(tmp_path: Path) -> None:
    files = {POOL: None, "/sys/module/nitro_enclaves/refcnt": "0\n"}
    finding = only(LOADED, parent(tmp_path, files))
    assert finding.outcome is Outcome.ERROR
    assert f"has no {POOL}" in finding.found


def test_without_a_device_enclaves_are_not_enabled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = doctor(parent(tmp_path, devices=[]), capsys, "--only", "driver")
    assert answer["exit_code"] == 1
    assert answer["next"]["check"] == "driver.device"
    assert "Enabled=true" in answer["next"]["fix"]


def test_a_file_in_its_place_is_no_device(tmp_path: Path) -> None:
    finding = only(OPENED, parent(tmp_path, {DEVICE: "x"}, devices=[]))
    assert finding.outcome is Outcome.ERROR
    assert "is a file and no device" in finding.found


def test_root_may_open_it(tmp_path: Path) -> None:
    assert only(OPENED, parent(tmp_path)).outcome is Outcome.OK


@pytest.mark.parametrize("group", ["root:x:0:\nne:x:991:\n", "ne:x:991:alice,bob\n"])
def test_a_user_joins_the_group(tmp_path: Path, group: str) -> None:
    folder = parent(tmp_path, {"/etc/group": group}, user_id=1000, environ=AS_USER, writable=[])
    finding = only(OPENED, folder)
    assert (finding.outcome, finding.command) == (Outcome.ERROR, "usermod -aG ne ec2-user")


def test_a_member_logs_in_again(tmp_path: Path) -> None:
    finding = only(OPENED, parent(tmp_path, user_id=1000, environ=AS_USER, writable=[]))
    assert finding.outcome is Outcome.ERROR
    assert "Log out and in again" in finding.fix


def test_without_the_group_sudo_is_left(tmp_path: Path) -> None:
    folder = parent(tmp_path, {"/etc/group": ""}, user_id=1000, environ=AS_USER, writable=[])
    finding = only(OPENED, folder)
    assert (finding.outcome, finding.command) == (Outcome.ERROR, "")


def test_a_strange_name_of_a_user_is_not_put_into_a_command(tmp_path: Path) -> None:
    strange = {**AS_USER, "USER": "$(reboot)"}
    folder = parent(tmp_path, {"/etc/group": ""}, user_id=1000, environ=strange, writable=[])
    finding = only(OPENED, folder)
    assert "reboot" not in finding.command + finding.found


def test_root_by_sudo_hears_of_the_user_who_is_not_in_the_group(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "SUDO_USER": "ec2-user"}
    folder = parent(tmp_path, {"/etc/group": "ne:x:991:\n"}, environ=environ)
    finding = only(OPENED, folder)
    assert finding.outcome is Outcome.NOTE
    assert finding.found.startswith("ec2-user is not in the group ne")


def test_pci_devices_that_cannot_be_read_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parent(tmp_path, {POOL: None, **NETWORK_CARD}, denied=[PCI])
    answer = doctor(folder, capsys, "--only", "driver.loaded")
    assert answer["findings"][0]["outcome"] == "warning"
    assert "cannot be read" in answer["findings"][0]["found"]
