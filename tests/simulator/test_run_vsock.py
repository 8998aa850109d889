"""AF_VSOCK under the supervisor: addresses, errors and blocking as `af_vsock.c` has them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread

import pytest

from simulator.interpose.faults import BadFault
from simulator.interpose.plan import Role, Rung
from simulator.interpose.run import Options, Run
from tests.simulator.supervised import SECONDS, finish, needs, python

ANY = 0xFFFF_FFFF


@contextmanager
def echo_server(path: Path, connections: int = 1) -> Iterator[list[bytes]]:
    """A plain program of the parent's at an address; what it was sent, a connection each."""
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(128)

        def serve() -> None:
            for _ in range(connections):
                connection, _ = listener.accept()
                content = b""
                with connection, suppress(ConnectionError):
                    while part := connection.recv(65536):
                        content += part
                        connection.sendall(part)
                received.append(content)

        thread = Thread(target=serve)
        thread.start()
        yield received
        thread.join()


def test_a_program_dials_the_parent(tmp_path: Path, rung: Rung) -> None:
    with echo_server(tmp_path / "3_5000.sock") as received:
        finished = finish(
            python("""
                dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
                print(dialled.getsockname())
                dialled.connect((3, 5000))
                print(dialled.getpeername(), dialled.getsockname()[0])
                dialled.sendall(b"hello")
                dialled.shutdown(socket.SHUT_WR)
                content = b""
                while part := dialled.recv(100):
                    content += part
                print(content)
            """),
            tmp_path,
            rung,
        )
    assert (finished.code, finished.errors) == (0, "")
    assert finished.lines == [str((ANY, ANY)), f"(3, 5000) {ANY}", "b'hello'"]
    assert received == [b"hello"]


def test_a_program_is_dialled(tmp_path: Path, rung: Rung) -> None:
    """By a plain program on a Unix socket, and by one that has an address of its own."""
    finished = finish(
        python("""
            listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            listener.bind((socket.VMADDR_CID_ANY, 5005))
            listener.listen()
            print(listener.getsockname() == (socket.VMADDR_CID_ANY, 5005))
            child = os.fork()
            if not child:
                dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
                dialled.connect((16, 5005))
                dialled.send(str(dialled.getsockname()[1]).encode())
                os._exit(0)
            connection, peer = listener.accept()
            port = int(connection.recv(100))
            print(peer == (16, port), connection.getsockname() == (16, 5005))
            print(connection.getpeername() == peer, connection.recv(1))
            os.waitpid(child, 0)
        """),
        tmp_path,
        rung,
    )
    assert (finished.lines, finished.errors) == (["True", "True True", "True b''"], "")


def test_two_runs_reach_each_other(tmp_path: Path) -> None:
    needs(Rung.OPEN_TRAP)
    parent = python("""
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((socket.VMADDR_CID_ANY, 8000))
        listener.listen()
        connection, (cid, port) = listener.accept()
        connection.send(b"you are %d" % cid)
    """)
    enclave = python("""
        dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        while name_of(lambda: dialled.connect((3, 8000))) != "OK":
            dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            time.sleep(0.01)
        print(dialled.recv(100).decode())
    """)
    outcomes = []
    thread = Thread(
        target=lambda: outcomes.append(
            finish(parent, tmp_path, Rung.OPEN_TRAP, cid=3, role=Role.PARENT)
        )
    )
    thread.start()
    finished = finish(enclave, tmp_path, Rung.OPEN_TRAP, cid=17)
    thread.join()
    assert (finished.lines, outcomes[0].code) == (["you are 17"], 0)


def test_nobody_listens(tmp_path: Path, rung: Rung) -> None:
    finished = finish(
        python("""
            for address in ((3, 1), (16, 1), (1, 1), (99, 1), (2, 1)):
                blocking = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
                print(name_of(lambda: blocking.connect(address)), end=" ")
            print()
            impatient = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            poll = select.epoll()
            poll.register(impatient.fileno(), select.EPOLLOUT | select.EPOLLET)
            print(name_of(lambda: impatient.connect((3, 1))))
            while not any(events & select.EPOLLERR for _, events in poll.poll()):
                pass
            error = impatient.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            print(errno.errorcode[error], name_of(impatient.getpeername))
        """),
        tmp_path,
        rung,
    )
    assert finished.lines == ["ECONNRESET " * 5, "EINPROGRESS", "ECONNRESET ENOTCONN"]


