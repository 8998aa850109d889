"""Figures of the two fakes called as objects, each beside its bare cryptography.

The floors get everything but the cryptography for nothing: signatures already DER, bytes already
cut out of the document, padding done, keys and initialisation vectors drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms import utils as moto_utils
from moto.kms.models import kms_backends

from benchmarks.attested import SECRET, Enclave
from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import Action, Batches, interleaved, median, ratio
from kms_fake import KmsFake
from kms_fake.fake import DEFAULT_REGION
from kms_fake.roots import root_from_der

_ES384 = ec.ECDSA(hashes.SHA384())
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_CONTENT_KEY, _IV = bytes(32), bytes(16)
_PADDED_SECRET = SECRET + bytes([16]) * 16
_MOTO_IV = slice(moto_utils.KEY_ID_LEN, moto_utils.KEY_ID_LEN + moto_utils.IV_LEN)


def nsm_document(*, rounds: int) -> Figure:
    """One Attestation request through the codec, the leaf already issued."""
    enclave = Enclave()
    protected, _, payload, _ = cbor2.loads(enclave.document())
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    private_key = ec.generate_private_key(ec.SECP384R1())

    def floor() -> bytes:
        return private_key.sign(signed, _ES384)

    def ours() -> bytes:
        return enclave.module.handle(enclave.request)

    bare, mine = interleaved(lambda: (floor, ours), rounds=rounds, calls=20)
    return _figure(
        "NSM document through the codec",
        mine,
        bare,
        "one P-384/SHA-384 signature over the same Sig_structure",
        1.3,
    )


def attested_decrypt(*, rounds: int) -> Figure:
    """Attested Decrypt under a chain whose signatures were verified before."""
    world = _World()

    def prepare() -> Sequence[Action]:
        members = world.members()
        bare = world.bare(members)
        return bare.decrypt, lambda: world.kms.call("Decrypt", members)

    bare, mine = interleaved(prepare, rounds=rounds, calls=20)
    return _figure(
        "attested Decrypt, chain known",
        mine,
        bare,
        "ES384 verification, AES-GCM, SPKI read and written back, RSA-OAEP-SHA256, AES-256-CBC",
        1.25,
    )


def attested_decrypt_unknown_chain(*, rounds: int) -> Figure:
    """Attested Decrypt that verifies the chain: 5 signatures, the root's own among them."""
    world = _World()

    def prepare() -> Sequence[Action]:
        members = world.members()
        bare = world.bare(members)

        def floor() -> None:
            bare.verify_chain()
            bare.decrypt()

        def ours() -> object:
            world.kms.roots.forget()
            return world.kms.call("Decrypt", members)

        return floor, ours

    bare, mine = interleaved(prepare, rounds=rounds, calls=8)
    return _figure(
        "attested Decrypt, chain verified",
        mine,
        bare,
        "the same, 5 certificates and keys parsed, 5 P-384 verifications (the root's own too)",
        1.2,
    )


class _World:
    """A KMS, an enclave that it trusts, and a key that only this enclave may use."""

    def __init__(self) -> None:
        self.enclave = Enclave()
        self.kms = KmsFake([root_from_der(self.enclave.pki.root_certificate_der)])
        backend = kms_backends[DEFAULT_ACCOUNT_ID][DEFAULT_REGION]
        policy = self.enclave.key_policy()
        self._key: Any = backend.create_key(policy, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "", [])
        self._blob = moto_utils.encrypt({self._key.id: self._key}, self._key.id, SECRET, {})

    def members(self) -> dict[str, Any]:
        """A Decrypt request with a fresh document, which the KMS has answered once.

        Raises BenchmarkFailed for an answer without an envelope.
        """
        members = {"CiphertextBlob": self._blob, "Recipient": self.enclave.recipient()}
        if "CiphertextForRecipient" not in self.kms.call("Decrypt", members):
            raise BenchmarkFailed("Decrypt with Recipient was answered without an envelope.")
        return members

    def bare(self, members: dict[str, Any]) -> _Bare:
        """The cryptography of that request."""
        document: bytes = members["Recipient"]["AttestationDocument"]
        protected, _, payload, signature = cbor2.loads(document)
        fields = cbor2.loads(payload)
        certificates = (fields["certificate"], *reversed(fields["cabundle"]))
        leaf = x509.load_der_x509_certificate(certificates[0]).public_key()
        if not isinstance(leaf, ec.EllipticCurvePublicKey):
            raise BenchmarkFailed("The document's certificate carries no elliptic curve key.")
        r, s = int.from_bytes(signature[:48]), int.from_bytes(signature[48:])
        tag = self._blob[_MOTO_IV.stop : moto_utils.HEADER_LEN]
        return _Bare(
            leaf=leaf,
            signature=encode_dss_signature(r, s),
            signed=cbor2.dumps(["Signature1", protected, b"", payload]),
            certificates=certificates,
            key_material=self._key.key_material,
            iv=self._blob[_MOTO_IV],
            ciphertext=self._blob[moto_utils.HEADER_LEN :] + tag,
            spki=self.enclave.spki,
        )


@dataclass(frozen=True, slots=True)
class _Bare:
    """The floor of one attested Decrypt."""

    leaf: ec.EllipticCurvePublicKey
    signature: bytes
    """DER."""
    signed: bytes
    certificates: Sequence[bytes]
    """DER, from the leaf to the root."""
    key_material: bytes
    iv: bytes
    ciphertext: bytes
    """With the tag at its end."""
    spki: bytes

    def decrypt(self) -> None:
        """What must be computed for one envelope."""
        self.leaf.verify(self.signature, self.signed, _ES384)
        AESGCM(self.key_material).decrypt(self.iv, self.ciphertext, None)
        recipient = load_der_public_key(self.spki)
        recipient.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if not isinstance(recipient, rsa.RSAPublicKey):
            raise BenchmarkFailed("The recipient's key is not RSA.")
        recipient.encrypt(_CONTENT_KEY, _OAEP)
        encryptor = Cipher(algorithms.AES256(_CONTENT_KEY), modes.CBC(_IV)).encryptor()
        encryptor.update(_PADDED_SECRET)
        encryptor.finalize()

    def verify_chain(self) -> None:
        """What must be computed for a chain that was never seen."""
        path = [x509.load_der_x509_certificate(der) for der in self.certificates]
        keys = [certificate.public_key() for certificate in path]
        for certificate, issuer in zip(path, [*keys[1:], keys[-1]], strict=True):
            if not isinstance(issuer, ec.EllipticCurvePublicKey):
                raise BenchmarkFailed("A certificate of the chain carries no elliptic curve key.")
            issuer.verify(certificate.signature, certificate.tbs_certificate_bytes, _ES384)


def _figure(name: str, ours: Batches, floor: Batches, floor_is: str, limit: float) -> Figure:
    return Figure(
        name=name,
        unit=Unit.MILLISECONDS,
        ours=median(ours) / 1e6,
        floor=median(floor) / 1e6,
        floor_is=floor_is,
        ratio=ratio(ours, floor),
        bound=Bound(Bounded.RATIO, limit),
    )
