"""`attested-kms fidelity`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from simulator.commands import CommandFailed, show
from simulator.commands.report import add_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.fidelity.unknowns import Unknown
    from simulator.report.reading import Record, Run

HELP = "how far the rules of the KMS fake are known to be those of real KMS, and by whom"


def configure(parser: argparse.ArgumentParser) -> None:
    """From which files, and how to answer."""
    parser.description = (
        "For each rule of the KMS fake: how its exception type, its text and its place in the "
        "order of checks are known, from where, and what records of hardware say about them; every "
        "difference between the two; and the suite's open questions that no record answers yet. "
        "The evidence is the table's own: a record beside it is shown, and changes nothing. Exit "
        "code: 0, 1 where records contradict the table, 2 for files that cannot be read."
    )
    add_inputs(parser)
    parser.add_argument(
        "--unverified",
        action="store_true",
        help="only the open questions that no record answers; the exit code is 0",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON (simulator/schemas/fidelity.schema.json)"
    )


def run(options: argparse.Namespace) -> int:
    """Print the survey, or the open questions."""
    from simulator.fidelity import report
    from simulator.fidelity.survey import survey
    from simulator.fidelity.unknowns import unknowns
    from simulator.lint.report import printable
    from simulator.report.reading import RECORDS, BadFile

    try:
        records, last = _read(options)
    except BadFile as error:
        raise CommandFailed(printable(str(error)), exit_code=2) from error
    open_questions = unknowns(RECORDS, last, records)
    if options.unverified:
        return _show_unverified(open_questions, as_json=options.json)
    made = survey(records, last)
    exit_code = int(not made.agrees)
    if options.json:
        show(json.dumps(report.as_json(made, open_questions, exit_code), indent=2))
    else:
        show("\n".join(report.as_text(made, open_questions)))
    return exit_code


def _show_unverified(open_questions: Sequence[Unknown], *, as_json: bool) -> int:
    from simulator.fidelity import report

    if not open_questions:
        raise CommandFailed(report.NO_SUITE)
    unanswered = [unknown for unknown in open_questions if not unknown.records]
    if as_json:
        show(json.dumps({"format": 1, "unknowns": report.unknowns_json(unanswered)}, indent=2))
    else:
        show("\n".join(report.unverified_text(open_questions)))
    return 0


def _read(options: argparse.Namespace) -> tuple[Sequence[Record], Run | None]:
    """Records, and the simulator's last run if there was one."""
    from simulator.report.reading import RECORDS, NoResults, Place, read_records, read_runs

    records = read_records(options.records or RECORDS)
    try:
        return records, read_runs(options.results).get(Place.SIMULATOR)
    except NoResults:
        return records, None
