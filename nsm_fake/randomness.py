"""Everything random in this package, derived from one seed.

A purpose (a list of words and numbers) names each value, so that the same seed gives the same
value again whatever was asked before, and no two purposes share one. Without a seed a secret one
is drawn, and the same code runs. Not a random generator for anything but a fake: who knows the
seed knows every key.

HKDF is RFC 5869; numbers below a bound are drawn with 64 spare bits as FIPS 186-5, A.2.1, does.
"""

import secrets

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_SALT = b"attested-kms nsm_fake"
_P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffff"
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)


class Derivation:
    """Values derived from a seed by purpose."""

    def __init__(self, seed: bytes | None) -> None:
        """Use `seed`, one byte or more; None draws 32 secret bytes. ValueError if empty."""
        if seed is not None and not seed:
            raise ValueError(
                "The seed is empty, so nothing can be derived from it; give at least one byte, or "
                "None for a fresh one."
            )
        self.reproducible = seed is not None
        """Whether somebody can ask for the same values again."""
        self._seed = secrets.token_bytes(32) if seed is None else seed

    def bytes(self, length: int, *purpose: str | int) -> bytes:
        """`length` bytes (at most 12240) for `purpose`."""
        # CBOR because it keeps ("a", "bc") and ("ab", "c") apart.
        info = cbor2.dumps(purpose)
        return HKDF(hashes.SHA384(), length, _SALT, info).derive(self._seed)

    def below(self, bound: int, *purpose: str | int) -> int:
        """A number from 0 to `bound` - 1 for `purpose`."""
        length = (bound.bit_length() + 64 + 7) // 8
        return int.from_bytes(self.bytes(length, *purpose)) % bound

    def p384_key(self, *purpose: str | int) -> ec.EllipticCurvePrivateKey:
        """A P-384 private key for `purpose`."""
        return ec.derive_private_key(1 + self.below(_P384_ORDER - 1, *purpose), ec.SECP384R1())
