"""The parsers that clients use on CiphertextForRecipient, and what each of them demands.

A table: one row is one parser, its demands are checked against the envelope at hand, and one that
is not met is the reason why that parser cannot read it. Evidence is of the parser and not of KMS:
`reported` where it was run on envelopes of the real service, `inferred` where its source was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.inspection.asn1 import Element, breaches_of_der
from simulator.inspection.cms import EnvelopedData


@dataclass(frozen=True, slots=True)
class ParserReport:
    """A parser that cannot read the envelope."""

    parser: str
    reasons: tuple[str, ...]
    """What it found in this envelope."""
    evidence: str
    source: str


@dataclass(frozen=True, slots=True)
class _Envelope:
    blob: bytes
    tree: Element
    described: EnvelopedData


_Demand = Callable[[_Envelope], str | None]


@dataclass(frozen=True, slots=True)
class _Parser:
    name: str
    demands: tuple[_Demand, ...]
    evidence: Evidence
    source: str


def _der(envelope: _Envelope) -> str | None:
    breaches = list(breaches_of_der(envelope.tree))
    return f"not DER: {'; '.join(breaches)}" if breaches else None


def _primitive(envelope: _Envelope) -> str | None:
    content = envelope.described.content
    if content.form != "constructed":
        return None
    return f"encryptedContent is constructed, in {len(content.chunks)} OCTET STRING(s)"


def _versions_2(envelope: _Envelope) -> str | None:
    versions = [envelope.described.version, *(r.version for r in envelope.described.recipients)]
    if all(version == 2 for version in versions):
        return None
    return f"versions {', '.join(map(str, versions))} where it wants 2 and 2"


def _one_recipient(envelope: _Envelope) -> str | None:
    count = len(envelope.described.recipients)
    return None if count == 1 else f"{count} recipients where it wants one"


def _aes_256_cbc(envelope: _Envelope) -> str | None:
    cipher = envelope.described.content.cipher
    return None if cipher == "AES-256-CBC" else f"{cipher} where it wants AES-256-CBC"


def _by_ski(envelope: _Envelope) -> str | None:
    return _recipient_is(envelope, "subjectKeyIdentifier")


def _by_issuer(envelope: _Envelope) -> str | None:
    return _recipient_is(envelope, "issuerAndSerialNumber")


def _recipient_is(envelope: _Envelope, wanted: str) -> str | None:
    for recipient in envelope.described.recipients:
        if recipient.identifier != wanted:
            found = recipient.identifier or recipient.kind
            return f"the recipient is by {found}; it reads {wanted} only"
    return None


def _oaep_sha_256(envelope: _Envelope) -> str | None:
    for recipient in envelope.described.recipients:
        digests = {recipient.oaep_hash, recipient.oaep_mask}
        if recipient.oaep_parameters != "explicit" or digests != {"sha256"}:
            return f"{_key_encryption(envelope)} where it wants RSAES-OAEP with explicit SHA-256"
    return None


def _pkcs1_v15(envelope: _Envelope) -> str | None:
    if all(each.algorithm == "rsaEncryption" for each in envelope.described.recipients):
        return None
    return f"{_key_encryption(envelope)}; it reads PKCS#1 v1.5 only"


def _key_encryption(envelope: _Envelope) -> str:
    words = []
    for recipient in envelope.described.recipients:
        parameters = f" ({recipient.oaep_parameters} parameters: {recipient.oaep_hash})"
        shown = recipient.algorithm or recipient.kind
        words.append(shown + (parameters if recipient.oaep_parameters else ""))
    return ", ".join(words) or "no recipient"


def _nothing_but_a_ciphertext(envelope: _Envelope) -> str | None:
    size = envelope.described.recipients[0].encrypted_key_bytes
    return (
        f"{len(envelope.blob)} bytes of CMS, where a ciphertext of this RSA key alone has {size}"
        if envelope.described.recipients
        else f"{len(envelope.blob)} bytes of CMS"
    )


_OF_KMS = (_versions_2, _one_recipient, _aes_256_cbc)
_PARSERS = (
    _Parser(
        "Go encoding/asn1", (_der, _primitive), Evidence.INFERRED,
        "edgebitio/nitro-enclaves-sdk-go, crypto/cms, turns BER into DER before it",
    ),
    _Parser(
        "RustCrypto der, cms", (_der, _primitive), Evidence.REPORTED,
        "EnclaviaIO/enclavia before 5de5804: `indefinite length disallowed`, then "
        "`CONTEXT-SPECIFIC [0] (constructed) not canonically encoded as DER`",
    ),
    _Parser(
        "pyca/cryptography pkcs7_decrypt_der", (_der, _primitive, _by_issuer, _pkcs1_v15),
        Evidence.REPORTED,
        "cryptography 50 run on real samples: `ParseError { kind: InvalidLength }`",
    ),
    _Parser(
        "node-forge", (_by_issuer,), Evidence.REPORTED,
        "run on real samples: `Cannot read PKCS#7 RecipientInfo`",
    ),
    _Parser(
        "RSA-OAEP decryption of the whole blob", (_nothing_but_a_ciphertext,), Evidence.REPORTED,
        "cyntrisec/EphemeralML before 39014f5",
    ),
    _Parser(
        "AWS Nitro Enclaves SDK for C", _OF_KMS, Evidence.INFERRED,
        "aws/aws-nitro-enclaves-sdk-c, source/cms.c",
    ),
    _Parser(
        "edgebit nitro-enclaves-sdk-go", (*_OF_KMS, _by_ski), Evidence.INFERRED,
        "edgebitio/nitro-enclaves-sdk-go, crypto/cms",
    ),
    _Parser(
        "enclaver", (*_OF_KMS, _oaep_sha_256), Evidence.INFERRED,
        "edgebitio/enclaver, enclaver/src/proxy/pkcs7.rs",
    ),
    _Parser(
        "zama-ai kms", (_versions_2,), Evidence.INFERRED,
        "zama-ai/kms, core/service/src/vault/keychain/awskms.rs",
    ),
    _Parser(
        "openssl cms -decrypt", (), Evidence.REPORTED,
        "aws/NitroTPM-Tools README; run on real samples",
    ),
    _Parser("Python asn1crypto", (), Evidence.REPORTED, "run on real samples"),
    _Parser("PKI.js", (), Evidence.REPORTED, "run on real samples"),
)  # fmt: skip


def parsers_that_fail(
    blob: bytes, tree: Element, described: EnvelopedData
) -> Iterator[ParserReport]:
    """The parsers that cannot read `blob`, each with its reasons."""
    envelope = _Envelope(blob, tree, described)
    for parser in _PARSERS:
        reasons = tuple(filter(None, (demand(envelope) for demand in parser.demands)))
        if reasons:
            yield ParserReport(parser.name, reasons, parser.evidence.value, parser.source)


def parsers_that_read(blob: bytes, tree: Element, described: EnvelopedData) -> Iterator[str]:
    """The names of the parsers that have nothing against it."""
    failing = {report.parser for report in parsers_that_fail(blob, tree, described)}
    return (parser.name for parser in _PARSERS if parser.name not in failing)
