"""run-enclave on a parent instance: who fails first, and with what; what a machine gives out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from simulator.machine.making import Installation
from simulator.machine.parts import BadImage, BootFailed, UnreadableImage
from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.rust_text import debug
from tests.simulator.parent_instance import (
    METADATA,
    PCRS,
    Answer,
    Instance,
    StandIns,
    eif_of,
    instance,
)

MIB = 1 << 20
DEVICE = "/dev/nitro_enclaves"
POOL = "/sys/module/nitro_enclaves/parameters/ne_cpus"


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Iterator[Instance]:
    with instance(tmp_path / "m") as one:
        yield one


@pytest.fixture(name="eif")
def _eif(tmp_path: Path) -> Path:
    return eif_of(tmp_path / "hello.eif")


def backtrace(answer: Answer, version: str = "1.4.4") -> str:
    failure = answer.failure
    actions = "\n".join(f"    {text}" for text in reversed(failure.subactions))
    return (
        f"  Action: {failure.action}\n  Subactions:\n{actions}\n"
        f"  Root error file: {failure.file}\n  Root error line: {failure.line}\n"
        f"  Version: {version}"
    )


def test_an_enclave_is_run_described_and_terminated(machine: Instance, eif: Path) -> None:
    answer = machine.run(eif, enclave_cid=16, debug_mode=True)
    started = answer.value
    assert answer.said == [
        "Start allocating memory...",
        "Started enclave with enclave-cid: 16, memory: 128 MiB, cpu-ids: [1, 3]",
    ]
    assert list(started.items()) == [
        ("EnclaveName", "hello"),
        ("EnclaveID", started["EnclaveID"]),
        ("ProcessID", machine.stand_ins.booted[0][1].process_id),
        ("EnclaveCID", 16),
        ("NumberOfCPUs", 2),
        ("CPUIDs", [1, 3]),
        ("MemoryMiB", 128),
    ]
    tag = machine.file("/sys/devices/virtual/dmi/id/board_asset_tag").read_text().strip()
    instance_id, _, slot = started["EnclaveID"].rpartition("-enc")
    assert instance_id == tag
    assert machine.file(f"/run/nitro_enclaves/{slot}.sock").exists()
    (described,) = machine.ask("describe").value
    assert list(described)[7:] == [
        *("State", "Flags", "Measurements", "ImageName", "ImageVersion", "Metadata")
    ]
    assert (described["State"], described["Flags"]) == ("RUNNING", "DEBUG_MODE")
    # The image's, though its documents have zeros.
    assert described["Measurements"] == {"HashAlgorithm": "Sha384 { ... }", **PCRS}
    assert described["Metadata"]["Team"] == "red"
    assert described["Metadata"]["DockerInfo"] == METADATA["DockerInfo"]
    ended = machine.ask("terminate", enclave_id=started["EnclaveID"])
    assert ended.said == [f"Successfully terminated enclave {started['EnclaveID']}."]
    assert ended.value == {
        "EnclaveName": "hello",
        "EnclaveID": started["EnclaveID"],
        "Terminated": True,
    }
    assert machine.ask("describe").value == []
    assert list(machine.file("/run/nitro_enclaves").iterdir()) == []
    assert machine.ask("status").value["cpu_pool"] == {"free": [1, 3], "used": []}


def test_an_empty_name_is_a_name(machine: Instance, eif: Path) -> None:
    assert machine.run(eif, enclave_name="").value["EnclaveName"] == ""


def test_a_slash_after_the_images_name_finds_no_file(machine: Instance, eif: Path) -> None:
    failure = machine.run(eif, eif_path=f"{eif}/").failure
    assert (failure.code, failure.infos) == ("E19", (f"{eif}/", "Open"))
    assert "kind: NotADirectory" in failure.subactions[0]


def test_a_relative_path_is_of_the_commands_directory(machine: Instance, eif: Path) -> None:
    machine.run(eif, eif_path="hello.eif", directory=str(eif.parent)).value  # noqa: B018
    gone = machine.run(eif, eif_path="nope.eif", directory=str(eif.parent))
    assert gone.failure.infos == ("nope.eif", "Open")


def break_driver(machine: Instance) -> None:
    machine.file(POOL).unlink()


def break_device(machine: Instance) -> None:
    machine.file(DEVICE).unlink()


def empty_pool(machine: Instance) -> None:
    machine.file(POOL).write_text("\n")


def occupy_pool(machine: Instance) -> None:
    assert machine.run(eif_of(machine.folder.path.parent / "other.eif")).value


def starve(machine: Instance) -> None:
    """A control group without huge pages, as a pod's."""
    limit = machine.file("/sys/fs/cgroup/hugetlb.2MB.max")
    limit.parent.mkdir(parents=True)
    limit.write_text("0\n")


