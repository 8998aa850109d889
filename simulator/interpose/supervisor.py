"""The supervisor: answers the stopped system calls of one tree of processes until it ends.

A process of its own, standard library only: a test that hangs or collects garbage must not hold up
the program's system calls, and a supervisor may not be supervised. It forks the program, so that
the kernel lets it look into it (Yama's ptrace_scope 1 allows descendants only).
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from simulator.interpose import kernel, launch, tree
from simulator.interpose.arch import Architecture
from simulator.interpose.faults import Faults
from simulator.interpose.kernel import Listener
from simulator.interpose.loop import Loop
from simulator.interpose.nsm_device import Devices
from simulator.interpose.places import HEARTBEAT, Places
from simulator.interpose.plan import Plan, Role, Rung
from simulator.interpose.trap import CallerGone, Refused, Trap, is_hidden
from simulator.interpose.vsock import VsockCalls

_HIDDEN = (
    "the program has hidden its memory from other processes (it is set-user-ID, not readable, or "
    "made itself undumpable), so that its vsock and NSM calls cannot be answered; run it as root "
    "or with namespaces (--isolate)"
)
_IO_URING = (
    "the program asked for io_uring, which goes past the supervisor, and was told that the kernel "
    "has none (ENOSYS); an enclave's kernel has it"
)
_UNDUMPABLE = (
    "the program asked to be undumpable (PR_SET_DUMPABLE 0); it was told that it is, and is not, "
    "so that its calls can still be answered"
)


class Channel:
    """The way to the process that has the NSM: a SOCK_SEQPACKET socket.

    Messages there and back begin with a letter: N is a request to the NSM and its response, four
    bytes of a number first that both share; F, from there, are new faults as a JSON list, and goes
    back when they are taken up.
    """

    def __init__(
        self, end: socket.socket, loop: Loop, on_faults: Callable[[list[str]], None]
    ) -> None:
        self._end = end
        self._loop = loop
        self._on_faults = on_faults
        self._number = 0
        self._answered: Callable[[bytes], None] | None = None
        loop.watch(end.fileno(), self._receive)

    def ask(self, request: bytes, answered: Callable[[bytes], None]) -> None:
        """Ask the NSM."""
        self._number = (self._number + 1) & 0xFFFF_FFFF
        self._answered = answered
        self._say(b"N" + self._number.to_bytes(4) + request)

    def _say(self, message: bytes) -> None:
        with suppress(ConnectionError):  # Its other end has gone, and the run ends just now.
            self._end.send(message)

    def _receive(self, _events: int) -> None:
        try:
            message = self._end.recv(1 << 16)
        except ConnectionResetError:  # It ended before it read our question.
            message = b""
        if not message:
            self._loop.forget(self._end.fileno())
        elif message[:1] == b"F":
            self._on_faults(json.loads(message[1:]))
            self._say(b"F")
        elif int.from_bytes(message[1:5]) == self._number and self._answered is not None:
            answered, self._answered = self._answered, None
            answered(message[5:])


class Supervisor:
    """One tree and its machine."""

    def __init__(
        self,
        plan: Plan,
        arch: Architecture,
        listener: Listener,
        channel: socket.socket,
        *,
        interruptible: bool,
    ) -> None:
        self.loop = Loop()
        self.counts: Counter[str] = Counter()
        self._plan = plan
        self._arch = arch
        self._listener = listener
        self._names = arch.calls.named()
        self._said: set[str] = set()
        faults = Faults.parse(plan.faults)
        self.vsock = VsockCalls(
            Places(plan.folder, plan.cid),
            self.loop,
            faults,
            complain=self.complain,
            is_parent=plan.role is Role.PARENT,
        )
        module = Channel(channel, self.loop, self._set_faults)
        self._devices = Devices(
            plan.cid,
            module if plan.role is Role.ENCLAVE else None,
            self.loop,
            faults,
            traps_open=plan.rung is Rung.OPEN_TRAP,
            lacks_devices=plan.initramfs is not None,
            interruptible=interruptible,
        )
        self._handlers = {
            **self.vsock.handlers(),
            **self._devices.handlers(),
            "io_uring_setup": self._io_uring_setup,
            "prctl": self._prctl,
        }
        self.loop.watch(listener.fileno(), self._one)

    def complain(self, sentence: str) -> None:
        """Say once what the user should know."""
        if sentence not in self._said:
            self._said.add(sentence)
            tell(sentence)

    def note(self, sentence: str) -> None:
        """Say what the user asked to be told."""
        if self._plan.verbose:
            tell(sentence)

    def close(self) -> None:
        """Let go of everything."""
        self.vsock.close()
        self._listener.close()

    def _set_faults(self, specs: list[str]) -> None:
        self.vsock.faults = self._devices.faults = Faults.parse(specs)

    def _one(self, events: int) -> None:
        """Answer one stopped call."""
        if not events & select.POLLIN:
            # The last process of the tree has gone.
            self.loop.forget(self._listener.fileno())
            return
        notification = self._listener.receive()
        if notification is None:
            return
        name = self._names[notification.number]
        self.counts[name] += 1
        trap = Trap(self._listener, self._arch, name, notification)
        try:
            self._handlers[name](trap)
        except Refused as refused:
            trap.fail(refused.errno)
        except (CallerGone, ProcessLookupError):
            pass  # It was killed: nobody waits for an answer.
        except OSError as error:
            if is_hidden(error):
                self.complain(_HIDDEN)
                trap.let_through()
            else:
                trap.fail(error.errno or errno.EIO)

    def _io_uring_setup(self, _trap: Trap) -> None:
        self.complain(_IO_URING)
        raise Refused(errno.ENOSYS)

    def _prctl(self, trap: Trap) -> None:
        self.note(_UNDUMPABLE)
        trap.answer()


def tell(sentence: str) -> None:
    """A line for the user, on the program's own standard error, if there is one."""
    with suppress(OSError):
        os.write(2, f"attested-kms run: {sentence}\n".encode())


