"""A signal at every moment of a request, as before Linux 5.19, with the kernel itself.

There a signal takes a stopped call away from its supervisor, and the kernel stops it again when the
handler has returned. Signals are sent here by who answers, at the moment that is under test, and
what happens next happens when the call is gone.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simulator.interpose.arch import this_architecture
from simulator.interpose.faults import Faults
from simulator.interpose.kernel import Listener, Notification
from simulator.interpose.loop import Loop
from simulator.interpose.nsm_device import Devices
from simulator.interpose.plan import Rung
from simulator.interpose.trap import Trap
from tests.simulator.supervised import needs, python

_ROOT = Path(__file__).resolve().parents[2]
_libc = ctypes.CDLL(None, use_errno=True)

_BEFORE = f"""
channel = socket.socket(fileno=int(sys.argv[1]))
sys.path.append({str(_ROOT)!r})
from simulator.interpose.arch import this_architecture
from simulator.interpose.launch import install
signals = []
signal.signal(signal.SIGUSR1, lambda *_: signals.append(1))
signal.siginterrupt(signal.SIGUSR1, False)
device = os.open("/dev/null", os.O_RDWR)
listener, interruptible = install(this_architecture(), trap_open=False, interruptible=True)
assert interruptible
socket.send_fds(channel, [b"!"], [listener])
os.close(listener)
"""


class _Interrupting(Listener):
    """At each moment of `left`, callers get a signal as often as it says there."""

    def __init__(self, descriptor: int, process: int, left: dict[str, int]) -> None:
        super().__init__(descriptor)
        self.interrupted = 0
        self._process = process
        self._left = left
        self._threads: dict[int, int] = {}

    def at(self, moment: str, cookie: int) -> None:
        """Interrupt the call if it is this moment's turn."""
        if not self._left.get(moment):
            return
        self._left[moment] -= 1
        self.interrupted += 1
        assert _libc.tgkill(self._process, self._threads[cookie], signal.SIGUSR1) == 0
        while self.is_waiting(cookie):
            os.sched_yield()

    def receive(self) -> Notification | None:
        notification = super().receive()
        if notification is not None:
            self._threads[notification.id] = notification.thread
            self.at("received", notification.id)
        return notification

    def answer(self, cookie: int, value: int = 0) -> bool:
        self.at("written", cookie)
        return super().answer(cookie, value)

    def fail(self, cookie: int, error: int) -> bool:
        self.at("failing", cookie)
        return super().fail(cookie, error)


@dataclass
class _Nsm:
    """Answers with how often it was asked, when it is told to."""

    before: Callable[[], None]
    asked: list[bytes] = field(default_factory=list)
    held: list[Callable[[], None]] = field(default_factory=list)

    def ask(self, request: bytes, answered: Callable[[bytes], None]) -> None:
        self.asked.append(request)
        response = b"answer %d" % len(self.asked)
        self.before()
        self.held.append(lambda: answered(response))

    def answer(self) -> None:
        """What was asked, and what is asked as soon as that is answered."""
        while self.held:
            self.held.pop()()


@dataclass(frozen=True)
class _Ended:
    output: list[str]
    asked: list[bytes]
    interrupted: int


def _run(
    code: str, left: dict[str, int], *, faults: tuple[str, ...] = (), together: int = 1
) -> _Ended:
    """Run a program with the device. The faults are over after its first call.

    Nothing is answered before its first `together` calls are received.
    """
    needs(Rung.OPEN_TRAP)
    with ExitStack() as stack:
        program, descriptor = stack.enter_context(_started(code))
        listener = _Interrupting(descriptor, program.pid, left)
        stack.callback(listener.close)
        latest = [0]
        nsm = _Nsm(lambda: listener.at("asked", latest[0]))
        devices = Devices(
            16, nsm, Loop(), Faults.parse(faults), traps_open=False, interruptible=True
        )
        for count, trap in enumerate(_traps(listener), 1):
            latest[0] = trap.id
            devices.handlers().get(trap.name, Trap.let_through)(trap)
            devices.faults = Faults()
            if count >= together:
                nsm.answer()
        output, _ = program.communicate()
        assert program.returncode == 0
        return _Ended(output.splitlines(), nsm.asked, listener.interrupted)


