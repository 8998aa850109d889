"""A supervised run from Python: start it, answer its NSM, wait for its end.

The NSM is `handle`, raw CBOR request to raw CBOR response, called on a thread of this process, one
request at a time. The run itself is in processes of its own.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Semaphore, Thread
from types import TracebackType
from typing import IO, Any, Self

from simulator.interpose.faults import Faults, error_response
from simulator.interpose.places import ENCLAVE_CID, LONGEST_NAME, PATH_MAX
from simulator.interpose.plan import OUR_FAILURE, Plan, Role, Rung
from simulator.interpose.tree import (
    FORWARDED,
    any_processor,
    stay_on,
    take_standard_numbers,
)

_log = logging.getLogger(__name__)

Handle = Callable[[bytes], bytes]

# Nothing of the caller's Python settings, nor a file of the folder it stands in, gets between.
_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from simulator.interpose.guardian import main; main()"
)
_ROOT = Path(__file__).resolve().parents[2]
_END_SECONDS = 10.0
_HEAD = 5
_LONGEST_ANSWER = 0x3000
"""More the driver does not take (`drivers/misc/nsm.c`)."""
_INTERNAL_ERROR = error_response("InternalError")


class BadRun(ValueError):
    """No run can be so: the message says what is wrong and what to give."""


def check_folder(fabric: Path) -> Path:
    """The absolute path of a fabric's folder. Raises BadRun if its sockets' would be too long."""
    fabric = fabric.absolute()
    if len(os.fsencode(fabric)) + LONGEST_NAME > PATH_MAX:
        raise BadRun(
            f"The fabric's folder {fabric} has too long a name: with those of its sockets it takes "
            f"more than {PATH_MAX} bytes, which no Unix socket's path has. Give a shorter one."
        )
    return fabric


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is to be like. `fabric` is a folder that exists."""

    fabric: Path
    rung: Rung
    cid: int = ENCLAVE_CID
    role: Role = Role.ENCLAVE
    environment: Mapping[str, str] | None = None
    """The program's; None for this process's."""
    faults: tuple[str, ...] = ()
    overlays: Mapping[str, str] = field(default_factory=dict)
    """Files that the program sees others in place of."""
    blocked_signals: frozenset[int] | None = None
    """The program's signal mask; None for that of the thread that starts it."""
    ignores_children: bool | None = None
    """Whether SIGCHLD is to be ignored in the program; None for as it is in this process."""
    descriptors: tuple[int, ...] = ()
    """Open files that the program gets beside its standard ones, under the same numbers."""
    initramfs: Path | None = None
    """The unpacked ramdisks of an enclave to boot, instead of a program to run.

    What runs in it is what its init would run (`simulator.interpose.init`). The standard streams
    are its console, and should be a terminal. A signal to the run ends it.
    """
    temporary: tuple[Path, ...] = ()
    """Folders of this run alone: removed at its end, also if this process is killed before."""
    verbose: bool = False
    interruptible: bool = False
    """Let signals interrupt stopped calls, as on kernels before Linux 5.19."""


