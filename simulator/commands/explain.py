"""`attested-kms explain`."""

from __future__ import annotations

import argparse
import json
import sys

from simulator.commands import CommandFailed, show

HELP = "say what an error of KMS or of a client means, and how to mend it"

# The values of simulator.explanations' Sdk, without importing it.
SDKS = ("rust", "go", "python", "java", "javascript", "c", "cli")

MAX_TEXT = 16 * 1024 * 1024
"""Bytes of standard input that are read: the search takes about a second for each million."""

_SLOW_TEXT = 1024 * 1024

_UNKNOWN = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """The text, and how to answer."""
    parser.description = (
        "Explain an error text: a fragment, a JSON body, a traceback, a whole log. Exit codes: 0 "
        "explained, 1 unknown, 2 no text or wrong usage."
    )
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="the text; without any, or for -, standard input is read",
    )
    parser.add_argument("--sdk", choices=SDKS, help="show the fix for this SDK only")
    parser.add_argument(
        "--json", action="store_true", help="answer in JSON (simulator/schemas/explain.schema.json)"
    )
    parser.add_argument("--list", action="store_true", help="show all explanations")


def run(options: argparse.Namespace) -> int:
    """Explain the text, or list what can be explained."""
    text = _text(options)

    from simulator.explanations import Sdk, explain, report

    sdk = Sdk(options.sdk) if options.sdk else None
    if options.list:
        show(json.dumps(report.list_as_json(sdk), indent=2) if options.json else _list())
        return 0
    found = explain(text)
    answer = json.dumps(report.as_json(found, text, sdk), indent=2) if options.json else ""
    show(answer or report.as_text(found, sdk))
    return 0 if found else _UNKNOWN


def _list() -> str:
    from simulator.explanations import report

    return report.list_as_text()


def _text(options: argparse.Namespace) -> str:
    if options.list:
        if options.text:
            raise CommandFailed("--list takes no TEXT. Leave one of them out.", exit_code=2)
        return ""
    nobody_types = not options.text and (sys.stdin is None or sys.stdin.isatty())
    is_read = options.text in ([], ["-"]) and not nobody_types
    text = _standard_input() if is_read else " ".join(options.text)
    if not text.strip():
        raise CommandFailed(
            "There is no text to explain. Give it as an argument, in quotes, or on standard input.",
            exit_code=2,
        )
    return text


def _standard_input() -> str:
    try:
        given = b"" if sys.stdin is None else sys.stdin.buffer.read(MAX_TEXT + 1)
    except OSError as error:
        raise CommandFailed(
            f"Standard input cannot be read ({error.strerror or error}).", exit_code=2
        ) from error
    if len(given) > MAX_TEXT:
        raise CommandFailed(
            f"Standard input has more than {MAX_TEXT} bytes. Give the part around the error, as in "
            "tail -n 1000 LOG | attested-kms explain -",
            exit_code=2,
        )
    if len(given) > _SLOW_TEXT:
        print(
            f"attested-kms explain: {len(given) / 1e6:.0f} MB to search, a second or so for each",
            file=sys.stderr,
            flush=True,
        )
    return given.decode(errors="replace")
