"""A booted enclave from outside: its NSM, its vsock, its console, its end."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cbor2
import pytest

from nsm_fake.eif import measure
from simulator.interpose.plan import Rung
from simulator.interpose.probe import NoRung, Probed
from simulator.machine.boot import BootFailed, CannotBoot, boot
from simulator.machine.console import Console
from simulator.machine.heartbeat import HeartbeatListener, NoHeartbeat, PortTaken
from tests.simulator.booted import CID, SECONDS, Image, booted, python_files
from tests.simulator.supervised import PRELUDE, needs, new_nsm, rung

__all__ = ["rung"]


ROOT = Path(__file__).resolve().parents[2]
BOOTING = """
import sys
from pathlib import Path
from simulator.machine.boot import boot

image, folder = map(Path, sys.argv[1:])
keywords = {"fabric": folder, "cid": 16, "nsm_handle": None, "debug": False}
enclave = boot(image, scratch=folder / "scratch", **keywords)
enclave.wait_heartbeat()
print(enclave.process_id, flush=True)
enclave.wait()
"""


def python_image(code: str) -> Image:
    """An image whose command is a Python program."""
    program = (PRELUDE + textwrap.dedent(code)).encode()
    return Image(
        command=["/bin/python", "-S", "/app.py"],
        environment=["PYTHONHOME=/"],
        files={**python_files(), "app.py": program},
    )


def waiting() -> Image:
    return Image(command=["/bin/sh", "-c", "echo ready; cat"])


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    connection.settimeout(SECONDS)
    content = b""
    while wanted not in content:
        part = connection.recv(4096)
        assert part, content
        content += part
    return content


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def test_the_program_has_an_nsm_and_the_vsock_both_ways(rung: Rung, tmp_path: Path) -> None:
    image = python_image("""
        device = os.open("/dev/nsm", os.O_RDWR)
        answer = ask(device, DESCRIBE)
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((0xFFFFFFFF, 5000))
        listener.listen()
        parent = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        parent.connect((3, 7000))
        parent.sendall(answer)
        parent.close()
        caller, (cid, _) = listener.accept()
        caller.sendall(f"served {cid}".encode())
        print("done", flush=True)
    """)
    (tmp_path / "vsock").mkdir()
    nsm = new_nsm()
    with socket.socket(socket.AF_UNIX) as parent:
        parent.bind(str(tmp_path / "vsock" / "3_7000.sock"))
        parent.listen()
        with booted(image, tmp_path, rung, nsm_handle=nsm.handle) as enclave:
            enclave.wait_heartbeat(SECONDS)
            parent.settimeout(SECONDS)
            connection, _ = parent.accept()
            with connection:
                content = read_until(connection, b"DescribeNSM")
                while part := connection.recv(4096):
                    content += part
            with connect(tmp_path / "vsock" / f"{CID}_5000.sock") as caller:
                assert read_until(caller, b"served 3")
            assert enclave.wait(SECONDS) == 0
            assert b"done" in enclave.console.output
    assert cbor2.loads(content)["DescribeNSM"]["max_pcrs"] == 32


def test_root_of_the_enclave_has_no_power_over_this_machine(rung: Rung, tmp_path: Path) -> None:
    image = python_image("""
        now = time.clock_gettime(time.CLOCK_REALTIME)
        print(name_of(lambda: time.clock_settime(time.CLOCK_REALTIME, now)))
        print(name_of(lambda: os.mknod("/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))))
    """)
    with booted(image, tmp_path, rung) as enclave:
        enclave.wait_heartbeat(SECONDS)
        enclave.wait(SECONDS)
        assert enclave.console.output.split()[:2] == [b"EPERM"] * 2


def test_a_program_may_reboot_its_enclave(tmp_path: Path) -> None:
    image = python_image("libc.reboot(0x01234567); print('it goes on')")
    with booted(image, tmp_path) as enclave:
        enclave.wait_heartbeat(SECONDS)
        assert enclave.wait(SECONDS) == -signal.SIGKILL
        assert enclave.console.output == b""


def test_the_heartbeats_port_is_one_enclaves_at_a_time(tmp_path: Path) -> None:
    with booted(waiting(), tmp_path) as enclave:
        with HeartbeatListener(tmp_path / "vsock") as second, pytest.raises(PortTaken):
            second.bind()
        enclave.wait_heartbeat(SECONDS)
        with HeartbeatListener(tmp_path / "vsock") as third:
            third.bind()


@pytest.mark.parametrize("said", [b"", b"x"])
def test_another_byte_is_no_heartbeat(said: bytes, tmp_path: Path) -> None:
    with HeartbeatListener(tmp_path) as listener:
        listener.bind()
        with connect(tmp_path / "3_9000.sock") as stranger:
            stranger.send(said)
            stranger.shutdown(socket.SHUT_WR)
            with pytest.raises(NoHeartbeat, match="VsockReceivingError"):
                listener.wait(SECONDS)


def test_nobody_waits_for_a_heartbeat_for_ever(tmp_path: Path) -> None:
    with HeartbeatListener(tmp_path) as listener:
        listener.bind()
        with pytest.raises(NoHeartbeat, match="VsockTimeoutError"):
            listener.wait(0.0)


def test_in_debug_mode_the_console_tells_from_the_start_and_is_reset_at_the_end(
    tmp_path: Path,
) -> None:
    with booted(waiting(), tmp_path, debug=True) as enclave:
        enclave.wait_heartbeat(SECONDS)
        with connect(tmp_path / "vsock" / f"0_{CID + 10_000}.sock") as first:
            first.send(b"?")
            read_until(first, b"ready\n")
            with connect(tmp_path / "vsock" / f"0_{CID + 10_000}.sock") as second:
                read_until(second, b"ready\n")
                enclave.close()
                assert second.recv(1) == b""
            with pytest.raises(ConnectionResetError):
                first.recv(1)
    assert not (tmp_path / "vsock" / f"0_{CID + 10_000}.sock").exists()


def test_without_debug_mode_nobody_connects_to_the_console(tmp_path: Path) -> None:
    with booted(waiting(), tmp_path) as enclave:
        enclave.wait_heartbeat(SECONDS)
        with pytest.raises(FileNotFoundError):
            connect(tmp_path / "vsock" / f"0_{CID + 10_000}.sock")


def test_a_client_that_does_not_read_misses_the_oldest_output(tmp_path: Path) -> None:
    console = Console(tmp_path, CID)
    terminal = console.start(served=True)
    with connect(tmp_path / f"0_{CID + 10_000}.sock") as client:
        for number in range(300):
            os.write(terminal, b"%05d " % number * 1000 + b"\n")
        os.close(terminal)
        seen = read_until(client, b"00299 \n")
    console.join(SECONDS)
    assert len(console.output) == 1 << 20
    assert len(seen) <= 300 * 6001


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_kills_its_process_switches_the_enclave_off(
    number: signal.Signals, tmp_path: Path
) -> None:
    with booted(waiting(), tmp_path) as enclave:
        enclave.wait_heartbeat(SECONDS)
        os.kill(enclave.process_id, number)
        assert select.select([enclave.ended], [], [], SECONDS)[0]
        enclave.wait(SECONDS)
        assert b"child exited" not in enclave.console.output


def test_an_enclave_ends_with_whoever_booted_it_and_leaves_nothing(tmp_path: Path) -> None:
    needs(Rung.NAMESPACES)
    image = waiting().write(tmp_path / "image.eif")
    with subprocess.Popen(
        [sys.executable, "-c", BOOTING, image, tmp_path], stdout=subprocess.PIPE, cwd=ROOT
    ) as broker:
        assert broker.stdout is not None
        enclave = os.pidfd_open(int(broker.stdout.readline()))
        broker.kill()
    try:
        assert select.select([enclave], [], [], SECONDS)[0]
    finally:
        os.close(enclave)
    assert not (tmp_path / "scratch").exists()


def test_who_waits_for_a_heartbeat_is_told_that_the_enclave_was_switched_off(
    tmp_path: Path,
) -> None:
    for name in ("vsock", "elsewhere"):
        (tmp_path / name).mkdir()
    waited_for = HeartbeatListener(tmp_path / "elsewhere")
    waited_for.bind()
    with HeartbeatListener(tmp_path / "vsock") as deaf, ThreadPoolExecutor(1) as other:
        deaf.bind()
        with booted(Image(), tmp_path, heartbeat=waited_for) as enclave:
            answer = other.submit(enclave.wait_heartbeat, SECONDS)
            enclave.close()
            with pytest.raises(BootFailed):
                answer.result(SECONDS)
            assert enclave.has_ended()


def test_a_boot_without_a_kernel_s_root_gives_no_heartbeat(tmp_path: Path) -> None:
    with booted(Image(first=b""), tmp_path) as enclave, pytest.raises(BootFailed) as failed:
        enclave.wait_heartbeat(SECONDS)
    assert "Unable to mount root fs" in failed.value.console


def test_who_may_not_change_the_root_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may; another user runs this in test_boot_unprivileged.py")
    with (
        booted(Image(), tmp_path, Rung.OPEN_TRAP) as enclave,
        pytest.raises(CannotBoot, match="it takes root, or user namespaces"),
    ):
        enclave.wait_heartbeat(SECONDS)


def test_without_namespaces_only_who_may_change_the_root_boots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def choose(namespaces: str | None, open_trap: str | None, capabilities: int) -> Rung:
        monkeypatch.setattr("simulator.interpose.probe.capabilities", lambda _: capabilities)
        reasons = {Rung.NAMESPACES: namespaces, Rung.OPEN_TRAP: open_trap}
        return Probed(reasons).choose_for_boot()

    assert choose(None, None, 0) is Rung.NAMESPACES
    assert choose("no namespaces", None, 1 << 18) is Rung.OPEN_TRAP
    with pytest.raises(NoRung, match=r"no namespaces.*seccomp=unconfined"):
        choose("no namespaces", None, 0)
    with pytest.raises(NoRung, match="needs Linux"):
        choose("needs Linux", "needs Linux", 1 << 18)


@pytest.mark.parametrize(
    ("fabric", "said"), [("missing", "No such file"), ("x" * 100, "path too long")]
)
def test_a_fabric_that_cannot_be_used_is_told(fabric: str, said: str, tmp_path: Path) -> None:
    if fabric != "missing":
        (tmp_path / fabric).mkdir()
    with pytest.raises(CannotBoot, match=said):
        boot(
            waiting().write(tmp_path / "image.eif"),
            scratch=tmp_path / "scratch",
            fabric=tmp_path / fabric,
            cid=CID,
            nsm_handle=None,
            debug=False,
        )
    assert not (tmp_path / "scratch").exists()


def test_a_scratch_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "mine").touch()
    with pytest.raises(CannotBoot, match="File exists"):
        boot(
            Image().write(tmp_path / "image.eif"),
            scratch=tmp_path / "scratch",
            fabric=tmp_path,
            cid=CID,
            nsm_handle=None,
            debug=False,
        )
    assert (tmp_path / "scratch" / "mine").exists()


def test_what_is_measured_is_what_boots(tmp_path: Path) -> None:
    first, second = (
        measure(Image(command=[name]).write(tmp_path / name)) for name in ("one", "two")
    )
    assert first.pcr1 == second.pcr1
    assert first.pcr0 != second.pcr0
    assert first.pcr2 != second.pcr2
