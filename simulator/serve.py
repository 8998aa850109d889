"""`attested-kms serve`: the KMS fake as a server for any SDK, until it is told to stop.

Everything that was asked for is read and checked before the port is opened, so that a server that
answers is the whole one.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from moto.core import DEFAULT_ACCOUNT_ID

from kms_fake import KmsFake, KmsServer, RuleSet, Settings, serving
from kms_fake.authorization import IdentityPermissions, Principal
from kms_fake.caller_arns import NoCaller
from kms_fake.callers import Caller, default_principal
from kms_fake.given_keys import GivenKey, add_key, is_region
from kms_fake.http_server import LOOPBACK, HttpServer, is_loopback
from kms_fake.roots import BadRoot
from nsm_fake import NsmPki
from simulator import folder
from simulator.clock import SimulatedClock
from simulator.environment import away_from_aws
from simulator.key_file import Defaults, Progress, read_keys
from simulator.management import Managed, UnsafeListener, managing
from simulator.principal_file import named_principal, read_principals, without_session
from simulator.roots import SIMULATED, roots_named
from simulator.user_files import BadFile

_PROGRESS_SECONDS = 2.0


class CannotServe(Exception):
    """Why the server does not start and what to do, in sentences; and the exit code."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for."""

    host: str = LOOPBACK
    port: int = 0
    roots: tuple[str, ...] = ()
    """`sim`, `aws` and files; none means `sim`."""
    seed: str | None = None
    rules: str = RuleSet.AWS.value
    account: str | None = None
    region: str = "us-east-1"
    caller: str | None = None
    """An ARN, or the end of one."""
    keys: Path | None = None
    principals: Path | None = None
    folder: Path | None = None
    management_port: int | None = None
    """None for no management listener."""
    management_token: str | None = None


def serve(options: Options, *, show: Callable[[str], None], tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. When ready, shows one JSON line.

    `{"kms_endpoint": URL, "root_certificate": FILE, "rules": NAME, "account": ..., "region": ...}`;
    FILE is PEM with every trusted root; it is removed at the end unless it is in a folder of the
    user's. With a management listener the line has `"management_endpoint": URL` too. `tell` gets
    warnings and progress. Raises CannotServe.
    """
    with away_from_aws(), ExitStack() as stack:
        home = _home(options, stack)
        seed = _seed(options, home)
        pki = NsmPki(seed)
        trusted = [root for name in options.roots or [SIMULATED] for root in _roots(name, pki)]
        clock = SimulatedClock()
        fake = _configured(options, seed, trusted, clock, tell)
        with _signals_held() as signals, ExitStack() as running:
            root_file = _root_file(home, trusted, running)
            management = {}
            managed = Managed(fake, clock, pki, region=options.region)
            # First, so that a listener that may not be is refused before KMS can be reached.
            if options.management_port is not None:
                manager = running.enter_context(_managing(managed, options))
                management["management_endpoint"] = manager.endpoint
            server = running.enter_context(_listening(fake, options))
            if not is_loopback(options.host):
                tell(_exposed(server.endpoint))
            ready = {
                "kms_endpoint": server.endpoint,
                "root_certificate": str(root_file),
                "rules": options.rules,
                "account": fake.account,
                "region": options.region,
                **management,
            }
            managed.server = ready
            show(json.dumps(ready))
            signal.sigwait(signals)


def _home(options: Options, stack: ExitStack) -> Path | None:
    """The user's folder, locked."""
    if options.folder is None:
        return None
    try:
        stack.enter_context(folder.locked(options.folder))
    except folder.FolderUnusable as error:
        raise CannotServe(str(error)) from error
    return options.folder


def _seed(options: Options, home: Path | None) -> bytes | None:
    if options.seed is not None:
        return options.seed.encode()
    try:
        return None if home is None else folder.seed_of(home)
    except folder.FolderUnusable as error:
        raise CannotServe(str(error)) from error


def _roots(name: str, pki: NsmPki) -> list[Certificate]:
    try:
        return roots_named(name, pki)
    except BadRoot as error:
        raise CannotServe(str(error)) from error


def _root_file(home: Path | None, trusted: list[Certificate], stack: ExitStack) -> Path:
    pem = b"".join(root.public_bytes(Encoding.PEM) for root in trusted)
    if home is None:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="attested-kms-")))
    try:
        return folder.keep_root(home, pem).absolute()
    except folder.FolderUnusable as error:
        raise CannotServe(str(error)) from error


