"""The commands of a simulated instance beside those of packages, as set-up scripts find them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator import cli
from simulator.instance import accounts
from simulator.instance.sudoers import SUDOERS
from simulator.nitro_cli.places import VARIABLE
from simulator.packages import contents, services

NO_LINKER = """\
error: linker `cc` not found
  |
  = note: No such file or directory (os error 2)

"""
COULD_NOT = 'error: could not compile `host` (bin "host") due to 1 previous error\n'
NOTHING = (
    "nothing is compiled, and no file is made: the simulated instance has no compiler of its own\n"
)

Said = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class World:
    """A bare instance with ec2-user's Rust, and a shell in which its commands are found."""

    folder: Path
    work: Path

    @property
    def root(self) -> Path:
        return self.folder / "m/root"

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        environment: dict[str, str | None] = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.root / "home/ec2-user"),
            "USER": "ec2-user",
            VARIABLE: str(self.folder / "m"),
            **(changes or {}),
        }
        return {name: value for name, value in environment.items() if value is not None}

    def run(self, script: str, **changes: str | None) -> Said:
        done = subprocess.run(
            ["/bin/bash"],
            input=script,
            cwd=self.work,
            env=self.environment(changes),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def install(self, names: str) -> None:
        assert self.run(f"dnf install -q -y {names}") == (0, "", "")


@pytest.fixture
def world(tmp_path: Path) -> World:
    arguments = ["--bare", "--rustup-user", "ec2-user", "--machine", str(tmp_path / "m")]
    assert cli.main(["machine", "create", *arguments]) == 0
    assert cli.main(["shims", str(tmp_path / "bin"), "--packages"]) == 0
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    (work / "src/main.rs").write_text("fn main() {}\n")
    (work / "main.c").write_text("int main(void) { return 0; }\n")
    (work / "Cargo.toml").write_text('[package]\nname = "host"\nversion = "0.1.0"\n')
    return World(tmp_path, work)


def test_bug_4_as_a_script_lives_it(world: World) -> None:
    """No cargo under sudo, no linker, no HOME under `set -u`: and what mends each."""
    assert world.run("sudo cargo build") == (1, "", "sudo: cargo: command not found\n")
    assert world.run("cargo build") == (127, "", "bash: cargo: command not found\n")
    code, _, errors = world.run('set -u\nsource "$HOME/.cargo/env"', HOME=None)
    assert (code, errors) == (1, "/bin/bash: line 2: HOME: unbound variable\n")
    code, _, errors = world.run('set -u\nsource "$CARGO_HOME/env"')
    assert (code, errors) == (1, "/bin/bash: line 2: CARGO_HOME: unbound variable\n")

    build = 'set -eu\nsource "$HOME/.cargo/env"\ncargo build --release'
    compiling = f"   Compiling host v0.1.0 ({world.work})\n"
    assert world.run(build) == (
        101,
        "",
        compiling + NO_LINKER + COULD_NOT,
    )
    assert world.run("sudo dnf install -q -y gcc gcc-c++ make") == (0, "", "")
    assert world.run(build) == (0, "", f"{compiling}attested-kms: cargo: {NOTHING}")
    assert not (world.work / "target").exists()
    # As a login shell of ec2-user it is found, for rustup has written to its profile.
    login = f"sudo -iu ec2-user cargo build --manifest-path {world.work}/Cargo.toml"
    assert world.run(login)[::2] == (0, f"{compiling}attested-kms: cargo: {NOTHING}")


def test_root_has_no_toolchain_of_another_user(world: World) -> None:
    cargo = world.root / "home/ec2-user/.cargo/bin/cargo"
    code, _, errors = world.run(f"sudo {cargo} --version")
    assert code == 1
    assert errors.startswith(
        "error: rustup could not choose a version of cargo to run, because one wasn't specified "
        "explicitly, and no default is configured.\nhelp: run 'rustup default stable' to download"
    )
    rustup_home = world.root / "home/ec2-user/.rustup"
    fixed = f"sudo RUSTUP_HOME={rustup_home} {cargo} --version"
    assert world.run(fixed)[:2] == (0, "cargo 1.88.0 (attested-kms stand-in)\n")
    assert world.run(f"sudo RUSTUP_TOOLCHAIN=stable {cargo} -V")[0] == 0
    assert world.run(f"{cargo} -V", HOME=None)[0] == 1
    rustup = f"{cargo.parent}/rustup"
    assert world.run(f"{rustup} default")[1] == "stable-x86_64-unknown-linux-gnu (default)\n"
    assert world.run(f"sudo {rustup} default")[0] == 1
    assert world.run(f"{rustup} update")[0] == 70


def test_sudo_keeps_its_own_path(world: World) -> None:
    bin_ = world.folder / "bin"
    assert world.run("sudo env | grep ^PATH")[1] == f"PATH={bin_}:/sbin:/bin:/usr/sbin:/usr/bin\n"
    # Neither of them is where the command is looked for.
    path = "PATH=$HOME/.cargo/bin:$PATH"
    for words in (f"sudo {path} cargo -V", f"export {path}; sudo -E cargo -V"):
        assert world.run(words) == (1, "", "sudo: cargo: command not found\n")
    assert world.run(f"sudo RUSTUP_TOOLCHAIN=x env {path} cargo -V")[0] == 0
    with contents.at(world.root, SUDOERS).open("a") as file:
        file.write(f"Defaults secure_path = /bin:/usr/bin:{world.root}/home/ec2-user/.cargo/bin\n")
    assert world.run("sudo RUSTUP_TOOLCHAIN=stable rustup default")[0] == 0


def test_sudo_resets_the_environment(world: World) -> None:
    home = world.root / "root"
    show = "'echo $HOME $USER $MINE $SUDO_USER'"
    caller = "root" if os.geteuid() == 0 else "ec2-user"
    assert world.run(f"MINE=1 sudo sh -c {show}")[1] == f"{home} root {caller}\n"
    assert world.run(f"MINE=1 sudo -nE sh -c {show}")[1] == f"{home} root 1 {caller}\n"
    assert world.run(f"sudo MINE=2 sh -c {show}")[1] == f"{home} root 2 {caller}\n"
    kept = f"MINE=3 sudo --preserve-env=MINE,NONE -- sh -c {show}"
    assert world.run(kept)[1] == f"{home} root 3 {caller}\n"
    of_user = f"{world.root}/home/ec2-user ec2-user {caller}\n"
    for option in ("-uec2-user", "-u ec2-user", "--user=ec2-user", "-Hnu ec2-user"):
        assert world.run(f"sudo {option} sh -c {show}")[1] == of_user


def test_shells_of_sudo(world: World) -> None:
    assert world.run("sudo -i pwd")[1] == f"{world.root}/root\n"
    assert world.run("sudo -s pwd")[1] == f"{world.work}\n"
    assert world.run("sudo -i echo 'a  b' \"it's\"")[1] == "a  b it's\n"
    code, out, errors = world.run("sudo -i <<'END'\nnitro-cli --version\nEND")
    assert (code, out, errors) == (127, "", "bash: nitro-cli: command not found\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("sudo nope", 1, "sudo: nope: command not found\n"),
        ("sudo ./nope", 1, "sudo: ./nope: command not found\n"),
        ("sudo nitro-cli --version", 1, "sudo: nitro-cli: command not found\n"),
        ("sudo /usr/bin/nitro-cli", 1, "sudo: /usr/bin/nitro-cli: command not found\n"),
        (
            "sudo -u nobody2 true",
            1,
            "sudo: unknown user nobody2\nsudo: error initializing audit plugin sudoers_audit\n",
        ),
        ("sudo -u", 1, "sudo: option requires an argument -- 'u'\n"),
        ("sudo", 1, "usage: sudo "),
        ("sudo -l", 70, "sudo (attested-kms): the option -l is not simulated; "),
        ("sudo --fly true", 70, "sudo (attested-kms): the option --fly is not simulated; "),
        ("sudo false", 1, ""),
        ("sudo sh -c 'exit 7'", 7, ""),
    ],
)
def test_what_sudo_says(world: World, words: str, code: int, said: str) -> None:
    exit_code, _, errors = world.run(words)
    assert exit_code == code
    assert errors.startswith(said)
    assert bool(errors) == bool(said)


