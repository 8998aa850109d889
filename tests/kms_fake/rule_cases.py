"""For each row of the rule table, requests that meet it; for neighbours, one that meets both.

A case names the row that must refuse. They are ordinary tests (`test_rules.py`) and, together, the
measure of the table itself (`test_rule_table.py`): each row, left out or moved, must fail one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

from kms_fake.authorization import IdentityPermissions
from kms_fake.callers import Caller, identity_of_policies
from kms_fake.fake import DEFAULT_REGION
from kms_fake.keys import KmsKey, MotoKeys
from tests.kms_fake.world import (
    AUTHORITY,
    FIELD_NOTES,
    FOREIGN_ROOT,
    MINUTE_MS,
    NOW_MS,
    PCR0,
    ROOT_PRINCIPAL,
    Link,
    Request,
    caller,
    ec_spki,
    moto_key,
    pkcs1,
    policy,
    sealed,
    spki,
    statement,
)

Break = Callable[[Request], None]

_ABSENT_KEY = "00000000-0000-4000-8000-000000000000"
_RANDOM = os.urandom(500)
_EXPIRED = Link(subject="signer", issuer="authority", ca=False, ends_ms=NOW_MS - 1000)
_MISSIGNED = Link(subject="signer", issuer="authority", ca=False, signed_by="foreign root")
_FOREIGN_AUTHORITY = Link(subject="authority", issuer="foreign root", path_length=0)
_DENY = {"Effect": "Deny"}
_EVERYTHING = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
_LIMITS = {
    "Allow": policy({**_EVERYTHING, "Action": "kms:Encrypt"}),
    "Deny": policy(_EVERYTHING, {**_EVERYTHING, **_DENY}),
}
_CONDITIONED = {"Condition": {"StringEquals": {PCR0: "ff" * 48}}}


def _set(part: str, **values: Any) -> Break:
    def change(request: Request) -> None:
        getattr(request, part).update(values)

    return change


def _key(**arguments: Any) -> Break:
    def change(request: Request) -> None:
        request.key = partial(moto_key, **arguments)

    return change


def _caller(make: Callable[[], Caller]) -> Break:
    def change(request: Request) -> None:
        request.caller = make

    return change


def _given(value: object) -> Break:
    def change(request: Request) -> None:
        request.given = value

    return change


def _rsa_sealed(key_id: str) -> bytes:
    key = MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION).named(key_id)
    assert isinstance(key, KmsKey)
    return key.seal_rsa(b"secret", "RSAES_OAEP_SHA_256")


def _foreign_ciphertext(request: Request) -> None:
    request.members["CiphertextBlob"] = _ABSENT_KEY.encode() + sealed(moto_key())[36:]


def _other_key_id(request: Request) -> None:
    request.members["KeyId"] = moto_key("another")


def _broken_context(request: Request) -> None:
    request.members["EncryptionContext"] = {"not": "the one"}


def _rsa_algorithm(request: Request) -> None:
    request.members |= {"KeyId": request.key(), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}


def _rsa_key_and_context(request: Request) -> None:
    request.key = partial(moto_key, spec="RSA_2048")
    request.members |= {
        "KeyId": request.key(),
        "EncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "EncryptionContext": {"tenant": "one"},
        "CiphertextBlob": _rsa_sealed(request.key()),
    }


def _limited_caller(boundary: str | None = None, session: str | None = None) -> Caller:
    """The default caller with limits: "Deny" denies all of KMS, "Allow" allows something else."""
    everything = caller(_EVERYTHING).identity.policies
    limits = [
        identity_of_policies([_LIMITS[limit]]).policies if limit else ()
        for limit in (boundary, session)
    ]
    identity = IdentityPermissions(everything, next(iter(limits[0]), None), limits[1])
    return Caller(caller().principal, identity)


def _allowed_nothing() -> Caller:
    limited = _limited_caller(boundary="Allow", session="Allow")
    return Caller(limited.principal, replace(limited.identity, policies=()))


def _unreadable_policy() -> Caller:
    return Caller(caller().principal, caller().identity, unreadable_policy="not evaluated")


BREAKS: Mapping[str, Break] = {
    "request.object": _given(["not", "an", "object"]),
    "request.member-type": _set("members", GrantTokens="not a list"),
    "request.constraint": _set("members", KeyId="x" * 2049),
    "request.data-key-size": _set("members", NumberOfBytes=32),
    "request.dry-run-modifiers": _set("members", DryRunModifiers=["IGNORE_CIPHERTEXT"]),
    "recipient.encryption-algorithm": _set("settings", **FIELD_NOTES),
    "recipient.key-encryption-algorithm": _set("recipient", KeyEncryptionAlgorithm=None),
    "recipient.attestation-document": _set("recipient", AttestationDocument=None),
    "document.structure": _set("document", raw=_RANDOM),
    "document.payload": _set("document", fields={"digest": "SHA256"}),
    "document.certificate": _set("document", fields={"certificate": b"no certificate"}),
    "document.root": _set("document", chain=(FOREIGN_ROOT, _FOREIGN_AUTHORITY)),
    "document.chain": _set("document", signer=_MISSIGNED),
    "document.validity": _set("document", signer=_EXPIRED),
    "document.signature": _set("document", flip_signature=True),
    "document.age": _set("document", timestamp_ms=NOW_MS - 5 * MINUTE_MS - 1),
    "document.future": _set("document", timestamp_ms=NOW_MS + 5 * MINUTE_MS + 1),
    "public-key.missing": _set("document", public_key=None),
    "public-key.encoding": _set("document", public_key=pkcs1()),
    "public-key.algorithm": _set("document", public_key=ec_spki()),
    "public-key.size": _set("document", public_key=spki(3072)),
    "key-id.missing": _set("members", EncryptionAlgorithm="RSAES_OAEP_SHA_256"),
    "ciphertext.unparsable": _set("members", CiphertextBlob=b"no ciphertext"),
    "ciphertext.foreign-key": _foreign_ciphertext,
    "key-id.not-found": _set("members", KeyId=_ABSENT_KEY),
    "key-id.mismatch": _other_key_id,
    "request.grant-tokens": _set("members", GrantTokens=["of no grant"]),
    "authorization.unreadable-policy": _caller(_unreadable_policy),
    "authorization.identity-deny": _caller(
        lambda: caller({"Effect": "Deny", "Action": "kms:*", "Resource": "*"})
    ),
    "authorization.boundary-deny": _caller(partial(_limited_caller, boundary="Deny")),
    "authorization.session-deny": _caller(partial(_limited_caller, session="Deny")),
    "authorization.key-policy-deny": _key(policy_text=policy(statement(), statement(**_DENY))),
    "authorization.key-policy": _key(policy_text=policy(statement(**_CONDITIONED))),
    "authorization.identity": _caller(caller),
    "authorization.boundary": _caller(partial(_limited_caller, boundary="Allow")),
    "authorization.session": _caller(partial(_limited_caller, session="Allow")),
    "key.disabled": _key(state="Disabled"),
    "key.state": _key(state="PendingDeletion"),
    "key.usage": _key(usage="SIGN_VERIFY", spec="RSA_2048"),
    "key.algorithm": _rsa_algorithm,
    "key.encryption-context": _rsa_key_and_context,
    "ciphertext.decryption": _broken_context,
    "request.dry-run": _set("members", DryRun=True),
}
"""How to meet each row, and nothing else that a row before it would refuse."""

_ONLY_GENERATE = {"request.data-key-size", "key.usage"}
_ONLY_DECRYPT = {
    *("request.dry-run-modifiers", "recipient.encryption-algorithm"),
    *("key-id.missing", "ciphertext.unparsable", "ciphertext.foreign-key", "key-id.mismatch"),
    *("key.algorithm", "key.encryption-context", "ciphertext.decryption"),
}


@dataclass(frozen=True)
class Case:
    """A request and the row that must refuse it; None where KMS must answer."""

    name: str
    rule: str | None
    operation: str
    breaks: tuple[Break, ...]

    def request(self) -> Request:
        """The request, made anew."""
        request = Request(operation=self.operation)
        for change in self.breaks:
            change(request)
        return request


def _single(rule: str, operation: str) -> Case:
    breaks: tuple[Break, ...] = (BREAKS[rule],)
    if rule == "authorization.identity":
        # Only an account's delegation to IAM makes identity policies decide.
        delegated = policy(statement(Principal={"AWS": ROOT_PRINCIPAL}))
        breaks = (*breaks, _key(policy_text=delegated))
    return Case(f"{rule}-{operation}", rule, operation, breaks)


SINGLES = [
    _single(rule, operation)
    for rule in BREAKS
    for operation in ("Decrypt", "GenerateDataKey")
    if not (rule in _ONLY_DECRYPT and operation == "GenerateDataKey")
    and not (rule in _ONLY_GENERATE and operation == "Decrypt")
]

_DELEGATED_AND_DISABLED = _key(
    policy_text=policy(statement(Principal={"AWS": ROOT_PRINCIPAL})), state="Disabled"
)
_DENIED_BY_KEY = BREAKS["authorization.key-policy-deny"]
_FOREIGN_AND_JUNK = _set(
    "document",
    fields={"certificate": b"no certificate"},
    chain=(FOREIGN_ROOT, _FOREIGN_AUTHORITY),
)
_FOREIGN_AND_MISSIGNED = _set("document", signer=_MISSIGNED, chain=(FOREIGN_ROOT, AUTHORITY))
_DENIED_AND_NOT_ALLOWED = _key(policy_text=policy(statement(**_CONDITIONED), statement(**_DENY)))

# Where two breaks change different parts of a request they simply go together.
PAIRS: Mapping[tuple[str, str], tuple[str, tuple[Break, ...]]] = {
    (first, second): (operation, breaks or (BREAKS[first], BREAKS[second]))
    for first, second, operation, breaks in (
        ("request.member-type", "request.constraint", "Decrypt", ()),
        ("request.constraint", "request.data-key-size", "GenerateDataKey", ()),
        ("request.dry-run-modifiers", "recipient.encryption-algorithm", "Decrypt", ()),
        ("recipient.encryption-algorithm", "recipient.key-encryption-algorithm", "Decrypt", ()),
        ("recipient.key-encryption-algorithm", "recipient.attestation-document", "Decrypt", ()),
        ("recipient.key-encryption-algorithm", "document.structure", "Decrypt", ()),
        ("document.certificate", "document.root", "Decrypt", (_FOREIGN_AND_JUNK,)),
        ("document.root", "document.chain", "Decrypt", (_FOREIGN_AND_MISSIGNED,)),
        ("document.validity", "document.signature", "Decrypt", ()),
        ("document.signature", "document.age", "Decrypt", ()),
        ("document.future", "public-key.missing", "Decrypt", ()),
        ("document.age", "public-key.missing", "GenerateDataKey", ()),
        ("public-key.size", "key-id.missing", "Decrypt", ()),
        ("public-key.size", "ciphertext.unparsable", "Decrypt", ()),
        ("key-id.missing", "ciphertext.unparsable", "Decrypt", ()),
        ("public-key.missing", "ciphertext.unparsable", "Decrypt", ()),
        ("public-key.encoding", "authorization.key-policy", "Decrypt", ()),
        ("ciphertext.foreign-key", "key-id.not-found", "Decrypt", ()),
        ("key-id.mismatch", "authorization.unreadable-policy", "Decrypt", ()),
        (
            "authorization.identity-deny",
            "authorization.key-policy-deny",
            "Decrypt",
            (BREAKS["authorization.identity-deny"], _DENIED_BY_KEY),
        ),
        (
            "authorization.key-policy-deny",
            "authorization.key-policy",
            "Decrypt",
            (_DENIED_AND_NOT_ALLOWED,),
        ),
        (
            "authorization.identity",
            "authorization.boundary",
            "Decrypt",
            (_caller(_allowed_nothing), _DELEGATED_AND_DISABLED),
        ),
        (
            "authorization.boundary",
            "authorization.session",
            "Decrypt",
            (_caller(partial(_limited_caller, boundary="Allow", session="Allow")),),
        ),
        (
            "authorization.session",
            "key.disabled",
            "Decrypt",
            (BREAKS["authorization.session"], _DELEGATED_AND_DISABLED),
        ),
        (
            "key.state",
            "key.usage",
            "GenerateDataKey",
            (_key(usage="SIGN_VERIFY", spec="RSA_2048", state="PendingDeletion"),),
        ),
        ("key.algorithm", "ciphertext.decryption", "Decrypt", ()),
        (
            "key.algorithm",
            "key.encryption-context",
            "Decrypt",
            (_rsa_key_and_context, _set("members", EncryptionAlgorithm="SM2PKE")),
        ),
        (
            "key.encryption-context",
            "ciphertext.decryption",
            "Decrypt",
            (_rsa_key_and_context, _set("members", CiphertextBlob=bytes(256))),
        ),
        ("ciphertext.decryption", "request.dry-run", "Decrypt", ()),
    )
}

ORDERED = [
    Case(f"{first}-before-{second}", first, operation, breaks)
    for (first, second), (operation, breaks) in PAIRS.items()
]

ANSWERED = [
    Case("answered-Decrypt", None, "Decrypt", ()),
    Case("answered-GenerateDataKey", None, "GenerateDataKey", ()),
    Case(
        "answered-rsa",
        None,
        "Decrypt",
        (_rsa_key_and_context, _set("members", EncryptionContext={})),
    ),
    Case(
        "answered-without-recipient",
        None,
        "Decrypt",
        (lambda request: setattr(request, "recipient", None),),
    ),
]

CASES = [*SINGLES, *ORDERED, *ANSWERED]
