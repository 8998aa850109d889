"""`attested-kms doctor`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from simulator.commands import CommandFailed, show

if TYPE_CHECKING:
    from simulator.doctor.examine import Examination
    from simulator.doctor.hardware.needs import Needs
    from simulator.doctor.host import Host
    from simulator.doctor.model import Check
    from simulator.doctor.recording import RecordingHost

HELP = "say what stands between a machine and a running enclave, and the command that mends it"

# The values of Role and Outcome in simulator.doctor.model, without importing it.
ROLES = ("parent", "development")
FAIL_ON = ("error", "warning", "none")

_USAGE = 2
_QUIET_SECONDS = 2.0
_NETWORK_SECONDS = 2.0
"""With --hardware, for each question to somebody beyond this machine."""
_A_KEY = "arn:{partition}:kms:{region}:{account}:key/00000000-0000-0000-0000-000000000000"
"""One that nobody has, for IAM to be asked about."""


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
        "--hardware",
        action="store_true",
        help="the preflight of a run on this parent instance: --as parent --network, with what the "
        "suite's run needs besides, in under five seconds",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="with --hardware, so many times as long for all of it: on a busy machine nothing is "
        "missing only because it was slow",
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
    from simulator.doctor.model import Outcome
    from simulator.lint.report import printable

    began = time.monotonic()
    if options.hardware and options.role not in {None, "parent"}:
        raise CommandFailed("--hardware is for parent instances; leave --as out", exit_code=_USAGE)
    try:
        if options.list or options.explain is not None:
            return _tell(options)
        # Before the machine is looked at: a wrong name takes no time.
        chosen = examine.selected(options.only, _checks(options))
        host = _recorded(_host(options), options)
        examination = _examined(host, chosen, options, began)
        _keep(host, options)
    except examine.UnknownCheck as error:
        raise CommandFailed(printable(str(error)), exit_code=_USAGE) from error
    fails = options.fail_on != "none" and examination.reaches(Outcome(options.fail_on))
    _show(examination, options, int(fails))
    return int(fails)


def _examined(
    host: Host, chosen: Sequence[Check], options: argparse.Namespace, began: float
) -> Examination:
    """`began` is doctor's own begin, of `time.monotonic`."""
    from simulator.doctor import examine
    from simulator.doctor.model import Role

    if not options.hardware:
        role = Role(options.role) if options.role else None
        return examine.examine(host, role, options.only, _watched)
    from simulator.doctor import hardware
    from simulator.doctor.at_once import AllAtOnce
    from simulator.doctor.once import OnceHost

    shared = OnceHost(host, command_seconds=hardware.COMMAND_SECONDS * options.patience)
    look = AllAtOnce(shared, chosen, began + hardware.SECONDS * options.patience)
    return examine.examine(shared, Role.PARENT, checks=chosen, look=look)


def _checks(options: argparse.Namespace) -> Sequence[Check]:
    """Those of which some may be asked."""
    from simulator.doctor.checks import CHECKS

    if not options.hardware:
        return CHECKS
    from simulator.doctor import hardware

    return hardware.preflight(hardware_needs())


def hardware_needs() -> Needs:
    """What a run needs, as `real_hw` has it."""
    from real_hw import needs, permissions
    from simulator.doctor.hardware.needs import Needs, Permission

    asked = {permissions.Scope.ANY: "", permissions.Scope.KEYS: _A_KEY}
    return Needs(
        cpus=needs.ENCLAVE_CPUS,
        memory_mib=needs.ENCLAVE_MIB,
        disk_mib=needs.DISK_MIB,
        permissions=[
            Permission(each.action, each.why, asked[each.scope])
            for each in permissions.PERMISSIONS
            if each.scope in asked
        ],
        run_tag=permissions.RUN_TAG,
    )


def _show(examination: Examination, options: argparse.Namespace, exit_code: int) -> None:
    from simulator.doctor import report

    if options.json:
        answer = report.as_json(examination, options.fail_on, exit_code, whole=options.hardware)
        show(json.dumps(answer, indent=2))
    else:
        show("\n".join(report.as_text(examination, whole=options.hardware)))


def _tell(options: argparse.Namespace) -> int:
    """Of the checks themselves. Raises UnknownCheck."""
    from simulator.doctor import examine, report

    if options.json or options.record:
        name = "--json" if options.json else "--record"
        raise CommandFailed(f"{name} goes with an examination only", exit_code=_USAGE)
    if options.list:
        checks = examine.selected(options.only, _checks(options))
        show("\n".join(report.listed(checks)))
        return 0
    from simulator.doctor import hardware
    from simulator.doctor.checks import CHECKS

    known = (*CHECKS, *hardware.own_checks(hardware_needs()))
    found = examine.selected([options.explain], known)
    show("\n\n".join("\n".join(report.explained(check)) for check in found))
    return 0


def _host(options: argparse.Namespace) -> Host:
    from simulator.doctor.simulated import NoMachine, SimulatedHost
    from simulator.doctor.this_machine import ThisMachine
    from simulator.lint.report import printable
    from simulator.nitro_cli.places import VARIABLE
    from simulator.user_files import BadFile

    machine = options.machine or os.environ.get(VARIABLE)
    network = options.network or options.hardware
    seconds = _NETWORK_SECONDS * options.patience if options.hardware else None
    try:
        if options.host is not None:
            # It needs jsonschema, which takes a while to import.
            from simulator.doctor.folder import FolderHost

            return FolderHost(options.host, network=network)
        if machine and not options.this_machine:
            return SimulatedHost(
                Path(machine), os.environ, network=network, network_seconds=seconds
            )
    except (BadFile, NoMachine) as error:
        lines = "\n".join(map(printable, str(error).splitlines()))
        raise CommandFailed(lines, exit_code=_USAGE) from error
    return ThisMachine(os.environ, network=network, network_seconds=seconds)


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
