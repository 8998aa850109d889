"""The broker: its life, what it survives, what it says after a death."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Thread

import pytest

from simulator.machine import broker as broker_module
from simulator.machine import driver
from simulator.machine.configuration import Configuration
from simulator.machine.conversation import Warnings
from simulator.machine.making import Installation, make
from simulator.machine.parts import CannotSimulate
from simulator.nitro_cli import connection as connecting
from simulator.nitro_cli.connection import BrokerUnreachable, hold, request
from simulator.nitro_cli.places import MachineFolder
from tests.simulator.parent_instance import (
    Instance,
    StandIns,
    answer,
    asked_machine,
    eif_of,
    instance,
    state_of,
)

STATE = {"enclaves": [{"name": "hello", "id": "i-0-enc1", "cid": 16, "process": 1}]}


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Iterator[Instance]:
    with instance(tmp_path / "m") as one:
        yield one


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[MachineFolder]:
    with asked_machine(tmp_path / "m") as folder:
        yield folder


def raw(folder: MachineFolder, content: bytes) -> bytes:
    """What the broker answers to bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.connect(str(folder.socket))
        one.sendall(content)
        one.shutdown(socket.SHUT_WR)
        return one.makefile("rb").read()


def test_it_is_started_on_demand_and_holds_nothing_of_who_started_it(
    folder: MachineFolder, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from simulator.nitro_cli.connection import request; "
        "from simulator.nitro_cli.places import MachineFolder; "
        "os.umask(0); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); "
        "print(list(request(MachineFolder(Path(sys.argv[1])), 'status'))[-1])"
    )
    with kept.open("wb") as output:
        # Whoever waits for the end of its output must not wait for the broker.
        finished = subprocess.run(
            [sys.executable, "-c", code, folder.path],
            stdout=output,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            check=True,
        )
    assert finished.stderr == b""
    process = answer(folder, "status")["broker_process"]
    assert Path(f"/proc/{process}/cwd").readlink() == Path("/")
    opened = {os.readlink(one) for one in Path(f"/proc/{process}/fd").iterdir() if one.is_symlink()}  # noqa: PTH115
    assert str(kept) not in opened
    assert os.getsid(process) == process
    os.kill(process, signal.SIGTERM)
    while connecting._is_held(folder.lock):
        pass
    assert not folder.socket.exists()


def test_a_broker_that_was_killed_is_told_of_once(folder: MachineFolder) -> None:
    process = answer(folder, "status")["broker_process"]
    os.kill(process, signal.SIGKILL)
    while connecting._is_held(folder.lock):
        pass
    (folder.path / "state.json").write_text(json.dumps(STATE))
    first, last = request(folder, "describe")
    assert "killed" in first["warning"]
    assert "hello (i-0-enc1)" in first["warning"]
    assert last == {"answer": []}
    assert list(request(folder, "describe")) == [{"answer": []}]
    # Whoever did not see it finds it still.
    assert answer(folder, "status")["lost"] == STATE["enclaves"]
    assert "hello (i-0-enc1)" in (folder.path / "broker.log").read_text()


def test_an_orderly_end_leaves_nothing_to_tell(tmp_path: Path) -> None:
    stand_ins = StandIns()
    with instance(tmp_path / "m", stand_ins=stand_ins) as machine:
        started = machine.run(eif_of(tmp_path / "a.eif")).value
        (kept,) = state_of(machine.folder.path)["enclaves"]
        assert (kept["name"], kept["id"], kept["cid"]) == ("a", started["EnclaveID"], 16)
        assert machine.ask("stop").value is None
    assert stand_ins.booted[0][1].closed.is_set()
    assert state_of(tmp_path / "m") == {"enclaves": []}
    with instance(tmp_path / "m") as machine:
        assert machine.ask("describe").messages == [{"answer": []}]


