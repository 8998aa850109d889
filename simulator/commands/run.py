"""`attested-kms run`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands import CommandFailed, show
from simulator.commands.serve import TOKEN_VARIABLE, seed

if TYPE_CHECKING:
    import socket

    from simulator.nitro_cli.places import MachineFolder

HELP = "run an unmodified enclave program: /dev/nsm and vsock answer here"

_MEASURED = (0, 1, 2, 8)
_FAILED = 125
_USAGE = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Which program, in what enclave, beside whom."""
    parser.usage = "attested-kms run [OPTIONS] -- CMD [ARG ...]"
    parser.description = (
        "Run an enclave program as it is: what it asks of /dev/nsm and of vsock is answered here. "
        "Its output, its exit code and its signals are its own."
    )
    parser.epilog = (
        "Faults: CID:PORT=refuse|reset|delay:SECONDS|cut:BYTES, proxy=down, "
        "nsm=stall|delay:SECONDS|error:NAME|errno:NAME, heartbeat=lost. "
        "Exit codes: the program's; 128+N where it ended by signal N; 125 the run failed by "
        "itself; 126 and 127 the program could not be started; 2 wrong usage."
    )
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="CMD", help="the program and its arguments"
    )
    parser.add_argument(
        "--probe", action="store_true", help="only say by which techniques programs can be run here"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done, and counts")
    _configure_enclave(parser.add_argument_group("the enclave"))
    _configure_machine(parser.add_argument_group("the machine around it"))


def _configure_enclave(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cid", type=_cid, metavar="N", help="its CID (default: 16)")
    for index in _MEASURED:
        group.add_argument(
            f"--pcr{index}", metavar="HEX", help=f"PCR{index}, 96 hexadecimal digits"
        )
    group.add_argument(
        "--debug-mode", action="store_true", help="PCR0, 1, 2 and 8 are zero in documents"
    )
    group.add_argument("--role-arn", metavar="ARN", help="the parent's IAM role: PCR3")
    group.add_argument("--instance-id", metavar="ID", help="the parent instance: PCR4")
    group.add_argument(
        "--seed", type=seed, metavar="TEXT", help="derive the root from this text, as serve does"
    )
    group.add_argument(
        "--isolate",
        action=argparse.BooleanOptionalAction,
        help="give it processes, devices and a network of its own, with init and its heartbeat "
        "(default: where the machine lets this user)",
    )


def _configure_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--parent",
        action="store_true",
        help="the program is of the parent instance: CID 3, no /dev/nsm, this machine's network",
    )
    group.add_argument(
        "--fabric",
        type=Path,
        metavar="DIR",
        help="the folder of the vsock addresses, CID_PORT.sock each; runs with the same folder "
        "reach each other (default: one of its own)",
    )
    group.add_argument(
        "--machine",
        type=Path,
        metavar="DIR",
        help="with --parent: the program is of this parent instance (attested-kms machine), whose "
        "enclaves it reaches and may run with nitro-cli (default: that of ATTESTED_KMS_MACHINE, or "
        "your own if you have one)",
    )
    group.add_argument(
        "--join",
        metavar="FILE|URL",
        help="be an enclave of a running attested-kms serve, under its root and clocks: the file "
        "with the line that it printed, or its management_endpoint "
        f"(its token in {TOKEN_VARIABLE})",
    )
    group.add_argument(
        "--kms",
        action="store_true",
        help="KMS at CID 3, port 8000, behind TLS as kms.REGION.amazonaws.com, as vsock-proxy "
        "gives it: that of --join, or one of this run's own. The program is made to trust its CA, "
        "unless its roots are compiled into it",
    )
    group.add_argument(
        "--imds",
        type=_vsock_port,
        metavar="PORT",
        help="the parent's instance metadata service (version 2) at this port of CID 3, with the "
        "credentials of the role",
    )
    group.add_argument(
        "--forward",
        action="append",
        default=[],
        metavar="PORT=HOST:PORT",
        help="a port of CID 3 that leads to a TCP address; may stand several times",
    )
    group.add_argument(
        "--region", metavar="NAME", help="the AWS Region (default: the server's, or us-east-1)"
    )
    group.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="TARGET=ACTION",
        help="let something go wrong; may stand several times",
    )


def _vsock_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 0xFFFF_FFFF):
        raise argparse.ArgumentTypeError(f"{text!r} is not a vsock port; give a number above 0")
    return int(text)


