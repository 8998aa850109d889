"""Which technique works on this machine: tried, not guessed, in processes that end at once.

The trials fork, which a process with threads should not: they are made by a Python of their own.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.interpose.arch import SUPPORTED, Architecture, this_architecture
from simulator.interpose.files import capabilities
from simulator.interpose.plan import Rung

if TYPE_CHECKING:
    from simulator.interpose.kernel import Listener

CONTAINER = (
    'docker run --rm -it --security-opt seccomp=unconfined -v "$PWD":/work -w /work IMAGE '
    "attested-kms run -- ./my-enclave-app"
)
_TRY = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from simulator.interpose.probe import try_here; try_here()"
)
_ROOT = Path(__file__).resolve().parents[2]
_CAN_CHANGE_ROOT = 1 << 18
"""CAP_SYS_CHROOT (capabilities(7))."""
_UNCONFINED = "start the container with --security-opt seccomp=unconfined"

_FORBIDDING = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0", "AppArmor"),
    ("kernel/unprivileged_userns_clone", "0", "1", "the distribution's kernel"),
    ("user/max_user_namespaces", "0", "15000", "the limit of user namespaces"),
)
"""Settings, the values by which they forbid user namespaces and allow them."""

SHORTCOMINGS = {
    Rung.NAMESPACES: (
        "the files are this machine's, but for /dev, /proc and the CA bundle",
        "sudo and other set-user-ID programs do not get their privileges",
    ),
    Rung.OPEN_TRAP: (
        "the program sees this machine's processes and network, also who listens at 127.0.0.1",
        "/dev/nsm can be opened, but stat and access do not find it",
        "there is no init: no heartbeat, no process 1",
        "sudo and other set-user-ID programs do not get their privileges",
    ),
}
"""What a technique does not show as an enclave would."""


class NoRung(Exception):
    """No technique works here: the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found of each technique: None if it works, else why it does not."""

    reasons: dict[Rung, str | None]

    @property
    def best(self) -> Rung | None:
        """The best technique that works."""
        return next((rung for rung in Rung if self.reasons[rung] is None), None)

    def choose(self, *, isolate: bool | None) -> Rung:
        """The technique for a run that must, must not or may (None) be isolated. Raises NoRung."""
        wanted = {None: self.best, True: Rung.NAMESPACES, False: Rung.OPEN_TRAP}[isolate]
        if wanted is None:
            raise NoRung(f"{self.reasons[Rung.OPEN_TRAP]}.")
        reason = self.reasons[wanted]
        if reason is not None:
            hint = "; without --isolate it runs" if isolate and self.best else ""
            raise NoRung(f"{reason}{hint}.")
        return wanted

    def choose_for_boot(self) -> Rung:
        """The technique for an enclave that has a root folder of its own. Raises NoRung."""
        reason = self.reasons[Rung.NAMESPACES]
        if reason is None:
            return Rung.NAMESPACES
        if self.reasons[Rung.OPEN_TRAP] is not None:
            raise NoRung(f"{self.reasons[Rung.OPEN_TRAP]}.")
        if not capabilities(os.getpid()) & _CAN_CHANGE_ROOT:
            raise NoRung(
                f"{reason}. Without namespaces it takes root, who may change the root folder of a "
                "process (CAP_SYS_CHROOT); so does a container of Docker's as root, with "
                "--security-opt seccomp=unconfined."
            )
        return Rung.OPEN_TRAP


def probe() -> Probed:
    """Try what there is. Takes about as long as Python takes to start."""
    unable = _why_not_try()
    if unable is not None:
        return Probed(dict.fromkeys(Rung, unable))
    tried = subprocess.run(  # noqa: S603  # Ours, no shell.
        [sys.executable, "-I", "-S", "-c", _TRY, str(_ROOT)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        reasons = json.loads(tried.stdout)
    except ValueError:
        last = (tried.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Probed(dict.fromkeys(Rung, f"what works could not be tried: {last}"))
    return Probed({rung: reasons[rung.value] for rung in Rung})


def try_here() -> None:
    """Print as JSON, by technique, why it does not work here; null if it does."""
    arch = this_architecture()
    unable = _try_supervision(arch) if arch else _why_not_try()
    reasons = {Rung.NAMESPACES.value: unable, Rung.OPEN_TRAP.value: unable}
    if unable is None:
        reasons[Rung.NAMESPACES.value] = _why_no_namespaces()
    print(json.dumps(reasons))  # To `probe`.


def _why_not_try() -> str | None:
    if sys.platform != "linux":
        return (
            "running unmodified programs needs Linux, whose kernel can stop their system calls; "
            f"on this system use a container: {CONTAINER}"
        )
    if this_architecture() is None:
        return (
            f"this machine is a {os.uname().machine}, and programs can be run on "
            f"{', '.join(SUPPORTED)} so far"
        )
    return None


def _try_supervision(arch: Architecture) -> str | None:
    from simulator.interpose import kernel
    from simulator.interpose.launch import NESTED, install

    marker = ctypes.create_string_buffer(b"attested-kms")
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            listener, _ = install(arch, trap_open=False)
            socket.send_fds(theirs, [b"-"], [listener])
            os.close(listener)
            socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
            theirs.send(b"0\n")
        except OSError as error:
            theirs.send(f"{error.errno}\n".encode())
        os._exit(0)
    theirs.close()
    try:
        with ours:
            message, descriptors, _, _ = socket.recv_fds(ours, 64, 1)
            if not descriptors:
                return _why_no_filter(int(message or b"0"), NESTED)
            listening = kernel.Listener(descriptors[0])
            try:
                return _try_one_trap(arch, listening, ours, ctypes.addressof(marker))
            finally:
                listening.close()
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _try_one_trap(
    arch: Architecture, listener: Listener, child: socket.socket, marker: int
) -> str | None:
    from simulator.interpose import kernel

    ready = select.select([listener.fileno(), child.fileno()], [], [])[0]
    # It speaks once its call is over. When it has ended too, the listener is ready for that.
    if child.fileno() in ready:
        return (
            "this process is in a container whose seccomp profile refuses vsock sockets, as "
            f"Docker's default does: {_UNCONFINED}"
        )
    notification = listener.receive()
    if notification is None:
        return "the process that was to be probed was killed"
    try:
        if kernel.read_memory(notification.thread, marker, 12) != b"attested-kms":
            return "the memory of a supervised program reads as something else"
        os.close(kernel.take_descriptor(arch, notification.thread, 2))
        with socket.socket(socket.AF_UNIX) as unix:
            listener.give(notification.id, unix.fileno(), close_on_exec=True)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return _why_no_filter(errno.EINVAL, "")
        return _why_no_look(error)
    return None


def _why_no_filter(number: int, nested: str) -> str:
    if number == errno.EBUSY:
        return nested
    if number in (errno.EINVAL, errno.ENOSYS):
        return (
            "this kernel cannot let one process answer another's system calls (seccomp user "
            f"notification with descriptors, Linux 5.14): {os.strerror(number)}"
        )
    return (
        f"this kernel refuses a seccomp filter ({os.strerror(number)}); in a container, "
        f"{_UNCONFINED}"
    )


def _why_no_look(error: OSError) -> str:
    scope = ""
    with suppress(OSError):
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text(encoding="ascii").strip()
    if scope in ("2", "3"):
        return (
            f"this kernel lets no process look into another (kernel.yama.ptrace_scope is {scope}); "
            "set it to 1, or run as root where it is 2"
        )
    return (
        f"this process may not look into the program that it starts ({error.strerror or error}); "
        f"in a container, {_UNCONFINED}"
    )


def _why_no_namespaces() -> str | None:
    def attempt(scratch: str) -> None:
        from simulator.interpose.namespaces import enter, prepare

        enter()
        inner = os.fork()
        if inner == 0:
            _exit_with(lambda: prepare(scratch, {}))
        _, status = os.waitpid(inner, 0)
        if status:
            raise OSError(os.waitstatus_to_exitcode(status), "mounting /dev and /proc")

    with tempfile.TemporaryDirectory(prefix="attested-kms-") as scratch:
        child = os.fork()
        if child == 0:
            _exit_with(lambda: attempt(scratch))
        _, status = os.waitpid(child, 0)
    number = os.waitstatus_to_exitcode(status)
    if number == 0:
        return None
    return f"this user may make no namespaces ({os.strerror(abs(number))}); {_advice()}"


def _advice() -> str:
    """What to do about a kernel that lets this user make no namespaces."""
    for setting, forbidding, allowing, who in _FORBIDDING:
        with suppress(OSError):
            if Path("/proc/sys", setting).read_text(encoding="ascii").strip() == forbidding:
                name = setting.replace("/", ".")
                return f"{who} forbids it here: sudo sysctl -w {name}={allowing}, or run as root"
    return "in a container, start it with --privileged"


def _exit_with(attempt: Callable[[], None]) -> None:
    """In a forked process: end with the errno of what was attempted."""
    try:
        attempt()
    except OSError as error:
        os._exit((error.errno or errno.EIO) & 0xFF)
    os._exit(0)
