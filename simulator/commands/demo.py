"""`attested-kms demo`."""

from __future__ import annotations

import argparse

from simulator.commands import CommandFailed, show

HELP = "show the attested flow, then four mistakes and their fixes"


def configure(_parser: argparse.ArgumentParser) -> None:
    """It takes no arguments."""


def run(_options: argparse.Namespace) -> int:
    """Show the demonstration."""
    from scenarios.workload.messages import AnswerError
    from simulator import demo
    from simulator.processes import ProgramFailed

    try:
        demo.run(show)
    except (demo.DemoFailed, ProgramFailed, AnswerError) as error:
        raise CommandFailed(str(error)) from error
    return 0
