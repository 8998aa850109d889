"""Bug 4 of the field notes before it comes: cargo, cc, sudo's PATH and `set -u`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.doctor.checks import toolchain
from simulator.doctor.checks.toolchain import SUDOERS, SUDOERS_FOLDER, secure_path
from simulator.doctor.model import Outcome, Role
from tests.simulator.doctor_parents import CARGO, RUSTUP, Files, doctor, found, only, parent

COMPILER, LINKER, SUDO, VARIABLES = toolchain.CHECKS
NO_CC: Files = {f"/usr/bin/{name}": None for name in ("cc", "gcc", "c++", "make")}
BUILD_TOOLS = "dnf install -y gcc gcc-c++ make"
USE_IT = (
    "export CARGO_HOME=/home/ec2-user/.cargo RUSTUP_HOME=/home/ec2-user/.rustup "
    f'PATH={CARGO}:"$PATH"'
)
FROM_DNF = {"/usr/bin/cargo": "", "/usr/bin/rustc": ""}


def test_bug_4_is_named_before_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = doctor(parent(tmp_path, {**RUSTUP, **NO_CC}), capsys)
    assert answer["exit_code"] == 1
    assert answer["next"] == {
        "check": "toolchain.linker",
        "fix": "Install a C compiler, which Rust links with",
        "command": BUILD_TOOLS,
    }
    findings = {finding["check"]: finding for finding in answer["findings"]}
    assert findings["toolchain.linker"]["bug"] == "4"
    assert findings["toolchain.linker"]["explains"] == ["host.linker"]
    compiler, sudo = findings["toolchain.compiler"], findings["toolchain.sudo"]
    assert (compiler["outcome"], compiler["command"]) == ("warning", USE_IT)
    assert f"it is in {CARGO}, the toolchain of ec2-user" in compiler["found"]
    assert sudo["outcome"] == "warning"
    assert sudo["command"].startswith(f'sudo env PATH={CARGO}:"$PATH" CARGO_HOME=')


def test_bug_4_mended_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {
        "HOME": "/home/ec2-user",
        "PATH": f"{CARGO}:/usr/bin",
        "CARGO_HOME": "/home/ec2-user/.cargo",
        "RUSTUP_HOME": "/home/ec2-user/.rustup",
    }
    sudoers = f'Defaults secure_path="{CARGO}:/usr/bin"\n'
    files = {**RUSTUP, SUDOERS: sudoers, "/home/ec2-user/.rustup/settings.toml": ""}
    answer = doctor(parent(tmp_path, files, environ=environ), capsys, "--only", "toolchain")
    assert answer["exit_code"] == 0
    assert {finding["outcome"] for finding in answer["findings"]} == {"ok"}


def test_where_nobody_builds_no_compiler_is_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = doctor(parent(tmp_path, NO_CC), capsys, "--only", "toolchain")
    assert answer["exit_code"] == 0
    assert [finding["outcome"] for finding in answer["findings"]] == [
        "note",
        "note",
        "skipped",
        "ok",
    ]


@pytest.mark.parametrize(
    "files",
    [
        RUSTUP,
        {"/root/.cargo/bin/cargo": ""},
        {"/usr/local/bin/cargo": ""},
        {"/home/ec2-user/proxy/Cargo.toml": ""},
        {"/root/Cargo.toml": ""},
        {"/srv/build/Cargo.toml": ""},
    ],
)
def test_whoever_builds_needs_a_linker(tmp_path: Path, files: dict[str, str]) -> None:
    environ = {"PATH": "/usr/bin", "HOME": "/root", "PWD": "/srv/build"}
    finding = only(LINKER, parent(tmp_path, {**NO_CC, **files}, environ=environ))
    assert (finding.outcome, finding.command) == (Outcome.ERROR, BUILD_TOOLS)


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ('ID="amzn"\nVERSION_ID="2"\n', "yum install -y gcc gcc-c++ make"),
        ("ID='amzn'\nVERSION_ID='2'\n", "yum install -y gcc gcc-c++ make"),
        ("ID=debian\n", "apt-get install -y build-essential"),
        ("ID=arch\n", ""),
    ],
)
def test_each_distribution_has_its_compiler(tmp_path: Path, release: str, command: str) -> None:
    files = {**NO_CC, **RUSTUP, "/etc/os-release": release}
    assert only(LINKER, parent(tmp_path, files)).command == command


def test_a_linker_without_make_is_said(tmp_path: Path) -> None:
    finding = only(LINKER, parent(tmp_path, {"/usr/bin/make": None, "/usr/bin/c++": None}))
    assert finding.outcome is Outcome.OK
    assert finding.found == "/usr/bin/cc; c++ and make missing, which some crates ask for"


def test_a_project_without_a_compiler_wants_one(tmp_path: Path) -> None:
    finding = only(COMPILER, parent(tmp_path, {"/root/app/Cargo.toml": ""}))
    assert (finding.outcome, finding.command) == (Outcome.WARNING, "dnf install -y rust cargo")


def test_cargo_without_rustc_is_half_a_toolchain(tmp_path: Path) -> None:
    finding = only(COMPILER, parent(tmp_path, {"/usr/bin/cargo": ""}))
    assert finding.found.startswith("`rustc: command not found`")


def test_a_compiler_of_the_distribution_is_found_by_sudo_too(tmp_path: Path) -> None:
    folder = parent(tmp_path, FROM_DNF)
    assert only(COMPILER, folder).found == "/usr/bin/cargo and /usr/bin/rustc"
    assert only(SUDO, folder).found.startswith("sudo finds /usr/bin/cargo (")


def test_another_users_home_may_be_closed(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "HOME": "/home/alice", "USER": "alice"}
    folder = parent(
        tmp_path, RUSTUP, environ=environ, user_id=1001, denied=["/home/ec2-user", "/root"]
    )
    assert only(COMPILER, folder).outcome is Outcome.NOTE


def test_sudoers_that_may_not_be_read_are_taken_as_shipped(tmp_path: Path) -> None:
    finding = only(SUDO, parent(tmp_path, RUSTUP, denied=[SUDOERS], user_id=1000))
    assert finding.outcome is Outcome.WARNING
    assert "is taken to be /sbin:/bin:/usr/sbin:/usr/bin, as it is shipped" in finding.found


def test_without_secure_path_sudo_keeps_path(tmp_path: Path) -> None:
    finding = only(SUDO, parent(tmp_path, {**RUSTUP, SUDOERS: "Defaults env_reset\n"}))
    assert finding.outcome is Outcome.OK


def test_a_later_file_of_sudoers_decides(tmp_path: Path) -> None:
    files = {**RUSTUP, f"{SUDOERS_FOLDER}/90-path": f"Defaults secure_path += {CARGO}\n"}
    assert only(SUDO, parent(tmp_path / "one", files)).outcome is Outcome.OK
    ignored = {**RUSTUP, f"{SUDOERS_FOLDER}/90.bak": f"Defaults secure_path={CARGO}\n"}
    assert only(SUDO, parent(tmp_path / "two", ignored)).outcome is Outcome.WARNING


def test_without_sudo_nothing_is_asked(tmp_path: Path) -> None:
    files = {SUDOERS: None, "/usr/bin/sudo": None}
    assert only(SUDO, parent(tmp_path, files)).outcome is Outcome.SKIPPED


@pytest.mark.parametrize(
    ("sudoers", "path"),
    [
        ("", None),
        ("Defaults secure_path=/a:/b", "/a:/b"),
        ('Defaults env_reset, secure_path = "/a:/b", use_pty', "/a:/b"),
        ("Defaults secure_path=/a\nDefaults !secure_path", None),
        ("Defaults secure_path=/a\nDefaults secure_path=/b", "/b"),
        ("Defaults secure_path=/a\nDefaults:ec2-user secure_path=/b", "/b"),
        ("Defaults secure_path=/a\nDefaults:alice, bob secure_path=/b", "/a"),
        ("# Defaults secure_path=/a", None),
        ("Defaults \\\n  secure_path = /a", "/a"),
        ("Defaults secure_path=/a\nDefaults secure_path += /b", "/a:/b"),
        ("Defaults exempt_group=wheel, secure_path", None),
    ],
)
def test_sudoers_are_read(sudoers: str, path: str | None) -> None:
    assert secure_path(sudoers, "ec2-user") == path


@given(st.text())
def test_any_sudoers_are_read(text: str) -> None:
    secure_path(text, "ec2-user")
    secure_path(f"Defaults secure_path{text}", "ec2-user")


def test_a_shell_without_home_is_warned(tmp_path: Path) -> None:
    finding = only(VARIABLES, parent(tmp_path, RUSTUP, environ={"PATH": "/usr/bin"}))
    assert finding.outcome is Outcome.WARNING
    assert finding.command == (
        "export HOME=/root CARGO_HOME=/home/ec2-user/.cargo RUSTUP_HOME=/home/ec2-user/.rustup"
    )


def test_unset_variables_matter_under_set_u(tmp_path: Path) -> None:
    finding = only(VARIABLES, parent(tmp_path, RUSTUP))
    assert finding.outcome is Outcome.NOTE
    assert "`CARGO_HOME: unbound variable`" in finding.found


@pytest.mark.parametrize("wrong", ["/nowhere", "relative"])
def test_a_variable_that_leads_nowhere_is_warned(tmp_path: Path, wrong: str) -> None:
    environ = {"HOME": "/root", "CARGO_HOME": wrong, "PATH": "/usr/bin"}
    finding = only(VARIABLES, parent(tmp_path, RUSTUP, environ=environ))
    assert finding.outcome is Outcome.WARNING
    assert finding.found.startswith(f"CARGO_HOME={wrong}: ")


def test_a_passwd_that_is_no_text_is_no_trouble(tmp_path: Path) -> None:
    folder = parent(tmp_path, {"/etc/passwd": b"\xff\xfe:::\nroot\n:::::::\n" * 3})
    for check in toolchain.CHECKS:
        assert found(check, folder)


def test_compiler_and_linker_are_asked_where_programs_are_developed_too() -> None:
    asked = [check for check in toolchain.CHECKS if Role.DEVELOPMENT in check.roles]
    assert asked == [COMPILER, LINKER]
