"""What `attested-kms run` puts around a program: an NSM, a fabric, the run, its end.

The run itself is `simulator.interpose`; here its NSM is made, or that of a server is joined.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.enclaves import BadEnclave, Enclaves
from simulator.fabric import temporary_fabric
from simulator.interpose import kernel, tree
from simulator.interpose.faults import BadFault
from simulator.interpose.places import ENCLAVE_CID, PARENT_CID
from simulator.interpose.plan import Role, Rung
from simulator.interpose.probe import SHORTCOMINGS, NoRung, probe
from simulator.interpose.run import BadRun, Handle, Options, Run, check_folder
from simulator.joined import CannotJoin, find_server, joined_enclave

FAILED = 125
USAGE = 2


class CannotRun(Exception):
    """Why the program is not run and what to do, in sentences; and the exit code."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    program: tuple[str, ...]
    role: Role = Role.ENCLAVE
    cid: int | None = None
    pcrs: Mapping[str, str]
    """By number, hexadecimal, as POST /enclaves has them."""
    role_arn: str | None = None
    instance_id: str | None = None
    debug_mode: bool = False
    region: str = "us-east-1"
    isolate: bool | None = None
    fabric: Path | None = None
    join: str | None = None
    token: str | None = None
    seed: str | None = None
    faults: tuple[str, ...] = ()
    verbose: bool = False


def run(request: Request, tell: Callable[[str], None]) -> int:
    """Run the program to its end; returns its wait status. `tell` gets complaints.

    Raises CannotRun.
    """
    note = tell if request.verbose else _nothing
    # Before anything has a thread: probing forks, and signals are for the program.
    rung = _rung(request)
    mask = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, tree.FORWARDED))
    note(f"runs by {rung.value}")
    for shortcoming in SHORTCOMINGS[rung]:
        note(f"not as on hardware: {shortcoming}")
    try:
        with ExitStack() as stack:
            handle = stack.enter_context(_nsm(request, tell, note))
            options = Options(
                fabric=_fabric(request, stack),
                rung=rung,
                cid=_cid(request),
                role=request.role,
                faults=request.faults,
                descriptors=_inherited(),
                blocked_signals=mask,
                verbose=request.verbose,
            )
            note(f"CID {options.cid} in the fabric {options.fabric}")
            started = stack.enter_context(Run(request.program, handle, options))
            status = _wait(started)
            counts = ", ".join(f"{name} {count}" for name, count in started.counts.items())
            note(f"answered: {counts or 'nothing'}")
            return status
    except (BadFault, BadRun) as error:
        raise CannotRun(str(error), exit_code=USAGE) from error


def _nothing(_sentence: str) -> None:
    """Say nothing."""


def _rung(request: Request) -> Rung:
    isolate = False if request.role is Role.PARENT else request.isolate
    try:
        return probe().choose(isolate=isolate)
    except NoRung as error:
        raise CannotRun(str(error)) from error


def _cid(request: Request) -> int:
    if request.cid is not None:
        return request.cid
    return PARENT_CID if request.role is Role.PARENT else ENCLAVE_CID


def _fabric(request: Request, stack: ExitStack) -> Path:
    if request.fabric is None:
        return stack.enter_context(temporary_fabric()).folder
    check_folder(request.fabric)
    try:
        request.fabric.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(
            f"The fabric's folder {request.fabric} cannot be used ({error.strerror}); give another "
            "--fabric.",
            exit_code=USAGE,
        ) from error
    if not os.access(request.fabric, os.W_OK | os.X_OK):
        raise CannotRun(
            f"No sockets can be made in the fabric's folder {request.fabric}: it belongs to "
            "somebody else; give another --fabric.",
            exit_code=USAGE,
        )
    return request.fabric


@contextmanager
def _nsm(
    request: Request, tell: Callable[[str], None], note: Callable[[str], None]
) -> Iterator[Handle | None]:
    """The NSM of the enclave; None for a parent, which has none."""
    if request.role is Role.PARENT:
        yield None
        return
    context = _own_nsm(request) if request.join is None else _joined_nsm(request, tell)
    with context as (handle, enclave):
        note(f"enclave {enclave['enclave_id']}")
        for index in ("0", "1", "2", "3", "4", "8"):
            note(f"PCR{index} {enclave['pcrs'][index]}")
        yield handle


_Nsm = tuple[Handle, Mapping[str, Any]]
"""An NSM, and its enclave as POST /enclaves describes it."""


@contextmanager
def _joined_nsm(request: Request, tell: Callable[[str], None]) -> Iterator[_Nsm]:
    try:
        server = find_server(request.join or "", request.token)
        with joined_enclave(server, _wanted(request), tell) as joined:
            yield joined
    except CannotJoin as error:
        raise CannotRun(str(error)) from error


@contextmanager
def _own_nsm(request: Request) -> Iterator[_Nsm]:
    from nsm_fake import NsmPki, system_clock

    pki = NsmPki(None if request.seed is None else request.seed.encode())
    try:
        enclave = Enclaves(pki, system_clock, region=request.region).create(_wanted(request))
    except BadEnclave as error:
        raise CannotRun(str(error).replace("pcrs.", "--pcr"), exit_code=USAGE) from error
    yield enclave.nsm.handle, enclave.describe()


def _wanted(request: Request) -> dict[str, Any]:
    """The members of POST /enclaves."""
    members = {
        "pcrs": dict(request.pcrs) or None,
        "role_arn": request.role_arn,
        "instance_id": request.instance_id,
        "debug_mode": request.debug_mode or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _inherited() -> tuple[int, ...]:
    """The descriptors beside the standard ones that the caller passes on to its programs."""
    kept = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # Of this process, at this moment.
        try:
            inheritable = os.get_inheritable(int(name))
        except OSError:
            continue  # The listing's own.
        if int(name) > 2 and inheritable:
            kept.append(int(name))
    return tuple(sorted(kept))


def _wait(started: Run) -> int:
    """Pass signals on until the run ends; returns its wait status."""
    signals = kernel.signal_descriptor(tree.FORWARDED)
    ended = os.pidfd_open(started.process_id)
    poll = select.poll()
    for descriptor in (signals, ended):
        poll.register(descriptor, select.POLLIN)
    try:
        while ended not in (ready := [descriptor for descriptor, _ in poll.poll()]):
            if signals in ready:
                number, code = kernel.read_signal(signals)
                if tree.was_sent_to_us(code):
                    started.send_signal(number)
    finally:
        os.close(signals)
        os.close(ended)
    code = started.wait()
    return -code if code < 0 else code << 8
