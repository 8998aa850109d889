"""Forking the program under its filter: alone, or as the only one in namespaces of its own.

In namespaces it finds what init of an enclave prepares (aws-nitro-enclaves-sdk-bootstrap,
init/init.c): a `/dev` of its own, `/proc` of its own process ids, a network whose only interface,
`lo`, is down; a heartbeat before it starts, and the end of all processes with its own.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from simulator.interpose import init, kernel
from simulator.interpose.arch import Architecture
from simulator.interpose.bpf import supervising_filter
from simulator.interpose.namespaces import enter, keep_mounts_private, prepare
from simulator.interpose.places import HEARTBEAT, HEARTBEAT_BYTE
from simulator.interpose.plan import OUR_FAILURE, Plan, Rung
from simulator.interpose.roots import Mounts
from simulator.interpose.roots import enter as enter_root
from simulator.interpose.tree import (
    FORWARDED,
    inherited_descriptors,
    let_go_of_inherited,
    was_sent_to_us,
)

_STATUS = struct.Struct("=i")
_NOT_RUNNABLE, _NOT_FOUND = 126, 127
"""Exit codes of a run that did not come to its program, as env(1) and shells have them."""
NESTED = (
    "this process is supervised already, and the kernel allows one supervisor per tree of "
    "processes: start the inner run outside of the outer one, in the same --fabric"
)


class CannotLaunch(Exception):
    """Why the program was not started, for the user, and the run's exit code."""

    def __init__(self, message: str, exit_code: int = OUR_FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Started:
    """A program that waits under its filter for `go`."""

    process: int
    """Who gets the run's signals: the program, or init, which passes them on."""
    listener: int
    interruptible: bool
    """Whether signals interrupt stopped calls."""
    end: int
    """A descriptor that is readable when the program has ended."""
    go: Callable[[], None]
    wait: Callable[[], int]
    """The program's wait status; to be called once `end` is readable."""


def install(
    arch: Architecture, *, trap_open: bool, interruptible: bool = False
) -> tuple[int, bool]:
    """Put this process under the filter; returns the listener, and whether signals interrupt.

    They do where that is wanted, and before Linux 5.19. Raises OSError.
    """
    program = supervising_filter(arch, trap_open=trap_open)
    kernel.no_new_privileges()
    if not interruptible:
        try:
            return kernel.install_filter(arch, program, wait_killable=True), False
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return kernel.install_filter(arch, program, wait_killable=False), True


def start(plan: Plan, arch: Architecture) -> Started:
    """Fork the program; it waits. Raises CannotLaunch."""
    ours, theirs = socket.socketpair()
    status_end, status_start = os.pipe()
    process = os.fork()
    if process == 0:
        ours.close()
        os.close(status_end)
        _become(plan, arch, theirs, status_start)
    theirs.close()
    os.close(status_start)
    message, descriptors, _, _ = socket.recv_fds(ours, 4096, 1)
    if not descriptors:
        os.waitpid(process, 0)
        raise CannotLaunch(message.decode() or "the program's process ended before it began")
    signalled, interruptible = (int(word) for word in message.split())
    listener = descriptors[0]
    os.set_inheritable(listener, False)
    end, wait = (
        _end_of_program(process, status_end)
        if plan.rung is Rung.OPEN_TRAP and plan.initramfs is None
        else _end_of_init(process, status_end)
    )
    return Started(signalled, listener, bool(interruptible), end, _goer(ours), wait)


def _end_of_program(process: int, status_end: int) -> tuple[int, Callable[[], int]]:
    os.close(status_end)

    def wait() -> int:
        return os.waitpid(process, 0)[1]

    return os.pidfd_open(process), wait


def _end_of_init(outer: int, status_end: int) -> tuple[int, Callable[[], int]]:
    def wait() -> int:
        content = os.read(status_end, _STATUS.size)
        os.waitpid(outer, 0)
        if len(content) < _STATUS.size:
            return int(signal.SIGKILL)  # Somebody killed init, and with it all.
        status: int = _STATUS.unpack(content)[0]
        return status

    return status_end, wait


def _goer(ours: socket.socket) -> Callable[[], None]:
    def go() -> None:
        with ours:
            ours.send(b"!")

    return go


def _become(plan: Plan, arch: Architecture, channel: socket.socket, status: int) -> NoReturn:
    """In the forked process: become the program, or the parent of its init."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        if plan.initramfs is not None and plan.rung is Rung.OPEN_TRAP:
            _boot(plan, arch, channel, status)
        if plan.rung is Rung.OPEN_TRAP:
            _wait_under_filter(plan, arch, channel, os.getpid())
            _execute(plan)
        enter(own_name=plan.initramfs is not None)
        # Listed before process 1 mounts a `/proc` that this process, which shares its mounts, is
        # not in: it would end, and process 1 with it.
        inherited = inherited_descriptors()
        first = os.fork()
        if first:
            _reap(first, channel, status, inherited)
        kernel.die_with_parent(signal.SIGKILL)
        _keep_only(channel.fileno(), status)
        if plan.initramfs is not None:
            _boot(plan, arch, channel, status)
        _init(plan, arch, channel, status)
    except OSError as error:
        with suppress(OSError):
            channel.send(_why_not(error, plan).encode())
        os._exit(OUR_FAILURE)


def _reap(first: int, channel: socket.socket, status: int, inherited: tuple[int, ...]) -> NoReturn:
    """Outside: stay the parent of process 1, with nothing open that its program may close."""
    channel.close()
    for descriptor in (status, *inherited):
        os.close(descriptor)
    os.waitpid(first, 0)
    os._exit(0)


def _why_not(error: OSError, plan: Plan) -> str:
    if error.errno == errno.EBUSY:
        return NESTED
    if plan.initramfs is not None:
        return (
            "this user may not give a program a root folder and file systems of its own "
            f"({error.strerror or error}): it takes root, or user namespaces"
        )
    return f"the kernel does not let the program be supervised: {error.strerror or error}"


def _wait_under_filter(
    plan: Plan, arch: Architecture, channel: socket.socket, signalled: int
) -> None:
    """Wait for the supervisor, who is told to whom signals go."""
    listener, interruptible = install(
        arch, trap_open=plan.rung is Rung.OPEN_TRAP, interruptible=plan.interruptible
    )
    socket.send_fds(channel, [f"{signalled} {int(interruptible)}".encode()], [listener])
    os.close(listener)
    if not channel.recv(1):
        os._exit(OUR_FAILURE)
    channel.close()


def _keep_only(*descriptors: int) -> None:
    """Close what the supervisor had open for itself, which is not inherited by programs."""
    for entry in os.listdir("/proc/self/fd"):
        descriptor = int(entry)
        if descriptor > 2 and descriptor not in descriptors:
            with suppress(OSError):
                if not os.get_inheritable(descriptor):
                    os.close(descriptor)


def _execute(plan: Plan) -> NoReturn:
    """Become the program."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; execve keeps that.
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # One that waits shall be the program's.
    if plan.ignores_children:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, plan.blocked_signals)
    command = plan.program[0]
    try:
        os.execvpe(command, plan.program, plan.environment)  # noqa: S606  # What it is for.
    except OSError as error:
        os.write(2, f"attested-kms run: cannot run {command}: {error.strerror}\n".encode())
        os._exit(_NOT_FOUND if error.errno == errno.ENOENT else _NOT_RUNNABLE)