def nothing(_machine: Instance) -> None:
    """The machine as it is."""


@pytest.mark.parametrize(
    ("prepare", "arguments", "golden"),
    [
        (occupy_pool, {}, "bug9_second_enclave_pool_used_up"),
        (nothing, {"cpu_count": 1}, "E29_half_core"),
        (nothing, {"memory_mib": 32}, "E29_below_64MiB"),
        (nothing, {"cpu_count": 4}, "E22_more_than_pool"),
        (empty_pool, {}, "E22_allocator_never_started"),
        (nothing, {"memory_mib": 1024}, "E27_not_enough_hugepages"),
        (break_driver, {}, "E19_no_driver_pool_file"),
        (nothing, {"eif_path": "nope.eif"}, "E19_eif_missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_failures_are_those_of_the_golden_transcripts(
    machine: Instance,
    eif: Path,
    shared_vectors: Path,
    prepare: Any,
    arguments: dict[str, Any],
    golden: str,
) -> None:
    prepare(machine)
    answer = machine.run(eif, **arguments)
    cases = json.loads((shared_vectors / "host" / "nitro_cli_golden_1.4.4.json").read_text())
    case = cases["cases"][golden]
    assert backtrace(answer) == case["err_logs"][0]
    stderr = case["stderr"]
    assert stderr[: stderr.index("[ E")].splitlines() == answer.said
    # What a failed launch took is free again.
    assert machine.ask("status").value["huge_pages"][0]["free"] in {256, 192}


def test_less_memory_than_four_times_the_image(
    machine: Instance, tmp_path: Path, shared_vectors: Path
) -> None:
    answer = machine.run(eif_of(tmp_path / "large.eif", 200 * MIB), memory_mib=512)
    cases = json.loads((shared_vectors / "host" / "nitro_cli_golden_1.4.4.json").read_text())
    assert backtrace(answer) == cases["cases"]["E26_less_than_4x_eif"]["err_logs"][0]
    assert answer.failure.infos == ("memory", "512", "800")


@pytest.mark.parametrize(
    ("prepare", "arguments", "code", "line", "text"),
    [
        (nothing, {"cpu_ids": [1, 1]}, "E20", 102, "CPU IDs list contains 1 duplicate(s)"),
        (
            nothing,
            {"cpu_ids": [1, 2]},
            "E21",
            115,
            "The CPU with ID 2 is not available in the NE CPU pool",
        ),
        (
            nothing,
            {"cpu_ids": [1]},
            "E29",
            859,
            "The enclave cannot start because full CPU cores have not been set",
        ),
        (
            nothing,
            {"cpu_count": 0},
            "E29",
            859,
            "The enclave cannot start because no vCPUs have been added",
        ),
        (
            nothing,
            {"enclave_cid": 3},
            "E29",
            859,
            "The provided enclave CID is invalid, being a well-known CID or the parent VM CID",
        ),
        (
            break_device,
            {},
            "E19",
            510,
            f"Failed to open device file: {debug(FileNotFoundError(2, ''))}",
        ),
        (
            starve,
            {},
            "E35",
            301,
            f"Error while reading from enclave image: {debug(OSError(14, ''))}",
        ),
    ],
)
def test_other_failures(
    machine: Instance,
    eif: Path,
    prepare: Any,
    arguments: dict[str, Any],
    code: str,
    line: int,
    text: str,
) -> None:
    prepare(machine)
    failure = machine.run(eif, **arguments).failure
    assert (failure.code, failure.line, failure.subactions[0]) == (code, line, text)
    assert failure.subactions[-1] == "Failed to execute command `Run`"


def test_no_memory_for_an_image_without_content(machine: Instance, tmp_path: Path) -> None:
    failure = machine.run(eif_of(tmp_path / "empty.eif", 0), memory_mib=0).failure
    assert (failure.code, failure.line, failure.infos) == ("E26", 332, ("memory", "0"))


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("1,x\n", "E23", "Failed to parse CPU ID: invalid digit found in string"),
        ("1-2-3\n", "E24", "Invalid CPU ID interval (1-2-3)"),
        ("99999999999\n", "E23", "Failed to parse CPU ID: number too large to fit in target type"),
    ],
)
def test_a_pool_file_that_is_none(
    tmp_path: Path, eif: Path, text: str, code: str, said: str
) -> None:
    """As a file of sysfs it cannot be so; but it is what the code is written for."""
    from simulator.machine.cpu_pool_file import read_cpu_pool
    from simulator.machine.failures import Refused

    del eif
    path = tmp_path / POOL.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(Refused) as raised:
        read_cpu_pool(tmp_path)
    assert raised.value.failure.code == code
    assert raised.value.failure.subactions[0] == said


