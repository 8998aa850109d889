"""The NSM behind a socket: good clients, rude clients, and the end of both."""

import errno
import logging
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import cbor2
import pytest

from nsm_fake import NitroSecurityModule, NsmSocketServer
from nsm_fake.transport import MESSAGE_MAX, PATH_MAX, _shut_down

DESCRIBE = cbor2.dumps("DescribeNSM")


@pytest.fixture
def path() -> Iterator[Path]:
    """Not pytest's tmp_path, which is too long for a socket on some systems."""
    with tempfile.TemporaryDirectory(prefix="nsm") as folder:
        yield Path(folder) / "nsm.sock"


@pytest.fixture
def server(path: Path, make_module: Callable[..., NitroSecurityModule]) -> Iterator[Path]:
    """The path of a served module."""
    with NsmSocketServer(make_module(seed=b"s").handle, path):
        yield path


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(str(path))
    return client


def read(client: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        received = client.recv(length - len(content))
        if not received:
            break
        content += received
    return content


def framed(request: bytes) -> bytes:
    return len(request).to_bytes(4) + request


def exchange(client: socket.socket, request: bytes) -> bytes:
    client.sendall(framed(request))
    return read(client, int.from_bytes(read(client, 4)))


def ended(client: socket.socket) -> bool:
    """Whether the server has closed the connection."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_connection_carries_many_requests(server: Path) -> None:
    with connect(server) as client:
        for index in range(16, 20):
            extend = cbor2.dumps({"ExtendPCR": {"index": index, "data": b"x"}})
            assert len(cbor2.loads(exchange(client, extend))["ExtendPCR"]["data"]) == 48
        assert cbor2.loads(exchange(client, DESCRIBE))["DescribeNSM"]["max_pcrs"] == 32
        document = cbor2.loads(exchange(client, cbor2.dumps({"Attestation": {}})))
        assert len(document["Attestation"]["document"]) > 4000


def test_connections_reach_the_same_module(server: Path) -> None:
    clients = [connect(server) for _ in range(20)]
    for index, client in zip(range(16, 32), clients, strict=False):
        lock = cbor2.dumps({"LockPCR": {"index": index}})
        assert cbor2.loads(exchange(client, lock)) == "LockPCR"
    described = cbor2.loads(exchange(clients[-1], DESCRIBE))
    assert described["DescribeNSM"]["locked_pcrs"] == list(range(32))
    for client in clients:
        client.close()


def test_clients_work_side_by_side(server: Path) -> None:
    answers: list[bytes] = []

    def work() -> None:
        with connect(server) as client:
            answers.extend(exchange(client, cbor2.dumps("GetRandom")) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 160


def test_requests_may_come_in_pieces_and_in_one_piece(server: Path) -> None:
    with connect(server) as client:
        for byte in framed(DESCRIBE):
            client.sendall(bytes([byte]))
        first = read(client, int.from_bytes(read(client, 4)))
        client.sendall(framed(DESCRIBE) + framed(DESCRIBE))
        for _ in range(2):
            assert read(client, int.from_bytes(read(client, 4))) == first


def test_an_empty_request_is_answered(server: Path) -> None:
    with connect(server) as client:
        assert cbor2.loads(exchange(client, b"")) == {"Error": "InvalidOperation"}


@pytest.mark.parametrize("length", [4097, MESSAGE_MAX])
def test_a_long_request_is_answered_and_the_connection_goes_on(server: Path, length: int) -> None:
    with connect(server) as client:
        assert cbor2.loads(exchange(client, bytes(length))) == {"Error": "InputTooLarge"}
        assert "DescribeNSM" in cbor2.loads(exchange(client, DESCRIBE))


@pytest.mark.parametrize("length", [MESSAGE_MAX + 1, 2**32 - 1])
def test_an_endless_request_is_cut_off_unread(
    server: Path, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(server) as client, caplog.at_level(logging.WARNING, "nsm_fake"):
        client.sendall(length.to_bytes(4))
        assert ended(client)
    assert f"announced an NSM request of {length} bytes" in caplog.text
    with connect(server) as client:
        assert "DescribeNSM" in cbor2.loads(exchange(client, DESCRIBE))


@pytest.mark.parametrize("half", [b"\x00", b"\x00\x00\x00\x0c", framed(DESCRIBE)[:-1]])
def test_half_a_request_and_silence_hold_up_nobody(server: Path, half: bytes) -> None:
    with connect(server) as silent, connect(server) as other:
        silent.sendall(half)
        assert "DescribeNSM" in cbor2.loads(exchange(other, DESCRIBE))
        silent.sendall(framed(DESCRIBE)[len(half) :])
        assert "DescribeNSM" in cbor2.loads(read(silent, int.from_bytes(read(silent, 4))))


def test_a_client_that_leaves_in_the_middle_harms_nobody(server: Path) -> None:
    with connect(server) as client:
        client.sendall(framed(DESCRIBE)[:-1])
    with connect(server) as client:
        client.sendall(framed(cbor2.dumps({"Attestation": {}})) * 50)
    with connect(server) as client:
        assert "DescribeNSM" in cbor2.loads(exchange(client, DESCRIBE))


def test_a_failing_module_is_answered_for(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handle = Mock(side_effect=[RuntimeError("the clock fell off"), b"\xf6"])
    with NsmSocketServer(handle, path), connect(path) as client:
        assert cbor2.loads(exchange(client, DESCRIBE)) == {"Error": "InternalError"}
        assert exchange(client, DESCRIBE) == b"\xf6"
    assert "the clock fell off" in caplog.text


def test_the_end_closes_connections_and_removes_the_socket(path: Path) -> None:
    # The threads and not their number: one of an earlier test may end meanwhile.
    before = set(threading.enumerate())
    with NsmSocketServer(lambda request: request, path):
        assert stat.S_ISSOCK(path.stat().st_mode)
        idle, silent, used = connect(path), connect(path), connect(path)
        silent.sendall(b"\x00\x00")
        assert exchange(used, b"echo") == b"echo"
    assert [ended(client) for client in (idle, silent, used)] == [True] * 3
    for client in (idle, silent, used):
        client.close()
    assert not path.exists()
    assert set(threading.enumerate()) <= before


def test_a_path_can_be_served_again(path: Path) -> None:
    for _ in range(2):
        with NsmSocketServer(lambda request: request, path), connect(path) as client:
            assert exchange(client, b"echo") == b"echo"


def test_a_path_that_is_too_long_for_a_socket() -> None:
    with pytest.raises(ValueError, match=r"has 104 bytes, and 103 are the most.*shorter name"):
        NsmSocketServer(lambda request: request, "/" + "x" * PATH_MAX)
    NsmSocketServer(lambda request: request, "/" + "x" * (PATH_MAX - 1))


def test_bytes_count_and_not_characters() -> None:
    with pytest.raises(ValueError, match="has 106 bytes"):
        NsmSocketServer(lambda request: request, "/" + "é" * 52 + "x")


def test_the_longest_path_works(path: Path) -> None:
    longest = path.with_name("s" * (PATH_MAX - len(str(path.parent)) - 1))
    with NsmSocketServer(lambda request: request, longest), connect(longest) as client:
        assert exchange(client, b"echo") == b"echo"


def test_a_path_that_is_taken_is_left_alone(path: Path) -> None:
    path.write_text("somebody's")
    with (
        pytest.raises(OSError, match=r"cannot listen there.*at which nothing is yet") as caught,
        NsmSocketServer(lambda request: request, path),
    ):
        pass
    assert caught.value.errno == errno.EADDRINUSE
    assert path.read_text() == "somebody's"


def test_a_folder_that_does_not_exist(path: Path) -> None:
    server = NsmSocketServer(lambda request: request, path.parent / "none" / "nsm.sock")
    with pytest.raises(FileNotFoundError, match="a folder that exists"):
        server.__enter__()


@pytest.mark.parametrize(
    ("error", "logged"),
    [(BlockingIOError(), False), (OSError(errno.EMFILE, "Too many open files"), True)],
)
def test_a_connection_that_cannot_be_taken(
    path: Path, error: OSError, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = NsmSocketServer(lambda request: request, path)
    server._listener = Mock(accept=Mock(side_effect=error))
    server._closing.set()  # So that it does not wait before it tries again.
    server._accept_one()
    assert ("Too many open files" in caplog.text) is logged
    assert not server._connections


def test_a_connection_that_ends_while_the_server_does(caplog: pytest.LogCaptureFixture) -> None:
    connection, peer = socket.socketpair()
    peer.close()
    connection.close()
    with caplog.at_level(logging.DEBUG, "nsm_fake"):
        _shut_down(connection)
    assert "A connection had ended already" in caplog.text
