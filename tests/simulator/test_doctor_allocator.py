"""What the allocator is asked for, whether it ran, and what it has reserved."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.doctor.checks import allocator
from simulator.doctor.model import Outcome
from simulator.doctor.reservation import number_of, objection
from simulator.machine.allocator_file import BadFile, Reservation, read_reservation
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import (
    ALLOCATOR,
    ALLOCATOR_YAML,
    FREE_PAGES,
    NODE,
    NR_PAGES,
    POOL,
    describes,
    doctor,
    enclave,
    journal,
    only,
    parent,
    unit,
)

CONFIGURATION, SERVICE, CPUS, MEMORY = allocator.CHECKS
RESTART = f"systemctl restart {ALLOCATOR}"
IN_USE = (
    "Error: Could not re-online CPUs because there is at least one enclave currently running. Make "
    "sure you stop all enclaves prior to re-starting the nitro-enclaves-allocator.service."
)
TOO_MUCH = (
    "Error: Failed to configure entire amount of requested memory. This indicates insufficient "
    "system resources."
)
NO_MEMORY = "Error: Config error: missing memory reservation (`memory_mib`)."


def repaired(folder: Path, command_line: str) -> str:
    """What a fix writes: run by bash twice, in a folder, without what comes of it."""
    place = folder.parent / "written/allocator.yaml"
    if "mv -T" in command_line:
        place.parent.mkdir()
        place.write_text("as it was")
    rewrite = command_line.removesuffix(f" && {RESTART}").replace(
        "/etc/nitro_enclaves", str(place.parent)
    )
    for _ in range(2):
        subprocess.run(["bash", "-c", rewrite], check=True)
    if "mv -T" in command_line:
        kept = [each.read_text() for each in place.parent.glob("allocator.yaml.before*")]
        assert "as it was" in kept
    text = place.read_text()
    assert only(CONFIGURATION, parent(folder, {ALLOCATOR_YAML: text})).outcome is Outcome.OK
    return text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memory_mib: 1024\ncpu_count: 2\n", "no line that is exactly ---"),
        ("---\r\nmemory_mib: 1024\r\ncpu_count: 2\r\n", "lines end with CR LF"),
        ("---\nmemory_mib: 1024\n\ncpu_count: 2\n", "allocator.yaml:3 - unexpected:"),
        ("---\nmemory_mib: 1024\ncpus: 2\n", "allocator.yaml:3 - unexpected: cpus"),
        ("---\nmemory_mib: 1024\ncpu_count:\n", "missing value for cpu_count"),
        ("---\nmemory_mib: 1024\ncpu_count: 2", "its last line has no line feed"),
        ("---\nmemory_mib: 1024\ncpu_count: 2\ncpu_pool: 1,3\n", "conflicts with `cpu_pool`"),
        ("---\nmemory_mib: 1024\ncpu_count: 0\n", "Provided CPU count is not higher than 0."),
        ("---\nmemory_mib: 1024\ncpu_count: 3\n", "not multiple of 2 (threads per core)"),
        ("---\nmemory_mib: 1024\ncpu_count: 4\n", "Failed to find suitable CPUs"),
        ("---\nmemory_mib: 1024\ncpu_count: 64\n", "higher than available CPUs - 4."),
        ("---\nmemory_mib: 1024\ncpu_count: two\n", "no number that can be used: two"),
        ("---\nmemory_mib: 1024\ncpu_count: 08\n", "no number that can be used: 08"),
        ("---\nmemory_mib: 1024\ncpu_pool: 0,2\n", "CPU 0,2, which stays with the parent"),
        ("---\nmemory_mib: 1024\ncpu_pool: 1,9\n", "CPU 9, which the instance has not"),
        ("---\nmemory_mib: 1024\ncpu_pool: all\n", "no list of CPUs: all"),
        ("---\nmemory_mib: 1024\ncpu_pool: ,\n", "cpu_pool is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_written_anew_with_its_numbers(
    tmp_path: Path, text: str, said: str
) -> None:
    finding = only(CONFIGURATION, parent(tmp_path / "broken", {ALLOCATOR_YAML: text}))
    assert finding.outcome is Outcome.ERROR
    assert said in finding.found
    anew = repaired(tmp_path / "mended", finding.command)
    assert anew == "---\nmemory_mib: 1024\ncpu_count: 2\n"


@pytest.mark.parametrize("text", [None, "", b"\xff\xfe\x00---", "---\nmemory_mib: lots\n"])
def test_a_file_without_numbers_gets_those_it_is_shipped_with(
    tmp_path: Path, text: str | bytes | None
) -> None:
    finding = only(CONFIGURATION, parent(tmp_path / "broken", {ALLOCATOR_YAML: text}))
    assert finding.outcome is Outcome.ERROR
    anew = repaired(tmp_path / "mended", finding.command)
    assert anew == "---\nmemory_mib: 512\ncpu_count: 2\n"


def test_an_instance_without_a_second_core_is_too_small(tmp_path: Path) -> None:
    files = {
        "/sys/devices/system/cpu/present": "0-1\n",
        "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0-1\n",
    }
    finding = only(CONFIGURATION, parent(tmp_path, files))
    assert (finding.outcome, finding.command) == (Outcome.ERROR, "")
    assert finding.fix.startswith("Take a larger instance")


def test_a_core_without_threads_counts_alone(tmp_path: Path) -> None:
    files = {
        "/sys/devices/system/cpu/present": "0-1\n",
        "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0\n",
    }
    finding = only(CONFIGURATION, parent(tmp_path, files))
    assert "cpu_count: 1\\n" in finding.command


def test_less_memory_than_any_enclave_has_is_a_warning(tmp_path: Path) -> None:
    text = "---\nmemory_mib: 32\ncpu_count: 2\n"
    finding = only(CONFIGURATION, parent(tmp_path / "broken", {ALLOCATOR_YAML: text}))
    assert finding.outcome is Outcome.WARNING
    assert "memory_mib: 512" in repaired(tmp_path / "mended", finding.command)


def test_cpus_that_cannot_be_read_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parent(tmp_path, {"/sys/devices/system/cpu/present": "many\n"})
    answer = doctor(folder, capsys, "--only", "allocator.config")
    assert answer["findings"][0]["outcome"] == "warning"
    assert "holds no list of CPUs: 'many'" in answer["findings"][0]["found"]


def test_a_service_that_was_never_started_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parent(tmp_path, {POOL: "\n"}, unit(ALLOCATOR, "inactive", "disabled"))
    answer = doctor(folder, capsys)
    assert answer["exit_code"] == 1
    assert answer["next"]["check"] == "allocator.service"
    assert answer["next"]["command"] == f"systemctl enable --now {ALLOCATOR}"
    outcomes = {finding["check"]: finding["outcome"] for finding in answer["findings"]}
    assert outcomes["allocator.pool"] == outcomes["allocator.memory"] == "skipped"


def test_a_service_that_is_not_enabled_is_a_warning(tmp_path: Path) -> None:
    finding = only(SERVICE, parent(tmp_path, {}, unit(ALLOCATOR, "active", "disabled")))
    assert (finding.outcome, finding.command) == (
        Outcome.WARNING,
        f"systemctl enable {ALLOCATOR}",
    )


@pytest.mark.parametrize(
    ("said", "fix", "command_line"),
    [
        (
            IN_USE,
            "That ends all enclaves: those that are wanted keep their CPUs and memory without it",
            f"nitro-cli terminate-enclave --all && {RESTART}",
        ),
        (
            TOO_MUCH,
            "Start it again; if it fails once more: Start the allocator soon after boot, lower",
            RESTART,
        ),
        (NO_MEMORY, "Write ---, memory_mib", RESTART),
        ("Error: something new", "See its journal", f"journalctl --no-pager -u {ALLOCATOR}"),
    ],
)
def test_a_failed_service_is_explained_by_its_journal(
    tmp_path: Path, said: str, fix: str, command_line: str
) -> None:
    commands = [
        *unit(ALLOCATOR, "failed"),
        journal(ALLOCATOR, "Error: an older one", said, "Failed with result 'exit-code'."),
    ]
    finding = only(SERVICE, parent(tmp_path, {}, commands))
    assert finding.outcome is Outcome.ERROR
    assert said[:150] in finding.found
    assert fix in finding.fix
    assert finding.command == command_line


def test_a_failed_service_without_a_journal_is_said(tmp_path: Path) -> None:
    finding = only(SERVICE, parent(tmp_path, {}, unit(ALLOCATOR, "failed")))
    assert finding.outcome is Outcome.ERROR
    assert finding.found.endswith("its journal does not say why")


def test_without_systemd_it_cannot_be_told(tmp_path: Path) -> None:
    words = ("systemctl", "is-active", ALLOCATOR)
    refused = command(*words, exit_code=1, stderr="System has not been booted with systemd\n")
    finding = only(SERVICE, parent(tmp_path, {}, [refused]))
    assert finding.outcome is Outcome.WARNING
    assert "cannot be told: System has not been booted" in finding.found


def test_a_systemctl_that_hangs_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs = command("systemctl", "is-active", ALLOCATOR, hangs=True)
    answer = doctor(parent(tmp_path, {}, [hangs]), capsys, "--only", "allocator.service")
    assert answer["findings"][0]["outcome"] == "warning"


@pytest.mark.parametrize(
    ("pool", "outcome", "said"),
    [
        ("\n", Outcome.ERROR, "E22 (requested 2, but maximum is 0)"),
        ("", Outcome.ERROR, "the CPU pool is empty"),
        ("all of them\n", Outcome.ERROR, "E23"),
        ("0,2\n", Outcome.ERROR, "CPU 0,2, which stays with the parent"),
        ("1,3,5,7\n", Outcome.WARNING, "the pool has 4 CPUs (1,3,5,7) and"),
        ("1\n", Outcome.WARNING, "run-enclave says E22 above 1"),
    ],
)
def test_a_pool_that_will_not_do_is_made_again(
    tmp_path: Path, pool: str, outcome: Outcome, said: str
) -> None:
    finding = only(CPUS, parent(tmp_path, {POOL: pool}))
    assert (finding.outcome, finding.command) == (outcome, RESTART)
    assert said.lower() in finding.found.lower()


def test_a_pool_of_other_cpus_than_asked_for_is_a_warning(tmp_path: Path) -> None:
    files = {ALLOCATOR_YAML: "---\nmemory_mib: 512\ncpu_pool: 5,7\n"}
    finding = only(CPUS, parent(tmp_path, files))
    assert finding.outcome is Outcome.WARNING
    assert "is 1,3, and" in finding.found


@pytest.mark.parametrize("text", ["", "---\nmemory_mib: 512\ncpu_pool: all\n"])
def test_a_file_that_says_nothing_is_not_the_pools_fault(tmp_path: Path, text: str) -> None:
    assert only(CPUS, parent(tmp_path, {ALLOCATOR_YAML: text})).outcome is Outcome.OK


def test_the_allocators_file_may_be_closed(tmp_path: Path) -> None:
    folder = parent(tmp_path, denied=[ALLOCATOR_YAML])
    assert only(CPUS, folder).outcome is only(MEMORY, folder).outcome is Outcome.OK


def test_no_huge_pages_at_all_is_an_error(tmp_path: Path) -> None:
    finding = only(MEMORY, parent(tmp_path, {NR_PAGES: "0\n", FREE_PAGES: "0\n"}))
    assert (finding.outcome, finding.command) == (Outcome.ERROR, RESTART)
    assert "E27" in finding.found


def test_fewer_huge_pages_than_asked_for_is_a_warning(tmp_path: Path) -> None:
    finding = only(MEMORY, parent(tmp_path, {NR_PAGES: "128\n", FREE_PAGES: "128\n"}))
    assert (finding.outcome, finding.command) == (Outcome.WARNING, RESTART)
    assert finding.found.startswith("256 of 256 MiB in huge pages of node0 are free, and")


def test_pages_that_somebody_else_holds_are_a_warning(tmp_path: Path) -> None:
    finding = only(MEMORY, parent(tmp_path, {FREE_PAGES: "16\n"}))
    assert finding.outcome is Outcome.WARNING
    assert "something else holds 480 MiB" in finding.found


def test_a_kernel_without_huge_pages_is_a_warning_that_says_where_to_look(tmp_path: Path) -> None:
    files = dict.fromkeys((NR_PAGES, FREE_PAGES, f"{NODE}/cpu1"))
    finding = only(MEMORY, parent(tmp_path, files))
    assert finding.outcome is Outcome.WARNING
    assert finding.fix.startswith("See whether the kernel has them")


def test_pages_that_enclaves_hold_are_theirs(tmp_path: Path) -> None:
    commands = [describes(enclave(1, [1, 3]))]
    assert only(MEMORY, parent(tmp_path, {FREE_PAGES: "0\n"}, commands)).outcome is Outcome.OK


def test_pages_count_on_the_node_of_the_pool(tmp_path: Path) -> None:
    other = "/sys/devices/system/node/node1"
    files = {
        f"{NODE}/cpu1": None,
        f"{other}/cpu1": "",
        f"{other}/hugepages/hugepages-1048576kB/nr_hugepages": "1\n",
        f"{other}/hugepages/hugepages-1048576kB/free_hugepages": "1\n",
        f"{other}/hugepages/README": "",
        "/sys/devices/system/node/online": "0-1\n",
    }
    finding = only(MEMORY, parent(tmp_path, files))
    assert finding.found == (
        "1024 of 1024 MiB in huge pages of node1 are free; an enclave takes whole pages, and some "
        "have 1024 MiB"
    )


def test_a_kernel_that_shows_no_pages_cannot_tell(tmp_path: Path) -> None:
    files = {NR_PAGES: None, FREE_PAGES: None, f"{NODE}/cpu1": None}
    assert only(MEMORY, parent(tmp_path, files)).outcome is Outcome.WARNING


@pytest.mark.parametrize("text", ["", "many\n", "-1\n", "9" * 400, b"\xff", "1e9"])
def test_a_number_that_is_none_is_a_warning(
    tmp_path: Path, text: str | bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = doctor(parent(tmp_path, {NR_PAGES: text}), capsys, "--only", "allocator.memory")
    assert answer["findings"][0]["outcome"] == "warning"
    assert "nr_hugepages cannot be read (it holds no number" in answer["findings"][0]["found"]


@given(st.binary())
def test_any_file_is_read_or_refused(raw: bytes) -> None:
    try:
        reservation = read_reservation(b"---\nmemory_mib: 512\n" + raw, ALLOCATOR_YAML)
    except BadFile:
        return
    objection(reservation, frozenset(range(4)), frozenset({0, 2}))


@given(st.text(max_size=12), st.text(max_size=12), st.booleans())
def test_any_reservation_is_judged(memory: str, cpus: str, is_count: bool) -> None:
    count, pool = (cpus, None) if is_count else (None, cpus)
    objection(Reservation(memory, count, pool), frozenset(range(4)), frozenset({0, 2}))


@given(st.integers(min_value=1, max_value=8))
def test_whole_cores_beside_that_of_cpu_0_are_taken(cores: int) -> None:
    cpus = frozenset(range(2 * cores + 2))
    for count in range(2, 2 * cores + 2, 2):
        assert objection(Reservation("512", str(count), None), cpus, frozenset({0, 1})) == ""


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("010", 8), ("08", None), ("²", None)])
def test_numbers_are_those_of_bash(text: str, number: int | None) -> None:
    assert number_of(text) == number
