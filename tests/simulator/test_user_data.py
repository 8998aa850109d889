"""The set-up script: what it says, and what it does on a bare simulated instance."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import cli
from simulator.interpose.plan import Rung
from simulator.set_up import LONGEST_USER_DATA, SetUp
from tests.simulator.supervised import needs
from tests.simulator.test_machine_shell import Instance, made

CONFIG = "root/etc/nitro_enclaves/allocator.yaml"
POOL = "root/sys/module/nitro_enclaves/parameters/ne_cpus"


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert cli.main(["user-data", *options]) == 0
    return capsys.readouterr().out


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Instance]:
    needs(Rung.NAMESPACES)
    yield made(tmp_path / "machine", tmp_path / "here", "--bare")
    cli.main(["machine", "stop", "--machine", str(tmp_path / "machine")])


def ran(instance: Instance, text: str) -> subprocess.CompletedProcess[str]:
    (instance.folder / "set-up.sh").write_text(text)
    return instance.run("--", "bash", "set-up.sh")


def test_it_is_user_data() -> None:
    text = SetUp().script()
    assert text.startswith("#!/bin/bash\n")
    assert len(text.encode("ascii")) < LONGEST_USER_DATA
    commands = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    # What hid bug 2 of the field notes, and the name that was unknown.
    assert not [line for line in commands if "|| true" in line]
    assert not [line for line in commands if "aws-nitro-enclaves-allocator" in line]


def test_what_was_asked_stands_at_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(
        capsys, "--memory-mib", "4096", "--cpu-pool", "3,1", "--user", "me", "--no-build-tools"
    )
    assert "MEMORY_MIB=4096\nCPUS='cpu_pool: 1,3'\nENCLAVE_USER=me\n" in text
    assert "gcc" not in text
    assert "python3.11" in text
    assert "python3.11" not in printed(capsys, "--no-python")
    assert "\nCPUS='cpu_count: 4'\n" in printed(capsys, "--cpu-count", "4")


@pytest.mark.parametrize(
    "options",
    [
        ["--user", "a b"],
        ["--user", "$(id)"],
        ["--memory-mib", "0"],
        ["--cpu-pool", "x"],
        ["--cpu-pool", "1", "--cpu-count", "2"],
    ],
)
def test_wrong_usage(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["user-data", *options])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_bare_instance_is_ready_afterwards_and_again(bare: Instance) -> None:
    first = ran(bare, SetUp().script())
    assert first.returncode == 0, first.stderr
    assert first.stdout.endswith("set-up: DONE\n")
    assert (bare.path / CONFIG).read_text() == "---\nmemory_mib: 512\ncpu_count: 2\n"
    assert (bare.path / POOL).read_text().strip() == "1,3"
    said = bare.script(
        "systemctl is-enabled nitro-enclaves-allocator docker; groups ec2-user; "
        "command -v nitro-cli cc python3.11; sed -n 1p /etc/profile.d/nitro-cli-artifacts.sh"
    )
    assert said.startswith("enabled\nenabled\n")
    assert {"ne", "docker"} <= set(said.splitlines()[2].split())
    assert 'if [ -z "${HOME:-}" ]; then' in said

    again = ran(bare, SetUp().script())
    assert again.returncode == 0, again.stderr
    assert "set-up: allocator: as it is, 512 MiB, cpu_count: 2\n" in again.stdout


def test_a_change_is_made(bare: Instance) -> None:
    assert ran(bare, SetUp().script()).returncode == 0
    assert ran(bare, SetUp(memory_mib=1024, cpus="cpu_pool: 1,3").script()).returncode == 0
    assert (bare.path / CONFIG).read_text() == "---\nmemory_mib: 1024\ncpu_pool: 1,3\n"
    pages = "root/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages"
    assert (bare.path / pages).read_text().strip() == "1"


def test_without_home_as_user_data_runs(bare: Instance) -> None:
    (bare.folder / "set-up.sh").write_text(SetUp().script())
    finished = bare.run("--", "env", "-u", "HOME", "bash", "set-up.sh")
    assert finished.returncode == 0, finished.stderr
    said = bare.script("env -u HOME bash -euc '. /etc/profile.d/*artifacts.sh; env' | grep ARTIF")
    assert said == "NITRO_CLI_ARTIFACTS=/var/tmp/nitro-cli-artifacts-0\n"


@pytest.mark.parametrize(
    ("set_up", "why"),
    [
        (SetUp(memory_mib=900_000), "Error: Failed to configure entire amount of requested memory"),
        (SetUp(cpus="cpu_count: 4"), "Error: Failed to find suitable CPUs"),
        (SetUp(cpus="cpu_pool: 0,2"), "set-up: FAILED: the allocator has not started"),
        (SetUp(user="nobody-here"), "set-up: FAILED: line"),
    ],
)
def test_what_fails_is_said_and_is_the_end(bare: Instance, set_up: SetUp, why: str) -> None:
    finished = ran(bare, set_up.script())
    assert finished.returncode != 0
    assert why in finished.stderr
    assert "DONE" not in finished.stdout


def test_one_unknown_package_is_no_success(bare: Instance) -> None:
    text = SetUp().script().replace(" docker ", " docker aws-nitro-enclaves-allocator ", 1)
    finished = ran(bare, text)
    assert finished.returncode == 1
    assert "Error: Unable to find a match: aws-nitro-enclaves-allocator" in finished.stderr
    assert "set-up: FAILED: line" in finished.stderr


def test_an_instance_without_enclaves_is_said(tmp_path: Path) -> None:
    needs(Rung.NAMESPACES)
    instance = made(tmp_path / "machine", tmp_path / "here", "--bare", "--no-enclaves")
    finished = ran(instance, SetUp().script())
    assert finished.returncode == 1
    assert "launched without --enclave-options Enabled=true" in finished.stderr
    cli.main(["machine", "stop", "--machine", str(instance.path)])


def test_another_system_is_refused(bare: Instance) -> None:
    (bare.path / "root/etc/os-release").write_text('ID="debian"\nVERSION_ID="13"\nPRETTY_NAME=D\n')
    finished = ran(bare, SetUp().script())
    assert finished.returncode == 1
    assert "this is D; the packages are those of Amazon Linux 2023" in finished.stderr


def test_only_root() -> None:
    script = SetUp().script().replace('"$(id -u)"', "1000", 1)
    finished = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert "only root can do this" in finished.stderr