class Run:
    """A program that runs under a supervisor. A context manager; at its end the run ends too.

    `handle` is its NSM (None: InternalError to everything); the standard streams are as
    `subprocess.Popen` takes them.

    Raises BadRun for a fabric folder whose name is too long.
    """

    def __init__(
        self,
        program: Sequence[str],
        handle: Handle | None,
        options: Options,
        *,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
    ) -> None:
        Faults.parse(options.faults)
        fabric = check_folder(options.fabric)
        blocked = options.blocked_signals
        if blocked is None:
            blocked = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        ignores_children = options.ignores_children
        if ignores_children is None:
            ignores_children = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        self.counts: dict[str, int] = {}
        """How often each system call was answered; once the run has ended."""
        self.failure: str | None = None
        """Why the run failed, if it was not its program that ended."""
        self.was_lost = False
        """Whether the run's guardian was killed: then nobody has told the user why it failed."""
        self._code: int | None = None
        self._result_lock = Lock()
        self._scratch = tempfile.mkdtemp(prefix="attested-kms-")
        plan = Plan(
            program=list(program),
            environment=dict(os.environ if options.environment is None else options.environment),
            fabric=str(fabric),
            scratch=self._scratch,
            cid=options.cid,
            role=options.role,
            rung=options.rung,
            faults=list(options.faults),
            overlays=dict(options.overlays),
            initramfs=None if options.initramfs is None else str(options.initramfs.absolute()),
            temporary=[str(folder.absolute()) for folder in options.temporary],
            blocked_signals=sorted(int(number) for number in blocked),
            ignores_children=ignores_children,
            verbose=options.verbose,
            processor=any_processor(),
            interruptible=options.interruptible,
        )
        with ExitStack() as failing, ExitStack() as stack:
            failing.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            stack.enter_context(_standard_numbers_taken())
            self._control, control = socket.socketpair()
            failing.enter_context(self._control)
            self._channel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            failing.enter_context(self._channel)
            ends = tuple(stack.enter_context(end).fileno() for end in (control, channel))
            with _no_signals():
                self._guardian = subprocess.Popen(  # noqa: S603  # Ours, no shell.
                    [sys.executable, "-I", "-S", "-c", _START, str(_ROOT), *map(str, ends)],
                    pass_fds=(*ends, *options.descriptors),
                    # Of an enclave's process 1 its programs see the environment.
                    env=None if options.initramfs is None else _for_the_linker(),
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                )
            failing.pop_all()
        with suppress(ConnectionError):  # It was killed already, as `wait` will find.
            self._control.sendall(plan.to_json().encode() + b"\n")
        self._nsm = _Nsm(self._channel, handle, plan.processor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int:
        """Of the process to send signals to."""
        return self._guardian.pid

    def send_signal(self, number: int) -> None:
        """Send the program a signal."""
        self._guardian.send_signal(number)

    def set_faults(self, specs: Iterable[str]) -> None:
        """From now on these go wrong, and no others: what the program asks next meets them.

        Without effect once the run has ended. Raises BadFault.
        """
        wanted = list(specs)
        Faults.parse(wanted)
        with suppress(ConnectionError):
            self._channel.send(b"F" + json.dumps(wanted).encode())
            self._nsm.wait_for_faults()

    def wait(self, timeout: float | None = None) -> int:
        """The program's exit code, negative for a signal, as `subprocess` has it.

        Raises subprocess.TimeoutExpired.
        """
        self._guardian.wait(timeout)
        return self._take_result()

    def close(self) -> None:
        """End the run if it has not ended, and let go of everything."""
        if self._control.fileno() < 0:
            return
        # The end of this connection is the end of the run.
        self._control.shutdown(socket.SHUT_WR)
        try:
            self._guardian.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()
        self._take_result()
        self._control.close()
        self._channel.shutdown(socket.SHUT_RDWR)
        self._nsm.join()
        self._channel.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _take_result(self) -> int:
        """Once the guardian has ended: what it reported, and the exit code."""
        with self._result_lock:
            if self._code is None:
                self._code = self._read_result()
            return self._code

    def _read_result(self) -> int:
        content = b""
        with suppress(ConnectionResetError):  # It was killed before it knew its plan.
            while part := self._control.recv(1 << 16):
                content += part
        if content:
            result: dict[str, Any] = json.loads(content)
            self.counts = result.get("counts", {})
            self.failure = result.get("failed")
            failed = result.get("code", OUR_FAILURE)
            ended = result.get("ended")
            return int(failed if ended is None else os.waitstatus_to_exitcode(ended))
        # The supervisor ends all others then, and with itself this thread.
        self._nsm.join(_END_SECONDS)
        self.was_lost = True
        self.failure = (
            "the guardian of the run was killed, and the program and all that it had started were "
            "ended"
        )
        return OUR_FAILURE


def _for_the_linker() -> dict[str, str]:
    """What of the environment this Python may need to start."""
    return {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}


@contextmanager
def _standard_numbers_taken() -> Iterator[None]:
    """Nothing that is opened meanwhile gets the number of a standard stream that is closed."""
    taken = take_standard_numbers()
    try:
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)


@contextmanager
def _no_signals() -> Iterator[None]:
    """Whoever is started meanwhile passes signals on from its first moment."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Nsm:
    """The NSM's end of the run's channel, on a thread of its own until the supervisor ends."""

    def __init__(
        self, channel: socket.socket, handle: Handle | None, processor: int | None
    ) -> None:
        self._channel = channel
        self._processor = processor
        self._handle = handle
        self._taken = Semaphore(0)
        self._thread = Thread(target=self._answer, name="nsm-of-run", daemon=True)
        self._thread.start()

    def wait_for_faults(self) -> None:
        """Return when the supervisor has taken up the faults that it was sent, or has ended."""
        self._taken.acquire()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread."""
        self._thread.join(timeout)

    def _answer(self) -> None:
        stay_on(self._processor)
        with suppress(ConnectionError):  # It ended between its question and our answer.
            while message := self._channel.recv(1 << 16):
                if message[:1] == b"F":
                    self._taken.release()
                    continue
                answer = _respond(self._handle, message[_HEAD:])
                self._channel.send(message[:_HEAD] + answer)
        self._taken.release(1 << 20)  # Nobody will be told any more, however many wait.


def _respond(handle: Handle | None, request: bytes) -> bytes:
    try:
        if handle is not None:
            return bytes(memoryview(handle(request))[:_LONGEST_ANSWER])
    except Exception:  # noqa: BLE001  # Logged; the program must get an answer.
        _log.exception("The NSM failed; the program is told InternalError")
    return _INTERNAL_ERROR
