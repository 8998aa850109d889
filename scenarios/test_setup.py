"""What goes wrong before there is an enclave: bugs 2 and 4 of the field notes, their checklist."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from scenarios.target import Capability, Finished, FreshInstance

pytestmark = pytest.mark.needs(Capability.FRESH_INSTANCE)

DNF = "a run of dnf 4.14.0, not Amazon Linux's, on a repository with the same names"
NO_SUCH_PACKAGE = "aws-nitro-enclaves-allocator"
PACKAGES = "aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel"
BROKEN_INSTALL = f"dnf install -y {PACKAGES} {NO_SUCH_PACKAGE}"
INSTALL = f"dnf install -y {PACKAGES}"
ALLOCATOR = "nitro-enclaves-allocator.service"

USER_DATA = f"""\
set -euxo pipefail
{BROKEN_INSTALL} || true
systemctl enable --now {ALLOCATOR} || true
"""
"""What matters of the notes' user-data (tsyrulb/EphemeralML, user_data_al2023.sh)."""

PROJECT = """\
mkdir -p app/src && cd app
printf '[package]\\nname = "app"\\nversion = "0.1.0"\\nedition = "2021"\\n' > Cargo.toml
printf 'fn main() {}\\n' > src/main.rs
"""


def succeeded(finished: Finished) -> str:
    """The output of a script that must have succeeded."""
    assert finished.exit_code == 0, finished
    return finished.stdout


def installed(instance: FreshInstance, names: str = PACKAGES) -> bool:
    """Whether rpm knows all these packages."""
    return instance.shell(f"rpm -q {names}").exit_code == 0


@pytest.mark.reported(DNF)
def test_bug_2_one_unknown_name_installs_nothing(fresh: FreshInstance) -> None:
    """dnf install of the two packages and of one that does not exist installs none of them.

    There is no package of the allocator: its service comes with aws-nitro-enclaves-cli. Without the
    third name dnf installs the two.
    """
    failed = fresh.shell(BROKEN_INSTALL)
    assert failed.exit_code == 1, failed
    assert f"No match for argument: {NO_SUCH_PACKAGE}" in failed.stdout.splitlines()
    assert f"Error: Unable to find a match: {NO_SUCH_PACKAGE}" in failed.stderr.splitlines()
    assert fresh.shell("rpm -q aws-nitro-enclaves-cli").exit_code == 1

    succeeded(fresh.shell(INSTALL))
    assert installed(fresh)


@pytest.mark.reported(DNF)
def test_bug_2_skip_broken_installs_the_others(fresh: FreshInstance) -> None:
    """With --skip-broken the same line installs the two, says the unknown name, and succeeds."""
    finished = fresh.shell(f"{BROKEN_INSTALL} --skip-broken")
    assert f"No match for argument: {NO_SUCH_PACKAGE}" in succeeded(finished).splitlines()
    assert installed(fresh)


@pytest.mark.inferred("tsyrulb/EphemeralML, user_data_al2023.sh; texts of bash and systemd")
def test_bug_2_or_true_hides_it(fresh: FreshInstance) -> None:
    """User-data with `|| true` behind dnf succeeds, and what it was for is not there.

    What is seen is nitro-cli: command not found, and an allocator whose unit does not exist; the
    cause stands two lines higher in the log. With the right names nitro-cli and unit are there.
    """
    hidden = fresh.shell(USER_DATA)
    assert hidden.exit_code == 0, hidden
    assert f"Unit file {ALLOCATOR} does not exist." in hidden.stderr
    missing = fresh.shell("nitro-cli --version")
    assert missing.exit_code == 127, missing
    assert "nitro-cli: command not found" in missing.stderr

    succeeded(fresh.shell(USER_DATA.replace(f" {NO_SUCH_PACKAGE}", "").replace(" || true", "")))
    assert succeeded(fresh.shell("nitro-cli --version")).startswith("Nitro CLI ")
    assert succeeded(fresh.shell(f"systemctl is-active {ALLOCATOR}")) == "active\n"


@pytest.mark.inferred("sudoers(5) and sudo's sources; Amazon Linux's secure_path; rustup 1.28")
def test_bug_4_sudo_does_not_find_cargo(fresh_with_rustup: FreshInstance) -> None:
    """cargo is on the PATH of who installed it; sudo has a PATH and a HOME of its own.

    With the caller's PATH alone it is found, and is rustup's stand-in for cargo, which looks for
    its toolchain in HOME. With both, it runs.
    """
    instance = fresh_with_rustup
    assert succeeded(instance.shell("cargo --version")).startswith("cargo ")
    lost = instance.shell("sudo cargo --version")
    assert lost.exit_code == 1, lost
    assert "sudo: cargo: command not found" in lost.stderr.splitlines()
    within = instance.shell("sudo bash -c 'cargo --version'")
    assert within.exit_code == 127, within
    assert "cargo: command not found" in within.stderr

    homeless = instance.shell('sudo env PATH="$PATH" cargo --version')
    assert homeless.exit_code == 1, homeless
    assert "rustup could not choose a version of cargo to run" in homeless.stderr
    kept = instance.shell('sudo env PATH="$PATH" HOME="$HOME" cargo --version')
    assert succeeded(kept).startswith("cargo ")


@pytest.mark.reported("field notes, bug 4; a run of rustc 1.95 on a Linux without a C compiler")
def test_bug_4_no_linker(fresh_with_rustup: FreshInstance) -> None:
    """cargo build on an instance without a C compiler compiles and cannot link.

    Rust links with cc, which rustup does not bring. gcc does.
    """
    failed = fresh_with_rustup.shell(f"{PROJECT}cargo build")
    assert failed.exit_code == 101, failed
    assert "error: linker `cc` not found" in failed.stderr.splitlines()

    succeeded(fresh_with_rustup.shell("dnf install -y gcc gcc-c++ make"))
    succeeded(fresh_with_rustup.shell(f"{PROJECT}cargo build"))


