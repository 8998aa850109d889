"""run-enclave, as the enclave's own process goes about it: who fails first.

The order of aws-nitro-enclaves-cli v1.4.4, src/enclave_proc/commands.rs and resource_manager.rs:
`inferred`, read and not run. What a step takes of the machine is given back when a later one fails.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from time import monotonic, sleep

from simulator.interpose.tree import remove
from simulator.machine import failures, memory
from simulator.machine.cpu_pool_file import read_cpu_pool
from simulator.machine.driver import DEVICE, Driver, IoctlFailed, Slot
from simulator.machine.enclave import Enclave
from simulator.machine.failures import Refused
from simulator.machine.heartbeat import HeartbeatListener, PortTaken
from simulator.machine.huge_pages import HugePages
from simulator.machine.making import Host
from simulator.machine.parts import (
    TIMED_OUT,
    BadImage,
    Booted,
    BootFailed,
    BootRequest,
    Image,
    Nsm,
    Parts,
    UnreadableImage,
)
from simulator.machine.process_log import MANAGER, ProcessLog
from simulator.machine.requests import RunArguments
from simulator.nitro_cli.rust_text import debug, quoted

_MIB = 1 << 20
_GIB = 1 << 30
_TIMES_IMAGE = 4
_MINUTE_AND_A_HALF = 90.0
_END_OF_FILE = 'Error { kind: UnexpectedEof, message: "failed to fill whole buffer" }'
_BAD_ADDRESS = OSError(14, os.strerror(14))


@dataclass(frozen=True, slots=True)
class Teller:
    """Who hears what while an enclave is launched."""

    say: Callable[[str], None]
    """A line that nitro-cli prints on standard error."""
    notice: Callable[[str], None]
    """A sentence of the simulator's own."""


