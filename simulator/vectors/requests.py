"""The requests of the vectors: for each rule one that meets it, and those that get an answer.

A case names the key, the document and what it changes; everything else is as a good request has
it. Rules that no request can show are in `NOT_SHOWN`, each with its reason.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nsm_fake.randomness import Derivation

ACCOUNT = "123456789012"
REGION = "us-east-1"
_ROLES = (
    *("EnclaveInstance", "NotAllowedByIam", "DeniedByIam"),
    *("DeniedByBoundary", "DeniedBySession", "BeyondBoundary", "BeyondSession"),
)

SECRET = b"only the enclave reads me"
"""What every CiphertextBlob holds."""


def _policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    administrator = {
        "Sid": "Administrator",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": ["kms:PutKeyPolicy", "kms:Describe*", "kms:Encrypt"],
        "Resource": "*",
    }
    return {"Version": "2012-10-17", "Statement": [administrator, *statements]}


def _statement(**elements: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{ACCOUNT}:role/{role}" for role in _ROLES]},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "*",
        **elements,
    }


_OTHER_IMAGE = {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "ff" * 48}}
_TO_IAM = _statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})

KEYS: Mapping[str, Mapping[str, Any]] = {
    "open": {"policy": _policy(_statement())},
    "other-image": {"policy": _policy(_statement(Condition=_OTHER_IMAGE))},
    "denied": {"policy": _policy(_statement(), _statement(Effect="Deny"))},
    "by-iam": {"policy": _policy(_TO_IAM)},
    "disabled": {"policy": _policy(_statement()), "enabled": False},
    "signing": {"policy": _policy(_statement()), "spec": "RSA_2048", "usage": "SIGN_VERIFY"},
    "rsa": {"policy": _policy(_statement()), "spec": "RSA_2048", "usage": "ENCRYPT_DECRYPT"},
}
"""The keys, by a name of their own, as a keys file describes them; id and material are added."""

ALLOWED = "VECTORSALLOWED"
_ALL = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
_NONE = {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}


_NOTHING = {"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*"}


def _session(role: str, *statements: Mapping[str, Any], **limits: Any) -> dict[str, Any]:
    policies = [_iam(*statements)] if statements else []
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/i-0a1b2c3d4e5f60718"
    return {"arn": arn, "policies": policies, **limits}


def _iam(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


CALLERS: Mapping[str, Mapping[str, Any]] = {
    ALLOWED: _session("EnclaveInstance", _ALL),
    "VECTORSNOTALLOWED": _session("NotAllowedByIam"),
    "VECTORSDENIED": _session("DeniedByIam", _ALL, _NONE),
    "VECTORSBOUNDARYDENY": _session(
        "DeniedByBoundary", _ALL, permissions_boundary=_iam(_ALL, _NONE)
    ),
    "VECTORSSESSIONDENY": _session("DeniedBySession", _ALL, session_policies=[_iam(_ALL, _NONE)]),
    "VECTORSBOUNDARY": _session("BeyondBoundary", _ALL, permissions_boundary=_iam(_NOTHING)),
    "VECTORSSESSION": _session("BeyondSession", _ALL, session_policies=[_iam(_NOTHING)]),
}
"""Who calls, by access key, as a principals file describes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request."""

    name: str
    rule: str | None
    """The rule that refuses it; None where it is answered."""
    operation: str = "Decrypt"
    key: str = "open"
    """Of `KEYS`: the ciphertext's, or KeyId of GenerateDataKey."""
    caller: str = ALLOWED
    document: str | None = "good"
    """The document in Recipient; None for a request without Recipient."""
    recipient: Mapping[str, Any] = field(default_factory=dict)
    """Members of Recipient instead of the good ones; None leaves one out."""
    members: Mapping[str, Any] = field(default_factory=dict)
    """Members beside Recipient, likewise; `{NAME}` in a text stands for the ARN of that key."""
    body: Any = None
    """The whole body, if it is not made of members."""
    rule_set: str = "aws"


_ABSENT = "00000000-0000-4000-8000-000000000000"


def _documents() -> Iterator[Case]:
    """Those that are refused for their document, by both operations."""
    for rule, names in {
        "document.structure": ("noise", "truncated"),
        "document.payload": ("digest-sha256",),
        "document.certificate": ("certificate-not-der",),
        "document.root": ("foreign-root",),
        "document.chain": ("broken-chain",),
        "document.validity": ("leaf-expired", "months-old", "months-old-definite-map"),
        "document.signature": ("flipped-signature", "flipped-payload"),
        "document.age": ("too-old",),
        "document.future": ("from-the-future",),
        "public-key.missing": ("no-public-key", "empty-public-key"),
        "public-key.encoding": ("pkcs1-public-key", "pem-public-key"),
        "public-key.algorithm": ("p256-public-key",),
        "public-key.size": ("rsa-3072-public-key",),
    }.items():
        for name in names:
            for operation in ("Decrypt", "GenerateDataKey"):
                yield Case(
                    name=f"{name}/{operation}", rule=rule, operation=operation, document=name
                )


def _answered() -> Iterator[Case]:
    for document in ("good", "definite-map", "tagged-cose", "signed-image", "debug", None):
        for operation in ("Decrypt", "GenerateDataKey"):
            name = document or "no-recipient"
            yield Case(
                name=f"{name}/{operation}", rule=None, operation=operation, document=document
            )


