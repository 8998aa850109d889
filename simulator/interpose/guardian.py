"""The guardian of a run: passes signals on, and ends every process if one of its parts dies.

It is the process that whoever starts a run has as a child. It forks the supervisor and outlives it:
a supervisor that is killed leaves a program whose system calls nobody answers, so that the tree is
ended and the user told. If whoever started the run ends, so does the run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from simulator.interpose import kernel, tree
from simulator.interpose.arch import this_architecture
from simulator.interpose.loop import Loop
from simulator.interpose.places import Places
from simulator.interpose.plan import OUR_FAILURE, Plan
from simulator.interpose.supervisor import supervise, tell

_PATIENCE_SECONDS = 5.0
"""How long the supervisor has to end all others before it is killed itself."""


def main() -> NoReturn:
    """Run the plan that comes, as one line, over the descriptor that the first argument names.

    The end of that descriptor's other side is the end of the run. The second argument names the
    descriptor that goes to the NSM. When the program has ended, one line of JSON goes back, and
    this process ends as the program did.
    """
    tree.take_standard_numbers()
    starter, channel = (socket.socket(fileno=int(text)) for text in sys.argv[2:4])
    for end in (starter, channel):
        end.set_inheritable(False)  # They came by inheritance; the program shall not have them.
    signal.pthread_sigmask(signal.SIG_BLOCK, tree.FORWARDED)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Where it is ignored nobody can be waited for.
    plan = _read_plan(starter)
    status = _Guardian(starter, channel, plan).run() if plan else OUR_FAILURE << 8
    tree.end_as(status)


def _read_plan(starter: socket.socket) -> Plan | None:
    content = b""
    while not content.endswith(b"\n"):
        part = starter.recv(1 << 16)
        if not part:
            return None
        content += part
    return Plan.from_json(content.decode())


class _Guardian:
    def __init__(self, starter: socket.socket, channel: socket.socket, plan: Plan) -> None:
        self._starter = starter
        self._channel = channel
        self._plan = plan
        self._loop = Loop()
        self._target: int | None = None
        """A pidfd of who gets the signals."""
        self._early: list[int] = []
        self._received: bytes | None = b""
        """The rest of what the supervisor reports; None once it has ended."""
        self._result: dict[str, Any] = {}
        self._kept: list[int] = []

    def run(self) -> int:
        """Returns the wait status to end with."""
        tree.adopt()
        ours, theirs = socket.socketpair()
        supervisor = os.fork()
        if supervisor == 0:
            ours.close()
            self._supervise(theirs)
        theirs.close()
        self._channel.close()
        tree.let_go_of_inherited()
        signals = kernel.signal_descriptor(tree.FORWARDED)
        self._loop.watch(signals, lambda _events: self._pass_on(signals, ours))
        self._loop.watch(ours.fileno(), lambda _events: self._listen(ours))
        self._loop.watch(self._starter.fileno(), lambda _events: self._starter_gone(ours))
        self._loop.watch(os.pidfd_open(supervisor), lambda _events: self._loop.stop())
        self._loop.run()
        while self._received is not None:
            self._listen(ours)
        gone = _reap(supervisor)
        tree.end_descendants()
        if gone != 0:
            self._tidy_up()
        tree.remove(self._plan.temporary)
        return self._conclude(gone)

    def _tidy_up(self) -> None:
        """Do what the supervisor has not come to."""
        with suppress(OSError):
            Places(self._plan.folder, self._plan.cid).clear_after_another()

    def _supervise(self, guardian: socket.socket) -> NoReturn:
        code = 1
        try:
            self._starter.close()
            arch = this_architecture()
            if arch is not None:
                supervise(self._plan, arch, guardian, self._channel)
                code = 0
        except BaseException:  # noqa: BLE001  # A mistake of ours; the guardian tells the user.
            import traceback

            traceback.print_exc()
        os._exit(code)

    def _pass_on(self, signals: int, supervisor: socket.socket) -> None:
        number, code = kernel.read_signal(signals)
        if not tree.was_sent_to_us(code):
            return
        if self._plan.initramfs is not None:
            # An enclave gets none: nitro-cli's process switches it off (signal_handler.rs).
            self._end_run(supervisor, {"ended": int(signal.SIGKILL)})
            return
        if self._target is None:
            self._early.append(number)
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._target, number)

    def _listen(self, supervisor: socket.socket) -> None:
        """Take what the supervisor reports."""
        try:
            # The listener comes too: while we have it, nobody is told ENOSYS where the supervisor
            # was killed and the program is about to be.
            part, descriptors, _, _ = socket.recv_fds(supervisor, 1 << 16, 1)
            self._kept += descriptors
        except ConnectionResetError:
            part = b""
        if not part or self._received is None:
            self._loop.forget(supervisor.fileno())
            self._received = None
            return
        *lines, self._received = (self._received + part).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "process" not in message:
            self._result = dict(message)
            return
        with suppress(ProcessLookupError):
            self._target = os.pidfd_open(message["process"])
            for number in self._early:
                signal.pidfd_send_signal(self._target, number)

    def _starter_gone(self, supervisor: socket.socket) -> None:
        self._loop.forget(self._starter.fileno())
        if self._plan.initramfs is not None:  # Switched off, which is no failure.
            self._end_run(supervisor, {"ended": int(signal.SIGKILL)})
            return
        failed = "whoever started the run has ended, and the run with it"
        self._end_run(supervisor, {"failed": failed})

    def _end_run(self, supervisor: socket.socket, result: dict[str, Any]) -> None:
        self._result = result
        # The end of what we say lets it end everybody and tidy up.
        supervisor.shutdown(socket.SHUT_WR)
        self._loop.later(_PATIENCE_SECONDS, tree.end_descendants)

    def _conclude(self, gone: int | None) -> int:
        if not self._result:
            how = "" if gone is None or not os.WIFSIGNALED(gone) else _killed(gone)
            self._result = {
                "failed": f"the supervisor ended{how} before the program did; the program and all "
                "that it had started were ended, since nobody could answer their system calls"
            }
        with suppress(OSError):
            self._starter.sendall(json.dumps(self._result).encode() + b"\n")
        if "ended" in self._result:
            return int(self._result["ended"])
        tell(self._result["failed"])
        return int(self._result.get("code", OUR_FAILURE)) << 8


def _killed(status: int) -> str:
    return f" ({signal.Signals(os.WTERMSIG(status)).name})"


def _reap(process: int) -> int | None:
    """Its wait status; None if it was reaped before."""
    try:
        return os.waitpid(process, 0)[1]
    except ChildProcessError:
        return None
