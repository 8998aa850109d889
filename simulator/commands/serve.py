"""`attested-kms serve`."""

from __future__ import annotations

import argparse

from simulator.commands import CommandFailed, show

HELP = "run the KMS fake as a server for any SDK"

# The values of kms_fake's RuleSet, without importing it.
RULE_SETS = ("aws", "field-notes")


def configure(parser: argparse.ArgumentParser) -> None:
    """Ports, roots, rules."""
    parser.description = (
        "Run the KMS fake on 127.0.0.1 until it is interrupted. When it is ready it "
        "prints one JSON line with kms_endpoint, root_certificate and rules; point an SDK at it "
        "with AWS_ENDPOINT_URL_KMS. Any credentials will do."
    )
    parser.add_argument(
        "--port", type=port, default=0, help="TCP port; 0 (the default) chooses a free one"
    )
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
        "--seed", help="derive the simulator's root from this text, the same one each time"
    )
    parser.add_argument(
        "--rules",
        choices=RULE_SETS,
        default=RULE_SETS[0],
        help="the reading of bug 8.1 of the field notes (default: aws)",
    )


def port(text: str) -> int:
    """A TCP port. Raises argparse.ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from simulator.serve import CannotServe, serve

    try:
        serve(
            port=options.port,
            roots=options.root,
            seed=options.seed,
            rules=options.rules,
            show=show,
        )
    except CannotServe as error:
        raise CommandFailed(str(error)) from error
    return 0
