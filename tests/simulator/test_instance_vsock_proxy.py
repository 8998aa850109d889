"""A booted enclave and the parent's vsock-proxy: what it reaches through it, and what it does not.

The servers are this test's own, on loopback; KMS's name leads to them by the instance's /etc/hosts.
"""

from __future__ import annotations

import os
import socket
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from simulator import cli
from simulator.interpose.plan import Rung
from simulator.nitro_cli.places import VARIABLE, MachineFolder
from simulator.packages import systemctl
from simulator.parent_services.private_ca import PrivateCa
from tests.simulator.booted import Image, python_files
from tests.simulator.supervised import PRELUDE, needs
from tests.simulator.test_vsock_proxy import HOST, SECONDS, allow, port_of, process

KMS = "kms.us-east-1.amazonaws.com"
UNIT = "nitro-enclaves-vsock-proxy"
SERVICES_HOST = "127.43.0.1"
"""An address of this machine at which most likely nobody listens on port 443."""

DIAL = """
def dial(port):
    one = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    one.connect((3, port))
    return one
"""
STAY = "time.sleep(1000)\n"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[MachineFolder]:
    """One whose enclaves boot."""
    needs(Rung.OPEN_TRAP)
    with TemporaryDirectory() as folder:
        monkeypatch.setenv(VARIABLE, str(Path(folder, "m")))
        monkeypatch.delenv("RUST_LOG", raising=False)
        yield MachineFolder.locate(os.environ)
        assert cli.main(["machine", "stop"]) == 0


def at(machine: MachineFolder, *names: str) -> None:
    """Give KMS's name an address."""
    with machine.on_instance("/etc/hosts").open("a") as hosts:
        hosts.writelines(f"{name} {KMS}\n" for name in names)


def run_enclave(folder: Path, program: str, files: Mapping[str, bytes]) -> None:
    """By nitro-cli: it ends with its machine."""
    source = f"{PRELUDE}\n{DIAL}\n{textwrap.dedent(program)}\n{STAY}".encode()
    image = Image(
        command=("/bin/python", "-S", "/app.py"),
        environment=("PYTHONHOME=/",),
        files={**files, "app.py": source},
    )
    image.write(folder / "app.eif")
    words = ["--eif-path", str(folder / "app.eif"), "--memory", "512", "--cpu-count", "2"]
    assert cli.main(["nitro-cli", "run-enclave", *words]) == 0


@contextmanager
def answering(
    server: socket.socket, wrap: Callable[[socket.socket], socket.socket] = lambda one: one
) -> Iterator[Queue[bytes]]:
    """A server of one connection: it says every line in capitals; yields what it was told."""
    told: Queue[bytes] = Queue()

    def talk() -> None:
        # What ends early fails the test where it waits for lines.
        with suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(SECONDS)
            with wrap(connection) as wrapped, wrapped.makefile("rwb", buffering=0) as stream:
                for line in stream:
                    told.put(line)
                    stream.write(line.upper())

    thread = Thread(target=talk, daemon=True)
    thread.start()
    yield told


def test_an_enclave_talks_tls_through_one_started_by_hand(
    machine: MachineFolder, tmp_path: Path
) -> None:
    """The proxy joins bytes: it is the enclave that checks KMS's name and certificate."""
    authority = PrivateCa.create()
    context = authority.server_context([KMS])
    names: list[str] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    with socket.create_server((HOST, 0)) as server:
        at(machine, HOST)
        allow(machine, (KMS, port_of(server)))
        wrap = lambda one: context.wrap_socket(one, server_side=True)  # noqa: E731
        with (
            answering(server, wrap) as told,
            process(machine, tmp_path / "bin", "8000", KMS, str(port_of(server))),
        ):
            run_enclave(
                tmp_path,
                f"""
                import ssl
                context = ssl.create_default_context(cafile="/ca.pem")
                wrapped = context.wrap_socket(dial(8000), server_hostname="{KMS}")
                wrapped.sendall(b"hello\\n")
                wrapped.sendall(b"answer: " + wrapped.recv(100))
                """,
                {**python_files("import ssl, encodings.idna"), "ca.pem": authority.pem},
            )
            assert [told.get(timeout=SECONDS) for _ in range(2)] == [b"hello\n", b"answer: HELLO\n"]
    assert names == [KMS]


def test_an_enclave_reaches_kmss_port_through_the_service(
    machine: MachineFolder, tmp_path: Path
) -> None:
    try:
        server = socket.create_server((SERVICES_HOST, 443))
    except OSError as error:
        pytest.skip(f"nobody can listen at {SERVICES_HOST}:443 here: {error.strerror}")
    with server:
        at(machine, SERVICES_HOST)
        allow(machine, (KMS, 443))
        assert systemctl.main(["enable", "--now", UNIT]) == 0
        assert systemctl.main(["is-active", UNIT]) == 0
        with answering(server) as told:
            run_enclave(
                tmp_path,
                """
                proxy = dial(8000)
                proxy.sendall(b"one\\n")
                proxy.sendall(b"then " + proxy.recv(100))
                """,
                python_files(),
            )
            assert [told.get(timeout=SECONDS) for _ in range(2)] == [b"one\n", b"then ONE\n"]


def test_a_refused_target_has_no_proxy_and_its_enclave_no_connection(
    machine: MachineFolder, tmp_path: Path
) -> None:
    """What is not on the list ends the proxy before it listens: the enclave sees a reset."""
    with socket.create_server((HOST, 0)) as server, answering(server) as told:
        port = str(port_of(server))
        allow(machine, (HOST, port_of(server)))
        with process(machine, tmp_path / "bin", "8001", HOST, port):
            done = subprocess.run(
                [str(tmp_path / "bin/vsock-proxy"), "8000", "169.254.169.254", "80"],
                env={**os.environ, "RUST_LOG": "warn"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1] == (
                'Error: "Error at checking the allowlist: The given address and port are not '
                'allowed"'
            )
            run_enclave(
                tmp_path,
                """
                dial(8001).sendall(name_of(lambda: dial(8000)).encode() + b"\\n")
                """,
                python_files(),
            )
            assert told.get(timeout=SECONDS) == b"ECONNRESET\n"


def test_a_target_that_is_down_closes_the_enclaves_connection(
    machine: MachineFolder, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0)) as other:
        down = port_of(other)
    with socket.create_server((HOST, 0)) as server, answering(server) as told:
        allow(machine, (HOST, port_of(server)), (HOST, down))
        with (
            process(machine, tmp_path / "bin", "8001", HOST, str(port_of(server))),
            process(machine, tmp_path / "bin", "8000", HOST, str(down)) as failing,
        ):
            run_enclave(
                tmp_path,
                """
                dial(8001).sendall(b"%d bytes\\n" % len(dial(8000).recv(100)))
                """,
                python_files(),
            )
            assert told.get(timeout=SECONDS) == b"0 bytes\n"
            assert failing.stderr is not None
            said = [failing.stderr.readline() for _ in range(5)]
    assert f'Could not create connection: "Could not connect to {HOST}:{down}"\n' in said
