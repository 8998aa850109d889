"""The command `vsock-proxy`: from its words to the exit code.

1 for a failure, 2 for wrong usage, 101 for a panic; a signal ends it as it ends the real one, and
its socket's file goes with it. 70 is our own: there is no machine.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from simulator.nitro_cli.main import NO_MACHINE
from simulator.nitro_cli.numbers import NotANumber, unsigned
from simulator.nitro_cli.places import FolderRefused, MachineFolder
from simulator.nitro_cli.presence import NOT_FOUND, is_missing, not_found
from simulator.nitro_cli.rust_text import quoted
from simulator.nitro_cli.session import CannotPrint, write
from simulator.nitro_cli.usage import Shown, UsageError
from simulator.parent_services.listener import Stop
from simulator.vsock_proxy.allowlist import Target, check
from simulator.vsock_proxy.arguments import Given, read
from simulator.vsock_proxy.failure import Failed, Panic
from simulator.vsock_proxy.names import HOSTS, Family, Lookup, Names, system_lookup
from simulator.vsock_proxy.proxy import Panics, Proxy
from simulator.vsock_proxy.proxy import listening as listen
from simulator.vsock_proxy.rust_log import Log, to_standard_error
from simulator.vsock_proxy.shipped import CONFIGURATION

_FAILED, _WRONG_USAGE, _PANICKED = 1, 2, 101
_STDOUT, _STDERR = 1, 2
_NAME = "vsock-proxy"
_HIGHEST_PORT, _HIGHEST_VSOCK_PORT, _HIGHEST_SIZE = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1
_INSTANCE_FOLDER = CONFIGURATION.rpartition("/")[0] + "/"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str], listening: Callable[[], None] = lambda: None) -> int:
    """Run one command line; returns the exit code, or ends by the signal that ended it.

    `listening` is called once it listens.
    """
    if is_missing(os.environ, _NAME):
        write(_STDERR, not_found(_NAME))
        return NOT_FOUND
    stop = Stop()
    with closing(stop), _told_by_signals(stop) as caught:
        exit_code = serve(arguments, os.environ, stop, listening=listening)
    if caught:
        signal.signal(caught[0], signal.SIG_DFL)
        os.kill(os.getpid(), caught[0])
    return exit_code


def serve(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    stop: Stop,
    lookup: Lookup = system_lookup,
    listening: Callable[[], None] = lambda: None,
) -> int:
    """Run one command line until told to stop; returns the exit code."""
    log = Log(environ.get("RUST_LOG", ""), to_standard_error)
    try:
        given = read(arguments)
        _proxy(given, MachineFolder.locate(environ), log, stop, lookup, listening)
    except Shown as shown:
        return _show(f"{shown}\n")
    except UsageError as error:
        log.write(f"{str(error).encode(errors='surrogateescape').decode(errors='replace')}\n")
        return _WRONG_USAGE
    except Failed as error:
        log.write(f"Error: {quoted(str(error))}\n")
        return _FAILED
    except Panic as panic:
        Panics(log).say(panic, "main")
        return _PANICKED
    except FolderRefused as error:
        log.write(f"vsock-proxy (attested-kms): {error}\n")
        return NO_MACHINE
    return 0


def _proxy(
    given: Given,
    machine: MachineFolder,
    log: Log,
    stop: Stop,
    lookup: Lookup,
    listening: Callable[[], None],
) -> None:
    port = _number(given.local_port, _HIGHEST_VSOCK_PORT, "Local port is not valid")
    family = Family.V4 if given.ipv4 else Family.V6 if given.ipv6 else Family.ANY
    remote_port = _number(given.remote_port, _HIGHEST_PORT, "Remote port is not valid")
    workers = _number(given.workers, _HIGHEST_SIZE, "Number of workers is not valid")
    if workers == 0:
        raise Failed("Number of workers must not be 0")
    log.inform("vsock_proxy", "Checking allowlist configuration")
    target = Target(given.remote_addr, remote_port, family)
    names = Names(machine.on_instance(HOSTS), lookup)
    with _failing("Error at checking the allowlist"):
        check(target, _configuration(given.config, machine), names, log)
    proxy = Proxy(target, workers, names, log)
    with ExitStack() as stack:
        with _failing("Could not listen for connections"):
            listener = stack.enter_context(listen(machine.fabric, port, log))
        log.inform("vsock_proxy", "Proxy is now in listening state")
        listening()
        with _failing("Could not accept connection"):
            proxy.serve(listener, stop)


def _configuration(name: str, machine: MachineFolder) -> Path:
    """The file: of the instance, if it is named as one of its own, or of this system.

    Raises Failed.
    """
    if not name:  # Which Path takes for the current folder.
        raise Failed("Could not open the file")
    return machine.on_instance(name) if name.startswith(_INSTANCE_FOLDER) else Path(name)


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except Failed as error:
        raise Failed(f"{what}: {error}") from error


def _number(text: str, highest: int, complaint: str) -> int:
    try:
        return unsigned(text, highest)
    except NotANumber as error:
        raise Failed(complaint) from error


def _show(text: str) -> int:
    try:
        write(_STDOUT, text)
    except CannotPrint:
        return _PANICKED
    return 0


@contextmanager
def _told_by_signals(stop: Stop) -> Iterator[list[int]]:
    """Stop at the signals that end a process; yields those that came."""
    caught: list[int] = []

    def tell(number: int, _: object) -> None:
        caught.append(number)
        stop.tell()

    before = {}
    if threading.current_thread() is threading.main_thread():
        # One that is ignored (nohup, `&` in a script) stays so.
        before = {one: signal.getsignal(one) for one in _ENDING}
        for one in _ENDING:
            if before[one] is not signal.SIG_IGN:
                signal.signal(one, tell)
    try:
        yield caught
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
