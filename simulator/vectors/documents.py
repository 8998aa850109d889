"""Attestation documents for the vectors: well made ones in every layout, and broken ones.

They come from the parts of `nsm_fake`, so that a broken document is right in all other respects:
what is altered in a payload is signed again by the honest leaf.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki
from nsm_fake.document import OuterMap, encode_payload, sign_payload
from nsm_fake.pcrs import PCR_LENGTH
from nsm_fake.randomness import Derivation

NOW_MS = 1_772_452_800_000
"""2026-03-02T12:00:00Z, the moment of all requests: milliseconds since the Unix epoch."""
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
BOOT_MS = NOW_MS - 60 * MINUTE_MS

_ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Maker(enum.Enum):
    """Which enclave attests."""

    PLAIN = "plain"
    SIGNED_IMAGE = "signed-image"
    """Its image is signed, so that PCR8 is not zero."""
    DEBUG = "debug"
    """In debug mode: PCR0, PCR1 and PCR2 are zero."""
    FOREIGN = "foreign"
    """Under another root, all else like the plain one."""


class PublicKey(enum.Enum):
    """What stands in the document's public_key."""

    SPKI = "SubjectPublicKeyInfo of the RSA-2048 key"
    PKCS1 = "PKCS#1 of the RSA-2048 key"
    PEM = "PEM text of the RSA-2048 key"
    RSA_3072 = "SubjectPublicKeyInfo of an RSA-3072 key"
    EC_P256 = "SubjectPublicKeyInfo of a P-256 key"
    EMPTY = "no bytes"
    NULL = "null"


class Damage(enum.Enum):
    """What is wrong with a document beside its times and its key."""

    NONE = "nothing"
    NOISE = "500 random bytes instead of a document"
    TRUNCATED = "the last 100 bytes are missing"
    DIGEST = "digest is SHA256; signed again"
    CERTIFICATE = "certificate is not DER; signed again"
    CHAIN = "the instance certificate in cabundle is that of another instance; signed again"
    SIGNATURE = "one bit of the signature is flipped"
    PAYLOAD = "one bit of the timestamp is flipped after signing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One document; each argument but the name has a default that makes it a good one."""

    name: str
    maker: Maker = Maker.PLAIN
    public_key: PublicKey = PublicKey.SPKI
    timestamp_ms: int = NOW_MS
    issued_ms: int = NOW_MS - 10 * MINUTE_MS
    """When the leaf was issued that signs it: it is valid for 3 hours from then."""
    outer_map: OuterMap = OuterMap.INDEFINITE
    tagged: bool = False
    damage: Damage = Damage.NONE


_MONTHS_AGO_MS = NOW_MS - 200 * DAY_MS

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="good"),
        Recipe(name="definite-map", outer_map=OuterMap.DEFINITE),
        Recipe(name="tagged-cose", tagged=True),
        Recipe(name="signed-image", maker=Maker.SIGNED_IMAGE),
        Recipe(name="debug", maker=Maker.DEBUG),
        Recipe(name="foreign-root", maker=Maker.FOREIGN),
        Recipe(name="too-old", timestamp_ms=NOW_MS - 5 * MINUTE_MS - 1000),
        Recipe(name="from-the-future", timestamp_ms=NOW_MS + 5 * MINUTE_MS + 1000),
        Recipe(name="leaf-expired", issued_ms=NOW_MS - 180 * MINUTE_MS - 1000),
        Recipe(name="months-old", timestamp_ms=_MONTHS_AGO_MS, issued_ms=_MONTHS_AGO_MS),
        Recipe(
            name="months-old-definite-map",
            timestamp_ms=_MONTHS_AGO_MS,
            issued_ms=_MONTHS_AGO_MS,
            outer_map=OuterMap.DEFINITE,
        ),
        Recipe(name="pkcs1-public-key", public_key=PublicKey.PKCS1),
        Recipe(name="pem-public-key", public_key=PublicKey.PEM),
        Recipe(name="rsa-3072-public-key", public_key=PublicKey.RSA_3072),
        Recipe(name="p256-public-key", public_key=PublicKey.EC_P256),
        Recipe(name="empty-public-key", public_key=PublicKey.EMPTY),
        Recipe(name="no-public-key", public_key=PublicKey.NULL),
        Recipe(name="noise", damage=Damage.NOISE),
        Recipe(name="truncated", damage=Damage.TRUNCATED),
        Recipe(name="digest-sha256", damage=Damage.DIGEST),
        Recipe(name="certificate-not-der", damage=Damage.CERTIFICATE),
        Recipe(name="broken-chain", damage=Damage.CHAIN),
        Recipe(name="flipped-signature", damage=Damage.SIGNATURE),
        Recipe(name="flipped-payload", damage=Damage.PAYLOAD),
    )
}
"""Every document, by name."""


