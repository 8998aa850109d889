"""CMS EnvelopedData (RFC 5652, sections 3 and 6) described from any BER, of whatever writer.

Only what one envelope differs in from another is read; what is optional and foreign to KMS's
(originatorInfo, attributes, other kinds of recipients) is passed over or named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.inspection.asn1 import Element, NotBer, object_identifier

_INTEGER, _OCTET_STRING, _OID, _SEQUENCE, _SET = 0x02, 0x04, 0x06, 0x30, 0x31
_PRIMITIVE_0, _CONSTRUCTED_0, _CONSTRUCTED_1 = 0x80, 0xA0, 0xA1
_ENVELOPED_DATA = "1.2.840.113549.1.7.3"
_OAEP = "RSAES-OAEP"
_NAMES = {
    _ENVELOPED_DATA: "id-envelopedData",
    "1.2.840.113549.1.7.1": "id-data",
    "1.2.840.113549.1.7.2": "id-signedData",
    "1.2.840.113549.1.1.1": "rsaEncryption",
    "1.2.840.113549.1.1.7": _OAEP,
    "1.2.840.113549.1.1.8": "MGF1",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.16.840.1.101.3.4.1.2": "AES-128-CBC",
    "2.16.840.1.101.3.4.1.22": "AES-192-CBC",
    "2.16.840.1.101.3.4.1.42": "AES-256-CBC",
}
_LONGEST_INTEGER = 8
_OTHER_RECIPIENTS = {0xA1: "KeyAgree", 0xA2: "KEK", 0xA3: "Password", 0xA4: "Other"}


class NotEnvelopedData(ValueError):
    """It is BER, and no EnvelopedData; the message says where."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RecipientInfo."""

    kind: str
    """`KeyTrans`, which KMS's is, or another of RFC 5652."""
    version: int | None
    identifier: str | None
    """`subjectKeyIdentifier` or `issuerAndSerialNumber`."""
    ski: str | None
    """The subjectKeyIdentifier, hexadecimal."""
    issuer: str | None
    serial: str | None
    """Hexadecimal."""
    algorithm: str | None
    """Of the key's encryption: `RSAES-OAEP`, `rsaEncryption` (PKCS#1 v1.5), or an OID."""
    oaep_parameters: str | None
    """`explicit`, `empty` or `absent`; the last two mean SHA-1."""
    oaep_hash: str | None
    oaep_mask: str | None
    """The hash of MGF1."""
    encrypted_key_bytes: int | None


@dataclass(frozen=True, slots=True)
class Content:
    """The EncryptedContentInfo."""

    type: str
    cipher: str
    iv: str
    """Hexadecimal."""
    form: str
    """`primitive` (tag 80), `constructed` (tag a0), or `absent`."""
    chunks: tuple[int, ...]
    """Bytes of each OCTET STRING of a constructed one; of the whole of a primitive one."""
    bytes: int


@dataclass(frozen=True, slots=True)
class EnvelopedData:
    """The envelope, described, and the bytes that are needed to open it."""

    version: int
    recipients: tuple[Recipient, ...]
    encrypted_keys: tuple[bytes, ...]
    """One for each recipient; empty where it has none."""
    content: Content
    ciphertext: bytes


def describe(tree: Element) -> EnvelopedData:
    """The EnvelopedData of a ContentInfo. Raises NotEnvelopedData."""
    content_type, content, *_ = _children(tree, _SEQUENCE, 2, "ContentInfo")
    found = _name(content_type, "contentType")
    if found != "id-envelopedData":
        raise NotEnvelopedData(f"its contentType is {found}, not id-envelopedData")
    (enveloped,) = _children(content, _CONSTRUCTED_0, 1, "content")[:1]
    parts = list(_children(enveloped, _SEQUENCE, 3, "EnvelopedData"))
    version = _integer(parts.pop(0), "version")
    if parts[0].tag == _CONSTRUCTED_0:
        parts.pop(0)  # originatorInfo
    if len(parts) < 2 or parts[0].tag != _SET:
        raise NotEnvelopedData("it has no recipientInfos")
    recipients = [_recipient(element) for element in parts[0].children]
    described, ciphertext = _content(parts[1])
    return EnvelopedData(
        version=version,
        recipients=tuple(recipient for recipient, _ in recipients),
        encrypted_keys=tuple(encrypted for _, encrypted in recipients),
        content=described,
        ciphertext=ciphertext,
    )


