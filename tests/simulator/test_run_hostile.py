"""Runs that end badly, programs that misbehave, folders that hold something else."""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator import cli
from simulator.interpose import run as run_module
from simulator.interpose.files import children
from simulator.interpose.plan import Rung
from simulator.interpose.run import Options, Run
from tests.simulator.supervised import SECONDS, finish, needs, python

COMMAND = [sys.executable, "-m", "simulator.cli", "run"]
ISOLATION = {Rung.NAMESPACES: "--isolate", Rung.OPEN_TRAP: "--no-isolate"}

VSOCK = """
def vsock(port=None, kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_VSOCK, kind)
    if port is not None:
        made.bind((socket.VMADDR_CID_ANY, port))
        made.listen(4096)
    return made

def dialled(port, cid=1):
    made = vsock()
    made.connect((cid, port))
    return made
"""

STUBBORN = (
    VSOCK
    + """
reader, writer = os.pipe()

def forked(work):
    if not os.fork():
        work()
        while True:
            signal.pause()

def ready():
    os.write(writer, b"!")

def deaf():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    ready()

def daemon():
    os.setsid()
    if os.fork():
        os._exit(0)
    ready()

def stopped():
    ready()
    os.kill(os.getpid(), signal.SIGSTOP)

def accepting():
    listener = vsock(5000)
    ready()
    listener.accept()

def asking():
    device = os.open("/dev/nsm", os.O_RDWR)
    ready()
    ask(device, DESCRIBE)

for work in (deaf, daemon, stopped, accepting, asking):
    forked(work)
for _ in range(5):
    os.read(reader, 1)
print("ready", flush=True)
while True:
    signal.pause()
"""
)
"""Descendants that are hard to end: all of them keep the standard output."""


@dataclass(slots=True)
class Watched:
    """A run whose every process holds the writing end of a pipe."""

    run: Run
    reader: int

    def line(self) -> str:
        """The next line of its output; empty at its end."""
        content = b""
        while not content.endswith(b"\n") and (part := read(self.reader, 1)):
            content += part
        return content.decode()

    def rest(self) -> str:
        """What is left of its output once all its processes have gone."""
        return read_all(self.reader)

    def nobody_is_left(self) -> bool:
        """Whether all its processes have gone by now."""
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        return bool(poll.poll(0)) and not os.read(self.reader, 1 << 16)

    @property
    def supervisor(self) -> int:
        (process,) = children(self.run.process_id)
        return process


def read(descriptor: int, length: int) -> bytes:
    """Like os.read, and never for ever."""
    assert select.select([descriptor], [], [], SECONDS)[0], "nothing came"
    return os.read(descriptor, length)


def read_all(descriptor: int) -> str:
    content = b""
    while part := read(descriptor, 1 << 16):
        content += part
    return content.decode()


@contextmanager
def watched(program: list[str], fabric: Path, rung: Rung, *faults: str) -> Iterator[Watched]:
    reader, writer = os.pipe()
    try:
        options = Options(fabric=fabric, rung=rung, faults=faults)
        with Run(
            program, None, options, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
        ) as run:
            os.close(writer)
            yield Watched(run, reader)
    finally:
        os.close(reader)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, for nobody else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def fabric(tmp_path: Path) -> Path:
    folder = tmp_path / "fabric"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module", autouse=True)
def _what_is_there_is_not_looked_at() -> Iterator[None]:
    """The collector is quick in each test: what was imported stays out of it."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _nothing_stays_in_this_process() -> Iterator[None]:
    # What another test has left to the collector must not go in the middle of this one.
    gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    threads = threading.active_count()
    yield
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
    assert threading.active_count() == threads


def sockets(fabric: Path) -> list[str]:
    return sorted(entry.name for entry in fabric.iterdir() if entry.is_socket())


def programmed(*parts: str) -> list[str]:
    """The command of a Python program of several parts, each indented as it likes."""
    return python("\n".join(textwrap.dedent(part) for part in parts))


# Ends


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_supervisor_that_is_killed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung, number: int
) -> None:
    with watched(python(STUBBORN), fabric, rung, "nsm=stall") as tree:
        assert tree.line() == "ready\n"
        os.kill(tree.supervisor, number)
        assert tree.run.wait(SECONDS) == 125
        assert f"the supervisor ended ({signal.Signals(number).name})" in str(tree.run.failure)
        # The program, whose calls nobody answers any more, has not noticed.
        assert tree.rest() == f"attested-kms run: {tree.run.failure}\n"
    assert not list(temporary.iterdir())
    assert sockets(fabric) == []


def test_a_guardian_that_is_killed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung
) -> None:
    with watched(python(STUBBORN), fabric, rung, "nsm=stall") as tree:
        assert tree.line() == "ready\n"
        os.kill(tree.run.process_id, signal.SIGKILL)
        assert tree.run.wait(SECONDS) == 125
        assert tree.nobody_is_left()
        assert "guardian" in str(tree.run.failure)
    assert not list(temporary.iterdir())
    assert sockets(fabric) == []


def test_a_run_that_is_closed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung
) -> None:
    with watched(python(STUBBORN), fabric, rung, "nsm=stall") as tree:
        assert tree.line() == "ready\n"
        tree.run.close()
        assert tree.rest() == (
            "attested-kms run: whoever started the run has ended, and the run with it\n"
        )
    assert not list(temporary.iterdir())
    assert sockets(fabric) == []


@pytest.mark.parametrize("own_fabric", [True, False])
def test_a_command_that_is_killed_takes_everybody_along(
    temporary: Path, fabric: Path, rung: Rung, *, own_fabric: bool
) -> None:
    given = [] if own_fabric else ["--fabric", str(fabric)]
    options = ["-v", ISOLATION[rung], "--fault", "nsm=stall", *given]
    with subprocess.Popen(
        [*COMMAND, *options, "--", *python(STUBBORN)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as command:
        assert command.stdout is not None
        said = []
        while (line := command.stdout.readline()) != b"ready\n":
            assert line
            said.append(line.decode().rstrip())
        (used,) = (Path(text.split()[-1]) for text in said if "in the fabric" in text)
        assert sockets(used) == ["16_5000.sock"]
        command.kill()
        assert "whoever started the run has ended" in read_all(command.stdout.fileno())
    assert not list(temporary.iterdir())
    assert used.exists() is not own_fabric
    assert sockets(fabric) == []


# Signals

COUNTING = """
seen, written = os.pipe()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, _frame: os.write(written, bytes([number])))

def count():
    number = 0
    while number != signal.SIGUSR1:
        number = os.read(seen, 1)[0]
        print(signal.Signals(number).name, flush=True)

