"""`attested-kms report`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from simulator.commands import CommandFailed, show

HELP = "what the scenarios showed on which target, as a page to read and as JSON"


def configure(parser: argparse.ArgumentParser) -> None:
    """From which files, and where the answer goes."""
    parser.description = (
        "Put the last runs of the suite beside each other, scenario by scenario: simulator, "
        "rehearsal, hardware. Each opens to its steps as a sequence diagram. The page is one HTML "
        "file that needs no network. What no hardware has confirmed is shown as unverified. Exit "
        "code: 0, 1 where there are no results yet or the output cannot be written, 2 for files "
        "that cannot be read."
    )
    add_inputs(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where the page goes (default: report.html, or nowhere with --json alone)",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write JSON (simulator/schemas/report.schema.json); - for standard output",
    )


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """The options that report and fidelity share."""
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(".results"),
        metavar="FOLDER",
        help="where pytest scenarios wrote sim.json, rehearsal.json, hardware.json and host.json "
        "(default: .results)",
    )
    parser.add_argument(
        "--records",
        type=Path,
        metavar="FOLDER",
        help="where the records of hardware are, *.validation.json (default: beside the scenarios)",
    )


def run(options: argparse.Namespace) -> int:
    """Write what is asked for."""
    from simulator.report.as_json import as_json
    from simulator.report.matrix import matrix, sentence
    from simulator.report.page import page
    from simulator.report.reading import RECORDS, BadFile, NoResults, read_records, read_runs
    from simulator.report.writing import Unwritable, write_whole

    try:
        made = matrix(read_runs(options.results), read_records(options.records or RECORDS))
    except NoResults as error:
        raise CommandFailed(str(error)) from error
    except BadFile as error:
        raise CommandFailed(str(error), exit_code=2) from error
    output = options.output or (None if options.json else Path("report.html"))
    to_standard_output = options.json == Path("-")
    answer = json.dumps(as_json(made), indent=2)
    try:
        if output is not None:
            write_whole(output, page(made))
        if to_standard_output:
            show(answer)
        elif options.json is not None:
            write_whole(options.json, f"{answer}\n")
    except Unwritable as error:
        raise CommandFailed(str(error)) from error
    if not to_standard_output:
        written = " and ".join(str(path) for path in (output, options.json) if path is not None)
        count = f"{len(made.rows)} scenario{'' if len(made.rows) == 1 else 's'}"
        show(f"{written}: {count}. {sentence(made)}")
    return 0