def test_sudo_finds_the_instances_commands(world: World) -> None:
    assert world.run("sudo -V")[1].startswith("Sudo version 1.9")
    world.install("aws-nitro-enclaves-cli")
    assert world.run("sudo nitro-cli --version")[1] == "Nitro CLI 1.4.4\n"
    assert world.run("sudo /usr/bin/nitro-cli --version")[1] == "Nitro CLI 1.4.4\n"
    assert world.run("sudo sudo -E dnf --version")[1] == "4.14.0\n"
    script = world.work / "no-interpreter"
    script.write_bytes(b"\x7fELF")
    script.chmod(0o755)
    code, _, errors = world.run("sudo ./no-interpreter")
    assert (code, errors) == (1, "sudo: unable to execute ./no-interpreter: Exec format error\n")


def test_usermod(world: World) -> None:
    assert world.run("usermod -aG ne,docker ec2-user") == (
        6,
        "",
        "usermod: group 'ne' does not exist\nusermod: group 'docker' does not exist\n",
    )
    world.install("aws-nitro-enclaves-cli")
    assert world.run("sudo usermod -aG ne,docker ec2-user") == (0, "", "")
    assert world.run("usermod --append --groups=ne ec2-user; usermod -a -G wheel root")[0] == 0
    found = accounts.groups(world.root)
    assert [found[name].members for name in ("ne", "docker", "wheel")] == [
        ("ec2-user",),
        ("ec2-user",),
        ("ec2-user", "root"),
    ]
    assert world.run("usermod -aG ne who")[::2] == (6, "usermod: user 'who' does not exist\n")
    for words in ("-G ne ec2-user", "-aG ne", "-L ec2-user", "-aG '' ec2-user", ""):
        assert world.run(f"usermod {words}")[0] == 70


