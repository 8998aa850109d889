"""Opens CiphertextForRecipient, the envelope in which KMS gives an enclave its plaintext.

The envelope is CMS EnvelopedData (RFC 5652) in BER, not DER. That it is CMS is documented (AWS's
NitroTPM-Tools opens it by `openssl cms`); its layout below is reported: that of every published
sample of the real service. Exactly that layout is read, as BER allows it to be written; anything
else is refused with the place where it differs. Nothing in an envelope authenticates KMS: whoever
knows the enclave's public key can make one. Two openers that do not work on real envelopes are here
because clients have tried them.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


class Opener(enum.StrEnum):
    """A way to read CiphertextForRecipient."""

    CMS = "cms"
    STRICT_DER = "strict-der"
    RAW_RSA_OAEP = "raw-rsa-oaep"


class EnvelopeError(Exception):
    """Why an envelope cannot be opened. Says nothing of what decryption yielded."""


class Encoding(enum.Enum):
    """Which encodings of ASN.1 (X.690) are accepted."""

    BER = "BER"
    DER = "DER"
    """No indefinite lengths, no lengths longer than needed, no strings in pieces."""


class OaepHash(enum.Enum):
    """The hash of RSAES-OAEP and of its MGF1."""

    SHA1 = "sha1"
    """What absent parameters mean (RFC 8017, appendix A.2.1)."""
    SHA256 = "sha256"


class ContentForm(enum.Enum):
    """How encryptedContent, an OCTET STRING under [0] IMPLICIT, is written."""

    PRIMITIVE = "primitive"
    """Tag 80 and the ciphertext. Reported: one sample of 2022."""
    CONSTRUCTED = "constructed"
    """Tag a0 and the ciphertext in OCTET STRINGs. Reported: all other samples."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The parts of an envelope in which one differs from another."""

    subject_key_identifier: bytes
    """Of the recipient's key: SHA-256 of its DER SubjectPublicKeyInfo, 32 bytes (inferred from
    samples with their keys)."""
    oaep_hash: OaepHash
    encrypted_key: bytes
    """The content key under RSAES-OAEP."""
    iv: bytes
    """16 bytes."""
    ciphertext: bytes
    """The PKCS#7-padded content under AES-256-CBC, its chunks joined."""
    content_form: ContentForm


_INTEGER, _OCTET_STRING, _NULL, _OID = 0x02, 0x04, 0x05, 0x06
_SEQUENCE, _SET = 0x30, 0x31
_PRIMITIVE_0, _CONSTRUCTED_0, _CONSTRUCTED_1 = 0x80, 0xA0, 0xA1

_ENVELOPED_DATA = bytes.fromhex("2a864886f70d010703")
_DATA = bytes.fromhex("2a864886f70d010701")
_RSAES_OAEP = bytes.fromhex("2a864886f70d010107")
_MGF1 = bytes.fromhex("2a864886f70d010108")
_AES256_CBC = bytes.fromhex("60864801650304012a")
_OAEP_HASHES = {
    bytes.fromhex("2b0e03021a"): OaepHash.SHA1,
    bytes.fromhex("608648016503040201"): OaepHash.SHA256,
}

_CANNOT_DECRYPT = (
    "the envelope does not decrypt with this enclave's key: it was made for another key, or damaged"
)


def parse(blob: bytes, encoding: Encoding = Encoding.BER) -> Envelope:
    """The parts of the envelope `blob`; raises `EnvelopeError` for any other layout."""
    reader = _Reader(blob, encoding)
    with reader.inside(_SEQUENCE, "ContentInfo"):
        reader.expect(_OID, _ENVELOPED_DATA, "contentType id-envelopedData")
        with reader.inside(_CONSTRUCTED_0, "content"), reader.inside(_SEQUENCE, "EnvelopedData"):
            reader.expect(_INTEGER, b"\x02", "EnvelopedData's version 2")
            with (
                reader.inside(_SET, "recipientInfos"),
                reader.inside(_SEQUENCE, "KeyTransRecipientInfo"),
            ):
                reader.expect(_INTEGER, b"\x02", "KeyTransRecipientInfo's version 2")
                identifier = reader.primitive(_PRIMITIVE_0, "subjectKeyIdentifier")
                oaep_hash = _read_oaep(reader)
                encrypted_key = reader.primitive(_OCTET_STRING, "encryptedKey")
            with reader.inside(_SEQUENCE, "EncryptedContentInfo"):
                reader.expect(_OID, _DATA, "contentType id-data")
                with reader.inside(_SEQUENCE, "contentEncryptionAlgorithm"):
                    reader.expect(_OID, _AES256_CBC, "aes256-CBC")
                    iv = reader.primitive(_OCTET_STRING, "aes-IV")
                ciphertext, content_form = _read_content(reader)
    reader.end()
    if len(iv) != 16:
        raise EnvelopeError(f"the IV of AES-256-CBC has {len(iv)} bytes, it must have 16")
    return Envelope(identifier, oaep_hash, encrypted_key, iv, ciphertext, content_form)


