"""How a failure becomes a message, an error log, a line of the log and an exit code."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from simulator.nitro_cli.errors import ERRORS, backtrace, message
from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.main import VERSION_VARIABLE
from simulator.nitro_cli.numbers import NotANumber, unsigned
from simulator.nitro_cli.rust_text import debug, display
from simulator.nitro_cli.session import timestamp
from tests.simulator.nitro_cli_world import World


def text(code: str, *infos: str) -> str:
    return ERRORS[code].message(infos)


def test_there_are_61_codes_and_each_is_its_exit_code() -> None:
    assert [error.exit_code for error in ERRORS.values()] == list(range(61))
    assert list(ERRORS) == [f"E{number:02}" for number in range(61)]
    assert len({error.name for error in ERRORS.values()}) == 61


def test_infos_fill_the_placeholders_and_are_not_read_again() -> None:
    assert text("E22", "cpu-count", "4").startswith(
        "[ E22 ] Insufficient CPUs available in the pool. User provided `cpu-count` is 4, "
    )
    assert text("E03", "{}").endswith("The parameter `{}` is not a valid integer (`MISSING_INFO`)")
    assert text("E02", "a", "b", "c").endswith("both `a` and `b`.")


def test_the_codes_with_two_texts() -> None:
    assert text("E19").endswith("writing to the log file.")
    assert text("E19", "x", "Open").endswith("\nFile: 'x', failing operation: 'Open'.")
    assert text("E19", "x") == text("E19")
    assert text("E26", "memory", "1", "800").endswith("the minimum memory should be 800 MB")
    assert text("E26", "memory", "0").endswith("is 0 MB, and memory should be greater than 0 MB.")


def test_a_backtrace_begins_at_the_outside() -> None:
    failure = Failure(code="E11", subactions=("in",), file="a.rs", line=7)
    shown = backtrace(failure.within("out", action="Do"), "1.4.4")
    assert shown.splitlines() == [
        "  Action: Do",
        "  Subactions:",
        "    out",
        "    in",
        "  Root error file: a.rs",
        "  Root error line: 7",
        "  Version: 1.4.4",
    ]
    assert not shown.endswith("\n")


def test_a_message_without_an_error_log_does_not_name_one() -> None:
    failure = Failure(code="E11", subactions=(), file="a.rs", line=7)
    assert message(failure, shown_backtrace=None, log=None).endswith("cli-errors.html#E11")
    assert message(failure, shown_backtrace="TRACE", log=None).endswith("\n\nBacktrace:\nTRACE")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (errno.ENOENT, 'Os { code: 2, kind: NotFound, message: "No such file or directory" }'),
        (errno.EIO, 'Os { code: 5, kind: Uncategorized, message: "Input/output error" }'),
    ],
)
def test_errors_of_the_system_as_rust_shows_them(number: int, shown: str) -> None:
    error = OSError(number, "whatever")
    assert debug(error) == shown
    assert display(error).endswith(f"(os error {number})")


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "1970-01-01T00:00:00"),
        (1_000_000, "1970-01-01T00:00:00.001"),
        (1_000_001_000, "1970-01-01T00:00:01.000001"),
        (1, "1970-01-01T00:00:00.000000001"),
    ],
)
def test_a_fraction_has_the_digits_it_needs(nanoseconds: int, shown: str) -> None:
    assert timestamp(nanoseconds) == shown


def test_a_time_of_the_log_has_milliseconds() -> None:
    assert timestamp(0, digits=3) == "1970-01-01T00:00:00.000"


@pytest.mark.parametrize("accepted", ["0", "+7", "007", "4294967295", "0" * 5000 + "1"])
def test_numbers_that_rust_reads(accepted: str) -> None:
    assert unsigned(accepted, (1 << 32) - 1) == int(accepted.lstrip("+0") or "0")


@pytest.mark.parametrize(
    "refused", ["", "+", "-1", " 1", "1 ", "1_0", "٣", "4294967296", "9" * 9999]
)
def test_texts_that_are_no_numbers_for_rust(refused: str) -> None:
    with pytest.raises(NotANumber):
        unsigned(refused, (1 << 32) - 1)


def test_a_failure_is_told_logged_and_kept(machine: World) -> None:
    finished = machine.run("terminate-enclave", "--enclave-id", "i-0-encdead")
    assert (finished.exit_code, finished.stdout) == (11, "")
    (name,) = re.findall('found at "/var/log/nitro_enclaves/(err.*[.]log)"\n$', finished.stderr)
    assert re.fullmatch(r"err\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3,9})?\+00:00\.log", name)
    assert (machine.logs / name).read_text() == finished.error_logs[0]
    assert re.search(
        r"^\[nitro-cli:\d+\]\[ERROR\]\[\S{23}Z\]\[src/common/mod.rs:424\] \[ E11 \] Socket error.",
        machine.log(),
        re.MULTILINE,
    )


def test_backtrace_is_shown_for_1_alone(machine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKTRACE", "full")
    assert "Backtrace:" not in machine.run("terminate-enclave", "--enclave-id", "x").stderr
    monkeypatch.setenv("BACKTRACE", "1")
    finished = machine.run("terminate-enclave", "--enclave-id", "x")
    assert f"\n\nBacktrace:\n{finished.error_logs[0]}\n\nIf you open" in finished.stderr


def test_logs_go_where_the_environment_says(
    machine: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logs = f"{tmp_path}/logs/"
    monkeypatch.setenv("NITRO_CLI_LOGS_PATH", logs)
    first = machine.run("describe-enclaves")
    assert first.exit_code == 19
    assert f"File: '{logs}nitro_enclaves.log', failing operation: 'Open'." in first.stderr
    # The error log made the folder.
    assert f'"{logs}/err' in first.stderr
    assert machine.run("describe-enclaves").exit_code == 0
    # What failed before there was a log is not in it.
    log = (tmp_path / "logs" / "nitro_enclaves.log").read_text()
    assert "Start Nitro CLI" in log
    assert "ERROR" not in log


def test_a_log_that_cannot_be_opened(machine: World) -> None:
    (machine.logs / "nitro_enclaves.log").mkdir()
    finished = machine.run("describe-enclaves")
    assert finished.exit_code == 19
    assert "  Action: Logger initialization\n" in finished.error_logs[0]
    assert "kind: IsADirectory" in finished.error_logs[0]


def test_rust_log_hides_what_is_below_its_level(
    machine: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUST_LOG", "ERROR")
    machine.run("terminate-enclave", "--enclave-id", "x")
    assert "][INFO][" not in machine.log()
    assert "][ERROR][" in machine.log()


def test_another_version(machine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.run("--nitro-cli-version", "1.5.0", "--version").stdout == "Nitro CLI 1.5.0\n"
    assert machine.run("--nitro-cli-version=1.5.0", "-V").stdout == "Nitro CLI 1.5.0\n"
    monkeypatch.setenv(VERSION_VARIABLE, "1.5.0")
    finished = machine.run("terminate-enclave", "--enclave-id", "x")
    assert finished.error_logs[0].endswith("\n  Version: 1.5.0")


def test_a_version_that_is_not_known(machine: World) -> None:
    finished = machine.run("--nitro-cli-version", "2.0", "describe-enclaves")
    assert (finished.exit_code, finished.stdout) == (2, "")
    assert "1.4.4 and 1.5.0" in finished.stderr


def test_every_code_but_three_is_explained(machine: World) -> None:
    explained = set()
    for code in ERRORS:
        finished = machine.run("explain", "--error-code", code)
        assert (finished.exit_code, finished.stdout) == (0, "")
        if finished.stderr == f"No such error code {code}\n":
            assert code in ("E57", "E58", "E59")
        else:
            explained.add(finished.stderr)
    assert len(explained) == 58
    assert machine.run("explain", "--error-code", "e29").stderr == "No such error code e29\n"
