"""What the neighbouring operations answer is true: a client checks it with its own cryptography."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from kms_fake import KmsFake, mock_attested_kms
from tests.kms_fake.conftest import client

SHA384 = hashes.SHA384()
DIGEST = bytes(48)


def made(kms: Any, **members: str) -> str:
    key_id: str = kms.create_key(**members)["KeyMetadata"]["KeyId"]
    return key_id


def public_key(kms: Any, key_id: str) -> Any:
    return load_der_public_key(kms.get_public_key(KeyId=key_id)["PublicKey"])


@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [
        ("RSASSA_PSS_SHA_384", padding.PSS(padding.MGF1(SHA384), 48)),
        ("RSASSA_PKCS1_V1_5_SHA_384", padding.PKCS1v15()),
    ],
)
def test_an_rsa_signature(kms: Any, algorithm: str, scheme: Any) -> None:
    members = {"KeyId": made(kms, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")}
    members["SigningAlgorithm"] = algorithm
    raw = kms.sign(Message=b"message", **members)["Signature"]
    public = public_key(kms, members["KeyId"])
    public.verify(raw, b"message", scheme, SHA384)
    prehashed = kms.sign(Message=DIGEST, MessageType="DIGEST", **members)["Signature"]
    public.verify(prehashed, DIGEST, scheme, Prehashed(SHA384))
    given = {"Message": DIGEST, "MessageType": "DIGEST", "Signature": prehashed}
    assert kms.verify(**given, **members)["SignatureValid"] is True
    with pytest.raises(kms.exceptions.KMSInvalidSignatureException):
        kms.verify(Message=DIGEST, Signature=prehashed, **members)


def test_an_elliptic_signature(kms: Any) -> None:
    key_id = made(kms, KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")
    answer = kms.sign(KeyId=key_id, Message=b"message", SigningAlgorithm="ECDSA_SHA_384")
    public_key(kms, key_id).verify(answer["Signature"], b"message", ec.ECDSA(SHA384))
    described = kms.get_public_key(KeyId=key_id)
    assert described["SigningAlgorithms"] == ["ECDSA_SHA_384"]
    assert described["KeyId"] == answer["KeyId"]


def test_a_shared_secret(kms: Any) -> None:
    key_id = made(kms, KeySpec="ECC_NIST_P384", KeyUsage="KEY_AGREEMENT")
    mine = ec.generate_private_key(ec.SECP384R1())
    der = mine.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    answer = kms.derive_shared_secret(KeyId=key_id, KeyAgreementAlgorithm="ECDH", PublicKey=der)
    assert answer["SharedSecret"] == mine.exchange(ec.ECDH(), public_key(kms, key_id))


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("RSA_2048", rsa.RSAPrivateKey),
        ("ECC_NIST_P521", ec.EllipticCurvePrivateKey),
        ("ECC_SECG_P256K1", ec.EllipticCurvePrivateKey),
    ],
)
def test_a_data_key_pair(kms: Any, spec: str, kind: Any) -> None:
    context = {"EncryptionContext": {"a": "b"}}
    answer = kms.generate_data_key_pair(KeyId=made(kms), KeyPairSpec=spec, **context)
    private: Any = load_der_private_key(answer["PrivateKeyPlaintext"], None)
    assert isinstance(private, kind)
    assert private.public_key() == load_der_public_key(answer["PublicKey"])
    opened = kms.decrypt(CiphertextBlob=answer["PrivateKeyCiphertextBlob"], **context)
    assert opened["Plaintext"] == answer["PrivateKeyPlaintext"]
    assert opened["KeyMaterialId"] == answer["KeyMaterialId"]


def test_rotation_of_a_multi_region_key(fake: KmsFake) -> None:
    with mock_attested_kms(fake):
        kms = client()
        key_id = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
        first = kms.encrypt(KeyId=key_id, Plaintext=b"first")["CiphertextBlob"]
        kms.rotate_key_on_demand(KeyId=key_id)
        kms.replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")
        kms.rotate_key_on_demand(KeyId=key_id)
        second = kms.encrypt(KeyId=key_id, Plaintext=b"second")["CiphertextBlob"]
        replica = client(region_name="eu-west-1")
        opened = [replica.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in (first, second)]
    assert opened == [b"first", b"second"]
