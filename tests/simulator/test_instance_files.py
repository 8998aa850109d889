"""The files of a simulated instance that set-up scripts and doctor read, and what changes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simulator.instance import accounts, cpu_files
from simulator.instance.launched import complete
from simulator.instance.sudoers import SUDOERS, secure_path
from simulator.machine.configuration import Configuration
from simulator.machine.cpu_list import cpu_list, parse_cpu_list
from simulator.machine.making import Installation, make
from simulator.packages import contents, dnf, installed
from tests.simulator.parent_instance import instance

BARE = Installation(has_cli=False, has_devel=False, runs_allocator=False)
CONFIGURATION = Configuration()
CPUS = "/sys/devices/system/cpu"
POOL = "/sys/module/nitro_enclaves/parameters/ne_cpus"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a machine without packages."""
    monkeypatch.setenv("ATTESTED_KMS_MACHINE", str(tmp_path / "m"))
    make(tmp_path / "m", CONFIGURATION, BARE)
    return tmp_path / "m"


def text(folder: Path, path: str) -> str:
    return contents.at(folder / "root", path).read_text()


def has(folder: Path, *names: str) -> list[bool]:
    return [contents.at(folder / "root", f"/usr/bin/{name}").exists() for name in names]


def run_dnf(words: str) -> None:
    assert dnf.main(["-q", "-y", *words.split()]) == 0


def test_an_instance_as_it_is_launched(bare: Path) -> None:
    assert {'ID="amzn"', 'VERSION_ID="2023"'} <= set(text(bare, "/etc/os-release").splitlines())
    dmi = "/sys/devices/virtual/dmi/id"
    assert text(bare, f"{dmi}/sys_vendor") == "Amazon EC2\n"
    assert text(bare, f"{dmi}/product_name") == "m6i.xlarge\n"
    assert text(bare, f"{dmi}/board_asset_tag").strip() == CONFIGURATION.instance_id
    assert [text(bare, f"{CPUS}/{name}") for name in ("present", "online")] == ["0-3\n"] * 2
    assert list(accounts.users(bare / "root")) == ["root", "nobody", "ec2-user"]
    assert {"root", "wheel", "ec2-user"} <= set(accounts.groups(bare / "root"))
    assert not {"ne", "docker"} & set(accounts.groups(bare / "root"))
    assert (bare / "root/home/ec2-user").is_dir()
    assert (bare / "root/root").is_dir()
    assert (
        has(bare, "bash", "python3", "sudo", "dnf", "gcc", "cc", "git") == [True] * 4 + [False] * 3
    )


def test_packages_bring_their_programs_and_take_them_along(bare: Path) -> None:
    run_dnf("install gcc-c++ make cargo git python3.11 docker")
    names = ["gcc", "cc", "g++", "c++", "make", "cargo", "rustc", "git", "python3.11", "docker"]
    assert all(has(bare, *names))
    run_dnf("remove gcc git")
    # What requires gcc goes too: rust, and so cargo.
    assert has(bare, *names) == [name in {"make", "python3.11", "docker"} for name in names]


def test_groups_are_made_by_packages_and_stay(bare: Path) -> None:
    run_dnf("install aws-nitro-enclaves-cli")
    assert {"ne", "docker"} <= set(accounts.groups(bare / "root"))
    accounts.add_member(bare / "root", "ec2-user", ["ne"])
    run_dnf("remove docker")
    run_dnf("install aws-nitro-enclaves-cli")
    assert accounts.groups(bare / "root")["ne"].members == ("ec2-user",)
    numbers = [group.number for group in accounts.groups(bare / "root").values()]
    assert len(set(numbers)) == len(numbers)


def test_lines_that_are_none_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("root:x:0:\n\nodd\nne:x:no:\n")
    (tmp_path / "etc/passwd").write_bytes(b"root:x:0:0:\xff:/root:/bin/bash\nodd::\n")
    assert list(accounts.groups(tmp_path)) == list(accounts.users(tmp_path)) == ["root"]


def test_cpus_of_the_pool_are_offline(tmp_path: Path) -> None:
    with instance(tmp_path / "m") as parent:

        def online() -> str:
            return parent.file(f"{CPUS}/online").read_text()

        assert online() == "0,2\n"
        assert parent.file(f"{CPUS}/present").read_text() == "0-3\n"
        allocator = parent.file("/etc/nitro_enclaves/allocator.yaml")
        allocator.write_text("---\nmemory_mib: 512\ncpu_count: 4\n")
        assert parent.ask("allocate").value["exit_code"] == 1
        # The script empties the pool first, and finds too few only then.
        assert online() == "0-3\n"
        allocator.write_text("---\nmemory_mib: 512\ncpu_count: 2\n")
        assert parent.ask("allocate").value["exit_code"] == 0
        assert online() == "0,2\n"
        # As `echo > /sys/module/nitro_enclaves/parameters/ne_cpus`, once the machine looks.
        parent.file(POOL).write_text("\n")
        parent.ask("status")
        assert online() == "0-3\n"


@pytest.mark.parametrize("cpus", ["", "0", "0-3", "0,2", "0-1,4-6,9"])
def test_lists_of_cpus_are_written_as_they_are_read(cpus: str) -> None:
    assert cpu_list(parse_cpu_list(cpus)) == cpus


def test_a_pool_that_is_no_list_takes_nobody_offline(tmp_path: Path) -> None:
    cpu_files.lay_out(tmp_path, CONFIGURATION.instance, "x")
    assert (tmp_path / CPUS.lstrip("/") / "online").read_text() == "0-3\n"


def test_a_machine_of_an_older_version_gets_what_it_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    make(folder, CONFIGURATION, Installation())
    installed.write(folder, [*installed.read(folder), "gcc"])
    for name in ("etc/os-release", "etc/group", "etc/passwd", "usr/bin/nitro-cli"):
        (folder / "root" / name).unlink()
    for name in ("home", "root", "sys/devices/system/cpu"):
        shutil.rmtree(folder / "root" / name)
    complete(folder, CONFIGURATION)
    assert {"ne", "docker"} <= set(accounts.groups(folder / "root"))
    assert text(folder, f"{CPUS}/online") == "0,2\n"
    # Who removed nitro-cli meant it.
    assert has(folder, "gcc", "docker", "nitro-cli") == [True, True, False]
    (folder / "root/etc/hosts").unlink()
    complete(folder, CONFIGURATION)
    assert not (folder / "root/etc/hosts").exists()


def test_a_broker_completes_a_machine_too(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    make(folder, CONFIGURATION, Installation())
    (folder / "root/etc/os-release").unlink()
    with instance(folder):
        assert (folder / "root/etc/os-release").exists()


def test_the_path_of_sudo_is_that_of_sudoers(bare: Path) -> None:
    assert secure_path(bare / "root") == "/sbin:/bin:/usr/sbin:/usr/bin"
    with contents.at(bare / "root", SUDOERS).open("a") as file:
        file.write('Defaults secure_path = "/usr/bin:/usr/local/bin"\n')
    assert secure_path(bare / "root") == "/usr/bin:/usr/local/bin"
    contents.at(bare / "root", SUDOERS).write_text("")
    assert secure_path(bare / "root") == "/sbin:/bin:/usr/sbin:/usr/bin"
    contents.at(bare / "root", SUDOERS).unlink()
    assert secure_path(bare / "root") == "/sbin:/bin:/usr/sbin:/usr/bin"
