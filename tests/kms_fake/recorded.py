"""How to bring about what real KMS was recorded to answer: keys of every kind, and calls on them.

The recorded answers are in `tests.kms_fake.recorded_cases`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_fake.material import material_id
from kms_fake.neighbour_checks import MOST_ROTATIONS

ACCOUNT, REGION, ELSEWHERE = "123456789012", "us-east-1", "us-west-2"
ABSENT = "1234abcd-12ab-34cd-56ef-1234567890ab"
ABSENT_MRK = "mrk-1234abcd12ab34cd56ef1234567890ab"

LONG = bytes(880)
"""What LocalStack's test encrypts: too long for any RSA key."""

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def arn(key_id: str, region: str = REGION) -> str:
    """The ARN that a key id has."""
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{key_id}"


class World:
    """boto3 clients of one server, and keys made once for each kind."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.kms = client(REGION)
        self.elsewhere = client(ELSEWHERE)
        self._keys: dict[str, str] = {}

    def new(self, **members: Any) -> str:
        """The id of a new key."""
        key_id: str = self.kms.create_key(**members)["KeyMetadata"]["KeyId"]
        return key_id

    def key(self, usage: str = "ENCRYPT_DECRYPT", spec: str = "SYMMETRIC_DEFAULT") -> str:
        """The id of a key of that kind, which no case changes."""
        kind = f"{usage} {spec}"
        if kind not in self._keys:
            self._keys[kind] = self.new(KeyUsage=usage, KeySpec=spec)
        return self._keys[kind]

    def disabled(self, **members: Any) -> str:
        """The id of a new key that is disabled."""
        key_id = self.new(**members)
        self.kms.disable_key(KeyId=key_id)
        return key_id

    def going(self, **members: Any) -> str:
        """The id of a new key that is pending deletion."""
        key_id = self.new(**members)
        self.kms.schedule_key_deletion(KeyId=key_id)
        return key_id

    def import_parameters(self, key_id: str) -> tuple[dict[str, Any], Callable[[bytes], bytes]]:
        """The members that an import begins with, and what wraps its material."""
        given = self.kms.get_parameters_for_import(
            KeyId=key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
        )
        public_key = load_der_public_key(given["PublicKey"])
        assert isinstance(public_key, rsa.RSAPublicKey)
        members = {"KeyId": key_id, "ImportToken": given["ImportToken"]}
        return members, lambda material: public_key.encrypt(material, OAEP)

    def import_members(self, key_id: str, material: bytes, **more: Any) -> dict[str, Any]:
        """A whole request of ImportKeyMaterial, for material that does not expire."""
        members, wrap = self.import_parameters(key_id)
        forever = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        return {**members, "EncryptedKeyMaterial": wrap(material), **forever, **more}

    def imported(self, key_id: str | None = None) -> str:
        """The id of a symmetric key with imported material."""
        key_id = key_id or self.new(Origin="EXTERNAL")
        self.kms.import_key_material(**self.import_members(key_id, os.urandom(32)))
        return key_id


@dataclass(frozen=True)
class Attempt:
    """One call, ready to be made; `holes` are what the recorded text calls `<key-arn>` or so."""

    operation: str
    members: Mapping[str, Any]
    holes: Mapping[str, str] = field(default_factory=dict)
    region: str = REGION


Make = Callable[[World], Attempt]
"""Brings about what a call needs, and says which call it is."""


def attempt(operation: str, key: Callable[[World], str] | None = None, **members: Any) -> Make:
    """A call that names its key by KeyId; `{key}` in the text is that key's ARN."""

    def make(world: World) -> Attempt:
        if key is None:
            return Attempt(operation, members)
        name = key(world)
        holes = {"key": name if name.startswith("arn:") else arn(name)}
        return Attempt(operation, {"KeyId": name, **members}, holes)

    return make


def named(name: str) -> Callable[[World], str]:
    return lambda _: name


def plain(world: World) -> str:
    return world.key()


def of(usage: str, spec: str) -> Callable[[World], str]:
    return lambda world: world.key(usage, spec)


def external(world: World) -> str:
    return world.new(Origin="EXTERNAL")


def tags(*keys: str, value: str = "value") -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key in keys]


def elsewhere(*, by_arn: bool) -> Make:
    """A key of another Region."""

    def make(world: World) -> Attempt:
        key = world.elsewhere.create_key()["KeyMetadata"]
        name = key["Arn" if by_arn else "KeyId"]
        return Attempt("describe_key", {"KeyId": name}, {"key": arn(key["KeyId"])})

    return make


def unprefixed_alias(world: World) -> Attempt:
    return Attempt("create_alias", {"AliasName": "mine", "TargetKeyId": world.key()})


def primary_seen_elsewhere(world: World) -> Attempt:
    key_id = world.new(MultiRegion=True)
    return Attempt("describe_key", {"KeyId": key_id}, {"key": arn(key_id, ELSEWHERE)}, ELSEWHERE)


