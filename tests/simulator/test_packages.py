"""dnf, rpm and systemctl of a simulated instance, from a bare one to one with its allocator."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from simulator import cli
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.packages import dnf, rpm, systemctl
from simulator.packages.contents import BLOBS

ROOT = Path(__file__).resolve().parents[2]
ALLOCATOR = "nitro-enclaves-allocator.service"
NO_ALLOCATOR = "aws-nitro-enclaves-allocator"
BUG_2 = f"install -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel {NO_ALLOCATOR}"
NOTHING = "Dependencies resolved.\nNothing to do.\nComplete!\n"

Said = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Bare:
    """An instance with nothing installed, and the commands on it."""

    path: Path
    capture: pytest.CaptureFixture[str]

    def run(self, module: ModuleType, words: str) -> Said:
        exit_code = module.main(words.split())
        said = self.capture.readouterr()
        return exit_code, said.out, said.err

    def dnf(self, words: str) -> Said:
        return self.run(dnf, words)

    def systemctl(self, words: str) -> Said:
        return self.run(systemctl, words)

    def has(self, *names: str) -> bool:
        return self.run(rpm, f"-q {' '.join(names)}")[0] == 0

    def at(self, path: str) -> Path:
        return self.path / "root" / path.lstrip("/")


@pytest.fixture
def bare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Bare]:
    folder = tmp_path / "machine"
    monkeypatch.setenv("ATTESTED_KMS_MACHINE", str(folder))
    make(
        folder, Configuration(), Installation(has_cli=False, has_devel=False, runs_allocator=False)
    )
    yield Bare(folder, capfd)
    cli.main(["machine", "stop"])


def test_one_unknown_name_installs_nothing(bare: Bare) -> None:
    before = sorted(bare.path.rglob("*"))
    assert bare.dnf(BUG_2) == (
        1,
        f"No match for argument: {NO_ALLOCATOR}\n",
        f"Error: Unable to find a match: {NO_ALLOCATOR}\n",
    )
    assert {*bare.path.rglob("*")} - {*before} == {bare.path / "packages.lock"}
    assert not bare.has("aws-nitro-enclaves-cli")


def test_all_unknown_names_are_said(bare: Bare) -> None:
    said = "No match for argument: a\nNo match for argument: b\n"
    assert bare.dnf("-y install a git b") == (1, said, "Error: Unable to find a match: a b\n")
    assert bare.dnf("-qy install a") == (1, "", "Error: Unable to find a match: a\n")


@pytest.mark.parametrize("option", ["--skip-broken", "--setopt=strict=0", "--setopt strict=False"])
def test_what_is_broken_is_skipped_when_that_is_asked(bare: Bare, option: str) -> None:
    exit_code, out, err = bare.dnf(f"{BUG_2} {option}")
    assert (exit_code, err) == (0, "")
    assert out.startswith(f"No match for argument: {NO_ALLOCATOR}\nDependencies resolved.\n")
    assert out.endswith("\n\nComplete!\n")
    assert bare.has("aws-nitro-enclaves-cli", "aws-nitro-enclaves-cli-devel", "docker", "jq")
    assert bare.dnf(f"{BUG_2} {option}")[1].endswith(
        f"is already installed.\nNo match for argument: {NO_ALLOCATOR}\n{NOTHING}"
    )


def test_nothing_is_left_of_only_unknown_names(bare: Bare) -> None:
    said = f"No match for argument: nope\n{NOTHING}"
    assert bare.dnf("install -y --skip-broken nope") == (0, said, "")


def test_what_the_packages_bring(bare: Bare) -> None:
    assert bare.dnf("install -q -y aws-nitro-enclaves-cli") == (0, "", "")
    assert bare.at("/etc/nitro_enclaves/allocator.yaml").read_text().startswith("---\n")
    names = ("/usr/bin/vsock-proxy", "/run/nitro_enclaves", "/var/log/nitro_enclaves")
    assert all(bare.at(name).exists() for name in names)
    assert not bare.at(BLOBS).exists()
    assert bare.dnf("install -q -y aws-nitro-enclaves-cli-devel") == (0, "", "")
    assert (bare.at(BLOBS) / "cmdline").exists()
    assert bare.systemctl(f"is-enabled {ALLOCATOR}") == (1, "disabled\n", "")


def test_what_is_gone_of_a_package_comes_back_when_it_is_installed_again(bare: Bare) -> None:
    """What doctor says of a package that is half there."""
    assert bare.dnf("install -y -q aws-nitro-enclaves-cli-devel aws-nitro-enclaves-cli")[0] == 0
    settings = bare.path / "root/etc/nitro_enclaves/allocator.yaml"
    settings.write_text("edited")
    blob = bare.path / f"root{BLOBS}/init"
    program = bare.path / "root/usr/bin/nitro-cli"
    blob.unlink()
    program.unlink()
    exit_code, out, _ = bare.dnf("reinstall -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel")
    assert (exit_code, out.splitlines()[-1]) == (0, "Complete!")
    assert blob.is_file()
    assert program.is_file()
    assert settings.read_text() == "edited"


def test_what_is_not_installed_is_not_installed_again(bare: Bare) -> None:
    assert bare.dnf("reinstall -y gcc") == (
        1,
        "Package gcc available, but not installed.\nNo match for argument: gcc\n",
        "Error: No packages marked for reinstall.\n",
    )


def test_settings_outlive_a_package_when_they_were_edited(bare: Bare) -> None:
    assert bare.dnf("install -q -y aws-nitro-enclaves-cli")[0] == 0
    bare.at("/etc/nitro_enclaves/allocator.yaml").write_text("---\nmine\n")
    assert bare.systemctl(f"-q enable {ALLOCATOR}") == (0, "", "")
    exit_code, out, err = bare.dnf("remove -y docker nope")
    assert (exit_code, err, bare.has("docker")) == (0, "", False)
    assert "Removing dependent packages:\n aws-nitro-enclaves-cli  " in out
    assert not bare.at("/etc/nitro_enclaves/vsock-proxy.yaml").exists()
    assert bare.at("/etc/nitro_enclaves/allocator.yaml.rpmsave").read_text() == "---\nmine\n"
    assert not bare.at(f"/etc/systemd/system/multi-user.target.wants/{ALLOCATOR}").is_symlink()
    assert bare.dnf("remove -y docker") == (
        0,
        f"No match for argument: docker\n{NOTHING}",
        "No packages marked for removal.\n",
    )


@pytest.mark.parametrize(
    ("answer", "exit_code"), [("", 1), ("\n", 1), ("N\n", 1), ("what\nyes\n", 0), ("y\n", 0)]
)
def test_who_does_not_say_yes_is_asked(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    said = bare.dnf("install git")
    assert (said[0], bare.has("git")) == (exit_code, exit_code == 0)
    assert said[2] == ("Operation aborted.\n" if exit_code else "")
    assert "Is this ok [y/N]: " in said[1]


def test_nobody_is_asked_who_says_no(bare: Bare) -> None:
    assert bare.dnf("install --assumeno git")[::2] == (1, "Operation aborted.\n")


def test_the_list(bare: Bare) -> None:
    assert "Installed Packages\nsystemd.x86_64 " in bare.dnf("list --installed systemd")[1]
    assert bare.dnf("list git")[1].startswith("Available Packages\ngit.x86_64 ")
    assert "docker" not in bare.dnf("list installed")[1]
    for words in ("list nope", "list installed git"):
        assert bare.dnf(words) == (1, "", "Error: No matching Packages to list\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "install -y",
            (2, "", "dnf install: error: the following arguments are required: PACKAGE"),
        ),
        ("install --fly git", (2, "", "dnf install: error: unrecognized arguments: --fly")),
        (
            "install git --setopt",
            (1, "", "Command line error: argument --setopt: expected one argument"),
        ),
        ("fly", (1, "", "No such command: fly. Please use /usr/bin/dnf --help")),
        ("history", (70, "", "dnf (attested-kms): history is not simulated; those that are: ")),
        ("", (70, "", "dnf (attested-kms): no command is not simulated; ")),
        ("makecache", (0, "Metadata cache created.\n", "")),
        ("--version", (0, "4.14.0\n", "")),
        (
            "install -h",
            (0, f"dnf (attested-kms): {', '.join(dnf._COMMANDS)}\n", ""),
        ),
        ("update -y", (0, NOTHING, "")),
        ("check-update", (0, "", "")),
        ("-y update nope", (1, "No match for argument: nope\n", "Error: No packages marked for")),
    ],
)
def test_other_words(bare: Bare, words: str, said: Said) -> None:
    exit_code, out, err = bare.dnf(words)
    assert (exit_code, out) == said[:2]
    assert err.startswith(said[2])


def test_names_of_ones_own(bare: Bare) -> None:
    (bare.path / "catalogue.txt").write_text("htop  # for me\n\n")
    assert bare.dnf("install -y -q htop")[0] == 0
    (bare.path / "catalogue.txt").unlink()
    assert bare.has("htop")


def test_rpm(bare: Bare) -> None:
    out = "dnf-4.14.0-1.amzn2023.x86_64\npackage git is not installed\npackage x is not installed\n"
    assert bare.run(rpm, "-q dnf git x") == (2, out, "")
    assert "\nsystemd-" in bare.run(rpm, "-qa")[1]
    assert bare.run(rpm, "-q")[0] == 1
    assert bare.run(rpm, "-i file")[0] == 70


@pytest.mark.parametrize("damage", ["{", "{}", "[1]", "[" * 100_000])
def test_a_list_that_is_damaged_is_said_and_kept(bare: Bare, damage: str) -> None:
    (bare.path / "packages.json").write_text(damage)
    for module, words in ((dnf, "install -y git"), (rpm, "-qa")):
        exit_code, out, err = bare.run(module, words)
        assert (exit_code, out) == (70, "")
        assert "packages.json is damaged: which packages the machine has cannot be told." in err
    assert (bare.path / "packages.json").read_text() == damage


@pytest.mark.parametrize(
    "damage",
    [
        *("{", "[]", '{"x": 1}', '{"x": {"state": "odd", "since": 0}}'),
        '{"x": {"state": "active", "since": NaN}}',
        '{"x": {"state": "active", "since": 0, "exit_code": "0"}}',
    ],
)
def test_services_that_are_damaged_are_said(bare: Bare, damage: str) -> None:
    bare.dnf("install -y -q docker")
    (bare.path / "services.json").write_text(damage)
    for module, words in ((systemctl, "start docker"), (dnf, "remove -q -y docker")):
        exit_code, _, err = bare.run(module, words)
        assert exit_code == 70
        assert "services.json is damaged: which services run cannot be told." in err
    assert bare.has("docker")


def test_one_installs_after_the_other(bare: Bare) -> None:
    names = ("git", "make", "tar", "wget")
    code = "import sys; from simulator.packages.dnf import main; sys.exit(main(sys.argv[1:]))"
    commands = [[sys.executable, "-c", code, "install", "-q", "-y", name] for name in names]
    processes = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert bare.has(*names)


def test_files_that_cannot_be_written_are_said(bare: Bare) -> None:
    bare.at("/etc/nitro_enclaves").write_text("")
    exit_code, _, err = bare.dnf("install -y -q aws-nitro-enclaves-cli")
    assert (exit_code, bare.has("aws-nitro-enclaves-cli")) == (70, False)
    assert err.startswith("dnf (attested-kms): ")


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ("enable --now X", 1, "Failed to enable unit: Unit file X.service does not exist.\n"),
        ("disable X", 1, "Failed to disable unit: Unit file X.service does not exist.\n"),
        ("start X", 5, "Failed to start X.service: Unit X.service not found.\n"),
        ("restart X", 5, "Failed to restart X.service: Unit X.service not found.\n"),
        ("stop X", 5, "Failed to stop X.service: Unit X.service not loaded.\n"),
        ("status X", 4, "Unit X.service could not be found.\n"),
        ("is-active X", 3, "inactive\n"),
        ("is-failed X", 1, "inactive\n"),
        ("is-active -q X", 3, ""),
        (
            "is-enabled X",
            1,
            "Failed to get unit file state for X.service: No such file or directory\n",
        ),
        ("daemon-reload", 0, ""),
        ("reset-failed", 0, ""),
        ("start", 1, "Too few arguments.\n"),
    ],
)
def test_a_unit_of_a_package_that_is_not_installed(
    bare: Bare, words: str, exit_code: int, said: str
) -> None:
    name = ALLOCATOR.removesuffix(".service")
    code, out, err = bare.systemctl(words.replace("X", name))
    assert (code, out + err) == (exit_code, said.replace("X", name))


def test_what_systemctl_does_not_do_here(bare: Bare) -> None:
    assert bare.systemctl("isolate x")[0] == bare.systemctl("start --user x")[0] == 70


def test_the_allocators_unit(bare: Bare) -> None:
    bare.dnf("install -y -q aws-nitro-enclaves-cli")
    exit_code, out, err = bare.systemctl(f"enable --now {ALLOCATOR}")
    assert (exit_code, out) == (0, "")
    assert err == (
        f"Created symlink /etc/systemd/system/multi-user.target.wants/{ALLOCATOR} → "
        f"/usr/lib/systemd/system/{ALLOCATOR}.\n"
    )
    assert bare.at("/sys/module/nitro_enclaves/parameters/ne_cpus").read_text().strip() == "1,3"
    assert bare.systemctl(f"is-active {ALLOCATOR}") == (0, "active\n", "")
    status = bare.systemctl(f"status --no-pager {ALLOCATOR}")
    assert (status[0], "active (exited) since " in status[1]) == (0, True)
    said = "nitro-enclaves-allocator: Successfully allocated Nitro Enclaves resources: 512 MiB, 2"
    assert said in status[1]

    # What is active is not started again: an edited file is read by restart alone.
    bare.at("/etc/nitro_enclaves/allocator.yaml").write_text("---\nmemory_mib: 512\n")
    assert bare.systemctl(f"start {ALLOCATOR}") == (0, "", "")
    exit_code, _, err = bare.systemctl(f"restart {ALLOCATOR}")
    assert (exit_code, err.splitlines()[0]) == (
        1,
        f"Job for {ALLOCATOR} failed because the control process exited with error code.",
    )
    status = bare.systemctl(f"status {ALLOCATOR}")
    assert (status[0], "failed (Result: exit-code)" in status[1]) == (3, True)
    assert "missing CPU reservation" in status[1]
    assert bare.systemctl(f"is-failed {ALLOCATOR}")[0] == 0
    assert bare.systemctl(f"reset-failed {ALLOCATOR}") == (0, "", "")
    assert bare.systemctl(f"is-active {ALLOCATOR}") == (3, "inactive\n", "")
    assert bare.systemctl(f"disable --now {ALLOCATOR}")[0] == 0


def test_a_service_for_which_no_process_runs(bare: Bare) -> None:
    bare.dnf("install -y -q docker")
    exit_code, _, err = bare.systemctl("start docker x")
    assert (exit_code, err.splitlines()) == (
        5,
        ["Failed to start x.service: Unit x.service not found."],
    )
    assert "active (running)" in bare.systemctl("status docker")[1]
    assert bare.systemctl("stop docker") == (0, "", "")
    assert bare.systemctl("status docker")[0] == 3


def test_a_machine_is_made_with_its_packages_and_its_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATTESTED_KMS_MACHINE", str(tmp_path / "m"))
    assert cli.main(["machine", "create", "--no-devel"]) == 0
    made = Bare(tmp_path / "m", capfd)
    assert [made.has("aws-nitro-enclaves-cli"), made.has("aws-nitro-enclaves-cli-devel")] == [
        True,
        False,
    ]
    capfd.readouterr()
    assert made.systemctl(f"is-active {ALLOCATOR}") == (0, "active\n", "")
    assert made.systemctl(f"is-enabled {ALLOCATOR}") == (0, "enabled\n", "")
    (made.path / "packages.json").unlink()  # As an older version made it.
    assert made.has("aws-nitro-enclaves-cli")
    assert not made.has("aws-nitro-enclaves-cli-devel")


def test_bug_2_as_a_script_lives_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`|| true` hides that nothing is installed, until nitro-cli is not there."""
    machine = tmp_path / "m"
    assert cli.main(["machine", "create", "--bare", "--machine", str(machine)]) == 0
    arguments = ["shims", str(tmp_path / "bin"), "--packages", "--machine", str(machine)]
    capfd.readouterr()
    assert cli.main(arguments) == 0
    assert stat.S_IMODE((tmp_path / "bin" / "systemctl").stat().st_mode) == 0o755
    script = capfd.readouterr().out + (
        f"dnf {BUG_2} || true\n"
        f"systemctl enable --now {ALLOCATOR} || true\n"
        "nitro-cli describe-enclaves; echo $?\n"
        "nitro-enclaves-allocator; echo $?\n"
        "vsock-proxy 8000 127.0.0.1 443; echo $?\n"
        "yum install -q -y aws-nitro-enclaves-cli\n"
        "nitro-cli --version\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "ATTESTED_KMS_MACHINE"}
    finished = subprocess.run(
        ["sh"], input=script, capture_output=True, text=True, env=environ, check=False
    )
    assert finished.stdout.splitlines() == [
        f"No match for argument: {NO_ALLOCATOR}",
        "127",
        "127",
        "127",
        "Nitro CLI 1.4.4",
    ]
    assert finished.stderr.splitlines() == [
        f"Error: Unable to find a match: {NO_ALLOCATOR}",
        f"Failed to enable unit: Unit file {ALLOCATOR} does not exist.",
        "bash: nitro-cli: command not found",
        "bash: nitro-enclaves-allocator: command not found",
        "bash: vsock-proxy: command not found",
    ]


def test_the_shims_of_packages_are_written_only_when_asked_for(tmp_path: Path) -> None:
    assert cli.main(["shims", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "nitro-cli",
        "nitro-enclaves-allocator",
        "vsock-proxy",
    ]


@pytest.mark.parametrize(
    ("module", "words"), [(dnf, "makecache"), (rpm, "-qa"), (systemctl, "status x")]
)
def test_a_machine_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, words: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATTESTED_KMS_MACHINE", str(tmp_path / "file"))
    assert module.main(words.split()) == 70