def test_a_partly_used_pool(tmp_path: Path, eif: Path, shared_vectors: Path) -> None:
    with instance(
        tmp_path / "m",
        instance_type="m6i.2xlarge",
        installation=Installation(cpus=4, memory_mib=1000),
    ) as machine:
        assert machine.run(eif).value["CPUIDs"] == [1, 5]
        answer = machine.run(eif, cpu_count=4)
        cases = json.loads((shared_vectors / "host" / "nitro_cli_golden_1.4.4.json").read_text())
        golden = cases["cases"]["E29_add_vcpu_partly_used_pool"]
        assert backtrace(answer) == golden["err_logs"][0]
        assert "misc nitro_enclaves: No CPUs available in NE CPU pool" in machine.dmesg
        used = machine.run(eif, cpu_ids=[1, 5]).failure
        assert used.subactions[:3] == (
            "The provided vCPU is not available in the CPU pool",
            "Add vCPU ioctl failed",
            "Failed to add CPU with ID 1",
        )
        second = machine.run(eif, cpu_ids=[6, 2]).value
        assert (second["EnclaveName"], second["CPUIDs"]) == ("hello_1", [6, 2])
        assert second["EnclaveCID"] == 17


def test_no_more_than_four_enclaves_and_no_cid_twice(tmp_path: Path, eif: Path) -> None:
    with instance(
        tmp_path / "m",
        instance_type="m6i.4xlarge",
        installation=Installation(cpus=12, memory_mib=1000),
    ) as machine:
        taken = machine.run(eif, enclave_cid=20).value["EnclaveCID"]
        again = machine.run(eif, enclave_cid=taken).failure
        assert again.subactions[0].endswith("[attested-kms: real text unknown, machine/cid-in-use]")
        for _ in range(3):
            assert machine.run(eif).value
        fifth = machine.run(eif).failure
        assert fifth.subactions[1] == "Create VM ioctl failed"
        assert len(machine.ask("describe").value) == 4


def test_a_page_of_a_gibibyte_goes_whole(tmp_path: Path, eif: Path) -> None:
    """As aws-nitro-enclaves-cli's issue 602 has it."""
    with instance(tmp_path / "m", installation=Installation(memory_mib=1024)) as machine:
        assert machine.run(eif, memory_mib=256).value["MemoryMiB"] == 1024


def test_pages_of_another_node(tmp_path: Path, eif: Path) -> None:
    with instance(tmp_path / "m", instance_type="m5.16xlarge") as machine:
        pages = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"
        machine.file(pages.format(0)).write_text("0\n")
        machine.file(pages.format(1)).write_text("256\n")
        failure = machine.run(eif).failure
        assert failure.subactions[:2] == (
            "The memory region's pages and the CPUs belong to different NUMA nodes",
            "Set user memory region ioctl failed",
        )