def test_an_enclave_that_is_being_launched_ends_too(tmp_path: Path) -> None:
    stand_ins = StandIns(heartbeat=b"")
    with instance(tmp_path / "m", stand_ins=stand_ins) as machine, ThreadPoolExecutor(1) as pool:
        running = pool.submit(machine.run, eif_of(tmp_path / "a.eif"))
        stand_ins.booting.wait()
        machine.ask("stop")
        with pytest.raises(BrokerUnreachable, match="is being stopped"):
            running.result()
    assert stand_ins.booted[0][1].closed.is_set()
    assert state_of(tmp_path / "m") == {"enclaves": []}
    assert list((tmp_path / "m" / "enclaves").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("state.json", '{"enclaves": [{"name"', "is damaged"),
        ("state.json", '{"enclaves": [{"name": 3}]}', "is damaged"),
        ("machine.json", "", "does not describe a machine: it is not a JSON object"),
        ("machine.json", '{"instance_id": "i-1"}', "is no instance id"),
        ("machine.json", '{"cpus": 3}', "there is no member 'cpus'"),
        ("machine.json", '{"instance_id": 1}', "instance_id is 1"),
        ("machine.json", "{}", "instance_id is missing"),
        ("machine.json", '{"idle_seconds": -1}', "idle_seconds is -1"),
        ("machine.json", '{"heartbeat_wait": NaN}', "heartbeat_wait is NaN"),
        (
            "machine.json",
            '{"instance_id": "i-0123456789abcdef0", "hardware": {"vcpus": "4"}}',
            "hardware has",
        ),
        (
            "machine.json",
            '{"instance_id": "i-0123456789abcdef0", "instance_type": "x"}',
            "There is no instance type 'x'",
        ),
        (
            "machine.json",
            '{"instance_id": "i-0123456789abcdef0", "hardware": {"vcpus": 1000000000}}',
            "No instance has 1000000000 vCPUs; give up to 4096",
        ),
    ],
)
def test_what_is_damaged_is_refused_and_stays(
    tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    path = tmp_path / "m"
    make(path, Configuration(), Installation())
    (path / name).write_text(content)
    with pytest.raises(broker_module.CannotServe) as raised:
        broker_module.Broker(MachineFolder(path), StandIns().parts)
    assert sentence in str(raised.value)
    assert str(path / name) in str(raised.value)
    assert (path / name).read_text() == content


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"GET / HTTP/1.1\n",
        b'{"command": "describe"}\n',
        b'{"command": "fly", "arguments": {}, "user": 0}\n',
        b'{"command": "describe", "arguments": {}, "user": -1}\n',
        b'{"command": "run", "arguments": {"eif_path": 3}, "user": 0}\n',
        b'{"command": "run", "arguments": {"colour": "red"}, "user": 0}\n',
        b'{"command": "terminate", "arguments": {}, "user": 0}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\x00\n",
    ],
)
def test_what_is_no_request_is_refused(machine: Instance, content: bytes) -> None:
    (message,) = raw(machine.folder, content).splitlines()
    assert json.loads(message)["refused"].startswith("The machine's broker cannot read the request")
    assert machine.ask("describe").value == []


@pytest.mark.parametrize("content", [b"", b'{"command": "describe"', b"x" * (1 << 21)])
def test_half_a_request_is_no_request(machine: Instance, content: bytes) -> None:
    with suppress(ConnectionError):  # It does not read on.
        assert raw(machine.folder, content) == b""
    assert machine.ask("describe").value == []


