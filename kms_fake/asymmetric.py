"""What asymmetric and HMAC keys do: signatures, MACs, shared secrets, data key pairs.

The cryptography is that of the `cryptography` package; which key spec takes which algorithm is
that of "Key spec reference", AWS KMS Developer Guide. Specs that are missing here (SM2, Ed25519
and ML-DSA keys, ML-KEM and SM2 key pairs) are refused by name. moto signs with the longest salt
and knows no digests; KMS's salt is as long as the digest (AWS-validated tests of LocalStack,
test_verify_salt_length).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}
_RSA_SIGNATURES = tuple(
    f"RSASSA_{scheme}_{digest}" for scheme in ("PSS", "PKCS1_V1_5") for digest in _HASHES
)
_SIGNATURES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("RSA_2048", "RSA_3072", "RSA_4096"), _RSA_SIGNATURES),
    "ECC_NIST_P256": ("ECDSA_SHA_256",),
    "ECC_SECG_P256K1": ("ECDSA_SHA_256",),
    "ECC_NIST_P384": ("ECDSA_SHA_384",),
    "ECC_NIST_P521": ("ECDSA_SHA_512",),
}


def signing_algorithms(key_spec: str) -> tuple[str, ...]:
    """What keys of this spec sign with here."""
    return _SIGNATURES.get(key_spec, ())


def mac_algorithms(key_spec: str) -> tuple[str, ...]:
    """What keys of this spec make MACs with."""
    return (f"HMAC_SHA_{key_spec[-3:]}",) if key_spec.startswith("HMAC_") else ()


def digest_length(algorithm: str) -> int:
    """Bytes of the digest that a signing algorithm takes."""
    return _hash(algorithm).digest_size


def _hash(algorithm: str) -> hashes.HashAlgorithm:
    return _HASHES[algorithm[-7:]]


def sign(private_key: Any, algorithm: str, message: bytes, *, is_digest: bool) -> bytes:
    """The signature: PKCS#1 for RSA, DER for elliptic curves ("Sign", AWS KMS API Reference)."""
    signature: bytes = private_key.sign(message, *_scheme(algorithm, is_digest=is_digest))
    return signature


def is_signature(
    private_key: Any, algorithm: str, message: bytes, signature: bytes, *, is_digest: bool
) -> bool:
    """Whether it is a signature of `message` by that key."""
    try:
        private_key.public_key().verify(
            signature, message, *_scheme(algorithm, is_digest=is_digest)
        )
    except InvalidSignature:
        return False
    return True


def _scheme(algorithm: str, *, is_digest: bool) -> tuple[Any, ...]:
    digest = _hash(algorithm)
    taken = Prehashed(digest) if is_digest else digest
    if algorithm.startswith("ECDSA"):
        return (ec.ECDSA(taken),)
    if algorithm.startswith("RSASSA_PSS"):
        return (padding.PSS(padding.MGF1(digest), digest.digest_size), taken)
    return (padding.PKCS1v15(), taken)


def mac(secret: bytes, algorithm: str, message: bytes) -> bytes:
    """The HMAC of `message`."""
    return hmac.digest(secret, message, f"sha{algorithm[-3:]}")


def shared_secret(private_key: Any, public_key: ec.EllipticCurvePublicKey) -> bytes:
    """The raw ECDH secret: the x coordinate. Both keys are on one curve."""
    secret: bytes = private_key.exchange(ec.ECDH(), public_key)
    return secret


def public_der(private_key: Any) -> bytes:
    """Its public key as SubjectPublicKeyInfo, DER."""
    der: bytes = private_key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return der


def private_der(private_key: Any) -> bytes:
    """The key as PKCS#8, DER, in clear."""
    der: bytes = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return der


def _rsa(bits: int) -> Callable[[], Any]:
    return lambda: rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _ec(curve: ec.EllipticCurve) -> Callable[[], Any]:
    return lambda: ec.generate_private_key(curve)


KEY_PAIRS: Mapping[str, Callable[[], Any]] = {
    "RSA_2048": _rsa(2048),
    "RSA_3072": _rsa(3072),
    "RSA_4096": _rsa(4096),
    "ECC_NIST_P256": _ec(ec.SECP256R1()),
    "ECC_NIST_P384": _ec(ec.SECP384R1()),
    "ECC_NIST_P521": _ec(ec.SECP521R1()),
    "ECC_SECG_P256K1": _ec(ec.SECP256K1()),
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey.generate,
}
"""Makes the private key of a data key pair, by KeyPairSpec."""
