"""The relay between a vsock port and TCP, and the listener below all services of the parent."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from simulator.fabric import temporary_fabric
from simulator.parent_services import listener
from simulator.parent_services.listener import CannotListen, Stop, listening
from simulator.parent_services.relay import NoSuchHost, relaying
from simulator.parent_services.streams import End, HalfClose, Stopped, connected, join
from tests.simulator.parent_world import TIMEOUT, has_ended, nothing_left, read_all, unix_client

HOST = "127.0.0.1"


@pytest.fixture
def path() -> Iterator[Path]:
    with temporary_fabric() as fabric:
        yield fabric.socket(3, 9001)


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A listening TCP socket, which the test accepts from."""
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(TIMEOUT)
        yield server


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def accept(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(TIMEOUT)
    return connection


def read(client: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length and (part := client.recv(length - len(content))):
        content += part
    return content


def fill(client: socket.socket) -> None:
    """Send until nothing more is taken at the moment."""
    with suppress(BlockingIOError):
        while True:
            client.send(bytes(1024 * 1024))


def unused_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return port_of(server)


def test_bytes_go_both_ways_and_nothing_is_left(path: Path, target: socket.socket) -> None:
    with nothing_left():
        with (
            relaying(path, HOST, port_of(target)),
            unix_client(path) as client,
            accept(target) as server,
        ):
            client.sendall(b"hello \x00\xff")
            assert read(server, 8) == b"hello \x00\xff"
            server.sendall(b"who is there")
            assert read(client, 12) == b"who is there"
        assert not path.exists()


def test_each_client_has_a_connection_of_its_own(path: Path, target: socket.socket) -> None:
    with relaying(path, HOST, port_of(target)):
        for name in (b"one", b"two"):
            with unix_client(path) as client, accept(target) as server:
                client.sendall(name)
                assert read(server, 3) == name


def test_clients_side_by_side_do_not_wait_for_each_other(path: Path, target: socket.socket) -> None:
    # More than the four workers that vsock-proxy has.
    with relaying(path, HOST, port_of(target)):
        pairs = [(unix_client(path), accept(target)) for _ in range(12)]
        for index, (client, server) in reversed(list(enumerate(pairs))):
            client.sendall(bytes([index]))
            assert read(server, 1) == bytes([index])
        for connection in (side for pair in pairs for side in pair):
            connection.close()


def test_the_clients_half_close_is_passed_on(path: Path, target: socket.socket) -> None:
    with relaying(path, HOST, port_of(target)), unix_client(path) as client:
        with accept(target) as server:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert read_all(server) == b"question"
            server.sendall(b"answer")
        assert read_all(client) == b"answer"


def test_the_targets_half_close_is_passed_on(path: Path, target: socket.socket) -> None:
    with (
        relaying(path, HOST, port_of(target)),
        unix_client(path) as client,
        accept(target) as server,
    ):
        server.sendall(b"banner")
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"banner"
        client.sendall(b"still here")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"still here"


def test_as_vsock_proxy_does_it_a_half_close_ends_both(path: Path, target: socket.socket) -> None:
    with (
        relaying(path, HOST, port_of(target), half_close=HalfClose.ENDS),
        unix_client(path) as client,
        accept(target) as server,
    ):
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"question"
        assert has_ended(client)


@pytest.mark.parametrize("half_close", HalfClose)
def test_much_more_than_any_buffer_arrives_whole(
    path: Path, target: socket.socket, half_close: HalfClose
) -> None:
    content = os.urandom(8 * 1024 * 1024)
    with (
        relaying(path, HOST, port_of(target), half_close=half_close),
        unix_client(path) as client,
        accept(target) as server,
    ):

        def send() -> None:
            client.sendall(content)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert read_all(server) == content
        sender.join()


def test_both_sides_send_much_and_read_late(path: Path, target: socket.socket) -> None:
    """Neither direction waits for the other."""
    content = os.urandom(4 * 1024 * 1024)
    with (
        relaying(path, HOST, port_of(target)),
        unix_client(path) as client,
        accept(target) as server,
    ):

        def send(connection: socket.socket) -> None:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)

        senders = [threading.Thread(target=send, args=(side,)) for side in (client, server)]
        for sender in senders:
            sender.start()
        assert read_all(client) == content
        assert read_all(server) == content
        for sender in senders:
            sender.join()


def test_a_target_that_is_not_there_ends_the_clients_connection(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = unused_port()
    with nothing_left(), relaying(path, HOST, port):
        for _ in range(2):
            with unix_client(path) as client:
                assert has_ended(client)
    assert f"Could not connect to 127.0.0.1:{port} (Connection refused)" in caplog.text


def test_a_target_that_goes_ends_the_clients_connection(path: Path, target: socket.socket) -> None:
    with relaying(path, HOST, port_of(target)), unix_client(path) as client:
        accept(target).close()
        assert has_ended(client)


def test_a_target_that_resets_ends_the_clients_connection(
    path: Path, target: socket.socket
) -> None:
    with relaying(path, HOST, port_of(target)), unix_client(path) as client:
        server = accept(target)
        client.sendall(b"x")
        assert read(server, 1) == b"x"
        # Closed at once with no lingering: a reset instead of an end.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        assert has_ended(client)


def test_a_client_that_leaves_ends_the_targets_connection(
    path: Path, target: socket.socket
) -> None:
    with relaying(path, HOST, port_of(target)):
        client = unix_client(path)
        with accept(target) as server:
            client.close()
            assert has_ended(server)


def test_the_end_of_the_relay_ends_connections_under_way(path: Path, target: socket.socket) -> None:
    with nothing_left():
        with relaying(path, HOST, port_of(target)):
            idle, stuck = unix_client(path), unix_client(path)
            servers = [accept(target), accept(target)]
            # Nobody reads this: the relay waits until it can be sent.
            stuck.setblocking(False)
            fill(stuck)
            stuck.settimeout(TIMEOUT)
        assert has_ended(idle)
        assert has_ended(stuck)
        for connection in (idle, stuck, *servers):
            connection.close()


def test_a_name_is_resolved_and_its_addresses_are_tried(path: Path, target: socket.socket) -> None:
    # localhost is ::1 too on many systems, where nothing listens at the port.
    with (
        relaying(path, "localhost", port_of(target)),
        unix_client(path) as client,
        accept(target) as server,
    ):
        client.sendall(b"x")
        assert read(server, 1) == b"x"


@pytest.mark.parametrize(("host", "port"), [("a" * 300, 443), (HOST, -1)])
def test_a_host_without_an_address_is_told_at_the_start(path: Path, host: str, port: int) -> None:
    with pytest.raises(NoSuchHost, match="No address is known for"), relaying(path, host, port):
        pass
    assert not path.exists()


def test_a_name_that_is_not_known_is_told_at_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=failure))
    with (
        pytest.raises(NoSuchHost, match=r"for kms\.example:443 \(Name or service not known\)"),
        relaying(path, "kms.example", 443),
    ):
        pass


