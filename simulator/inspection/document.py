"""The report on an attestation document: two verdicts, and the facts behind them.

The verdicts are those of `kms_fake`: `authentic` if none of the rows about structure, chain,
validity and signature refuses the document, `usable` if none of the rows about documents does, age
and public key included. KMS answers with the first row that refuses; the others follow in order.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

from kms_fake.chain import TrustedRoots
from kms_fake.document import AttestationDocument, NotADocument, read_cose_sign1, read_payload
from kms_fake.document_rules import AUTHENTICITY, Finding, judge_document
from kms_fake.received import ReceivedDocument
from kms_fake.roots import AWS_ROOT_SHA256
from simulator.inspection import facts
from simulator.inspection.given import Given, Kind, nsm_document
from simulator.inspection.moments import in_words
from simulator.inspection.policies import PolicyQuestion, PolicyReport, judge_policy


class At(enum.StrEnum):
    """Which time a document is judged at."""

    NOW = "now"
    DOCUMENT = "document"
    """Its own timestamp; the present where it has none that reads."""
    GIVEN = "given"
    """One that the user chose."""


_QEMU_HEADER = bytes.fromhex("a10120")
_SECONDS = 10**11
"""A timestamp below this, in milliseconds, is before 1973: somebody wrote seconds."""


class Unreadable(Exception):
    """What was given cannot be inspected: a sentence that says what it is and what to give."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots to judge by, and how the user named them."""

    names: tuple[str, ...]
    certificates: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """When and by whom the document is judged."""

    at: str
    at_ms: int
    at_is: At
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """What was given."""

    source: str
    encodings: tuple[str, ...]
    """Text encodings around it, outermost first."""
    nsm_response: bool
    """Whether it is a whole response of the NSM, with the document inside."""
    bytes: int
    """Of the document or envelope itself."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of the rule table that refuses the document, and what KMS says."""

    rule: str
    exception: str
    message: str
    concerns: str
    """The verdict that it decides: `authentic` or `usable`."""
    follows_from: str | None
    """The earlier row without which this one has nothing to look at."""
    type_evidence: str
    text_evidence: str
    order_evidence: str
    source: str

    @classmethod
    def of(cls, finding: Finding) -> Refusal:
        """As a report shows it."""
        rule = finding.rule
        return cls(
            rule=rule.id,
            exception=rule.exception,
            message=finding.message,
            concerns="authentic" if rule.id in AUTHENTICITY else "usable",
            follows_from=finding.follows_from,
            type_evidence=rule.type_evidence.value,
            text_evidence=rule.text_evidence.value,
            order_evidence=rule.order_evidence.value,
            source=rule.source,
        )


@dataclass(frozen=True, slots=True)
class Fields:
    """What the document says."""

    platform: str
    """`enclave` or `nitro-tpm`."""
    tagged: bool
    """Whether CBOR tag 18 stands before the COSE_Sign1; the NSM writes none."""
    outer_map: str
    """`indefinite` (hardware since 2025-07-18 at the latest) or `definite` (before)."""
    module_id: str
    instance_id: str
    timestamp: str
    timestamp_ms: int
    age_ms: int
    """At the time of judging; negative if the document is from the future."""
    digest: str
    debug_mode: bool | None
    pcrs: tuple[facts.PcrFacts, ...]
    public_key: facts.PublicKeyFacts
    user_data_bytes: int | None
    nonce_bytes: int | None
    certificates: tuple[facts.CertificateFacts, ...]


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """Everything about one document."""

    kind: str
    exit_code: int
    authentic: bool
    usable: bool
    input: Input
    judged: Judged
    as_given: Refusal | None
    """What KMS says if what was given is sent as it is, where that is not the document itself."""
    refusals: tuple[Refusal, ...]
    """The rows that refuse it, in the order of the table."""
    document: Fields | None
    """None where the payload cannot be read."""
    policy: PolicyReport | None
    notes: tuple[str, ...]


def inspect_document(
    given: Given,
    *,
    source: str,
    roots: Roots,
    at: At,
    now_ms: int,
    question: PolicyQuestion | None = None,
) -> DocumentReport:
    """The report on the document in `given`, judged at `now_ms` unless `at` is DOCUMENT.

    Raises Unreadable if it is no document at all.
    """
    raw = _document_in(given)
    fields = _fields_of(raw)
    at_ms = fields.timestamp_ms if fields and at is At.DOCUMENT else now_ms
    trusted = TrustedRoots(roots.certificates)
    refusals = tuple(map(Refusal.of, judge_document(raw, trusted, at_ms)))
    as_given = _as_given(given, raw, trusted, at_ms)
    policy = None
    if question and fields:
        brought = ReceivedDocument(raw, trusted, at_ms).condition_values()
        policy = judge_policy(question, brought, debug_mode=facts.is_debug(fields) is True)
    authentic = all(refusal.concerns != "authentic" for refusal in refusals)
    usable = not refusals and as_given is None
    return DocumentReport(
        kind="document",
        exit_code=_exit_code(authentic=authentic, rest=usable and (not policy or policy.allowed)),
        authentic=authentic,
        usable=usable,
        input=Input(
            source=source,
            encodings=tuple(encoding.value for encoding in given.encodings),
            nsm_response=given.kind is Kind.NSM_RESPONSE,
            bytes=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
        ),
        judged=Judged(at=in_words(at_ms), at_ms=at_ms, at_is=at, roots=roots.names),
        as_given=as_given,
        refusals=refusals,
        document=_read(raw, fields, at_ms, question) if fields else None,
        policy=policy,
        notes=tuple(_notes(given, raw, fields, refusals, at)),
    )


