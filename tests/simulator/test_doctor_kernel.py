"""The driver's lines in the kernel's log: which are noise, and which are bug 9's trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.doctor.checks import kernel
from simulator.doctor.checks.kernel import Meaning, judge
from simulator.doctor.model import Outcome
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import doctor, found, only, parent

(NOISE,) = kernel.CHECKS
EMPTY = "[   12.345678] nitro_enclaves: No CPUs available in CPU pool"
SETUP = "[   12.345679] nitro_enclaves: Error in setup CPU pool [rc=-22]"
ALONE = "[  120.000001] misc nitro_enclaves: No CPUs available in CPU pool"
OTHER = "[    1.000000] eth0: link up"


def log(tmp_path: Path, *lines: str) -> Path:
    return parent(tmp_path, {}, [command("dmesg", stdout="".join(f"{one}\n" for one in lines))])


def test_both_lines_together_are_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = log(tmp_path, OTHER, EMPTY, OTHER, SETUP, EMPTY, SETUP)
    answer = doctor(folder, capsys, "--only", "kernel", "--fail-on", "warning")
    assert answer["exit_code"] == 0
    (finding,) = answer["findings"]
    assert (finding["outcome"], finding["bug"]) == ("note", "9")
    assert "2 times: harmless" in finding["found"]


def test_the_first_alone_is_the_trace_of_bug_9(tmp_path: Path) -> None:
    findings = found(NOISE, log(tmp_path, EMPTY, SETUP, ALONE))
    assert [finding.outcome for finding in findings] == [Outcome.WARNING, Outcome.NOTE]
    assert "once alone: a run-enclave found no free CPU" in findings[0].found


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("nitro_enclaves: CPU 0 has to remain available", "has CPU 0"),
        ("nitro_enclaves: CPU sibling 2 for CPU 0 is in CPU pool", "a sibling of CPU 0"),
        ("nitro_enclaves: CPU 3 is not in CPU pool", "half a core"),
        ("nitro_enclaves: CPUs with different NUMA nodes", "spans NUMA nodes"),
        ("nitro_enclaves: The CPU pool is used by enclave(s)", "while an enclave ran"),
        ("misc nitro_enclaves: No CPUs available in NE CPU pool", "more CPUs than were free"),
        ("misc nitro_enclaves: Full CPU cores not used", "whole cores only"),
        ("misc nitro_enclaves: something new", "its meaning is not known here"),
        ("nitro_enclaves: Error in setup CPU pool [rc=-34]", "as the line before says"),
    ],
)
def test_other_lines_are_named_with_their_meaning(tmp_path: Path, line: str, meaning: str) -> None:
    finding = only(NOISE, log(tmp_path, f"[ 1.0] {line}"))
    assert finding.outcome is Outcome.NOTE
    assert finding.found.startswith(f"`{line.partition('nitro_enclaves: ')[2]}` once")
    assert meaning in finding.found


def test_a_silent_driver_is_well(tmp_path: Path) -> None:
    assert only(NOISE, log(tmp_path, OTHER)).outcome is Outcome.OK


def test_the_journal_is_asked_where_dmesg_is_refused(tmp_path: Path) -> None:
    commands = [
        command("dmesg", exit_code=1, stderr="dmesg: read kernel buffer failed: Not permitted\n"),
        command(
            "journalctl",
            "--no-pager",
            "-k",
            stdout="".join(f"Nov 27 ip kernel: {one[15:]}\n" for one in (EMPTY, SETUP)),
        ),
    ]
    assert only(NOISE, parent(tmp_path, {}, commands)).outcome is Outcome.NOTE


@pytest.mark.parametrize("outcome", [{"exit_code": 1, "stderr": "dmesg: no\n"}, {"hangs": True}])
def test_a_log_that_is_not_to_be_had_is_skipped(tmp_path: Path, outcome: dict[str, object]) -> None:
    finding = only(NOISE, parent(tmp_path, {}, [command("dmesg", **outcome)]))
    assert finding.outcome is Outcome.SKIPPED
    assert "dmesg" in finding.found


def test_without_either_command_it_is_skipped(tmp_path: Path) -> None:
    finding = only(NOISE, parent(tmp_path, without=["dmesg"]))
    assert finding.found == "The kernel's log is not to be had: there is no dmesg"


@given(st.lists(st.sampled_from([EMPTY, SETUP, ALONE, OTHER, "nitro_enclaves: \x00"]) | st.text()))
def test_any_log_is_judged(lines: list[str]) -> None:
    said = judge(lines)
    assert len(said) <= len(lines)
    empty = sum("nitro_enclaves: No CPUs available in CPU pool" in line for line in lines)
    known = [one for one in said if one.meaning is not Meaning.OTHER]
    assert len(known) == empty
