"""nitro-enclaves-allocator: what it reserves, what it prints, how it reads its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.machine.allocator import _PAGES_NOT_SET, CONFIGURATION, Outcome
from simulator.machine.configuration import Configuration
from simulator.machine.driver import PoolRefused
from simulator.machine.instance import INSTANCE_TYPES, BadInstance, Instance
from simulator.machine.making import Host, Installation, make
from simulator.nitro_cli import allocator_command
from simulator.nitro_cli.places import VARIABLE
from tests.simulator.parent_instance import eif_of, instance

POOL = "/sys/module/nitro_enclaves/parameters/ne_cpus"
NO_MEMORY = (
    "Error: Failed to configure entire amount of requested memory. "
    "This indicates insufficient system resources."
)


def host_of(
    folder: Path, instance_type: str = "m6i.xlarge", installation: Installation | None = None
) -> Host:
    configuration = Configuration(instance_type=instance_type)
    make(folder, configuration, installation or Installation())
    host = Host.open(folder, configuration)
    host.driver.take_up()
    return host


def allocated(host: Host, text: str) -> Outcome:
    (host.root / CONFIGURATION.lstrip("/")).write_text(text)
    return host.allocate()


def dmesg(host: Host) -> list[str]:
    return [line.partition("] ")[2] for line in host.log.lines()]


def test_the_default_on_an_m6i_xlarge(tmp_path: Path) -> None:
    host = host_of(tmp_path)
    outcome = allocated(host, "---\n# As shipped.\nmemory_mib: 512\ncpu_count: 2\n")
    assert outcome == Outcome(
        (
            "Auto-generating the enclave CPU pool by using the CPU count...",
            "Will try to reserve 512 MB of memory on node 0.",
            "Configuring the huge page memory...",
            "- Reserved 256 pages of type: 2048kB.",
            "Done.",
            "Auto-generated the enclave CPU pool: 1,3.",
            "Configuring the enclave CPU pool...",
            "Done.",
            "Successfully allocated Nitro Enclaves resources: 512 MiB, 2 CPUs",
        ),
        (),
        0,
    )
    # The line feed of who wrote it, and that of reading it.
    assert (host.root / POOL.lstrip("/")).read_text() == "1,3\n\n"
    # At each start, and harmless.
    assert dmesg(host)[-2:] == [
        "nitro_enclaves: No CPUs available in CPU pool",
        "nitro_enclaves: Error in setup CPU pool [rc=-22]",
    ]


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("memory_mib: 512\ncpu_count: 2\n", "Config error: missing memory reservation"),
        ("---\ncpu_count: 2\n", "Config error: missing memory reservation (`memory_mib`)."),
        (
            "---\nmemory_mib: 512\ncpu_count: 2",
            "Config error: missing CPU reservation (either `cpu_count` or `cpu_pool`).",
        ),
        (
            "---\nmemory_mib: 512\ncpu_count: 2\ncpu_pool: 1,3\n",
            "Config error: `cpu_count` conflicts with `cpu_pool`.",
        ),
        ("---\nmemory: 512\n", f"Error in {CONFIGURATION}:2 - unexpected: memory"),
        ("---\n- cpu_count: 2\n", f"Error in {CONFIGURATION}:2 - unexpected: -"),
        ("---\n# a\nmemory_mib:\n", f"Error in {CONFIGURATION}:3 - missing value for memory_mib"),
        ("---\nmemory_mib: 512 # MiB\ncpu_pool: 1,3\n", "The needed memory amount (512 # MiB) is"),
        ("---\nmemory_mib: 512\ncpu_count: two\n", "The CPU count value (two) is invalid."),
        ("---\nmemory_mib: 512\ncpu_count: 0\n", "Provided CPU count is not higher than 0."),
        ("---\nmemory_mib: 512\ncpu_count: 6\n", "Provided CPU count is higher than available CPU"),
        ("---\nmemory_mib: 512\ncpu_count: 3\n", "The CPU count is not multiple of 2 (threads per"),
        (
            "---\nmemory_mib: 512\ncpu_count: 4\n",
            "Failed to find suitable CPUs for the Nitro Enclaves CPU pool after checking all NUMA",
        ),
        ("---\nmemory_mib: 512\ncpu_pool: 0,2\n", "Failed to configure the CPU pool."),
        ("---\nmemory_mib: 512\ncpu_pool: all\n", "Failed to configure the CPU pool."),
        ("---\nmemory_mib: 90000\ncpu_count: 2\n", NO_MEMORY.removeprefix("Error: ")),
    ],
)
def test_failures(tmp_path: Path, text: str, last: str) -> None:
    outcome = allocated(host_of(tmp_path), text)
    assert outcome.exit_code == 1
    assert outcome.lines[-1].startswith(f"Error: {last}")


def test_a_blank_line_is_an_unexpected_key(tmp_path: Path) -> None:
    outcome = allocated(host_of(tmp_path), "---\nmemory_mib: 512\n\ncpu_count: 2\n")
    assert outcome.lines == (f"Error: Error in {CONFIGURATION}:3 - unexpected: ",)
    assert outcome.errors == (
        "/usr/bin/nitro-enclaves-allocator: line 115: CONFIG: bad array subscript",
    )


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (
            "---\r\nmemory_mib: 64\r\ncpu_count: 2\r\n",
            "Config error: missing memory reservation (`memory_mib`).",
        ),
        ("---\nmemory_mib: 64\ncpu_count: 2\r\n", "The CPU count value (2\r) is invalid."),
    ],
)
def test_lines_that_end_as_in_windows(tmp_path: Path, text: str, last: str) -> None:
    assert allocated(host_of(tmp_path), text).lines[-1] == f"Error: {last}"


def test_quotes_and_spaces_around_values(tmp_path: Path) -> None:
    outcome = allocated(host_of(tmp_path), '---\nmemory_mib:   "256"\n  cpu_count: "2"  \n')
    assert outcome.lines[-1] == "Successfully allocated Nitro Enclaves resources: 256 MiB, 2 CPUs"


BASH = "/usr/bin/nitro-enclaves-allocator: line "


@pytest.mark.parametrize(
    ("text", "last", "errors"),
    [
        ("memory_mib: 0512\ncpu_count: 02", "- Reserved 165 pages of type: 2048kB.", ()),
        (
            "memory_mib: 08\ncpu_count: 2",
            "Configuring the huge page memory...",
            (f'{BASH}264: 08: value too great for base (error token is "08")',),
        ),
        (
            "memory_mib: 64\ncpu_count: 08",
            "Auto-generating the enclave CPU pool by using the CPU count...",
            (f'{BASH}438: 08: value too great for base (error token is "08")',),
        ),
        (
            f"memory_mib: 64\ncpu_count: {1 << 63}",
            "Error: Provided CPU count is not higher than 0.",
            (f"{BASH}433: [: {1 << 63}: integer expression expected",),
        ),
        (f"memory_mib: {1 << 44}\ncpu_count: 2", "- Reserved 1 pages of type: 2048kB.", ()),
        (
            f"memory_mib: {1 << 43}\ncpu_pool: 1,5",
            f"Error: {_PAGES_NOT_SET}",
            (f"{BASH}302: echo: write error: Invalid argument",),
        ),
    ],
)
def test_numbers_are_those_of_bash(
    tmp_path: Path, text: str, last: str, errors: tuple[str, ...]
) -> None:
    """As the real script says, run on stand-ins of lscpu and sysfs; the last is inferred."""
    outcome = allocated(host_of(tmp_path, "m6i.2xlarge"), f"---\n{text}\n")
    assert outcome.errors == errors
    assert outcome.exit_code == (0 if outcome.lines[-1].startswith("Successfully") else 1)
    assert last in (outcome.lines[-1], *outcome.lines[3:4])


def test_a_backslash_quotes_and_joins_lines(tmp_path: Path) -> None:
    host = host_of(tmp_path)
    text = "---\nmemory_mib: 5\\\n12\n# a\\\ncomment\ncpu\\_count: 2\\ \n"
    assert allocated(host, text).lines[-1].endswith("resources: 512 MiB, 2 CPUs")
    outcome = allocated(host, "---\nmemory_mib: 5\\\n12\nfoo\\\\bar: 3\n")
    assert outcome.lines[-1] == f"Error: Error in {CONFIGURATION}:3 - unexpected: foo"
    # Continued where nothing follows: a line that is not ended is not read.
    assert "missing CPU res" in allocated(host, "---\nmemory_mib: 1\ncpu_count: 2\\\n").lines[-1]


def test_a_file_of_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NITRO_CLI_INSTALL_DIR", "there")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "m"))
    with instance(tmp_path / "m"):
        assert allocator_command.main() == 1
        assert "line 99: there/etc/nitro_enclaves/allocator.yaml: No such" in capfd.readouterr().err
        (tmp_path / f"there{CONFIGURATION}").parent.mkdir(parents=True)
        (tmp_path / f"there{CONFIGURATION}").write_text("---\nmemory_mib: 64\ncpu_count: 2\n")
        assert allocator_command.main() == 0
    assert capfd.readouterr().out.endswith("resources: 64 MiB, 2 CPUs\n")


def test_no_file_and_no_driver(tmp_path: Path) -> None:
    host = host_of(tmp_path, installation=Installation(has_driver=False, runs_allocator=False))
    (host.root / CONFIGURATION.lstrip("/")).rename(tmp_path / "kept")
    outcome = host.allocate()
    assert outcome.errors[0].endswith("allocator.yaml: No such file or directory")
    assert "missing memory reservation" in outcome.lines[-1]
    outcome = allocated(host, (tmp_path / "kept").read_text())
    assert len(outcome.errors) == 3
    (line,) = outcome.lines
    assert line.startswith("Error: The CPU pool file is missing.")


def test_the_largest_pages_first(tmp_path: Path) -> None:
    host = host_of(tmp_path)
    lines = allocated(host, "---\nmemory_mib: 1027\ncpu_pool: 1,3\n").lines
    assert lines[3:6] == (
        "- Reserved 1 pages of type: 1048576kB.",
        "- Reserved 2 pages of type: 2048kB.",
        "Done.",
    )
    assert lines[-1].endswith("1027 MiB, CPU pool: 1,3")
    arm = host_of(tmp_path / "arm", "m6g.xlarge")
    assert (arm.root / POOL.lstrip("/")).read_text().strip() == "1,2"
    lines = allocated(arm, "---\nmemory_mib: 515\ncpu_count: 3\n").lines
    assert "- Reserved 16 pages of type: 32768kB." in lines
    assert "- Reserved 16 pages of type: 64kB." in lines
    assert "Auto-generated the enclave CPU pool: 1,2,3." in lines


def test_too_little_memory_is_rolled_back(tmp_path: Path) -> None:
    """As aws-nitro-enclaves-cli's issue 313 shows it; 1.4.4 says so at the end."""
    host = host_of(tmp_path, "m5.16xlarge")
    lines = allocated(host, "---\nmemory_mib: 131072\ncpu_count: 4\n").lines
    failed = "Memory configuration failed, rolling back memory reservations..."
    at = lines.index("Will try to reserve 131072 MB of memory on node 1.")
    assert lines[at + 2] == "- Reserved 123 pages of type: 1048576kB."
    assert lines[-2:] == (failed, NO_MEMORY)
    assert host.pages.count(0, 2048) == 256
    # On node 1 alone there are as many CPUs as that, and all of them.
    lines = allocated(host, "---\nmemory_mib: 512\ncpu_count: 32\n").lines
    assert "Will try to reserve 512 MB of memory on node 1." in lines
    assert host.driver.available == [*range(16, 32), *range(48, 64)]


