"""Imported key material: GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial.

Sources: "Importing key material for AWS KMS keys", AWS KMS Developer Guide; the three operations,
AWS KMS API Reference; errors recorded on real KMS: AWS-validated snapshots of LocalStack
(test_kms.snapshot.json). Material that expires is not simulated. The parameters of an import are
forgotten with the process, and an import token is nothing but a name for them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kms_fake import asymmetric
from kms_fake.evidence import Evidence
from kms_fake.keys import RSA_OAEP, KmsKey
from kms_fake.material import material_id
from kms_fake.neighbour_request import NeighbourRequest as Request
from kms_fake.other_refusals import LIMIT, OtherRefusal

_SNAPSHOTS = "AWS-validated snapshots of LocalStack (test_kms.snapshot.json)"
_API = '"ImportKeyMaterial", AWS KMS API Reference'

EXPIRES = OtherRefusal("import.expires", "UnsupportedOperationException", Evidence.UNKNOWN, LIMIT)
WRAPPING = OtherRefusal("import.wrapping", "UnsupportedOperationException", Evidence.UNKNOWN, LIMIT)
NO_DATE = OtherRefusal(
    "import.valid-to", "ValidationException", Evidence.REPORTED, _SNAPSHOTS,
    text="A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
    text_evidence=Evidence.REPORTED,
)  # fmt: skip
TOKEN = OtherRefusal("import.token", "InvalidImportTokenException", Evidence.DOCUMENTED, _API)
CIPHERTEXT = OtherRefusal(
    "import.ciphertext", "InvalidCiphertextException", Evidence.DOCUMENTED, _API,
    text="", text_evidence=Evidence.INFERRED,
)  # fmt: skip
MATERIAL = OtherRefusal(
    "import.material", "IncorrectKeyMaterialException", Evidence.DOCUMENTED, _API
)
PENDING = OtherRefusal(
    "import.pending", "KMSInvalidStateException", Evidence.REPORTED, _SNAPSHOTS,
    text="{} is pending rotation.", text_evidence=Evidence.REPORTED,
)  # fmt: skip

IMPORT_REFUSALS = (EXPIRES, WRAPPING, NO_DATE, TOKEN, CIPHERTEXT, MATERIAL, PENDING)
"""All of them, for documentation."""

_WRAPPING_BITS = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
_WRAPPINGS = {
    "RSAES_OAEP_SHA_1": "RSAES_OAEP_SHA_1",
    "RSAES_OAEP_SHA_256": "RSAES_OAEP_SHA_256",
    "RSA_AES_KEY_WRAP_SHA_1": "RSAES_OAEP_SHA_1",
    "RSA_AES_KEY_WRAP_SHA_256": "RSAES_OAEP_SHA_256",
}
"""Each wrapping algorithm, and how it encrypts to the wrapping key."""

_SECONDS_VALID = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class _Parameters:
    """What one answer of GetParametersForImport stands for."""

    algorithm: str
    private_key: rsa.RSAPrivateKey


def _get_parameters(request: Request, key: KmsKey) -> dict[str, Any]:
    algorithm, spec = request.text("WrappingAlgorithm"), request.text("WrappingKeySpec")
    if algorithm not in _WRAPPINGS or spec not in _WRAPPING_BITS:
        raise WRAPPING.refuse(f"{algorithm} with a key of {spec} is not simulated.")
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=_WRAPPING_BITS[spec])
    token = os.urandom(64)
    key.history.import_parameters[token] = _Parameters(algorithm, private_key)
    return {
        "KeyId": key.arn,
        "ImportToken": token,
        "PublicKey": asymmetric.public_der(private_key),
        "ParametersValidTo": int(time.time()) + _SECONDS_VALID,
    }


def _import(request: Request, key: KmsKey) -> dict[str, Any]:
    if request.text("ExpirationModel", "KEY_MATERIAL_EXPIRES") == "KEY_MATERIAL_EXPIRES":
        if "ValidTo" not in request.members:
            raise NO_DATE.refuse("")
        raise EXPIRES.refuse("Key material that expires is not simulated.")
    parameters = key.history.import_parameters.get(request.blob("ImportToken"))
    if parameters is None:
        raise TOKEN.refuse("The import token is not one for this key.")
    material = _unwrapped(parameters, request.blob("EncryptedKeyMaterial"))
    if material is None:
        raise CIPHERTEXT.refuse("")
    if not _is_material(key, material):
        raise MATERIAL.refuse(f"The key material is none for a key of spec {key.spec}.")
    _take(request, key, material)
    named = {"KeyMaterialId": material_id(material)} if key.is_symmetric else {}
    return {"KeyId": key.arn, **named}


def _unwrapped(parameters: _Parameters, wrapped: bytes) -> bytes | None:
    padding = RSA_OAEP[_WRAPPINGS[parameters.algorithm]]
    private_key = parameters.private_key
    try:
        if "KEY_WRAP" not in parameters.algorithm:
            return private_key.decrypt(wrapped, padding)
        size = private_key.key_size // 8
        secret = private_key.decrypt(wrapped[:size], padding)
        return keywrap.aes_key_unwrap_with_padding(secret, wrapped[size:])
    except (ValueError, keywrap.InvalidUnwrap):
        return None


def _is_material(key: KmsKey, material: bytes) -> bool:
    """Whether it fits the key's spec: 32 bytes, an HMAC secret, or PKCS#8 of its curve or size."""
    if key.is_symmetric:
        return len(material) == 32
    if key.spec.startswith("HMAC_"):
        return len(material) * 8 == int(key.spec.removeprefix("HMAC_"))
    try:
        private = load_der_private_key(material, None)
    except (ValueError, TypeError):
        return False
    if isinstance(private, ec.EllipticCurvePrivateKey):
        curve = getattr(key.private_key, "curve", None)
        return curve is not None and private.curve.name == curve.name
    return isinstance(private, rsa.RSAPrivateKey) and f"RSA_{private.key_size}" == key.spec


def _take(request: Request, key: KmsKey, material: bytes) -> None:
    """Make it the key's material, or the one that waits for a rotation."""
    history = key.history
    kind = request.text("ImportType", "EXISTING_KEY_MATERIAL")
    if not history.ever_imported:
        key.import_material(material)
        return
    if material in key.imported_materials:
        if kind == "NEW_KEY_MATERIAL":
            raise MATERIAL.refuse("The key material is already associated with the KMS key.")
        history.imported = True
        return
    if kind != "NEW_KEY_MATERIAL" or not key.is_symmetric:
        raise MATERIAL.refuse("It is not the key material that was imported before.")
    if history.pending is not None and history.pending != material:
        raise PENDING.refuse(
            f"New key material (id: {material_id(material)}) cannot be imported into KMS key "
            f"{key.arn}, because another key material (id: {material_id(history.pending)})"
        )
    history.pending = material


def _delete(_request: Request, key: KmsKey) -> dict[str, Any]:
    key.delete_material()
    named = {"KeyMaterialId": key.material_id} if key.is_symmetric else {}
    return {"KeyId": key.arn, **named}


IMPORT_ANSWERS: Mapping[str, Callable[[Request, KmsKey], dict[str, Any]]] = {
    "GetParametersForImport": _get_parameters,
    "ImportKeyMaterial": _import,
    "DeleteImportedKeyMaterial": _delete,
}
"""Each operation's answer to a request that `kms_fake.neighbours` let pass. Raises KmsRefusal."""
