"""The parent's vsock-proxy: what it refuses and how, whom it lets wait, and what it relays."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from simulator import cli
from simulator.interpose.plan import Rung
from simulator.nitro_cli.places import VARIABLE, MachineFolder
from simulator.parent_services.listener import Stop
from simulator.vsock_proxy import main
from simulator.vsock_proxy.allowlist import Target, check
from simulator.vsock_proxy.failure import Failed
from simulator.vsock_proxy.names import Family, Names
from simulator.vsock_proxy.proxy import Proxy, listening
from simulator.vsock_proxy.relay import relay
from simulator.vsock_proxy.rust_log import Log
from simulator.vsock_proxy.shipped import CONFIGURATION
from tests.simulator.supervised import finish, needs, python

HOST = "127.0.0.1"
SECONDS = 20
KMS = "kms.us-east-1.amazonaws.com"
REFUSED = "The given address and port are not allowed"
LISTENING = "Proxy is now in listening state\n"
RECORDED = json.loads((Path(__file__).parent / "vsock_proxy_transcripts.json").read_text())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[MachineFolder]:
    """A machine as it is made, at a path that is short enough for sockets."""
    with TemporaryDirectory() as folder:
        monkeypatch.setenv(VARIABLE, folder)
        monkeypatch.delenv("RUST_LOG", raising=False)
        yield MachineFolder.locate(os.environ)


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A listening TCP socket, which the test accepts from."""
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(SECONDS)
        yield server


def serve(*words: str, rust_log: str = "", known: Sequence[str] = ()) -> int:
    """Run a command line that is refused; a name has the addresses that are given."""

    def lookup(name: str) -> Sequence[str]:
        if known and not name.endswith(".invalid"):
            return known
        raise OSError(name)

    with closing(Stop()) as stop:
        return main.serve(words, {**os.environ, "RUST_LOG": rust_log}, stop, lookup)


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def allow(machine: MachineFolder, *targets: tuple[str, int]) -> None:
    """Replace the instance's list."""
    lines = [f"- {{address: {host}, port: {port}}}\n" for host, port in targets]
    machine.on_instance(CONFIGURATION).write_text("".join(["allowlist:\n", *lines]))