def replica(world: World) -> Attempt:
    key_id = world.new(MultiRegion=True)
    world.kms.replicate_key(KeyId=key_id, ReplicaRegion=ELSEWHERE)
    members = {"KeyId": key_id, "ReplicaRegion": ELSEWHERE}
    return Attempt("replicate_key", members, {"key": arn(key_id, ELSEWHERE)}, ELSEWHERE)


def bad_signature(spec: str, algorithm: str) -> Make:
    def make(world: World) -> Attempt:
        members = {"KeyId": world.key("SIGN_VERIFY", spec), "SigningAlgorithm": algorithm}
        signature = world.kms.sign(Message=b"bad", **members)["Signature"]
        return Attempt("verify", {"Message": b"message", "Signature": signature, **members})

    return make


def bad_mac(algorithm: str, message: bytes = b"some") -> Make:
    def make(world: World) -> Attempt:
        key_id = world.key("GENERATE_VERIFY_MAC", "HMAC_256")
        made = world.kms.generate_mac(KeyId=key_id, Message=b"some", MacAlgorithm="HMAC_SHA_256")
        members = {"KeyId": key_id, "Message": message, "Mac": made["Mac"]}
        return Attempt("verify_mac", {**members, "MacAlgorithm": algorithm})

    return make


def decrypt(*, context: bool = False, **changes: Any) -> Make:
    def make(world: World) -> Attempt:
        sealed_with = {"EncryptionContext": {"some": "context"}} if context else {}
        made = world.kms.encrypt(KeyId=world.key(), Plaintext=b"message", **sealed_with)
        return Attempt("decrypt", {"CiphertextBlob": made["CiphertextBlob"], **changes})

    return make


def decrypt_by_mac_key(world: World) -> Attempt:
    members = decrypt()(world).members
    return Attempt("decrypt", {**members, "KeyId": world.key("GENERATE_VERIFY_MAC", "HMAC_224")})


def data_key(operation: str) -> Make:
    """Decrypt of what the operation sealed with a context, without that context."""
    pair = "pair" in operation
    asked = {"KeyPairSpec": "ECC_NIST_P256"} if pair else {"KeySpec": "AES_256"}

    def make(world: World) -> Attempt:
        answer = getattr(world.kms, operation)(
            KeyId=world.key(), EncryptionContext={"context-key": "context-value"}, **asked
        )
        blob = answer["PrivateKeyCiphertextBlob" if pair else "CiphertextBlob"]
        return Attempt("decrypt", {"CiphertextBlob": blob, "KeyId": world.key()})

    return make


def spoilt_after_rotation(world: World) -> Attempt:
    key_id = world.new()
    blob = world.kms.encrypt(KeyId=key_id, Plaintext=b"message")["CiphertextBlob"]
    world.kms.rotate_key_on_demand(KeyId=key_id)
    return Attempt("decrypt", {"KeyId": key_id, "CiphertextBlob": blob + b"bad_data"})


def re_encrypt_by_mac_key(world: World) -> Attempt:
    mac_key = world.key("GENERATE_VERIFY_MAC", "HMAC_224")
    both = {"SourceKeyId": mac_key, "DestinationKeyId": mac_key}
    return Attempt("re_encrypt", {**decrypt()(world).members, **both})


def public_key(world: World) -> bytes:
    der: bytes = world.kms.get_public_key(KeyId=world.key("KEY_AGREEMENT", "ECC_NIST_P256"))[
        "PublicKey"
    ]
    return der


def agree(usage: str, spec: str, **changes: Any) -> Make:
    def make(world: World) -> Attempt:
        given = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": public_key(world), **changes}
        return attempt("derive_shared_secret", of(usage, spec), **given)(world)

    return make


def expiring_import(world: World) -> Attempt:
    members = world.import_members(world.new(Origin="EXTERNAL"), os.urandom(32))
    del members["ExpirationModel"]
    return Attempt("import_key_material", members)


def deleted_import(world: World) -> str:
    key_id = world.imported()
    world.kms.delete_imported_key_material(KeyId=key_id)
    return key_id


def third_material(world: World) -> Attempt:
    key_id = world.imported()
    pending, third = os.urandom(32), os.urandom(32)
    new = {"ImportType": "NEW_KEY_MATERIAL"}
    world.kms.import_key_material(**world.import_members(key_id, pending, **new))
    holes = {"key": arn(key_id), "new": material_id(third), "pending": material_id(pending)}
    return Attempt("import_key_material", world.import_members(key_id, third, **new), holes)


def rotated_out(world: World) -> str:
    key_id = world.new()
    for _ in range(MOST_ROTATIONS):
        world.kms.rotate_key_on_demand(KeyId=key_id)
    return key_id
