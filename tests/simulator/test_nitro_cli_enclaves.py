"""nitro-cli's commands on enclaves: what they ask of the broker, and make of its answers."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from simulator.nitro_cli.main import NO_MACHINE
from simulator.nitro_cli.places import VARIABLE
from tests.simulator.nitro_cli_world import POOL, Finished, World, enclave, run_info

RUN = ("run-enclave", "--cpu-count", "2", "--memory", "1024", "--eif-path", "d/hello.eif")
ID = "i-05f6ed443ae428c95-enc173dfe3e2b1c87b"


def starts(machine: World) -> dict[str, Any]:
    """Let a start succeed; returns what will be told of the enclave."""
    info = run_info(enclave())
    machine.answers["run"] = lambda _: [
        {"say": "Start allocating memory..."},
        {"notice": "of ours"},
        {"answer": info},
    ]
    return info


def subactions(finished: Finished, index: int = 0) -> list[str]:
    """Of an error log: the outermost first."""
    lines = finished.error_logs[index].splitlines()
    return [line.strip() for line in lines[2:-3]]


def test_run_prints_the_enclave_and_what_is_said_on_the_way(machine: World) -> None:
    info = starts(machine)
    finished = machine.run(*RUN)
    assert finished.exit_code == 0
    assert finished.stdout == json.dumps(info, indent=2) + "\n"
    assert finished.stderr == "Start allocating memory...\n"
    assert "[attested-kms] of ours\n" in machine.log()
    assert machine.asked[0]["arguments"] == {
        "eif_path": "d/hello.eif",
        "directory": str(Path.cwd()),
        "memory_mib": 1024,
        "debug_mode": False,
        "enclave_name": "hello",
        "version": "1.4.4",
        "cpu_count": 2,
    }


def test_run_with_all_options(machine: World) -> None:
    starts(machine)
    words = ["--cpu-ids", "1", "3", "--memory", "2G", "--eif-path", "x"]
    words += ["--enclave-cid=16", "--debug-mode", "--enclave-name", "né"]
    assert machine.run("run-enclave", *words).exit_code == 0
    arguments = machine.asked[0]["arguments"]
    assert arguments["cpu_ids"] == [1, 3]
    assert "cpu_count" not in arguments
    assert (arguments["memory_mib"], arguments["enclave_cid"]) == (2048, 16)
    assert (arguments["debug_mode"], arguments["enclave_name"]) == (True, "né")


@pytest.mark.parametrize(
    ("memory", "mib"), [("7", 7), ("7m", 7), ("7M", 7), ("7g", 7168), ("7T", 7340032), ("0", 0)]
)
def test_memory_has_a_unit(machine: World, memory: str, mib: int) -> None:
    starts(machine)
    machine.run("run-enclave", "--cpu-count", "2", "--memory", memory, "--eif-path", "x")
    assert machine.asked[0]["arguments"]["memory_mib"] == mib


def test_the_enclaves_process_is_told_where_logs_go(
    machine: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts(machine)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NITRO_CLI_LOGS_PATH", ".")
    assert machine.run(*RUN).exit_code == 0
    assert Path(machine.asked[0]["arguments"]["logs"]) == tmp_path


def test_the_cid_0_is_any(machine: World) -> None:
    starts(machine)
    finished = machine.run(*RUN, "--enclave-cid", "0")
    assert finished.stderr.startswith(
        "The enclave CID will be auto-generated as the provided CID is 0\n"
    )
    assert "enclave_cid" not in machine.asked[0]["arguments"]


@pytest.mark.parametrize(
    ("taken", "asked", "name"),
    [
        ([], "a.eif.eif", "a"),
        (["a"], "b/a.eif", "a_1"),
        (["a", "a_1"], "a", "a_2"),
        ([], "a.eif/", ""),
    ],
)
def test_names(machine: World, taken: list[str], asked: str, name: str) -> None:
    starts(machine)
    machine.enclaves = [enclave(str(at), EnclaveName=one) for at, one in enumerate(taken)]
    machine.run("run-enclave", "--cpu-count", "2", "--memory", "1", "--eif-path", asked)
    assert machine.asked[0]["arguments"]["enclave_name"] == name


@pytest.mark.parametrize(
    ("option", "value", "root", "parsed"),
    [
        ("cpu-count", "x", "`cpu-count` is not a number", "Parse CPU count"),
        ("cpu-ids", "x", "`cpu-id` is not a number", "Parse CPU IDs"),
        ("enclave-cid", "x", "`enclave-cid` is not a number", "Parse enclave CID"),
        ("memory", "M", "`memory` argument does not contain a number", "Parse memory"),
        (
            "memory",
            "1MB",
            "`memory` argument does not contain a valid size indicator",
            "Parse memory",
        ),
    ],
)
def test_what_is_no_number(machine: World, option: str, value: str, root: str, parsed: str) -> None:
    given = {"cpu-count": "2", "memory": "1", "eif-path": "x"} | {option: value}
    if option == "cpu-ids":
        del given["cpu-count"]
    finished = machine.run("run-enclave", *[f"--{name}={text}" for name, text in given.items()])
    assert finished.exit_code == 3
    assert f"`{option.removesuffix('s')}` is not a valid integer (`{value}`)" in finished.stderr
    assert subactions(finished) == ["Failed to construct RunEnclave arguments", parsed, root]


def test_the_first_bad_argument_is_told(machine: World) -> None:
    words = ["--memory", "x", "--enclave-cid", "x", "--cpu-count", "x", "--eif-path", "x"]
    assert "`cpu-count`" in machine.run("run-enclave", *words).stderr
    assert machine.asked == []


def test_a_failed_start_is_told_twice(machine: World) -> None:
    machine.answers["run"] = lambda _: [{"failed": POOL.to_json()}]
    finished = machine.run(*RUN)
    assert (finished.exit_code, finished.stdout) == (39, "")
    first, second = finished.stderr.split("Failed connections: 1\n")
    assert first.startswith("[ E29 ] ")
    assert second.startswith("[ E39 ] ")
    assert finished.error_logs[0].startswith("  Action: Run Enclave\n")
    assert subactions(finished) == ["The driver refused", "No CPU is free"]
    assert subactions(finished, 1) == [
        "Failed to handle all enclave process replies",
        "Failed to connect to 1 enclave processes",
    ]
    assert "\n[enc-xxxxxxx:77][ERROR]" in machine.log()


CONFIG = {"eif_path": "x.eif", "memory_mib": 64, "cpu_count": 2}


def test_a_configuration_file(machine: World, tmp_path: Path) -> None:
    starts(machine)
    file = tmp_path / "config.json"
    more = {"debug_mode": True, "enclave_name": None, "enclave_cid": 3, "unknown": 1}
    file.write_text(json.dumps(CONFIG | more))
    assert machine.run("run-enclave", "--config", str(file)).exit_code == 0
    arguments = machine.asked[0]["arguments"]
    # No CID is checked here: the driver will.
    assert (arguments["enclave_cid"], arguments["debug_mode"]) == (3, True)
    assert arguments["enclave_name"] == "x"


def test_a_configuration_file_with_an_array(machine: World, tmp_path: Path) -> None:
    """Serde takes a sequence for a struct."""
    starts(machine)
    file = tmp_path / "config.json"
    file.write_text('["d/x.eif", 16, 64, [1, 3], false, false, null, "name"]')
    assert machine.run("run-enclave", "--config", str(file)).exit_code == 0
    arguments = machine.asked[0]["arguments"]
    assert (arguments["enclave_cid"], arguments["memory_mib"]) == (16, 64)
    assert (arguments["cpu_ids"], arguments["enclave_name"]) == ([1, 3], "name")


@pytest.mark.parametrize(
    ("text", "code", "root"),
    [
        ("", 17, 'Error("EOF while parsing a value", line: 1, column: 0)'),
        ("{} x", 17, 'Error("trailing characters", line: 1, column: 4)'),
        ('"x"', 17, 'Error("invalid type: string \\"x\\", expected struct RunEnclavesArgs", '),
        ("[]", 17, "invalid length 0, expected struct RunEnclavesArgs with 8 elements"),
        ('["x", null, 64, [1], true]', 17, "invalid length 6, expected struct RunEnclavesArgs"),
        ('["x", "y"]', 17, 'invalid type: string \\"y\\", expected u64'),
        ('["x", null, 64, [1], true, false, null, null, 9]', 17, "trailing characters"),
        ('{"eif_path": 1}', 17, 'Error("invalid type: integer `1`, expected a string", '),
        ('{"eif_path": "x"}', 17, 'Error("missing field `memory_mib`", line: 1, column: 17)'),
        (json.dumps(CONFIG | {"cpu_count": -1}), 17, "invalid value: integer `-1`, expected u32"),
        (
            json.dumps(CONFIG | {"cpu_ids": [1, "3"]}),
            17,
            'invalid type: string \\"3\\", expected u32',
        ),
        (json.dumps(CONFIG | {"debug_mode": 1.5}), 17, "invalid type: floating point `1.5`"),
        (json.dumps(CONFIG | {"memory_mib": None}), 17, "invalid type: null, expected u64"),
        (json.dumps(CONFIG | {"cpu_ids": {}}), 17, "invalid type: map, expected a sequence"),
        (json.dumps(CONFIG | {"memory_mib": True}), 17, "invalid type: boolean `true`"),
        (json.dumps(CONFIG) + "\ufeff", 17, 'Error("trailing characters"'),
        (json.dumps(CONFIG | {"x": float("nan")}), 17, 'Error("expected value"'),
        ('{"memory_mib": 1' + "0" * 5000 + "}", 17, 'Error("number out of range"'),
        ('{"memory_mib": -0, "eif_path": "x"}', 17, "invalid type: floating point `-0.0`"),
        ('{"eif_path": "x", "y": 1, "y": 2, "eif_path": "z"}', 17, "duplicate field `eif_path`"),
        (r'{"eif_path": "\ud800"}', 17, "invalid unicode code point"),
        ('{"eif_path": "\udcff"}', 17, "invalid unicode code point"),
        ("[" * 100_000, 17, 'Error("recursion limit exceeded"'),
        (json.dumps(CONFIG | {"cpu_count": None}), 1, "Missing both `cpu-count` and `cpu-ids`"),
        (json.dumps(CONFIG | {"cpu_ids": [1]}), 2, "`cpu-count` and `cpu-ids` cannot be used"),
    ],
)
def test_bad_configuration_files(
    machine: World, tmp_path: Path, text: str, code: int, root: str
) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    finished = machine.run("run-enclave", "--config", str(file))
    assert finished.exit_code == code
    assert root in finished.error_logs[0]
    assert machine.asked == []


def test_a_folder_for_a_configuration_file(machine: World) -> None:
    finished = machine.run("run-enclave", "--config", "/")
    assert finished.exit_code == 17
    assert 'Error("Is a directory (os error 21)", line: 0, column: 0)' in finished.error_logs[0]


def test_a_missing_configuration_file(machine: World) -> None:
    finished = machine.run("run-enclave", "--config", "none.json")
    assert finished.exit_code == 19
    assert "\nFile: 'none.json', failing operation: 'Open'.\n" in finished.stderr


def test_describe(machine: World) -> None:
    assert machine.run("describe-enclaves").stdout == "[]\n"
    machine.enclaves = [enclave()]
    shown = json.loads(machine.run("describe-enclaves").stdout)
    assert list(shown[0])[-2:] == ["Flags", "Measurements"]
    finished = machine.run("describe-enclaves", "--metadata")
    assert json.loads(finished.stdout) == machine.enclaves
    assert finished.stderr == ""


def test_describe_with_an_enclave_that_fails(machine: World) -> None:
    machine.enclaves, machine.failures = [enclave()], [POOL]
    finished = machine.run("describe-enclaves", "--metadata")
    assert (finished.exit_code, json.loads(finished.stdout)) == (39, machine.enclaves)
    first, second = finished.stderr.split("Failed connections: 1\n")
    assert (first[:7], second[:7]) == ("[ E29 ]", "[ E39 ]")
    assert "\n[enc-xxxxxxx:77][ERROR]" in machine.log()
    assert finished.error_logs[1].startswith("  Action: Describe Enclave\n")


def ended(request: Any) -> list[dict[str, Any]]:
    """The broker's answer to terminate."""
    enclave_id = request["arguments"]["enclave_id"]
    said = f"Successfully terminated enclave {enclave_id}."
    return [{"say": said}, {"answer": {"EnclaveID": enclave_id, "Terminated": True}}]


