"""An attestation document as KMS receives it: COSE_Sign1 structure and the fields of its payload.

This module reads; it trusts nothing. Certificates are opaque bytes here, and no signature is
checked: that is `kms_fake.chain` and `kms_fake.received`. It is written against AWS's
"attestation_process.md" (aws-nitro-enclaves-nsm-api, docs, sections 2 and 3.2), not against any
writer of documents; the COSE structure is read here and not by a COSE library so that the reader
shares no mistake with a writer that uses one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import cbor2

from kms_fake import strict_cbor

_ES384_HEADER = bytes.fromhex("a1013822")  # {1: -35}, as in every real document.
# base64 of bytes that begin as COSE_Sign1 does, 84 or d2 84: other text is no document at all.
_BASE64_TEXT = re.compile(rb"\s*(?:h[A-P]|0o[Q-T])[A-Za-z0-9+/_=\s-]*")
_COSE_SIGN1_TAGGED = b"\xd2"  # CBOR tag 18 in its shortest form (RFC 9052, section 4.2).
_SIGNATURE_LENGTH = 96
_MOST_PAYLOAD = 16384  # attestation_process.md, section 3.1; the NSM's answers have 12288 at most.


class NotADocument(ValueError):
    """The bytes are not an attestation document; the message says where they stop being one."""


@dataclass(frozen=True, slots=True)
class CoseSign1:
    """The four elements of COSE_Sign1 (RFC 9052, section 4.2) as they were received."""

    protected: bytes
    payload: bytes
    signature: bytes
    """r and s, 48 big-endian bytes each."""

    @property
    def signed_bytes(self) -> bytes:
        """The Sig_structure that ES384 signs (RFC 9052, section 4.4), with empty external data."""
        return cbor2.dumps(["Signature1", self.protected, b"", self.payload])


@dataclass(frozen=True, slots=True)
class AttestationDocument:
    """The payload's fields. `pcrs` holds raw digests by index; the three options may be None."""

    module_id: str
    timestamp_ms: int
    """Milliseconds since the Unix epoch."""
    pcrs: Mapping[int, bytes]
    nitro_tpm: bool
    """Whether the PCRs are a NitroTPM's (`nitrotpm_pcrs`), not an enclave's (`pcrs`)."""
    certificate: bytes
    """The signing certificate, DER."""
    cabundle: tuple[bytes, ...]
    """DER certificates, root first."""
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None


def read_cose_sign1(document: bytes) -> CoseSign1:
    """Split COSE_Sign1, tagged (18) or untagged, signed with ES384.

    Raises NotADocument. A non-empty unprotected header is refused: the NSM writes none, and it is
    not signed (inferred; real KMS's reading is unknown).
    """
    try:
        elements = strict_cbor.decode(document.removeprefix(_COSE_SIGN1_TAGGED))
    except strict_cbor.NotPlainCbor as error:
        if _BASE64_TEXT.fullmatch(document):
            raise NotADocument("it is base64 text, so it was encoded twice") from error
        raise NotADocument(f"not one CBOR value: {error}") from error
    if type(elements) is not list or len(elements) != 4:
        raise NotADocument("not a COSE_Sign1 array of four elements")
    protected, unprotected, payload, signature = elements
    if type(protected) is not bytes or type(payload) is not bytes or type(signature) is not bytes:
        raise NotADocument("protected header, payload and signature are byte strings")
    if unprotected != {} or type(unprotected) is not dict:
        raise NotADocument("the unprotected header is not an empty map")
    if protected != _ES384_HEADER:
        raise NotADocument("the protected header is not a1013822, the algorithm ES384")
    if len(payload) > _MOST_PAYLOAD:
        raise NotADocument(f"the payload has {len(payload)} bytes; {_MOST_PAYLOAD} is the most")
    if len(signature) != _SIGNATURE_LENGTH:
        raise NotADocument(f"the signature has {len(signature)} bytes where ES384 has 96")
    return CoseSign1(protected, payload, signature)


def read_payload(payload: bytes) -> AttestationDocument:
    """The fields of a payload, checked as attestation_process.md section 3.2.2 lists them.

    Limits are those of the published CDDL (section 2.2): user_data and nonce at most 1024 bytes;
    the 512 of the later list is contradicted by real documents. Raises NotADocument.
    """
    try:
        fields = strict_cbor.decode(payload)
    except strict_cbor.NotPlainCbor as error:
        raise NotADocument(f"the payload is not one CBOR value: {error}") from error
    if type(fields) is not dict:
        raise NotADocument("the payload is not a map")
    nitro_tpm = "nitrotpm_pcrs" in fields
    if nitro_tpm and "pcrs" in fields:
        raise NotADocument("the payload has both pcrs and nitrotpm_pcrs")
    if fields.get("digest") != "SHA384":
        raise NotADocument("digest is not the text SHA384")
    return AttestationDocument(
        module_id=_module_id(fields.get("module_id")),
        timestamp_ms=_timestamp(fields.get("timestamp")),
        pcrs=_pcrs(fields.get("nitrotpm_pcrs" if nitro_tpm else "pcrs")),
        nitro_tpm=nitro_tpm,
        certificate=_certificate(fields.get("certificate"), "certificate"),
        cabundle=_cabundle(fields.get("cabundle")),
        public_key=_option(fields.get("public_key"), "public_key", None),
        user_data=_option(fields.get("user_data"), "user_data", 1024),
        nonce=_option(fields.get("nonce"), "nonce", 1024),
    )


def _module_id(value: object) -> str:
    if type(value) is not str or not value:
        raise NotADocument("module_id is not a non-empty text")
    return value


def _timestamp(value: object) -> int:
    if type(value) is not int or value <= 0:
        raise NotADocument("timestamp is not a positive integer")
    return value


def _pcrs(value: object) -> dict[int, bytes]:
    if type(value) is not dict or not 1 <= len(value) <= 32:
        raise NotADocument("pcrs is not a map of 1 to 32 entries")
    for index, digest in value.items():
        if type(index) is not int or not 0 <= index < 32:
            raise NotADocument("a PCR index is not an integer from 0 to 31")
        if type(digest) is not bytes or len(digest) not in {32, 48, 64}:
            raise NotADocument(f"PCR{index} is not a digest of 32, 48 or 64 bytes")
    return value


def _certificate(value: object, name: str) -> bytes:
    if type(value) is not bytes or not 1 <= len(value) <= 1024:
        raise NotADocument(f"{name} is not a byte string of 1 to 1024 bytes")
    return value


def _cabundle(value: object) -> tuple[bytes, ...]:
    if type(value) is not list or not value:
        raise NotADocument("cabundle is not a non-empty array")
    return tuple(_certificate(item, "a certificate of cabundle") for item in value)


def _option(value: object, name: str, limit: int | None) -> bytes | None:
    if value is None:
        return None
    if type(value) is not bytes:
        raise NotADocument(f"{name} is neither null nor a byte string")
    if limit is not None and len(value) > limit:
        raise NotADocument(f"{name} is longer than {limit} bytes")
    return value
