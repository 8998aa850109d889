"""CiphertextForRecipient: CMS EnvelopedData (RFC 5652) in the exact bytes that KMS sends.

KMS writes BER, not DER: the outer structures have indefinite lengths, everything inside
recipientInfos is DER. The layout was measured on ten samples of the real service and equals what
BouncyCastle's CMSEnvelopedDataGenerator writes: versions 2 and 2, the recipient by a
subjectKeyIdentifier that is the SHA-256 of its SubjectPublicKeyInfo, RSAES-OAEP with explicit
SHA-256 and MGF1-SHA-256, AES-256-CBC with PKCS#7 padding. Nothing in it authenticates KMS: whoever
knows the public key can make one.
"""

from __future__ import annotations

import enum
import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

CHUNK_LENGTH = 1000
"""Bytes per OCTET STRING of longer content: BouncyCastle's; inferred, no real sample is longer."""

_END = b"\x00\x00"
_INDEFINITE_SEQUENCE = b"\x30\x80"
_INDEFINITE_CONTEXT_0 = b"\xa0\x80"
_VERSION_2 = bytes.fromhex("020102")
_ID_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
_ID_DATA = bytes.fromhex("06092a864886f70d010701")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_SHA_256 = bytes.fromhex("300d06096086480165030402010500")
_RSAES_OAEP = bytes.fromhex("06092a864886f70d010107")
_MGF1 = bytes.fromhex("06092a864886f70d010108")

RSAES_OAEP_SHA_256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
"""How the content key is encrypted."""


class ContentForm(enum.Enum):
    """The two BER forms in which samples of the real service carry encryptedContent."""

    CONSTRUCTED = "constructed"
    """`a0 80`, OCTET STRINGs of at most 1000 bytes, `00 00`: samples of 2020 to 2026."""
    PRIMITIVE = "primitive"
    """`80` and the bytes: the sample of 2022-08 (aws-nitro-enclaves-sdk-c, pull request 83)."""


def seal(plaintext: bytes, recipient: RSAPublicKey, spki: bytes, form: ContentForm) -> bytes:
    """The envelope of `plaintext` for `recipient`, with a fresh content key and IV.

    `spki` is the recipient's DER SubjectPublicKeyInfo. The key must have 1024 bits at least: RSAES
    OAEP with SHA-256 takes 66 bytes for itself.
    """
    content_key, iv = os.urandom(32), os.urandom(16)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(content_key), modes.CBC(iv)).encryptor()
    content = encryptor.update(padder.update(plaintext) + padder.finalize())
    return encode(
        subject_key_identifier=hashlib.sha256(spki).digest(),
        encrypted_key=recipient.encrypt(content_key, RSAES_OAEP_SHA_256),
        iv=iv,
        encrypted_content=content + encryptor.finalize(),
        form=form,
    )


def encode(
    *,
    subject_key_identifier: bytes,
    encrypted_key: bytes,
    iv: bytes,
    encrypted_content: bytes,
    form: ContentForm,
    key_encryption_algorithm: bytes | None = None,
) -> bytes:
    """The envelope made of its parts; pure, so that real samples can be rebuilt from theirs.

    `key_encryption_algorithm` is a DER AlgorithmIdentifier: RSAES-OAEP with SHA-256 where it is
    None, which is all that KMS writes today.
    """
    recipient = _der(
        0x30,
        _VERSION_2,
        _der(0x80, subject_key_identifier),
        key_encryption_algorithm or _ALGORITHM_IDENTIFIER,
        _der(0x04, encrypted_key),
    )
    enveloped = (
        _INDEFINITE_SEQUENCE,
        _VERSION_2,
        _der(0x31, recipient),
        _INDEFINITE_SEQUENCE,
        _ID_DATA,
        _der(0x30, _AES_256_CBC, _der(0x04, iv)),
        _content(encrypted_content, form),
        _END,
        _END,
    )
    head = (_INDEFINITE_SEQUENCE, _ID_ENVELOPED_DATA, _INDEFINITE_CONTEXT_0)
    return b"".join((*head, *enveloped, _END, _END))


def _content(encrypted: bytes, form: ContentForm) -> bytes:
    if form is ContentForm.PRIMITIVE and len(encrypted) <= CHUNK_LENGTH:
        return _der(0x80, encrypted)
    chunks = range(0, len(encrypted), CHUNK_LENGTH)
    strings = [_der(0x04, encrypted[start : start + CHUNK_LENGTH]) for start in chunks]
    return b"".join((_INDEFINITE_CONTEXT_0, *strings, _END))


def _der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


_ALGORITHM_IDENTIFIER = _der(
    0x30,
    _RSAES_OAEP,
    _der(0x30, _der(0xA0, _SHA_256), _der(0xA1, _der(0x30, _MGF1, _SHA_256))),
)
"""AlgorithmIdentifier of RSAES-OAEP with SHA-256 and MGF1 with SHA-256 (RFC 8017, A.2.1)."""
