"""`attested-kms run` as a user has it: programs, exit codes, signals, messages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from simulator import cli
from simulator.interpose import probe as probing
from simulator.interpose.faults import BadFault, Breakage, ConnectionFault, Faults
from simulator.interpose.plan import Rung
from tests.simulator.supervised import needs, python
from tests.simulator.test_command import COMMAND, served

ATTEST = python("""
    device = os.open("/dev/nsm", os.O_RDWR)
    options = b"\\xa3\\x69user_data\\xf6\\x65nonce\\xf6\\x6apublic_key\\xf6"
    print(ask(device, b"\\xa1\\x6bAttestation" + options).hex())
""")


@pytest.fixture(autouse=True)
def _somehow() -> None:
    needs(Rung.OPEN_TRAP)


def run(
    *arguments: str, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "run", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
        **options,
    )


def document_of(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (finished.returncode, finished.stderr) == (0, "")
    answer = cbor2.loads(bytes.fromhex(finished.stdout))
    payload: dict[str, Any] = cbor2.loads(cbor2.loads(answer["Attestation"]["document"])[2])
    return payload


@pytest.mark.parametrize("isolate", ["--isolate", "--no-isolate"])
def test_output_exit_code_environment_and_input_are_the_programs(isolate: str) -> None:
    if isolate == "--isolate":
        needs(Rung.NAMESPACES)
    script = 'echo "$GREETING"; cat; pwd; echo wrong >&2; exit 41'
    finished = run(
        isolate, "--", "sh", "-c", script, environment={"GREETING": "hello"}, input="from stdin\n"
    )
    assert finished.returncode == 41
    assert finished.stdout.splitlines() == ["hello", "from stdin", str(Path.cwd())]
    assert finished.stderr == "wrong\n"


def test_the_documents_are_those_of_the_enclave_that_was_asked_for() -> None:
    payload = document_of(
        run(
            *("--pcr0", "ab" * 48, "--pcr8", "cd" * 48, "--instance-id", "i-0123456789abcdef0"),
            *("--role-arn", "arn:aws:iam::123456789012:role/EnclaveInstance", "--", *ATTEST),
        )
    )
    assert payload["pcrs"][0] == bytes([0xAB]) * 48
    assert payload["pcrs"][8] == bytes([0xCD]) * 48
    assert any(payload["pcrs"][3])
    assert payload["module_id"].startswith("i-0123456789abcdef0-enc")
    debug = document_of(run("--pcr0", "ab" * 48, "--debug-mode", "--", *ATTEST))
    assert debug["pcrs"][0] == bytes(48)


def test_a_seed_makes_the_root_of_serve() -> None:
    with served("--seed", "a seed") as ready:
        root = load_pem_x509_certificate(Path(ready["root_certificate"]).read_bytes())
        payload = document_of(run("--seed", "a seed", "--", *ATTEST))
        assert payload["cabundle"][0] == root.public_bytes(Encoding.DER)


@pytest.mark.parametrize("by", ["file", "url"])
def test_a_server_is_joined(tmp_path: Path, by: str) -> None:
    token = {"ATTESTED_KMS_MANAGEMENT_TOKEN": "secret"}
    with served("--management-port", "0", "--management-token", "secret") as ready:
        line = tmp_path / "server.json"
        line.write_text(json.dumps(ready) + "\n")
        place = str(line) if by == "file" else ready["management_endpoint"]
        root = load_pem_x509_certificate(Path(ready["root_certificate"]).read_bytes())
        joined = run("--join", place, "--pcr0", "ab" * 48, "--", *ATTEST, environment=token)
        payload = document_of(joined)
        assert payload["cabundle"][0] == root.public_bytes(Encoding.DER)
        assert payload["pcrs"][0] == bytes([0xAB]) * 48
        without = run("--join", place, "--", *ATTEST)
        assert without.returncode == 125
        assert "takes requests with its token only" in without.stderr


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    (tmp_path / "unmanaged.json").write_text('{"kms_endpoint": "x", "region": "y"}\n')
    for place, sentence in {
        "http://127.0.0.1:9": "Nobody answers at http://127.0.0.1:9",
        "http://[": "is no management endpoint",
        str(tmp_path / "empty.json"): "does not begin with the line",
        str(tmp_path / "unmanaged.json"): "has no management listener",
        str(tmp_path / "absent.json"): "cannot be read (No such file or directory)",
    }.items():
        finished = run("--join", place, "--", "true")
        assert (finished.returncode, finished.stdout) == (125, "")
        assert sentence in finished.stderr
        assert len(finished.stderr.splitlines()) == 1


def test_another_listener_is_no_management_listener() -> None:
    with served() as ready:
        finished = run("--join", ready["kms_endpoint"], "--", "true")
    assert finished.returncode == 125
    assert len(finished.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no program was given"),
        (("--",), "no program was given"),
        (("--cid", "2", "--", "true"), "is not a CID"),
        (("--pcr0", "abc", "--", "true"), "--pcr0 is not a SHA-384 digest"),
        (("--role-arn", "nobody", "--", "true"), "nobody"),
        (("--fault", "sun=eclipsed", "--", "true"), "'sun=eclipsed' names no target"),
        (("--seed", "a", "--join", "b", "--", "true"), "give one of them"),
        (("--parent", "--pcr0", "ab" * 48, "--", "true"), "--pcr0 is of enclaves"),
        (("--parent", "--isolate", "--", "true"), "--isolate is of enclaves"),
        (("--fabric", "/dev/null/x", "--", "true"), "cannot be used"),
        (("--fabric", f"/proc/{'x' * 100}", "--", "true"), "too long a name"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], sentence: str) -> None:
    finished = run(*arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert sentence in finished.stderr
    assert "Traceback" not in finished.stderr


def test_programs_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    for isolate in ("--isolate", "--no-isolate"):
        for program, code in (("./absent", 127), (str(tmp_path / "text"), 126), ("/", 126)):
            finished = run(isolate, "--", program)
            assert finished.returncode == code
            assert finished.stderr.startswith(f"attested-kms run: cannot run {program}: ")


@pytest.mark.parametrize("isolate", ["--isolate", "--no-isolate"])
def test_a_run_ends_by_the_signal_that_ended_its_program(isolate: str) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        finished = run(isolate, "--", "sh", "-c", f"kill -{int(number)} $$")
        assert (finished.returncode, finished.stderr) == (-number, "")


@pytest.mark.parametrize("isolate", ["--isolate", "--no-isolate"])
def test_signals_reach_the_program_once(isolate: str) -> None:
    program = python("""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.write(1, b"%d\\n" % number))
        os.write(1, b"ready\\n")
        while True:
            # Not pause: a signal that comes just before it would be heard after it.
            select.select([], [], [], 0.1)
    """)
    with (
        subprocess.Popen(
            [*COMMAND, "run", isolate, "--", *program],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            process.send_signal(number)
            assert process.stdout.readline() == f"{int(number)}\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.wait() == -signal.SIGINT


def test_an_open_file_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    with (tmp_path / "file").open() as file:
        os.set_inheritable(file.fileno(), True)
        for isolate in ("--isolate", "--no-isolate"):
            reader = python(f"print(os.pread({file.fileno()}, 100, 0).decode())")
            finished = run(isolate, "--", *reader, pass_fds=[file.fileno()])
            assert finished.stdout == "content\n"
    listing = python("""print(sorted(os.listdir("/proc/self/fd"), key=int)[:-1])""")
    assert run("--", *listing).stdout == "['0', '1', '2']\n"


def test_an_isolated_program_has_a_machine_of_its_own() -> None:
    needs(Rung.NAMESPACES)
    finished = run(
        "--isolate",
        "--",
        *python("""
            print(os.getppid(), os.getuid(), os.listdir("/sys/class/net") and socket.if_nameindex())
            print(name_of(lambda: socket.create_connection(("127.0.0.1", 80), 5)))
            flags = fcntl.ioctl(socket.socket(), 0x8913, struct.pack("16sH14x", b"lo", 0))
            up = struct.unpack_from("H", flags, 16)[0] | 1
            fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", up))
            print(name_of(lambda: socket.create_connection(("127.0.0.1", 80), 5)))
            print(sorted(entry for entry in os.listdir("/proc") if entry.isdigit()))
            status = os.stat("/dev/nsm")
            print(stat.S_ISCHR(status.st_mode), oct(stat.S_IMODE(status.st_mode)))
            print(os.access("/dev/vsock", os.R_OK | os.W_OK), sorted(os.listdir("/dev/shm")))
        """),
    )
    assert finished.stderr == ""
    assert finished.stdout.splitlines() == [
        *("1 0 [(1, 'lo')]", "ENETUNREACH", "ECONNREFUSED"),
        *("['1', '2']", "True 0o666", "True []"),
    ]


def test_all_processes_of_an_enclave_end_with_its_program(tmp_path: Path) -> None:
    for isolate in ("--isolate", "--no-isolate"):
        left = python(f"""
            reader, writer = os.pipe()
            if not os.fork():
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                with open({str(tmp_path / "alive")!r}, "w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    os.write(writer, b"!")
                    signal.pause()
            os.read(reader, 1)
        """)
        assert run(isolate, "--", *left).returncode == 0
        with (tmp_path / "alive").open() as lock:
            # Raises BlockingIOError if the one that was left still holds it.
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lost_heartbeat() -> None:
    needs(Rung.NAMESPACES)
    finished = run("--isolate", "--fault", "heartbeat=lost", "--", "echo", "started")
    assert (finished.returncode, finished.stdout) == (125, "")
    assert "heartbeat to CID 3, port 9000 was not answered" in finished.stderr


def test_a_heartbeat_goes_to_whoever_listens(tmp_path: Path) -> None:
    needs(Rung.NAMESPACES)
    parent = python("""
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((socket.VMADDR_CID_ANY, 9000))
        listener.listen()
        print("ready", flush=True)
        connection, (cid, _) = listener.accept()
        byte = connection.recv(1)
        connection.send(byte)
        print(cid, byte)
    """)
    with subprocess.Popen(
        [*COMMAND, "run", "--parent", "--fabric", str(tmp_path), "--", *parent],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        finished = run("--isolate", "--fabric", str(tmp_path), "--cid", "20", "--", "echo", "up")
        assert (finished.stdout, finished.stderr) == ("up\n", "")
        assert process.stdout.read() == "20 b'\\xb7'\n"


def test_a_nested_run_is_refused_in_a_sentence() -> None:
    finished = run("--", *COMMAND, "run", "--", "true")
    assert finished.returncode == 125
    assert "supervised already, and the kernel allows one supervisor per tree" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_verbose_says_what_is_done() -> None:
    finished = run("-v", "--pcr0", "ab" * 48, "--", *ATTEST)
    lines = finished.stderr.splitlines()
    assert all(line.startswith("attested-kms run: ") for line in lines)
    assert f"attested-kms run: PCR0 {'ab' * 48}" in lines
    assert re.search(r"runs by notify \+ ", lines[0])
    assert re.search(r"traps answered: .*ioctl 1", lines[-1])


def test_the_probe_says_what_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--probe"]) == 0
    text = capsys.readouterr().out
    assert "notify + namespaces: " in text
    assert "notify + open trap: yes" in text
    assert ", the default" in text


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        (("platform", "darwin"), "needs Linux"),
        (("arch", None), "can be run on x86_64 so far"),
    ],
)
def test_where_nothing_works(
    breaks: tuple[str, Any],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, value = breaks
    if name == "platform":
        monkeypatch.setattr(sys, "platform", value)
    else:
        monkeypatch.setattr(probing, "this_architecture", lambda: value)
    assert cli.main(["run", "--probe"]) == 1
    assert sentence in capsys.readouterr().out
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert cli.main(["run", "--", "true"]) == 125
    assert sentence in capsys.readouterr().err
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_a_kernel_that_lets_no_process_look_into_another() -> None:
    reasons = dict.fromkeys(Rung, "no")
    with pytest.raises(probing.NoRung, match="no"):
        probing.Probed(dict(reasons)).choose(isolate=None)
    some = probing.Probed({Rung.NAMESPACES: "not here", Rung.OPEN_TRAP: None})
    assert some.choose(isolate=None) is Rung.OPEN_TRAP
    with pytest.raises(probing.NoRung, match="not here; without --isolate it runs"):
        some.choose(isolate=True)


@pytest.fixture
def docker_profile() -> list[str]:
    """A command under a filter that refuses vsock sockets, as Docker's default profile does."""
    code = """
        def statement(code, value, true=0, false=0):
            return struct.pack("=HBBI", code, true, false, value)
        program = b"".join((
            statement(0x20, 0), statement(0x15, 41, 0, 3),
            statement(0x20, 16), statement(0x15, 40, 0, 1),
            statement(6, 0x50001), statement(6, 0x7FFF0000),
        ))
        content = ctypes.create_string_buffer(program, len(program))
        fields = len(program) // 8, ctypes.addressof(content)
        description = ctypes.create_string_buffer(struct.pack("@HQ", *fields))
        assert libc.prctl(38, 1, 0, 0, 0) == 0
        assert libc.prctl(22, 2, description) == 0
        os.execvp(sys.argv[1], sys.argv[1:])
    """
    return python(code)


def test_a_container_that_refuses_vsock_is_named_with_its_option(
    docker_profile: list[str],
) -> None:
    finished = subprocess.run(
        [*docker_profile, *COMMAND, "run", "--", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 125
    assert "--security-opt seccomp=unconfined" in finished.stderr


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ((), Faults()),
        (("3:5=refuse",), Faults({(3, 5): ConnectionFault(Breakage.REFUSE)})),
        (
            ("3:5=delay:0.5", "3:5=cut:7"),
            Faults({(3, 5): ConnectionFault(Breakage.CUT, 0.5, 7)}),
        ),
        (
            ("3:5=cut:7", "3:5=delay:2"),
            Faults({(3, 5): ConnectionFault(Breakage.CUT, 2.0, 7)}),
        ),
        (("heartbeat=lost",), Faults(heartbeat_lost=True)),
    ],
)
def test_faults_are_read(specs: tuple[str, ...], expected: Faults) -> None:
    assert Faults.parse(specs) == expected


@pytest.mark.parametrize(
    "spec",
    [
        *("", "=", "refuse", "3=refuse", "3:5=", "3:5=explode", "3:5=refuse:1", "3:5=cut"),
        *("3:5=cut:x", "3:5=delay", "3:5=delay:x", "3:5=delay:-1", "3:99999999999=refuse"),
        *("nsm=error:Oops", "nsm=errno:EOOPS", "nsm=errno", "nsm=explode", "nsm=stall:1"),
        *("heartbeat=found", "proxy=up", "4294967296:1=refuse"),
    ],
)
def test_what_is_no_fault(spec: str) -> None:
    with pytest.raises(BadFault, match=re.escape(repr(spec))):
        Faults.parse([spec])
