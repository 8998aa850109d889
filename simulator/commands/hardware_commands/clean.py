"""`attested-kms hardware clean`."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from simulator.commands import CommandFailed, show
from simulator.commands.ending import tidy_end

if TYPE_CHECKING:
    from real_hw.actions import Actions
    from real_hw.clean import Found

HELP = "remove what runs on hardware left: keys by their tag, enclaves and files by their ledgers"
DESCRIPTION = (
    "Find what runs of the suite on real hardware left, list it, and remove it: KMS keys with the "
    "tag attested-kms:run are disabled and scheduled for deletion in 7 days; of runs that were "
    "killed on this instance, enclaves are terminated, and docker images and folders removed. "
    "Nothing else is touched, and no run that still goes on. At the end it lists what remains. "
    "Exit code: 0 if that is nothing but keys that wait for their deletion, or with --dry-run; 1 "
    "if there is more, or something could not be looked for; 2 for wrong usage."
)

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Of which run, where, and whether to ask."""
    parser.add_argument(
        "--run",
        dest="run_id",
        metavar="ID",
        type=_run_id,
        help="of this run only (default: all)",
    )
    parser.add_argument(
        "--region", metavar="NAME", help="of the keys (default: AWS_REGION, then boto3's)"
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        action="append",
        help="where runs have their folders; may be given several times (default: .results/runs "
        "here, and attested-kms-runs in the folder for temporary files)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be done, and do nothing"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(options: argparse.Namespace) -> int:
    """Look, tell, ask, remove, and tell what remains."""
    from real_hw.clean import Clean

    region = _region(options.region)
    with tidy_end():
        clean = Clean(
            _actions(region), runs=options.folder or _folders(), run=options.run_id, region=region
        )
        found = clean.look()
        _tell(found)
        removals = clean.removals(found)
        _list(f"To be done in {region} and on this instance:", [one.text for one in removals])
        if options.dry_run:
            show("Nothing was done: --dry-run.")
        elif removals:
            if not options.yes:
                _ask()
            clean.carry_out(found, show)
        left = clean.left(found)
        _list("What remains:", left.lines)
        is_done = left.is_clean or options.dry_run
        return 0 if is_done and not found.failures else 1


def _folders() -> Sequence[Path]:
    """Where the suite puts them: beside its results, or where there is no suite."""
    return Path(".results", "runs").absolute(), Path(gettempdir(), "attested-kms-runs")


def _tell(found: Found) -> None:
    for remark in found.remarks:
        show(f"note: {remark}")
    for failure in found.failures:
        show(f"not looked for: {failure}")


def _list(title: str, lines: Sequence[str]) -> None:
    show(title)
    for line in lines or ("nothing",):
        show(f"  {line}")


def _ask() -> None:
    """Return if the user agrees. Raises CommandFailed."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandFailed(
            "Nothing was done: standard input is no terminal, so that nobody can be asked. Add "
            "--yes to remove what is listed, or --dry-run to list it only.",
            exit_code=2,
        )
    try:
        answer = input("Remove it? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandFailed("Nothing was done, as you asked.")


def _actions(region: str) -> Actions:
    from real_hw.aws import Aws
    from real_hw.doing import RealActions
    from real_hw.interruption import Interruption

    return RealActions(Aws(region), Interruption(show), time.sleep)


def _region(given: str | None) -> str:
    import boto3

    # boto3 does not look at AWS_REGION, and the AWS CLI does.
    region = given or os.environ.get("AWS_REGION") or boto3.Session().region_name
    if not region:
        raise CommandFailed(
            "No AWS Region is set, so that it is not known where keys are to be looked for: give "
            "--region NAME, or set AWS_REGION.",
            exit_code=2,
        )
    return str(region)


def _run_id(text: str) -> str:
    if not _RUN.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no id of a run, such as attested-kms-1f0c9a2b: it is the value of the "
            "tag attested-kms:run of its keys"
        )
    return text
