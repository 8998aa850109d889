"""The transport: the fabric whole, and of the native paths what needs no device and no vsock.

No test here may open an AF_VSOCK socket: on a machine that is itself a guest it would reach out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scenarios.workload import transport

PORT = 7001


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fabric; and creating any socket fails the test."""

    def refuse(*_: object) -> socket.socket:
        pytest.fail("a socket was made")

    monkeypatch.delenv(transport.FABRIC_VARIABLE, raising=False)
    monkeypatch.setattr(socket, "socket", refuse)


def test_a_listener_and_a_connection_meet_in_the_fabric(in_fabric: Path) -> None:
    with (
        transport.listen(PORT, fabric_cid=3) as listener,
        transport.connect(3, PORT, 5) as near,
        listener.accept() as far,
    ):
        assert (in_fabric / f"3_{PORT}.sock").is_socket()
        near.sendall(b"hello")
        assert transport.receive_bytes(far, 5, 5) == b"hello"
    assert not (in_fabric / f"3_{PORT}.sock").exists()


def test_the_fabric_uses_nothing_but_unix_sockets(
    monkeypatch: pytest.MonkeyPatch, nsm: Path
) -> None:
    families = []

    class Recorded(socket.socket):
        def __init__(self, family: int = -1, *arguments: Any, **more: Any) -> None:
            families.append(family)
            super().__init__(family, *arguments, **more)

    assert nsm.is_socket()
    monkeypatch.setattr(socket, "socket", Recorded)
    transport.nsm_request(bytes.fromhex("6b44657363726962654e534d"))
    with transport.listen(PORT, fabric_cid=16), transport.connect(16, PORT, 5):
        pass
    assert set(families) == {socket.AF_UNIX}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses at once")
def test_a_full_queue_of_a_listener_is_waited_for(fabric: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, ThreadPoolExecutor(max_workers=4) as pool:
        server.bind(str(fabric / f"16_{PORT}.sock"))
        server.listen(0)
        waiting = [pool.submit(transport.connect, 16, PORT, 10.0) for _ in range(4)]
        for _ in waiting:
            server.accept()[0].close()
        for connection in waiting:
            connection.result().close()
    (fabric / f"16_{PORT}.sock").unlink()


def test_cids_are_different_addresses() -> None:
    with (
        transport.listen(PORT, fabric_cid=16),
        pytest.raises(transport.TransportError, match=f"3_{PORT}.sock.*start the program"),
    ):
        transport.connect(3, PORT, 5)


def test_an_address_in_use_is_refused_and_stays_usable() -> None:
    with transport.listen(PORT, fabric_cid=3):
        with pytest.raises(transport.TransportError, match="nothing else may listen"):
            transport.listen(PORT, fabric_cid=3)
        transport.connect(3, PORT, 5).close()


def test_the_socket_of_a_killed_process_is_taken_over(in_fabric: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(in_fabric / f"3_{PORT}.sock"))
    with transport.listen(PORT, fabric_cid=3), transport.connect(3, PORT, 5):
        pass


def test_a_file_that_is_no_socket_is_left_alone(in_fabric: Path) -> None:
    path = in_fabric / f"3_{PORT}.sock"
    path.write_text("mine")
    with pytest.raises(transport.TransportError, match="cannot listen"):
        transport.listen(PORT, fabric_cid=3)
    assert path.read_text() == "mine"
    path.unlink()


def test_a_folder_that_is_missing_is_named(
    in_fabric: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(transport.FABRIC_VARIABLE, str(in_fabric / "none"))
    with pytest.raises(transport.TransportError, match="must name a folder that exists"):
        transport.listen(PORT, fabric_cid=3)


def test_a_path_too_long_for_a_socket_is_refused(
    in_fabric: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = "x" * (transport.SOCKET_PATH_MAX_BYTES - len(f"{in_fabric}//3_{PORT}.sock"))
    folder = in_fabric / longest
    folder.mkdir()
    monkeypatch.setenv(transport.FABRIC_VARIABLE, str(folder))
    with transport.listen(PORT, fabric_cid=3):
        pass
    with pytest.raises(transport.TransportError, match=r"104 bytes.*shorter path"):
        transport.listen(PORT, fabric_cid=16)
    with pytest.raises(transport.TransportError, match=r"104 bytes.*shorter path"):
        transport.connect(16, PORT, 5)


def test_an_empty_variable_is_no_fabric_and_not_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(transport.FABRIC_VARIABLE, "")
    with pytest.raises(transport.TransportError, match="set but empty"):
        transport.connect(3, PORT, 5)
    with pytest.raises(transport.TransportError, match="set but empty"):
        transport.nsm_request(b"\xf6")


def test_the_nsm_answers_in_the_fabric(in_fabric: Path, nsm: Path) -> None:
    assert nsm.parent == in_fabric
    answer = transport.nsm_request(bytes.fromhex("6b44657363726962654e534d"))
    assert answer.startswith(b"\xa1\x6bDescribeNSM")


def test_a_missing_nsm_is_named(fabric: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(transport.FABRIC_VARIABLE, str(fabric / "none"))
    with pytest.raises(transport.TransportError, match=r"none/nsm\.sock: .*No such file"):
        transport.nsm_request(b"\xf6")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "ended within the answer"),
        (b"\x00\x00\x00\x05abc", "ended within the answer"),
        (b"\x00\x00\x30\x01", "announces 12289 bytes"),
    ],
)
def test_an_nsm_that_breaks_off_is_reported(
    fabric: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, problem: str
) -> None:
    folder = fabric / "broken"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv(transport.FABRIC_VARIABLE, str(folder))
    with transport.listen(PORT, fabric_cid=3) as listener:
        assert listener.path is not None
        (folder / "nsm.sock").symlink_to(listener.path)

        def serve() -> None:
            with listener.accept() as connection:
                transport.receive_bytes(connection, 5, 5)
                connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(transport.TransportError, match=problem):
            transport.nsm_request(b"\xf6")
        server.join()
        (folder / "nsm.sock").unlink()


def test_the_largest_request_is_that_of_the_device() -> None:
    with pytest.raises(transport.TransportError, match="4097 bytes is too large"):
        transport.nsm_request(bytes(4097))


@pytest.mark.usefixtures("native")
def test_no_native_connection_to_the_loopback_cid_without_its_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transport, "LOOPBACK_MODULE", tmp_path / "vsock_loopback")
    with pytest.raises(transport.TransportError, match="modprobe vsock_loopback"):
        transport.connect(transport.LOOPBACK_CID, PORT, 5)