@pytest.mark.parametrize(
    ("is_signature", "line", "text"),
    [
        (False, 88, 'Failed to create EIF signature checker: "no \\"EIF\\""'),
        (True, 97, 'Invalid signing certificate: "no \\"EIF\\""'),
    ],
)
def test_an_image_that_the_check_refuses(
    tmp_path: Path, eif: Path, is_signature: bool, line: int, text: str
) -> None:
    refused = BadImage("It is none.", real_text='no "EIF"', is_signature=is_signature)
    with instance(tmp_path / "m", stand_ins=StandIns(refuses=refused)) as machine:
        answer = machine.run(eif)
        assert (answer.failure.code, answer.failure.line) == ("E59", line)
        assert answer.failure.subactions[0] == text
        assert answer.said == []


@pytest.mark.parametrize(
    ("stand_ins", "error", "notice"),
    [
        (StandIns(ends_early="its init panicked"), "VsockTimeoutError", "its init panicked"),
        (StandIns(refuses=BootFailed("no root")), "VsockTimeoutError", "no root"),
        (StandIns(refuses=UnreadableImage("wrong sum.")), "VsockTimeoutError", "wrong sum"),
        (StandIns(heartbeat=b"x"), "VsockReceivingError", "it said nothing"),
    ],
    ids=["ended", "not started", "unreadable", "wrong byte"],
)
def test_no_heartbeat(
    tmp_path: Path, eif: Path, stand_ins: StandIns, error: str, notice: str
) -> None:
    with instance(tmp_path / "m", stand_ins=stand_ins) as machine:
        answer = machine.run(eif)
        failure = answer.failure
        assert (failure.code, failure.line) == ("E36", 594)
        text = f"Waiting on enclave to boot failed with error {error}"
        assert failure.subactions[:3] == (text, "Failed to create enclave", "Failed to run enclave")
        assert len(answer.said) == 2
        assert notice in answer.notices[0]
        log = machine.file("/var/log/nitro_enclaves/nitro_enclaves.log").read_text()
        assert f"{text}. Terminating the enclave..." in log
        assert not machine.ask("describe").value
        assert machine.ask("status").value["cpu_pool"]["free"] == [1, 3]


def test_a_heartbeat_that_is_waited_for_as_long_as_asked(tmp_path: Path, eif: Path) -> None:
    silent = StandIns(heartbeat=b"")
    with instance(tmp_path / "m", stand_ins=silent, heartbeat_wait=0.01) as machine:
        assert machine.run(eif).failure.code == "E36"


def test_two_at_once_race_for_the_heartbeats_address(
    tmp_path: Path, eif: Path, shared_vectors: Path
) -> None:
    stand_ins = StandIns(waits=Event())
    with instance(
        tmp_path / "m",
        instance_type="m6i.2xlarge",
        installation=Installation(cpus=4),
        stand_ins=stand_ins,
    ) as machine:
        answers: list[Answer] = []
        first = Thread(target=lambda: answers.append(machine.run(eif)))
        first.start()
        stand_ins.booting.wait()
        second = machine.run(eif)
        cases = json.loads((shared_vectors / "host" / "nitro_cli_golden_1.4.4.json").read_text())
        assert backtrace(second) == cases["cases"]["E36_bind_race"]["err_logs"][0]
        # Enclaves that boot are in nobody's list yet, and hold the pool already.
        assert machine.ask("describe").value == []
        assert machine.ask("allocate").value["exit_code"] == 1
        assert stand_ins.waits is not None
        stand_ins.waits.set()
        first.join()
        assert answers[0].value["EnclaveCID"] == 16