@pytest.mark.parametrize(
    ("pool", "complaint", "number"),
    [
        ("0-3", "CPU 0 has to remain available", 22),
        ("1,3,4", "CPU sibling 4 for CPU 0 is in CPU pool", 22),
        ("1", "CPU 5 is not in CPU pool", 22),
        ("3,1000", "Error in cpulist parse [rc=-34]", 34),
        ("3-1", "Error in cpulist parse [rc=-22]", 22),
    ],
)
def test_pools_that_the_driver_refuses(
    tmp_path: Path, pool: str, complaint: str, number: int
) -> None:
    host = host_of(tmp_path, "m6i.2xlarge")
    with pytest.raises(PoolRefused):
        host.driver.set_pool(f"{pool}\n")
    assert dmesg(host)[-2:] == [
        f"nitro_enclaves: {complaint}",
        f"nitro_enclaves: Error in setup CPU pool [rc=-{number}]",
    ]
    assert host.driver.available == []
    assert (host.root / POOL.lstrip("/")).read_text() == "\n"


def test_cpus_of_two_nodes(tmp_path: Path) -> None:
    host = host_of(tmp_path, "m5.16xlarge")
    with pytest.raises(PoolRefused):
        host.driver.set_pool("1,33,16,48\n")
    assert "nitro_enclaves: CPUs with different NUMA nodes" in dmesg(host)