def dial(machine: MachineFolder, port: int = 8000) -> socket.socket:
    """As an enclave does."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(SECONDS)
    client.connect(os.fspath(machine.fabric / f"3_{port}.sock"))
    return client


def accept(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(SECONDS)
    return connection


def read_all(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        return stream.read()


@contextmanager
def running(
    machine: MachineFolder, port: int, *, workers: int = 4, output: list[str] | None = None
) -> Iterator[None]:
    """A proxy at port 8000 of the fabric, in a thread."""
    log = Log("", (output if output is not None else []).append)
    proxy = Proxy(Target(HOST, port, Family.ANY), workers, Names(Path("/none")), log)
    with listening(machine.fabric, 8000, log) as listener, closing(Stop()) as stop:
        thread = Thread(target=proxy.serve, args=(listener, stop))
        thread.start()
        try:
            yield
        finally:
            stop.tell()
            thread.join()


@contextmanager
def process(machine: MachineFolder, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The shim as a process, once it listens."""
    assert cli.main(["shims", str(folder), "--machine", str(machine.path)]) == 0
    command = [str(folder / "vsock-proxy"), *words]
    environ = os.environ | {"RUST_LOG": "info"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as started:
        assert started.stderr is not None
        try:
            lines = []
            for line in started.stderr:
                lines.append(line)
                if line.endswith(LISTENING):
                    break
            else:
                raise AssertionError(lines)
            yield started
        finally:
            started.kill()


@pytest.mark.usefixtures("machine")
def test_command_lines_are_answered_as_by_the_real_one(capfd: pytest.CaptureFixture[str]) -> None:
    for case in RECORDED["command_lines"]:
        exit_code = serve(*case["words"])
        assert ("".join(capfd.readouterr()), exit_code) == (case["text"], case["exit_code"]), case


@pytest.mark.parametrize("case", RECORDED["files"], ids=lambda case: repr(case["yaml"])[:40])
def test_files_are_read_as_by_the_real_one(case: dict[str, str | None], tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(case["yaml"] or "")
    (tmp_path / "hosts").write_text("# none\n127.0.0.1 localhost\nx localhost\n")
    names = Names(tmp_path / "hosts", lambda _: ())
    expected = case["error"]
    with nullcontext() if expected is None else pytest.raises(Failed, match=f"^{expected}$"):
        check(Target(HOST, 443, Family.ANY), file, names, Log("", print))


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_a_file_without_a_document_is_a_panic(
    text: str, machine: MachineFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.on_instance(CONFIGURATION).write_text(text)
    for _ in range(2):
        assert serve("8000", HOST, "443") == 101
        lines = capfd.readouterr().err.splitlines()
        assert lines[1:] == [
            "index out of bounds: the len is 0 but the index is 0",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        ]


def test_files_that_cannot_be_read(
    machine: MachineFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def complaint(*words: str) -> str:
        assert serve("8000", HOST, "443", *words) == 1
        return capfd.readouterr().err

    start = 'Error: "Error at checking the allowlist: '
    assert complaint("--config", str(tmp_path / "none")) == f'{start}Could not open the file"\n'
    assert complaint("--config", str(tmp_path)) == f'{start}Could not read the file"\n'
    (tmp_path / "bytes").write_bytes(b"\xff")
    assert complaint("--config", str(tmp_path / "bytes")) == f'{start}Could not read the file"\n'
    (tmp_path / "deep").write_text("[" * 5000)
    assert complaint("--config", str(tmp_path / "deep")) == f'{start}Bad yaml format"\n'
    (tmp_path / "escape").write_text('"\\Uffffffff"')
    assert complaint("--config", str(tmp_path / "escape")) == f'{start}Bad yaml format"\n'
    (tmp_path / "zero").write_text('allowlist: [{address: "a\\0b", port: 443}]')
    assert complaint("--config", str(tmp_path / "zero")) == f'{start}{REFUSED}"\n'
    machine.on_instance(CONFIGURATION).unlink()
    assert complaint() == f'{start}Could not open the file"\n'
    assert complaint("--config", CONFIGURATION) == f'{start}Could not open the file"\n'


@pytest.mark.parametrize(
    ("words", "known", "said"),
    [
        (("8000", "none.invalid", "443"), (), "DNS lookup failed!"),
        (("-6", "8000", "v4.test", "443"), (HOST,), "No accepted IP was found."),
        (("-4", "8000", "v6.test", "443"), ("::1",), "No accepted IP was found."),
    ],
)
def test_a_name_that_leads_nowhere_ends_the_command(
    machine: MachineFolder,
    capfd: pytest.CaptureFixture[str],
    words: Sequence[str],
    known: Sequence[str],
    said: str,
) -> None:
    allow(machine, ("other.test", 1))
    assert serve(*words, known=known) == 1
    assert capfd.readouterr().err == f'Error: "Error at checking the allowlist: {said}"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("allowlist: [", "Bad yaml format"),
        ("other: []", "No allowlist field"),
        ("allowlist: [{port: 443}]", "No address field"),
        (f"allowlist: [{{address: {HOST}}}]", "No port field or invalid type"),
        (f"allowlist: [{{address: {HOST}, port: 80}}]", REFUSED),
    ],
)
def test_a_list_that_is_of_no_use_ends_the_command(
    machine: MachineFolder, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    machine.on_instance(CONFIGURATION).write_text(text)
    assert serve("8000", HOST, "443") == 1
    assert capfd.readouterr().err == f'Error: "Error at checking the allowlist: {said}"\n'


def test_the_list_that_is_installed_has_kms_and_nothing_else(
    machine: MachineFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    text = machine.on_instance(CONFIGURATION).read_text()
    lines = text.splitlines()
    assert len(lines) == 1 + 2 * 38
    assert f"- {{address: {KMS}, port: 443}}" in lines
    for host, port in (("169.254.169.254", "80"), (KMS, "80"), ("198.51.100.9", "443")):
        assert serve("8000", host, port, rust_log="warn", known=["192.0.2.1"]) == 1
        warning, error = capfd.readouterr().err.splitlines()
        assert warning[22:] == (
            f'WARN  vsock_proxy::proxy] Unable to resolve allow listed host: "{host}".'
        )
        assert error == f'Error: "Error at checking the allowlist: {REFUSED}"'


def test_names(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(f"{HOST} {KMS} # ours\n")
    known = {"both.test": ["::1", HOST], "six.test": ["::1"], "xn--bcher-kva.test": ["192.0.2.1"]}
    names = Names(tmp_path / "hosts", lambda name: known.get(name, ()))

    def found(name: str, family: Family = Family.ANY) -> str:
        try:
            return str(names.resolve(name, family)[0].address)
        except Failed as error:
            return str(error)

    assert found(KMS.upper()) == HOST
    assert found("both.test") == found("both.test", Family.V4) == HOST
    assert found("both.test", Family.V6) == "No accepted IP was found."
    assert found("six.test", Family.V6) == found("::1", Family.V6) == "::1"
    assert found(HOST, Family.V6) == found("::1", Family.V4) == "No accepted IP was found."
    assert found("bücher.test") == "192.0.2.1"
    assert found("none.test") == found("127.1") == found("") == "DNS lookup failed!"
    assert found("ü" * 64) == "Could not parse domain name"


def test_an_entry_may_match_by_address(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(f"{HOST} one.test two.test\n192.0.2.1 other.test\n")
    (tmp_path / "yaml").write_text(
        "allowlist:\n- {address: none.test, port: 1}\n- {address: one.test, port: 1}\n"
    )
    names, lines = Names(tmp_path / "hosts", lambda _: ()), list[str]()
    for host in ("one.test", "two.test"):
        check(Target(host, 1, Family.ANY), tmp_path / "yaml", names, Log("info", lines.append))
    assert [line[22:] for line in lines] == [
        'INFO  vsock_proxy::proxy] Matched with host name "one.test" and port "1"\n',
        'INFO  vsock_proxy::proxy] Matched with host IP "127.0.0.1" and port "1"\n',
    ]
    with pytest.raises(Failed, match=REFUSED):
        check(Target("other.test", 1, Family.ANY), tmp_path / "yaml", names, Log("", lines.append))


def test_log_levels() -> None:
    def logged(rust_log: str) -> int:
        lines: list[str] = []
        log = Log(rust_log, lines.append)
        log.caution("vsock_proxy::proxy", "x")
        log.inform("vsock_proxy", "x")
        return len(lines)

    asked = ("", "error", "warn", "INFO", "vsock_proxy::proxy=trace", "hickory=trace", "off,,x=y")
    assert [logged(text) for text in asked] == [0, 0, 1, 2, 1, 0, 0]
    assert logged("warn,vsock_proxy=off") == 0
    assert logged("vsock_proxy") == 2


def test_a_port_that_is_taken(
    machine: MachineFolder, target: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    allow(machine, (HOST, port_of(target)))
    with running(machine, port_of(target)):
        assert serve("8000", HOST, str(port_of(target))) == 1
    message = "Could not listen for connections: Could not bind to cid: 3 port: 8000"
    assert capfd.readouterr().err == f'Error: "{message}"\n'
    assert not (machine.fabric / "3_8000.sock").exists()


def test_more_than_a_mebibyte_each_way(machine: MachineFolder, target: socket.socket) -> None:
    content = os.urandom(3 << 19)
    with running(machine, port_of(target)), dial(machine) as client, accept(target) as server:
        for source, end in ((client, server), (server, client)):
            sending = Thread(target=source.sendall, args=(content,))
            sending.start()
            received = b""
            while len(received) < len(content):
                received += end.recv(1 << 16)
            sending.join()
            assert received == content


@pytest.mark.parametrize("first", ["client", "server"])
def test_the_end_of_one_side_is_the_end_of_both(
    first: str, machine: MachineFolder, target: socket.socket
) -> None:
    with running(machine, port_of(target)), dial(machine) as client, accept(target) as server:
        ending, other = (client, server) if first == "client" else (server, client)
        ending.sendall(b"last words")
        ending.shutdown(socket.SHUT_WR)
        assert read_all(other) == b"last words"
        assert read_all(ending) == b""  # Though the other side may still have had an answer.


def test_what_was_said_at_the_same_time_still_arrives() -> None:
    with ExitStack() as stack:
        client, near, far, server = (
            stack.enter_context(one)
            for pair in (socket.socketpair(), socket.socketpair())
            for one in pair
        )
        server.sendall(b"answer")
        client.shutdown(socket.SHUT_WR)
        relay(near, far)
        near.close()
        assert read_all(client) == b"answer"


def test_whom_no_worker_serves_waits(machine: MachineFolder, target: socket.socket) -> None:
    with running(machine, port_of(target), workers=2):
        clients = [dial(machine) for _ in range(4)]
        for number, client in enumerate(clients):
            client.sendall(bytes([number]))
        first, second = accept(target), accept(target)
        target.setblocking(False)
        with pytest.raises(BlockingIOError):
            target.accept()
        target.settimeout(SECONDS)
        served = first.recv(1) + second.recv(1)
        assert sorted(served) == [0, 1]
        clients[served[0]].close()
        with accept(target) as third:
            assert third.recv(1) == b"\2"
            second.close()
            with accept(target) as fourth:
                assert fourth.recv(1) == b"\3"
        for connection in (*clients, first):
            connection.close()


def test_a_target_that_does_not_answer_closes_the_client_and_panics(
    machine: MachineFolder,
) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = port_of(server)
    output: list[str] = []
    with running(machine, port, workers=1, output=output):
        for _ in range(2):
            with dial(machine) as client:
                assert read_all(client) == b""
        with socket.create_server((HOST, port)) as server, dial(machine) as client:
            accept(server).close()
            assert read_all(client) == b""
    panic = (
        "thread '<unnamed>' panicked at vsock_proxy/src/proxy.rs:174:14:\n"
        f'Could not create connection: "Could not connect to {HOST}:{port}"\n'
    )
    hint = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
    assert output == [panic + hint, panic]


def test_a_name_is_asked_for_again_when_its_time_is_over(machine: MachineFolder) -> None:
    """And one that is known no more ends the proxy."""
    times, asked = iter([0.0, 60.0, 60.5, 61.0]), list[str]()

    def lookup(name: str) -> Sequence[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else []

    log = Log("", list[str]().append)
    target = Target("kms.test", 1, Family.ANY)
    proxy = Proxy(target, 1, Names(Path("/none"), lookup), log, lambda: next(times))
    with listening(machine.fabric, 8000, log) as listener, closing(Stop()) as stop:
        clients = [dial(machine) for _ in range(3)]
        with pytest.raises(Failed, match="DNS lookup failed!"):
            proxy.serve(listener, stop)
        assert asked == ["kms.test", "kms.test"]
        for client in clients:
            assert read_all(client) == b""
            client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_socket(
    number: signal.Signals, machine: MachineFolder, target: socket.socket, tmp_path: Path
) -> None:
    allow(machine, (HOST, port_of(target)))
    with process(machine, tmp_path, "8000", HOST, str(port_of(target))) as started:
        with dial(machine), accept(target):
            started.send_signal(number)
            assert started.wait(SECONDS) == -number
        assert started.stderr is not None
        assert "Traceback" not in started.stderr.read()
    assert not (machine.fabric / "3_8000.sock").exists()


def test_the_socket_of_a_killed_one_is_replaced(
    machine: MachineFolder, target: socket.socket, tmp_path: Path
) -> None:
    allow(machine, (HOST, port_of(target)))
    with process(machine, tmp_path, "8000", HOST, str(port_of(target))) as started:
        started.kill()
        started.wait(SECONDS)
    assert (machine.fabric / "3_8000.sock").exists()
    with running(machine, port_of(target)), dial(machine), accept(target):
        pass


def test_an_enclaves_program_reaches_a_service_through_it(
    machine: MachineFolder, target: socket.socket, tmp_path: Path
) -> None:
    """By a name of the instance's /etc/hosts, for the list and for the connection."""
    needs(Rung.OPEN_TRAP)
    port = port_of(target)
    machine.on_instance("/etc/hosts").write_text(f"{HOST} {KMS}\n")
    allow(machine, (KMS, port))

    def answer() -> None:
        with accept(target) as connection:
            connection.sendall(connection.recv(100).upper())

    answering = Thread(target=answer)
    answering.start()
    with process(machine, tmp_path, "-w", "1", "8000", KMS, str(port)):
        finished = finish(
            python("""
                dialled = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
                dialled.connect((3, 8000))
                dialled.sendall(b"hello")
                print(dialled.recv(100))
            """),
            machine.fabric,
            Rung.OPEN_TRAP,
        )
    answering.join()
    assert (finished.code, finished.output, finished.errors) == (0, "b'HELLO'\n", "")


def test_it_is_a_command_of_its_own_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["vsock-proxy", "--version"]) == 0
    assert capfd.readouterr().out == "Vsock-TCP proxy 1.0.1\n"


def test_a_machine_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / ("x" * 100)))
    assert serve("8000", HOST, "443") == 70
    assert "vsock-proxy (attested-kms): The machine's folder" in capfd.readouterr().err