CASES: Sequence[Case] = (
    *_answered(),
    Case(name="not-an-object", rule="request.object", body=["not", "an", "object"]),
    Case(name="recipient-is-a-blob", rule="request.member-type", members={"Recipient": "AAAA"}),
    Case(
        name="other-key-encryption-algorithm",
        rule="request.constraint",
        recipient={"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_512"},
    ),
    Case(
        name="no-data-key-size",
        rule="request.data-key-size",
        operation="GenerateDataKey",
        members={"KeySpec": None},
    ),
    Case(
        name="dry-run-modifiers",
        rule="request.dry-run-modifiers",
        members={"DryRunModifiers": ["IGNORE_CIPHERTEXT"]},
    ),
    Case(
        name="no-encryption-algorithm",
        rule="recipient.encryption-algorithm",
        rule_set="field-notes",
    ),
    Case(
        name="no-key-encryption-algorithm",
        rule="recipient.key-encryption-algorithm",
        recipient={"KeyEncryptionAlgorithm": None},
    ),
    Case(
        name="no-attestation-document",
        rule="recipient.attestation-document",
        recipient={"AttestationDocument": None},
    ),
    *_documents(),
    Case(
        name="no-key-id-with-an-rsa-algorithm",
        rule="key-id.missing",
        members={"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
    ),
    Case(
        name="ciphertext-is-noise",
        rule="ciphertext.unparsable",
        members={"CiphertextBlob": "bm8gY2lwaGVydGV4dA=="},
    ),
    Case(name="ciphertext-of-an-unknown-key", rule="ciphertext.foreign-key", key=_ABSENT),
    Case(name="unknown-key-id", rule="key-id.not-found", members={"KeyId": _ABSENT}),
    Case(name="other-key-id", rule="key-id.mismatch", members={"KeyId": "{by-iam}"}),
    Case(
        name="no-grant-token",
        rule="request.grant-tokens",
        members={"GrantTokens": ["bm90IGEgZ3JhbnQgdG9rZW4="]},
    ),
    Case(name="iam-denies", rule="authorization.identity-deny", caller="VECTORSDENIED"),
    Case(
        name="boundary-denies",
        rule="authorization.boundary-deny",
        caller="VECTORSBOUNDARYDENY",
    ),
    Case(name="session-denies", rule="authorization.session-deny", caller="VECTORSSESSIONDENY"),
    Case(name="key-policy-denies", rule="authorization.key-policy-deny", key="denied"),
    Case(name="other-image", rule="authorization.key-policy", key="other-image"),
    Case(
        name="iam-does-not-allow",
        rule="authorization.identity",
        key="by-iam",
        caller="VECTORSNOTALLOWED",
    ),
    Case(
        name="beyond-the-boundary",
        rule="authorization.boundary",
        key="by-iam",
        caller="VECTORSBOUNDARY",
    ),
    Case(
        name="beyond-the-session",
        rule="authorization.session",
        key="by-iam",
        caller="VECTORSSESSION",
    ),
    Case(name="disabled-key", rule="key.disabled", key="disabled"),
    Case(name="signing-key", rule="key.usage", operation="GenerateDataKey", key="signing"),
    Case(
        name="other-algorithm",
        rule="key.algorithm",
        members={"KeyId": "{open}", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
    ),
    Case(
        name="encryption-context-of-an-rsa-key",
        rule="key.encryption-context",
        key="rsa",
        members={
            "KeyId": "{rsa}",
            "EncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "EncryptionContext": {"tenant": "one"},
        },
    ),
    Case(
        name="other-encryption-context",
        rule="ciphertext.decryption",
        members={"EncryptionContext": {"tenant": "another"}},
    ),
    Case(name="dry-run", rule="request.dry-run", members={"DryRun": True}),
)
"""Every request, in the order of the rules."""

NOT_SHOWN: Mapping[str, str] = {
    "authorization.unreadable-policy": "a limit of the fake; no keys file can hold such a policy",
    "key.state": "a keys file holds no key that waits for deletion or for its material",
}
"""Rules without a request, and why."""


class Requests:
    """The requests of one seed."""

    def __init__(self, seed: bytes, documents: Mapping[str, bytes]) -> None:
        self._randomness = Derivation(seed + b" keys")
        self._documents = documents

    def key_id(self, name: str) -> str:
        """The id of a key of `KEYS`; an id that is none of them stays what it is."""
        if name not in KEYS:
            return name
        return str(uuid.UUID(bytes=self._randomness.bytes(16, "id", name), version=4))

    def key_arn(self, name: str) -> str:
        """Its ARN."""
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{self.key_id(name)}"

    def material(self, name: str) -> bytes:
        """The 32 bytes of a symmetric key."""
        return self._randomness.bytes(32, "material", name)

    def body(self, case: Case) -> Any:
        """The JSON of the request as it goes over the wire; blobs are base64."""
        if case.body is not None:
            return case.body
        if case.operation == "Decrypt":
            base: dict[str, Any] = {"CiphertextBlob": _base64(self._ciphertext(case.key))}
        else:
            base = {"KeyId": self.key_arn(case.key), "KeySpec": "AES_256"}
        if case.document is not None:
            good = {
                "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": _base64(self._documents[case.document]),
            }
            base["Recipient"] = _without_none({**good, **case.recipient})
        return _without_none({**base, **self._members(case)})

    def _members(self, case: Case) -> Mapping[str, Any]:
        arns = {name: self.key_arn(name) for name in KEYS}
        return {
            name: value.format(**arns) if name == "KeyId" else value
            for name, value in case.members.items()
        }

    def _ciphertext(self, key: str) -> bytes:
        """A CiphertextBlob: the key's id, IV, tag, ciphertext, as `kms_fake.keys` reads it."""
        iv = self._randomness.bytes(12, "iv", key)
        sealed = AESGCM(self.material(key)).encrypt(iv, SECRET, None)
        ciphertext, tag = sealed[:-16], sealed[-16:]
        return self.key_id(key).encode() + iv + tag + ciphertext


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