@contextmanager
def _started(code: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [*python(_BEFORE + code), str(theirs.fileno())]
        with subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True
        ) as program:
            theirs.close()
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
            try:
                yield program, descriptors[0]
            finally:
                program.kill()


def _traps(listener: Listener) -> Iterator[Trap]:
    """Every call that is stopped, until the program has ended."""
    arch = this_architecture()
    assert arch is not None
    names = arch.calls.named()
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    while poll.poll()[0][1] & select.POLLIN:
        notification = listener.receive()
        if notification is not None:
            yield Trap(listener, arch, names[notification.number], notification)


@pytest.mark.parametrize("moment", ["received", "asked", "written"])
def test_a_restarted_request_is_asked_once_and_a_repeated_one_again(moment: str) -> None:
    """The first of three that are the same is interrupted, and so is its repetition."""
    ended = _run(
        """
for _ in range(3):
    print(ask(device, b"the same"))
print(bool(signals))
""",
        {moment: 2},
    )
    assert ended.output == ["b'answer 1'", "b'answer 2'", "b'answer 3'", "True"]
    assert ended.asked == [b"the same"] * 3
    assert ended.interrupted == 2


def test_two_threads_that_are_interrupted_at_once_are_asked_for_once_each() -> None:
    ended = _run(
        """
threads = [threading.Thread(target=ask, args=(device, b"%d" % number)) for number in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
        {"written": 2},
        together=2,
    )
    assert sorted(ended.asked) == [b"0", b"1"]
    assert ended.interrupted == 2


def test_an_error_that_nobody_took_is_told_again() -> None:
    """The fault is over by then: the restarted call would be answered if it counted as another."""
    ended = _run(
        "print(name_of(lambda: ask(device, DESCRIBE)))", {"failing": 1}, faults=("nsm=errno:EIO",)
    )
    assert (ended.output, ended.asked, ended.interrupted) == (["EIO"], [], 1)


_CALL = """
def call(question, room=100):
    fields = address(question), len(question), address(bytes(room)), room
    raw = ctypes.create_string_buffer(struct.pack("=QQQQ", *fields), 32)
    if libc.ioctl(device, ctypes.c_ulong(NSM), raw):
        return errno.errorcode[ctypes.get_errno()]
    return kept[-1].raw[: struct.unpack("=QQQQ", raw)[3]]
"""


def test_one_buffer_may_be_for_request_and_response() -> None:
    """What the restarted call asks with is then the response."""
    ended = _run(
        """
shared = ctypes.create_string_buffer(b"__a request", 100)
at = ctypes.addressof(shared)
raw = ctypes.create_string_buffer(struct.pack("=QQQQ", at + 2, 9, at, 100), 32)
print(libc.ioctl(device, ctypes.c_ulong(NSM), raw), shared.value)
""",
        {"written": 2},
    )
    assert ended.output == ["0 b'answer 1est'"]
    assert ended.asked == [b"a request"]


def test_who_gets_eintr_has_the_answer_at_the_next_call_unless_it_asks_something_else() -> None:
    """Without SA_RESTART the call ends; to ask again is the program's decision."""
    code = _CALL + "signal.siginterrupt(signal.SIGUSR1, True)\n"
    again = _run(code + "print(call(b'x'), call(b'x'), call(b'x'))", {"written": 1})
    assert again.output == ["EINTR b'answer 1' b'answer 2'"]
    other = _run(code + "print(call(b'x'), call(b'y'), call(b'x'))", {"written": 1})
    assert other.output == ["EINTR b'answer 2' b'answer 3'"]
    assert other.asked == [b"x", b"y", b"x"]