def _init(plan: Plan, arch: Architecture, channel: socket.socket, status: int) -> NoReturn:
    """Process 1 of the enclave, after init.c: heartbeat, the program, the end of all."""
    outside = _own_id_outside()
    prepare(plan.scratch, plan.overlays)
    _wait_under_filter(plan, arch, channel, outside)
    signal.pthread_sigmask(signal.SIG_BLOCK, [*FORWARDED, signal.SIGCHLD])
    if not _heartbeat():
        os.write(
            2,
            b"attested-kms run: the heartbeat to CID 3, port 9000 was not answered; "
            b"the enclave reboots before its program starts\n",
        )
        _end(status, OUR_FAILURE << 8)
    program = os.fork()
    if program == 0:
        os.close(status)
        _execute(plan)
    let_go_of_inherited()
    _end(status, _wait_for(program))


def _boot(plan: Plan, arch: Architecture, channel: socket.socket, status: int) -> NoReturn:
    """Boot an enclave from its unpacked ramdisks, with this process as its init."""
    outside = _own_id_outside()
    folder = plan.initramfs or ""
    mounts = None
    if plan.rung is Rung.NAMESPACES:
        keep_mounts_private()
        mounts = Mounts(arch, plan.scratch)
        enter_root(arch, folder)
        socket.sethostname("(none)")  # CONFIG_DEFAULT_HOSTNAME of the enclave's kernel.
    else:
        kernel.adopt_orphans()
        os.chroot(folder)
        os.chdir("/")
    _wait_under_filter(plan, arch, channel, outside)
    _end(status, init.boot(mounts))


def _own_id_outside() -> int:
    """This process's id as the supervisor knows it: the first of NSpid (proc(5))."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("NSpid:"):
                return int(line.split()[1])
    return os.getpid()


def _heartbeat() -> bool:
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as parent:
            parent.connect(HEARTBEAT)
            parent.send(HEARTBEAT_BYTE)
            return parent.recv(1) == HEARTBEAT_BYTE
    except OSError:
        return False


def _wait_for(program: int) -> int:
    """Pass signals on and reap until the program ends; returns its wait status."""
    while True:
        received = signal.sigwaitinfo([*FORWARDED, signal.SIGCHLD])
        if received.si_signo != signal.SIGCHLD:
            if was_sent_to_us(received.si_code):
                os.kill(program, received.si_signo)
            continue
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == program:
                return status
            if process == 0:
                break


def _end(status_pipe: int, status: int) -> NoReturn:
    """Report the program's end; the kernel ends all others with process 1."""
    os.write(status_pipe, _STATUS.pack(status))
    sys.stdout.flush()
    os._exit(0)
