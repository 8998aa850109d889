"""`attested-kms serve`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from simulator.commands import CommandFailed, show

HELP = "run the KMS fake as a server for any SDK"

# The values of kms_fake's RuleSet, without importing it.
RULE_SETS = ("aws", "field-notes")

TOKEN_VARIABLE = "ATTESTED_KMS_MANAGEMENT_TOKEN"  # noqa: S105  # A variable's name.


def configure(parser: argparse.ArgumentParser) -> None:
    """Where it listens, whom it trusts, what it holds, who calls."""
    parser.description = (
        "Run the KMS fake until it is interrupted. When it is ready it prints one JSON line with "
        "kms_endpoint, root_certificate, rules, account and region; point an SDK at it with "
        "AWS_ENDPOINT_URL_KMS. Any credentials will do. With --management-port the line has "
        "management_endpoint too."
    )
    _configure_listening(parser)
    _configure_trust(parser)
    _configure_world(parser)
    _configure_management(parser)


def _configure_listening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=port, default=0, help="TCP port; 0 (the default) chooses a free one"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, this machine only; 0.0.0.0 is everywhere)",
    )


def _configure_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        action="extend",
        nargs="+",
        default=[],
        metavar="sim|aws|FILE",
        help="the roots to trust, instead of the simulator's own alone (sim): AWS's (aws), those "
        "of a PEM or DER file",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        metavar="TEXT",
        help="derive the simulator's root from this text, the same one each time, and the material "
        "of keys that the keys file gives none",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="keep root.pem here, and a seed unless --seed gives one, so that both survive a "
        "restart; one server at a time",
    )
    parser.add_argument(
        "--rules",
        choices=RULE_SETS,
        default=RULE_SETS[0],
        help="the reading of bug 8.1 of the field notes (default: aws)",
    )


def _configure_world(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="the keys to hold from the start (YAML or JSON)"
    )
    parser.add_argument(
        "--principals",
        type=Path,
        metavar="FILE",
        help="who calls with which access key, and what IAM allows them (YAML or JSON)",
    )
    parser.add_argument(
        "--caller",
        metavar="ARN",
        help="who calls with an access key that nobody knows: a user, a role, a role session "
        "(default: the parent instance's role, which may do everything)",
    )
    parser.add_argument(
        "--account",
        type=account,
        metavar="NUMBER",
        help="the account of all that names none (default: that of --caller, or 123456789012)",
    )
    parser.add_argument(
        "--region",
        default="us-east-1",
        metavar="NAME",
        help="the Region of keys that name none (default: us-east-1)",
    )


def _configure_management(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--management-port",
        type=port,
        metavar="PORT",
        help="also listen on this port of the same address for management: enclaves, clocks, the "
        "record of calls; 0 chooses a free one (default: no such listener)",
    )
    parser.add_argument(
        "--management-token",
        metavar="TOKEN",
        help="what requests for management must carry (Authorization: Bearer TOKEN); needed beyond "
        f"loopback. The environment's {TOKEN_VARIABLE} does the same, unseen by others",
    )


def port(text: str) -> int:
    """A TCP port. Raises argparse.ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")
    return int(text)


def account(text: str) -> str:
    """An account number. Raises argparse.ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) == 12):
        raise argparse.ArgumentTypeError(f"{text!r} is not an account; give its 12 digits")
    return text


def seed(text: str) -> str:
    """A seed. Raises argparse.ArgumentTypeError."""
    if not text:
        raise argparse.ArgumentTypeError("nothing derives from an empty text; give any other")
    return text


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from simulator.serve import CannotServe, Options, serve

    asked = Options(
        host=options.host,
        port=options.port,
        roots=tuple(options.root),
        seed=options.seed,
        rules=options.rules,
        account=options.account,
        region=options.region,
        caller=options.caller,
        keys=options.keys,
        principals=options.principals,
        folder=options.folder,
        management_port=options.management_port,
        management_token=options.management_token or os.environ.get(TOKEN_VARIABLE) or None,
    )
    try:
        serve(asked, show=show, tell=_tell)
    except CannotServe as error:
        raise CommandFailed(str(error), exit_code=error.exit_code) from error
    return 0


def _tell(text: str) -> None:
    print(f"attested-kms serve: {text}", file=sys.stderr, flush=True)
