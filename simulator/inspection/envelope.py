"""The report on a CiphertextForRecipient: its structure, what it holds, and who cannot read it.

Whether it is what KMS sends is decided by the workload's reader, which reads exactly that layout.
This module describes whatever CMS EnvelopedData (RFC 5652, 6.1) it is given, so that the envelope
of another writer can be told from KMS's: LocalStack, for one, sends version 0, the recipient by
issuer and serial number, in DER.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from scenarios.workload import envelope as kms_layout
from simulator.inspection import asn1
from simulator.inspection.cms import Content, EnvelopedData, NotEnvelopedData, Recipient, describe
from simulator.inspection.document import Input, Unreadable, what_it_is
from simulator.inspection.given import Given, Kind
from simulator.inspection.parsers import ParserReport, parsers_that_fail, parsers_that_read

_BLOCK = 16
_HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}  # noqa: S303  # Of old envelopes.


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of opening it with the key."""

    opens: bool
    problem: str | None
    ski_is_of_key: bool | None
    """Whether the SKI is the SHA-256 of the key's SubjectPublicKeyInfo; None without an SKI."""
    key_sha256: str
    """SHA-256 of that SubjectPublicKeyInfo, hexadecimal."""
    plaintext_bytes: int | None
    plaintext_hex: str | None
    plaintext_text: str | None
    """The plaintext where it is printable UTF-8."""


@dataclass(frozen=True, slots=True)
class EnvelopeReport:
    """Everything about one envelope."""

    kind: str
    exit_code: int
    input: Input
    encoding: str
    """`BER` or `DER`."""
    indefinite_lengths: int
    of_kms: bool
    """Whether it has the layout of what KMS sends, in BER or DER."""
    difference: str | None
    """Where it has not."""
    version: int
    recipients: tuple[Recipient, ...]
    content: Content
    opened: Opened | None
    cannot_read: tuple[ParserReport, ...]
    read_it: tuple[str, ...]
    notes: tuple[str, ...]


def inspect_envelope(given: Given, *, source: str, key: RSAPrivateKey | None) -> EnvelopeReport:
    """The report on the envelope in `given`, opened with `key`. Raises Unreadable."""
    blob = given.data
    if blob[:1] != b"\x30" or given.kind not in {Kind.ENVELOPE, Kind.UNKNOWN}:
        raise Unreadable(_other_than_envelope(given))
    try:
        tree = asn1.read(blob)
        enveloped = describe(tree)
    except (asn1.NotBer, NotEnvelopedData) as error:
        raise Unreadable(f"it is no CMS envelope, or not all of one: {error}") from error
    difference = _difference(blob)
    opened = None if key is None else _opened(enveloped, key)
    good = difference is None and (opened is None or opened.opens)
    elements = list(tree.walk())
    return EnvelopeReport(
        kind="envelope",
        exit_code=0 if good else 1,
        input=Input(
            source=source,
            encodings=tuple(encoding.value for encoding in given.encodings),
            nsm_response=False,
            bytes=len(blob),
            sha256=hashlib.sha256(blob).hexdigest(),
        ),
        encoding="DER" if asn1.is_der(tree) else "BER",
        indefinite_lengths=sum(element.indefinite for element in elements),
        of_kms=difference is None,
        difference=difference,
        version=enveloped.version,
        recipients=enveloped.recipients,
        content=enveloped.content,
        opened=opened,
        cannot_read=tuple(parsers_that_fail(blob, tree, enveloped)),
        read_it=tuple(parsers_that_read(blob, tree, enveloped)),
        notes=tuple(_notes(given, enveloped, der=asn1.is_der(tree))),
    )


def _other_than_envelope(given: Given) -> str:
    if given.kind in {Kind.DOCUMENT, Kind.NSM_RESPONSE}:
        return f"it is not an envelope: it looks like {given.kind.value}; inspect it without --cms"
    wanted = "a CiphertextForRecipient"
    if given.kind is Kind.UNKNOWN and len(given.data) in {256, 384, 512}:
        return (
            f"it is not {wanted}: it looks like {len(given.data)} bytes of raw RSA ciphertext, and "
            "KMS sends CMS EnvelopedData"
        )
    return what_it_is(given, wanted=wanted)


def _difference(blob: bytes) -> str | None:
    """Where it differs from what KMS sends; None where it does not."""
    try:
        kms_layout.parse(blob)
    except kms_layout.EnvelopeError as error:
        return str(error)
    return None


