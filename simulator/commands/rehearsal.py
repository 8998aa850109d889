"""`attested-kms rehearsal`: run a command in the world that the hardware target is rehearsed in."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands import CommandFailed
from simulator.commands.ending import tidy_end

if TYPE_CHECKING:
    from simulator.rehearsal.left import Left
    from simulator.rehearsal.world import Options, World

HELP = "run a command in a simulated AWS account, on a simulated enclave host"
DESCRIPTION = (
    "Run a command as on an enclave host, with a simulated AWS behind one endpoint: what is "
    "written for real hardware is rehearsed unchanged. At its end say what it has left behind. "
    "Exit code: the command's; 1 where it was 0 and something is left; 77 where this system allows "
    "no namespaces."
)

_USAGE = 2
_CANNOT_ENTER = 70
_SKIPPED = 77
"""The exit code of a test that was skipped, as Automake has it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """What to run, and what goes wrong."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- PROGRAM ...", help="what to run"
    )
    world = parser.add_argument_group("the world")
    world.add_argument("--instance-type", default="m6i.xlarge", metavar="TYPE")
    world.add_argument("--region", default="us-east-1", metavar="NAME")
    world.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        metavar="IMAGE",
        help="one that its Docker engine holds from the start, as machine load takes it",
    )
    world.add_argument(
        "--role-policy",
        type=Path,
        metavar="FILE",
        help="the inline policy of the instance's role (default: what the target needs)",
    )
    world.add_argument(
        "--late",
        type=int,
        default=2,
        metavar="N",
        help="how many uses of a key see what was before its last change (default: 2)",
    )
    wrong = parser.add_argument_group("what goes wrong")
    wrong.add_argument(
        "--without-permission",
        action="append",
        default=[],
        metavar="ACTION",
        help="the role's policy lacks it: kms:DisableKey",
    )
    wrong.add_argument(
        "--fail", action="append", default=[], metavar="STEP=KIND", help="see the reference page"
    )
    told = parser.add_argument_group("what it tells")
    told.add_argument("--records", type=Path, metavar="DIR", help="where records go")
    told.add_argument("--listing", type=Path, metavar="FILE", help="what is left, as JSON")
    told.add_argument(
        "--log", type=Path, metavar="FILE", help="all calls and commands in order, as JSON lines"
    )
    told.add_argument(
        "--or-skip",
        action="store_true",
        help="where this system allows no namespaces, say so and end with 0 instead of 77",
    )


def run(options: argparse.Namespace) -> int:
    """Make the world, run the command, tell what is left."""
    words = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not words:
        raise CommandFailed("say what to run: attested-kms rehearsal -- PROGRAM", exit_code=_USAGE)
    wanted = _wanted(options)
    if sys.platform != "linux":
        return _skip(options, "only Linux on x86_64 can lay an instance over itself.")
    from simulator.images import BadImage
    from simulator.machine.configuration import BadConfiguration
    from simulator.machine.making import CannotMake
    from simulator.nitro_cli.connection import BrokerUnreachable
    from simulator.nitro_cli.places import FolderRefused
    from simulator.rehearsal.world import world

    try:
        with tidy_end(), world(wanted) as made:
            try:
                return _run(options, made, words)
            finally:
                _keep_log(options, made)
    except BadConfiguration as error:
        raise CommandFailed(str(error), exit_code=_USAGE) from error
    except (BadImage, CannotMake, BrokerUnreachable, FolderRefused) as error:
        raise CommandFailed(str(error)) from error
    except OSError as error:
        place = error.filename or "a file of the world"
        raise CommandFailed(f"{place} cannot be used ({error.strerror or error}).") from error


def _wanted(options: argparse.Namespace) -> Options:
    from simulator.rehearsal import faults
    from simulator.rehearsal.permissions import BadPolicy, RolePolicy, needed_policy, without
    from simulator.rehearsal.world import Options

    if options.late < 0:
        raise CommandFailed("--late takes a number from 0 on.", exit_code=_USAGE)
    try:
        given: Any = needed_policy()
        if options.role_policy is not None:
            given = json.loads(options.role_policy.read_text(encoding="utf-8"))
        return Options(
            policy=RolePolicy(without(given, options.without_permission)),
            faults=faults.parse(options.fail),
            late=options.late,
            instance_type=options.instance_type,
            region=options.region,
            records=options.records,
            images=tuple(options.image),
        )
    except OSError as error:
        raise CommandFailed(f"{error.filename} cannot be read ({error.strerror}).") from error
    except (BadPolicy, faults.BadFault, ValueError) as error:
        raise CommandFailed(str(error), exit_code=_USAGE) from error


def _run(options: argparse.Namespace, made: World, words: list[str]) -> int:
    from simulator.machine_shell.shell import BadPlace, why_not
    from simulator.rehearsal import command, left

    try:
        code, found = command.run(made, words, os.environ, left.watch(made))
    except BadPlace as error:
        raise CommandFailed(str(error)) from error
    left.end_processes(found)
    # A command may end so too.
    if code == _CANNOT_ENTER and (reason := why_not(made.machine)):
        return _skip(options, reason)
    if options.listing is not None:
        listing = {"exit_code": code, "too_much": found.too_much, **found.to_json()}
        options.listing.write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8")
    return _told(code, found)


def _skip(options: argparse.Namespace, reason: str) -> int:
    _say(f"skipped: {reason.removeprefix('attested-kms machine shell: ')}")
    return 0 if options.or_skip else _SKIPPED


def _told(code: int, found: Left) -> int:
    _say(f"the command ended with {code}")
    for line in found.scheduled:
        _say(f"to be deleted, as it should be: {line}")
    for line in found.too_much:
        _say(f"error: left behind: {line}")
    if not found.too_much:
        _say("nothing else is left: no enclave, key, image, process or file")
    return 1 if found.too_much and code == 0 else code


def _keep_log(options: argparse.Namespace, made: World) -> None:
    if options.log is not None:
        shutil.copyfile(made.log, options.log)


def _say(text: str) -> None:
    print(f"attested-kms rehearsal: {text}", file=sys.stderr)
