"""`attested-kms user-data`."""

from __future__ import annotations

import argparse
import re

from simulator.commands import show
from simulator.commands.arguments import cpus, positive

HELP = "print a script that makes an Amazon Linux 2023 instance ready for enclaves"

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """What the instance is to be."""
    parser.description = (
        "Print a script for bash that makes an instance of Amazon Linux 2023 ready for Nitro "
        "Enclaves: packages, allocator, Docker, groups, a folder for artifacts, Python for "
        "./toxw. It is EC2 user data, and may be run again at any time, by sudo bash or by "
        "attested-kms ssm run. Try it here: attested-kms machine create --bare, then attested-kms "
        "machine shell -- bash FILE."
    )
    parser.add_argument(
        "--memory-mib", type=positive, default=512, metavar="N", help="for enclaves (default: 512)"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--cpu-count", type=positive, metavar="N", help="for enclaves (default: 2)")
    group.add_argument("--cpu-pool", type=cpus, metavar="LIST", help="those, as in 1,3")
    parser.add_argument(
        "--user",
        type=_user,
        default="ec2-user",
        metavar="NAME",
        help="who may use nitro-cli and docker (default: ec2-user)",
    )
    parser.add_argument(
        "--no-build-tools", action="store_true", help="without gcc, gcc-c++, make and git"
    )
    parser.add_argument("--no-python", action="store_true", help="without Python 3.11 for ./toxw")


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from simulator.set_up import SetUp

    pool = ",".join(map(str, options.cpu_pool or ()))
    set_up = SetUp(
        memory_mib=options.memory_mib,
        cpus=f"cpu_pool: {pool}" if pool else f"cpu_count: {options.cpu_count or 2}",
        user=options.user,
        has_build_tools=not options.no_build_tools,
        has_python=not options.no_python,
    )
    show(set_up.script().removesuffix("\n"))
    return 0


def _user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a user")
    return text
