"""Scripts on a simulated instance: real bash, in namespaces of its own, over this system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simulator import cli
from simulator.interpose.plan import Rung
from simulator.machine_shell import enter
from simulator.machine_shell.layout import kept
from tests.simulator.supervised import needs

ROOT = Path(__file__).resolve().parents[2]
YAML = "/etc/nitro_enclaves/allocator.yaml"


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine, and scripts on it."""

    path: Path
    folder: Path
    """The scripts' current folder."""
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "simulator.cli", "machine", "shell", *words]

    def variables(self) -> dict[str, str]:
        own = {"ATTESTED_KMS_MACHINE": str(self.path), "PYTHONPATH": str(ROOT)}
        return {**os.environ, **self.environment, **own}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def script(self, text: str) -> str:
        finished = self.run("--", "bash", "-euc", text)
        assert (finished.returncode, finished.stderr) == (0, ""), finished
        return finished.stdout


def made(path: Path, folder: Path, *options: str) -> Instance:
    assert cli.main(["machine", "create", "--force", "--machine", str(path), *options]) == 0
    folder.mkdir(exist_ok=True)
    return Instance(path, folder)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    needs(Rung.NAMESPACES)
    yield made(tmp_path / "machine", tmp_path / "here")
    cli.main(["machine", "stop", "--machine", str(tmp_path / "machine")])


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Instance]:
    needs(Rung.NAMESPACES)
    yield made(tmp_path / "machine", tmp_path / "here", "--bare")
    cli.main(["machine", "stop", "--machine", str(tmp_path / "machine")])


def test_the_instance_is_at_its_real_paths(instance: Instance) -> None:
    said = instance.script(
        f"cat {YAML}; cat /sys/module/nitro_enclaves/parameters/ne_cpus; pwd; id -u; echo $HOME; "
        "test -e /dev/nitro_enclaves; test -w /dev/null; ls /usr/share/nitro_enclaves/blobs"
    )
    assert "memory_mib: 512\n" in said
    assert f"\n1,3\n\n{instance.folder}\n0\n/root\n" in said
    assert "cmdline" in said.split()


def test_what_is_not_installed_is_not_found(bare: Instance) -> None:
    said = bare.script(
        "command -v nitro-cli cc cargo || echo none; "
        "dnf install -y aws-nitro-enclaves-cli > /dev/null; "
        "command -v nitro-cli; nitro-cli describe-enclaves; dnf remove -y aws-nitro-enclaves-cli "
        "> /dev/null; hash -r; command -v nitro-cli || echo none"
    )
    assert said == "none\n/usr/bin/nitro-cli\n[]\nnone\n"


def test_a_set_up_script_changes_the_machine_and_not_this_system(bare: Instance) -> None:
    bare.script(
        "dnf install -y aws-nitro-enclaves-cli > /dev/null\n"
        f"sed -i 's/memory_mib: .*/memory_mib: 1024/' {YAML}\n"
        "systemctl start nitro-enclaves-allocator.service\n"
        "echo 'export X=1' > /etc/profile.d/attested-kms-test.sh\n"
        "mkdir -p /opt/attested-kms-test; touch /root/.attested-kms-test"
    )
    assert not Path("/etc/profile.d/attested-kms-test.sh").exists()
    assert not Path("/opt/attested-kms-test").exists()
    assert "memory_mib: 1024\n" in Path(f"{bare.path}/root{YAML}").read_text()
    pool = bare.path / "root/sys/module/nitro_enclaves/parameters/ne_cpus"
    assert pool.read_text().strip() == "1,3"
    kept_files = "/etc/profile.d/attested-kms-test.sh /opt/attested-kms-test"
    assert bare.script(f"ls -d {kept_files} ~/.attested-kms-test").count("attested-kms-test") == 3

    made(bare.path, bare.folder, "--bare")
    assert bare.run("--", "ls", *kept_files.split()).returncode == 2


def test_the_current_folder_is_this_systems(instance: Instance) -> None:
    instance.script("echo written > file")
    assert (instance.folder / "file").read_text() == "written\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder in /root")
def test_a_machine_and_a_folder_below_what_is_hidden() -> None:
    needs(Rung.NAMESPACES)
    with TemporaryDirectory(dir="/root") as folder:
        inside = made(Path(folder, "machine"), Path(folder, "here"))
        assert inside.script("nitro-cli describe-enclaves; echo 1 > file; pwd") == (
            f"[]\n{inside.folder}\n"
        )
        assert (inside.folder / "file").exists()
        cli.main(["machine", "stop", "--machine", str(inside.path)])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder in /opt")
def test_a_current_folder_below_a_layer_and_a_machine_there(tmp_path: Path) -> None:
    needs(Rung.NAMESPACES)
    with TemporaryDirectory(dir="/opt") as folder:
        inside = made(tmp_path / "machine", Path(folder))
        inside.script("echo 1 > file")
        assert Path(folder, "file").exists()
        cli.main(["machine", "stop", "--machine", str(inside.path)])
        refused = made(Path(folder, "machine"), Path(folder)).run("--", "true")
        assert refused.returncode == 2
        assert "is in /opt, which a shell has a layer over" in refused.stderr


