"""The report on an envelope as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.inspection.cms import Recipient
from simulator.inspection.document_text import wrapped
from simulator.inspection.envelope import EnvelopeReport, Opened

_MOST_DIGITS = 128


def envelope_text(report: EnvelopeReport) -> Iterator[str]:
    """The lines of the report."""
    given = report.input
    read = f", read out of {' of '.join(given.encodings)}" if given.encodings else ""
    yield f"{given.source}: CMS EnvelopedData of {given.bytes} bytes{read}"
    yield f"SHA-256 {given.sha256}"
    yield ""
    yield f"an envelope as KMS sends them  {'yes' if report.of_kms else 'NO'}"
    if report.opened:
        yield f"opens with the key             {'yes' if report.opened.opens else 'NO'}"
    if report.difference:
        yield from wrapped(f"! {report.difference}", "  ")
    for note in report.notes:
        yield from wrapped(f"! {note}", "  ")
    yield ""
    yield from _structure(report)
    if report.opened:
        yield ""
        yield from _opened(report.opened)
    yield ""
    yield "Parsers that cannot read it"
    for parser in report.cannot_read:
        yield f"  {parser.parser}"
        for reason in parser.reasons:
            yield from wrapped(reason, " " * 6)
        yield from wrapped(f"{parser.evidence}: {parser.source}", " " * 6)
    yield from wrapped(f"Parsers that read it: {', '.join(report.read_it)}", "")


def _structure(report: EnvelopeReport) -> Iterator[str]:
    content = report.content
    lengths = (
        f", {report.indefinite_lengths} indefinite lengths" if report.encoding == "BER" else ""
    )
    yield "Envelope"
    yield f"  encoding    {report.encoding}{lengths}"
    yield f"  version     {report.version}"
    for recipient in report.recipients:
        yield from _recipient(recipient)
    yield f"  content     {content.type}, {content.cipher}, IV {content.iv}"
    pieces = f" of {', '.join(map(str, content.chunks))} bytes" if content.form != "absent" else ""
    count = f" in {len(content.chunks)} chunk(s)" if content.form == "constructed" else ""
    yield f"              {content.form}{count}{pieces}"


def _recipient(recipient: Recipient) -> Iterator[str]:
    version = "" if recipient.version is None else f", version {recipient.version}"
    yield f"  recipient   {recipient.kind}{version}"
    if recipient.identifier is None:
        return
    name = recipient.ski or f"{recipient.issuer}, serial number {recipient.serial}"
    yield f"              {recipient.identifier}"
    yield f"              {name}"
    oaep = ""
    if recipient.oaep_parameters:
        oaep = (
            f" with {recipient.oaep_hash}, MGF1 with {recipient.oaep_mask} "
            f"({recipient.oaep_parameters} parameters)"
        )
    yield f"              {recipient.algorithm}{oaep}, {recipient.encrypted_key_bytes} bytes"


def _opened(opened: Opened) -> Iterator[str]:
    matches = {
        None: "no SKI",
        True: "the SKI",
        False: "NOT the SKI",
    }[opened.ski_is_of_key]
    yield "Opened with the key"
    yield f"  its SHA-256 {opened.key_sha256}: {matches}"
    if opened.problem:
        yield from wrapped(f"it does not open: {opened.problem}", "  ")
        return
    yield f"  plaintext   {opened.plaintext_bytes} bytes"
    digits = opened.plaintext_hex or ""
    more = "... (--json has all)" if len(digits) > _MOST_DIGITS else ""
    yield f"  hex         {digits[:_MOST_DIGITS]}{more}"
    if opened.plaintext_text:
        yield f"  text        {opened.plaintext_text}"