print("ready", flush=True)
"""
"""Prints what signals come until SIGUSR1 has come."""


@contextmanager
def commanded(
    program: list[str],
    rung: Rung,
    *options: str,
    before: tuple[str, ...] = (),
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.STDOUT,
) -> Iterator[subprocess.Popen[bytes]]:
    """The command with a program; killed if it has not ended."""
    with subprocess.Popen(
        [*before, *COMMAND, ISOLATION[rung], *options, "--", *program],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    ) as command:
        try:
            yield command
        finally:
            command.kill()


def outcome(command: subprocess.Popen[bytes]) -> tuple[int, str]:
    output, _ = command.communicate(timeout=SECONDS)
    return command.returncode, (output or b"").decode()


def test_a_signal_comes_once(rung: Rung) -> None:
    with commanded(programmed(COUNTING, "count()"), rung) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"ready\n"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            command.send_signal(number)
            assert command.stdout.readline().decode() == f"{number.name}\n"
        command.send_signal(signal.SIGUSR1)
        assert outcome(command) == (0, "SIGUSR1\n")


def test_ctrl_c_comes_once(rung: Rung) -> None:
    controller, terminal = os.openpty()
    with commanded(
        programmed(COUNTING, "count()"),
        rung,
        before=("setsid", "--ctty", "--wait"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as command:
        os.close(terminal)
        with open(controller, "rb+", buffering=0) as screen:  # noqa: PTH123
            assert screen.readline() == b"ready\r\n"
            screen.write(b"\x03")
            assert screen.readline().endswith(b"SIGINT\r\n")
            command.send_signal(signal.SIGUSR1)
            assert screen.readline() == b"SIGUSR1\r\n"
            assert command.wait(SECONDS) == 0


def test_a_run_that_is_refused_leaves_signals_as_they_were(fabric: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGCHLD)
    arguments = ["run", "--no-isolate", "--fabric", f"{fabric}/{'long' * 30}", "--", "true"]
    assert cli.main(arguments) == 2
    after = signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGCHLD)
    assert after == before


def test_a_signal_may_come_before_the_program_has_started(fabric: Path, rung: Rung) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        with watched(["sleep", "1000"], fabric, rung) as early:
            early.run.send_signal(number)
            assert early.run.wait(SECONDS) == -number
            assert early.rest() == ""


def test_a_mask_and_ignored_signals_are_kept(rung: Rung) -> None:
    """Of children too: where their ends are ignored nobody is told how one ended."""
    blocked = (signal.SIGUSR2, signal.SIGWINCH)
    ignored = (signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)
    preparing = f"""
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {[int(number) for number in blocked]})
for number in {[int(number) for number in ignored]}:
    signal.signal(number, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""
    looking = ["grep", "-E", "Sig(Blk|Ign)|no such line", "/proc/self/status", "/no-such-file"]
    with commanded(looking, rung, before=(sys.executable, "-c", preparing)) as command:
        code, output = outcome(command)
    masks = dict(re.findall(r"(Sig...):\t(.*)", output))
    assert int(masks["SigBlk"], 16) == sum(1 << (number - 1) for number in blocked)
    assert int(masks["SigIgn"], 16) == sum(1 << (number - 1) for number in ignored)
    assert code == 2


def test_a_run_that_stops_goes_on(fabric: Path, rung: Rung) -> None:
    """Each process of it is stopped, as Ctrl-Z stops them, and goes on with what it did."""
    program = programmed(
        VSOCK,
        """
        listener = vsock(5000)
        threading.Thread(target=lambda: print(listener.accept()[0].recv(9), flush=True)).start()
        print("ready", flush=True)
        sys.stdin.read()
        dialled(5000).send(b"hello")
        """,
    )
    with commanded(
        program, rung, "--fabric", str(fabric), before=("setsid",), stdin=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"ready\n"
        os.killpg(command.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, command.pid, os.WSTOPPED | os.WNOWAIT)
        os.killpg(command.pid, signal.SIGCONT)
        assert outcome(command) == (0, "b'hello'\n")


SOCKETS_IN_C = """
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static int listen_at(unsigned port) {
    struct sockaddr_vm at = {.svm_family = AF_VSOCK, .svm_cid = -1, .svm_port = port};
    int made = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (bind(made, (struct sockaddr *)&at, sizeof at) || listen(made, 64)) exit(90);
    return made;
}

static int dial(unsigned port) {
    struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = 1, .svm_port = port};
    int made = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (connect(made, (struct sockaddr *)&to, sizeof to)) exit(91);
    return made;
}
"""


def compiled(folder: Path, code: str) -> str:
    """The path of a C program. Skips where there is no compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    source, program = folder / "program.c", folder / "program"
    source.write_text(SOCKETS_IN_C + code, encoding="ascii")
    subprocess.run([compiler, "-pthread", "-o", program, source, "-lrt"], check=True)
    return str(program)


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGINT])
def test_a_signal_interrupts_accept(
    tmp_path: Path, fabric: Path, rung: Rung, number: signal.Signals
) -> None:
    """With SA_RESTART too where there is a timeout (`net/core/sock.c`, sock_intr_errno)."""
    program = compiled(
        tmp_path,
        """
        static int dials, handled;

        static void handle(int number) {
            (void)number;
            handled++;
            if (dials && handled > 2) { dial(5000); dials = 0; }
        }

        int main(int count, char **texts) {
            int number = atoi(texts[count - 1]), listener = listen_at(5000);
            struct itimerspec often = {{0, 30000000}, {0, 30000000}};
            struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
            struct timeval patience = {100, 0};
            timer_t timer;
            for (int round = 0; round < 3; round++) {
                struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
                if (round == 0) action.sa_flags = 0;
                if (round == 2)
                    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
                sigaction(number, &action, NULL);
                handled = 0;
                dials = round == 1;
                timer_create(CLOCK_MONOTONIC, &event, &timer);
                timer_settime(timer, 0, &often, NULL);
                int made = accept(listener, NULL, NULL);
                int error = errno;
                timer_delete(timer);
                puts(made >= 0 ? "OK" : error == EINTR ? "EINTR" : strerror(error));
            }
            return 0;
        }
        """,
    )
    with watched([program, str(int(number))], fabric, rung) as tree:
        assert tree.run.wait(SECONDS) == 0
        assert tree.rest().split() == ["EINTR", "OK", "EINTR"]


# Programs that misbehave

RAW = """
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
CALLS = dict(
    ioctl=16, socket=41, connect=42, accept=43, sendto=44, bind=49, listen=50, getsockname=51,
    getpeername=52, setsockopt=54, getsockopt=55, accept4=288, openat=257, openat2=437, open=2,
)

def raw(name, *arguments):
    number = CALLS.get(name, name)
    result = libc.syscall(*(ctypes.c_ulong(n & (1 << 64) - 1) for n in (number, *arguments)))
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""


def test_bad_pointers_and_lengths_are_the_callers_trouble(fabric: Path, rung: Rung) -> None:
    """Each call with each combination of odd arguments; the supervisor answers on."""
    finished = finish(
        programmed(
            VSOCK,
            RAW,
            """
            import itertools, mmap
            page = mmap.mmap(-1, 2 * mmap.PAGESIZE)
            last = ctypes.addressof(ctypes.c_char.from_buffer(page)) + mmap.PAGESIZE
            libc.mprotect(ctypes.c_void_p(last), mmap.PAGESIZE, 0)
            good = address(bytes(4096))
            os.chdir("/proc")  # Where nothing can be made.
            ends = last - 8  # Eight bytes of memory, and then none.
            pointers = (0, 1, 8, good, ends, last, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
            lengths = (0, 1, 15, 16, 128, 129, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32)
            listener = vsock(5000)
            listener.setblocking(False)
            near = dialled(5000)
            far = listener.accept()[0]
            fresh = vsock()
            device = os.open("/dev/nsm", os.O_RDWR)
            ours = [s.fileno() for s in (listener, near, far, fresh)]
            allowed = {"EFAULT", "EINVAL", "EISCONN", "ENOTCONN", "EAGAIN", "ENOPROTOOPT", "ERANGE",
                       "EOPNOTSUPP", 0, "EADDRNOTAVAIL", "EACCES", "ENOTTY", "EAFNOSUPPORT",
                       "ECONNRESET", "ENODEV"}
            def check(*call):
                if call[0] == "accept4" or call[0] == "accept":
                    dialled(5000).close()
                got = raw(*call)
                assert got in allowed or call[0].startswith("accept"), (call, got)
                if isinstance(got, int) and got > 2:
                    os.close(got)
                seen.add(got if isinstance(got, str) else "OK")
            for name in ("bind", "connect"):
                seen = set()
                for call in itertools.product([name], ours, pointers, lengths):
                    check(*call)
                print(name, *sorted(seen))
            for name in ("accept4", "getsockname", "getpeername"):
                seen = set()
                for call in itertools.product([name], ours, pointers, pointers):
                    check(*call, 0)
                print(name, *sorted(seen))
            for name in ("getsockopt", "setsockopt"):
                seen = set()
                last_one = pointers if name == "getsockopt" else lengths
                options = (0, 6, 99, -1)
                for call in itertools.product(
                    [name], ours[3:], [40], options, pointers, last_one
                ):
                    check(*call)
                for call in itertools.product([name], ours[3:], [1], [39], pointers, last_one):
                    check(*call)
                print(name, *sorted(seen))
            seen = set()
            requests = (0x7B9, 0xC0200A00, 0xA01)
            for call in itertools.product(["ioctl"], [device], requests, pointers):
                check(*call)
            for fields in itertools.product(pointers, lengths, pointers, lengths):
                if fields[1] in lengths[1:3]:
                    block = ctypes.create_string_buffer(struct.pack("=QQQQ", *fields), 32)
                    check("ioctl", device, 0xC0200A00, ctypes.addressof(block))
            print("ioctl", *sorted(seen))
            seen = set()
            for kind in (0, 1, 2, 3, 4, 5, 6, 10, 0x7FFFFFFF, 1 | 0o4000 | 0o2000000, 1 | 1 << 20):
                for protocol in (0, 1, 40, 41, 0xFFFFFFFF):
                    got = raw("socket", 40, kind, protocol)
                    seen.add("OK" if isinstance(got, int) else got)
                    if isinstance(got, int):
                        os.close(got)
            print("socket", *sorted(seen))
            seen = set()
            path = address(b"/dev/nsm\\0")
            for folder in (-100, -1, 999, 0):
                for at in (*pointers, path):
                    for flags in (0, 2, 0x10000, 0xC0, 0xFFFFFFFF):
                        got = raw("openat", folder, at, flags, 0)
                        seen.add("OK" if isinstance(got, int) else got)
            for at in (*pointers, path):
                for how, size in itertools.product(pointers, (0, 8, 24, 4096)):
                    got = raw("openat2", -100, at, how, size)
                    seen.add("OK" if isinstance(got, int) else got)
            print("open", *sorted(seen))
            print(ask(device, DESCRIBE), dialled(5000).getpeername())
            """,
        ),
        fabric,
        rung,
        handle=lambda _request: b"!",
    )
    assert (finished.code, finished.errors) == (0, "")
    assert finished.lines[-1] == "b'!' (1, 5000)"


def test_what_openat2_may_not_be_given(fabric: Path, rung: Rung) -> None:
    finished = finish(
        programmed(
            RAW,
            """
            path = address(b"/dev/nsm\\0")
            how = address(bytes(24))
            print(*(raw("openat2", -100, path, at, size) for at, size in (
                (how, 0), (how, 23), (8, 24), (0, 0))))
            print(isinstance(raw("openat2", -100, path, how, 24), int))
            """,
        ),
        fabric,
        rung,
    )
    assert finished.lines == ["EINVAL EINVAL EFAULT EINVAL", "True"]


def test_no_free_descriptor_loses_no_connection(fabric: Path, rung: Rung) -> None:
    """The listener stays readable, as the kernel takes the connection after the descriptor."""
    finished = finish(
        programmed(
            VSOCK,
            """
            import resource
            listener = vsock(5000)
            clients = [dialled(5000)]
            clients[0].send(b"0")
            highest = max(map(int, os.listdir("/proc/self/fd")))
            filling = []
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, hard))
            try:
                while True:
                    filling.append(os.dup(0))
            except OSError:
                pass
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            for blocking in (True, False):
                listener.setblocking(blocking)
                print(name_of(listener.accept), len(poll.poll(0)))
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            for number in (1, 2):
                clients.append(dialled(5000))
                clients[-1].send(b"%d" % number)
            accepted = [listener.accept()[0] for _ in clients]
            print(*(one.recv(9) for one in accepted), len(poll.poll(0)))
            open_now = len(os.listdir("/proc/self/fd"))
            listener.shutdown(socket.SHUT_RDWR)
            listener.setblocking(True)
            print(name_of(listener.accept), len(os.listdir("/proc/self/fd")) == open_now)
            """,
        ),
        fabric,
        rung,
    )
    assert finished.errors == ""
    assert finished.lines == ["EMFILE 1", "EMFILE 1", "b'0' b'1' b'2' 0", "EINVAL True"]


def test_a_blocked_accept_that_gets_nonsense(fabric: Path, rung: Rung) -> None:
    finished = finish(
        programmed(
            VSOCK,
            RAW,
            """
            listener = vsock(5000)
            lengths = (struct.pack("=i", -1), struct.pack("=i", 16))
            def accepting(length, at):
                got = raw("accept", listener.fileno(), at, address(length))
                print(got if isinstance(got, str) else "OK", flush=True)
            for length, at in ((lengths[0], address(bytes(16))), (lengths[1], 8)):
                thread = threading.Thread(target=accepting, args=(length, at))
                thread.start()
                child = os.fork()
                if not child:
                    dialled(5000)
                    os._exit(0)
                os.waitpid(child, 0)
                thread.join()
            dialled(5000)
            accepting(lengths[1], address(bytes(16)))
            """,
        ),
        fabric,
        rung,
    )
    assert (finished.errors, finished.code) == ("", 0)
    assert finished.lines == ["EINVAL", "EFAULT", "OK"]


# The folder of the addresses

BINDING = """
def bound(port):
    made = vsock()
    made.bind((socket.VMADDR_CID_ANY, port))
    return made
"""


def test_what_lies_in_the_folder(fabric: Path, rung: Rung) -> None:
    """A dead socket is nobody's; what is no socket, or lives, is somebody else's and stays."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(fabric / "16_1.sock"))
    (fabric / "16_2.sock").write_text("not a socket", encoding="ascii")
    (fabric / "16_3.sock").mkdir()
    (fabric / "16_4.sock").symlink_to("/nowhere")
    (fabric / "3_9000.sock").write_text("nor a parent's", encoding="ascii")
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as silent:
        living.bind(str(fabric / "16_5.sock"))
        living.listen()
        silent.bind(str(fabric / "16_6.sock"))
        finished = finish(
            programmed(
                VSOCK,
                BINDING,
                """
                print(*(name_of(lambda: bound(port)) for port in range(1, 7)))
                print(*(name_of(lambda: dialled(port)) for port in range(1, 7)))
                """,
            ),
            fabric,
            rung,
        )
        assert (finished.code, finished.errors) == (0, "")
        assert finished.lines == [
            "OK EADDRINUSE EADDRINUSE EADDRINUSE EADDRINUSE EADDRINUSE",
            "ECONNRESET ECONNRESET ECONNRESET ECONNRESET OK ECONNRESET",
        ]
    left = {entry.name for entry in fabric.iterdir()} - {".bind.lock"}
    assert left == {*(f"16_{port}.sock" for port in range(2, 7)), "3_9000.sock"}


def test_a_dead_parents_socket_does_not_keep_an_enclave_from_booting(fabric: Path) -> None:
    needs(Rung.NAMESPACES)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(fabric / "3_9000.sock"))
    assert finish(["true"], fabric, Rung.NAMESPACES).code == 0


def test_a_folder_that_goes_while_the_program_runs(fabric: Path, rung: Rung) -> None:
    program = programmed(
        VSOCK,
        BINDING,
        """
        import shutil
        listener = vsock(5000)
        shutil.rmtree(sys.argv[1])
        print(name_of(lambda: bound(5001)), name_of(lambda: dialled(5000)))
        sys.exit(7)
        """,
    )
    finished = finish([*program, str(fabric)], fabric, rung)
    assert finished.lines == ["ENOENT ECONNRESET"]
    assert "cannot make the socket of port 5001" in finished.errors
    assert "Traceback" not in finished.errors
    assert finished.code == 7


def test_two_runs_bind_one_address(fabric: Path, rung: Rung) -> None:
    """At the same moment, again and again: one has it each time."""
    program = programmed(
        VSOCK,
        BINDING,
        """
        for line in sys.stdin:
            try:
                kept.append(bound(int(line)))
                print("OK", flush=True)
            except OSError as error:
                print(errno.errorcode[error.errno], flush=True)
        """,
    )
    options = ("--fabric", str(fabric))
    with (
        commanded(program, rung, *options, stdin=subprocess.PIPE) as one,
        commanded(program, rung, *options, stdin=subprocess.PIPE) as other,
    ):
        for port in range(5000, 5040):
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(fabric / f"16_{port}.sock"))
        ports = "".join(f"{port}\n" for port in range(5000, 5040)).encode()
        for command in (one, other):
            assert command.stdin is not None
            command.stdin.write(ports)
            command.stdin.flush()
        answers: tuple[list[str], list[str]] = ([], [])
        for kept, command in zip(answers, (one, other), strict=True):
            assert command.stdout is not None
            kept += [command.stdout.readline().decode().strip() for _ in range(40)]
        pairs = [set(pair) for pair in zip(*answers, strict=True)]
        assert pairs == [{"OK", "EADDRINUSE"}] * 40
        assert outcome(one) == outcome(other) == (0, "")
    assert sockets(fabric) == []


def test_a_server_that_starts_again_while_its_connections_live(fabric: Path, rung: Rung) -> None:
    """Connections of a listener have its path in the kernel's table; its port is free even so."""
    finished = finish(
        programmed(
            VSOCK,
            """
            for word in (b"one", b"two"):
                listener = vsock(5000)
                client = dialled(5000)
                kept.append((client, listener.accept()[0]))
                listener.close()
                client.send(word)
            print(*(near.recv(9) for _, near in kept))
            """,
        ),
        fabric,
        rung,
    )
    assert (finished.errors, finished.lines) == ("", ["b'one' b'two'"])


def test_a_dialler_with_a_name_of_its_own(fabric: Path, tmp_path: Path, rung: Rung) -> None:
    """Programs beside the supervisor may call their sockets what they like."""
    status = fabric.stat()
    names: list[str | bytes] = [
        str(tmp_path / "99999999999_99999999999999999999.sock"),
        str(tmp_path / "7_8.sock"),
        f"\0attested-kms/{status.st_dev}.{status.st_ino}/nonsense",
        f"\0attested-kms/{status.st_dev}.{status.st_ino}/1/2/3",
        b"\0\xff\xfe",
        os.fsencode(tmp_path) + b"/\xff.sock",
    ]
    program = programmed(
        VSOCK,
        """
        listener = vsock(5000)
        print("ready", flush=True)
        for _ in range(int(sys.argv[1])):
            connection, peer = listener.accept()
            print(peer if peer == (7, 8) else peer[0], flush=True)
        """,
    )
    with watched([*program, str(len(names))], fabric, rung) as tree:
        assert tree.line() == "ready\n"
        said = []
        for name in names:
            with socket.socket(socket.AF_UNIX) as dialler:
                dialler.bind(name)
                dialler.connect(str(fabric / "16_5000.sock"))
                said.append(tree.line().strip())
        assert tree.run.wait(SECONDS) == 0
    assert said == ["3", "(7, 8)", "3", "3", "3", "3"]


# What surrounds a run


def closing(*descriptors: int) -> tuple[str, ...]:
    """A command that starts another without these descriptors."""
    redirections = " ".join(f"{number}>&-" for number in descriptors)
    return ("sh", "-c", f'exec "$@" {redirections}', "sh")


@pytest.mark.parametrize("closed", [(0,), (0, 2), (0, 1, 2)], ids=str)
def test_standard_streams_that_are_closed_stay_closed(
    tmp_path: Path, rung: Rung, closed: tuple[int, ...]
) -> None:
    program = programmed(
        VSOCK,
        """
        found = [number for number in range(10) if os.path.exists(f"/proc/self/fd/{number}")]
        device = os.open("/dev/nsm", os.O_RDWR)
        answered = len(ask(device, DESCRIBE)) > 20
        os.close(device)
        listener = vsock(5000)
        dialled(5000)
        with open(sys.argv[1], "w") as file:
            print(found, answered, listener.accept()[1][0], file=file)
        sys.exit(7)
        """,
    )
    said = tmp_path / "said"
    with commanded([*program, str(said)], rung, before=closing(*closed)) as command:
        assert outcome(command) == (7, "")
    left = [number for number in range(3) if number not in closed]
    assert said.read_text() == f"{left} True 16\n"


def test_a_standard_output_that_nobody_reads(rung: Rung) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for options in ((), ("-v",)):
        with commanded(["yes"], rung, *options, stdout=writer, stderr=writer) as command:
            assert command.wait(SECONDS) == -signal.SIGPIPE
    os.close(writer)


def test_complaints_that_nobody_reads(fabric: Path, rung: Rung) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = python("""
        CALL = 425  # io_uring_setup
        ctypes.CDLL(None).syscall(CALL, 1, bytes(120))
        sys.exit(7)
    """)
    options = Options(fabric=fabric, rung=rung)
    with Run(program, None, options, stdout=writer, stderr=writer) as run:
        os.close(writer)
        assert run.wait(SECONDS) == 7
    with Run(["sleep", "1000"], None, options, stdout=subprocess.DEVNULL) as run:
        pass
    assert run.wait() == 125


LATE = """
import os
forks, fork = 0, os.fork

def late():
    global forks
    forks += 1
    process = fork()
    if process and forks == 3:
        while os.path.exists("/proc/self"):  # It is gone once process 1 has mounted its own.
            pass
        os.write(1, b"late\\n")
    return process

os.fork = late
"""
"""Guardian, supervisor and the parent of process 1 fork in this order: the last goes on late."""


def test_the_parent_of_process_1_may_be_late(fabric: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shares the mounts of process 1, under which it does not find itself in `/proc`."""
    needs(Rung.NAMESPACES)
    start = f"exec({LATE!r}); {run_module._START}"
    monkeypatch.setattr(run_module, "_START", start)
    options = Options(fabric=fabric, rung=Rung.NAMESPACES)
    ours, theirs = socket.socketpair()
    program = ["/bin/sh", "-c", "echo ready; read line"]
    with ours, Run(program, None, options, stdin=theirs.fileno(), stdout=theirs.fileno()) as run:
        theirs.close()
        ours.settimeout(SECONDS)
        with ours.makefile("rb") as lines:
            assert {lines.readline() for _ in range(2)} == {b"late\n", b"ready\n"}
        ours.send(b"end\n")
        assert run.wait(SECONDS) == 0


def test_a_run_within_a_run_is_refused(rung: Rung) -> None:
    with commanded([*COMMAND, "--", "true"], rung) as command:
        code, output = outcome(command)
    assert code == 125
    assert output.count("\n") == 1
    assert "supervised already" in output


def test_much_environment_and_many_arguments(fabric: Path, rung: Rung) -> None:
    environment = {f"VARIABLE_{number}": "x" * 100_000 for number in range(10)}
    environment |= {"ODD": "\udcff\n=", "PATH": os.environ["PATH"]}
    arguments = ["y" * 100_000] * 5 + ["", "\udcfe", "two words"]
    program = python("""
        print(sum(map(len, os.environb.values())) > 1_000_000, os.environb[b"ODD"])
        print(sum(map(len, sys.argv[1:6])), [os.fsencode(text) for text in sys.argv[6:]])
    """)
    options = Options(fabric=fabric, rung=rung, environment=environment)
    reader, writer = os.pipe()
    with open(reader, "rb") as output:  # noqa: PTH123
        with Run([*program, *arguments], None, options, stdout=writer) as run:
            os.close(writer)
            assert run.wait(SECONDS) == 0
        lines = output.read().decode().splitlines()
    assert lines == ["True b'\\xff\\n='", "500000 [b'', b'\\xfe', b'two words']"]
    with watched(["true", *["z" * 131_000] * 100], fabric, rung) as tree:
        assert tree.run.wait(SECONDS) == 126
        assert tree.rest() == "attested-kms run: cannot run true: Argument list too long\n"


def test_a_connection_after_the_other(fabric: Path, rung: Rung) -> None:
    """10,000; neither the program's nor the supervisor's descriptors add up."""
    count = 10_000 if rung is Rung.NAMESPACES else 1_000
    finished = finish(
        programmed(
            VSOCK,
            f"count = {count}",
            """
            import resource
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
            listener = vsock(5000)
            for number in range(count):
                with dialled(5000) as near, listener.accept()[0] as far:
                    near.send(b"%d" % number)
                    assert far.recv(9) == b"%d" % number
            print("done")
            """,
        ),
        fabric,
        rung,
    )
    assert (finished.errors, finished.lines) == ("", ["done"])


def test_connections_at_once(fabric: Path, rung: Rung) -> None:
    """1,000, and 100 who wait in accept, where both sides begin with few descriptors."""
    program = programmed(
        VSOCK,
        """
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        print(soft)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        listener = vsock(5000)
        pairs = [(dialled(5000), listener.accept()[0]) for _ in range(1000)]
        for number, (near, _) in enumerate(pairs):
            near.send(b"%d" % number)
        print(all(far.recv(9) == b"%d" % number for number, (_, far) in enumerate(pairs)))
        accepted = []
        def work():
            accepted.append(listener.accept()[0])
        threads = [threading.Thread(target=work) for _ in range(100)]
        for thread in threads: thread.start()
        more = [dialled(5000) for _ in threads]
        for thread in threads: thread.join()
        print(len(accepted))
        """,
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"a process here may have {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, hard))
    try:
        finished = finish(program, fabric, rung)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (finished.errors, finished.lines) == ("", ["48", "True", "100"])


def test_a_full_queue_holds_up_nobody(fabric: Path, rung: Rung) -> None:
    finished = finish(
        programmed(
            VSOCK,
            """
            small = vsock()
            small.bind((socket.VMADDR_CID_ANY, 5000))
            small.listen(1)
            names = [name_of(lambda: kept.append(dialled(5000))) for _ in range(4)]
            print(*names)
            vsock(5001)
            print(name_of(lambda: dialled(5001)))
            while names.count("OK") > 0:
                names.remove("OK")
                small.accept()
            print(name_of(lambda: dialled(5000)))
            """,
        ),
        fabric,
        rung,
    )
    assert (finished.errors, finished.lines) == (
        "",
        ["OK OK ECONNRESET ECONNRESET", "ECONNRESET", "OK"],
    )


# What programs do with their sockets and themselves


def test_programs_that_die_in_a_call_or_close_twice(fabric: Path, rung: Rung) -> None:
    finished = finish(
        programmed(
            VSOCK,
            """
            listener = vsock(5000)
            device = os.open("/dev/nsm", os.O_RDWR)
            reader, writer = os.pipe()

            def accept(): listener.accept()
            def connect(): dialled(6000)
            def request(): ask(device, DESCRIBE)
            def in_thread(work):
                thread = threading.Thread(target=work)
                thread.start()
                os.write(writer, b"!")
                os._exit(0)
            def alone(work):
                os.write(writer, b"!")
                work()

            for work in (accept, connect, request):
                for way in (alone, in_thread):
                    children = []
                    for _ in range(5):
                        child = os.fork()
                        if not child:
                            way(work)
                            os._exit(0)
                        children.append(child)
                    for child in children:
                        os.read(reader, 1)
                    for child in children:
                        os.kill(child, signal.SIGKILL)
                        os.waitpid(child, 0)
            for _ in range(200):
                made = vsock()
                number = made.fileno()
                os.close(number)
                print(name_of(lambda: os.close(number)), end=" ")
                made.detach()
            print()
            near = dialled(5000)
            far, peer = listener.accept()
            near.close()
            print(far.recv(9), ask(device, DESCRIBE))
            """,
        ),
        fabric,
        rung,
        handle=lambda _request: b"!",
        faults=("1:6000=delay:0.02", "nsm=delay:0.01"),
    )
    assert finished.errors == ""
    assert finished.lines[0].split() == ["EBADF"] * 200
    assert finished.lines[1:] == ["b'' b'!'"]


def test_descriptors_go_from_process_to_process(fabric: Path, rung: Rung) -> None:
    """By fork, exec, dup and SCM_RIGHTS: sockets, connected or not yet, and the device."""
    finished = finish(
        programmed(
            VSOCK,
            '''
            listener = vsock(5000)
            ours, theirs = socket.socketpair()
            child = os.fork()
            if not child:
                _, (waiting, fresh, device, ready), _, _ = socket.recv_fds(theirs, 1, 4)
                waiting, fresh, ready = (socket.socket(fileno=n) for n in (waiting, fresh, ready))
                fresh.connect((1, 5000))
                far, _ = waiting.accept()
                far.send(b"by rights")
                theirs.send(b"!")
                print(fresh.family.name, fresh.recv(9), ask(device, DESCRIBE), ready.recv(9))
                sys.stdout.flush()
                os._exit(0)
            near = dialled(5000)
            first, _ = listener.accept()
            first.send(b"earlier")
            device = os.open("/dev/nsm", os.O_RDWR)
            fresh = vsock()
            passed = [listener.fileno(), fresh.fileno(), device, near.fileno()]
            socket.send_fds(ours, [b"!"], passed)
            os.waitpid(child, 0)
            print(fresh.getpeername(), near.getsockname()[1] == first.getpeername()[1])
            other = vsock()
            again = socket.socket(fileno=os.dup(other.fileno()))
            again.connect((1, 5000))
            print(name_of(lambda: other.connect((1, 5000))), other.getpeername())
            for made in (listener, other):
                os.set_inheritable(made.fileno(), True)
            os.set_inheritable(device, True)
            sys.stdout.flush()
            code = """
            import os, socket, sys
            listener, other = (socket.socket(fileno=int(n)) for n in sys.argv[1:3])
            print(listener.accept()[1][0], other.getpeername(), listener.family.name)
            """
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c",
                     "\\n".join(line.strip() for line in code.splitlines()),
                     str(listener.fileno()), str(other.fileno())])
            ''',
        ),
        fabric,
        rung,
        handle=lambda _request: b"!",
    )
    assert finished.errors == ""
    assert finished.lines == [
        "AF_VSOCK b'by rights' b'!' b'earlier'",
        "(1, 5000) True",
        "EISCONN (1, 5000)",
        "16 (1, 5000) AF_VSOCK",
    ]


def test_programs_that_start_programs(fabric: Path, rung: Rung) -> None:
    """By vfork, posix_spawn and the shell; with sockets that they inherit."""
    finished = finish(
        programmed(
            VSOCK,
            """
            import subprocess
            listener = vsock(5000)
            code = "import socket; s = socket.socket(40); s.connect((1, 5000)); s.send(b'!')"
            command = [sys.executable, "-I", "-S", "-c", code]
            for start in (
                lambda: subprocess.run(command, check=True),
                lambda: subprocess.run(command, check=True, preexec_fn=lambda: None),
                lambda: subprocess.run(["sh", "-c", '"$0" -I -S -c "$1" & wait',
                                        sys.executable, code], check=True),
                lambda: os.waitpid(os.posix_spawn(command[0], command, os.environ), 0),
                lambda: subprocess.run(["setsid", "--wait", *command], check=True),
            ):
                start()
                print(listener.accept()[0].recv(9))
            """,
        ),
        fabric,
        rung,
    )
    assert (finished.errors, finished.lines) == ("", ["b'!'"] * 5)


def test_a_child_of_vfork_and_threads_that_share_descriptors(
    tmp_path: Path, fabric: Path, rung: Rung
) -> None:
    program = compiled(
        tmp_path,
        """
        #include <pthread.h>
        #include <sys/wait.h>
        #include <sys/mman.h>
        #include <sched.h>

        static int listener, sum;
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

        static void *serve(void *nothing) {
            for (int n = 0; n < 20; n++) {
                struct sockaddr_vm from;
                socklen_t length = sizeof from;
                int made = accept4(listener, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
                char byte;
                if (made < 0 || read(made, &byte, 1) != 1) exit(92);
                pthread_mutex_lock(&lock);
                sum += byte;
                pthread_mutex_unlock(&lock);
                close(made);
            }
            return nothing;
        }

        static void *call(void *nothing) {
            for (int n = 0; n < 20; n++) {
                int made = dial(5000);
                char byte = 1;
                if (write(made, &byte, 1) != 1) exit(93);
                close(made);
            }
            return nothing;
        }

        static int sharing(void *nothing) { call(nothing); return 0; }

        int main(void) {
            pthread_t threads[10];
            listener = listen_at(5000);
            for (int n = 0; n < 10; n++)
                pthread_create(&threads[n], NULL, n < 6 ? serve : call, NULL);
            int child = vfork();
            if (!child) { call(NULL); _exit(0); }
            waitpid(child, NULL, 0);
            char *stack = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            child = clone(sharing, stack + 65536, CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
            waitpid(child, NULL, 0);
            for (int n = 0; n < 10; n++) pthread_join(threads[n], NULL);
            printf("%d\\n", sum);
            fflush(stdout);
            /* The first thread ends; the other goes on. */
            pthread_create(&threads[0], NULL, serve, NULL);
            pthread_create(&threads[1], NULL, call, NULL);
            pthread_exit(NULL);
        }
        """,
    )
    finished = finish([program], fabric, rung)
    assert (finished.errors, finished.lines, finished.code) == ("", ["120"], 0)


def test_filters_of_the_programs_own(tmp_path: Path, fabric: Path, rung: Rung) -> None:
    """One more filter is its affair; one more supervisor the kernel refuses, for lack of room."""
    program = compiled(
        tmp_path,
        """
        #include <sys/prctl.h>
        #include <linux/filter.h>
        #include <linux/seccomp.h>

        int main(void) {
            struct sock_filter all[] = {{0x20, 0, 0, 0}, {0x15, 0, 1, SYS_getpeername},
                {0x06, 0, 0, SECCOMP_RET_ERRNO | EXDEV}, {0x06, 0, 0, SECCOMP_RET_ALLOW}};
            struct sock_fprog filter = {4, all};
            listen_at(5000);
            int got = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                              SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
            puts(got < 0 && errno == EBUSY ? "EBUSY" : "?");
            got = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
            puts(got ? "?" : "OK");
            struct sockaddr_vm name;
            socklen_t length = sizeof name;
            int made = dial(5000);
            got = getpeername(made, (struct sockaddr *)&name, &length);
            puts(got < 0 && errno == EXDEV ? "EXDEV" : "?");
            got = getsockname(made, (struct sockaddr *)&name, &length);
            puts(got ? "?" : "OK");
            return 0;
        }
        """,
    )
    finished = finish([program], fabric, rung)
    assert (finished.errors, finished.lines) == ("", ["EBUSY", "OK", "EXDEV", "OK"])


def test_ways_around_the_supervisor_are_closed(tmp_path: Path, fabric: Path, rung: Rung) -> None:
    """io_uring, and the other ABIs of the processor: as on a kernel that has none of them."""
    program = compiled(
        tmp_path,
        """
        int main(void) {
            long got = syscall(SYS_io_uring_setup, 8, calloc(1, 200));
            puts(got < 0 && errno == ENOSYS ? "no" : "?");
            __asm__ volatile("int $0x80" : "=a"(got) : "a"(20) : "memory");
            puts(got == -ENOSYS ? "no" : "?");
            got = syscall(0x40000000 | SYS_getpid);
            puts(got < 0 && errno == ENOSYS ? "no" : "?");
            got = syscall(0x40000000 | SYS_socket, AF_VSOCK, 1, 0);
            puts(got < 0 && errno == ENOSYS ? "no" : "?");
            dial(listen_at(5000) < 0 ? 0 : 5000);
            return 0;
        }
        """,
    )
    finished = finish([program], fabric, rung)
    assert finished.lines == ["no"] * 4
    assert finished.code == 0
    assert finished.errors.count("\n") == 1
    assert "io_uring" in finished.errors


def test_a_program_that_leaves_its_namespaces(fabric: Path, tmp_path: Path, rung: Rung) -> None:
    if os.geteuid():
        pytest.skip("chroot takes root")
    root = tmp_path / "root"
    root.mkdir()
    finished = finish(
        [
            *programmed(
                VSOCK,
                """
                listener = vsock(5000)
                device = os.open("/dev/nsm", os.O_RDWR)
                libc = ctypes.CDLL(None, use_errno=True)
                for flags in (0x20000000, 0x00020000, 0x40000000, 0x10000000 | 0x00020000):
                    child = os.fork()
                    if not child:
                        if libc.unshare(flags):
                            print("unshare", errno.errorcode[ctypes.get_errno()])
                        grandchild = os.fork()
                        if grandchild:
                            _, status = os.waitpid(grandchild, 0)
                            sys.stdout.flush()
                            os._exit(os.waitstatus_to_exitcode(status))
                        near = dialled(5000)
                        print(listener.accept()[1][0], ask(device, DESCRIBE))
                        sys.stdout.flush()
                        os._exit(0)
                    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
                os.chroot(sys.argv[1])
                os.chdir("/")
                near = dialled(5000)
                print(listener.accept()[1][0], ask(device, DESCRIBE))
                """,
            ),
            str(root),
        ],
        fabric,
        rung,
        handle=lambda _request: b"!",
    )
    assert finished.errors == ""
    assert finished.lines == ["16 b'!'", "0"] * 4 + ["16 b'!'"]


# Without privileges

NOBODY = 65534
STARTER = """
import json, sys
from pathlib import Path
from simulator.interpose.plan import Rung
from simulator.interpose.probe import probe
from simulator.interpose.run import Options, Run
program, fabric, name = json.loads(sys.argv[1])
rung = Rung(name)
reason = probe().reasons[rung]
if reason is not None:
    sys.exit("skip: " + reason)
with Run(program, lambda _: b"!", Options(fabric=Path(fabric), rung=rung)) as run:
    sys.exit(run.wait(30))
"""


@dataclass(frozen=True, slots=True)
class Nobody:
    """Somebody without privileges, with a copy of what runs programs and a Python to run it."""

    folder: Path
    fabric: Path
    rung: Rung
    interpreter: str

    def finish(self, program: list[str]) -> tuple[int, str, str]:
        """A program's exit code and output, whose Python is that interpreter."""
        program = [self.interpreter if text == sys.executable else text for text in program]
        request = json.dumps([program, str(self.fabric), self.rung.value])
        finished = subprocess.run(
            [*as_nobody(), self.interpreter, "-c", STARTER, request],
            env={"PYTHONPATH": str(self.folder), "PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        errors = finished.stderr.decode()
        if errors.startswith("skip: "):
            pytest.skip(f"user {NOBODY}: {errors.removeprefix('skip: ').strip()}")
        return finished.returncode, finished.stdout.decode(), errors


def as_nobody() -> list[str]:
    identity = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    # setpriv itself still may read everything when it starts something.
    return ["setpriv", *identity, "--inh-caps=-all", "sh", "-c", 'exec "$@"', "sh"]


@pytest.fixture
def nobody(rung: Rung) -> Iterator[Nobody]:
    if os.geteuid():
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = Path(__file__).parents[2] / "simulator"
        shutil.copytree(
            source / "interpose",
            folder / "simulator" / "interpose",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copy(source / "__init__.py", folder / "simulator")
        fabric = folder / "fabric"
        fabric.mkdir()
        os.chown(fabric, NOBODY, NOBODY)
        for interpreter in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
            try:
                subprocess.run(
                    [*as_nobody(), interpreter, "-c", "import enum; enum.StrEnum"],
                    check=True,
                    capture_output=True,
                )
            except (OSError, subprocess.CalledProcessError):
                continue
            yield Nobody(folder, fabric, rung, interpreter)
            return
        pytest.skip(f"user {NOBODY} finds no Python 3.11 here")


def test_nobody_runs_a_program_that_hides(nobody: Nobody) -> None:
    """PR_SET_DUMPABLE: with namespaces it is obeyed, without the program is told so."""
    code, output, errors = nobody.finish(
        programmed(
            VSOCK,
            """
            libc = ctypes.CDLL(None)
            print(libc.prctl(4, 0, 0, 0, 0), libc.prctl(4, 2, 0, 0, 0))
            listener = vsock(5000)
            dialled(5000)
            print(listener.accept()[1][0], ask(os.open("/dev/nsm", os.O_RDWR), DESCRIBE))
            child = os.fork()
            if not child:
                os.execv("/bin/sh", ["sh", "-c", "true </dev/nsm"])
            print(os.waitpid(child, 0)[1])
            """,
        )
    )
    assert (code, output, errors) == (0, "0 -1\n16 b'!'\n0\n", "")


def test_root_runs_a_program_that_hides(fabric: Path, rung: Rung) -> None:
    if os.geteuid():
        pytest.skip("this is of root")
    finished = finish(
        programmed(
            VSOCK,
            """
            ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
            listener = vsock(5000)
            dialled(5000)
            print(listener.accept()[1][0], ask(os.open("/dev/nsm", os.O_RDWR), DESCRIBE))
            """,
        ),
        fabric,
        rung,
        handle=lambda _request: b"!",
    )
    assert (finished.errors, finished.lines) == ("", ["16 b'!'"])


def test_nobody_is_told_of_a_program_that_cannot_be_seen(nobody: Nobody) -> None:
    """One that may be executed and not read; the supervisor of namespaces sees it even so."""
    program = nobody.folder / "unreadable"
    shutil.copy("/bin/cat", program)
    program.chmod(0o711)
    code, _output, errors = nobody.finish([str(program), "/dev/nsm"])
    if nobody.rung is Rung.NAMESPACES:
        assert (code, errors) == (0, "")
    else:
        assert code == 1
        assert errors.count("attested-kms run: ") == 1
        assert "the program has hidden its memory" in errors


def test_nobody_and_folders_of_others(nobody: Nobody) -> None:
    """Addresses that may not be made or reached are complained of, each by its true reason."""
    program = programmed(
        VSOCK,
        """
        print(name_of(lambda: vsock(5000)))
        print(name_of(lambda: dialled(6000)), name_of(lambda: dialled(9000, 3)))
        """,
    )
    with socket.socket(socket.AF_UNIX) as others:
        others.bind(str(nobody.fabric / "16_6000.sock"))
        others.listen()
        (nobody.fabric / "16_6000.sock").chmod(0o600)
        os.chown(nobody.fabric, 0, 0)
        code, output, errors = nobody.finish(program)
        assert (code, output) == (0, "EACCES\nECONNRESET ECONNRESET\n")
        assert "cannot make the socket of port 5000" in errors
        assert "16_6000.sock may not be opened by this user" in errors
        assert "hidden" not in errors
        nobody.fabric.chmod(0o700)
        code, output, errors = nobody.finish(program)
        assert "hidden" not in errors
        assert "Traceback" not in errors
        if nobody.rung is Rung.OPEN_TRAP:
            assert (code, output) == (0, "EACCES\nECONNRESET ECONNRESET\n")


def test_nobody_ends_whole_trees(nobody: Nobody) -> None:
    code, output, errors = nobody.finish(
        python(STUBBORN.replace("while True:\n    signal.pause()\n", "sys.exit(7)\n"))
    )
    assert (code, output) == (7, "ready\n")
    assert "attested" not in errors
    assert sockets(nobody.fabric) == []


# What is left of others


def test_orphans_that_end_are_reaped(fabric: Path, rung: Rung) -> None:
    """As init does it: a program of many daemons would fill the machine with dead ones."""
    finished = finish(
        programmed(
            """
            import contextlib
            reader, writer = os.pipe()
            for _ in range(20):
                child = os.fork()
                if not child:
                    orphan = os.fork()
                    if orphan:
                        os.write(writer, struct.pack("=i", orphan))
                    os._exit(0)
                os.waitpid(child, 0)
                (orphan,) = struct.unpack("=i", os.read(reader, 4))
                with contextlib.suppress(ProcessLookupError):
                    while True:
                        os.kill(orphan, 0)
                        os.sched_yield()
            print("done")
            """,
        ),
        fabric,
        rung,
    )
    assert (finished.errors, finished.lines) == ("", ["done"])


def test_what_a_program_closes_is_closed(fabric: Path, rung: Rung) -> None:
    """Descriptors that it got beside its streams: nobody of the run keeps them."""
    reader, writer = os.pipe()
    program = python("""
        os.write(int(sys.argv[1]), b"ready")
        os.close(int(sys.argv[1]))
        signal.pause()
    """)
    try:
        options = Options(fabric=fabric, rung=rung, descriptors=(writer,))
        with Run([*program, str(writer)], None, options, stderr=subprocess.DEVNULL):
            os.close(writer)
            assert read_all(reader) == "ready"
    finally:
        os.close(reader)


def test_what_a_program_of_the_command_closes_is_closed(rung: Rung) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    program = python("""
        os.write(int(sys.argv[1]), b"ready")
        os.close(int(sys.argv[1]))
        signal.pause()
    """)
    try:
        with subprocess.Popen(
            [*COMMAND, ISOLATION[rung], "--", *program, str(writer)],
            pass_fds=(writer,),
            stderr=subprocess.DEVNULL,
        ) as command:
            os.close(writer)
            assert read_all(reader) == "ready"
            command.terminate()
            assert command.wait(SECONDS) == -signal.SIGTERM
    finally:
        os.close(reader)


def test_init_and_its_parent_are_killed(fabric: Path) -> None:
    needs(Rung.NAMESPACES)
    for depth in (1, 2):
        with watched(python(STUBBORN), fabric, Rung.NAMESPACES, "nsm=stall") as tree:
            assert tree.line() == "ready\n"
            victim = tree.supervisor
            for _ in range(depth):
                (victim,) = children(victim)
            os.kill(victim, signal.SIGKILL)
            assert tree.run.wait(SECONDS) == -signal.SIGKILL
            assert tree.nobody_is_left()
    assert sockets(fabric) == []


def test_a_run_that_cannot_start_leaves_nothing(temporary: Path, fabric: Path, rung: Rung) -> None:
    with pytest.raises(ValueError, match="fds_to_keep"):
        Run(["true"], None, Options(fabric=fabric, rung=rung, descriptors=(-1,)))
    with pytest.raises(OSError, match="Bad file descriptor"):
        Run(["true"], None, Options(fabric=fabric, rung=rung), stdin=999)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("answer", [None, "a text", bytes(1 << 20)], ids=["none", "text", "long"])
def test_an_nsm_that_answers_nonsense(
    fabric: Path, rung: Rung, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    """It answers the next request even so."""
    finished = finish(
        python("""
            device = os.open("/dev/nsm", os.O_RDWR)
            for _ in range(2):
                print(len(ask(device, DESCRIBE)))
        """),
        fabric,
        rung,
        handle=lambda _request: answer,  # type: ignore[arg-type,return-value]
    )
    is_long = isinstance(answer, bytes)
    assert finished.lines == (["12288"] * 2 if is_long else ["21"] * 2)
    assert ("InternalError" in caplog.text) is not is_long


def test_a_port_that_is_dialled_from_is_taken(fabric: Path, rung: Rung) -> None:
    finished = finish(
        programmed(
            VSOCK,
            BINDING,
            """
            listener = vsock(5000)
            near = bound(6000)
            near.connect((1, 5000))
            far, peer = listener.accept()
            print(peer, name_of(lambda: bound(6000)))
            near.close()
            print(name_of(lambda: bound(6000)))
            flags = struct.pack("=HHIIB3x", 40, 0, 6001, 0xFFFFFFFF, 2)
            libc = ctypes.CDLL(None, use_errno=True)
            fresh = vsock()
            print(libc.bind(fresh.fileno(), flags, 16), errno.errorcode[ctypes.get_errno()])
            """,
        ),
        fabric,
        rung,
    )
    assert (finished.errors, finished.lines) == (
        "",
        ["(16, 6000) EADDRINUSE", "OK", "-1 EINVAL"],
    )