def open_cms(blob: bytes, key: RSAPrivateKey) -> bytes:
    """The plaintext of `blob`, read as BER: the way that works on what KMS sends."""
    return _decrypt(parse(blob, Encoding.BER), key)


def open_strict_der(blob: bytes, key: RSAPrivateKey) -> bytes:
    """The plaintext of `blob`, read as DER: fails on the indefinite lengths that KMS sends.

    Reported so for Go's encoding/asn1, RustCrypto's der and pyca/cryptography.
    """
    return _decrypt(parse(blob, Encoding.DER), key)


def open_raw_rsa_oaep(blob: bytes, key: RSAPrivateKey) -> bytes:
    """The plaintext of `blob` as if all of it were one RSAES-OAEP ciphertext, which it is not.

    Reported as a bug of clients that took KeyEncryptionAlgorithm for the whole format.
    """
    if len(blob) != key.key_size // 8:
        raise EnvelopeError(
            f"{len(blob)} bytes are no RSA-{key.key_size} ciphertext, which has "
            f"{key.key_size // 8}: CiphertextForRecipient is CMS EnvelopedData, open it as that"
        )
    return _unwrap(blob, key)


OPENERS: Mapping[Opener, Callable[[bytes, RSAPrivateKey], bytes]] = {
    Opener.CMS: open_cms,
    Opener.STRICT_DER: open_strict_der,
    Opener.RAW_RSA_OAEP: open_raw_rsa_oaep,
}
"""From a blob and the enclave's key to the plaintext; each raises only `EnvelopeError`."""


def _decrypt(envelope: Envelope, key: RSAPrivateKey) -> bytes:
    if envelope.oaep_hash is not OaepHash.SHA256:
        raise EnvelopeError(
            f"the content key is under RSAES-OAEP with {envelope.oaep_hash.value}, not sha256: "
            "ask KMS for RSAES_OAEP_SHA_256"
        )
    ours = _subject_key_identifier(key)
    if envelope.subject_key_identifier != ours:
        raise EnvelopeError(
            f"the envelope is for the key {envelope.subject_key_identifier.hex():.64}, this "
            f"enclave's is {ours.hex()}: send KMS a document made since this enclave booted"
        )
    # One message for whatever fails from here on: which it was would be a padding oracle.
    content_key = _unwrap(envelope.encrypted_key, key)
    try:
        decryptor = Cipher(algorithms.AES256(content_key), modes.CBC(envelope.iv)).decryptor()
        padded = decryptor.update(envelope.ciphertext) + decryptor.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise EnvelopeError(_CANNOT_DECRYPT) from None


def _unwrap(ciphertext: bytes, key: RSAPrivateKey) -> bytes:
    oaep = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
    try:
        return key.decrypt(ciphertext, oaep)
    except ValueError:
        raise EnvelopeError(_CANNOT_DECRYPT) from None


def _subject_key_identifier(key: RSAPrivateKey) -> bytes:
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(public).digest()


def _read_oaep(reader: _Reader) -> OaepHash:
    """The hash of an RSAES-OAEP AlgorithmIdentifier (RFC 4055, section 4.1)."""
    with reader.inside(_SEQUENCE, "keyEncryptionAlgorithm"):
        reader.expect(_OID, _RSAES_OAEP, "RSAES-OAEP")
        with reader.inside(_SEQUENCE, "RSAES-OAEP-params"):
            content_hash = mask_hash = OaepHash.SHA1
            if reader.next_is(_CONSTRUCTED_0):
                with reader.inside(_CONSTRUCTED_0, "hashFunc"):
                    content_hash = _read_hash(reader)
            if reader.next_is(_CONSTRUCTED_1):
                with (
                    reader.inside(_CONSTRUCTED_1, "maskGenFunc"),
                    reader.inside(_SEQUENCE, "maskGenFunc's algorithm"),
                ):
                    reader.expect(_OID, _MGF1, "MGF1")
                    mask_hash = _read_hash(reader)
    if content_hash is not mask_hash:
        raise EnvelopeError(
            f"RSAES-OAEP with {content_hash.value} but MGF1 with {mask_hash.value}: not KMS's"
        )
    return content_hash


