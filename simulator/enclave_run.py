"""What `attested-kms run` puts around a program: an NSM, a fabric, a parent, the run, its end.

The run itself is `simulator.interpose`; here its NSM and KMS are made, or those of a server joined.
"""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from simulator.enclaves import BadEnclave, Enclaves
from simulator.fabric import temporary_fabric
from simulator.interpose import kernel, tree
from simulator.interpose.faults import BadFault
from simulator.interpose.places import ENCLAVE_CID, PARENT_CID
from simulator.interpose.plan import Role, Rung
from simulator.interpose.probe import SHORTCOMINGS, NoRung, probe
from simulator.interpose.run import BadRun, Handle, Options, Run, check_folder
from simulator.joined import CannotJoin, find_server, joined_enclave
from simulator.run_services import BadService, Forward, Services, Trust, offered

if TYPE_CHECKING:
    from kms_fake import KmsFake
    from simulator.parent_services.imds import Instance

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"
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
    region: str | None = None
    """None for that of the joined server, or us-east-1."""
    isolate: bool | None = None
    fabric: Path | None = None
    join: str | None = None
    token: str | None = None
    seed: str | None = None
    faults: tuple[str, ...] = ()
    kms: bool = False
    imds_port: int | None = None
    forwards: tuple[str, ...] = ()
    verbose: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    """More for the program's environment."""


def run(request: Request, tell: Callable[[str], None]) -> int:
    """Run the program to its end; returns its wait status. `tell` gets complaints.

    Raises CannotRun.
    """
    # Before anything has a thread: signals are for the program.
    with _signals_held() as signals:
        return _run(request, signals, tell)


@dataclass(frozen=True, slots=True)
class _Signals:
    """What the program is to inherit."""

    blocked: frozenset[int]
    ignores_children: bool


@contextmanager
def _signals_held() -> Iterator[_Signals]:
    """Those that are passed on held back from this process, and its children's ends told.

    They are as they were if all fails. After a program that has run they stay held: what waits was
    for it.
    """
    children = signal.signal(signal.SIGCHLD, signal.SIG_DFL) or signal.SIG_DFL
    mask = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, tree.FORWARDED))
    try:
        yield _Signals(mask, children is signal.SIG_IGN)
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGCHLD, children)
        raise


def _run(request: Request, signals: _Signals, tell: Callable[[str], None]) -> int:
    note = tell if request.verbose else _nothing
    tree.take_standard_numbers()
    rung = _rung(request)
    note(f"runs by {rung.value}")
    for shortcoming in SHORTCOMINGS[rung]:
        note(f"not as on hardware: {shortcoming}")
    # As it is now: to make a KMS puts aside what is AWS's in it.
    environment = dict(os.environ)
    try:
        with ExitStack() as stack:
            fabric = _fabric(request, stack)
            world = stack.enter_context(_world(request, tell, note))
            folder = TemporaryDirectory(prefix="attested-kms-", ignore_cleanup_errors=True)
            scratch = Path(stack.enter_context(folder))
            services = _parent(request, world, fabric, rung, environment, scratch)
            trust = stack.enter_context(services)
            options = Options(
                fabric=fabric,
                rung=rung,
                cid=_cid(request),
                role=request.role,
                environment={**environment, **request.variables, **trust.environment},
                faults=request.faults,
                overlays=trust.overlays,
                descriptors=tree.inherited_descriptors(),
                blocked_signals=signals.blocked,
                ignores_children=signals.ignores_children,
                temporary=(scratch,) if request.fabric is not None else (scratch, fabric),
                verbose=request.verbose,
            )
            note(f"CID {options.cid} in the fabric {options.fabric}")
            started = stack.enter_context(Run(request.program, world.handle, options))
            tree.let_go_of_inherited()
            status = _wait(started)
            counts = ", ".join(f"{name} {count}" for name, count in started.counts.items())
            note(f"traps answered: {counts or 'none'}")
            if started.was_lost:
                raise CannotRun(started.failure or "")
            return status
    except (BadFault, BadRun, BadService) as error:
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