def _exit_code(*, authentic: bool, rest: bool) -> int:
    if not authentic:
        return 1
    return 0 if rest else 3


def _document_in(given: Given) -> bytes:
    if given.kind is Kind.DOCUMENT:
        return given.data
    if given.kind is Kind.NSM_RESPONSE:
        document = nsm_document(given.data)
        if document is None:
            raise Unreadable("it is a response of the NSM, cut short or damaged: give all of it")
        return document
    raise Unreadable(what_it_is(given))


DOCUMENT = "an attestation document"
_ADVICE = {
    Kind.PAYLOAD: "KMS needs the whole COSE_Sign1, of which this is the third element",
    Kind.NSM_ERROR: "the NSM refused to attest, so there is no document",
    Kind.ENVELOPE: "inspect it with --cms",
    Kind.PEM: "give the attestation document, which is binary",
    Kind.CERTIFICATE: "give the attestation document; a certificate goes to --root",
    Kind.JSON: "give the value of AttestationDocument alone",
    Kind.PYTHON: "write the bytes themselves to the file, not str() or repr() of them",
    Kind.EMPTY: "give the document that the NSM returned",
    Kind.EIF: "give a document that an enclave got from its NSM",
}


def what_it_is(given: Given, *, wanted: str = DOCUMENT) -> str:
    """A sentence for something that is not `wanted`."""
    wrapping = " of ".join(given.encodings)
    what = f"{wrapping} of {given.kind.value}" if wrapping else given.kind.value
    begin = f", beginning {given.data[:8].hex()}" if given.kind is Kind.UNKNOWN else ""
    size = f" ({len(given.data)} bytes{begin})" if given.data else ""
    advice = f"give {wanted}: raw, base64 or hexadecimal"
    if wanted == DOCUMENT:
        advice = _ADVICE.get(given.kind, advice)
    return f"it is not {wanted}: it looks like {what}{size}; {advice}"


def _fields_of(raw: bytes) -> AttestationDocument | None:
    try:
        return read_payload(read_cose_sign1(raw).payload)
    except NotADocument:
        return None


def _as_given(given: Given, raw: bytes, roots: TrustedRoots, at_ms: int) -> Refusal | None:
    """What KMS says to it as it is. One text encoding is not counted: files often have it."""
    sent = given.decoded_once
    if sent == raw:
        return None
    findings = judge_document(sent, roots, at_ms)
    return Refusal.of(findings[0])


def _read(
    raw: bytes, fields: AttestationDocument, at_ms: int, question: PolicyQuestion | None
) -> Fields:
    payload = read_cose_sign1(raw).payload
    return Fields(
        platform="nitro-tpm" if fields.nitro_tpm else "enclave",
        tagged=raw[:1] == b"\xd2",
        outer_map="indefinite" if payload[:1] == b"\xbf" else "definite",
        module_id=fields.module_id,
        instance_id=facts.instance_id_of(fields.module_id),
        timestamp=in_words(fields.timestamp_ms),
        timestamp_ms=fields.timestamp_ms,
        age_ms=at_ms - fields.timestamp_ms,
        digest="SHA384",
        debug_mode=facts.is_debug(fields),
        pcrs=facts.pcrs_of(fields, question.roles if question else ()),
        public_key=facts.public_key_of(fields.public_key),
        user_data_bytes=None if fields.user_data is None else len(fields.user_data),
        nonce_bytes=None if fields.nonce is None else len(fields.nonce),
        certificates=facts.certificates_of(fields, at_ms),
    )


def _notes(
    given: Given,
    raw: bytes,
    fields: AttestationDocument | None,
    refusals: Sequence[Refusal],
    at: At,
) -> Iterator[str]:
    """What a person should know, most urgent first."""
    if len(given.layers) > 1:
        yield (
            f"this is {' of '.join(given.encodings)}: encoded {len(given.layers)} times. SDKs and "
            "the AWS CLI encode bytes themselves, so a text that is base64 already is encoded "
            "again. Give boto3 bytes, not a str; give the AWS CLI "
            "AttestationDocument@=fileb://FILE with the raw bytes"
        )
    if given.kind is Kind.NSM_RESPONSE:
        yield (
            "this is a whole response of the NSM: KMS wants the bytes of its field document alone"
        )
    if raw.startswith(b"\x84\x43" + _QEMU_HEADER):
        yield "its header is that of QEMU's nitro-enclave machine, which does not sign documents"
    if fields is None:
        return
    met = {refusal.rule for refusal in refusals if refusal.follows_from is None}
    if "document.root" in met:
        yield _about_root(fields)
    if {"document.validity", "document.age"} & met and at is not At.DOCUMENT:
        yield (
            f"the document was made at {in_words(fields.timestamp_ms)}; --at document judges it at "
            "that time"
        )
    if fields.timestamp_ms < _SECONDS:
        yield "its timestamp looks like seconds; the NSM writes milliseconds"
    if facts.is_debug(fields):
        yield (
            "the enclave runs in debug mode: PCR0, PCR1 and PCR2 are zero, and a policy with the "
            "measurements of the image denies it"
        )


def _about_root(fields: AttestationDocument) -> str:
    root = facts.certificates_of(fields, 0)[0]
    subject = root.subject or "unreadable"
    if "O=NotAWS" in subject:
        return (
            "this is a simulator's document (its root says NotAWS): give --root FILE with the "
            "root_certificate that attested-kms serve printed, or --root sim --seed TEXT"
        )
    if root.sha256 == AWS_ROOT_SHA256:
        return "its root is AWS's: give --root aws"
    return (
        f"its root is {subject}, SHA-256 {root.sha256}; it is not AWS Nitro Enclaves Root G1 of "
        "the commercial Regions. If you trust it, give --root FILE"
    )
