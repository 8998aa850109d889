"""The machine around the fakes: clock, fabric, processes, and the target's own promises."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenarios.target import Opened
from scenarios.workload.transport import FABRIC_ENCLAVE_CID, PARENT_CID
from simulator.clock import SimulatedClock
from simulator.environment import away_from_aws
from simulator.fabric import temporary_fabric
from simulator.processes import Program, ProgramFailed
from simulator.target import CONTROL_PORT, PROXY_PORT, SimulatorTarget

ROOT = Path(__file__).resolve().parents[2]


def test_the_clock_is_the_machines_until_it_is_moved() -> None:
    clock = SimulatedClock()
    before = time.time_ns() // 1_000_000
    assert before <= clock() <= time.time_ns() // 1_000_000
    clock.pass_time(3600.5)
    assert clock() - before >= 3_600_500
    clock.pass_time(-3600.5)
    assert clock() <= time.time_ns() // 1_000_000


def test_a_fabric_is_short_private_and_removed() -> None:
    with temporary_fabric() as fabric:
        # 104 bytes with the ending NUL is what macOS allows; ports have at most ten digits.
        assert len(os.fsencode(fabric.socket(FABRIC_ENCLAVE_CID, 2**32 - 2))) < 104
        assert fabric.folder.stat().st_mode & 0o077 == 0
        assert fabric.nsm_socket.name == "nsm.sock"
        assert fabric.socket(3, 8000).name == "3_8000.sock"
    assert not fabric.folder.exists()


def test_the_environment_is_put_aside_and_only_that_is_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("NO_PROXY", "mine")
    monkeypatch.setenv("OTHER", "before")
    with away_from_aws():
        assert "AWS_PROFILE" not in os.environ
        assert os.environ["NO_PROXY"] == "127.0.0.1"
        monkeypatch.setenv("OTHER", "set meanwhile")
    found = {name: os.environ.get(name) for name in ("AWS_PROFILE", "NO_PROXY", "OTHER")}
    assert found == {"AWS_PROFILE": "mine", "NO_PROXY": "mine", "OTHER": "set meanwhile"}


def test_a_program_that_does_not_start_says_why() -> None:
    program = Program("scenarios.workload.enclave", ["--control-port", "none"], {})
    with pytest.raises(ProgramFailed, match="did not become ready"):
        program.wait_until_ready()
    program.close()


def test_a_program_that_cannot_be_found_says_so() -> None:
    program = Program("simulator.absent", [], {})
    with pytest.raises(ProgramFailed, match="No module named"):
        program.wait_until_ready()
    program.close()


STARTER = """
import sys
from pathlib import Path
from simulator.environment import away_from_aws
from simulator.fabric import Fabric
from simulator.processes import Program

arguments = ["--port", "8000", "--region", "us-east-1"]
fabric = Fabric(Path(sys.argv[1]))
program = Program("scenarios.workload.kms_proxy_host", arguments, fabric.environment)
program.wait_until_ready()
print(program._process.pid, flush=True)
sys.stdin.read()
"""


def test_a_program_ends_with_whoever_started_it() -> None:
    """Even if that one is killed and can do nothing about it."""
    with temporary_fabric() as fabric:
        with subprocess.Popen(
            [sys.executable, "-c", STARTER, str(fabric.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        ) as starter:
            assert starter.stdout is not None
            started = int(starter.stdout.readline())
            os.kill(started, 0)
            starter.kill()
        wait_until_gone(fabric.socket(PARENT_CID, 8000))


def wait_until_gone(path: Path) -> None:
    """Return when nobody listens there any more; the time limit of the test ends a wait in vain."""
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) != 0:
                return
            probe.settimeout(0.1)
            with contextlib.suppress(OSError):  # Nothing came, or the end.
                probe.recv(1)


@pytest.fixture(scope="module")
def target() -> Iterator[SimulatorTarget]:
    with SimulatorTarget() as opened:
        yield opened


def test_one_enclave_lives_at_a_time(target: SimulatorTarget) -> None:
    first = target.enclave()
    assert target.enclave() is first
    debug = target.enclave(debug=True)
    assert debug is target.enclave(debug=True)
    assert set(debug.pcrs[0]) == {"0"}
    assert target.enclave() is not first


def test_a_new_enclave_of_the_same_image_has_the_same_measurements(
    target: SimulatorTarget,
) -> None:
    first = target.enclave().pcrs
    target.enclave(debug=True)
    second = target.enclave().pcrs
    assert [first[index] for index in (0, 1, 2, 3)] == [second[index] for index in (0, 1, 2, 3)]


def test_the_administrator_may_not_decrypt(target: SimulatorTarget) -> None:
    key = target.key([])
    blob = key.encrypt(b"secret")
    answer = target.enclave().run("Decrypt", {"CiphertextBlob": blob})
    assert not isinstance(answer, Opened)


def test_settings_are_restored_after_their_context(target: SimulatorTarget) -> None:
    before = (target.fake.settings, target.fake.default_caller)
    with target.rule_set("field-notes"), target.identity_policy([]):
        assert (target.fake.settings, target.fake.default_caller) != before
    assert (target.fake.settings, target.fake.default_caller) == before


def test_closing_leaves_nothing_behind() -> None:
    target = SimulatorTarget()
    folder = target._fabric.folder
    assert {path.name for path in folder.iterdir()} >= {
        f"{FABRIC_ENCLAVE_CID}_{CONTROL_PORT}.sock",
        f"{PARENT_CID}_{PROXY_PORT}.sock",
        "nsm.sock",
    }
    endpoint = target.kms.client.meta.endpoint_url
    target.close()
    assert not folder.exists()
    host, port = endpoint.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port))):
        raise AssertionError("the KMS still listens")
