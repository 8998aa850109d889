"""What goes wrong before there is an enclave: bugs 2 and 4 of the field notes."""

from __future__ import annotations

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


@pytest.mark.reported("a run of bash on another Linux; field notes, bug 4")
def test_bug_4_unset_variables(fresh: FreshInstance) -> None:
    """Under set -u a script ends at the first $CARGO_HOME or $HOME that nobody has set.

    Neither root's login nor Systems Manager sets CARGO_HOME, and the latter sets no HOME. Set
    before they are used, they do no harm.
    """
    script = 'set -u\nPATH="$CARGO_HOME/bin:$PATH"\ncd "$HOME"\necho built'
    unset = {"HOME": None, "CARGO_HOME": None}
    first = fresh.shell(script, environment=unset)
    assert first.exit_code != 0
    assert "CARGO_HOME: unbound variable" in first.stderr
    second = fresh.shell(f"export CARGO_HOME=/root/.cargo\n{script}", environment=unset)
    assert second.exit_code != 0
    assert "HOME: unbound variable" in second.stderr.replace("CARGO_HOME", "")
    assert "built" not in first.stdout + second.stdout

    fixed = 'export HOME="$PWD"\nexport CARGO_HOME="$HOME/.cargo" RUSTUP_HOME="$HOME/.rustup"\n'
    assert succeeded(fresh.shell(f"{fixed}{script}", environment=unset)) == "built\n"
