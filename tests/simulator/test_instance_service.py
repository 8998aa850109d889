"""nitro-enclaves-vsock-proxy.service of a simulated instance: a process, kept, and ended."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simulator import cli
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.nitro_cli.connection import SUPERVISED_VARIABLE
from simulator.nitro_cli.places import VARIABLE
from simulator.packages import dnf, services, systemctl, unit_process
from simulator.packages.services import PROXY
from simulator.packages.unit_process import Kept, State

UNIT = "nitro-enclaves-vsock-proxy"
KMS = "kms.eu-west-1.amazonaws.com"
REFUSED = "The given address and port are not allowed"
SECONDS = 20

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="the end of a process is seen by pidfd_open, of Linux"
)

Said = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Parent:
    """An instance on which KMS has an address, of this machine."""

    path: Path
    capture: pytest.CaptureFixture[str]

    def systemctl(self, words: str) -> Said:
        exit_code = systemctl.main(words.split())
        said = self.capture.readouterr()
        return exit_code, said.out, said.err

    def at(self, path: str) -> Path:
        return self.path / "root" / path.lstrip("/")

    @property
    def main_process(self) -> int:
        kept = unit_process.read(self.path, PROXY.name)
        assert kept is not None
        return kept.main_process

    @property
    def keeper(self) -> int:
        return int(unit_process.lock_file(self.path, PROXY.name).read_text())

    @property
    def socket(self) -> Path:
        return self.path / "vsock/3_8000.sock"

    @property
    def journal(self) -> list[str]:
        return [line[16:] for line in services.journal(self.path, [PROXY.name])]


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Parent]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "m")
        monkeypatch.setenv(VARIABLE, str(path))
        monkeypatch.delenv(SUPERVISED_VARIABLE, raising=False)
        make(path, Configuration(region="eu-west-1"), Installation(runs_allocator=False))
        with (path / "root/etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.0.1 {KMS}\n")
        # Of the list that is installed each name would be looked up, down to the one that matches.
        allowlist = path / "root/etc/nitro_enclaves/vsock-proxy.yaml"
        allowlist.write_text(f"allowlist:\n- {{address: {KMS}, port: 443}}\n")
        yield Parent(path, capfd)
        if path.exists():
            unit_process.stop(path, PROXY.name)


@dataclass(frozen=True, slots=True)
class Ending:
    """Of a process that is not this one's child."""

    descriptor: int

    @classmethod
    @contextmanager
    def of(cls, process: int) -> Iterator[Ending]:
        descriptor = os.pidfd_open(process)
        yield cls(descriptor)
        os.close(descriptor)

    def wait(self) -> None:
        assert select.select([self.descriptor], [], [], SECONDS)[0]

    def has_come(self) -> bool:
        return bool(select.select([self.descriptor], [], [], 0)[0])


def test_the_service_is_a_process(parent: Parent) -> None:
    exit_code, out, err = parent.systemctl(f"enable --now {UNIT}")
    assert (exit_code, out) == (0, "")
    assert err.startswith("Created symlink /etc/systemd/system/multi-user.target.wants/")
    assert parent.systemctl(f"is-active {UNIT}") == (0, "active\n", "")
    words = Path(f"/proc/{parent.main_process}/cmdline")
    if words.exists():
        shown = words.read_text().split("\0")[-6:-1]
        assert shown == ["8000", KMS, "443", "--config", "/etc/nitro_enclaves/vsock-proxy.yaml"]
    code, status, _ = parent.systemctl(f"status {UNIT}")
    assert code == 0
    assert f"   Main PID: {parent.main_process} (vsock-proxy)\n" in status
    assert "active (running) since " in status
    assert f"systemd: Started {UNIT}.service - Nitro Enclaves vsock Proxy." in status
    # Once it is active, a start does nothing.
    before = parent.main_process
    assert parent.systemctl(f"start {UNIT}") == (0, "", "")
    assert parent.main_process == before
    with Ending.of(before) as ending:
        assert parent.systemctl(f"restart {UNIT}") == (0, "", "")
        ending.wait()
    with Ending.of(parent.main_process) as ending, Ending.of(parent.keeper) as last:
        assert parent.systemctl(f"disable --now {UNIT}")[0] == 0
        ending.wait()
        last.wait()
    assert not parent.socket.exists()
    assert parent.systemctl(f"is-active {UNIT}") == (3, "inactive\n", "")
    assert parent.journal[-1] == f"systemd: Stopped {UNIT}.service - Nitro Enclaves vsock Proxy."
    assert parent.systemctl(f"stop {UNIT}") == (0, "", "")