def test_the_kernels_log(world: World) -> None:
    assert world.run("dmesg; journalctl -k -q") == (0, "", "")
    world.install("aws-nitro-enclaves-cli")
    assert world.run("systemctl start nitro-enclaves-allocator")[0] == 0
    lines = world.run("dmesg")[1].splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        "nitro_enclaves: No CPUs available in CPU pool",
        "nitro_enclaves: Error in setup CPU pool [rc=-22]",
    ]
    year = time.strftime("%Y", time.gmtime())
    assert f" {year}] nitro_enclaves: No CPUs available" in world.run("dmesg -T")[1]
    kernel = world.run("sudo journalctl --no-pager -kn 1")[1]
    assert kernel.endswith(" kernel: nitro_enclaves: Error in setup CPU pool [rc=-22]\n")
    assert kernel.count("\n") == 1
    assert world.run("dmesg -w")[0] == 70
    assert cli.main(["machine", "stop", "--machine", str(world.folder / "m")]) == 0


def test_the_journal(world: World) -> None:
    machine = world.folder / "m"
    assert world.run("journalctl -u docker") == (0, "-- No entries --\n", "")
    services.note(machine, "systemd", ["Started docker.service - Docker."])
    services.note(machine, "dockerd", ["one", "two systemd: three"])
    services.note(machine, "vsock-proxy", ["Error"])

    def shown(words: str) -> list[str]:
        code, out, errors = world.run(f"journalctl {words}")
        assert (code, errors) == (0, "")
        return [line[16:] for line in out.splitlines()]

    all_lines = [
        "systemd: Started docker.service - Docker.",
        "dockerd: one",
        "dockerd: two systemd: three",
        "vsock-proxy: Error",
    ]
    assert shown("--no-pager") == all_lines
    assert shown("-xeu docker") == shown("-u docker.service") == all_lines[:3]
    assert shown("--unit=docker --unit nitro-enclaves-vsock-proxy") == all_lines
    assert (
        shown("-n2") == shown("-n 2") == shown("--lines=2") == shown("--lines 2") == all_lines[2:]
    )
    assert shown("-n -u docker") == all_lines[:3]
    assert shown("-n0") == []
    assert shown("-n all") == all_lines


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("-f", 70, "journalctl (attested-kms): the option -f is not simulated; "),
        ("--since today", 70, "journalctl (attested-kms): the option --since is not simulated; "),
        ("_PID=1", 70, "journalctl (attested-kms): the match _PID=1 is not simulated\n"),
        ("-u", 1, "journalctl: option requires an argument -- 'u'\n"),
        ("-nx", 1, "Failed to parse lines 'x'\n"),
    ],
)
def test_what_journalctl_does_not_do(world: World, words: str, code: int, said: str) -> None:
    exit_code, out, errors = world.run(f"journalctl {words}")
    assert (exit_code, out) == (code, "")
    assert errors.startswith(said)


