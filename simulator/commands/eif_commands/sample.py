"""`attested-kms eif sample`."""

from __future__ import annotations

import argparse
from pathlib import Path

from simulator.commands import CommandFailed, show

HELP = "write a small enclave of this machine's Python, to build and boot"
DESCRIPTION = (
    "Write a folder that attested-kms eif build makes an enclave image of: this machine's Python, "
    "the libraries that it needs, and app.py, which answers each connection at vsock port 5000 "
    "with its attestation document. A Dockerfile for nitro-cli build-enclave --docker-dir is there "
    "too."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Where to, and what in it."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a folder that is new or empty")
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="NAME",
        help="a module of Python's library that app.py is to import; may stand several times",
    )
    parser.add_argument(
        "--program",
        metavar="MODULE",
        help="a module of this Python's environment that runs instead of app.py, as python -m does",
    )
    parser.add_argument(
        "--argument",
        action="append",
        default=[],
        metavar="WORD",
        help="an argument of that program, written --argument=WORD; may stand several times",
    )
    parser.add_argument(
        "--broken",
        action="store_true",
        help="with the classic mistake: ENTRYPOINT with its arguments in CMD, of which nitro-cli "
        "keeps CMD alone",
    )


def run(options: argparse.Namespace) -> int:
    """Write the sample."""
    from simulator.images import BadImage
    from simulator.images.sample import Program, write_sample

    if options.argument and not options.program:
        raise CommandFailed("--argument is for --program.", exit_code=2)
    program = Program(options.program, tuple(options.argument)) if options.program else None
    try:
        write_sample(options.folder, modules=options.module, broken=options.broken, program=program)
    except BadImage as error:
        raise CommandFailed(str(error), exit_code=2) from error
    except OSError as error:
        raise CommandFailed(
            f"{options.folder} cannot be written: {error.strerror or error}"
        ) from error
    show(f"attested-kms eif build {options.folder} -o {options.folder.name}.eif")
    return 0
