"""The command `nitro-cli`: one command line, from its words to the exit code.

Exit codes are the real one's: a failure's number, 2 for wrong usage, 101 for standard output that
nobody reads (a panic of the real one). 70 is our own: there is no machine to ask, or its broker
fails; a sentence on standard error says why. 127 is a shell's: the machine has no such command.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import EPIPE
from importlib import import_module

from simulator.nitro_cli.command_line import Given, read
from simulator.nitro_cli.connection import BrokerUnreachable
from simulator.nitro_cli.places import FolderRefused, MachineFolder
from simulator.nitro_cli.presence import NOT_FOUND, is_missing, not_found
from simulator.nitro_cli.session import CannotPrint, Failed, Session, write
from simulator.nitro_cli.usage import Shown, UsageError
from simulator.nitro_cli.versions import VERSIONS

VERSION_VARIABLE = "ATTESTED_KMS_NITRO_CLI_VERSION"

NO_MACHINE = 70
"""The exit code where there is no machine to ask."""

_VERSION_OPTION = "--nitro-cli-version"
_WRONG_USAGE = 2
_PANIC = 101
_STDOUT, _STDERR = 1, 2

# Imported when they are asked for: most commands need little, and are to start quickly.
_MODULES = {
    "run-enclave": "run",
    "terminate-enclave": "terminate",
    "describe-enclaves": "describe",
    "console": "console",
    "explain": "explain",
    "build-enclave": "build",
    "describe-eif": "describe_eif",
    "pcr": "pcr",
    "sign-eif": "sign_eif",
}

_Run = Callable[[Session, Given], int]


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    _take_interrupts_as_a_native_program()
    try:
        return _main(list(arguments), os.environ)
    except CannotPrint as error:
        return panic(error)


def panic(error: CannotPrint) -> int:
    """Say why output cannot be written, if that is not that nobody reads it; the exit code."""
    if error.errno != EPIPE:
        with suppress(CannotPrint):
            write(_STDERR, f"failed printing: {error.strerror} (os error {error.errno})\n")
    return _PANIC


def _take_interrupts_as_a_native_program() -> None:
    if threading.current_thread() is threading.main_thread():
        with suppress(ValueError):
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _main(words: list[str], environ: Mapping[str, str]) -> int:
    if is_missing(environ, "nitro-cli"):
        write(_STDERR, not_found("nitro-cli"))
        return NOT_FOUND
    try:
        version = _version(words, environ)
        given = read(words, version)
    except Shown as shown:
        write(_STDOUT, f"{shown}\n")
        return 0
    except UsageError as error:
        text = str(error).encode(errors="surrogateescape").decode(errors="replace")
        write(_STDERR, f"{text}\n")
        return _WRONG_USAGE
    try:
        return _run(Session(MachineFolder.locate(environ), environ, version), given)
    except (BrokerUnreachable, FolderRefused) as error:
        write(_STDERR, f"nitro-cli (attested-kms): {error}\n")
        return NO_MACHINE


def _version(words: list[str], environ: Mapping[str, str]) -> str:
    """The version to be; takes our own option off the words."""
    name, source = environ.get(VERSION_VARIABLE) or VERSIONS[0], VERSION_VARIABLE
    if words and words[0].partition("=")[0] == _VERSION_OPTION:
        source = _VERSION_OPTION
        name = words.pop(0).partition("=")[2] or (words.pop(0) if words else "")
    if name not in VERSIONS:
        raise UsageError(
            f"nitro-cli (attested-kms): {source} is {name!r}; the versions that are known are "
            f"{' and '.join(VERSIONS)}."
        )
    return name


def _run(session: Session, given: Given) -> int:
    try:
        session.open_log()
    except Failed as error:
        # There is no log yet: the folder that the error log makes gets none.
        return session.fail(error.failure, is_logged=False)
    try:
        session.info("src/main.rs:64", "Start Nitro CLI")
        command: _Run = import_module(f"simulator.nitro_cli.{_MODULES[given.command]}").run
        return command(session, given)
    except Failed as error:
        return session.fail(error.failure)