def test_an_enclave_that_ends_is_gone_and_nobody_is_told(machine: Instance, eif: Path) -> None:
    started = machine.run(eif).value
    machine.stand_ins.booted[0][1].end()
    machine.stand_ins.booted[0][1].closed.wait()
    while machine.ask("describe").value:
        pass
    log = machine.file("/var/log/nitro_enclaves/nitro_enclaves.log").read_text()
    assert "Received hang-up event from the enclave. Enclave process will shut down." in log
    gone = machine.ask("terminate", enclave_id=started["EnclaveID"]).failure
    assert (gone.code, gone.line, gone.action) == ("E11", 134, "Terminate Enclave")
    assert machine.run(eif).value["EnclaveName"] == "hello"


@pytest.mark.parametrize(
    ("stand_ins", "root"),
    [
        (
            StandIns(custom=[1]),
            'Error("can only flatten structs and maps (got a sequence)", line: 0, column: 0)',
        ),
        (
            StandIns(not_described="Found invalid EIF section"),
            '"Found invalid EIF section"',
        ),
    ],
)
def test_an_enclave_that_cannot_be_described_ends(
    tmp_path: Path, eif: Path, stand_ins: StandIns, root: str
) -> None:
    with instance(tmp_path / "m", stand_ins=stand_ins) as machine:
        started = machine.run(eif).value
        if stand_ins.not_described is None:
            shown = machine.ask("display", metadata=False).value
            assert (len(shown["enclaves"]), shown["failures"]) == (1, [])
        shown = machine.ask("display", metadata=True).value
        assert shown["enclaves"] == machine.ask("describe").value == []
        failure = Failure.from_json(shown["failures"][0])
        assert (failure.subactions[0].partition(": ")[2], failure.action) == (root, "Run Enclave")
        assert failure.process == f"enc-{started['EnclaveID'].rpartition('enc')[2]}:{os.getpid()}"
        log = machine.file("/var/log/nitro_enclaves/nitro_enclaves.log").read_text()
        assert log.endswith(f"Enclave process {started['ProcessID']} exited event loop.\n")


def test_an_enclave_whose_process_is_killed_leaves_its_socket(machine: Instance, eif: Path) -> None:
    started = machine.run(eif).value
    (sock,) = machine.file("/run/nitro_enclaves").iterdir()
    enclave = machine.stand_ins.booted[0][1]
    enclave.is_killed = True
    enclave.end()
    enclave.closed.wait()
    while machine.ask("describe").value:
        pass
    assert sock.exists()
    log = machine.file("/var/log/nitro_enclaves/nitro_enclaves.log").read_text()
    assert log.splitlines()[-1].endswith(f"Enclave ID = {started['EnclaveID']}")
    # What it had is free.
    assert machine.run(eif).value["EnclaveName"] == "hello"
    assert len(list(sock.parent.iterdir())) == 2


def test_the_log_of_an_enclave_is_where_its_command_had_it(
    machine: Instance, eif: Path, tmp_path: Path
) -> None:
    log = tmp_path / "nitro_enclaves.log"
    log.touch()
    started = machine.run(eif, logs=str(tmp_path)).value
    machine.ask("terminate", enclave_id=started["EnclaveID"]).value  # noqa: B018
    told = log.read_text()
    assert [line.rpartition("] ")[2] for line in told.splitlines()][1:] == [
        "Received command: Run",
        "Allocating memory regions to hold 134217728 bytes.",
        "Allocated 64 region(s): 64 page(s) of 2 MB",
        "Finished initializing memory.",
        f"Enclave ID = {started['EnclaveID']}",
        "Enclave has completed termination.",
        f"Enclave process {started['ProcessID']} exited event loop.",
    ]
    assert "][src/enclave_proc/resource_manager.rs:435] Allocated" in told
    assert not machine.file("/var/log/nitro_enclaves/nitro_enclaves.log").read_text()


def test_who_did_not_run_it_may_not_end_it(machine: Instance, eif: Path) -> None:
    enclave = machine.broker.machine
    started = machine.run(eif).value
    (running,) = enclave.enclaves
    running.user = 12345
    from simulator.machine.launch import Teller

    teller = Teller(lambda _text: None, lambda _text: None)
    assert enclave.terminate(started["EnclaveID"], 54321, teller) is None
    assert len(machine.ask("describe").value) == 1
    assert enclave.terminate(started["EnclaveID"], 0, teller) is not None