@pytest.mark.reported("field notes, bug 4; runs of bash and of rustup 1.28 on another Linux")
def test_bug_4_unset_variables(fresh_with_rustup: FreshInstance) -> None:
    """Under set -u a script ends at the first $CARGO_HOME or $HOME that nobody has set.

    No login sets CARGO_HOME. rustup's own env file needs HOME, which Systems Manager does not set.
    Exported before they are used, they do no harm.
    """
    instance = fresh_with_rustup
    by_variable = instance.shell('set -u\nPATH="$CARGO_HOME/bin:$PATH"\necho reached')
    assert by_variable.exit_code != 0
    assert "CARGO_HOME: unbound variable" in by_variable.stderr
    home = succeeded(instance.shell('echo "$HOME"')).rstrip("\n")
    by_file = instance.shell(f". {home}/.cargo/env", environment={"HOME": None})
    assert succeeded(by_file) == ""
    strict = f"set -u\n. {home}/.cargo/env\necho reached"
    without_home = instance.shell(strict, environment={"HOME": None})
    assert without_home.exit_code != 0
    assert "HOME: unbound variable" in without_home.stderr
    assert "reached" not in by_variable.stdout + without_home.stdout

    exported = f'export HOME={home}\nexport CARGO_HOME="$HOME/.cargo" RUSTUP_HOME="$HOME/.rustup"\n'
    mended = instance.shell(
        f'{exported}{strict}\nPATH="$CARGO_HOME/bin:$PATH"\ncargo --version',
        environment={"HOME": None},
    )
    assert succeeded(mended).startswith("reached\ncargo ")


COMMAND_NOT_FOUND = 127
SIGTERM_OF_BASH = 128 + 15


class Session:
    """A shell that stays open, without HOME as that of Systems Manager: one script after another.

    What one exports, the next one has.
    """

    def __init__(self, instance: FreshInstance) -> None:
        self._instance = instance

    def run(self, script: str) -> Finished:
        """One script; its exit code is that of its last command."""
        lines = ("[ ! -e session ] || . ./session", script, "code=$?", "export -p > session")
        return self._instance.shell("\n".join((*lines, "exit $code")), environment={"HOME": None})

    def doctor(self, *, after: str = "true") -> Mapping[str, Any]:
        """What `attested-kms doctor` finds after a script that must succeed."""
        finished = self.run(f"{{ {after} ; }} >&2 && {DOCTOR}")
        report: Mapping[str, Any] = json.loads(finished.stdout or "null")
        assert report is not None, finished
        assert finished.exit_code == (0 if report["next"] is None else 1), finished
        return report

    def mend(self) -> tuple[list[str], Mapping[str, Any]]:
        """Do what doctor says is next until it finds no error.

        The checks that asked for something, in their order, and what doctor says in the end.
        """
        mended: list[str] = []
        report = self.doctor()
        while (step := report["next"]) is not None:
            assert step["check"] not in mended, report
            mended.append(step["check"])
            report = self.doctor(after=step["command"])
        return mended, report


DOCTOR = "attested-kms doctor --as parent --json"
BUILD = "nitro-cli build-enclave --docker-uri hello --docker-dir hello --output-file hello.eif"
RUN = "nitro-cli run-enclave --cpu-count 2 --memory 512 --eif-path hello.eif"
FORGET = f"""\
mkfifo console
{RUN} --attach-console > console &
exec 3< console
while read -r line <&3; do
    case $line in "Successfully connected to the console.") break ;; esac
done
kill $! && wait $!
"""
"""An enclave whose command is ended by a signal, as `timeout` does it, once the enclave runs."""


@pytest.mark.timeout(240)  # Some thirty commands.
@pytest.mark.needs(Capability.PARENT_INSTANCE)
@pytest.mark.inferred("field notes, bugs 2, 3 and 9 and their checklist; each step's own scenario")
def test_checklist_from_a_bare_instance_to_a_running_enclave(fresh: FreshInstance) -> None:
    """After the notes' user-data nothing works; doctor names one step after the other.

    First the packages, then the allocator that needs them, then the folder that build-enclave
    needs; of the Docker engine, without which an instance may live, it warns. The first enclave
    outlives its command, which SIGTERM ends as `timeout` does, and holds the CPUs; doctor names
    it, its command ends it, and the next enclave runs.
    """
    session = Session(fresh)
    assert session.run(f"( {USER_DATA} )\n{BUILD}").exit_code == COMMAND_NOT_FOUND
    mended, report = session.mend()
    assert mended == ["packages.cli", "allocator.service", "artifacts.folder"]
    [engine] = (each for each in report["findings"] if each["check"] == "docker.service")
    assert engine["outcome"] == "warning"
    built = succeeded(session.run(f"{engine['command']} >&2 && {BUILD}"))
    assert set(json.loads(built)["Measurements"]) > {"PCR0", "PCR1"}

    assert session.run(FORGET).exit_code == SIGTERM_OF_BASH
    refused = session.run(RUN)
    assert refused.exit_code == 39, refused
    assert "[ E29 ]" in refused.stderr
    mended, _ = session.mend()
    assert mended == ["enclaves.running"]

    enclave = json.loads(succeeded(session.run(RUN)))
    [described] = json.loads(succeeded(session.run("nitro-cli describe-enclaves")))
    assert (described["EnclaveID"], described["State"]) == (enclave["EnclaveID"], "RUNNING")
