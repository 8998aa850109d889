"""Doctor's view of a simulated parent instance: its own files and commands, and no others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simulator import cli
from simulator.doctor.host import CommandMissing, NetworkNotAsked, PathKind, Unreachable
from simulator.doctor.simulated import NoMachine, SimulatedHost
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make

PATH = "/usr/local/bin:/usr/bin:/bin"
MAY_CHANGE = ("root/var/log/nitro_enclaves", "broker", "lock", "packages.lock", "state.json")
"""What commands leave behind that doctor runs; it says so."""


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    # Not in pytest's folder: the sockets in the machine's take a short path.
    with TemporaryDirectory(prefix="doctor-") as temporary:
        folder = Path(temporary, "machine")
        make(folder, Configuration(), Installation())
        yield folder
        assert cli.main(["machine", "stop", "--machine", str(folder)]) == 0


@pytest.fixture(name="host")
def _host(folder: Path) -> SimulatedHost:
    return SimulatedHost(folder, {"PATH": PATH, "HOME": "/root"})


def put(folder: Path, path: str, content: str = "") -> Path:
    place = folder / "root" / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content)
    return place


def test_files_are_the_instance_s_own(host: SimulatedHost, folder: Path) -> None:
    put(folder, "/etc/hostname", "simulated\n")
    (folder / "root/etc/name").symlink_to("/etc/hostname")
    assert host.read("/etc/name") == b"simulated\n"
    assert host.look("/dev/nitro_enclaves") is PathKind.FILE
    assert "hostname" in host.entries("/etc")
    assert host.look("/machine.json") is None
    with pytest.raises(FileNotFoundError) as caught:
        host.read("/no/such")
    assert caught.value.filename == "/no/such"


def test_programs_are_the_instance_s_own(host: SimulatedHost, folder: Path) -> None:
    assert host.which("nitro-cli") == "/usr/bin/nitro-cli"
    assert host.which("nitro-cli", "/usr/local/bin") is None
    assert host.which("env") is None  # This system has it, as every system has.
    put(folder, "/root/.cargo/bin/cargo")
    assert host.which("cargo") is None
    assert host.which("cargo", "/root/.cargo/bin") == "/root/.cargo/bin/cargo"


def test_commands_are_those_of_the_simulator(host: SimulatedHost) -> None:
    assert host.run("nitro-cli", "--version").stdout == "Nitro CLI 1.4.4\n"
    assert host.run("rpm", "-q", "gcc").stdout == "package gcc is not installed\n"
    assert host.run("nitro-cli", "describe-enclaves").stdout == "[]\n"


def test_what_is_not_installed_is_missing(host: SimulatedHost, folder: Path) -> None:
    folder.joinpath("root/usr/bin/nitro-cli").unlink()
    with pytest.raises(CommandMissing, match=r"^nitro-cli$"):
        host.run("nitro-cli", "--version")
    with pytest.raises(CommandMissing, match=r"^env$"):
        host.run("env")


def test_what_is_not_simulated_is_said(host: SimulatedHost, folder: Path) -> None:
    put(folder, "/usr/bin/podman", "a marker")
    with pytest.raises(OSError, match="podman is on the instance, but is not simulated"):
        host.run("podman", "ps")
    with pytest.raises(OSError, match=r"rpm \(attested-kms\): only rpm -q"):
        host.run("rpm", "--verify", "bash")


def test_a_home_that_the_instance_lacks_is_this_system_s(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    host = SimulatedHost(folder, {"HOME": str(tmp_path), "PATH": PATH})
    assert host.read(f"{tmp_path}/file") == b"mine"
    assert host.may_write(str(tmp_path))
    assert host.which("file", str(tmp_path)) is None
    assert host.look("/etc/passwd.of.this.system") is None
    put(folder, "/home/ec2-user/file", "its own")
    host = SimulatedHost(folder, {"HOME": "/home/ec2-user"})
    assert host.read("/home/ec2-user/file") == b"its own"
    assert host.look("/home/ec2-user/none") is None


def test_variables_are_as_on_the_instance(folder: Path) -> None:
    home = folder / "root/home/ec2-user"
    cargo = put(folder, "/home/ec2-user/.cargo/bin/cargo", '#!/bin/sh\necho "$HOME $1"\n')
    cargo.chmod(0o755)
    given = {"HOME": str(home), "PATH": f"{home}/.cargo/bin:/usr/bin"}
    host = SimulatedHost(folder, given)
    assert host.environ["HOME"] == "/home/ec2-user"
    assert host.environ["PATH"] == "/home/ec2-user/.cargo/bin:/usr/bin"
    assert host.environ["ATTESTED_KMS_MACHINE"] == str(folder)
    assert host.which("cargo") == "/home/ec2-user/.cargo/bin/cargo"
    # Commands are started here, where the folder has another name.
    assert host.run("cargo", "--version").stdout == f"{home} --version\n"


def test_nobody_asks_for_metadata_of_the_system_around(folder: Path) -> None:
    with pytest.raises(NetworkNotAsked):
        SimulatedHost(folder, {}).fetch("https://kms.us-east-1.amazonaws.com/")
    host = SimulatedHost(folder, {}, network=True)
    with pytest.raises(Unreachable):
        host.fetch("http://169.254.169.254/latest/meta-data/")


def test_a_machine_that_is_not_there_is_said_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoMachine, match="There is no machine in"):
        SimulatedHost(tmp_path / "none", {})
    assert cli.main(["doctor", "--machine", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("attested-kms doctor: There is no machine in ")
    assert "attested-kms machine create --machine" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (os.mkfifo, "is no file, and is not read"),
        (Path.mkdir, "is no file, and is not read"),
        (lambda path: path.symlink_to(path.name), "cannot be read (Too many levels of symbolic"),
        (
            lambda path: path.write_bytes(b"\xff{[["),
            "does not describe a machine: it is not a JSON",
        ),
    ],
)
def test_a_machine_whose_description_is_damaged_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    said: str,
) -> None:
    damage(tmp_path / "machine.json")
    assert cli.main(["doctor", "--machine", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_a_state_that_is_no_file_is_not_waited_for(host: SimulatedHost, folder: Path) -> None:
    os.mkfifo(folder / "state.json")
    with pytest.raises(OSError, match="is no file: which enclaves the machine has is not known"):
        host.run("nitro-cli", "describe-enclaves")
    assert not (folder / "broker").exists()
    folder.joinpath("state.json").unlink()


def tree(folder: Path, *but: str) -> Mapping[str, tuple[int, int, str]]:
    """Each path below: its mode, its time of change, its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not name.startswith(but):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            digest = hashlib.sha256(content).hexdigest()
            found[name] = (status.st_mode, 0 if path.is_dir() else status.st_mtime_ns, digest)
    return found


@pytest.mark.usefixtures("capsys")
def test_an_examination_changes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    host = SimulatedHost(folder, {"PATH": PATH, "HOME": "/root"})
    host.run("nitro-cli", "describe-enclaves")  # It starts the broker, which has its folders.
    before = tree(folder, *MAY_CHANGE)
    assert cli.main(["doctor", "--machine", str(folder)]) in (0, 1)
    assert tree(folder, *MAY_CHANGE) == before
    assert tree(tmp_path) == {"home": before_mode(home), "temporary": before_mode(temporary)}


def before_mode(folder: Path) -> tuple[int, int, str]:
    return folder.stat().st_mode, 0, hashlib.sha256(b"").hexdigest()


def test_the_environment_names_the_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATTESTED_KMS_MACHINE", os.fspath(folder))
    cli.main(["doctor", "--only", "artifacts"])
    assert capsys.readouterr().out.startswith(f"the simulated parent instance {folder}")
    cli.main(["doctor", "--only", "artifacts", "--this-machine"])
    assert capsys.readouterr().out.startswith("this machine, examined as")
