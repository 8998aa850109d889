"""Bug 9 of the field notes before it comes: an old enclave holds the CPUs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.doctor.checks import enclaves
from simulator.doctor.model import Outcome
from simulator.doctor.running_enclaves import Undescribed, parse
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import POOL, describes, doctor, enclave, only, parent

RUNNING, DEBUG = enclaves.CHECKS
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS)
LARGE = {POOL: "1-3,5-7\n"}


def test_bug_9_is_named_with_the_enclave_that_holds_the_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = enclave(1, [1, 3])
    answer = doctor(parent(tmp_path, {}, [describes(old)]), capsys)
    assert answer["exit_code"] == 1
    assert answer["next"]["check"] == "enclaves.running"
    terminate = f"nitro-cli terminate-enclave --enclave-id {old['EnclaveID']}"
    assert answer["next"]["command"] == terminate
    (finding,) = [one for one in answer["findings"] if one["check"] == "enclaves.running"]
    assert finding["bug"] == "9"
    assert finding["explains"] == ["host.cpu-pool"]
    assert "E29 and E39" in finding["found"]


def test_bug_9_mended_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = doctor(parent(tmp_path), capsys, "--only", "enclaves")
    assert (answer["exit_code"], answer["next"]) == (0, None)
    assert {finding["outcome"] for finding in answer["findings"]} == {"ok"}


def test_free_cpus_are_told(tmp_path: Path) -> None:
    finding = only(RUNNING, parent(tmp_path, LARGE, [describes(enclave(1, [1, 5]))]))
    assert finding.outcome is Outcome.OK
    assert finding.found.endswith("free are 2,3,6,7: run-enclave takes --cpu-count up to 4")


def test_several_that_hold_all_are_terminated_together(tmp_path: Path) -> None:
    commands = [describes(enclave(1, [1, 5]), enclave(2, [2, 6]), enclave(3, [3, 7]))]
    finding = only(RUNNING, parent(tmp_path, LARGE, commands))
    assert finding.outcome is Outcome.ERROR
    ids = [f"i-05f6ed443ae428c95-enc173dfe3e2b1c87{number}" for number in (1, 2, 3)]
    terminate = "nitro-cli terminate-enclave --enclave-id"
    assert finding.command == "; ".join(f"{terminate} {name}" for name in ids)


def test_the_enclave_that_is_wanted_is_no_fault_and_so_it_is_said(tmp_path: Path) -> None:
    """So does a parent look that is at work: the error is one for whoever wants another enclave."""
    finding = only(RUNNING, parent(tmp_path, {}, [describes(enclave(1, [1, 3]))]))
    assert finding.outcome is Outcome.ERROR
    assert "Nothing is wrong, though, if this enclave is wanted" in finding.found
    assert finding.fix.startswith("Do nothing if this enclave is wanted. Else ")


def test_an_instance_has_four_enclaves_at_most(tmp_path: Path) -> None:
    commands = [describes(*(enclave(number, [number]) for number in range(1, 5)))]
    finding = only(RUNNING, parent(tmp_path, {POOL: "1-7\n"}, commands))
    assert finding.outcome is Outcome.WARNING
    assert finding.found.startswith("4 enclaves run, and an instance has 4 at most")


@pytest.mark.parametrize("pool", [None, "garbage\n"])
def test_without_a_readable_pool_what_runs_holds_all(tmp_path: Path, pool: str | None) -> None:
    folder = parent(tmp_path, {POOL: pool}, [describes(enclave(1, [1, 3]))])
    assert only(RUNNING, folder).outcome is Outcome.ERROR


def test_debug_mode_is_a_note(tmp_path: Path) -> None:
    commands = [describes(enclave(1, [1, 3], Flags="DEBUG_MODE"), enclave(2, [5, 7]))]
    finding = only(DEBUG, parent(tmp_path, {}, commands))
    assert finding.outcome is Outcome.NOTE
    assert finding.found.startswith("i-05f6ed443ae428c95-enc173dfe3e2b1c871 runs in debug mode")


def test_an_id_that_is_none_is_not_put_into_a_command(tmp_path: Path) -> None:
    commands = [describes(enclave(1, [1, 3], EnclaveID="x; reboot\x1b[31m"))]
    finding = only(RUNNING, parent(tmp_path, {}, commands))
    assert finding.command == "nitro-cli terminate-enclave --all"
    assert "\x1b" not in finding.found


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ({"hangs": True}, "does not end"),
        ({"exit_code": 7, "stderr": "[ E07 ] Read from disk failure.\n"}, "with 7: [ E07 ] Read"),
        ({"exit_code": -9}, "ended with -9"),
        ({"stdout": ""}, "printed no JSON, but nothing"),
        ({"stdout": {"base64": "//79/A=="}}, "printed no JSON, but \N{REPLACEMENT CHARACTER}"),
        ({"stdout": "[" * 100_000}, "printed no JSON"),
        ({"stdout": "[" + "9" * 5000 + "]"}, "printed"),
        ({"stdout": "{}"}, "printed JSON that is no list"),
        ({"stdout": "[{}]"}, "printed an enclave that is none: {}"),
    ],
)
def test_a_nitro_cli_that_does_not_tell_is_a_warning(
    tmp_path: Path, outcome: dict[str, Any], said: str
) -> None:
    entry = command("nitro-cli", "describe-enclaves", **outcome)
    folder = parent(tmp_path, {}, [entry])
    finding = only(RUNNING, folder)
    assert finding.outcome is Outcome.WARNING
    assert said in finding.found
    assert only(DEBUG, folder).outcome is Outcome.SKIPPED


@given(st.text())
def test_any_output_is_read_or_refused(text: str) -> None:
    with pytest.raises(Undescribed):
        parse(f"x{text}")


@given(st.lists(JSON, min_size=1, max_size=3))
def test_any_json_is_read_or_refused(members: list[Any]) -> None:
    with pytest.raises(Undescribed):
        parse(json.dumps(members))


@given(JSON, JSON, JSON, JSON)
def test_any_member_of_an_enclave_is_read_or_refused(
    name: Any, cpus: Any, memory: Any, flags: Any
) -> None:
    member = {"EnclaveID": name, "CPUIDs": cpus, "MemoryMiB": memory, "Flags": flags}
    try:
        (one,) = parse(json.dumps([member]))
    except Undescribed:
        return
    assert (list(one.cpus), one.is_debug) == (list(set(cpus)), flags == "DEBUG_MODE")