class Documents:
    """The documents of one seed."""

    def __init__(self, seed: bytes) -> None:
        self.pki = NsmPki(seed + b" pki")
        self._foreign = NsmPki(seed + b" foreign pki")
        self._randomness = Derivation(seed + b" documents")
        self._enclaves = {maker: _enclave(maker, seed) for maker in Maker}

    def identity(self, maker: Maker) -> EnclaveIdentity:
        """Who attests."""
        return self._enclaves[maker]

    def make(self, recipe: Recipe) -> bytes:
        """The document: COSE_Sign1 bytes, or what `damage` makes of them."""
        if recipe.damage is Damage.NOISE:
            return self._randomness.bytes(500, "noise")
        document = self._signed(recipe)
        if recipe.damage is Damage.TRUNCATED:
            return document[:-100]
        if recipe.damage is Damage.SIGNATURE:
            return _flipped(document, len(document) - 1)
        if recipe.damage is Damage.PAYLOAD:
            name = document.index(b"itimestamp")
            return _flipped(document, name + len(b"itimestamp") + 8)
        return document

    def _signed(self, recipe: Recipe) -> bytes:
        identity = self._enclaves[recipe.maker]
        pki = self._foreign if recipe.maker is Maker.FOREIGN else self.pki
        chain = pki.issue(identity, recipe.issued_ms)
        certificate, cabundle = chain.certificate, chain.cabundle
        if recipe.damage is Damage.CERTIFICATE:
            certificate = b"not a certificate"
        if recipe.damage is Damage.CHAIN:
            other = pki.issue(self._enclaves[Maker.SIGNED_IMAGE], recipe.issued_ms)
            cabundle = (*cabundle[:-1], other.cabundle[-1])
        module = NitroSecurityModule(identity, pki, lambda: recipe.issued_ms)
        payload = encode_payload(
            module_id=identity.module_id,
            timestamp_ms=recipe.timestamp_ms,
            pcrs=module.locked_pcrs(),
            certificate=certificate,
            cabundle=cabundle,
            public_key=self._public_key(recipe.public_key),
            user_data=None,
            nonce=None,
            outer_map=recipe.outer_map,
        )
        if recipe.damage is Damage.DIGEST:
            payload = payload.replace(b"fSHA384", b"fSHA256", 1)
        return sign_payload(payload, chain.private_key, tagged=recipe.tagged, deterministic=True)

    def _public_key(self, kind: PublicKey) -> bytes | None:
        if kind is PublicKey.NULL:
            return None
        if kind is PublicKey.EMPTY:
            return b""
        number = 1 + self._randomness.below(_ORDER_P256 - 1, "P-256 key")
        keys: dict[PublicKey, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
            PublicKey.RSA_3072: _rsa_key("rsa-3072.pem"),
            PublicKey.EC_P256: ec.derive_private_key(number, ec.SECP256R1()),
        }
        key = keys.get(kind, recipient_key()).public_key()
        if kind is PublicKey.PKCS1:
            return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        encoding = Encoding.PEM if kind is PublicKey.PEM else Encoding.DER
        return key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def recipient_key() -> rsa.RSAPrivateKey:
    """The enclave's RSA-2048 key, the same for every seed. For tests only: everybody has it."""
    return _rsa_key("rsa-2048.pem")


@cache
def _rsa_key(name: str) -> rsa.RSAPrivateKey:
    pem = resources.files("simulator.vectors").joinpath("keys", name).read_bytes()
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{name} holds no RSA key")
    return key


def _enclave(maker: Maker, seed: bytes) -> EnclaveIdentity:
    """The plain one and the foreign one differ by their root only."""
    purpose = Maker.PLAIN if maker is Maker.FOREIGN else maker
    derivation = seed + b" enclave " + purpose.value.encode()
    identity = EnclaveIdentity.create(
        clock=lambda: BOOT_MS,
        label=f"vectors {purpose.value}",
        role_arn="arn:aws:iam::123456789012:role/EnclaveInstance",
        debug_mode=maker is Maker.DEBUG,
        seed=derivation,
    )
    if maker is not Maker.SIGNED_IMAGE:
        return identity
    return replace(identity, pcr8=Derivation(derivation).bytes(PCR_LENGTH, "PCR8"))


def _flipped(document: bytes, position: int) -> bytes:
    damaged = bytearray(document)
    damaged[position] ^= 1
    return bytes(damaged)
