"""What the user has given: the bytes inside its text encodings, and what they look like.

Not a judge: it only finds the bytes that others then read. Text encodings (base64 in its two
alphabets, hexadecimal) are taken off one after another for as long as what is inside is text,
because the classic mistake is one encoding too many: boto3 encodes a `str` that holds base64 again,
and so does the AWS CLI in the forms of a parameter that are text.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from kms_fake import strict_cbor

LARGEST = 4 * 1024 * 1024
"""Bytes that are read of a file: a document has at most 262144, base64 of base64 twice that."""

_MOST_ENCODINGS = 8
_COSE_SIGN1_TAG = b"\xd2"
_ARRAYS = (b"\x84", b"\x98\x04", b"\x9f")
_NSM_ATTESTATION = b"\xa1\x6bAttestation"
_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
# Warnings (odd serial numbers) are raised where they count as errors.
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, Warning)
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


class Encoding(enum.StrEnum):
    """A text encoding around bytes."""

    BASE64 = "base64"
    HEX = "hex"


class Kind(enum.Enum):
    """What bytes look like, in words."""

    DOCUMENT = "an attestation document (COSE_Sign1)"
    NSM_RESPONSE = "a whole response of the NSM"
    NSM_ERROR = "a response of the NSM that is an error"
    PAYLOAD = "the payload of an attestation document, without the COSE_Sign1 around it"
    ENVELOPE = "a CMS envelope, as CiphertextForRecipient is"
    EMPTY = "empty"
    PEM = "PEM"
    CERTIFICATE = "an X.509 certificate"
    PUBLIC_KEY = "a public key"
    PRIVATE_KEY = "a private key"
    EIF = "an enclave image (EIF)"
    JSON = "JSON"
    PYTHON = "how Python shows bytes"
    TEXT = "text"
    UNKNOWN = "bytes of no form that is known here"


@dataclass(frozen=True, slots=True)
class Layer:
    """One text encoding that was taken off."""

    encoding: Encoding
    inside: bytes


@dataclass(frozen=True, slots=True)
class Given:
    """What was given, with the encodings taken off, outermost first."""

    data: bytes
    """The innermost bytes."""
    kind: Kind
    """What they look like."""
    layers: tuple[Layer, ...] = ()

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """The encodings, outermost first."""
        return tuple(layer.encoding for layer in self.layers)

    @property
    def decoded_once(self) -> bytes:
        """The bytes inside the first encoding: what reaches KMS of a value with one too many."""
        return self.layers[0].inside if self.layers else self.data


def take(data: bytes) -> Given:
    """Take the text encodings off `data` and say what is inside."""
    data = without_mark(data)
    layers: list[Layer] = []
    inside = data
    while (kind := kind_of(inside)) is Kind.TEXT and len(layers) < _MOST_ENCODINGS:
        layer = _decoded(inside)
        if layer is None:
            break
        layers.append(layer)
        inside = layer.inside
    return Given(inside, kind, tuple(layers))


def without_mark(data: bytes) -> bytes:
    """Text without its byte order mark, UTF-16 as UTF-8: what PowerShell's `>` makes of it."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            try:
                return data.decode(encoding).encode()
            except UnicodeDecodeError:
                return data
    return data


def nsm_document(data: bytes) -> bytes | None:
    """The document of an NSM response, `{"Attestation": {"document": bytes}}` in CBOR; or None."""
    try:
        match strict_cbor.decode(data):
            case {"Attestation": {"document": bytes(document)}}:
                return document
    except strict_cbor.NotPlainCbor:
        pass
    return None


def kind_of(data: bytes) -> Kind:
    """What `data` looks like."""
    if not data.strip():
        return Kind.EMPTY
    return _text_kind(data) if _is_text(data) else _binary_kind(data)


def _is_text(data: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte in b"\t\n\r\f\v" for byte in data)


def _text_kind(data: bytes) -> Kind:
    text = data.strip()
    if b"-----BEGIN" in text:
        return Kind.PEM
    if text[:1] in {b"{", b"[", b'"'}:
        return Kind.JSON
    if text[:2] in {b"b'", b'b"'}:
        return Kind.PYTHON
    return Kind.TEXT


def _binary_kind(data: bytes) -> Kind:
    if data.removeprefix(_COSE_SIGN1_TAG).startswith(_ARRAYS):
        return Kind.DOCUMENT
    if data.startswith(_NSM_ATTESTATION):
        return Kind.NSM_RESPONSE
    if data.startswith(b".eif"):
        return Kind.EIF
    return _der_kind(data) if data[:1] == b"\x30" else _cbor_kind(data)


def _cbor_kind(data: bytes) -> Kind:
    try:
        value = strict_cbor.decode(data)
    except strict_cbor.NotPlainCbor:
        return Kind.UNKNOWN
    match value:
        case {"module_id": _}:
            return Kind.PAYLOAD
        case {"Error": _}:
            return Kind.NSM_ERROR
    return Kind.UNKNOWN


def _der_kind(data: bytes) -> Kind:
    if _ENVELOPED_DATA in data[:16]:
        return Kind.ENVELOPE
    readers: dict[Kind, Callable[[bytes], object]] = {
        Kind.CERTIFICATE: x509.load_der_x509_certificate,
        Kind.PUBLIC_KEY: load_der_public_key,
        Kind.PRIVATE_KEY: lambda der: load_der_private_key(der, password=None),
    }
    for kind, read in readers.items():
        try:
            read(data)
        except _UNREADABLE:
            continue
        return kind
    return Kind.UNKNOWN


def _decoded(text: bytes) -> Layer | None:
    """The first encoding of `text`, taken off; None if it is none."""
    digits = re.sub(rb"\A0[xX]", b"", b"".join(text.split()))
    if re.fullmatch(rb"(?:[0-9A-Fa-f]{2})+", digits):
        return Layer(Encoding.HEX, bytes.fromhex(digits.decode("ascii")))
    # Blanks within a line are not base64's: that is a sentence.
    packed = b"".join(line.strip() for line in text.splitlines())
    symbols = packed.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        inside = base64.b64decode(symbols + b"=" * (-len(symbols) % 4), validate=True)
    except binascii.Error:
        return None
    return Layer(Encoding.BASE64, inside)
