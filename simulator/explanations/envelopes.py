"""Explanations: what parsers say of CiphertextForRecipient, which is BER and not DER."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations import snippets
from simulator.explanations.model import Cause, Claim, Explanation, Sdk

_BER = (
    "KMS answered. CiphertextForRecipient is CMS in BER: indefinite lengths, version 2, the "
    "recipient named by key identifier. This parser wants something stricter."
)
_ENVELOPE_WORDS = (*("kms", "recipient", "cms", "pkcs7", "pkcs#7", "enclave", "envelope"),)

EXPLANATIONS = (
    Explanation(
        id="envelope.indefinite-length",
        error="indefinite length disallowed; indefinite length found (not DER)",
        texts=(
            "indefinite length disallowed",
            "indefinite length found (not DER)",
            "kind: IndefiniteLength",
        ),
        meaning=_BER,
        fix="Turn BER into DER first, or use a parser that reads BER.",
        per_sdk=snippets.ENVELOPE,
        causes=(Cause("A strict DER parser", "the envelope starts with 30 80"),),
        claim=Claim(
            Evidence.REPORTED,
            "EnclaviaIO/enclavia, kms_recipient.rs, found on real KMS; RustCrypto/formats, "
            "issue 779, with four of KMS's messages",
        ),
    ),
    Explanation(
        id="envelope.not-canonical",
        error="ASN.1 CONTEXT-SPECIFIC [0] (constructed) not canonically encoded as DER",
        texts=("CONTEXT-SPECIFIC [0] (constructed) not canonically encoded as DER",),
        meaning="KMS answered. The lengths were mended; the encrypted content is still in pieces, "
        "a constructed [0] with OCTET STRINGs in it.",
        fix="Join the OCTET STRINGs into one primitive [0] when turning BER into DER.",
        per_sdk=snippets.ENVELOPE,
        causes=(
            Cause("Always so for some answers, and for content over 1000 bytes", "a0 80 04 ..."),
        ),
        claim=Claim(Evidence.REPORTED, "EnclaviaIO/enclavia, kms_recipient.rs, found on real KMS"),
    ),
    Explanation(
        id="envelope.node-forge",
        error="Cannot read PKCS#7 RecipientInfo. ASN.1 object is not an PKCS#7 RecipientInfo.",
        texts=(
            "Cannot read PKCS#7 RecipientInfo",
            "[RecipientInfo.issuerAndSerial] Expected tag class",
        ),
        meaning=_BER + " node-forge wants issuer and serial number.",
        fix="Use pkijs with asn1js instead of node-forge.",
        per_sdk={Sdk.JAVASCRIPT: snippets.ENVELOPE[Sdk.JAVASCRIPT]},
        claim=Claim(Evidence.REPORTED, "a run of node-forge on ten envelopes"),
    ),
    Explanation(
        id="envelope.pyca",
        error="ValueError: error parsing asn1 value: ParseError { kind: InvalidLength }",
        texts=("ParseError { kind: InvalidLength",),
        near=_ENVELOPE_WORDS,
        meaning=_BER,
        fix="Use asn1crypto, or `openssl cms -decrypt`.",
        per_sdk={Sdk.PYTHON: snippets.ENVELOPE[Sdk.PYTHON]},
        claim=Claim(Evidence.REPORTED, "a run of cryptography 50, pkcs7_decrypt_der"),
    ),
    Explanation(
        id="envelope.asn1-structure",
        error="asn1: structure error: ...",
        texts=("asn1: structure error", "asn1: syntax error"),
        near=_ENVELOPE_WORDS,
        meaning=_BER,
        fix="Turn BER into DER before encoding/asn1 sees it.",
        per_sdk={Sdk.GO: snippets.ENVELOPE[Sdk.GO]},
        causes=(
            Cause("A strict DER parser", "the envelope starts with 30 80"),
            Cause("A struct for issuer and serial number", "KMS sends [0], the key identifier"),
        ),
        claim=Claim(Evidence.REPORTED, "envelopes of KMS given to Go's encoding/asn1"),
    ),
    Explanation(
        id="envelope.oaep",
        error="RSA-OAEP decryption error",
        texts=(
            *("crypto/rsa: decryption error", "oaep decoding error", "oaep decryption error"),
            "RSA_padding_check_PKCS1_OAEP_mgf1",
        ),
        near=_ENVELOPE_WORDS,
        meaning="The private key, the hash or the bytes are not those of this envelope.",
        fix="Decrypt only the encryptedKey inside the CMS, with SHA-256 for OAEP and for MGF1; "
        "then AES-256-CBC with the key that comes out.",
        per_sdk=snippets.ENVELOPE,
        causes=(
            Cause("The whole CMS was given to RSA", "461 or 493 bytes instead of 256"),
            Cause("SHA-1, the default of many libraries, for OAEP or MGF1", "the options"),
            Cause(
                "Another private key than that of the document",
                "SHA-256 of your SPKI must equal the envelope's key identifier "
                "(`attested-kms inspect --cms`)",
            ),
        ),
        claim=Claim(
            Evidence.REPORTED,
            "EphemeralML before 39014f5 (RSA on the whole blob); the words are the libraries'",
        ),
    ),
)
