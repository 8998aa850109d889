"""`attested-kms ssm run`."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands import CommandFailed, show
from simulator.ssm_script import limits

if TYPE_CHECKING:
    from simulator.ssm_script.payload import Script
    from simulator.ssm_script.plan import Plan
    from simulator.ssm_script.running import Result

HELP = "run a script of any length on an instance, and get all of its output and its exit code"
DESCRIPTION = (
    "Send a script to an instance through AWS Systems Manager (AWS-RunShellScript), run it there "
    "as root, and get all that it writes and its exit code. It works on AWS with the configuration "
    "of boto3, and on a simulated instance (attested-kms ssm serve). The exit code is the script's "
    "own, or 2 for wrong usage, 124 where --timeout ended it, 130 after Ctrl-C, 250 where it ran "
    "and its outcome is not all known, 251 where it could not be started, 252 where somebody "
    "cancelled it, 253 where the instance does not answer Systems Manager, 254 where AWS refused; "
    "a sentence on standard error says which."
)

_INSTANCE = re.compile(r"m?i-[0-9a-z]{8,17}")
_TIMEOUT = (
    *(limits.LEAST_TIMEOUT, limits.LONGEST_TIMEOUT),
    "the agent makes an hour of less, and Systems Manager takes no more",
)
_WAIT = (limits.LEAST_WAIT, limits.LONGEST_WAIT, "these are Systems Manager's limits")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def configure(parser: argparse.ArgumentParser) -> None:
    """What to run, where, and how to answer."""
    parser.add_argument("script", metavar="SCRIPT", help="a file, or - for standard input")
    parser.add_argument(
        "--instance", metavar="ID", required=True, type=_instance, help="where to run it"
    )
    parser.add_argument(
        "--region", metavar="NAME", help="of the instance (default: AWS_REGION, then boto3's)"
    )
    parser.add_argument("--profile", metavar="NAME", help="of the AWS configuration")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds(*_TIMEOUT),
        default=limits.DEFAULT_TIMEOUT,
        help="how long the script may take, 5 to 172800 (default: 3600)",
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds(*_WAIT),
        default=limits.DEFAULT_WAIT,
        help="how long the instance may take to take a command, at least 30 (default: 300)",
    )
    parser.add_argument(
        "--shell",
        metavar="COMMAND",
        help="what runs the script there (default: what its #! line names, else bash)",
    )
    parser.add_argument(
        "--env",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_variable,
        help="a variable for the script; may be given several times",
    )
    parser.add_argument(
        "--arg",
        metavar="WORD",
        action="append",
        default=[],
        help="an argument for the script; may be given several times (--arg=-x for a dash)",
    )
    parser.add_argument(
        "--max-output",
        metavar="BYTES",
        type=_size,
        default=limits.OUTPUT_BYTES,
        help="how much output to fetch at most; K, M and G count in 1024 (default: 16M)",
    )
    parser.add_argument(
        "--no-clean", action="store_true", help="leave the files on the instance, and say where"
    )
    parser.add_argument("--quiet", action="store_true", help="do not say what is going on")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the API calls instead of making them, as lines for the AWS CLI",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON (simulator/schemas/ssm-run.schema.json)"
    )


def run(options: argparse.Namespace) -> int:
    """Run one script, or show how."""
    from simulator.ssm_script.errors import RunFailed

    try:
        script = _script(options)
        return _show_calls(script, options) if options.dry_run else _run(script, options)
    except RunFailed as error:
        raise CommandFailed(str(error), exit_code=error.ended.exit_code or 1) from error


def _script(options: argparse.Namespace) -> Script:
    import shlex

    from simulator.ssm_script.payload import Script

    try:
        shell = tuple(shlex.split(options.shell or ""))
    except ValueError as error:
        raise CommandFailed(f"--shell {options.shell}: {error}.", exit_code=2) from error
    return Script(
        _content(options.script),
        "script" if options.script == "-" else Path(options.script).name,
        shell,
        tuple(options.arg),
        dict(options.env),
    )


def _content(name: str) -> bytes:
    if name == "-" and sys.stdin is None:
        raise CommandFailed("The script cannot be read: standard input is closed.", exit_code=2)
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandFailed(
            f"The script {name!r} cannot be read: {reason}.", exit_code=2
        ) from error


def _plan(script: Script, options: argparse.Namespace, run_id: str) -> Plan:
    from simulator.ssm_script.plan import Plan

    return Plan(
        *(script, options.instance, run_id),
        timeout=options.timeout,
        output_bytes=options.max_output,
        wait=options.wait,
    )


def _show_calls(script: Script, options: argparse.Namespace) -> int:
    from simulator.ssm_script import shown
    from simulator.ssm_script.plan import run_id_of

    plan = _plan(script, options, run_id_of(script, options.instance))
    if options.json:
        show(json.dumps(shown.calls_json(plan), indent=2))
        return 0
    chosen = {"--region": options.region, "--profile": options.profile}
    words = [word for name, value in chosen.items() if value for word in (name, value)]
    show("\n".join(shown.calls_text(plan, words)))
    return 0


def _run(script: Script, options: argparse.Namespace) -> int:
    from simulator.ssm_script import shown
    from simulator.ssm_script.progress import Progress, nowhere, on_standard_error
    from simulator.ssm_script.running import Run
    from simulator.ssm_script.service import Service

    progress = Progress(nowhere if options.quiet else on_standard_error)
    client = _client(options)
    service = Service(client, options.instance, progress)
    plan = _plan(script, options, secrets.token_hex(16))
    result = Run(plan, service, clean=not options.no_clean).carry_out()
    if options.json:
        show(json.dumps(shown.result_json(result, options.instance), indent=2))
    else:
        _write(result)
    if result.message:
        raise CommandFailed(result.message, exit_code=result.exit_code)
    return result.exit_code


def _client(options: argparse.Namespace) -> Any:
    import boto3

    from simulator.ssm_script.refusals import BOTO3, failed

    # boto3 does not look at AWS_REGION, and the AWS CLI does.
    region = options.region or os.environ.get("AWS_REGION") or None
    try:
        session = boto3.Session(profile_name=options.profile, region_name=region)
        return session.client("ssm")
    except BOTO3 as error:
        raise failed(error, instance=options.instance, region=str(region)) from error
    except ValueError as error:
        # An endpoint that is no URL.
        raise CommandFailed(f"boto3 cannot be configured: {error}.", exit_code=2) from error


def _write(result: Result) -> None:
    """The script's output as it wrote it."""
    for stream, content in ((sys.stdout, result.stdout), (sys.stderr, result.stderr)):
        if stream is None:  # Closed from the start.
            if content:
                raise _unwritten(result, os.strerror(errno.EBADF))
            continue
        try:
            stream.buffer.write(content)
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            # What could not be written would be tried once more at the end.
            sys.stdout = None
            raise _unwritten(result, str(error.strerror)) from error


def _unwritten(result: Result, why: str) -> CommandFailed:
    from simulator.ssm_script.errors import Ended

    return CommandFailed(
        f"The output cannot be written here ({why}). The script ended with exit code "
        f"{result.script_exit_code}.",
        exit_code=Ended.OUTCOME_LOST.exit_code or 1,
    )


def _instance(text: str) -> str:
    if not _INSTANCE.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no instance id, such as i-0123456789abcdef0 (mi-... for a machine that "
            "is not in EC2)"
        )
    return text


def _seconds(least: int, most: int, why: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        seconds = int(text) if text.isdecimal() else 0
        if not least <= seconds <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: {least} to {most} seconds; {why}")
        return seconds

    return parse


def _variable(text: str) -> Sequence[str]:
    name, equals, value = text.partition("=")
    if not equals:
        # Not what was given: it may be a secret whose name was forgotten.
        raise argparse.ArgumentTypeError("one has no =; give NAME=VALUE")
    return name, value


def _size(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,12})([KMG]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes, such as 65536 or 64M")
    return int(match[1]) * _UNITS[match[2]]