def test_nothing_is_reserved_anew_while_an_enclave_runs(tmp_path: Path) -> None:
    with instance(tmp_path / "m") as machine:
        started = machine.run(eif_of(tmp_path / "a.eif")).value
        refused = machine.ask("allocate").value
        (line,) = refused["lines"]
        assert line == (
            "Error: Could not re-online CPUs because there is at least one enclave currently "
            "running. Make sure you stop all enclaves prior to re-starting the "
            "nitro-enclaves-allocator.service."
        )
        assert (refused["errors"], refused["exit_code"]) == ([], 1)
        assert "nitro_enclaves: The CPU pool is used by enclave(s)" in machine.dmesg
        # Who writes to the driver's file is refused too, and it says what it said.
        machine.file(POOL).write_text("2\n")
        assert machine.ask("status").value["cpu_pool"]["used"] == [1, 3]
        assert machine.file(POOL).read_text() == "1,3\n\n"
        assert machine.ask("terminate", enclave_id=started["EnclaveID"]).value
        assert machine.ask("allocate").value["exit_code"] == 0


def test_how_cpus_are_numbered() -> None:
    assert INSTANCE_TYPES["m6i.xlarge"].cores == ((0, 2), (1, 3))
    assert INSTANCE_TYPES["m6g.xlarge"].cores == ((0,), (1,), (2,), (3,))
    two = INSTANCE_TYPES["m5.16xlarge"]
    assert (two.siblings(1), two.node_of(47), two.node_of(48)) == ((1, 33), 0, 1)
    with pytest.raises(BadInstance, match="whole cores"):
        Instance(type="odd", vcpus=3, memory_mib=1)