@dataclass(frozen=True, slots=True)
class _World:
    """Whose enclave it is."""

    handle: Handle | None
    """Its NSM; None for a parent, which has none."""
    region: str
    account: str
    kms_endpoint: str | None
    fake: KmsFake | None = None
    """The run's own KMS, if that is what answers there."""


@contextmanager
def _world(
    request: Request, tell: Callable[[str], None], note: Callable[[str], None]
) -> Iterator[_World]:
    if request.role is Role.PARENT:
        yield _World(None, "", "", None)
        return
    context = _own_world(request, note) if request.join is None else _joined(request, tell, note)
    with context as world:
        yield world


@contextmanager
def _joined(
    request: Request, tell: Callable[[str], None], note: Callable[[str], None]
) -> Iterator[_World]:
    try:
        server = find_server(request.join or "", request.token)
        with joined_enclave(server, _wanted(request), tell) as (handle, enclave):
            _describe(enclave, note)
            region = request.region or server.region
            yield _World(handle, region, server.account, server.kms_endpoint)
    except CannotJoin as error:
        raise CannotRun(str(error)) from error


@contextmanager
def _own_world(request: Request, note: Callable[[str], None]) -> Iterator[_World]:
    from nsm_fake import NsmPki, system_clock

    region = request.region or DEFAULT_REGION
    pki = NsmPki(None if request.seed is None else request.seed.encode())
    try:
        enclave = Enclaves(pki, system_clock, region=region).create(_wanted(request))
    except BadEnclave as error:
        raise CannotRun(str(error).replace("pcrs.", "--pcr"), exit_code=USAGE) from error
    _describe(enclave.describe(), note)
    handle = enclave.nsm.handle
    account = _account(request)
    if not request.kms:
        yield _World(handle, region, account, None)
        return
    from kms_fake import KmsFake, serving
    from kms_fake.roots import root_from_der
    from simulator.environment import away_from_aws

    fake = KmsFake([root_from_der(pki.root_certificate_der)], clock=system_clock, account=account)
    with away_from_aws(), serving(fake) as server:
        yield _World(handle, region, account, server.endpoint, fake)


def _account(request: Request) -> str:
    """That of the parent's role."""
    match = re.fullmatch(r"arn:[^:]+:iam::([0-9]{12}):.*", request.role_arn or "")
    return match[1] if match else DEFAULT_ACCOUNT


@contextmanager
def _parent(
    request: Request,
    world: _World,
    fabric: Path,
    rung: Rung,
    environment: Mapping[str, str],
    scratch: Path,
) -> Iterator[Trust]:
    """What the parent offers, and who it is at KMS."""
    forwards = tuple(Forward.parse(text) for text in request.forwards)
    instance = None
    if request.imds_port is not None or world.fake is not None:
        instance = _instance(request, world)
    if world.fake is not None and instance is not None:
        # Whatever credentials the program has, they can only be the parent's.
        world.fake.default_caller = instance.caller()
    services = Services(
        kms_endpoint=world.kms_endpoint if request.kms else None,
        imds_port=request.imds_port,
        forwards=forwards,
        region=world.region,
    )
    with offered(
        services, fabric, instance, rung=rung, environment=environment, scratch=scratch
    ) as trust:
        yield trust


def _instance(request: Request, world: _World) -> Instance:
    from simulator.parent_services.imds import BadInstance, Instance

    default = Instance.default(world.account, world.region)
    try:
        return replace(
            default,
            role_arn=request.role_arn or default.role_arn,
            instance_id=request.instance_id or default.instance_id,
        )
    except BadInstance as error:
        raise BadService(f"--role-arn: {error}") from error


def _describe(enclave: Mapping[str, Any], note: Callable[[str], None]) -> None:
    note(f"enclave {enclave['enclave_id']}")
    for index in ("0", "1", "2", "3", "4", "8"):
        note(f"PCR{index} {enclave['pcrs'][index]}")


def _wanted(request: Request) -> dict[str, Any]:
    """The members of POST /enclaves."""
    members = {
        "pcrs": dict(request.pcrs) or None,
        "role_arn": request.role_arn,
        "instance_id": request.instance_id,
        "debug_mode": request.debug_mode or None,
    }
    return {name: value for name, value in members.items() if value is not None}


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