@pytest.mark.usefixtures("native")
def test_vsock_is_asked_for_only_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(transport.TransportError, match="only on Linux"):
        transport.connect(3, PORT, 5)
    with pytest.raises(transport.TransportError, match="only on Linux"):
        transport.listen(PORT, fabric_cid=3)


@pytest.mark.usefixtures("native")
def test_a_kernel_without_vsock_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(socket, "AF_VSOCK", 40, raising=False)
    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(transport.TransportError, match=r"no vsock sockets: .*not supported"):
        transport.connect(3, PORT, 5)


@pytest.mark.usefixtures("native")
def test_a_missing_device_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transport, "NSM_DEVICE", tmp_path / "nsm")
    with pytest.raises(transport.TransportError, match=r"No such file.*inside a Nitro enclave"):
        transport.nsm_request(b"\xf6")


def test_the_ioctl_is_that_of_the_kernel_header() -> None:
    read_and_write, size, magic, number = 3, transport.NSM_RAW.size, 0x0A, 0
    assert size == 32
    expected = read_and_write << 30 | size << 16 | magic << 8 | number
    assert expected == transport.NSM_IOCTL_RAW


@pytest.mark.parametrize("length", [1, 0x3000])
@pytest.mark.usefixtures("native")
def test_the_device_gets_both_buffers_and_gives_the_length_back(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    def ioctl(_: int, number: int, raw: bytearray) -> int:
        request, request_length, response, room = transport.NSM_RAW.unpack(raw)
        assert (number, room) == (0xC0200A00, 0x3000)
        assert ctypes.string_at(request, request_length) == b"a\0b"
        ctypes.memmove(response, b"\x07" * length, length)
        transport.NSM_RAW.pack_into(raw, 0, request, request_length, response, length)
        return 0

    monkeypatch.setattr(transport, "NSM_DEVICE", Path(os.devnull))
    monkeypatch.setattr("fcntl.ioctl", ioctl)
    assert transport.nsm_request(b"a\0b") == b"\x07" * length


@pytest.mark.usefixtures("native")
def test_a_response_cut_by_the_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(_: int, __: int, raw: bytearray) -> int:
        transport.NSM_RAW.pack_into(raw, 0, 0, 0, 0, 0x3001)
        return 0

    monkeypatch.setattr(transport, "NSM_DEVICE", Path(os.devnull))
    monkeypatch.setattr("fcntl.ioctl", ioctl)
    with pytest.raises(transport.TransportError, match="12289 bytes"):
        transport.nsm_request(b"\xf6")


@pytest.mark.usefixtures("native")
def test_an_ioctl_that_the_driver_refuses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "NSM_DEVICE", Path(os.devnull))
    with pytest.raises(transport.TransportError, match="did not answer"):
        transport.nsm_request(b"\xf6")