@pytest.mark.parametrize(
    "given",
    [
        ("--enclave-id", ID),
        # Of an id only the slot counts.
        ("--enclave-id", "i-0-enc173dfe3e2b1c87b"),
        ("--enclave-id", "173dfe3e2b1c87b.sock"),
        ("--enclave-name", "hello"),
    ],
)
def test_terminate(machine: World, given: tuple[str, str]) -> None:
    machine.enclaves = [enclave("1", EnclaveName="other"), enclave()]
    machine.answers["terminate"] = ended
    finished = machine.run("terminate-enclave", *given)
    assert finished.exit_code == 0
    assert finished.stderr == f"Successfully terminated enclave {ID}.\n"
    assert json.loads(finished.stdout) == {"EnclaveID": ID, "Terminated": True}


@pytest.mark.parametrize(
    ("names", "root"),
    [
        ([], "No enclave matched the given name."),
        (["a", "a"], "Conflicting enclave names have been found."),
    ],
)
def test_a_name_must_be_that_of_one_enclave(machine: World, names: list[str], root: str) -> None:
    machine.enclaves = [enclave(str(at), EnclaveName=name) for at, name in enumerate(names)]
    finished = machine.run("terminate-enclave", "--enclave-name", "a")
    assert finished.exit_code == 58
    assert subactions(finished) == [
        "Failed to construct TerminateEnclave arguments",
        "Get ID by Name",
        root,
    ]


