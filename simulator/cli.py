"""The command `attested-kms`. Each subcommand imports what it needs when it is called."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

# The values of kms_fake's RuleSet, without importing it: --help should not take a second.
RULE_SETS = ("aws", "field-notes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a failure, 2 for wrong usage, 130."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="attested-kms",
        description="Test Nitro Enclaves and attested KMS calls on this machine, without AWS.",
    )
    parser.add_argument("--version", action="version", version=version("attested-kms"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="show the attested flow, then four mistakes and their fixes"
    )
    demo.set_defaults(command=_demo)

    serve = commands.add_parser(
        "serve",
        help="run the KMS fake as a server for any SDK",
        description="Run the KMS fake on 127.0.0.1 until it is interrupted. When it is ready it "
        "prints one JSON line with kms_endpoint, root_certificate and rules; point an SDK at it "
        "with AWS_ENDPOINT_URL_KMS. Any credentials will do.",
    )
    serve.add_argument(
        "--port", type=_port, default=0, help="TCP port; 0 (the default) chooses a free one"
    )
    serve.add_argument(
        "--root",
        action="extend",
        nargs="+",
        default=[],
        metavar="sim|aws|FILE",
        help="the roots to trust, instead of the simulator's own alone (sim): AWS's (aws), those "
        "of a PEM or DER file",
    )
    serve.add_argument(
        "--seed", help="derive the simulator's root from this text, the same one each time"
    )
    serve.add_argument(
        "--rules",
        choices=RULE_SETS,
        default=RULE_SETS[0],
        help="the reading of bug 8.1 of the field notes (default: aws)",
    )
    serve.set_defaults(command=_serve)
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")
    return int(text)


def _show(line: str) -> None:
    print(line, flush=True)


def _demo(_options: argparse.Namespace) -> int:
    from scenarios.workload.messages import AnswerError
    from simulator import demo
    from simulator.processes import ProgramFailed

    try:
        demo.run(_show)
    except (demo.DemoFailed, ProgramFailed, AnswerError) as error:
        print(f"attested-kms demo: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(options: argparse.Namespace) -> int:
    from simulator.serve import CannotServe, serve

    try:
        serve(
            port=options.port,
            roots=options.root,
            seed=options.seed,
            rules=options.rules,
            show=_show,
        )
    except CannotServe as error:
        print(f"attested-kms serve: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
