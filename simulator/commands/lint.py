"""`attested-kms lint`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from simulator.commands import CommandFailed, show

HELP = "look in an image for what makes an enclave die at once"

# The values of Severity in simulator.lint.findings, without importing it.
FAIL_ON = ("error", "warning", "info", "none")


def configure(parser: argparse.ArgumentParser) -> None:
    """What to look at, and how to answer."""
    parser.description = (
        "Look in an image, before it is an enclave, for what makes one die at once or differ from "
        "a container, and show the boot that it would give. Nothing is run. Exit code: 0 for "
        "nothing at or above --fail-on, 1 for findings, 2 for an unreadable input."
    )
    parser.add_argument(
        "input",
        metavar="FILE|FOLDER|-",
        help="a Dockerfile, an archive of docker save, an OCI layout, a folder with rootfs, what "
        "docker inspect prints, or an EIF",
    )
    parser.add_argument("--image", metavar="NAME", help="which image of an archive with several")
    parser.add_argument(
        "--context",
        metavar="FOLDER",
        type=Path,
        help="the folder that the Dockerfile is built in, to look into the scripts that it copies "
        "(default: its own)",
    )
    parser.add_argument(
        "--base",
        metavar="FILE|FOLDER",
        type=Path,
        help="the image that a Dockerfile's last stage builds on, as docker save writes it",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON (simulator/schemas/lint.schema.json)"
    )
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default="warning",
        help="the least severity that makes the exit code 1 (default: warning)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="make the exit code 1 as well where something could not be decided",
    )


def run(options: argparse.Namespace) -> int:
    """Check one image."""
    from simulator.lint import report
    from simulator.lint.check import check
    from simulator.lint.findings import Severity
    from simulator.lint.reading import Beside, Unreadable, read

    try:
        result = check(read(options.input, Beside(options.image, options.context, options.base)))
    except Unreadable as error:
        raise CommandFailed(report.printable(str(error)), exit_code=2) from error
    found = options.fail_on != "none" and result.reaches(Severity(options.fail_on))
    exit_code = int(found or bool(options.strict and result.undecided))
    if options.json:
        show(json.dumps(report.as_json(result, options.fail_on, exit_code), indent=2))
    else:
        show("\n".join(report.as_text(result)))
    return exit_code
