"""The report on a document as a person reads it: verdicts first, then why, then the facts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from simulator.inspection.document import At, DocumentReport, Fields, Refusal
from simulator.inspection.facts import PcrFacts, PublicKeyFacts
from simulator.inspection.policies import PolicyReport, StatementReport

_WIDTH = 100
_ROOTS = {"aws": "AWS Nitro Enclaves Root G1", "sim": "the simulator's root"}


def document_text(report: DocumentReport) -> Iterator[str]:
    """The lines of the report."""
    yield from _input(report)
    yield ""
    yield f"authentic                  {_yes(report.authentic)}"
    yield f"usable as a KMS Recipient  {_yes(report.usable)}"
    if report.policy:
        yield f"allowed by the key policy  {_yes(report.policy.allowed)}"
    roots = ", ".join(_ROOTS.get(name, name) for name in report.judged.roots)
    yield f"judged at {report.judged.at} ({_AT[report.judged.at_is]}), trusting {roots}"
    for note in report.notes:
        yield from wrapped(f"! {note}", "  ")
    if report.as_given:
        yield ""
        yield "What was given, sent to KMS as it is, gets:"
        yield from _refusal(report.as_given)
    yield ""
    yield from _refusals(report.refusals, "the document inside" if report.as_given else "it")
    if report.document:
        yield ""
        yield from _fields(report.document)
    if report.policy:
        yield ""
        yield from _policy(report.policy)


_AT = {
    At.NOW: "now",
    At.DOCUMENT: "the document's own time",
    At.GIVEN: "the time given",
}


def _yes(verdict: bool) -> str:
    return "yes" if verdict else "NO"


def _input(report: DocumentReport) -> Iterator[str]:
    given = report.input
    wrapping = [*given.encodings, *(["a response of the NSM"] if given.nsm_response else [])]
    read = f", read out of {' of '.join(wrapping)}" if wrapping else ""
    yield f"{given.source}: attestation document of {given.bytes} bytes{read}"
    yield f"SHA-256 {given.sha256}"


def _refusals(refusals: Iterable[Refusal], what: str) -> Iterator[str]:
    origins = [refusal for refusal in refusals if refusal.follows_from is None]
    if not origins:
        yield f"No rule about documents refuses {what}."
        return
    yield f"Rules that refuse {what}, in the order of the checks; KMS answers with the first:"
    for origin in origins:
        yield from _refusal(origin)
        after = [refusal.rule for refusal in refusals if refusal.follows_from == origin.rule]
        if after:
            yield from wrapped(f"so that these cannot pass either: {', '.join(after)}", " " * 6)


def _refusal(refusal: Refusal) -> Iterator[str]:
    yield f"  {refusal.rule}  (decides: {refusal.concerns})"
    yield from wrapped(f"{refusal.exception}: {refusal.message}", " " * 6)
    yield (
        f"      evidence: type {refusal.type_evidence}, text {refusal.text_evidence}, "
        f"order {refusal.order_evidence}"
    )


def _fields(document: Fields) -> Iterator[str]:
    wrapper = "COSE_Sign1 with CBOR tag 18" if document.tagged else "COSE_Sign1 without a tag"
    age = document.age_ms / 1000
    yield "Document"
    platform = {"enclave": "Nitro enclave", "nitro-tpm": "NitroTPM"}[document.platform]
    mode = {None: "", True: ", in DEBUG MODE", False: ", not in debug mode"}[document.debug_mode]
    yield f"  platform    {platform}{mode}"
    yield f"  module id   {document.module_id}"
    yield f"  timestamp   {document.timestamp} (age {age:.1f} s, the most is 300 s)"
    yield f"  layout      {wrapper}, ES384; payload map {document.outer_map}"
    yield f"  digest      {document.digest}"
    yield from _public_key(document.public_key)
    yield f"  user_data   {_size(document.user_data_bytes)}"
    yield f"  nonce       {_size(document.nonce_bytes)}"
    yield "PCRs"
    yield from _pcrs(document.pcrs)
    yield "Certificates, root first"
    for certificate in document.certificates:
        if certificate.problem:
            yield from wrapped(f"{certificate.place}: {certificate.problem}", "  ")
            continue
        yield from wrapped(f"{certificate.place}: {certificate.subject}", "  ")
        valid = "" if certificate.valid else "  NOT VALID at the time of judging"
        yield f"      {certificate.not_before} to {certificate.not_after}, {certificate.key}{valid}"
        if certificate.subject == certificate.issuer:
            yield f"      self-signed, SHA-256 {certificate.sha256}"
        else:
            yield from wrapped(f"issued by {certificate.issuer}", " " * 6)


def _public_key(key: PublicKeyFacts) -> Iterator[str]:
    size = f", {key.bytes} bytes" if key.bytes else ""
    yield f"  public_key  {key.words}{size}"
    if key.sha256:
        yield f"  its SHA-256 {key.sha256}: an envelope's SKI"
    if key.fix:
        yield from wrapped(f"fix: {key.fix}", " " * 14)


def _size(size: int | None) -> str:
    return "none (null)" if size is None else f"{size} bytes"


def _pcrs(pcrs: Iterable[PcrFacts]) -> Iterator[str]:
    """Each register with a value, or with something to say; the other zeros in one line."""
    zeros = []
    for pcr in pcrs:
        if pcr.zero and not pcr.meaning:
            zeros.append(pcr.index)
            continue
        words = "; ".join(filter(None, (pcr.meaning, pcr.explained)))
        if pcr.zero:
            yield f"  PCR{pcr.index:<3} zero  ({words})"
            continue
        yield f"  PCR{pcr.index:<3} {pcr.value}"
        if words:
            yield f"         {words}"
    if zeros:
        yield f"  zero: {', '.join(f'PCR{span}' for span in _spans(zeros))}"


def _spans(indexes: Iterable[int]) -> Iterator[str]:
    """`5-7`, `9` and so on for ascending numbers."""
    spans: list[list[int]] = []
    for index in indexes:
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return (f"{first}-{last}" if last > first else str(first) for first, last in spans)


def _policy(report: PolicyReport) -> Iterator[str]:
    """What the policy says, statement by statement."""
    yield f"Key policy: {report.action} by {report.caller}"
    yield f"  on {report.key_arn}, if the caller's IAM policies allow it:"
    yield f"  {'allowed' if report.allowed else 'DENIED'}"
    if report.message:
        yield from wrapped(f"AccessDeniedException: {report.message}", "  ")
    for statement in report.statements:
        yield from _statement(statement)


def _statement(statement: StatementReport) -> Iterator[str]:
    name = f" ({statement.sid})" if statement.sid else ""
    applies = "applies" if statement.applies else "does not apply"
    yield f"  {statement.path}{name}, {statement.effect}: {applies}"
    for element in ("principal", "action", "resource"):
        if not getattr(statement, element):
            yield f"      its {element.capitalize()} does not mean this call"
    for condition in statement.conditions:
        holds = "holds" if condition.holds else "does not hold"
        yield f"      {condition.operator} {condition.key}: {holds}"
        if condition.holds and statement.effect == "Allow":
            continue
        for expected in condition.expected:
            yield f"        policy    {expected}"
        found = "has no such key" if condition.found is None else condition.found
        yield f"        document  {found}"
        if condition.hint:
            yield from wrapped(f"hint: {condition.hint}", " " * 8)


def wrapped(text: str, indent: str) -> list[str]:
    """`text` in lines of at most 100 columns, those after the first indented further."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
