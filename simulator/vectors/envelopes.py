"""Envelopes for the vectors: CiphertextForRecipient, the same bytes for the same seed.

`kms_fake.envelope.seal` draws its content key and padding at random, and so does every library's
RSAES-OAEP. Here they derive from the seed, for which the padding of RFC 8017, section 7.1.1, is
done by hand; what comes out is checked by opening it with a library, in the tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_fake.envelope import CHUNK_LENGTH, ContentForm, encode
from nsm_fake.randomness import Derivation

_HASH_LENGTH = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeRecipe:
    """One envelope."""

    name: str
    length: int
    """Bytes of plaintext: 1 to 4096."""
    form: ContentForm

    @property
    def chunks(self) -> int:
        """How many OCTET STRINGs carry the content; the primitive form has one."""
        padded = (self.length // 16 + 1) * 16
        return -(-padded // CHUNK_LENGTH)


RECIPES: Mapping[str, EnvelopeRecipe] = {
    recipe.name: recipe
    for recipe in (
        EnvelopeRecipe(name="data-key-constructed", length=32, form=ContentForm.CONSTRUCTED),
        EnvelopeRecipe(name="data-key-primitive", length=32, form=ContentForm.PRIMITIVE),
        EnvelopeRecipe(name="one-byte", length=1, form=ContentForm.CONSTRUCTED),
        EnvelopeRecipe(name="longest-in-one-chunk", length=991, form=ContentForm.CONSTRUCTED),
        EnvelopeRecipe(name="longest-primitive", length=991, form=ContentForm.PRIMITIVE),
        EnvelopeRecipe(name="two-chunks", length=992, form=ContentForm.CONSTRUCTED),
        EnvelopeRecipe(name="five-chunks", length=4096, form=ContentForm.CONSTRUCTED),
    )
}
"""Every envelope, by name."""


def plaintext(recipe: EnvelopeRecipe, seed: bytes) -> bytes:
    """What the envelope holds."""
    stream = Derivation(seed + b" plaintexts")
    blocks = (stream.bytes(512, recipe.name, block) for block in range(recipe.length // 512 + 1))
    return b"".join(blocks)[: recipe.length]


def make(recipe: EnvelopeRecipe, recipient: rsa.RSAPublicKey, seed: bytes) -> bytes:
    """The envelope: CMS EnvelopedData in BER, as KMS writes it."""
    stream = Derivation(seed + b" envelopes")
    content_key, iv = stream.bytes(32, recipe.name, "key"), stream.bytes(16, recipe.name, "iv")
    padder = PKCS7(128).padder()
    padded = padder.update(plaintext(recipe, seed)) + padder.finalize()
    encryptor = Cipher(algorithms.AES256(content_key), modes.CBC(iv)).encryptor()
    spki = recipient.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encode(
        subject_key_identifier=hashlib.sha256(spki).digest(),
        encrypted_key=_rsaes_oaep(
            content_key, recipient, stream.bytes(_HASH_LENGTH, recipe.name, "OAEP seed")
        ),
        iv=iv,
        encrypted_content=encryptor.update(padded) + encryptor.finalize(),
        form=recipe.form,
    )


def _rsaes_oaep(message: bytes, recipient: rsa.RSAPublicKey, seed: bytes) -> bytes:
    """RSAES-OAEP-ENCRYPT of RFC 8017, 7.1.1, with SHA-256, MGF1-SHA-256 and an empty label."""
    length = recipient.key_size // 8
    filled = hashlib.sha256(b"").digest().ljust(length - _HASH_LENGTH - 2 - len(message), b"\0")
    block = filled + b"\x01" + message
    masked_block = _xor(block, _mgf1(seed, len(block)))
    masked_seed = _xor(seed, _mgf1(masked_block, _HASH_LENGTH))
    numbers = recipient.public_numbers()
    encoded = int.from_bytes(b"\0" + masked_seed + masked_block)
    return pow(encoded, numbers.e, numbers.n).to_bytes(length)


def _mgf1(seed: bytes, length: int) -> bytes:
    """The mask of RFC 8017, B.2.1."""
    blocks = range(-(-length // _HASH_LENGTH))
    return b"".join(hashlib.sha256(seed + n.to_bytes(4)).digest() for n in blocks)[:length]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