def test_terminate_all(machine: World) -> None:
    machine.answers["terminate"] = ended
    assert machine.run("terminate-enclave", "--all").stdout == "[]\n"
    machine.enclaves = [enclave("1"), enclave("2")]
    finished = machine.run("terminate-enclave", "--all")
    assert [one["EnclaveID"][-4:] for one in json.loads(finished.stdout)] == ["enc1", "enc2"]
    assert finished.stderr.count("Successfully terminated") == 2


def test_terminate_all_tells_those_that_did_not_answer(machine: World) -> None:
    machine.answers["terminate"] = lambda _: [{"failed": POOL.to_json()}]
    machine.enclaves = [enclave("1"), enclave("2")]
    finished = machine.run("terminate-enclave", "--all")
    assert (finished.exit_code, finished.stdout) == (39, "[]\n")
    assert "Failed connections: 2\n" in finished.stderr
    assert subactions(finished, -1)[0] == "Failed to terminate all running enclaves"


def left(machine: World) -> Path:
    """The socket of an enclave's process that was killed, beside that of one that runs."""
    machine.enclaves = [enclave("1")]
    (machine.sockets / "1.sock").touch()
    (machine.sockets / "2.sock").touch()
    return machine.sockets / "2.sock"


def test_a_stale_socket_is_deleted_by_whoever_asks_all(machine: World) -> None:
    socket_file = left(machine)
    finished = machine.run("terminate-enclave", "--enclave-id", "i-0-enc2")
    assert (finished.exit_code, "kind: ConnectionRefused" in finished.error_logs[0]) == (11, True)
    finished = machine.run("describe-enclaves")
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert not socket_file.exists()
    assert (machine.sockets / "1.sock").exists()
    said = "][src/enclave_proc_comm.rs:109] Deleting stale socket: /run/nitro_enclaves/2.sock\n"
    assert said in machine.log()


