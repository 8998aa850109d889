"""The broker: the process that is the machine, as long as it has enclaves or is asked.

Started with the machine's folder by `simulator.nitro_cli.connection`, which has the protocol. Of
two started at once, one gets the lock and the other ends. It holds no stream, folder or terminal of
whoever started it. An enclave does not outlive it, and it ends in order at SIGTERM, SIGINT and
SIGHUP, and where its folder has been removed: nobody could ask it any more.
"""

from __future__ import annotations

import fcntl
import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Lock, Thread
from time import monotonic, sleep

from simulator.instance.launched import complete
from simulator.interpose.places import PARENT_CID, Places
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.machine.conversation import Listener, Warnings, turn_away
from simulator.machine.late_parts import late_parts, warm
from simulator.machine.machine import Machine
from simulator.machine.making import CannotMake, Host, ensure_made
from simulator.machine.parts import Parts
from simulator.machine.state import BadState, KnownEnclave, read_state, write_state
from simulator.nitro_cli.connection import installation
from simulator.nitro_cli.places import MachineFolder
from simulator.packages.installed import Damaged

_log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 128
_BREATH_SECONDS = 0.1
_LOOK_SECONDS = 5.0
"""How often it looks whether its folder is there still."""
_HYPERVISOR_CID = 0
_LONGEST_LOG = 1 << 20

PartsMaker = Callable[[Path, Configuration], Parts]


class CannotServe(Exception):
    """Why the machine cannot be: a sentence for whoever asked first."""