def test_it_outlives_the_command_that_started_it(parent: Parent) -> None:
    code = "import sys; from simulator.packages.systemctl import main; sys.exit(main(sys.argv[1:]))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, "start", UNIT],
        cwd=root,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    with Ending.of(parent.main_process) as ending:
        assert not ending.has_come()
        assert cli.main(["machine", "stop"]) == 0
        ending.wait()
    assert "has stopped." in parent.capture.readouterr().out


def test_what_it_says_is_in_the_journal(parent: Parent) -> None:
    """A name that the list has not, five times: then it has failed."""
    parent.at("/etc/nitro_enclaves/vsock-proxy.yaml").write_text("allowlist: []\n")
    assert parent.systemctl(f"start {UNIT}") == (0, "", "")
    assert parent.systemctl(f"is-active {UNIT}") == (3, "failed\n", "")
    assert parent.systemctl(f"is-failed {UNIT}")[0] == 0
    code, status, _ = parent.systemctl(f"status {UNIT}")
    assert (code, "failed (Result: exit-code) since " in status) == (3, True)
    first = [line for line in parent.journal if "WARN" not in line]
    assert first[:4] == [
        f"systemd: Started {UNIT}.service - Nitro Enclaves vsock Proxy.",
        f'vsock-proxy: Error: "Error at checking the allowlist: {REFUSED}"',
        f"systemd: {UNIT}.service: Main process exited, code=exited, status=1/FAILURE",
        f"systemd: {UNIT}.service: Failed with result 'exit-code'.",
    ]
    # RUST_LOG is warn, as in the unit.
    warning = f'WARN  vsock_proxy::proxy] Unable to resolve allow listed host: "{KMS}".'
    assert sum(line.endswith(warning) for line in parent.journal) == 5
    assert sum(line.startswith("vsock-proxy: Error") for line in parent.journal) == 5
    assert f"systemd: {UNIT}.service: Start request repeated too quickly." in parent.journal
    assert f"systemd: Failed to start {UNIT}.service - Nitro Enclaves vsock Proxy." in first
    assert parent.systemctl(f"reset-failed {UNIT}") == (0, "", "")
    assert parent.systemctl(f"is-active {UNIT}") == (3, "inactive\n", "")


def test_a_port_that_is_taken(parent: Parent) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(os.fspath(parent.socket))
        other.listen()
        assert parent.systemctl(f"start {UNIT}")[0] == 0
        assert parent.systemctl(f"is-active {UNIT}")[1] == "failed\n"
        message = "Could not listen for connections: Could not bind to cid: 3 port: 8000"
        assert f'vsock-proxy: Error: "{message}"' in parent.journal
    parent.socket.unlink()
    # What has failed may be started again.
    assert parent.systemctl(f"start {UNIT}")[0] == 0
    assert parent.systemctl(f"is-active {UNIT}")[1] == "active\n"


def test_a_name_without_an_address_is_said(parent: Parent) -> None:
    """Not of this system's names: a label may have 63 letters, so none has one of 70."""
    region = "x" * 70
    members = json.loads((parent.path / "machine.json").read_text())
    (parent.path / "machine.json").write_text(json.dumps(members | {"region": region}))
    code, _, err = parent.systemctl(f"start {UNIT}")
    assert code == 0
    assert "knows no address of the KMS that it is to reach. Give it one in " in err
    assert f"{parent.at('/etc/hosts')}, " in err
    assert f"kms.{region}.amazonaws.com" in err
    assert parent.systemctl(f"is-active {UNIT}")[1] == "failed\n"


def test_who_waits_is_told_why(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_process, "_PATIENCE_SECONDS", 0)
    monkeypatch.setattr(os, "isatty", lambda _: True)
    code, _, err = parent.systemctl(f"start {UNIT}")
    assert code == 0
    assert err.startswith(f"attested-kms: {UNIT}.service does not listen yet: it looks names up")


