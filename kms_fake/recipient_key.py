"""The public key that an attestation document brings: what KMS can encrypt to, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from kms_fake.envelope import RSAES_OAEP_SHA_256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

REQUIRED_BITS = 2048
"""aws-nitro-enclaves-sdk-c, docs/kms-apis/RecipientRequest.md: "a RSA2048 key"."""


def read_spki(der: bytes) -> PublicKeyTypes | None:
    """The key of a DER SubjectPublicKeyInfo (RFC 5280, section 4.1), or None.

    Only bytes that a DER encoder writes back unchanged count. `load_der_public_key` alone also
    takes PKCS#1, which real KMS refuses (bug 8.3 of the field notes), and non-canonical DER. Nor
    does it mind an even RSA modulus, which is no product of odd primes (RFC 8017, section 3.1) and
    encrypts nothing.
    """
    try:
        key = load_der_public_key(der)
        canonical = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if isinstance(key, rsa.RSAPublicKey) and key.public_numbers().n % 2 == 0:
        return None
    return key if canonical == der else None


def is_rsa(key: PublicKeyTypes | None) -> bool:
    """Whether `key` can take RSAES_OAEP at all."""
    return isinstance(key, rsa.RSAPublicKey)


def can_take_envelope(key: PublicKeyTypes | None) -> bool:
    """Whether RSAES_OAEP_SHA_256 with a content key of 32 bytes fits: 1024 bits and more.

    OpenSSL has bounds above too, on the modulus and on the exponent of a large one.
    """
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 1024:
        return False
    try:
        key.encrypt(bytes(32), RSAES_OAEP_SHA_256)
    except ValueError:
        return False
    return True


def has_required_size(key: PublicKeyTypes | None) -> bool:
    """Whether `key` is the RSA-2048 that AWS documents."""
    return isinstance(key, rsa.RSAPublicKey) and key.key_size == REQUIRED_BITS