def test_terminate_all_counts_a_stale_socket_once(machine: World) -> None:
    socket_file = left(machine)
    machine.answers["terminate"] = ended
    finished = machine.run("terminate-enclave", "--all")
    assert (finished.exit_code, len(json.loads(finished.stdout))) == (39, 1)
    assert "Failed connections: 1\n" in finished.stderr
    assert '][src/lib.rs:492] Deleting stale socket: "/run/nitro_enclaves/2.sock"' in machine.log()
    assert not socket_file.exists()
    assert machine.run("terminate-enclave", "--all").exit_code == 0


def test_another_folder_of_sockets_is_left_alone(
    machine: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.sock").touch()
    monkeypatch.setenv("NITRO_CLI_SOCKETS_PATH", str(tmp_path))
    assert machine.run("describe-enclaves").exit_code == 0
    assert (tmp_path / "other.sock").exists()


@pytest.mark.parametrize(
    ("words", "code", "action"),
    [
        (("describe-enclaves",), 7, "Describe Enclave"),
        (RUN, 7, "Get Enclaves Name"),
        (("terminate-enclave", "--enclave-name", "a"), 7, "Terminate Enclave"),
        (("console", "--enclave-name", "a"), 7, "Enclave Console"),
        (("terminate-enclave", "--all"), 19, "Terminate All Enclaves"),
    ],
)
def test_without_the_folder_of_sockets(
    machine: World, words: tuple[str, ...], code: int, action: str
) -> None:
    shutil.rmtree(machine.sockets)
    finished = machine.run(*words)
    assert finished.exit_code == code
    assert finished.error_logs[0].startswith(f"  Action: {action}\n")
    assert "kind: NotFound" in subactions(finished)[-1]


def console(machine: World, said: bytes, *, alive: bool) -> Thread:
    """A console that says something and ends, before or after its enclave."""
    machine.enclaves = [enclave(Flags="DEBUG_MODE")]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(machine.folder.console(16)))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.sendall(said)
            if not alive:
                machine.enclaves.clear()

    thread = Thread(target=serve)
    thread.start()
    return thread


