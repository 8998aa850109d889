"""`/dev/nsm` and `/dev/vsock`: opening them, and what their ioctls do.

The rules are those of `drivers/misc/nsm.c`: other requests EINVAL, more than 4096 bytes EMSGSIZE,
bad pointers EFAULT, a response that does not fit is cut without an error and its length written
back as it was cut, one request at a time, ETIMEDOUT after 120 seconds. What the NSM says is not
known here: a `Module` answers bytes with bytes, some time later.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simulator.interpose import namespaces
from simulator.interpose.bpf import GET_LOCAL_CID
from simulator.interpose.faults import Faults, error_response
from simulator.interpose.files import is_stand_in
from simulator.interpose.loop import Loop
from simulator.interpose.trap import CallerGone, Refused, Trap, is_hidden

NSM_IOCTL = 0xC0200A00
"""NSM_IOCTL_RAW (`uapi/linux/nsm.h`)."""
_RAW = struct.Struct("=QQQQ")
_LENGTH_AT = 24
_REQUEST_MAX = 0x1000
_RESPONSE_MAX = 0x3000
_TIMEOUT_SECONDS = 120.0
_PATHS = {b"/dev/nsm": "nsm", b"/dev/vsock": "vsock"}
_NAMES = {b"nsm": "nsm", b"vsock": "vsock"}
_OTHER_PATHS = {
    **{f"/dev/{name}".encode(): f"/dev/{name}" for name in namespaces.DEVICES},
    b"/dev/console": "/proc/self/fd/1",
}
"""Where the supervisor finds what is at these paths for a program whose `/dev` is empty."""
_LONGEST_PATH = 16
_OPEN_HOW_BYTES = 24
"""sizeof(struct open_how) in its first version (`uapi/linux/openat2.h`)."""
_HERE = -100
"""AT_FDCWD."""
_STAND_IN = "/dev/null"


class Module(Protocol):
    """The NSM, which answers some time later and one request at a time."""

    def ask(self, request: bytes, answered: Callable[[bytes], None]) -> None:
        """Send a request; `answered` gets the response, unless the next is asked before."""


@dataclass(slots=True)
class _Request:
    """One ioctl that waits for its turn or its answer."""

    trap: Trap
    content: bytes
    request_at: int
    response_at: int
    room: int
    outcome: bytes | int = b""
    """The response, or the errno that the call fails with."""

    def is_again(self, other: _Request) -> bool:
        """Whether this is the same call as `other`, which a signal interrupted, restarted."""
        return (self.trap.thread, self.content) == (other.trap.thread, other.content)

    def tell(self) -> bool:
        """Let the call return its outcome. False if nobody waits for it any more."""
        if isinstance(self.outcome, int):
            return self.trap.fail(self.outcome)
        response = self.outcome[: self.room]
        try:
            self.trap.write(
                (self.response_at, response),
                (self.trap.arguments[2] + _LENGTH_AT, struct.pack("=Q", len(response))),
            )
        except CallerGone:
            return False
        except OSError:
            return self.trap.fail(errno.EFAULT)
        if self.trap.answer():
            return True
        self._overlay(response)
        return False

    def _overlay(self, response: bytes) -> None:
        # Who uses one buffer for both asks with what was written there when the call is restarted.
        memory = bytearray(self.content)
        shift = self.response_at - self.request_at
        for index in range(max(shift, 0), min(shift + len(response), len(memory))):
            memory[index] = response[index - shift]
        self.content = bytes(memory)


class Devices:
    """The devices of one machine. Without `module` there is no `/dev/nsm`, as on a parent."""

    def __init__(  # Keyword-only where it could be mistaken.
        self,
        cid: int,
        module: Module | None,
        loop: Loop,
        faults: Faults,
        *,
        traps_open: bool,
        lacks_devices: bool = False,
        interruptible: bool,
    ) -> None:
        self.faults = faults
        self._cid = cid
        self._module = module
        self._loop = loop
        self._traps_open = traps_open
        self._others = _OTHER_PATHS if lacks_devices else {}
        self._interruptible = interruptible
        self._missed: dict[int, _Request] = {}
        """By thread, its last request if it was interrupted before it took the outcome."""
        self._queue: deque[_Request] = deque()
        self._current: _Request | None = None
        self._deadline = 0.0
        """When the current request has taken too long, in the time of time.monotonic."""
        self._watched = False

    def handlers(self) -> dict[str, Callable[[Trap], None]]:
        """By the name of the system call."""
        handlers: dict[str, Callable[[Trap], None]] = {"ioctl": self._ioctl}
        if self._traps_open:
            handlers |= {"open": self._open, "openat": self._openat, "openat2": self._openat2}
        return handlers

    # Opening, where nothing is at the path

    def _open(self, trap: Trap) -> None:
        self._open_path(trap, _HERE, trap.arguments[0], lambda: trap.unsigned(1))

    def _openat(self, trap: Trap) -> None:
        self._open_path(trap, trap.signed(0), trap.arguments[1], lambda: trap.unsigned(2))

    def _openat2(self, trap: Trap) -> None:
        def flags() -> int:
            if trap.arguments[3] < _OPEN_HOW_BYTES:
                raise Refused(errno.EINVAL)
            value: int = struct.unpack("=Q", trap.read(trap.arguments[2], 8))[0]
            return value

        self._open_path(trap, trap.signed(0), trap.arguments[1], flags)

    def _open_path(
        self, trap: Trap, folder: int, path_at: int, read_flags: Callable[[], int]
    ) -> None:
        try:
            path = trap.read_text(path_at, _LONGEST_PATH)
        except OSError as error:
            if is_hidden(error):
                raise
            trap.let_through()  # The kernel finds the same fault.
            return
        device = _PATHS.get(path)
        if device is None and path in _NAMES and _folder(trap, folder) == "/dev":
            device = _NAMES[path]
        stand_in = self._others.get(path)
        if device is not None and not (device == "nsm" and self._module is None):
            stand_in = _STAND_IN
        if stand_in is None:
            trap.let_through()
            return
        flags = read_flags()
        if flags & os.O_DIRECTORY:
            raise Refused(errno.ENOTDIR)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise Refused(errno.EEXIST)
        kept = flags & (os.O_ACCMODE | os.O_NONBLOCK | os.O_APPEND)
        descriptor = os.open(stand_in, kept | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            trap.give(descriptor, close_on_exec=bool(flags & os.O_CLOEXEC))
        finally:
            os.close(descriptor)

    def _ioctl(self, trap: Trap) -> None:
        if not is_stand_in(trap.thread, trap.signed(0)):
            trap.let_through()
            return
        if trap.unsigned(1) == GET_LOCAL_CID:
            trap.write((trap.arguments[2], struct.pack("=I", self._cid)))
            trap.answer()
            return
        if self._module is None:
            trap.let_through()
            return
        if trap.unsigned(1) != NSM_IOCTL:
            raise Refused(errno.EINVAL)
        # Whether the caller still waits is asked when its request is taken up.
        request_at, length, response_at, room = _RAW.unpack(trap.peek(trap.arguments[2], _RAW.size))
        if length > _REQUEST_MAX:
            raise Refused(errno.EMSGSIZE)
        content = trap.peek(request_at, length) if length else b""
        request = _Request(trap, content, request_at, response_at, room)
        if self._interruptible and self._resume(request):
            return
        self._queue.append(request)
        self._next()

    def _resume(self, request: _Request) -> bool:
        """Whether a restarted call takes up where it was interrupted: nothing is asked twice.

        The driver cannot be interrupted; to repeat an ExtendPCR would change its outcome. Only a
        call whose outcome the kernel refused to take counts as interrupted: between its own wait
        and its lock it takes one, and restarts the call (`kernel/seccomp.c`, goto interrupted).
        Programs that ask the same twice look no different, and must not get one answer twice.
        """
        current = self._current
        if current is not None and request.is_again(current) and not current.trap.is_waiting():
            current.trap = request.trap
            return True
        # Who asks something else has done with what it missed.
        missed = self._missed.pop(request.trap.thread, None)
        if missed is None or not request.is_again(missed):
            return False
        request.outcome = missed.outcome
        self._deliver(request)
        return True

    def _next(self) -> None:
        """Take up the next request whose caller still lives, if none is under way."""
        while self._current is None and self._queue:
            request = self._queue.popleft()
            if request.trap.is_waiting():
                self._take_up(request)

    def _take_up(self, request: _Request) -> None:
        self._current = request
        self._deadline = time.monotonic() + _TIMEOUT_SECONDS
        if not self._watched:
            self._watch(_TIMEOUT_SECONDS)
        delay = self.faults.nsm.delay_seconds
        if delay:
            self._loop.later(delay, lambda: self._ask(request))
        else:
            self._ask(request)

    def _ask(self, request: _Request) -> None:
        fault = self.faults.nsm
        if self._current is not request or fault.stall:
            return
        if fault.errno is not None:
            self._finish(request, fault.errno)
        elif fault.error is not None:
            self._answered(request, error_response(fault.error))
        elif self._module is not None:
            self._module.ask(request.content, lambda answer: self._answered(request, answer))

    def _answered(self, request: _Request, response: bytes) -> None:
        if self._current is request:
            self._finish(request, response[:_RESPONSE_MAX])

    def _watch(self, seconds: float) -> None:
        """One timer is for all requests: one each would be thousands that wait for nothing."""
        self._watched = True
        self._loop.later(seconds, self._time_out)

    def _time_out(self) -> None:
        self._watched = False
        request = self._current
        if request is None:
            return
        seconds = self._deadline - time.monotonic()
        if seconds > 0:
            self._watch(seconds)
        else:
            self._finish(request, errno.ETIMEDOUT)

    def _finish(self, request: _Request, outcome: bytes | int) -> None:
        """End the request under way, and go on with the next."""
        self._current = None
        request.outcome = outcome
        self._deliver(request)
        self._next()

    def _deliver(self, request: _Request) -> None:
        """Tell the outcome; whom a signal takes away even while it is told gets it afterwards."""
        if request.tell() or not self._interruptible:
            return
        self._missed = {
            thread: missed
            for thread, missed in self._missed.items()
            if os.path.exists(f"/proc/{thread}")  # Its number may become another's.
        }
        thread = request.trap.thread
        if all(waiting.trap.thread != thread for waiting in self._queue):
            self._missed[thread] = request


def _folder(trap: Trap, descriptor: int) -> str:
    """The path of the folder that a relative path is relative to."""
    link = "cwd" if descriptor == _HERE else f"fd/{descriptor}"
    try:
        return os.readlink(f"/proc/{trap.thread}/{link}")
    except OSError:
        return ""
