"""`attested-kms doctor`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from simulator.commands import CommandFailed, show

if TYPE_CHECKING:
    from simulator.doctor.examine import Examination
    from simulator.doctor.host import Host
    from simulator.doctor.model import Check
    from simulator.doctor.recording import RecordingHost

HELP = "say what stands between a machine and a running enclave, and the command that mends it"

# The values of Role and Outcome in simulator.doctor.model, without importing it.
ROLES = ("parent", "development")
FAIL_ON = ("error", "warning", "none")

_USAGE = 2
_QUIET_SECONDS = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Which machine, what of it, and how to answer."""
    parser.description = (
        "Look at a machine in the order in which it has to be mended, and name the first thing to "
        "do. Nothing on it is changed. Exit code: 0 for nothing at or above --fail-on, 1 for "
        "findings, 2 for wrong usage or an unreadable input."
    )
    machine = parser.add_mutually_exclusive_group()
    machine.add_argument(
        "--machine",
        type=Path,
        metavar="FOLDER",
        help="a simulated parent instance (default: that of ATTESTED_KMS_MACHINE, if it is set)",
    )
    machine.add_argument(
        "--host",
        type=Path,
        metavar="FOLDER",
        help="a machine that is written down: host.json, and its files below root/",
    )
    machine.add_argument(
        "--this-machine", action="store_true", help="this one, whatever the environment says"
    )
    parser.add_argument(
        "--as",
        choices=ROLES,
        dest="role",
        help="what it is for (default: parent where it looks like one)",
    )
    parser.add_argument(
        "--only", type=_names, default=[], metavar="NAME,...", help="checks, or areas of them"
    )
    parser.add_argument(
        "--network", action="store_true", help="also ask what is beyond this machine, as KMS is"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON (simulator/schemas/doctor.schema.json)"
    )
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default="error",
        help="the least that makes the exit code 1 (default: error)",
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FOLDER",
        help="keep what was seen of this machine in a new folder, for --host somewhere else; what "
        "looks like a secret is left out",
    )
    about = parser.add_mutually_exclusive_group()
    about.add_argument("--explain", metavar="NAME", help="say all that is known of one check")
    about.add_argument("--list", action="store_true", help="show all checks")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def run(options: argparse.Namespace) -> int:
    """Examine a machine, or tell of the checks."""
    from simulator.doctor import examine
    from simulator.doctor.model import Outcome, Role
    from simulator.lint.report import printable

    try:
        if options.list or options.explain is not None:
            return _tell(options)
        # Before the machine is looked at: a wrong name takes no time.
        examine.selected(options.only)
        role = Role(options.role) if options.role else None
        host = _recorded(_host(options), options)
        examination = examine.examine(host, role, options.only, _watched)
        _keep(host, options)
    except examine.UnknownCheck as error:
        raise CommandFailed(printable(str(error)), exit_code=_USAGE) from error
    fails = options.fail_on != "none" and examination.reaches(Outcome(options.fail_on))
    _show(examination, options, int(fails))
    return int(fails)


def _show(examination: Examination, options: argparse.Namespace, exit_code: int) -> None:
    from simulator.doctor import report

    if options.json:
        show(json.dumps(report.as_json(examination, options.fail_on, exit_code), indent=2))
    else:
        show("\n".join(report.as_text(examination)))


def _tell(options: argparse.Namespace) -> int:
    """Of the checks themselves. Raises UnknownCheck."""
    from simulator.doctor import examine, report

    if options.json or options.record:
        name = "--json" if options.json else "--record"
        raise CommandFailed(f"{name} goes with an examination only", exit_code=_USAGE)
    checks: Sequence[Check] = examine.selected(options.only)
    if options.list:
        show("\n".join(report.listed(checks)))
        return 0
    found = examine.selected([options.explain])
    show("\n\n".join("\n".join(report.explained(check)) for check in found))
    return 0


def _host(options: argparse.Namespace) -> Host:
    from simulator.doctor.simulated import NoMachine, SimulatedHost
    from simulator.doctor.this_machine import ThisMachine
    from simulator.lint.report import printable
    from simulator.nitro_cli.places import VARIABLE
    from simulator.user_files import BadFile

    machine = options.machine or os.environ.get(VARIABLE)
    try:
        if options.host is not None:
            # It needs jsonschema, which takes a while to import.
            from simulator.doctor.folder import FolderHost

            return FolderHost(options.host, network=options.network)
        if machine and not options.this_machine:
            return SimulatedHost(Path(machine), os.environ, network=options.network)
    except (BadFile, NoMachine) as error:
        lines = "\n".join(map(printable, str(error).splitlines()))
        raise CommandFailed(lines, exit_code=_USAGE) from error
    return ThisMachine(os.environ, network=options.network)


def _recorded(host: Host, options: argparse.Namespace) -> Host:
    if options.record is None:
        return host
    from simulator.doctor.host import HostKind
    from simulator.doctor.recording import RecordingHost

    if host.kind is not HostKind.THIS_MACHINE:
        raise CommandFailed(
            f"--record is for the machine that you are on; {host.name} is a folder already. Give "
            "--this-machine, or leave one of them out",
            exit_code=_USAGE,
        )
    try:
        is_new = not options.record.exists() or not any(options.record.iterdir())
    except OSError:
        is_new = False
    if not is_new:
        raise CommandFailed(
            f"{options.record} is there already, or cannot be read; give a folder that is new",
            exit_code=_USAGE,
        )
    return RecordingHost(host)


def _keep(host: Host, options: argparse.Namespace) -> None:
    if options.record is None:
        return
    try:
        cast("RecordingHost", host).write(options.record)
    except OSError as error:
        raise CommandFailed(
            f"{error.filename or options.record} cannot be written ({error.strerror}); give "
            "another folder",
            exit_code=_USAGE,
        ) from error
    print(
        f"attested-kms doctor: {options.record} has what was seen; look through it for secrets "
        "before you give it away",
        file=sys.stderr,
        flush=True,
    )


@contextmanager
def _watched(check: Check) -> Iterator[None]:
    """Say what takes long, once."""
    sentence = f"attested-kms doctor: still looking at {check.id}"
    timer = threading.Timer(_QUIET_SECONDS, lambda: print(sentence, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