def test_a_non_blocking_connection_is_never_made_at_once(tmp_path: Path, rung: Rung) -> None:
    with echo_server(tmp_path / "3_5000.sock"):
        finished = finish(
            python("""
                dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
                dialled.setblocking(False)
                print(name_of(lambda: dialled.connect((3, 5000))))
                select.select([], [dialled], [])
                print(dialled.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                print(name_of(lambda: dialled.connect((3, 5000))), dialled.getpeername())
                print(os.get_blocking(dialled.fileno()))
            """),
            tmp_path,
            rung,
        )
    assert finished.lines == ["EINPROGRESS", "0", "EISCONN (3, 5000)", "False"]


def test_the_outcome_of_a_non_blocking_connect_is_an_edge(tmp_path: Path, rung: Rung) -> None:
    """As Go's network poller waits: edge-triggered, and from before the connection on."""
    with echo_server(tmp_path / "3_5000.sock"):
        finished = finish(
            python("""
                for port in (5000, 5001):
                    poll = select.epoll()
                    dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
                    dialled.setblocking(False)
                    size = dialled.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
                    poll.register(dialled, select.EPOLLOUT | select.EPOLLET)
                    while poll.poll(0):
                        pass
                    print(name_of(lambda: dialled.connect((3, port))))
                    print([bool(events & select.EPOLLOUT) for _, events in poll.poll(10)])
                    print(dialled.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                    print(dialled.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == size)
            """),
            tmp_path,
            rung,
        )
    assert finished.lines == [
        *("EINPROGRESS", "[True]", "0", "True"),
        *("EINPROGRESS", "[True]", "104", "True"),
    ]


def test_who_dials_nobody_without_blocking_is_never_connected(tmp_path: Path, rung: Rung) -> None:
    finished = finish(
        python("""
            outcomes = set()
            for _ in range(100):
                dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
                dialled.setblocking(False)
                dialled.connect_ex((3, 5001))
                select.select([], [dialled], [])
                outcomes.add(dialled.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            print(outcomes)
        """),
        tmp_path,
        rung,
    )
    assert finished.lines == ["{104}"]


def test_the_errors_of_a_socket(tmp_path: Path, rung: Rung) -> None:
    finished = finish(
        python("""
            new = lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            bound = new()
            bound.bind((socket.VMADDR_CID_ANY, 7000))
            print("again", name_of(lambda: bound.bind((socket.VMADDR_CID_ANY, 7001))))
            print("taken", name_of(lambda: new().bind((socket.VMADDR_CID_ANY, 7000))))
            print("taken by CID", name_of(lambda: new().bind((16, 7000))))
            print("foreign", name_of(lambda: new().bind((17, 7002))))
            print("any", new().bind((16, socket.VMADDR_PORT_ANY)))
            print("accept", name_of(bound.accept))
            print("peer", name_of(bound.getpeername))
            print("listen unbound", name_of(new().listen))
            bound.listen()
            print("connect", name_of(lambda: bound.connect((3, 1))))
            bound.setblocking(False)
            print("nobody yet", name_of(bound.accept))
            bound.settimeout(0.01)
            def raw(call, content, length):
                content = ctypes.create_string_buffer(content, max(len(content), 1))
                if call(new().detach(), content, length):
                    return errno.errorcode[ctypes.get_errno()]
            address = struct.pack("=HHIIB3x", 40, 0, 1, 3, 0)
            for call in (libc.bind, libc.connect):
                print(raw(call, address, 15), raw(call, b"\\0" + address[1:], 16),
                      raw(call, b"", 0), raw(call, address, -1), raw(call, address, 129))
            print(name_of(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_DGRAM)),
                  name_of(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_RAW)),
                  name_of(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM, 1)),
                  socket.socket(socket.AF_VSOCK, socket.SOCK_SEQPACKET).type == 5)
        """),
        tmp_path,
        rung,
    )
    assert finished.errors == ""
    assert finished.lines == [
        *("again EINVAL", "taken EADDRINUSE", "taken by CID EADDRINUSE"),
        *("foreign EADDRNOTAVAIL", "any None", "accept EINVAL", "peer ENOTCONN"),
        *("listen unbound EINVAL", "connect EINVAL", "nobody yet EAGAIN"),
        *(["EINVAL EINVAL EINVAL EINVAL EINVAL"] * 2),
        "ENODEV ESOCKTNOSUPPORT EPROTONOSUPPORT True",
    ]


