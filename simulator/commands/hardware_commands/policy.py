"""`attested-kms hardware policy`."""

from __future__ import annotations

import argparse
import json

from simulator.commands import CommandFailed, show

HELP = "print the IAM policy that a hardware run needs, and no more"
DESCRIPTION = (
    "Print the least IAM policy of the role with which the suite runs on a real parent instance: "
    "keys are made with the tag attested-kms:run, and only keys with it are used, disabled and "
    "scheduled for deletion. Nobody is asked. Exit code: 0, or 2 for what is no account, Region "
    "or role."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Whose keys and role are meant."""
    parser.add_argument(
        "--account", default="*", metavar="ID", help="the account, 12 digits (default: any)"
    )
    parser.add_argument(
        "--region", default="*", metavar="NAME", help="the Region of the keys (default: any)"
    )
    parser.add_argument(
        "--role",
        default="*",
        metavar="NAME",
        help="the role, with its path before it where it has one; it may ask about itself alone "
        "(default: about any)",
    )


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from real_hw import permissions

    try:
        where = permissions.Where(options.account, options.region, options.role)
    except permissions.BadAccount as error:
        raise CommandFailed(str(error), exit_code=2) from error
    show(json.dumps(permissions.policy(where), indent=2))
    return 0