def test_a_current_folder_in_etc_is_the_machines(instance: Instance) -> None:
    folders = (path for path in Path("/etc").iterdir() if path.is_dir() and not path.is_symlink())
    folder = next(path for path in folders if os.access(path, os.R_OK | os.X_OK))
    there = Instance(instance.path, folder)
    assert there.script("echo 1 > attested-kms-test; pwd") == f"{folder.resolve()}\n"
    assert not (folder / "attested-kms-test").exists()


def test_from_a_folder_that_is_hidden_it_starts_at_home(instance: Instance) -> None:
    elsewhere = Instance(instance.path, Path("/home"))
    assert elsewhere.script("pwd") in {"/home\n", "/root\n"}


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["no-such-program"], 127),
        (["/etc"], 126),
    ],
)
def test_the_exit_code_is_the_programs(
    instance: Instance, words: Sequence[str], exit_code: int
) -> None:
    finished = instance.run("--", *words)
    assert finished.returncode == exit_code
    if exit_code in {126, 127}:
        assert finished.stderr.startswith(f"attested-kms machine shell: {words[0]}: ")


def test_two_at_once_see_each_others_files(instance: Instance) -> None:
    with subprocess.Popen(
        instance.command("--", "bash", "-euc", "touch /etc/first; echo; read; ls /etc/second"),
        cwd=instance.folder,
        env=instance.variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        first.stdout.readline()
        assert instance.script("ls /etc/first; touch /etc/second") == "/etc/first\n"
        first.stdin.write("\n")
        first.stdin.close()
        assert first.stdout.read() == "/etc/second\n"
    assert first.returncode == 0
    assert instance.script("ls /etc/first /etc/second").count("/etc/") == 2


def test_what_a_program_leaves_running_is_on_the_same_instance(instance: Instance) -> None:
    """Two overlays with one folder for changes do not work, though Linux only warns."""
    namespace = "readlink /proc/self/ns/mnt"
    first, left = instance.script(
        f"{namespace}; setsid sleep 1000 > /dev/null 2>&1 & echo $!"
    ).split()
    try:
        assert instance.script(namespace) == f"{first}\n"
    finally:
        os.kill(int(left), signal.SIGKILL)


def test_programs_of_the_same_moment_are_on_the_same_instance(instance: Instance) -> None:
    words = instance.command("--", "bash", "-euc", "readlink /proc/self/ns/mnt; read")
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(
            words, cwd=instance.folder, env=instance.variables(), stdin=pipe, stdout=pipe
        )
        for _ in range(4)
    ]
    try:
        said = [process.stdout.readline() for process in started if process.stdout is not None]
    finally:
        for process in started:
            process.communicate(b"\n")
    assert len(said) == 4
    assert len(set(said)) == 1


def test_variables_of_this_user_stay_behind(instance: Instance) -> None:
    instance.environment.update(PYTHONHOME="", VIRTUAL_ENV="/x", PASSED="yes", CDPATH="/")
    said = instance.script("echo ${PYTHONPATH-none} ${VIRTUAL_ENV-none} ${CDPATH-none} $PASSED")
    assert said == "none none none yes\n"


def test_variables_are_long_and_nobody_elses(instance: Instance) -> None:
    """A process's words are seen by everybody, and one may have 128 KiB (MAX_ARG_STRLEN)."""
    instance.environment.update({f"LONG{number}": "x" * 100_000 for number in range(2)})
    assert instance.script("echo ${#LONG0} ${#LONG1}") == "100000 100000\n"


def test_from_a_folder_that_has_been_removed_it_starts_at_home(instance: Instance) -> None:
    words = ["bash", "-c", 'rmdir "$PWD"; exec "$@"', "bash", *instance.command("--", "pwd")]
    finished = subprocess.run(
        words,
        cwd=instance.folder,
        env=instance.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.stdout, finished.stderr) == ("/root\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_are_for_the_program(instance: Instance, number: signal.Signals) -> None:
    """Ctrl-C comes to both, so that one that is sent to the command alone is nobody's."""
    script = "trap 'echo told; exit 3' TERM HUP; echo; read; echo not told"
    with subprocess.Popen(
        instance.command("--", "bash", "-uc", script),
        cwd=instance.folder,
        env=instance.variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdin is not None
        command.stdout.readline()
        command.send_signal(number)
        if number == signal.SIGINT:
            command.stdin.close()
        said = command.stdout.read()
    told = ("not told\n", 0) if number == signal.SIGINT else ("told\n", 3)
    assert (said, command.returncode) == told


def test_another_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enter, "this_architecture", lambda: None)
    entry = enter.Entry("/", "/", "/", [], [], "/", "/", ["true"], {})
    with pytest.raises(enter.CannotEnter, match="only Linux on x86_64"):
        enter._enter(entry)


def test_what_stays_as_it_is() -> None:
    machine, here, python = Path("/home/me/m"), Path("/home/me/m/x"), Path("/usr/lib/python3")
    assert kept([machine, here], [python]) == ["/home/me/m"]
    assert kept([Path("/tmp/m"), Path("/usr/src/app")], [python]) == ["/usr/src/app"]  # noqa: S108
    assert kept([Path("/etc/apt")], []) == []
    assert kept([Path("/home"), Path("/")], [Path("/root/.pyenv")]) == ["/root/.pyenv"]


def test_a_machines_folder_that_cannot_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert cli.main(["machine", "shell", "--machine", str(file), "--", "true"]) == 1
    assert str(file) in capsys.readouterr().err
