"""The machine: its instance, its enclaves, and what may be asked of it.

No sockets and no process of its own: that is the broker's.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Condition, Event, RLock, Thread, get_ident
from typing import Any

from simulator.interpose.places import PATH_MAX
from simulator.interpose.tree import remove
from simulator.machine import failures
from simulator.machine.enclave import EMPTY, RUNNING, TERMINATING, Enclave
from simulator.machine.launch import Launcher, Teller
from simulator.machine.making import Host
from simulator.machine.parts import Booted, CannotSimulate, Parts
from simulator.machine.process_log import CONNECTION, ProcessLog
from simulator.machine.process_log import PATH as PROCESS_LOG
from simulator.machine.requests import AllocateArguments, RunArguments
from simulator.nitro_cli.rust_text import debug

_ROOT_USER = 0
_END_SECONDS = 30.0


class Machine:
    """One machine. Thread-safe. `changed` is called after its enclaves have become others."""

    def __init__(
        self,
        folder: Path,
        host: Host,
        parts: Parts,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._host = host
        self._changed = changed
        self._lock = RLock()
        self._enclaves: dict[str, Enclave] = {}
        self._launching = 0
        self._launched = Condition(self._lock)
        """Told when there is one launch less."""
        self._begun: dict[int, Booted] = {}
        """By thread, enclaves that have not been heard of yet."""
        self._is_closing = False
        self._closing: dict[int, Event] = {}
        """By CID, enclaves that have ended and of which something is still there."""
        self._log = ProcessLog(host.root / PROCESS_LOG.lstrip("/"), os.getpid())
        scratch = folder / "enclaves"
        # Nobody uses what a killed broker left there.
        remove([str(scratch)])
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        for socket_of_a_gone in host.sockets.glob("*.sock"):
            socket_of_a_gone.unlink()
        self._launcher = Launcher(
            host, parts, self._lock, folder / "vsock", scratch, self._log, self._settle, self._begin
        )
        host.driver.take_up()

    @property
    def is_idle(self) -> bool:
        """Whether it has no enclave and launches none."""
        with self._lock:
            return not self._enclaves and not self._launching

    @property
    def enclaves(self) -> list[Enclave]:
        """Those that run, oldest first."""
        with self._lock:
            return list(self._enclaves.values())

    def run(self, asked: RunArguments, user: int, teller: Teller) -> dict[str, Any]:
        """Launch an enclave; what run-enclave prints. Raises failures.Refused, CannotSimulate."""
        with self._lock:
            self._check_open()
            self._launching += 1
            wanted = asked.enclave_name
            name = self._free_name(asked.default_name if wanted is None else wanted)
        try:
            enclave = self._launcher.run(asked, name, user, teller)
            answer = enclave.run_answer()
            self._add(enclave)
        except failures.Refused:
            self._check_open()
            raise
        finally:
            with self._launched:
                self._launching -= 1
                self._begun.pop(get_ident(), None)
                self._launched.notify_all()
        return answer

    def _check_open(self) -> None:
        if self._is_closing:
            raise CannotSimulate("The machine is being stopped, and its enclaves with it.")

    def _begin(self, booted: Booted) -> None:
        with self._lock:
            self._check_open()
            self._begun[get_ident()] = booted

    def describe(self) -> list[dict[str, Any]]:
        """What describe-enclaves prints."""
        return [enclave.description() for enclave in self.enclaves]

    def display(self, *, with_metadata: bool) -> dict[str, list[dict[str, Any]]]:
        """What describe-enclaves prints, and the failures of those who cannot say it.

        The process of an enclave that fails so ends, and its enclave with it.
        """
        shown, failed = [], []
        for enclave in self.enclaves:
            failure = enclave.not_described(with_metadata=with_metadata)
            if failure is None:
                shown.append(enclave.description())
                continue
            log = self._log_of(enclave)
            failed.append(replace(failure, process=log.writer).to_json())
            with self._lock:
                if enclave.state != RUNNING:
                    continue
                enclave.state = TERMINATING
            self._end(enclave)
            log.info(541, f"Enclave process {enclave.booted.process_id} exited event loop.")
        return {"enclaves": shown, "failures": failed}

    def terminate(self, enclave_id: str, user: int, teller: Teller) -> dict[str, Any] | None:
        """End an enclave; what terminate-enclave prints.

        None for a user who may not: whoever ran it, and root, may. Raises failures.Refused.
        """
        with self._lock:
            enclave = self._enclaves.get(enclave_id)
            if enclave is None or enclave.state != RUNNING:
                error = FileNotFoundError(2, os.strerror(2))
                failure = failures.no_such_enclave(debug(error)).failure
                raise failures.Refused(failure.within(action=failures.TERMINATE))
            if user not in (enclave.user, _ROOT_USER):
                self._log_of(enclave).warn(
                    197,
                    f"The requester with uid {user} is not allowed to perform 'Terminate'.",
                    file=CONNECTION,
                )
                return None
            enclave.state = TERMINATING
        self._end(enclave)
        log = self._log_of(enclave)
        log.info(315, "Enclave has completed termination.")
        log.info(541, f"Enclave process {enclave.booted.process_id} exited event loop.")
        teller.say(f"Successfully terminated enclave {enclave.enclave_id}.")
        return {"EnclaveName": enclave.name, "EnclaveID": enclave.enclave_id, "Terminated": True}

    def allocate(self, asked: AllocateArguments) -> dict[str, Any]:
        """Run the allocator."""
        with self._lock:
            self._host.driver.take_up()
            outcome = self._host.allocate(asked.install_dir, asked.directory)
        return {
            "lines": list(outcome.lines),
            "errors": list(outcome.errors),
            "exit_code": outcome.exit_code,
        }

    def status(self) -> dict[str, Any]:
        """What the machine is and holds."""
        with self._lock:
            host, instance = self._host, self._host.configuration.instance
            host.driver.take_up()
            nodes = range(instance.numa_nodes)
            return {
                "folder": str(self._folder),
                "instance_id": host.configuration.instance_id,
                "instance": asdict(instance),
                "region": host.configuration.region,
                "driver": host.driver.is_present,
                "cpu_pool": {
                    "free": host.driver.available,
                    "used": sorted(cpu for one in self.enclaves for cpu in one.slot.vcpus),
                },
                "huge_pages": [
                    {
                        "node": node,
                        "size_kib": size,
                        "pages": host.pages.count(node, size),
                        "free": host.pages.free(node, size),
                    }
                    for node in nodes
                    for size in instance.page_sizes_kib
                    if host.pages.count(node, size)
                ],
                "enclaves": self.describe(),
                "join": host.configuration.join,
                "root_certificate": str(self._folder / "root.pem"),
                "broker_process": os.getpid(),
            }

    def close(self) -> None:
        """End all enclaves, those too that are being launched, and launch no more."""
        with self._lock:
            self._is_closing = True
            begun = [*self._begun.values()]
        for booted in begun:
            booted.close()
        with self._launched:
            self._launched.wait_for(lambda: not self._launching, _END_SECONDS)
        for enclave in self.enclaves:
            with self._lock:
                if enclave.state != RUNNING:
                    continue
                enclave.state = TERMINATING
            self._end(enclave)

    def _free_name(self, wanted: str) -> str:
        names = {enclave.name for enclave in self._enclaves.values()}
        name, index = wanted, 0
        while name in names:
            index += 1
            name = f"{wanted}_{index}"
        return name

    def _add(self, enclave: Enclave) -> None:
        with self._lock:
            # At once: a socket without an enclave is a stale one, and whoever finds it deletes it.
            _make_socket(enclave.socket)
            self._enclaves[enclave.enclave_id] = enclave
        self._changed()
        # Of its own: who terminates the enclave closes the other.
        ended = os.dup(enclave.booted.ended)
        Thread(
            target=self._watch, args=(enclave, ended), name=enclave.enclave_id, daemon=True
        ).start()

    def _watch(self, enclave: Enclave, ended: int) -> None:
        """Notice an enclave's end: nobody is told, as on a real one, but what it had is free."""
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.poll()
        os.close(ended)
        was_killed = enclave.booted.was_killed()
        with self._lock:
            if enclave.state != RUNNING:  # It is being terminated, or has been.
                return
            enclave.state = TERMINATING
            # Its process ends at once, and with it what it had: who looks sees neither.
            self._forget(enclave, leaves_socket=was_killed)
            self._closing[enclave.cid] = Event()
        log = self._log_of(enclave)
        if was_killed:  # With its enclave, which ends; there is nobody who could log it.
            self._end(enclave, leaves_socket=True)
            return
        log.warn(207, "Received hang-up event from the enclave. Enclave process will shut down.")
        self._end(enclave)
        log.info(541, f"Enclave process {enclave.booted.process_id} exited event loop.")

    def _end(self, enclave: Enclave, *, leaves_socket: bool = False) -> None:
        """Of one that is terminating: once only."""
        with self._lock:
            closed = self._closing.setdefault(enclave.cid, Event())
        try:
            enclave.booted.close()
            enclave.nsm.close()
        finally:
            with self._lock:
                self._forget(enclave, leaves_socket=leaves_socket)
                enclave.state = EMPTY
                del self._closing[enclave.cid]
            closed.set()
            remove([str(enclave.scratch)])
            self._changed()

    def _forget(self, enclave: Enclave, *, leaves_socket: bool) -> None:
        self._host.driver.release(enclave.slot)
        self._enclaves.pop(enclave.enclave_id, None)
        if not leaves_socket:
            with suppress(OSError):
                enclave.socket.unlink()

    def _settle(self, cid: int) -> None:
        """Wait until nothing is left of an enclave that had the CID."""
        with self._lock:
            closing = self._closing.get(cid)
        if closing is not None:
            closing.wait(_END_SECONDS)

    def _log_of(self, enclave: Enclave) -> ProcessLog:
        log = self._log.of_command(enclave.logs)
        return log.of_enclave(enclave.uid, enclave.booted.process_id)


def _make_socket(path: Path) -> None:
    """The enclave process's socket, for who looks into the folder: the broker answers for it."""
    with suppress(OSError):
        if len(os.fsencode(path)) > PATH_MAX:
            path.touch()
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
            unix.bind(str(path))