def test_compilers_are_there_once_they_are_installed(world: World) -> None:
    for name in ("gcc", "cc", "g++", "c++", "cargo", "rustc"):
        assert world.run(f"{name} --version") == (127, "", f"bash: {name}: command not found\n")
    world.install("gcc-c++ cargo")
    assert world.run("cc --version")[1] == "cc (GCC) 11.5.0 (attested-kms stand-in)\n"
    assert world.run("g++ -dumpversion; gcc -dumpmachine")[1] == "11\nx86_64-amazon-linux\n"
    assert world.run("gcc -O2 -o x") == (
        1,
        "",
        "gcc: fatal error: no input files\ncompilation terminated.\n",
    )
    assert world.run("c++ nope.cc")[::2] == (
        1,
        "cc1plus: fatal error: nope.cc: No such file or directory\ncompilation terminated.\n",
    )
    assert world.run("cc -o x main.c") == (70, "", f"attested-kms: cc: {NOTHING}")
    assert not (world.work / "x").exists()
    assert world.run("sudo cargo --version; rustc -V")[1] == (
        "cargo 1.88.0 (attested-kms stand-in)\nrustc 1.88.0 (attested-kms stand-in)\n"
    )


def test_what_cargo_says(world: World) -> None:
    cargo = "source ~/.cargo/env; cargo"
    assert world.run(f"{cargo} +nightly check")[0] == 0  # Which links nothing.
    assert world.run(f"{cargo} fmt")[0] == world.run(f"{cargo}")[0] == 70
    elsewhere = world.folder
    assert world.run(f"cd {elsewhere}; {cargo} build") == (
        101,
        "",
        f"error: could not find `Cargo.toml` in `{elsewhere}` or any parent directory\n",
    )
    assert world.run(f"{cargo} build --manifest-path=none/Cargo.toml")[0] == 101
    (world.work / "build.rs").write_text("fn main() {}\n")
    for verb in ("check", "build", "test"):
        code, _, errors = world.run(f"{cargo} {verb}")
        assert code == 101
        assert errors.endswith("could not compile `host` (build script) due to 1 previous error\n")
    world.install("gcc")
    assert world.run(f"{cargo} run")[0] == 70
    (world.work / "Cargo.toml").write_text('[workspace]\nmembers = ["a"]\n')
    assert world.run(f"{cargo} build")[0] == 0
    (world.work / "Cargo.toml").write_text("[")
    assert world.run(f"{cargo} build")[0] == 101


def test_what_rustc_says(world: World) -> None:
    rustc = "source ~/.cargo/env; rustc"
    assert world.run(f"{rustc} src/main.rs") == (
        1,
        "",
        f"{NO_LINKER}error: aborting due to 1 previous error\n\n",
    )
    assert world.run(f"{rustc} no.rs")[2].startswith("error: couldn't read `no.rs`: No such file")
    assert world.run(f"{rustc} -vV")[0] == 70
    world.install("gcc")
    assert world.run(f"{rustc} src/main.rs") == (0, "", f"attested-kms: rustc: {NOTHING}")


def test_a_library_needs_no_linker(world: World) -> None:
    (world.work / "src/main.rs").rename(world.work / "src/lib.rs")
    assert world.run("source ~/.cargo/env; cargo build")[0] == 0