def test_the_options_of_a_socket(tmp_path: Path, rung: Rung) -> None:
    finished = finish(
        python("""
            one = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            def size(name):
                return struct.unpack("=Q", get_option(one, 40, name, 20))[0]
            def set_size(name, value):
                set_option(one, 40, name, struct.pack("=Q", value))
            print([size(name) for name in (0, 1, 2)])
            set_size(0, 1 << 20); print(size(0))
            set_size(2, 1 << 20); set_size(0, 1 << 20); print(size(0))
            set_size(1, 2 << 20); print(size(0))
            timeout = lambda: struct.unpack("=qq", get_option(one, 40, 6, 16))
            print(timeout())
            set_option(one, 40, 6, struct.pack("=qq", 5, 10)); print(timeout())
            set_option(one, 40, 8, struct.pack("=qq", 0, 0)); print(timeout())
            print(name_of(lambda: set_option(one, 40, 6, struct.pack("=qq", -1, 0))),
                  name_of(lambda: set_option(one, 40, 0, b"1234")),
                  name_of(lambda: set_option(one, 40, 77, bytes(8))),
                  name_of(lambda: get_option(one, 40, 77, 8)),
                  name_of(lambda: get_option(one, 40, 0, 4)))
            print(one.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN),
                  one.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
                  socket.socket(fileno=os.dup(one.fileno())).family == socket.AF_VSOCK)
            unix = socket.socket(socket.AF_UNIX)
            print(unix.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN), unix.getsockname() == "")
        """),
        tmp_path,
        rung,
    )
    assert finished.errors == ""
    assert finished.lines == [
        *("[262144, 128, 262144]", "262144", "1048576", "2097152"),
        *("(2, 0)", "(5, 10)", "(2, 0)"),
        "ERANGE EINVAL ENOPROTOOPT ENOPROTOOPT EINVAL",
        *("40 1 True", "1 True"),
    ]


def test_the_local_cid(tmp_path: Path, rung: Rung) -> None:
    program = python("""
        with open("/dev/vsock") as device:
            print(struct.unpack("=I", fcntl.ioctl(device, 0x7B9, bytes(4)))[0])
    """)
    assert finish(program, tmp_path, rung, cid=77).lines == ["77"]


def test_sockets_go_where_descriptors_go(tmp_path: Path, rung: Rung) -> None:
    """By dup, over fork and exec, through SCM_RIGHTS: one socket, one address."""
    finished = finish(
        python("""
            one = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            os.dup(one.fileno())
            socket.socket(fileno=os.dup(one.fileno())).bind((16, 6000))
            print(one.getsockname())
            left, right = socket.socketpair()
            if not os.fork():
                _, descriptors, _, _ = socket.recv_fds(right, 1, 1)
                os.write(1, f"{socket.socket(fileno=descriptors[0]).getsockname()}\\n".encode())
                os._exit(0)
            socket.send_fds(left, [b"!"], [one.fileno()])
            os.wait()
            os.set_inheritable(one.fileno(), True)
            sys.stdout.flush()
            code = f"import socket; print(socket.socket(fileno={one.fileno()}).getsockname())"
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", code])
        """),
        tmp_path,
        rung,
    )
    assert finished.lines == ["(16, 6000)"] * 3


def test_threads_dial_at_once(tmp_path: Path, rung: Rung) -> None:
    with echo_server(tmp_path / "3_5000.sock", connections=160) as received:
        finished = finish(
            python("""
                def work(number):
                    for index in range(20):
                        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as dialled:
                            dialled.connect((3, 5000))
                            dialled.send(b"x")
                            assert dialled.recv(1) == b"x"
                    print("done")
                threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
            """),
            tmp_path,
            rung,
        )
    assert (finished.lines, finished.errors) == (["done"] * 8, "")
    assert received == [b"x"] * 160
    assert list(tmp_path.glob("16_*")) == []