def _configured(
    options: Options,
    seed: bytes | None,
    trusted: list[Certificate],
    clock: SimulatedClock,
    tell: Callable[[str], None],
) -> KmsFake:
    """The KMS with everything that the user's files say."""
    if not is_region(options.region):
        raise CannotServe(
            f"There is no Region {options.region}; give one such as us-east-1.", exit_code=2
        )
    caller = _caller(options)
    defaults = Defaults(caller.account, options.region, seed)
    problems: list[str] = []
    keys: list[GivenKey] = []
    callers: dict[str, Caller] = {}
    try:
        if options.keys is not None:
            progress = told_after(_PROGRESS_SECONDS, tell, f"{options.keys}: keys read")
            keys = read_keys(options.keys, defaults, progress)
    except BadFile as error:
        problems += error.problems
    try:
        if options.principals is not None:
            callers = read_principals(options.principals, defaults)
    except BadFile as error:
        problems += error.problems
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise CannotServe(f"Nothing was started, because of what is wrong:{lines}", exit_code=2)
    for key in keys:
        add_key(key)
    settings = Settings(rule_set=RuleSet(options.rules))
    fake = KmsFake(trusted, clock=clock, settings=settings, account=caller.account)
    fake.callers = callers
    fake.default_caller = _default_caller(options, caller, callers)
    return fake


def _caller(options: Options) -> Principal:
    """Who calls with an access key that nobody knows."""
    account = options.account or DEFAULT_ACCOUNT_ID
    if options.caller is None:
        return default_principal(account, options.region)
    try:
        caller = named_principal(options.caller, Defaults(account, options.region))
    except NoCaller as error:
        raise CannotServe(f"--caller: {error}.", exit_code=2) from error
    if options.account not in (None, caller.account):
        raise CannotServe(
            f"--caller {caller.arn} is of another account than --account {options.account}; give "
            "the same account, or leave --account out.",
            exit_code=2,
        )
    return caller


def _default_caller(
    options: Options, caller: Principal, listed: Mapping[str, Caller]
) -> Caller | None:
    """That caller with the policies of the principals file if it is there, else all of KMS.

    None is the parent instance's role, whose partition is that of each request.
    """
    same_role = [
        known for known in listed.values() if known.principal.principal_arn == caller.principal_arn
    ]
    for known in same_role:
        if known.principal == caller:
            return known
    if same_role:
        return Caller(caller, without_session(same_role[0].identity))
    return None if options.caller is None else Caller(caller, IdentityPermissions.all_of_kms())


def told_after(seconds: float, tell: Callable[[str], None], what: str) -> Progress:
    """Progress that tells nothing of what takes less than `seconds`, and then once in as long."""
    due = time.monotonic() + seconds

    def progress(done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            tell(f"{what}: {done} of {total}")
            due = time.monotonic() + seconds

    return progress


@contextmanager
def _signals_held() -> Iterator[set[signal.Signals]]:
    """SIGTERM and SIGINT held back from this thread and those it starts, to be waited for.

    A handler could run at any moment, also while what it wants to touch is locked. They stay held
    back afterwards: the process is about to end, and another one must change nothing.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield signals
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise


@contextmanager
def _listening(fake: KmsFake, options: Options) -> Iterator[KmsServer]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serving(fake, host=options.host, port=options.port))
        except OSError as error:
            raise CannotServe(
                f"Port {options.port} of {options.host} cannot be used "
                f"({error.strerror or error}); give another --port, or 0 for any free one"
                f"{'' if is_loopback(options.host) else ', and an address of this machine'}."
            ) from error
        yield server


@contextmanager
def _managing(managed: Managed, options: Options) -> Iterator[HttpServer]:
    host, port = options.host, options.management_port or 0
    with ExitStack() as stack:
        try:
            server = stack.enter_context(
                managing(managed, host=host, port=port, token=options.management_token)
            )
        except UnsafeListener as error:
            raise CannotServe(str(error), exit_code=2) from error
        except OSError as error:
            raise CannotServe(
                f"Port {port} of {host} cannot be used for management "
                f"({error.strerror or error}); give another --management-port, or 0 for any free "
                "one."
            ) from error
        yield server


def _exposed(endpoint: str) -> str:
    return (
        f"warning: {endpoint} is open beyond this machine: whoever reaches it can use, change and "
        "delete every key and policy, since signatures are not checked. It protects nothing; keep "
        "real keys and real secrets out of it."
    )
