"""The keeper of one unit of one machine: starts its process, starts it again, ends it.

What of systemd it is: Type=simple, Restart=always after 100 ms (RestartSec, documented), and an end
to that after five starts of which none has lasted for ten seconds: for the time between starts,
which systemd counts (StartLimitBurst, documented), a slow machine would not do. Its lines in the
journal are `inferred`, of systemd 252. It ends with its process at SIGTERM, and where the machine's
folder has been removed; its process ends with it, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from scenarios.workload import leash
from simulator.detached import words
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.nitro_cli.places import VARIABLE
from simulator.packages import services, unit_process
from simulator.packages.unit_process import Kept, State
from simulator.vsock_proxy.shipped import CONFIGURATION

_RESTART_SECONDS = 0.1
_MOST_STARTS = 5
_LASTING_SECONDS = 10.0
_LOOK_SECONDS = 2.0
"""How often it looks whether its folder is there still."""
_END_SECONDS = 5.0
_CHUNK = 1 << 16
_STDOUT = 1
_CLEAN_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)
_STATUSES = {1: "FAILURE", 2: "INVALIDARGUMENT"}


def main() -> None:
    """The program, with the machine's folder and the unit's name as its arguments."""
    machine, name = Path(sys.argv[1]), sys.argv[2]
    # Whoever started it may have been about to hold them, and does not tell.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lock = os.open(
        unit_process.lock_file(machine, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # Another keeps it.
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    with closing(Keeper(machine, services.UNITS[name], lock)) as keeper:
        keeper.run()


def child() -> None:
    """The unit's process: vsock-proxy, which says on a descriptor that it listens."""
    from simulator.vsock_proxy.main import main as vsock_proxy

    leash.put_on()
    ready = int(sys.argv[1])

    def listening() -> None:
        os.write(ready, b"x")
        os.close(ready)

    sys.exit(vsock_proxy(sys.argv[2:], listening))


class Keeper:
    """Keeps one unit; whoever makes it holds the lock."""

    def __init__(self, machine: Path, unit: services.Unit, lock: int) -> None:
        self._machine = machine
        self._unit = unit
        self._lock = lock
        self._is_told = False
        self._has_reported = False
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        signal.signal(signal.SIGTERM, self._tell)
        signal.set_wakeup_fd(self._waker.fileno())

    def close(self) -> None:
        """Let go of what it waits with."""
        signal.set_wakeup_fd(-1)
        self._waker.close()
        self._woken.close()

    def run(self) -> None:
        """Keep the unit until it is stopped, or starts too often in vain."""
        starts = restarts = 0
        while not self._is_over():
            starts += 1
            since = time.monotonic()
            code = self._live()
            if self._is_over():
                return
            if time.monotonic() - since > _LASTING_SECONDS:
                starts = 0
            self._has_ended(code)
            if starts == _MOST_STARTS:
                self._give_up(code)
                return
            self._keep(State.ACTIVATING, exit_code=code)
            self._wait(_RESTART_SECONDS)
            restarts += 1
            self._note(
                f"{self._unit.name}: Scheduled restart job, restart counter is at {restarts}."
            )

    def _live(self) -> int:
        """One process, from its start to its end; returns its exit code."""
        reader, writer = os.pipe()
        process = subprocess.Popen(  # noqa: S603  # Our own module, no shell.
            words("simulator.packages.keeper", "child", [str(writer), *self._words()]),
            cwd="/",
            env={
                "PATH": os.defpath,
                "RUST_LOG": "warn",
                VARIABLE: os.fspath(self._machine),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(writer,),
        )
        os.close(writer)
        self._note(f"Started {self._unit.name} - {self._unit.description}.")
        try:
            return self._follow(process, reader)
        finally:
            os.close(reader)
            for pipe in (process.stdin, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _words(self) -> list[str]:
        """Of the unit's ExecStart, which asks the instance's metadata for the region."""
        try:
            region = Configuration.read(self._machine / "machine.json").region
        except BadConfiguration as error:
            self._note(str(error))
            region = "null"  # As jq -r says it of what is not there.
        target = f"kms.{region}.amazonaws.com"
        return ["8000", target, "443", "--config", CONFIGURATION]

    def _follow(self, process: subprocess.Popen[bytes], ready: int) -> int:
        """Until it ends, or is to end."""
        errors = process.stderr
        if errors is None:
            raise RuntimeError("the process was started without a pipe")
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(errors, selectors.EVENT_READ)
            selector.register(ready, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._is_over():
                for key, _ in selector.select(_LOOK_SECONDS):
                    if key.fileobj is errors:
                        chunk = os.read(errors.fileno(), _CHUNK)
                        rest = self._pass_on(rest + chunk, is_last=not chunk)
                        if not chunk:
                            return process.wait()
                    elif key.fileobj == ready:
                        selector.unregister(ready)
                        if os.read(ready, 1):
                            self._keep(State.ACTIVE, process.pid)
                            self._report()
                    else:
                        self._woken.recv(_CHUNK)
        return _end(process)

    def _pass_on(self, text: bytes, *, is_last: bool) -> bytes:
        """Whole lines go to the journal; returns what is left of one."""
        *lines, rest = text.decode(errors="replace").split("\n")
        if is_last and rest:
            lines, rest = [*lines, rest], ""
        if lines:
            with suppress(OSError):
                services.note(self._machine, self._unit.identifier, lines)
        return rest.encode()

    def _has_ended(self, code: int) -> None:
        name = self._unit.name
        if code < 0 and -code in _CLEAN_SIGNALS:
            self._note(f"{name}: Deactivated successfully.")
            return
        if code < 0:
            how = f"code=killed, status={-code}/{signal.Signals(-code).name.removeprefix('SIG')}"
        else:
            how = f"code=exited, status={code}/{_STATUSES.get(code, 'n/a')}"
        result = "signal" if code < 0 else "exit-code"
        self._note(f"{name}: Main process exited, {how}")
        self._note(f"{name}: Failed with result '{result}'.")

    def _give_up(self, code: int) -> None:
        name = self._unit.name
        self._note(f"{name}: Start request repeated too quickly.")
        self._note(f"{name}: Failed with result 'exit-code'.")
        self._note(f"Failed to start {name} - {self._unit.description}.")
        self._keep(State.FAILED, exit_code=code)
        self._report()

    def _keep(self, state: State, process: int = 0, exit_code: int = 0) -> None:
        with suppress(OSError):  # On a full disk it is told that it still runs, which is so.
            kept = Kept(state, time.time(), process, exit_code)
            unit_process.write(self._machine, self._unit.name, kept)

    def _report(self) -> None:
        """Let go of who waits for its first success or its failure: the end of standard output."""
        if not self._has_reported:
            self._has_reported = True
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, _STDOUT)
            os.close(nowhere)

    def _note(self, line: str) -> None:
        with suppress(OSError):
            services.note(self._machine, "systemd", [line])

    def _wait(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.select(seconds)

    def _tell(self, *_: object) -> None:
        self._is_told = True

    def _is_over(self) -> bool:
        """Whether it has been told to end, or its folder is no more."""
        if self._is_told:
            return True
        try:
            found = unit_process.lock_file(self._machine, self._unit.name).stat()
        except OSError:
            return True
        held = os.fstat(self._lock)
        return (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino)


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
