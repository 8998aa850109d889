"""Bug 2 of the field notes before it comes, and what else is wrong with the packages."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.doctor.checks import packages
from simulator.doctor.model import Outcome
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import (
    BLOBS,
    Files,
    doctor,
    found,
    only,
    package,
    parent,
    without_cli,
)

CLI, DEVEL, UNKNOWN = packages.CHECKS
BOTH = "dnf install -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel"
USER_DATA = """\
#!/bin/bash
# aws-nitro-enclaves-allocator is installed, too
dnf install -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel aws-nitro-enclaves-allocator || true
systemctl enable --now nitro-enclaves-allocator.service || true
"""  # noqa: E501  # As in the field notes' repository.
LOG = "Amazon Linux 2023\nError: Unable to find a match: aws-nitro-enclaves-allocator\n"
AL2 = 'ID="amzn"\nVERSION_ID="2"\n'
AL2_BOTH = (
    "amazon-linux-extras install -y aws-nitro-enclaves-cli && "
    "yum install -y aws-nitro-enclaves-cli-devel"
)
UBUNTU = 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
NOT_INSTALLED = [
    package("aws-nitro-enclaves-cli", is_installed=False),
    package("aws-nitro-enclaves-cli-devel", is_installed=False),
]


def bare(tmp_path: Path, files: Files | None = None, **described: Any) -> Path:
    """Nothing of Nitro Enclaves is installed."""
    commands = [*NOT_INSTALLED, *described.pop("commands", [])]
    without = ["nitro-cli", *described.pop("without", [])]
    missing = {**without_cli(), **(files or {})}
    return parent(tmp_path, missing, commands, without=without, **described)


def test_bug_2_is_named_with_the_line_that_did_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {packages.USER_DATA: USER_DATA, packages.CLOUD_INIT_LOG: LOG}
    answer = doctor(bare(tmp_path, files), capsys)
    assert answer["exit_code"] == 1
    assert answer["next"]["check"] == "packages.cli"
    assert answer["next"]["command"] == BOTH
    findings = {finding["check"]: finding for finding in answer["findings"]}
    assert findings["packages.cli"]["bug"] == "2"
    assert findings["packages.devel"]["outcome"] == "error"
    trace = findings["packages.unknown"]
    assert (trace["outcome"], trace["command"]) == ("warning", BOTH)
    assert "Line 3 of /var/lib/cloud/instance/user-data.txt asks for" in trace["found"]
    assert "`|| true` hides that it fails" in trace["found"]
    assert "Line 2 of /var/log/cloud-init-output.log is `Unable to find a match" in trace["found"]
    assert findings["allocator.service"]["outcome"] == "skipped"


def test_bug_2_mended_is_a_note_about_the_next_instance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = doctor(parent(tmp_path, {packages.USER_DATA: USER_DATA}), capsys)
    assert (answer["exit_code"], answer["next"]) == (0, None)
    outcomes = {finding["check"]: finding["outcome"] for finding in answer["findings"]}
    assert outcomes["packages.cli"] == outcomes["packages.devel"] == "ok"
    assert outcomes["packages.unknown"] == "note"


def test_only_the_missing_package_is_asked_for(tmp_path: Path) -> None:
    gone: Files = {path: None for path in without_cli() if not path.startswith(BLOBS)}
    folder = parent(tmp_path, gone, NOT_INSTALLED[:1], without=["nitro-cli"])
    assert only(CLI, folder).command == "dnf install -y aws-nitro-enclaves-cli"


@pytest.mark.parametrize(
    ("release", "fix", "command_line"),
    [
        (
            AL2,
            "amazon-linux-extras",
            AL2_BOTH,
        ),
        (UBUNTU, "build it from source", ""),
        ("", "build it from source", ""),
    ],
)
def test_other_distributions_install_otherwise(
    tmp_path: Path, release: str, fix: str, command_line: str
) -> None:
    finding = only(CLI, bare(tmp_path, {"/etc/os-release": release}))
    assert finding.outcome is Outcome.ERROR
    assert fix in finding.fix
    assert finding.command == command_line


def test_without_rpm_the_files_decide(tmp_path: Path) -> None:
    built = only(CLI, parent(tmp_path / "built", without=["rpm"]))
    assert built.outcome is Outcome.NOTE
    assert "built from source?" in built.found
    missing = only(CLI, bare(tmp_path / "bare", {"/etc/os-release": UBUNTU}, without=["rpm"]))
    assert (missing.outcome, missing.command) == (Outcome.ERROR, "")


@pytest.mark.parametrize("gone", ["/usr/bin/nitro-cli", "/usr/bin/nitro-enclaves-allocator"])
def test_what_is_half_installed_is_installed_again(tmp_path: Path, gone: str) -> None:
    finding = only(CLI, parent(tmp_path, {gone: None}))
    assert finding.outcome is Outcome.ERROR
    assert f"{gone} is gone" in finding.found
    assert finding.command == "dnf reinstall -y aws-nitro-enclaves-cli"


def test_a_path_without_usr_bin_hides_nitro_cli(tmp_path: Path) -> None:
    finding = only(CLI, parent(tmp_path, environ={"PATH": "/opt/bin"}))
    assert (finding.outcome, finding.command) == (Outcome.ERROR, 'export PATH="$PATH:/usr/bin"')


def test_an_rpm_that_cannot_tell_is_quoted(tmp_path: Path) -> None:
    broken = command(
        "rpm",
        "-q",
        "aws-nitro-enclaves-cli",
        exit_code=1,
        stderr={"base64": "ZXJyb3I6IGRiNSAo/yk="},
    )
    finding = only(CLI, parent(tmp_path, {}, [broken]))
    assert finding.outcome is Outcome.NOTE
    assert "rpm cannot tell: error: db5 (\N{REPLACEMENT CHARACTER})" in finding.found


def test_an_rpm_that_hangs_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hangs = command("rpm", "-q", "aws-nitro-enclaves-cli", hangs=True)
    answer = doctor(parent(tmp_path, {}, [hangs]), capsys, "--only", "packages.cli")
    assert answer["exit_code"] == 0
    assert answer["findings"][0]["outcome"] == "warning"
    assert "did not end" in answer["findings"][0]["found"]


@pytest.mark.parametrize("name", ["cmdline", "linuxkit", "nsm.ko", "bzImage.config"])
def test_a_blob_that_is_gone_is_named(tmp_path: Path, name: str) -> None:
    finding = only(DEVEL, parent(tmp_path, {f"{BLOBS}/{name}": None}))
    assert finding.outcome is Outcome.ERROR
    assert f"{BLOBS} lacks {name} (" in finding.found
    assert finding.command == "dnf reinstall -y aws-nitro-enclaves-cli-devel"


def test_a_missing_kernel_is_of_either_architecture(tmp_path: Path) -> None:
    finding = only(DEVEL, parent(tmp_path, {f"{BLOBS}/bzImage": None}))
    assert "lacks bzImage or Image (" in finding.found


def test_a_variable_may_lead_to_other_blobs(tmp_path: Path) -> None:
    finding = only(DEVEL, parent(tmp_path, environ={"NITRO_CLI_BLOBS": "/opt/blobs"}))
    assert (finding.outcome, finding.command) == (Outcome.ERROR, "unset NITRO_CLI_BLOBS")
    assert finding.found.startswith("There is no folder /opt/blobs")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# dnf install aws-nitro-enclaves-allocator\n",
        "dnf install -y aws-nitro-enclaves-cli\n",
        "systemctl enable nitro-enclaves-allocator.service\n",
        "echo there is no aws-nitro-enclaves-allocator\n",
        "dnf install -y --skip-broken aws-nitro-enclaves-cli aws-nitro-enclaves-allocator\n",
        "dnf remove -y aws-nitro-enclaves-allocator\n",
        "dnf install -y aws-nitro-enclaves-allocator-extra\n",
    ],
)
def test_what_installs_no_unknown_package_is_no_trace(text: str) -> None:
    assert packages.script_traces("f", text) == []


@pytest.mark.parametrize(
    ("text", "line", "is_hidden"),
    [
        ("dnf install -y a \\\n  aws-nitro-enclaves-allocator\n", 1, False),
        ("\n\nyum -y install aws-nitro-enclaves-allocator || :\n", 3, True),
        ("#cloud-config\npackages:\n  - aws-nitro-enclaves-allocator\n", 3, False),
        ("dnf install -y 'aws-nitro-enclaves-allocator' ||true", 1, True),
    ],
)
def test_a_trace_is_found_however_it_is_written(text: str, line: int, is_hidden: bool) -> None:
    (trace,) = packages.script_traces("f", text)
    assert trace.startswith(f"Line {line} of f ")
    assert ("hides" in trace) is is_hidden


def test_who_may_not_read_the_script_is_told_so(tmp_path: Path) -> None:
    folder = parent(
        tmp_path,
        {packages.USER_DATA: USER_DATA},
        denied=[packages.USER_DATA],
        user_id=1000,
    )
    finding = only(UNKNOWN, folder)
    assert finding.outcome is Outcome.SKIPPED
    assert "user-data.txt cannot be read (Permission denied)" in finding.found


def test_a_script_that_is_no_text_is_no_trouble(tmp_path: Path) -> None:
    files = {
        packages.USER_DATA: gzip.compress(USER_DATA.encode()),
        packages.CLOUD_INIT_LOG: b"\xff",
    }
    assert only(UNKNOWN, parent(tmp_path, files)).outcome is Outcome.OK


@given(st.text())
def test_any_script_is_read(text: str) -> None:
    packages.script_traces("f", text)
    packages.log_traces("f", text)


@given(st.text(alphabet="\\\n#a ", max_size=30), st.booleans())
def test_an_installation_is_found_whatever_stands_above(above: str, has_comment: bool) -> None:
    joined = above.rstrip("\\") + "\n" + "# comment\n" * has_comment
    lines = joined + "dnf install aws-nitro-enclaves-allocator\n"
    assert packages.script_traces("f", lines) != []


def test_each_check_finds_something_on_a_sound_machine(tmp_path: Path) -> None:
    folder = parent(tmp_path)
    for check in packages.CHECKS:
        assert [finding.outcome for finding in found(check, folder)] == [Outcome.OK]


def test_the_rpm_of_debian_is_not_asked(tmp_path: Path) -> None:
    """It would make a ~/.rpmdb, and doctor changes nothing."""
    broken = command("rpm", "-q", "aws-nitro-enclaves-cli", exit_code=1, stderr="asked\n")
    files = {**without_cli(), "/etc/os-release": UBUNTU}
    finding = only(CLI, parent(tmp_path, files, [broken], without=["nitro-cli"]))
    assert finding.found == "nitro-cli: command not found (packages are dpkg's here, not rpm's)"