def test_a_name_that_is_lost_later_ends_the_clients_connection(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with relaying(path, "localhost", 1):
        failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=failure))
        with unix_client(path) as client:
            assert has_ended(client)
    assert "Could not connect to localhost:1 (Name or service not known)" in caplog.text


def test_a_connection_being_made_is_given_up_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    stop.tell()
    monkeypatch.setattr(socket.socket, "connect_ex", Mock(return_value=errno.EINPROGRESS))
    with nothing_left(), pytest.raises(Stopped):
        connected(HOST, 9, stop)
    stop.close()


def test_a_host_with_no_address_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Mock(return_value=[]))
    with closing(Stop()) as stop, pytest.raises(OSError, match="annot assign"):
        connected(HOST, 9, stop)


def test_what_waits_for_a_peer_that_has_gone_ends() -> None:
    near, far = socket.socketpair()
    first, second = socket.socketpair()
    far.sendall(b"x")
    second.close()
    with closing(Stop()) as stop, near, far, first:
        ends = End(near), End(first)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            join(*ends, stop, HalfClose.PASSED_ON)


# The listener.


def test_the_file_of_a_process_that_was_killed_is_replaced(
    path: Path, target: socket.socket
) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    with (
        relaying(path, HOST, port_of(target)),
        unix_client(path) as client,
        accept(target) as server,
    ):
        client.sendall(b"x")
        assert read(server, 1) == b"x"


def test_an_address_in_use_is_left_alone(path: Path, target: socket.socket) -> None:
    with relaying(path, HOST, port_of(target)):
        with (
            pytest.raises(CannotListen, match=r"Another program listens at .*3_9001\.sock; end it"),
            relaying(path, HOST, port_of(target)),
        ):
            pass
        with unix_client(path), accept(target):
            pass


def test_an_address_whose_queue_is_full_is_in_use(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as busy:
        busy.bind(str(path))
        busy.listen(0)
        with (
            unix_client(path),
            pytest.raises(CannotListen, match="Another program listens"),
            listening(path, Mock(), "test"),
        ):
            pass


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("somebody's")
    with pytest.raises(CannotListen, match="is no socket"), listening(path, Mock(), "test"):
        pass
    assert path.read_text() == "somebody's"


def test_a_folder_that_is_not_there(path: Path) -> None:
    with (
        pytest.raises(CannotListen, match=r"No such file or directory.*folder must exist"),
        listening(path.parent / "none" / path.name, Mock(), "test"),
    ):
        pass


def test_a_path_that_is_too_long_for_a_socket() -> None:
    with (
        pytest.raises(CannotListen, match=r"has 104 bytes, and a Unix socket takes 103; use a"),
        listening(Path("/" + "x" * 103), Mock(), "test"),
    ):
        pass


def test_an_address_can_be_used_again(path: Path) -> None:
    for _ in range(3):
        with (
            listening(path, lambda client, _: client.sendall(b"x"), "test"),
            unix_client(path) as client,
        ):
            assert read_all(client) == b"x"


def test_descriptors_that_run_out_are_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_ACCEPT_RETRY_SECONDS", 0.001)
    accepted = iter([OSError(errno.EMFILE, "Too many open files"), BlockingIOError()])
    real = socket.socket.accept

    def accept_later(server: socket.socket) -> tuple[socket.socket, object]:
        error = next(accepted, None)
        if error is not None:
            raise error
        return real(server)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    with (
        listening(path, lambda client, _: client.sendall(b"x"), "test"),
        unix_client(path) as client,
    ):
        assert read_all(client) == b"x"
    assert "Too many open files" in caplog.text


def test_a_service_that_fails_on_a_connection_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def serve(client: socket.socket, _: Stop) -> None:
        if client.recv(1) == b"0":
            raise ConnectionResetError("gone")
        client.sendall(b"x")

    with caplog.at_level(logging.DEBUG), listening(path, serve, "test"):
        for said, answer in ((b"0", b""), (b"1", b"x")):
            with unix_client(path) as client:
                client.sendall(said)
                assert read_all(client) == answer
    assert "A connection of test ended: gone" in caplog.text
