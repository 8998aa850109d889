"""The answers of the operations that moto has not, or has wrong: what happens once all is well.

Each takes a request that `kms_fake.neighbours` let pass, and gives the members of the answer, blobs
as bytes. Response elements: AWS KMS API Reference; members recorded on real KMS: AWS-validated
snapshots of LocalStack (test_kms.snapshot.json).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_fake import asymmetric
from kms_fake.key_import import IMPORT_ANSWERS
from kms_fake.keys import SYMMETRIC_DEFAULT, KmsKey
from kms_fake.neighbour_request import NeighbourRequest as Request

Answer = dict[str, Any]

_KEY_LENGTHS = {"AES_128": 16, "AES_256": 32}


class NotPassed(RuntimeError):
    """A request without a key or grant came here: the table of neighbours has a hole."""


def _key(request: Request) -> KmsKey:
    if request.key is None:
        raise NotPassed(request.operation)
    return request.key


def _seal(request: Request, plaintext: bytes) -> bytes:
    key = _key(request)
    if key.is_symmetric:
        return key.seal(plaintext, request.encryption_context)
    return key.seal_rsa(plaintext, request.encryption_algorithm)


def _encrypt(request: Request) -> Answer:
    return {
        "KeyId": _key(request).arn,
        "CiphertextBlob": _seal(request, request.plaintext),
        "EncryptionAlgorithm": request.encryption_algorithm,
    }


def _re_encrypt(request: Request) -> Answer:
    source, destination = request.keys
    materials = {
        f"{side}KeyMaterialId": key.material_id
        for side, key in (("Source", source), ("Destination", destination))
        if key.is_symmetric
    }
    return {
        "KeyId": destination.arn,
        "SourceKeyId": source.arn,
        "CiphertextBlob": _seal(request, request.plaintext),
        "SourceEncryptionAlgorithm": request.text("SourceEncryptionAlgorithm", SYMMETRIC_DEFAULT),
        "DestinationEncryptionAlgorithm": request.encryption_algorithm,
        **materials,
    }


def _data_key(request: Request) -> Answer:
    length = request.members.get("NumberOfBytes") or _KEY_LENGTHS[request.text("KeySpec")]
    key = _key(request)
    return {
        "KeyId": key.arn,
        "CiphertextBlob": _seal(request, os.urandom(length)),
        "KeyMaterialId": key.material_id,
    }


def _data_key_pair(request: Request) -> Answer:
    private = _data_key_pair_in_clear(request)
    del private["PrivateKeyPlaintext"]
    return private


def _data_key_pair_in_clear(request: Request) -> Answer:
    key, spec = _key(request), request.text("KeyPairSpec")
    made = asymmetric.KEY_PAIRS[spec]()
    private = asymmetric.private_der(made)
    return {
        "KeyId": key.arn,
        "KeyPairSpec": spec,
        "PrivateKeyPlaintext": private,
        "PrivateKeyCiphertextBlob": _seal(request, private),
        "PublicKey": asymmetric.public_der(made),
        "KeyMaterialId": key.material_id,
    }


def _sign(request: Request) -> Answer:
    key, algorithm = _key(request), request.text("SigningAlgorithm")
    is_digest = request.text("MessageType") == "DIGEST"
    signature = asymmetric.sign(
        key.private_key, algorithm, request.blob("Message"), is_digest=is_digest
    )
    return {"KeyId": key.arn, "Signature": signature, "SigningAlgorithm": algorithm}


def _verify(request: Request) -> Answer:
    algorithm = request.text("SigningAlgorithm")
    return {"KeyId": _key(request).arn, "SignatureValid": True, "SigningAlgorithm": algorithm}


def _generate_mac(request: Request) -> Answer:
    key, algorithm = _key(request), request.text("MacAlgorithm")
    made = asymmetric.mac(key.mac_key, algorithm, request.blob("Message"))
    return {"KeyId": key.arn, "Mac": made, "MacAlgorithm": algorithm}


def _verify_mac(request: Request) -> Answer:
    algorithm = request.text("MacAlgorithm")
    return {"KeyId": _key(request).arn, "MacValid": True, "MacAlgorithm": algorithm}


def _derive_shared_secret(request: Request) -> Answer:
    key = _key(request)
    peer: Any = load_der_public_key(request.blob("PublicKey"))
    return {
        "KeyId": key.arn,
        "SharedSecret": asymmetric.shared_secret(key.private_key, peer),
        "KeyAgreementAlgorithm": request.text("KeyAgreementAlgorithm"),
        "KeyOrigin": key.origin,
    }


def _get_public_key(request: Request) -> Answer:
    key = _key(request)
    return {
        "KeyId": key.arn,
        "PublicKey": asymmetric.public_der(key.private_key),
        "CustomerMasterKeySpec": key.spec,
        "KeySpec": key.spec,
        "KeyUsage": key.usage,
        **key.algorithms,
    }


def _create_grant(request: Request) -> Answer:
    grant_id, token = _key(request).make_grant(request.members)
    return {"GrantId": grant_id, "GrantToken": token}


def _end_grant(request: Request) -> Answer:
    if request.ended_grant is None:
        raise NotPassed(request.operation)
    key, grant_id = request.ended_grant
    key.end_grant(grant_id)
    return {}


def _imported(request: Request) -> Answer:
    return IMPORT_ANSWERS[request.operation](request, _key(request))


ANSWERS: Mapping[str, Callable[[Request], Answer]] = {
    "Encrypt": _encrypt,
    "ReEncrypt": _re_encrypt,
    "GenerateDataKeyWithoutPlaintext": _data_key,
    "GenerateDataKeyPair": _data_key_pair_in_clear,
    "GenerateDataKeyPairWithoutPlaintext": _data_key_pair,
    "Sign": _sign,
    "Verify": _verify,
    "GenerateMac": _generate_mac,
    "VerifyMac": _verify_mac,
    "DeriveSharedSecret": _derive_shared_secret,
    "GetPublicKey": _get_public_key,
    "CreateGrant": _create_grant,
    **dict.fromkeys(("RetireGrant", "RevokeGrant"), _end_grant),
    **dict.fromkeys(IMPORT_ANSWERS, _imported),
}
"""What answers instead of moto, by operation."""
