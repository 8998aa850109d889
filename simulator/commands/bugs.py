"""`attested-kms bugs`."""

from __future__ import annotations

import argparse
import json

from simulator.commands import CommandFailed, show

HELP = "the nine bugs of the field notes: symptom, true cause, fix, and the scenarios that show it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which one, and how to answer."""
    parser.description = (
        "The nine bugs of the field notes from which this project grew, with what is known of them "
        "today: symptom, true cause, fix, what of the notes' explanation proved wrong, and the "
        "scenarios of the suite that show them. How sure a cause is stands behind it; each "
        "scenario has its own evidence. Exit code: 0, or 2 for a number that there is not."
    )
    parser.add_argument(
        "number",
        nargs="?",
        metavar="NUMBER",
        help="one of them: 1 to 9, 8.1 to 8.3, or checklist (default: all); 8 shows its parts too",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON (simulator/schemas/bugs.schema.json)"
    )


def run(options: argparse.Namespace) -> int:
    """Print them."""
    from simulator.bug_report import as_json, as_text
    from simulator.bugs import BUGS, find

    bugs = BUGS if options.number is None else find(options.number)
    if not bugs:
        known = ", ".join(bug.number for bug in BUGS)
        raise CommandFailed(
            f"There is no bug {options.number!r} in the field notes. Give one of {known}, or none "
            "for all.",
            exit_code=2,
        )
    show(json.dumps(as_json(bugs), indent=2) if options.json else as_text(bugs))
    return 0