def _notes(given: Given, enveloped: EnvelopedData, *, der: bool) -> Iterator[str]:
    if len(given.layers) > 1:
        yield (
            f"this is {' of '.join(given.encodings)}: encoded {len(given.layers)} times. SDKs give "
            "bytes and the AWS CLI prints base64, once; somebody on the way encoded it again"
        )
    if der:
        yield (
            "KMS writes BER with indefinite lengths: this is DER, so somebody encoded it again, or "
            "it comes from another writer"
        )
    for recipient in enveloped.recipients:
        if recipient.identifier == "issuerAndSerialNumber":
            yield (
                "its recipient is named by issuer and serial number, as LocalStack's is; KMS names "
                "it by the SHA-256 of its public key"
            )
        if recipient.algorithm == "RSAES-OAEP" and recipient.oaep_hash == "sha1":
            yield (
                "its content key is under RSAES-OAEP with SHA-1, which clients of 2020 to 2022 "
                "asked for (RSAES_OAEP_SHA_1); whether KMS still does that is unknown"
            )
    yield "nothing in an envelope authenticates KMS: whoever has the public key can make one"


def _opened(enveloped: EnvelopedData, key: RSAPrivateKey) -> Opened:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ours = hashlib.sha256(public).hexdigest()
    identifiers = [each.ski for each in enveloped.recipients if each.ski is not None]
    matches = ours in identifiers if identifiers else None
    try:
        plaintext = _open(enveloped, key)
    except _DoesNotOpen as error:
        return Opened(False, str(error), matches, ours, None, None, None)
    return Opened(
        opens=True,
        problem=None,
        ski_is_of_key=matches,
        key_sha256=ours,
        plaintext_bytes=len(plaintext),
        plaintext_hex=plaintext.hex(),
        plaintext_text=_as_text(plaintext),
    )


class BadKey(ValueError):
    """A file does not hold the recipient's private key; the message says what to give."""


def private_key(data: bytes) -> RSAPrivateKey:
    """The RSA private key of PEM or DER (PKCS#8 or PKCS#1), without a password. Raises BadKey."""
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        key = load(data, password=None)
    except TypeError as error:
        raise BadKey("it is locked by a password; give the key without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(
            f"it is no private key ({error}); give PEM or DER, PKCS#8 or PKCS#1"
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise BadKey("it is not an RSA key, and KMS makes envelopes for RSA keys")
    return key


class _DoesNotOpen(Exception):
    """Why the envelope does not open. No secret: whoever sees it has the private key."""


def _open(enveloped: EnvelopedData, key: RSAPrivateKey) -> bytes:
    if len(enveloped.recipients) != 1:
        raise _DoesNotOpen(f"it has {len(enveloped.recipients)} recipients; KMS's have one")
    (recipient,) = enveloped.recipients
    content = enveloped.content
    if not content.cipher.endswith("-CBC") or len(content.iv) != 2 * _BLOCK:
        raise _DoesNotOpen(f"{content.cipher} with an IV of {len(content.iv) // 2} bytes")
    content_key = _content_key(recipient, enveloped.encrypted_keys[0], key)
    bits = int(content.cipher.split("-")[1])
    if len(content_key) * 8 != bits:
        raise _DoesNotOpen(f"its content key has {len(content_key)} bytes, not {bits // 8}")
    cipher = Cipher(algorithms.AES(content_key), modes.CBC(bytes.fromhex(content.iv)))
    try:
        decryptor = cipher.decryptor()
        padded = decryptor.update(enveloped.ciphertext) + decryptor.finalize()
        unpadder = padding.PKCS7(8 * _BLOCK).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise _DoesNotOpen("its content does not decrypt: it is damaged") from error


def _content_key(recipient: Recipient, encrypted: bytes, key: RSAPrivateKey) -> bytes:
    if recipient.algorithm == "RSAES-OAEP":
        digest, mask = (
            _HASHES.get(recipient.oaep_hash or ""),
            _HASHES.get(recipient.oaep_mask or ""),
        )
        if digest is None or mask is None:
            raise _DoesNotOpen(f"RSAES-OAEP with {recipient.oaep_hash} and {recipient.oaep_mask}")
        scheme: rsa_padding.AsymmetricPadding = rsa_padding.OAEP(
            rsa_padding.MGF1(mask), digest, None
        )
    elif recipient.algorithm == "rsaEncryption":
        scheme = rsa_padding.PKCS1v15()
    else:
        raise _DoesNotOpen(f"its content key is under {recipient.algorithm}")
    try:
        return key.decrypt(encrypted, scheme)
    except ValueError as error:
        raise _DoesNotOpen("its content key does not decrypt: it is for another key") from error


def _as_text(plaintext: bytes) -> str | None:
    try:
        text = plaintext.decode()
    except UnicodeDecodeError:
        return None
    printable = all(character.isprintable() or character in "\r\n\t" for character in text)
    return text if text and printable else None
