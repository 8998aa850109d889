"""Booting an enclave image file: its ramdisks unpacked, its program under the supervisor.

The kernel and the init of the image do not run: this machine's kernel does their work, and
`simulator.interpose.init` what init does. What an enclave does before its heartbeat goes wrong
without a word to whoever started it, as on a real instance; its console tells.

Source: `simulator.interpose.init`, `simulator.machine.ramdisk` and those of nitro-cli's enclave
process (src/enclave_proc/resource_manager.rs); inferred where they are.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nsm_fake.eif import Eif, Reading, Section
from simulator.interpose.plan import Rung
from simulator.interpose.probe import NoRung, probe
from simulator.interpose.run import BadRun, Handle, Options, Run
from simulator.interpose.tree import remove
from simulator.machine.console import Console
from simulator.machine.heartbeat import HeartbeatListener, NoHeartbeat
from simulator.machine.ramdisk import OutOfMemory, Ramdisks

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LARGEST = 16 << 30
"""Bytes that ramdisks may unpack to where no memory is given."""
_BUFFER = 1 << 20
_INITRAMFS = "initramfs"
_LAST_WORDS = 5


class CannotBoot(Exception):
    """This machine cannot boot the image: the message says why and what to do."""


class BootFailed(Exception):
    """The enclave ended, or said something else, before its heartbeat.

    `error` is what nitro-cli calls it, `console` the last lines of the console, for people.
    """

    def __init__(self, error: str, console: str) -> None:
        said = f"; the last that it said: {console}" if console else "; it said nothing"
        super().__init__(f"the enclave did not report that it lives ({error}){said}")
        self.error = error
        self.console = console


class Booted:
    """An enclave that was started. A context manager; at its end the enclave ends.

    Its methods may be called from several threads.
    """

    def __init__(
        self, run: Run, console: Console, heartbeat: HeartbeatListener, scratch: Path
    ) -> None:
        self.console = console
        self.ended = os.pidfd_open(run.process_id)
        """A descriptor that is readable once the enclave has ended."""
        self._run = run
        self._heartbeat = heartbeat
        self._scratch = scratch
        self._is_open = True
        self._closing = Lock()
        self._expecting = Lock()
        """Held while the heartbeat is waited for."""

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
        """Of a process that the enclave ends with."""
        return self._run.process_id

    def wait_heartbeat(self, timeout: float | None = None) -> None:
        """Return when the enclave has reported that it lives; the port is free then.

        Raises BootFailed; at once where it has ended, for which nitro-cli waits in vain. Raises
        CannotBoot where it has not begun.
        """
        try:
            with self._expecting, self._heartbeat:
                self._heartbeat.wait(timeout, ended=self.ended)
        except NoHeartbeat as missing:
            if self.has_ended():
                self.wait()
            if self._run.failure is not None:
                raise CannotBoot(f"The enclave cannot be booted: {self._run.failure}.") from None
            raise BootFailed(missing.error, self._last_words()) from missing

    def has_ended(self) -> bool:
        """Whether the enclave has ended, or is being switched off."""
        return not self._is_open or bool(select.select([self.ended], [], [], 0)[0])

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the enclave's end, and until its console has been given out.

        Returns its program's exit code as `subprocess` has it, or that of its init if the kernel
        did not survive. Raises subprocess.TimeoutExpired.
        """
        code = self._run.wait(timeout)
        self.console.join()
        return code

    def was_killed(self) -> bool:
        """Wait for the enclave's end; whether its process was killed, which is no end in order."""
        self._run.wait()
        return self._run.was_lost

    def close(self) -> None:
        """Switch the enclave off, if it has not ended, and remove what is left of it."""
        with self._closing:
            if not self._is_open:
                return
            self._is_open = False
            self._run.close()
            self.console.join()
            with self._expecting:  # Which ends, for the enclave has ended.
                self._heartbeat.close()
                os.close(self.ended)
            remove([str(self._scratch)])

    def _last_words(self) -> str:
        lines = self.console.output.decode(errors="replace").splitlines()
        return " / ".join(lines[-_LAST_WORDS:])