def test_a_request_that_fails_by_itself_harms_no_other(
    machine: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("by chance")

    monkeypatch.setattr(machine.broker.machine, "describe", fail)
    with pytest.raises(BrokerUnreachable, match=r"failed by itself \(RuntimeError: by chance\)"):
        machine.ask("describe")
    assert machine.run(eif_of(tmp_path / "a.eif")).value


def test_who_asks_may_go_and_gets_its_enclave(tmp_path: Path) -> None:
    """Bug 9 of the field notes: `timeout` ends nitro-cli, and the enclave keeps the CPUs."""
    stand_ins = StandIns()
    with instance(tmp_path / "m", stand_ins=stand_ins) as machine:
        eif = eif_of(tmp_path / "a.eif")
        arguments = {"eif_path": str(eif), "directory": "/", "memory_mib": 128, "cpu_count": 2}
        asked = {"command": "run", "arguments": arguments, "user": os.geteuid()}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            one.connect(str(machine.folder.socket))
            one.sendall(json.dumps(asked).encode() + b"\n")
        stand_ins.booting.wait()
        while not machine.ask("describe").value:
            pass
        assert machine.run(eif).failure.code == "E29"


def test_another_copy_of_the_package_is_told_of(
    machine: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "installation", lambda: ["/elsewhere", 1])
    (notice,) = machine.ask("describe").notices
    assert "another copy of attested-kms" in notice


def test_a_full_disk_is_told_of(
    machine: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(broker_module, "write_state", full)
    assert machine.run(eif_of(tmp_path / "a.eif")).value
    (warning,) = machine.ask("describe").warnings
    assert "cannot be written" in warning


def test_what_cannot_be_simulated_is_no_failure_of_the_enclaves(tmp_path: Path) -> None:
    refusal = CannotSimulate("No enclave can be booted here: there is no seccomp.")
    with instance(tmp_path / "m", stand_ins=StandIns(refuses=refusal)) as machine:
        with pytest.raises(BrokerUnreachable, match="there is no seccomp"):
            machine.run(eif_of(tmp_path / "a.eif"))
        assert machine.ask("status").value["cpu_pool"]["free"] == [1, 3]


def test_a_full_disk_stops_the_allocator_and_leaves_what_was(
    machine: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(driver, "replace_text", full)
    with pytest.raises(BrokerUnreachable, match="No space left on device"):
        machine.ask("allocate")
    monkeypatch.undo()
    assert machine.ask("status").value["cpu_pool"]["free"] == [1, 3]


def test_it_ends_when_nobody_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "m"
    make(path, Configuration(idle_seconds=0.0), Installation())
    broker = broker_module.Broker(MachineFolder(path), StandIns().parts)
    broker.serve()
    assert not (path / "broker.sock").exists()


def test_who_comes_at_the_last_moment_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "m"
    make(path, Configuration(idle_seconds=0.0), Installation())
    folder = MachineFolder(path)
    broker = broker_module.Broker(folder, StandIns().parts)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.connect(str(folder.socket))
        one.sendall(b'{"command": "describe", "arguments": {}, "user": 0}\n')
        broker.serve()
        assert one.makefile("rb").readline() == b'{"answer": []}\n'


def test_it_ends_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts make a machine in a folder of mktemp, and remove that at their end."""
    monkeypatch.setattr(broker_module, "_LOOK_SECONDS", 0.01)
    stand_ins = StandIns()
    with instance(tmp_path / "m", stand_ins=stand_ins) as machine:
        assert machine.run(eif_of(tmp_path / "a.eif")).value
        (tmp_path / "m").rename(tmp_path / "removed")
        stand_ins.booted[0][1].closed.wait()


def test_who_cannot_be_listened_to_is_told(
    machine: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(broker_module, "Thread", fail)
        with pytest.raises(BrokerUnreachable, match="cannot listen to this command"):
            machine.ask("describe")
    monkeypatch.setattr(machine.broker, "_room", BoundedSemaphore(1))
    with hold(machine.folder), pytest.raises(BrokerUnreachable, match="128 others ask"):
        machine.ask("describe")


def test_who_holds_it_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "m"
    make(path, Configuration(idle_seconds=0.0), Installation())
    folder = MachineFolder(path)
    broker = broker_module.Broker(folder, StandIns().parts)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.connect(str(folder.socket))
        one.sendall(b'{"command": "hold", "arguments": {}}\n')
        serving = Thread(target=broker.serve)
        serving.start()
        assert one.recv(64) == b'{"answer": null}\n'
        for _ in range(3):
            assert answer(folder) == []
    serving.join()
    assert not folder.socket.exists()


def test_a_warning_is_told_once() -> None:
    warnings = Warnings()
    for _ in range(2):
        warnings.add("Something.")
    assert (warnings.take(), warnings.take()) == (["Something."], [])
