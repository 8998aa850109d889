"""The material of a key: read from what a user wrote, or derived from a seed and the key's id.

Deriving is for tests, as all here: who knows the seed has every key. There is no other way to have
an RSA key twice without keeping it, and `cryptography` makes random ones only; the primes are
looked for as FIPS 186-5, A.1.3, describes for random ones, in a stream that the seed gives.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from functools import cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nsm_fake.randomness import Derivation

SYMMETRIC_DEFAULT = "SYMMETRIC_DEFAULT"
SYMMETRIC_LENGTH = 32
"""Bytes."""

_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_EXPONENT = 65537
_SMALL_PRIMES_BELOW = 20_000
_ROUNDS = 8
"""Of Miller-Rabin, for numbers that nobody chose to deceive it."""


class BadMaterial(ValueError):
    """What was given is no material for such a key; the message does not repeat it."""


def rsa_bits(spec: str) -> int:
    """The size of the modulus of keys of an RSA spec such as RSA_2048."""
    return int(spec.removeprefix("RSA_"))


def symmetric_material(text: str) -> bytes:
    """The 32 bytes that hexadecimal digits or base64 spell; spaces do not count.

    Raises BadMaterial.
    """
    compact = "".join(text.split())
    if _HEX.fullmatch(compact):
        return bytes.fromhex(compact)
    try:
        material = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        material = b""
    if len(material) != SYMMETRIC_LENGTH:
        raise BadMaterial(
            f"{len(compact)} characters that do not spell {SYMMETRIC_LENGTH} bytes; give 64 "
            "hexadecimal digits or 44 characters of base64"
        )
    return material


def rsa_material(pem: bytes, spec: str) -> rsa.RSAPrivateKey:
    """The private key in `pem`, which must have the size of `spec`. Raises BadMaterial."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise BadMaterial("the private key is encrypted; give it without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadMaterial(
            "no private key in PEM; give one that begins with -----BEGIN PRIVATE KEY-----, as "
            f"`openssl genrsa {rsa_bits(spec)}` makes it"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadMaterial(f"a private key of another kind; {spec} needs RSA")
    if key.key_size != rsa_bits(spec):
        raise BadMaterial(
            f"an RSA key of {key.key_size} bits, but spec is {spec}; change one of them"
        )
    return key


def derived_symmetric(seed: bytes, key_id: str) -> bytes:
    """32 bytes that follow from the seed and the key's id alone."""
    return Derivation(seed).bytes(SYMMETRIC_LENGTH, "kms key", key_id)


def derived_rsa(seed: bytes, key_id: str, spec: str) -> rsa.RSAPrivateKey:
    """An RSA key that follows from seed, key id and spec alone.

    Takes about 0.3 s for RSA_2048, and some seconds for RSA_4096.
    """
    stream = Derivation(seed)
    bits = rsa_bits(spec)
    p, q = (
        _prime(stream.bytes(bits // 16, "kms key", key_id, spec, name), bits // 2)
        for name in ("p", "q")
    )
    d = pow(_EXPONENT, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    )
    return numbers.private_key()


def _prime(start: bytes, bits: int) -> int:
    """The first prime from `start` on that fits an RSA key.

    Its two highest bits are set, so that the product of two has full length.
    """
    first = int.from_bytes(start) | (0b11 << (bits - 2)) | 1
    residues = [(prime, first % prime) for prime in _small_primes()]
    candidates = (
        first + step
        for step in range(0, 1 << 20, 2)
        if all((residue + step) % prime for prime, residue in residues)
    )
    return next(
        number
        for number in candidates
        if math.gcd(number - 1, _EXPONENT) == 1 and _is_prime(number)
    )


@cache
def _small_primes() -> tuple[int, ...]:
    """The odd ones, by the sieve of Eratosthenes."""
    sieve = bytearray([1]) * _SMALL_PRIMES_BELOW
    for number in range(3, math.isqrt(_SMALL_PRIMES_BELOW) + 1, 2):
        if sieve[number]:
            sieve[number * number :: 2 * number] = bytes(
                len(range(number * number, _SMALL_PRIMES_BELOW, 2 * number))
            )
    return tuple(number for number in range(3, _SMALL_PRIMES_BELOW, 2) if sieve[number])


def _is_prime(number: int) -> bool:
    """Miller-Rabin with the first primes as bases (FIPS 186-5, B.3.1)."""
    shift = ((number - 1) & -(number - 1)).bit_length() - 1
    odd = (number - 1) >> shift
    return all(_passes(number, base, odd, shift) for base in (2, *_small_primes()[: _ROUNDS - 1]))


def _passes(number: int, base: int, odd: int, shift: int) -> bool:
    power = pow(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(shift - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
