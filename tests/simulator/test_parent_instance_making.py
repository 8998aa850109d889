"""A machine's folder: where it can be, and that its machine is there whole or not at all."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.machine.making import CannotMake, Installation, make
from simulator.nitro_cli.places import FolderRefused, MachineFolder


def test_no_machine_is_left_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Configuration, "to_json", full)
    with pytest.raises(CannotMake, match="No space left on device"):
        make(tmp_path / "m", Configuration(), Installation())
    assert not (tmp_path / "m" / "root").exists()
    assert not (tmp_path / "m" / "machine.json").exists()


def test_folders_that_cannot_be_a_machines(tmp_path: Path) -> None:
    with pytest.raises(FolderRefused, match="too long a name"):
        MachineFolder.locate({}, tmp_path / ("x" * 90))
    (tmp_path / "file").touch()
    with pytest.raises(FolderRefused, match="cannot be used"):
        MachineFolder.locate({}, tmp_path / "file" / "m")


def test_a_machine_is_made_once(tmp_path: Path) -> None:
    first = MachineFolder.locate({"ATTESTED_KMS_MACHINE": str(tmp_path / "m")})
    made = (first.path / "machine.json").read_text()
    MachineFolder.locate({}, tmp_path / "m")
    assert (first.path / "machine.json").read_text() == made
    shutil.rmtree(first.path / "root")
    (first.path / "machine.json").unlink()
    MachineFolder.locate({}, tmp_path / "m")
    assert (first.path / "root" / "dev" / "nitro_enclaves").exists()


def test_a_configuration_is_what_it_was(tmp_path: Path) -> None:
    configuration = Configuration(
        instance_type="custom", hardware={"vcpus": 8, "memory_mib": 4096}, heartbeat_wait=1.5
    )
    (tmp_path / "machine.json").write_text(configuration.to_json())
    assert Configuration.read(tmp_path / "machine.json") == configuration
    with pytest.raises(BadConfiguration, match="cannot be read"):
        Configuration.read(tmp_path / "absent")