def supervise(
    plan: Plan, arch: Architecture, guardian: socket.socket, channel: socket.socket
) -> None:
    """Run the plan's program to its end, and report to the guardian in lines of JSON.

    `{"process": PID}`, with the listener: who is to get the signals that the run gets.
    `{"ended": STATUS, "counts": {...}}`: as waitpid gives it. `{"failed": SENTENCE, "code": N}`: it
    could not be started.
    """

    def report(**message: object) -> None:
        guardian.sendall(json.dumps(message).encode() + b"\n")

    tree.adopt()
    try:
        started = launch.start(plan, arch)
    except launch.CannotLaunch as error:
        report(failed=str(error), code=error.exit_code)
        return
    tree.raise_descriptor_limit()  # Now that the program has its own.
    tree.let_go_of_inherited()
    tree.remove([plan.scratch])  # What was mounted there is mounted where it belongs.
    tree.stay_on(plan.processor)  # Now that the program goes where it likes.
    listener = Listener(started.listener)
    supervisor = Supervisor(plan, arch, listener, channel, interruptible=started.interruptible)
    if plan.rung is Rung.NAMESPACES and plan.initramfs is None:  # Else somebody has booted it.
        supervisor.vsock.heartbeat = HEARTBEAT
    status: list[int] = []

    def ended(_events: int) -> None:
        status.append(started.wait())
        supervisor.loop.stop()

    supervisor.loop.watch(started.end, ended)
    # The guardian never writes: what can be read is its end.
    supervisor.loop.watch(guardian.fileno(), lambda _events: supervisor.loop.stop())
    if plan.rung is Rung.OPEN_TRAP:  # Else there is an init, and orphans are its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        ends = kernel.signal_descriptor([signal.SIGCHLD])

        def somebody_ended(_events: int) -> None:
            kernel.read_signal(ends)
            tree.reap_orphans(started.process)

        supervisor.loop.watch(ends, somebody_ended)
    line = json.dumps({"process": started.process}).encode() + b"\n"
    socket.send_fds(guardian, [line], [started.listener])
    started.go()
    try:
        supervisor.loop.run()
    finally:
        tree.end_descendants()
        supervisor.close()
    if not status:
        # The guardian has ended, or wants an end since whoever started the run has.
        tree.remove(plan.temporary)
    else:
        report(ended=status[0], counts=dict(supervisor.counts))