def boot(  # noqa: PLR0913  # By keyword; the last four have defaults.
    eif: Path,
    *,
    scratch: Path,
    fabric: Path,
    cid: int,
    nsm_handle: Handle | None,
    debug: bool,
    console: Console | None = None,
    heartbeat: HeartbeatListener | None = None,
    memory: int | None = None,
    rung: Rung | None = None,
) -> Booted:
    """Start the enclave of an image file; returns as soon as its processes are started.

    `scratch` is a folder that does not exist yet; it is removed with the enclave, also where this
    process is killed. `heartbeat` is a listener that is bound, else one is bound here (PortTaken).
    In debug mode, and only then, the console can be connected to. `memory` is the enclave's, in
    bytes. The technique is the best that works, if none is given.

    Raises CannotBoot, EifError, and PortTaken.
    """
    if sys.platform != "linux":
        _choose_rung()  # Which raises, for unpacking takes Linux too.
    image = Eif.open(eif, Reading.AS_BOOTED)
    with ExitStack() as failing, ThreadPoolExecutor(1) as other:
        chosen = other.submit(_choose_rung if rung is None else lambda: rung)
        if heartbeat is None:
            heartbeat = _listen(fabric)
            failing.callback(heartbeat.close)
        _make(scratch)
        failing.callback(remove, [str(scratch)])
        complaints = _unpack(image, scratch / _INITRAMFS, memory or _LARGEST)
        options = Options(
            fabric=fabric,
            rung=chosen.result(),
            cid=cid,
            environment={},
            blocked_signals=frozenset(),
            ignores_children=False,
            initramfs=scratch / _INITRAMFS,
            temporary=(scratch,),
        )
        console = console or Console(fabric, cid)
        run = _start(options, console, nsm_handle, complaints, served=debug)
        failing.pop_all()
    return Booted(run, console, heartbeat, scratch)


def _choose_rung() -> Rung:
    try:
        return _probed().choose_for_boot()
    except NoRung as error:
        raise CannotBoot(f"No enclave can be booted here: {error}") from None


_probed = cache(probe)


def _listen(fabric: Path) -> HeartbeatListener:
    try:
        heartbeat = HeartbeatListener(fabric)
        heartbeat.bind()
    except OSError as error:
        raise CannotBoot(
            f"The fabric's folder {fabric} cannot be used ({error.strerror or error})."
        ) from error
    return heartbeat


def _make(scratch: Path) -> None:
    """Only its owner may enter it: there are set-user-ID programs in images."""
    try:
        scratch.mkdir(mode=0o700)
        (scratch / _INITRAMFS).mkdir(mode=0o755)
    except OSError as error:
        raise CannotBoot(
            f"The enclave's files cannot be unpacked into {scratch} ({error.strerror or error})."
        ) from error


def _unpack(image: Eif, folder: Path, memory: int) -> list[str]:
    """Returns what the kernel complains of."""
    complaints = []
    try:
        with Ramdisks(folder, limit=memory) as ramdisks:
            for section in image.ramdisks:
                with open_section(image, section) as content:
                    complaint = ramdisks.unpack(content)
                if complaint is not None:
                    complaints.append(complaint)
            ramdisks.finish()
    except OutOfMemory:
        pass  # What is missing, init will miss.
    except OSError as error:
        raise CannotBoot(
            f"The enclave's files cannot be unpacked into {folder} ({error.strerror or error}); "
            "make room there, or give another folder."
        ) from error
    return complaints


def open_section(image: Eif, section: Section) -> io.BufferedReader:
    """A section's content as a file. Raises EifUnreadable."""
    return io.BufferedReader(_Part(image.path, section.content, section.size), _BUFFER)


class _Part(io.RawIOBase):
    """A part of a file."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(start)
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        count = self._file.readinto(memoryview(buffer)[: self._left])
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _start(
    options: Options,
    console: Console,
    nsm_handle: Handle | None,
    complaints: Iterable[str],
    *,
    served: bool,
) -> Run:
    try:
        terminal = console.start(served=served)
    except OSError as error:
        raise CannotBoot(
            f"The enclave's console cannot be made ({error.strerror or error}): it takes a "
            "terminal of /dev/pts, and in debug mode a socket in the fabric's folder."
        ) from error
    try:
        for complaint in complaints:
            os.write(terminal, f"{complaint}\n".encode())
        return Run([], nsm_handle, options, stdin=terminal, stdout=terminal, stderr=terminal)
    except BadRun as error:
        raise CannotBoot(str(error)) from error
    finally:
        os.close(terminal)