def _cid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 3 <= int(text) < 0xFFFF_FFFF):
        raise argparse.ArgumentTypeError(f"{text!r} is not a CID; give a number from 3 on")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run it, and end as it did."""
    if options.probe:
        return _show_probe()
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    _check_usage(options, program)
    if sys.platform != "linux":
        from simulator.interpose.probe import probe

        raise CommandFailed(f"{probe().reasons.popitem()[1]}.", exit_code=_FAILED)
    # What a service of the parent has to say is for the user.
    logging.basicConfig(format="attested-kms run: %(message)s", level=logging.WARNING)
    from simulator.enclave_run import CannotRun, Request
    from simulator.enclave_run import run as run_program
    from simulator.interpose.plan import Role
    from simulator.interpose.tree import end_as

    machine = _machine(options)
    pcrs = {str(n): getattr(options, f"pcr{n}") for n in _MEASURED if getattr(options, f"pcr{n}")}
    request = Request(
        program=tuple(program),
        role=Role.PARENT if options.parent else Role.ENCLAVE,
        cid=options.cid,
        pcrs=pcrs,
        role_arn=options.role_arn,
        instance_id=options.instance_id,
        debug_mode=options.debug_mode,
        isolate=options.isolate,
        fabric=options.fabric if machine is None else machine.folder.fabric,
        variables=_variables(options, machine),
        join=options.join,
        token=os.environ.get(TOKEN_VARIABLE) or None,
        seed=options.seed,
        region=options.region,
        faults=tuple(options.fault),
        kms=options.kms,
        imds_port=options.imds,
        forwards=tuple(options.forward),
        verbose=options.verbose,
    )
    with machine or nullcontext():
        try:
            status = run_program(request, _tell)
        except CannotRun as error:
            raise CommandFailed(str(error), exit_code=error.exit_code) from error
    return end_as(status)


class _HeldMachine:
    """A parent instance whose broker runs until the context ends: from within a run none can be."""

    def __init__(self, folder: MachineFolder, connection: socket.socket) -> None:
        self.folder = folder
        self._connection = connection

    def __enter__(self) -> None:
        """It runs already."""

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _variables(options: argparse.Namespace, machine: _HeldMachine | None) -> dict[str, str]:
    """What a program of the parent is told: whose it is, and that it starts no broker."""
    from simulator.nitro_cli.connection import SUPERVISED_VARIABLE
    from simulator.nitro_cli.places import VARIABLE

    if not options.parent:
        return {}
    marker = {SUPERVISED_VARIABLE: "1"}
    return marker if machine is None else {**marker, VARIABLE: str(machine.folder.path)}


def _machine(options: argparse.Namespace) -> _HeldMachine | None:
    """The machine that the program is of. Raises CommandFailed.

    The default one where it is there, or where the program would find its nitro-cli: it could not
    start the broker itself.
    """
    from simulator.commands.shims import shim_on_path
    from simulator.nitro_cli.connection import BrokerUnreachable, hold
    from simulator.nitro_cli.places import VARIABLE, FolderRefused, MachineFolder, default_path

    if not options.parent or options.fabric is not None:
        return None
    is_named = options.machine is not None or os.environ.get(VARIABLE)
    if not (is_named or (default_path() / "machine.json").exists() or shim_on_path()):
        return None
    try:
        folder = MachineFolder.locate(os.environ, options.machine)
        return _HeldMachine(folder, hold(folder))
    except (BrokerUnreachable, FolderRefused) as error:
        raise CommandFailed(str(error), exit_code=_FAILED) from error


def _check_usage(options: argparse.Namespace, program: list[str]) -> None:
    """Refuse what would have no effect: it shows that something else is meant."""
    if not program:
        raise _usage("no program was given; write it behind --, as in attested-kms run -- ./my-app")
    if options.join is not None and options.seed is not None:
        raise _usage("--seed makes a root, and --join takes the server's; give one of them")
    if options.machine is not None and not options.parent:
        raise _usage("--machine is of programs of the parent instance; give --parent too")
    if options.machine is not None and options.fabric is not None:
        raise _usage("--machine has a fabric of its own; give --machine or --fabric")
    if not options.parent:
        return
    given = [
        name
        for name in (
            *(f"pcr{index}" for index in _MEASURED),
            *("role_arn", "instance_id", "debug_mode", "seed", "join", "isolate"),
            *("kms", "imds", "forward", "region"),
        )
        if getattr(options, name)
    ]
    if given:
        name = given[0].replace("_", "-")
        raise _usage(f"--{name} is of enclaves, and --parent runs a program of the parent instance")


def _usage(message: str) -> CommandFailed:
    return CommandFailed(message, exit_code=_USAGE)


def _show_probe() -> int:
    """Print what works here; 0 if anything does."""
    from simulator.interpose.probe import SHORTCOMINGS, probe

    probed = probe()
    for rung, reason in probed.reasons.items():
        if reason is not None:
            show(f"{rung.value}: no: {reason}")
            continue
        show(f"{rung.value}: yes{', the default' if rung is probed.best else ''}")
        for shortcoming in SHORTCOMINGS[rung]:
            show(f"  not as on hardware: {shortcoming}")
    return 0 if probed.best else 1


def _tell(sentence: str) -> None:
    with suppress(OSError):  # The program may still want to run where nobody reads this.
        print(f"attested-kms run: {sentence}", file=sys.stderr, flush=True)