def test_signals_interrupt_accept_as_they_say(tmp_path: Path, rung: Rung) -> None:
    finished = finish(
        python("""
            listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            listener.bind((socket.VMADDR_CID_ANY, 7000))
            listener.listen()
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.siginterrupt(signal.SIGALRM, True)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            print(libc.accept(listener.fileno(), None, None), errno.errorcode[ctypes.get_errno()])
            signal.siginterrupt(signal.SIGALRM, False)
            if not os.fork():
                for _ in range(3):
                    os.kill(os.getppid(), signal.SIGALRM)
                    time.sleep(0.12)
                socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((16, 7000))
                os._exit(0)
            print(libc.accept(listener.fileno(), None, None) > 2)
        """),
        tmp_path,
        rung,
    )
    assert finished.lines == ["-1 EINTR", "True"]


def test_accept_waits_as_long_as_so_rcvtimeo_says(tmp_path: Path, rung: Rung) -> None:
    finished = finish(
        python("""
            listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            listener.bind((socket.VMADDR_CID_ANY, 7000))
            listener.listen()
            timeout = struct.pack("@ll", 0, 20000)
            set_option(listener, socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            print(name_of(lambda: listener.accept()))
        """),
        tmp_path,
        rung,
    )
    assert (finished.lines, finished.errors) == (["EAGAIN"], "")


def test_what_was_closed_can_be_bound_again(tmp_path: Path, rung: Rung) -> None:
    finished = finish(
        python("""
            for _ in range(3):
                with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener:
                    listener.bind((socket.VMADDR_CID_ANY, 7000))
                    listener.listen()
            dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            print(name_of(lambda: dialled.connect((16, 7000))))
        """),
        tmp_path,
        rung,
    )
    assert finished.lines == ["ECONNRESET"]
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".sock"] == []


@pytest.mark.parametrize("fault", ["3:5000=refuse", "proxy=down"])
def test_a_refused_address(tmp_path: Path, rung: Rung, fault: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        port = 8000 if fault == "proxy=down" else 5000
        listener.bind(str(tmp_path / f"3_{port}.sock"))
        listener.listen()
        program = python(f"""
            dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            print(name_of(lambda: dialled.connect((3, {port}))))
        """)
        assert finish(program, tmp_path, rung, faults=(fault,)).lines == ["ECONNRESET"]


def test_a_reset_connection(tmp_path: Path, rung: Rung) -> None:
    with echo_server(tmp_path / "3_5000.sock") as received:
        program = python("""
            dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            dialled.connect((3, 5000))
            print(name_of(lambda: dialled.recv(1)))
        """)
        finished = finish(program, tmp_path, rung, faults=("3:5000=reset",))
    assert (finished.lines, received) == (["ECONNRESET"], [b""])


def test_a_connection_that_is_cut(tmp_path: Path, rung: Rung) -> None:
    """Five bytes go, five come back, and of the next three one goes before the end."""
    with echo_server(tmp_path / "3_5000.sock") as received:
        program = python("""
            dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            dialled.connect((3, 5000))
            dialled.send(b"12345")
            print(dialled.recv(5), dialled.getpeername())
            dialled.send(b"678")
            try:
                print(dialled.recv(5))
            except ConnectionResetError:
                print(b"")
        """)
        finished = finish(program, tmp_path, rung, faults=("3:5000=cut:11", "3:5000=delay:0.01"))
    assert finished.lines == ["b'12345' (3, 5000)", "b''"]
    assert received == [b"123456"]


def test_faults_change_while_a_program_runs(tmp_path: Path, rung: Rung) -> None:
    program = python("""
        for _ in sys.stdin:
            dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            print(name_of(lambda: dialled.connect((3, 5000))), flush=True)
    """)
    said: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener, TemporaryFile() as errors:
        listener.bind(str(tmp_path / "3_5000.sock"))
        listener.listen()
        (their_input, our_input), (our_output, their_output) = os.pipe(), os.pipe()
        with os.fdopen(their_input, "rb") as stdin, os.fdopen(their_output, "wb") as stdout:
            run = Run(
                program,
                None,
                Options(fabric=tmp_path, rung=rung),
                stdin=stdin,
                stdout=stdout,
                stderr=errors,
            )
        with run, os.fdopen(our_input, "wb", 0) as lines, os.fdopen(our_output) as output:
            for faults in ((), ("3:5000=refuse",), ()):
                run.set_faults(faults)
                lines.write(b"again\n")
                said.append(output.readline().strip())
            with pytest.raises(BadFault):
                run.set_faults(["nonsense"])
            lines.close()
            assert run.wait(SECONDS) == 0
            run.set_faults(["proxy=down"])
    assert said == ["OK", "ECONNRESET", "OK"]
