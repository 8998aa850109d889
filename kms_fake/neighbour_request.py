"""One request to another operation of KMS while it is being judged, and what follows from it.

Its `kms_fake.call.Call` is for the two operations of this package; the two do not share a base,
since nothing here is attested and nothing is authorized.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kms_fake import wire
from kms_fake.keys import SYMMETRIC_DEFAULT, KmsKey, MotoKeys, NoSuchKey
from kms_fake.request_model import request_shape
from kms_fake.shapes import Member, blob_members, violations, wrong_type

# The members that name the key an operation is about, where it is not KeyId.
_KEY_MEMBERS = {
    "ReEncrypt": "DestinationKeyId",
    "CreateAlias": "TargetKeyId",
    "UpdateAlias": "TargetKeyId",
}


@dataclass(frozen=True)
class NeighbourRequest:
    """A request, and the account and Region it came to."""

    operation: str
    given: Mapping[str, object]
    """The members as JSON gives them: blobs are base64 text."""
    store: MotoKeys

    @property
    def shape(self) -> Mapping[str, Member]:
        """The members that the operation has."""
        return request_shape(self.operation)

    @cached_property
    def members(self) -> Mapping[str, Any]:
        """The members, blobs as bytes. JSON null counts as absent."""
        decoded = wire.decode_blobs(blob_members(self.shape), dict(self.given))
        return {name: value for name, value in decoded.items() if value is not None}

    @cached_property
    def wrong_type(self) -> str | None:
        """The member of a wrong type, in words."""
        return wrong_type(self.shape, self.members)

    @cached_property
    def violations(self) -> tuple[str, ...]:
        """The violated constraints, in KMS's words."""
        return tuple(violations(self.shape, self.members))

    @property
    def key_name(self) -> str | None:
        """What the request calls its key."""
        name = self.members.get(_KEY_MEMBERS.get(self.operation, "KeyId"))
        return name if isinstance(name, str) else None

    @cached_property
    def named_key(self) -> KmsKey | NoSuchKey | None:
        """What that name names; None without one."""
        return None if self.key_name is None else self.store.named(self.key_name)

    @property
    def key(self) -> KmsKey | None:
        """The key that the operation is about."""
        return self.named_key if isinstance(self.named_key, KmsKey) else None

    @cached_property
    def keys(self) -> tuple[KmsKey, ...]:
        """The keys that the operation uses: ReEncrypt uses two, the source first."""
        both = (self.source_key, self.key) if self.operation == "ReEncrypt" else (self.key,)
        return tuple(key for key in both if isinstance(key, KmsKey))

    @cached_property
    def named_source_key(self) -> KmsKey | NoSuchKey | None:
        """What SourceKeyId of ReEncrypt names; None without it."""
        name = self.members.get("SourceKeyId")
        return self.store.named(name) if isinstance(name, str) else None

    @cached_property
    def source_key(self) -> KmsKey | NoSuchKey | None:
        """The key that the ciphertext of ReEncrypt was made with; None if it names none."""
        algorithm = self.text("SourceEncryptionAlgorithm", SYMMETRIC_DEFAULT)
        blob = self.blob("CiphertextBlob")
        return self.store.of_ciphertext(blob, algorithm, self.named_source_key)

    @cached_property
    def reencrypted(self) -> bytes | None:
        """What the ciphertext of ReEncrypt holds; None where it does not open."""
        if not isinstance(self.source_key, KmsKey):
            return None
        context = self.members.get("SourceEncryptionContext", {})
        algorithm = self.text("SourceEncryptionAlgorithm", SYMMETRIC_DEFAULT)
        return self.source_key.open(self.blob("CiphertextBlob"), context, algorithm)

    @cached_property
    def ended_grant(self) -> tuple[KmsKey, str] | None:
        """The key and the id of the grant that RetireGrant or RevokeGrant is about; None if none.

        A grant token goes before an id (unknown).
        """
        if "GrantToken" in self.members:
            return self.store.grant_of_token(self.text("GrantToken"))
        grant_id = self.text("GrantId")
        return (self.key, grant_id) if self.key and self.key.has_grant(grant_id) else None

    @property
    def plaintext(self) -> bytes:
        """What Encrypt or ReEncrypt is to encrypt."""
        if self.operation == "ReEncrypt":
            return self.reencrypted or b""
        return self.blob("Plaintext")

    @property
    def encryption_algorithm(self) -> str:
        """The algorithm that Encrypt or ReEncrypt is to encrypt with."""
        prefix = "Destination" if self.operation == "ReEncrypt" else ""
        return self.text(f"{prefix}EncryptionAlgorithm", SYMMETRIC_DEFAULT)

    @property
    def encryption_context(self) -> Mapping[str, str]:
        """The context that the operation is to encrypt with."""
        prefix = "Destination" if self.operation == "ReEncrypt" else ""
        context: Mapping[str, str] = self.members.get(f"{prefix}EncryptionContext", {})
        return context

    def text(self, member: str, default: str = "") -> str:
        """A member that is text."""
        value: str = self.members.get(member, default)
        return value

    def blob(self, member: str) -> bytes:
        """A member that is a blob."""
        value: bytes = self.members.get(member, b"")
        return value
