"""One request to KMS while it is being judged: what it says, and what follows from it.

The rules ask questions of a `Call`; each fact is worked out when first asked for and kept. A fact
that cannot be had is None, and a rule that needs it refuses.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kms_fake import keys, recipient_key
from kms_fake.authorization import Access, AccessRequest, assess
from kms_fake.cached import cached_property
from kms_fake.envelope import ContentForm
from kms_fake.policy import MalformedPolicy, Policy, PolicyKind, UnsupportedPolicy, parse_policy
from kms_fake.received import ReceivedDocument
from kms_fake.request_context import Surroundings
from kms_fake.shapes import SHAPES, Operation, violations, wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from kms_fake.callers import Caller
    from kms_fake.chain import TrustedRoots


class RuleSet(enum.Enum):
    """Two readings of bug 8.1 of the field notes; the documentation tells the whole story."""

    AWS = "aws"
    """EncryptionAlgorithm is optional for symmetric keys, as AWS documents."""
    FIELD_NOTES = "field-notes"
    """Decrypt with Recipient and without EncryptionAlgorithm is refused, as the notes tell it."""


class PlaintextForm(enum.Enum):
    """How a response to a request with Recipient carries Plaintext: "null or empty" (KMS API)."""

    ABSENT = "absent"
    NULL = "null"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test may choose where real KMS is unknown or has several faces."""

    rule_set: RuleSet = RuleSet.AWS
    plaintext_form: PlaintextForm = PlaintextForm.ABSENT
    content_form: ContentForm = ContentForm.CONSTRUCTED
    accept_unknown_keys: bool = False
    """Whether RSA keys of other sizes than 2048 are taken; real KMS's answer is unknown."""


@dataclass(frozen=True)
class Call:
    """A request, its caller, and the time and place it came to."""

    operation: Operation
    given: object
    """The request as given: a mapping of members, or whatever came instead."""
    caller: Caller
    store: keys.MotoKeys
    roots: TrustedRoots
    now_ms: int
    settings: Settings

    @cached_property
    def members(self) -> Mapping[str, Any]:
        """The members; empty if the request is not a mapping. JSON null counts as absent."""
        if not isinstance(self.given, Mapping):
            return {}
        return {name: value for name, value in self.given.items() if value is not None}

    @cached_property
    def wrong_type(self) -> str | None:
        """The member of a wrong type, in words."""
        return wrong_type(SHAPES[self.operation], self.members)

    @cached_property
    def violations(self) -> Sequence[str]:
        """The violated constraints, in KMS's words."""
        return violations(SHAPES[self.operation], self.members)

    @cached_property
    def is_decrypt(self) -> bool:
        """Whether the operation is Decrypt."""
        return self.operation is Operation.DECRYPT

    @cached_property
    def recipient(self) -> Mapping[str, Any] | None:
        """The members of Recipient, or None without one."""
        recipient = self.members.get("Recipient")
        if not isinstance(recipient, Mapping):
            return None
        return {name: value for name, value in recipient.items() if value is not None}

    @cached_property
    def document(self) -> ReceivedDocument | None:
        """The attestation document of Recipient."""
        raw = (self.recipient or {}).get("AttestationDocument")
        if not isinstance(raw, bytes):
            return None
        return ReceivedDocument(raw, self.roots, self.now_ms)

    @cached_property
    def recipient_der(self) -> bytes:
        """The document's public_key; empty where there is none."""
        fields = self.document.fields if self.document else None
        return (fields.public_key or b"") if fields else b""

    @cached_property
    def recipient_key(self) -> PublicKeyTypes | None:
        """The document's public key, if it is a SubjectPublicKeyInfo."""
        return recipient_key.read_spki(self.recipient_der)

    @property
    def context(self) -> Mapping[str, str]:
        """The encryption context."""
        context: Mapping[str, str] = self.members.get("EncryptionContext", {})
        return context

    @property
    def algorithm(self) -> str:
        """EncryptionAlgorithm with its documented default."""
        algorithm: str = self.members.get("EncryptionAlgorithm", keys.SYMMETRIC_DEFAULT)
        return algorithm

    @cached_property
    def named_key(self) -> keys.KmsKey | keys.NoSuchKey | None:
        """What KeyId names; None without KeyId."""
        name = self.members.get("KeyId")
        return self.store.named(name) if isinstance(name, str) else None

    @cached_property
    def ciphertext(self) -> bytes:
        """CiphertextBlob; empty where there is none."""
        blob = self.members.get("CiphertextBlob")
        return blob if isinstance(blob, bytes) else b""

    @cached_property
    def ciphertext_key(self) -> keys.KmsKey | keys.NoSuchKey | None:
        """The key that the ciphertext was made with; None if the ciphertext names none."""
        return self.store.of_ciphertext(self.ciphertext, self.algorithm, self.named_key)

    @cached_property
    def key(self) -> keys.KmsKey | None:
        """The key that the operation uses."""
        key = self.ciphertext_key if self.is_decrypt else self.named_key
        return key if isinstance(key, keys.KmsKey) else None

    @cached_property
    def unreadable_policy(self) -> str | None:
        """Why a policy that matters here cannot be evaluated."""
        if self.caller.unreadable_policy is not None:
            return self.caller.unreadable_policy
        return self._key_policy if isinstance(self._key_policy, str) else None

    @cached_property
    def _key_policy(self) -> Policy | str:
        """The policy of the key, or why it cannot be evaluated."""
        if self.key is None:
            return "there is no key"
        try:
            return parse_policy(self.key.policy, PolicyKind.KEY)
        except (MalformedPolicy, UnsupportedPolicy) as error:
            return str(error)

    @cached_property
    def access(self) -> Access | None:
        """What the policies say of this request; None where they cannot be asked."""
        policy = self._key_policy
        if self.key is None or self.unreadable_policy is not None or isinstance(policy, str):
            return None
        return assess(
            AccessRequest(
                principal=self.caller.principal,
                action=self.operation.action,
                key_arn=self.key.arn,
                key_account=self.store.account,
                context={f"kms:EncryptionContext:{name}": v for name, v in self.context.items()},
                derive=self._derived_values,
            ),
            policy,
            self.caller.identity,
            self.key.grants,
        )

    def _derived_values(self, name: str) -> tuple[str, ...]:
        """The values of a condition key that is worked out only where a policy asks for it."""
        if name.startswith("kms:recipientattestation:"):
            value = self.document.condition_value(name) if self.document else None
            return () if value is None else (value,)
        if name == "kms:encryptioncontextkeys":
            return tuple(self.context)
        if name == "kms:encryptionalgorithm":
            return (self.algorithm if self.is_decrypt else keys.SYMMETRIC_DEFAULT,)
        if name == "kms:requestalias":
            alias = keys.alias_name(self.members.get("KeyId"))
            return () if alias is None else (alias,)
        return Surroundings(
            self.caller, self.store.account, self.store.region, self.now_ms, self.key
        ).values(name)

    @cached_property
    def plaintext(self) -> bytes | None:
        """What the ciphertext holds; None where it does not open."""
        if self.key is None:
            return None
        return self.key.open(self.ciphertext, self.context, self.algorithm)

    @property
    def material_id(self) -> str | None:
        """KeyMaterialId of the material that seals or opens; asymmetric keys have none."""
        if self.key is None or not self.key.is_symmetric:
            return None
        if self.is_decrypt:
            return self.key.opening_material_id(self.ciphertext, self.context)
        return self.key.material_id
