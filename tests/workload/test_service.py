"""What both programs do alike: start, bad frames, silent peers, and how they end."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scenarios.workload import enclave, frames, kms_proxy_host, messages, service, transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROXY_OPTIONS = ["--region", "eu-central-1", "--endpoint-url", "http://127.0.0.1:9"]
UNKNOWN = frames.encode({"version": 1})


@pytest.fixture(params=["enclave", "proxy"])
def connect(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[], socket.socket]]:
    """Open a connection to the program; all are closed after the test."""
    address: tuple[int, int] = request.getfixturevalue(request.param)
    connections: list[socket.socket] = []

    def open_one() -> socket.socket:
        connections.append(transport.connect(*address, timeout=10))
        return connections[-1]

    yield open_one
    for connection in connections:
        connection.close()


def answer(connection: socket.socket) -> dict[str, Any]:
    received = frames.receive(connection, wait_seconds=30)
    assert received is not None
    assert received["version"] == 1
    error: dict[str, Any] = received["error"]
    return error


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"a": {"$bytes": "?"}}'])
def test_a_bad_frame_is_answered_and_the_connection_goes_on(
    connect: Callable[[], socket.socket], body: bytes
) -> None:
    connection = connect()
    connection.sendall(len(body).to_bytes(4, "big") + body)
    error = answer(connection)
    assert (error["kind"], error["code"]) == ("protocol", "BadFrame")
    connection.sendall(UNKNOWN)
    assert answer(connection)["code"] == "InvalidField"


def test_an_oversized_frame_is_answered_and_the_connection_closed(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    connection.sendall(b"\x7f\xff\xff\xff")
    assert "2147483647 bytes is announced" in answer(connection)["message"]
    assert frames.receive(connection, wait_seconds=30) is None


def test_a_frame_cut_short_is_answered_and_the_connection_closed(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    connection.sendall(b"\0\0\0\x20{")
    connection.shutdown(socket.SHUT_WR)
    assert "ended 31 bytes before" in answer(connection)["message"]
    assert frames.receive(connection, wait_seconds=30) is None


def test_a_silent_peer_holds_up_nobody(connect: Callable[[], socket.socket]) -> None:
    for begun in (b"", b"\0\0", b"\0\0\0\x20{"):
        connect().sendall(begun)
    for _ in range(2):
        connection = connect()
        connection.sendall(UNKNOWN + UNKNOWN)
        assert answer(connection)["code"] == "InvalidField"
        assert answer(connection)["code"] == "InvalidField"


def test_a_peer_that_leaves_before_its_answer_harms_nothing(
    connect: Callable[[], socket.socket],
) -> None:
    leaving = connect()
    leaving.sendall(UNKNOWN * 50)
    leaving.close()
    connection = connect()
    connection.sendall(UNKNOWN)
    assert answer(connection)["code"] == "InvalidField"


def test_an_answer_that_fits_no_frame_is_replaced_by_an_error(
    stream_pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = stream_pair
    near.sendall(frames.encode({"version": 1}))
    assert service._exchange(far, lambda _: {"blob": bytes(frames.MAX_BODY_BYTES)})
    assert answer(near)["code"] == "UnsendableAnswer"


def test_a_kms_error_of_any_length_is_answered(
    stream_pair: tuple[socket.socket, socket.socket],
) -> None:
    def refuse(_: object) -> dict[str, Any]:
        raise messages.AnswerError(messages.Kind.KMS, "C", "x" * frames.MAX_BODY_BYTES, 400)

    near, far = stream_pair
    near.sendall(frames.encode({"version": 1}))
    assert service._exchange(far, refuse)
    assert answer(near)["code"] == "UnsendableAnswer"


# --- Start and end ----------------------------------------------------------------------------


@pytest.fixture
def empty_fabric() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="wl", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def finish(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    with program:
        output, errors = program.communicate(timeout=30)
        return program.returncode, output, errors


@pytest.mark.parametrize(
    ("module", "options"),
    [("enclave", ["--control-port", "--proxy-port"]), ("kms_proxy_host", ["--port", "--region"])],
)
def test_help_names_the_options(spawn: Callable[..., Any], module: str, options: list[str]) -> None:
    code, output, errors = finish(spawn(module, "--help"))
    assert (code, errors) == (0, "")
    for option in [*options, transport.FABRIC_VARIABLE]:
        assert option in output


@pytest.mark.parametrize(
    ("main", "option"), [(enclave.main, "--control-port"), (kms_proxy_host.main, "--port")]
)
@pytest.mark.parametrize("value", ["x", "0", "-1", "4294967295"])
def test_what_is_no_port_is_refused(
    main: Callable[[list[str]], int],
    option: str,
    value: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"{option}={value}"])
    assert caught.value.code == 2
    assert f"'{value}' is no vsock port" in capsys.readouterr().err


def test_an_enclave_without_nsm_says_so_and_ends(
    spawn: Callable[..., Any], empty_fabric: Path
) -> None:
    code, output, errors = finish(spawn("enclave", folder=empty_fabric))
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("enclave: cannot connect to ")
    assert "nsm.sock" in errors


@pytest.mark.parametrize(
    ("module", "options", "running"),
    [("enclave", [], "enclave"), ("kms_proxy_host", PROXY_OPTIONS, "proxy")],
)
def test_an_address_in_use_is_said_in_one_line(
    spawn: Callable[..., Any],
    request: pytest.FixtureRequest,
    module: str,
    options: list[str],
    running: str,
) -> None:
    request.getfixturevalue(running)
    code, output, errors = finish(spawn(module, *options))
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert errors.startswith(f"{module}: cannot listen at ")
    assert "nothing else may listen at that address" in errors


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "region"),
        (["--region", "eu-central-1", "--endpoint-url", "nonsense"], "Invalid endpoint: nonsense"),
    ],
)
def test_a_proxy_that_can_make_no_client_says_why(
    spawn: Callable[..., Any], options: list[str], problem: str
) -> None:
    code, output, errors = finish(spawn("kms_proxy_host", *options))
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert problem in errors
    assert "Check --region" in errors


@pytest.mark.parametrize(
    ("module", "options", "number", "code"),
    [
        ("kms_proxy_host", PROXY_OPTIONS, signal.SIGTERM, 0),
        ("kms_proxy_host", PROXY_OPTIONS, signal.SIGINT, 130),
        ("enclave", [], signal.SIGTERM, 0),
    ],
)
def test_a_signal_ends_a_program_and_removes_its_socket(
    spawn: Callable[..., Any],
    nsm: Path,
    empty_fabric: Path,
    module: str,
    options: list[str],
    number: signal.Signals,
    code: int,
) -> None:
    (empty_fabric / "nsm.sock").symlink_to(nsm)
    # A test run that a shell put into the background ignores SIGINT, and so would its children.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        program = spawn(module, *options, folder=empty_fabric)
    finally:
        signal.signal(number, before)
    assert program.stdout.readline() == "ready\n"
    [path] = empty_fabric.glob("*_*.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(path))
        silent.sendall(UNKNOWN + b"\0\0")
        assert answer(silent)["code"] == "InvalidField"
        program.send_signal(number)
        program.wait(timeout=30)
    assert finish(program) == (code, "", "")
    assert list(empty_fabric.glob("*_*.sock")) == []