def test_one_that_is_killed_is_started_again(parent: Parent) -> None:
    parent.systemctl(f"start {UNIT}")
    for number, said in ((signal.SIGKILL, "killed, status=9/KILL"), (signal.SIGTERM, "Deactivat")):
        before = parent.main_process
        os.kill(before, number)
        while True:
            kept = unit_process.read(parent.path, PROXY.name)
            assert kept is not None
            if kept.state is State.ACTIVE and kept.main_process != before:
                break
        assert any(said in line for line in parent.journal)
    assert f"systemd: {UNIT}.service: Scheduled restart job, restart counter is at 2." in (
        parent.journal
    )


def test_its_process_ends_with_a_keeper_that_is_killed(parent: Parent) -> None:
    parent.systemctl(f"start {UNIT}")
    with Ending.of(parent.main_process) as ending, Ending.of(parent.keeper) as last:
        os.kill(parent.keeper, signal.SIGKILL)
        ending.wait()
        last.wait()
    assert parent.systemctl(f"is-active {UNIT}") == (3, "inactive\n", "")
    assert parent.systemctl(f"start {UNIT}") == (0, "", "")
    assert parent.systemctl(f"is-active {UNIT}")[0] == 0


def test_it_ends_with_its_package(parent: Parent) -> None:
    parent.systemctl(f"start {UNIT}")
    with Ending.of(parent.main_process) as ending:
        assert dnf.main(["remove", "-q", "-y", "aws-nitro-enclaves-cli"]) == 0
        ending.wait()
    assert parent.systemctl(f"is-active {UNIT}")[1] == "inactive\n"


def test_it_ends_when_its_machine_is_removed(parent: Parent) -> None:
    parent.systemctl(f"start {UNIT}")
    with Ending.of(parent.main_process) as ending, Ending.of(parent.keeper) as last:
        shutil.rmtree(parent.path)
        ending.wait()
        last.wait()
    assert not parent.path.exists()


def test_it_ends_when_another_machine_takes_its_place(parent: Parent) -> None:
    parent.systemctl(f"start {UNIT}")
    with Ending.of(parent.main_process) as ending:
        assert cli.main(["machine", "create", "--force", "--bare"]) == 0
        assert ending.has_come()
    assert not (parent.path / f"{PROXY.name}.json").exists()


@pytest.mark.parametrize("damage", ["{", "[]", '{"state": "odd", "since": 0}'])
def test_what_is_damaged_is_said(parent: Parent, damage: str) -> None:
    unit_process.state_file(parent.path, PROXY.name).write_text(damage)
    code, _, err = parent.systemctl(f"is-active {UNIT}")
    assert code == 70
    assert f"whether {PROXY.name} runs cannot be told. Stop it, with systemctl stop" in err
    assert parent.systemctl(f"stop {UNIT}")[0] == 0
    assert parent.systemctl(f"is-active {UNIT}")[0] == 3


def test_what_is_about_to_be_started_again(parent: Parent) -> None:
    unit_process.write(parent.path, PROXY.name, Kept(State.ACTIVATING, time.time()))
    lock = unit_process.lock_file(parent.path, PROXY.name)
    lock.write_text(str(os.getpid()))
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert parent.systemctl(f"is-active {UNIT}") == (3, "activating\n", "")
        assert "activating (auto-restart) since " in parent.systemctl(f"status {UNIT}")[1]
        assert parent.systemctl(f"start {UNIT}") == (0, "", "")


def test_a_supervised_program_does_not_start_it(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SUPERVISED_VARIABLE, "1")
    code, _, err = parent.systemctl(f"start {UNIT}")
    assert code == 70
    assert "this program runs under attested-kms run" in err


def test_that_docker_has_no_process_is_said_at_a_terminal(parent: Parent) -> None:
    code = "import sys; from simulator.packages.systemctl import main; sys.exit(main(sys.argv[1:]))"
    root = Path(__file__).resolve().parents[2]
    outer, inner = pty.openpty()
    command = [sys.executable, "-c", code, "start", "docker"]
    for expected in (
        b"attested-kms: docker.service counts as started; no process runs for it",
        b"",
    ):
        assert subprocess.run(command, cwd=root, stderr=inner, check=False).returncode == 0
        os.write(inner, b"\n")
        assert os.read(outer, 1000).strip() == expected
    for descriptor in (outer, inner):
        os.close(descriptor)
    assert parent.systemctl("is-active docker")[1] == "active\n"