class Broker:
    """Answers for one machine, from its construction on; whoever makes it holds the folder's lock.

    Raises CannotServe.
    """

    def __init__(
        self, folder: MachineFolder, parts: PartsMaker, warm: Callable[[], None] = lambda: None
    ) -> None:
        self._folder = folder
        self._state_lock = Lock()
        self._room = BoundedSemaphore(_MOST_CONNECTIONS)
        self._open = 0
        self._open_lock = Lock()
        self._last = monotonic()
        self._stopping = False
        self._is_removed = False
        self._waker, self._woken = socket.socketpair()
        self._warnings = Warnings()
        try:
            ensure_made(folder.path)
            configuration = Configuration.read(folder.path / "machine.json")
            lost = read_state(folder.path / "state.json")
            if lost:
                _log.warning("%s", _obituary(lost))
                self._warnings.add(_obituary(lost))
            complete(folder.path, configuration)
            host = Host.open(folder.path, configuration)
            self.machine = Machine(
                folder.path, host, parts(folder.path, configuration), self._keep_state
            )
            _clear_away(folder.fabric, lost)
            self._socket = self._bound()
        except (CannotMake, BadConfiguration, BadState, Damaged) as error:
            self._let_go()
            raise CannotServe(str(error)) from error
        except OSError as error:
            self._let_go()
            raise CannotServe(
                f"The machine's folder {folder.path} cannot be used ({error.strerror or error})."
            ) from error
        self._idle_seconds = configuration.idle_seconds
        self._listener = Listener(
            folder.path, self.machine, lost, self._warnings, self.stop, installation()
        )
        self._warm, self._is_cold = warm, Lock()
        self._keep_state()

    def stop(self) -> None:
        """Let `serve` end. From any thread, or a signal's handler."""
        self._stopping = True
        with suppress(OSError):
            self._woken.send(b"x")

    def serve(self) -> None:
        """Answer until told to stop, or until nobody has needed the machine for a while."""
        try:
            with self._socket as listener:
                self._accept_until_idle(listener)
                while not self._stopping and self._has_come(listener):
                    self._accept_until_idle(listener)
        finally:
            if self._can_be_found:
                self._folder.socket.unlink(missing_ok=True)
            self.machine.close()
            self._let_go()

    def _let_go(self) -> None:
        self._waker.close()
        self._woken.close()

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            self._folder.socket.unlink()
        listener.bind(str(self._folder.socket))
        self._identity = _identity(self._folder.socket)
        listener.listen(_MOST_CONNECTIONS)
        listener.setblocking(False)
        return listener

    @property
    def _can_be_found(self) -> bool:
        """Whether the socket is where clients look. Folders are removed with all they hold."""
        return _identity(self._folder.socket) == self._identity

    def _has_come(self, listener: socket.socket) -> bool:
        """Whether somebody has come in at the last moment; else nobody can any more."""
        if self._is_removed:
            return False
        # Put aside, and not removed: the socket has a queue.
        aside = self._folder.socket.with_suffix(".ending")
        try:
            self._folder.socket.rename(aside)
            if self._accept(listener):
                aside.rename(self._folder.socket)
                return True
            aside.unlink()
        except OSError as error:
            _log.warning("The socket %s cannot be used: %s", self._folder.socket, error)
        return False

    def _accept_until_idle(self, listener: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while not self._stopping:
                if not self._can_be_found:
                    self._is_removed = True
                    return
                remaining = self._idle_seconds - (monotonic() - self._last)
                if self._is_needed:
                    remaining = self._idle_seconds
                elif remaining <= 0:
                    return
                for key, _ in selector.select(min(max(0.01, remaining), _LOOK_SECONDS)):
                    if key.fileobj is listener:
                        self._accept(listener)

    @property
    def _is_needed(self) -> bool:
        return self._open > 0 or not self.machine.is_idle

    def _accept(self, listener: socket.socket) -> bool:
        """Take who is waiting; whether there was anybody."""
        anybody = False
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return anybody
            except OSError as error:
                # No descriptor is left, say: who waits must go on waiting.
                _log.warning("No connection can be taken: %s", error)
                sleep(_BREATH_SECONDS)
                return anybody
            anybody = True
            self._last = monotonic()
            if not self._room.acquire(blocking=False):
                turn_away(connection, f"{_MOST_CONNECTIONS} others ask")
                continue
            with self._open_lock:
                self._open += 1
            try:
                Thread(target=self._converse, args=(connection,), daemon=True).start()
            except RuntimeError as error:  # This user's processes and threads are too many.
                _log.warning("Nobody can be listened to: %s", error)
                turn_away(connection, "no thread can be started")
                self._has_gone()

    def _converse(self, connection: socket.socket) -> None:
        try:
            self._listener.converse(connection)
        finally:
            self._room.release()
        try:
            if self._is_cold.acquire(blocking=False):
                self._warm()
        finally:
            self._has_gone()

    def _has_gone(self) -> None:
        with self._open_lock:
            self._open -= 1
            self._last = monotonic()

    def _keep_state(self) -> None:
        if self._is_removed:
            return  # Somebody may be removing what is left just now.
        with self._state_lock:
            known = [
                KnownEnclave(one.name, one.enclave_id, one.cid, one.booted.process_id)
                for one in self.machine.enclaves
            ]
            try:
                write_state(self._folder.path / "state.json", known)
            except OSError as error:
                self._warnings.add(
                    f"The machine's state cannot be written to {self._folder.path} "
                    f"({error.strerror}): if its broker is killed now, nobody will be told which "
                    "enclaves were lost."
                )


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _obituary(lost: tuple[KnownEnclave, ...]) -> str:
    named = ", ".join(f"{one.name} ({one.id})" for one in lost)
    return (
        f"The machine's broker was killed, and its enclaves ended with it: {named}. Their CPUs and "
        "memory are free again."
    )


def _clear_away(fabric: Path, lost: tuple[KnownEnclave, ...]) -> None:
    """The vsock addresses of enclaves that have gone."""
    for cid in {_HYPERVISOR_CID, PARENT_CID, *(one.cid for one in lost)}:
        Places(fabric, cid).clear_after_another()


def run_broker(folder: MachineFolder) -> int:
    """Take the lock and serve; 0, also where another has it already."""
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    try:
        broker = Broker(folder, late_parts, warm)
    except CannotServe as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    is_under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    for number in (signal.SIGTERM, signal.SIGINT, *(() if is_under_nohup else (signal.SIGHUP,))):
        signal.signal(number, lambda *_: broker.stop())
    broker.serve()
    return 0


def main() -> None:
    """The program, with the machine's folder as its argument."""
    folder = MachineFolder(Path(sys.argv[1]))
    # Whoever started it may have been about to hold them, and does not tell.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.umask(0o022)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    log = folder.path / "broker.log"
    with suppress(OSError):
        if log.stat().st_size > _LONGEST_LOG:
            os.truncate(log, 0)
    sys.exit(run_broker(folder))