def _recipient(element: Element) -> tuple[Recipient, bytes]:
    if element.tag != _SEQUENCE:
        kind = _OTHER_RECIPIENTS.get(element.tag, f"tag {element.tag:02x}")
        return Recipient(kind, *[None] * 10), b""
    version, identifier, algorithm, key, *_ = _children(
        element, _SEQUENCE, 4, "KeyTransRecipientInfo"
    )
    name, parameters, oaep_hash, oaep_mask = _key_encryption(algorithm)
    encrypted = _octets(key)
    ski = issuer = serial = None
    if identifier.tag in {_PRIMITIVE_0, _CONSTRUCTED_0}:
        ski = _octets(identifier).hex()
    else:
        named, number, *_ = _children(identifier, _SEQUENCE, 2, "issuerAndSerialNumber")
        issuer, serial = _issuer(named), number.content.hex()
    recipient = Recipient(
        kind="KeyTrans",
        version=_integer(version, "KeyTransRecipientInfo's version"),
        identifier="issuerAndSerialNumber" if ski is None else "subjectKeyIdentifier",
        ski=ski,
        issuer=issuer,
        serial=serial,
        algorithm=name,
        oaep_parameters=parameters,
        oaep_hash=oaep_hash,
        oaep_mask=oaep_mask,
        encrypted_key_bytes=len(encrypted),
    )
    return recipient, encrypted


def _key_encryption(element: Element) -> tuple[str, str | None, str | None, str | None]:
    """Name, form of the parameters, hash and hash of MGF1 (RFC 4055, section 4.1)."""
    identifier, *rest = _children(element, _SEQUENCE, 1, "keyEncryptionAlgorithm")
    name = _name(identifier, "keyEncryptionAlgorithm")
    if name != _OAEP:
        return name, None, None, None
    parameters = rest[0].children if rest and rest[0].tag == _SEQUENCE else ()
    form = "explicit" if parameters else "empty" if rest else "absent"
    digest = mask = "sha1"
    for parameter in parameters:
        if parameter.tag == _CONSTRUCTED_0:
            digest = _hash(parameter)
        elif parameter.tag == _CONSTRUCTED_1:
            generator = _children(parameter, _CONSTRUCTED_1, 1, "maskGenFunc")[0]
            mask = _mask(generator)
    return name, form, digest, mask


def _hash(parameter: Element) -> str:
    algorithm = _children(parameter, _CONSTRUCTED_0, 1, "hashFunc")[0]
    return _name(_children(algorithm, _SEQUENCE, 1, "hashFunc")[0], "hashFunc")


def _mask(generator: Element) -> str:
    function, *rest = _children(generator, _SEQUENCE, 1, "maskGenFunc")
    if _name(function, "maskGenFunc") != "MGF1" or not rest:
        return "another function than MGF1"
    return _name(_children(rest[0], _SEQUENCE, 1, "MGF1's hash")[0], "MGF1's hash")


def _content(element: Element) -> tuple[Content, bytes]:
    content_type, algorithm, *rest = _children(element, _SEQUENCE, 2, "EncryptedContentInfo")
    cipher, *parameters = _children(algorithm, _SEQUENCE, 1, "contentEncryptionAlgorithm")
    iv = parameters[0].content if parameters and parameters[0].tag == _OCTET_STRING else b""
    form, chunks = "absent", [b""]
    if rest and rest[0].tag == _PRIMITIVE_0:
        form, chunks = "primitive", [rest[0].content]
    elif rest and rest[0].tag == _CONSTRUCTED_0:
        form, chunks = "constructed", [_octets(child) for child in rest[0].children]
    ciphertext = b"".join(chunks)
    described = Content(
        type=_name(content_type, "contentType"),
        cipher=_name(cipher, "contentEncryptionAlgorithm"),
        iv=iv.hex(),
        form=form,
        chunks=tuple(len(chunk) for chunk in chunks) if form != "absent" else (),
        bytes=len(ciphertext),
    )
    return described, ciphertext


def _children(element: Element, tag: int, least: int, what: str) -> Sequence[Element]:
    if element.tag != tag or len(element.children) < least:
        raise NotEnvelopedData(f"{what} is due (byte {element.offset})")
    return element.children


def _octets(element: Element) -> bytes:
    """Of an OCTET STRING, in one piece or in several."""
    if element.children:
        return b"".join(map(_octets, element.children))
    return element.content


def _issuer(name: Element) -> str:
    """A distinguished name, attribute by attribute in the order of the bytes."""
    attributes = []
    for relative in name.children:
        for attribute in relative.children:
            kind, value, *_ = _children(attribute, _SEQUENCE, 2, "an attribute of issuer")
            text = value.content.decode("utf-8", "replace")
            attributes.append(f"{_name(kind, 'an attribute of issuer')}={text}")
    return ",".join(attributes)


def _integer(element: Element, what: str) -> int:
    if element.tag != _INTEGER or len(element.content) > _LONGEST_INTEGER:
        raise NotEnvelopedData(f"{what} is due (byte {element.offset})")
    return int.from_bytes(element.content, "big", signed=True)


def _name(element: Element, what: str) -> str:
    if element.tag != _OID:
        raise NotEnvelopedData(f"{what} is due (byte {element.offset})")
    try:
        identifier = object_identifier(element.content)
    except NotBer as error:
        raise NotEnvelopedData(f"{what}: {error} (byte {element.offset})") from error
    return _NAMES.get(identifier, identifier)
