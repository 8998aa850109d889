"""`attested-kms vectors`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulator.commands import CommandFailed, show

HELP = "write documents, requests with their answers and envelopes for suites in any language"


def configure(parser: argparse.ArgumentParser) -> None:
    """Seed and folder."""
    parser.description = (
        "Write test vectors into a folder: attestation documents, for each rule a request and the "
        "answer that it gets, envelopes with key and plaintext, and index.json, which describes "
        "them all. The same seed writes the same bytes each time."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is new or empty")
    parser.add_argument(
        "--seed", type=int, required=True, metavar="N", help="a whole number; another one, others"
    )


def run(options: argparse.Namespace) -> int:
    """Write the vectors."""
    folder: Path = options.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CommandFailed(
                f"{folder} is not empty, and nothing in it is overwritten; give a new folder.",
                exit_code=2,
            )
        from simulator.vectors.writing import write

        index = write(options.seed, folder, _tell)
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be written to: {error.strerror}.") from error
    counts = ", ".join(f"{len(index[part])} {part}" for part in ("documents", "requests"))
    show(f"{folder}: {counts}, {len(index['envelopes'])} envelopes; see index.json")
    return 0


def _tell(what: str) -> None:
    print(f"making {what} ...", file=sys.stderr, flush=True)