@pytest.fixture(name="impatient")
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An enclave whose console has ended is not waited for."""
    monkeypatch.setattr("simulator.nitro_cli.console._ENDS_WITHIN_SECONDS", 0.0)


CONSOLE = (
    "Connecting to the console for enclave 16...\nSuccessfully connected to the console.\nboot\n"
)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("given", [("--enclave-id", ID), ("--enclave-name", "hello")])
def test_a_console_that_ends_while_its_enclave_runs(machine: World, given: tuple[str, str]) -> None:
    thread = console(machine, b"boot\n", alive=True)
    finished = machine.run("console", *given)
    thread.join()
    assert (finished.exit_code, finished.stdout, finished.stderr) == (0, CONSOLE, "")


def test_a_console_of_an_enclave_that_ends(machine: World) -> None:
    thread = console(machine, b"boot\n", alive=False)
    finished = machine.run("console", "--enclave-id", ID)
    thread.join()
    assert (finished.exit_code, finished.stdout) == (45, CONSOLE)
    assert subactions(finished)[-1] == "Failed to read data from the console: ENOTCONN"


@pytest.mark.usefixtures("impatient")
def test_an_attached_console(machine: World) -> None:
    info = starts(machine)
    thread = console(machine, b"boot\n", alive=True)
    machine.enclaves[0]["EnclaveName"] = "other"
    finished = machine.run(*RUN, "--attach-console")
    thread.join()
    assert finished.stdout == json.dumps(info, indent=2) + "\n" + CONSOLE
    assert machine.asked[0]["arguments"]["debug_mode"] is True


def test_a_console_is_left_after_the_time_that_was_given(machine: World) -> None:
    machine.enclaves = [enclave(Flags="DEBUG_MODE")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(machine.folder.console(16)))
        listener.listen()
        finished = machine.run("console", "--enclave-id", ID, "--disconnect-timeout", "1")
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert finished.stdout == CONSOLE.removesuffix("boot\n")


# 0 sets no timer; the third does not fit into poll(2)'s milliseconds.
@pytest.mark.parametrize("timeout", ["0", "5", "9999999999", str((1 << 63) - 1)])
def test_a_console_that_ends_in_time(machine: World, timeout: str) -> None:
    thread = console(machine, b"boot\n", alive=False)
    finished = machine.run("console", "--enclave-id", ID, "--disconnect-timeout", timeout)
    thread.join()
    assert (finished.exit_code, finished.stdout) == (45, CONSOLE)


def test_a_time_that_no_timer_takes(machine: World) -> None:
    machine.enclaves = [enclave(Flags="DEBUG_MODE")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(machine.folder.console(16)))
        listener.listen()
        finished = machine.run("console", "--enclave-id", ID, "--disconnect-timeout", str(1 << 63))
    assert (finished.exit_code, subactions(finished)[-1]) == (
        12,
        "Failed to arm timerfd: Error(22)",
    )


def test_no_console_to_connect_to(machine: World) -> None:
    machine.enclaves = [enclave(Flags="DEBUG_MODE")]
    finished = machine.run("console", "--enclave-id", ID)
    assert (finished.exit_code, finished.stdout) == (44, CONSOLE.splitlines()[0] + "\n")


def test_console_arguments(machine: World) -> None:
    finished = machine.run("console", "--enclave-id", ID, "--disconnect-timeout", "1s")
    assert (finished.exit_code, subactions(finished)[1]) == (3, "Parse disconnect timeout")
    finished = machine.run("console", "--enclave-id", ID)
    assert (finished.exit_code, subactions(finished)[0]) == (11, "Failed to retrieve enclave CID")


def test_a_broker_that_ends_early(machine: World) -> None:
    machine.answers["run"] = lambda _: [{"say": "Start allocating memory..."}]
    finished = machine.run(*RUN)
    assert (finished.exit_code, finished.stdout) == (NO_MACHINE, "")
    assert finished.stderr.splitlines()[1].startswith("nitro-cli (attested-kms): The machine's br")


def test_a_folder_that_cannot_be(
    machine: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    finished = machine.run("describe-enclaves")
    assert finished.exit_code == NO_MACHINE
    assert VARIABLE in finished.stderr
