"""`attested-kms ssm serve`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from simulator.commands import CommandFailed, show
from simulator.commands.serve import port

HELP = "be Systems Manager for a simulated machine"
DESCRIPTION = (
    "Run Systems Manager's Run Command for a simulated machine until it is interrupted: scripts "
    "sent with AWS-RunShellScript run there as the agent runs them. They are real processes of "
    "yours. When it is ready it prints one JSON line with ssm_endpoint, region, instance_id, "
    "aws_access_key_id and aws_secret_access_key; only requests with that access key are answered."
)

_PATIENCE_SECONDS = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Which machine, where, and what goes wrong."""
    parser.add_argument(
        "--machine",
        type=Path,
        metavar="FOLDER",
        help="the machine (default: that of ATTESTED_KMS_MACHINE, or this user's own)",
    )
    parser.add_argument(
        "--port",
        type=port,
        default=0,
        help="TCP port of 127.0.0.1; 0 (the default) chooses a free one",
    )
    parser.add_argument("--region", metavar="NAME", help="the Region (default: the machine's)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="TARGET=ACTION",
        help="let something go wrong: N=lost, N=twice, N=delay:SECONDS, N=unseen:CALLS of the Nth "
        "command (or each), agent=offline; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP."""
    with _told_if_slow():
        from kms_fake.given_keys import is_region
        from simulator.environment import away_from_aws
        from simulator.systems_manager.faults import BadFault
        from simulator.systems_manager.instance import NoInstance
        from simulator.systems_manager.server import CannotListen, serving

    if options.region is not None and not is_region(options.region):
        raise CommandFailed(
            f"There is no Region {options.region}; give one such as us-east-1.", exit_code=2
        )
    try:
        with (
            away_from_aws(),
            _signals_held() as signals,
            serving(
                options.machine,
                port=options.port,
                region=options.region,
                faults=options.fault,
            ) as served,
        ):
            if served.why_not_laid_out:
                print(
                    "attested-kms ssm serve: scripts find the instance's commands and see this "
                    f"system's files: {served.why_not_laid_out}",
                    file=sys.stderr,
                )
            show(served.to_json())
            signal.sigwait(signals)
    except (BadFault, NoInstance) as error:
        raise CommandFailed(str(error), exit_code=2) from error
    except CannotListen as error:
        raise CommandFailed(str(error)) from error
    return 0


@contextmanager
def _told_if_slow() -> Iterator[None]:
    """Say on standard error that it takes a while to load moto, where it does."""
    text = "attested-kms ssm serve: loading moto's models of AWS"
    timer = Timer(_PATIENCE_SECONDS, print, (text,), {"file": sys.stderr, "flush": True})
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _signals_held() -> Iterator[set[signal.Signals]]:
    """Signals held back, to be waited for; afterwards too, for the process is about to end."""
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield signals
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
