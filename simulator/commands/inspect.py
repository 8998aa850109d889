"""`attested-kms inspect`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands import CommandFailed, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.inspection.document import At, Roots
    from simulator.inspection.given import Given
    from simulator.inspection.policies import PolicyQuestion

HELP = "say what an attestation document or an envelope is, and what KMS says of it"

_UNREADABLE = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """What to inspect, and what to judge it by."""
    parser.description = (
        "Inspect an attestation document: whether it is authentic (COSE, chain, signature), "
        "whether KMS takes it as a Recipient, and every rule that refuses it. With --cms, inspect "
        "a CiphertextForRecipient instead. What is given may be raw, base64 or hexadecimal."
    )
    parser.epilog = (
        "Exit codes: 0 both verdicts are yes (with --cms: an envelope as KMS sends them, and it "
        "opens if a key is given); 3 authentic, but not usable or denied by the policy; 1 not "
        "authentic (with --cms: no such envelope, or it does not open); 2 unreadable input or "
        "wrong usage."
    )
    parser.add_argument("file", metavar="FILE|-", help="what to inspect; - is the standard input")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    document = parser.add_argument_group("documents")
    document.add_argument(
        "--root",
        action="append",
        metavar="aws|sim|FILE",
        help="a root to trust: AWS's (the default), the simulator's of --seed, those of a PEM or "
        "DER file; may stand several times",
    )
    document.add_argument("--seed", help="the text that the simulator's root derives from")
    document.add_argument(
        "--at",
        metavar="now|document|TIME",
        help="when KMS is to judge: now (the default), at the document's own timestamp, or at an "
        "ISO 8601 time such as 2026-01-31T12:00:00Z",
    )
    document.add_argument(
        "--policy", metavar="FILE", help="a key policy: would it let a caller with this document?"
    )
    document.add_argument(
        "--caller",
        metavar="ARN",
        help="who calls; by default the one principal that the policy names",
    )
    document.add_argument(
        "--operation", metavar="NAME", help="what the caller calls (default: Decrypt)"
    )
    envelope = parser.add_argument_group("envelopes")
    envelope.add_argument("--cms", action="store_true", help="FILE is a CiphertextForRecipient")
    envelope.add_argument(
        "--key", metavar="FILE", help="the recipient's RSA private key, PEM or DER, to open it with"
    )


def run(options: argparse.Namespace) -> int:
    """Inspect, print, and answer with the exit code of the verdicts."""
    _check_usage(options)
    source = "standard input" if options.file == "-" else options.file
    data = _read(options.file)
    return _envelope(options, source, data) if options.cms else _document(options, source, data)


def _check_usage(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect: they show that something else is meant."""
    of_documents = ("root", "seed", "at", "policy", "caller", "operation")
    wrong = [name for name in of_documents if options.cms and getattr(options, name) is not None]
    if wrong:
        raise _usage(f"--{wrong[0]} is for attestation documents, and --cms for envelopes")
    if options.key is not None and not options.cms:
        raise _usage("--key opens envelopes; give --cms with it")
    if options.policy is None:
        for name in ("caller", "operation"):
            if getattr(options, name) is not None:
                raise _usage(f"--{name} asks about a key policy; give --policy with it")
    simulated = "sim" in (options.root or ())
    if simulated and options.seed is None:
        raise _usage(
            "--root sim needs --seed, without which the simulator's root is another one each time; "
            "or give --root FILE with the root_certificate that attested-kms serve printed"
        )
    if options.seed is not None and not simulated:
        raise _usage("--seed is of the simulator's root; give --root sim with it")


def _usage(message: str) -> CommandFailed:
    return CommandFailed(message, exit_code=_UNREADABLE)


def _read(name: str) -> bytes:
    from simulator.inspection.given import LARGEST

    try:
        if name == "-":
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as error:
        raise _usage(f"cannot read {name}: {error.strerror or error}") from error
    return data


def _given(name: str, data: bytes) -> Given:
    from simulator.inspection.given import LARGEST, Kind, take

    given = take(data)
    if len(data) > LARGEST and given.kind is not Kind.EIF:
        raise _usage(
            f"{name} has more than {LARGEST} bytes; an attestation document has 262144 at most, an "
            "envelope 6144"
        )
    return given


def _document(options: argparse.Namespace, source: str, data: bytes) -> int:
    from simulator.inspection.document import Unreadable, inspect_document
    from simulator.inspection.document_text import document_text

    at, now_ms = _moment(options.at)
    try:
        report = inspect_document(
            _given(source, data),
            source=source,
            roots=_roots(options),
            at=at,
            now_ms=now_ms,
            question=_question(options),
        )
    except Unreadable as error:
        raise _usage(f"{source}: {error}") from error
    _print(report, document_text(report), as_json=options.json)
    return report.exit_code


def _moment(text: str | None) -> tuple[At, int]:
    from simulator.inspection.document import At
    from simulator.inspection.moments import from_words

    if text in {None, At.NOW, At.DOCUMENT}:
        return At(text or At.NOW), time.time_ns() // 1_000_000
    try:
        return At.GIVEN, from_words(text)
    except ValueError as error:
        raise _usage(
            f"--at {text}: {error}; give now, document, or a time such as 2026-01-31T12:00:00Z"
        ) from error


def _roots(options: argparse.Namespace) -> Roots:
    from kms_fake.roots import BadRoot
    from nsm_fake import NsmPki
    from simulator.inspection.document import Roots
    from simulator.roots import AWS, roots_named

    names = tuple(options.root or [AWS])
    try:
        pki = NsmPki(None if options.seed is None else options.seed.encode())
        found = [root for name in names for root in roots_named(name, pki)]
    except BadRoot as error:
        raise _usage(str(error)) from error
    return Roots(names, tuple(found))


def _question(options: argparse.Namespace) -> PolicyQuestion | None:
    from simulator.inspection.policies import BadQuestion, policy_question

    if options.policy is None:
        return None
    try:
        text = Path(options.policy).read_text(encoding="utf-8")
    except OSError as error:
        raise _usage(f"cannot read {options.policy}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _usage(f"{options.policy} is not UTF-8 text; a key policy is JSON") from error
    operation = options.operation or "Decrypt"
    try:
        return policy_question(text, caller=options.caller, operation=operation)
    except BadQuestion as error:
        raise _usage(f"{options.policy}: {error}") from error


def _envelope(options: argparse.Namespace, source: str, data: bytes) -> int:
    from simulator.inspection.document import Unreadable
    from simulator.inspection.envelope import BadKey, inspect_envelope, private_key
    from simulator.inspection.envelope_text import envelope_text

    try:
        key = private_key(_read(options.key)) if options.key is not None else None
    except BadKey as error:
        raise _usage(f"{options.key}: {error}") from error
    try:
        report = inspect_envelope(_given(source, data), source=source, key=key)
    except Unreadable as error:
        raise _usage(f"{source}: {error}") from error
    _print(report, envelope_text(report), as_json=options.json)
    return report.exit_code


def _print(report: Any, lines: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        show(json.dumps(dataclasses.asdict(report), indent=2))
        return
    for line in lines:
        show(_plain(line))


def _plain(line: str) -> str:
    """The line in printable ASCII: names and texts in a document are anybody's."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return printable.encode("ascii", "backslashreplace").decode("ascii")