@dataclass(frozen=True, slots=True)
class _Eif:
    """The image file."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Launcher:
    """Launches enclaves on a machine; several at a time."""

    host: Host
    parts: Parts
    lock: RLock
    """Held for the driver and the huge pages."""
    fabric: Path
    scratch: Path
    log: ProcessLog
    settle: Callable[[int], None]
    """Waits until nothing is left of an earlier enclave with a CID."""
    begun: Callable[[Booted], None]
    """Hears of an enclave that has been started, before its heartbeat. May raise CannotSimulate."""

    def run(self, asked: RunArguments, name: str, user: int, teller: Teller) -> Enclave:
        """Launch one. Raises Refused, and CannotSimulate."""
        with ExitStack() as stack:
            try:
                enclave = _Launch(self, asked, teller, stack).run(name, user)
            except Refused as refused:
                failure = refused.failure.within(
                    "Failed to trigger enclave run",
                    "Failed to execute command `Run`",
                    action=failures.RUN,
                )
                raise Refused(replace(failure, process=self.log.writer)) from refused
            stack.pop_all()
        return enclave


@dataclass(slots=True)
class _Launch:
    """One launch; what it took is on the stack."""

    launcher: Launcher
    asked: RunArguments
    teller: Teller
    stack: ExitStack

    def run(self, name: str, user: int) -> Enclave:
        asked, log = self.asked, self._log
        log.info(571, f"Enclave process PID: {os.getpid()}")
        log.info(479, "Received command: Run")
        eif = _opened(asked)
        self._check_cpus()
        _check_size(asked, eif)
        self._check_device()
        slot = self._create()
        if not asked.memory:
            raise failures.no_memory_asked()
        self._check_image(eif)
        self.teller.say("Start allocating memory...")
        with self.launcher.lock:
            self._take_memory(eif, slot)
            self._take_cpus(slot)
        enclave = self._start(eif, slot, name, user)
        log.info(281, f"Enclave ID = {enclave.enclave_id}")
        return enclave

    @property
    def _log(self) -> ProcessLog:
        return self.launcher.log.of_command(self.asked.logs)

    def _check_cpus(self) -> None:
        asked, host = self.asked, self.launcher.host
        with self.launcher.lock:
            host.driver.take_up()
        pool = read_cpu_pool(host.root)
        if asked.cpu_ids is not None:
            unique = sorted(set(asked.cpu_ids))
            if duplicates := len(asked.cpu_ids) - len(unique):
                # Run together without a space, as the real one has them.
                which = "".join(str(cpu) for cpu in unique if asked.cpu_ids.count(cpu) > 1)
                raise failures.duplicate_cpus(duplicates, which)
            for cpu in unique:
                if cpu not in pool:
                    raise failures.cpu_not_in_pool(cpu)
        elif asked.cpu_count is None:
            raise failures.no_cpus_asked()
        elif asked.cpu_count > len(pool):
            raise failures.too_many_cpus(asked.cpu_count, len(pool))

    def _check_device(self) -> None:
        device = self.launcher.host.root / DEVICE.lstrip("/")
        try:
            os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise failures.device_not_opened(DEVICE, debug(error)) from error

    def _create(self) -> Slot:
        with self.launcher.lock:
            try:
                slot = self.launcher.host.driver.create()
            except IoctlFailed as failed:
                raise failures.vm_not_created(str(failed)) from failed
        self.stack.callback(self._release, slot)
        return slot

    def _release(self, slot: Slot) -> None:
        with self.launcher.lock:
            self.launcher.host.driver.release(slot)

    def _check_image(self, eif: _Eif) -> None:
        try:
            self.launcher.parts.images.check(eif.path)
        except BadImage as error:
            reason = quoted(error.real_text)
            if error.is_signature:
                raise failures.signature_wrong(reason) from error
            raise failures.signature_not_checked(reason) from error

    def _take_memory(self, eif: _Eif, slot: Slot) -> None:
        wanted, host, log = self.asked.memory, self.launcher.host, self._log
        log.info(353, f"Allocating memory regions to hold {wanted} bytes.", file=MANAGER)
        missing = memory.allocate(host.driver, slot, wanted)
        if missing:
            raise failures.memory_not_available(missing // _MIB, wanted // _MIB)
        log.info(435, _allocated(slot), file=MANAGER)
        if not _may_touch(host.pages, slot):
            raise failures.eif_not_read(debug(_BAD_ADDRESS))
        try:
            size = eif.path.stat().st_size
        except OSError as error:
            raise failures.eif_not_read(debug(error)) from error
        if size < eif.size:  # Somebody writes it anew meanwhile.
            raise failures.eif_not_read(_END_OF_FILE)
        for page, number in sorted(slot.pages.items(), key=lambda item: -item[0].size):
            try:
                host.driver.add_regions(slot, page, number)
            except IoctlFailed as failed:
                raise failures.region_not_set(str(failed)) from failed
        log.info(675, "Finished initializing memory.", file=MANAGER)

    def _take_cpus(self, slot: Slot) -> None:
        cpus = self.asked.cpu_ids
        for cpu in (0,) * (self.asked.cpu_count or 0) if cpus is None else cpus:
            try:
                self.launcher.host.driver.add_vcpu(slot, cpu)
            except IoctlFailed as failed:
                named = None if cpus is None else cpu
                raise failures.vcpu_not_added(str(failed), named) from failed

    def _start(self, eif: _Eif, slot: Slot, name: str, user: int) -> Enclave:
        host = self.launcher.host
        try:
            listener = self.stack.enter_context(HeartbeatListener(self.launcher.fabric))
            listener.bind()
        except (PortTaken, OSError) as error:
            raise failures.heartbeat_not_bound() from error
        with self.launcher.lock:
            cid = _started(host.driver, slot, self.asked.enclave_cid)
        self.teller.say(
            f"Started enclave with enclave-cid: {cid}, memory: {slot.memory // _MIB} MiB, "
            f"cpu-ids: {slot.vcpus}"
        )
        self.launcher.settle(cid)
        scratch = self.launcher.scratch / f"{slot.uid:x}"
        image, nsm, booted = self._boot(eif, slot, cid, scratch, listener)
        self._await(booted, _patience(eif.size, slot.memory))
        listener.close()
        uid = slot.uid if nsm.slot_uid is None else nsm.slot_uid
        return Enclave(
            name=name,
            enclave_id=f"{host.instance_id()}-enc{uid:x}",
            uid=uid,
            slot=slot,
            cid=cid,
            debug_mode=self.asked.debug_mode,
            user=user,
            logs=self.asked.logs,
            image=image,
            nsm=nsm,
            booted=booted,
            scratch=scratch,
            socket=host.socket(uid),
        )

    def _boot(
        self, eif: _Eif, slot: Slot, cid: int, scratch: Path, listener: HeartbeatListener
    ) -> tuple[Image, Nsm, Booted]:
        parts, debug_mode = self.launcher.parts, self.asked.debug_mode
        try:
            self.stack.callback(remove, [str(scratch)])
            image = parts.images.read(eif.path, self.asked.version)
            nsm = parts.nsm(slot.uid, image, debug=debug_mode)
            self.stack.callback(nsm.close)
            booted = parts.boot(
                BootRequest(
                    eif=eif.path,
                    scratch=scratch,
                    fabric=self.launcher.fabric,
                    cid=cid,
                    handle=nsm.handle,
                    debug=debug_mode,
                    memory=slot.memory,
                    heartbeat=listener,
                )
            )
            self.stack.callback(booted.close)
            self.launcher.begun(booted)
        except (BootFailed, UnreadableImage) as error:
            self._wait_in_vain(monotonic())
            raise self._not_booted(str(error), TIMED_OUT) from error
        return image, nsm, booted

    def _await(self, booted: Booted, patience: float) -> None:
        chosen = self.launcher.host.configuration.heartbeat_wait
        began = monotonic()
        try:
            booted.wait_heartbeat(patience if chosen is None else chosen)
        except BootFailed as failed:
            self._wait_in_vain(began)
            raise self._not_booted(str(failed), failed.error) from failed

    def _wait_in_vain(self, began: float) -> None:
        """No heartbeat will come: somebody may want to see it waited for, as nitro-cli does."""
        chosen = self.launcher.host.configuration.heartbeat_wait or 0.0
        sleep(max(0.0, began + chosen - monotonic()))

    def _not_booted(self, reason: str, error: str) -> Refused:
        text = f"Waiting on enclave to boot failed with error {error}. Terminating the enclave..."
        self._log.error(424, text)
        self.teller.notice(
            "The enclave did not boot, and nitro-cli does not tell why. What is known here: "
            f"{reason.rstrip('.')}."
        )
        return failures.no_heartbeat(error)


def _opened(asked: RunArguments) -> _Eif:
    path = Path(asked.path)
    try:
        # A pipe that nobody writes to would hold the real one for ever.
        descriptor = os.open(asked.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise failures.eif_not_opened(asked.eif_path, debug(error)) from error
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return _Eif(path, status.st_size if not stat.S_ISFIFO(status.st_mode) else 0)


def _check_size(asked: RunArguments, eif: _Eif) -> None:
    if _TIMES_IMAGE * eif.size > asked.memory:
        least = -(-eif.size // _MIB) * _TIMES_IMAGE
        raise failures.below_four_times(asked.memory_mib, least)


def _allocated(slot: Slot) -> str:
    counts: Counter[int] = Counter()
    for page, number in slot.pages.items():
        counts[page.size // _MIB] += number
    listed = [f"{number} page(s) of {size} MB" for size, number in sorted(counts.items()) if number]
    return f"Allocated {counts.total()} region(s): {', '.join(listed)}"


def _may_touch(pages: HugePages, slot: Slot) -> bool:
    for page, number in slot.pages.items():
        allowance = pages.allowance(page.size_kib)
        if allowance is not None and number * page.size > allowance:
            return False
    return True


def _started(driver: Driver, slot: Slot, cid: int | None) -> int:
    try:
        return driver.start(slot, cid)
    except IoctlFailed as failed:
        raise failures.not_started(str(failed)) from failed


def _patience(eif_size: int, memory_size: int) -> float:
    """How long nitro-cli waits for a heartbeat (calculate_necessary_timeout)."""
    for_image = max(1, -(-eif_size // (6 * _GIB)))
    for_memory = max(1, -(-memory_size // (100 * _GIB)))
    return (for_image + for_memory) * _MINUTE_AND_A_HALF
