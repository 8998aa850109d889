"""Key material that a user brings: taken when it is right, refused by name when it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from kms_fake import KmsFake, serving
from kms_fake.material import material_id
from tests.kms_fake.conftest import client
from tests.kms_fake.recorded import OAEP, World

NEW = {"ImportType": "NEW_KEY_MATERIAL"}


@pytest.fixture
def own(fake: KmsFake) -> Iterator[World]:
    with serving(fake) as server:
        world = World(lambda region: client(region_name=region, endpoint_url=server.endpoint))
        yield world
        world.kms.close()
        world.elsewhere.close()


def pkcs8(private: Any) -> bytes:
    der: bytes = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return der


def refused(own: World, members: dict[str, Any], code: str, rule: str = "") -> None:
    with pytest.raises(ClientError) as caught:
        own.kms.import_key_material(**members)
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert rule in error["Message"]


def test_the_same_material_twice_makes_the_same_key(own: World) -> None:
    material = os.urandom(32)
    key_id = own.new(Origin="EXTERNAL")
    answer = own.kms.import_key_material(**own.import_members(key_id, material))
    assert answer["KeyMaterialId"] == material_id(material)
    blob = own.kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    own.kms.delete_imported_key_material(KeyId=key_id)
    with pytest.raises(own.kms.exceptions.KMSInvalidStateException, match="is pending import"):
        own.kms.decrypt(CiphertextBlob=blob)
    refused(own, own.import_members(key_id, os.urandom(32)), "IncorrectKeyMaterialException")
    own.kms.import_key_material(**own.import_members(key_id, material))
    assert own.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    refused(own, own.import_members(key_id, material, **NEW), "IncorrectKeyMaterialException")


def test_a_disabled_key_waits_for_its_material_once_that_is_deleted(own: World) -> None:
    key_id = own.imported()
    own.kms.disable_key(KeyId=key_id)
    own.kms.delete_imported_key_material(KeyId=key_id)
    state = own.kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]
    assert state == "PendingImport"


def test_the_private_key_of_an_asymmetric_key(own: World) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    usage = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
    key_id = own.new(Origin="EXTERNAL", **usage)
    answer = own.kms.import_key_material(**own.import_members(key_id, pkcs8(private)))
    assert "KeyMaterialId" not in answer
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert own.kms.get_public_key(KeyId=key_id)["PublicKey"] == spki
    other = pkcs8(ec.generate_private_key(ec.SECP256R1()))
    for more in ({}, NEW):
        members = own.import_members(key_id, other, **more)
        refused(own, members, "IncorrectKeyMaterialException", "import.material")


def test_the_wrapping_for_long_material(own: World) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key_id = own.new(Origin="EXTERNAL", KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    given = own.kms.get_parameters_for_import(
        KeyId=key_id, WrappingAlgorithm="RSA_AES_KEY_WRAP_SHA_256", WrappingKeySpec="RSA_3072"
    )
    wrapping = load_der_public_key(given["PublicKey"])
    assert isinstance(wrapping, rsa.RSAPublicKey)
    secret = os.urandom(32)
    wrapped = keywrap.aes_key_wrap_with_padding(secret, pkcs8(private))
    members = {
        "KeyId": key_id,
        "ImportToken": given["ImportToken"],
        "EncryptedKeyMaterial": wrapping.encrypt(secret, OAEP) + wrapped,
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
    refused(own, {**members, "EncryptedKeyMaterial": wrapped}, "InvalidCiphertextException")
    own.kms.import_key_material(**members)
    public = load_der_public_key(own.kms.get_public_key(KeyId=key_id)["PublicKey"])
    assert public == private.public_key()


@pytest.mark.parametrize(
    ("usage", "spec", "material"),
    [
        ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", bytes(31)),
        ("GENERATE_VERIFY_MAC", "HMAC_256", bytes(33)),
        ("SIGN_VERIFY", "ECC_NIST_P256", b"no key"),
        ("SIGN_VERIFY", "ECC_NIST_P256", pkcs8(ec.generate_private_key(ec.SECP384R1()))),
        ("SIGN_VERIFY", "RSA_2048", pkcs8(ec.generate_private_key(ec.SECP256R1()))),
    ],
)
def test_material_that_is_none_for_the_key(
    own: World, usage: str, spec: str, material: bytes
) -> None:
    key_id = own.new(Origin="EXTERNAL", KeyUsage=usage, KeySpec=spec)
    members = own.import_members(key_id, material)
    refused(own, members, "IncorrectKeyMaterialException", "import.material")


def test_what_comes_with_the_material(own: World) -> None:
    key_id, other = own.new(Origin="EXTERNAL"), own.new(Origin="EXTERNAL")
    members = own.import_members(key_id, os.urandom(32))
    refused(own, {**members, "KeyId": other}, "InvalidImportTokenException", "import.token")
    spoilt = {**members, "EncryptedKeyMaterial": b"x" * 256}
    refused(own, spoilt, "InvalidCiphertextException")
    expiring = {**members, "ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": 2_000_000_000}
    refused(own, expiring, "UnsupportedOperationException", "import.expires")
    with pytest.raises(ClientError, match=r"import\.wrapping"):
        own.kms.get_parameters_for_import(
            KeyId=key_id, WrappingAlgorithm="RSAES_PKCS1_V1_5", WrappingKeySpec="RSA_2048"
        )
    own.kms.import_key_material(**members)