def _read_hash(reader: _Reader) -> OaepHash:
    with reader.inside(_SEQUENCE, "hash algorithm"):
        identifier = reader.primitive(_OID, "hash algorithm's OID")
        if reader.next_is(_NULL):
            reader.expect(_NULL, b"", "NULL")
    if identifier not in _OAEP_HASHES:
        raise EnvelopeError(f"RSAES-OAEP with an unknown hash: OID {identifier.hex():.40} (hex)")
    return _OAEP_HASHES[identifier]


def _read_content(reader: _Reader) -> tuple[bytes, ContentForm]:
    if reader.encoding is Encoding.DER or not reader.next_is(_CONSTRUCTED_0):
        return reader.primitive(_PRIMITIVE_0, "encryptedContent"), ContentForm.PRIMITIVE
    chunks = []
    with reader.inside(_CONSTRUCTED_0, "encryptedContent"):
        while reader.next_is(_OCTET_STRING):
            chunks.append(reader.primitive(_OCTET_STRING, "encryptedContent's chunk"))
    return b"".join(chunks), ContentForm.CONSTRUCTED


class _Reader:
    """Reads the elements of one blob in order (X.690, 8.1).

    The caller's grammar leads: no element is entered that it does not expect, so that the depth is
    bounded by the code above and every byte is read once.
    """

    def __init__(self, blob: bytes, encoding: Encoding) -> None:
        self.encoding = encoding
        self._blob = blob
        self._position = 0
        self._limit = len(blob)

    def next_is(self, tag: int) -> bool:
        """Whether an element with `tag` comes next."""
        return self._position < self._limit and self._blob[self._position] == tag

    @contextlib.contextmanager
    def inside(self, tag: int, what: str) -> Iterator[None]:
        """Within the context, read the elements of a constructed one; all of them must be read."""
        length = self._head(tag, what)
        outer = self._limit
        if length is not None:
            self._limit = self._position + length
        yield
        if length is None:
            if self._take(2, what) != b"\0\0":
                raise self._error(f"{what} goes on where it should end", self._position - 2)
        elif self._position != self._limit:
            raise self._error(f"{what} goes on where it should end", self._position)
        self._limit = outer

    def primitive(self, tag: int, what: str) -> bytes:
        """The content of a primitive element."""
        start = self._position
        length = self._head(tag, what)
        if length is None:
            raise self._error(f"{what} is primitive and has no length", start)
        return self._take(length, what)

    def expect(self, tag: int, content: bytes, what: str) -> None:
        """Read a primitive element that must have this content."""
        start = self._position
        found = self.primitive(tag, what)
        if found != content:
            raise self._error(f"{what} is due, found {found.hex():.40} (hex)", start)

    def end(self) -> None:
        """Nothing may follow."""
        if self._position != len(self._blob):
            raise self._error("bytes follow after the end", self._position)

    def _head(self, tag: int, what: str) -> int | None:
        """The length of an element with `tag`; None where it is indefinite."""
        start = self._position
        found = self._take(1, what)[0]
        if found != tag:
            raise self._error(f"{what} is due (tag {tag:02x}), found tag {found:02x}", start)
        length = self._take(1, what)[0]
        if length == 0x80:
            if self.encoding is Encoding.DER:
                raise self._error(f"{what} has an indefinite length, which DER forbids", start)
            return None
        if length > 0x80:
            octets = self._take(length & 0x7F, what)
            length = int.from_bytes(octets, "big")
            if self.encoding is Encoding.DER and (length < 0x80 or octets[0] == 0):
                raise self._error(f"{what} has a longer length than needed", start)
        if length > self._limit - self._position:
            raise self._error(f"{what} is cut short", start)
        return length

    def _take(self, count: int, what: str) -> bytes:
        start = self._position
        if count > self._limit - start:
            raise self._error(f"{what} is cut short", start)
        self._position += count
        return self._blob[start : self._position]

    def _error(self, problem: str, position: int) -> EnvelopeError:
        return EnvelopeError(
            f"not the CMS EnvelopedData of KMS in {self.encoding.value}: "
            f"{problem} (byte {position} of {len(self._blob)})"
        )
