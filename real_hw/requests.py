"""What the scenarios send to KMS, and in what an error's request differs from one that succeeds.

The requests are not written here: they are those that a KMS received while the scenarios ran
(`--show-requests` runs them against the simulator, with the enclave program, the host proxy and the
SDK that run on hardware). This module only compares and prints them. What a document attests is
read without verifying it.

Source of what a success request has: AWS KMS API Reference, Decrypt and GenerateDataKey, and AWS's
own client, aws-nitro-enclaves-sdk-c, source/kms.c.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

ABSENT = "(absent)"
"""What a member is that is not there."""

_DOCUMENT = "Recipient.AttestationDocument"
_BLOB = "CiphertextBlob"
_OF_EACH_DOCUMENT = ("timestamp",)
"""What every document has of its own, whatever was asked."""


class NotShown(Exception):
    """A request that was to be shown did not happen; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as KMS received it."""

    scenario: str
    """Its id: `bugs/bug-8-2-no-public-key`."""
    operation: str
    members: Mapping[str, Any]
    """Blobs are bytes."""
    refusal: str | None
    """The error's type and text; None where it was answered."""


@dataclass(frozen=True, slots=True)
class Case:
    """An error and where the suite meets it."""

    title: str
    scenario: str
    operation: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A member that two requests do not have alike, as text; ABSENT where one lacks it."""

    member: str
    success: str
    error: str


SUCCESSES = (
    Case("Decrypt", "flow/decrypt-opens-in-the-enclave", "Decrypt"),
    Case("GenerateDataKey", "flow/generate-data-key-opens-in-the-enclave", "GenerateDataKey"),
)
"""The requests that succeed."""

ERRORS = (
    Case("bug 7, no size", "bugs/bug-7-data-key-without-size", "GenerateDataKey"),
    Case(
        "bug 8.1, no KeyEncryptionAlgorithm", "bugs/bug-8-1-no-key-encryption-algorithm", "Decrypt"
    ),
    Case("bug 8.2, no public key in the document", "bugs/bug-8-2-no-public-key", "Decrypt"),
    Case("bug 8.3, a PKCS#1 key in the document", "bugs/bug-8-3-pkcs1-public-key", "Decrypt"),
)
"""The errors of the field notes that KMS answers, each from one request."""

SCENARIOS = frozenset(case.scenario for case in (*SUCCESSES, *ERRORS))
"""The ids of the scenarios whose requests are shown."""


def as_text(sent: Sequence[Sent]) -> Iterator[str]:
    """The success requests, and each error's difference. Raises NotShown."""
    yield "Requests that succeed, as KMS received them in the simulator a moment ago:"
    for case in SUCCESSES:
        request = _first(sent, case, is_refused=False)
        yield ""
        yield f"{case.operation}  ({case.scenario})"
        yield json.dumps(shown(request.members), indent=2)
        yield f"The document attests: public_key = {_attested(request).get('public_key', ABSENT)}"
    yield ""
    pairs = [(case, pair(sent, case)) for case in ERRORS]
    yield "Each error's request is one that succeeds with one member changed:"
    for case, (error, success) in pairs:
        yield ""
        yield f"{case.title}  ({case.scenario})"
        for difference in differences(success, error):
            yield f"  {difference.member}: {difference.success} -> {difference.error}"
        if success.scenario != error.scenario:
            yield f"  beside the success of {success.scenario}, whose key is another"
        yield f"  the simulator's answer: {error.refusal}"


def check(sent: Sequence[Sent]) -> None:
    """Raises NotShown if an error's request has not exactly one member changed."""
    for case in ERRORS:
        error, success = pair(sent, case)
        changed = [difference.member for difference in differences(success, error)]
        if len(changed) != 1:
            raise NotShown(
                f"The request of {case.title} differs from the one that succeeds in "
                f"{len(changed)} members ({', '.join(changed)}), so that its error proves nothing: "
                f"mend the scenario {case.scenario}."
            )


def as_json(sent: Sequence[Sent]) -> dict[str, Any]:
    """The same for programs. Raises NotShown."""
    successes = [_first(sent, case, is_refused=False) for case in SUCCESSES]
    pairs = [(case, *pair(sent, case)) for case in ERRORS]
    return {
        "successes": [
            {
                "scenario": one.scenario,
                "operation": one.operation,
                "members": shown(one.members),
                "attested": _attested(one),
            }
            for one in successes
        ],
        "errors": [
            {
                "title": case.title,
                "scenario": case.scenario,
                "operation": case.operation,
                "beside": success.scenario,
                "differences": [
                    {"member": one.member, "success": one.success, "error": one.error}
                    for one in differences(success, error)
                ],
                "refusal": error.refusal,
            }
            for case, error, success in pairs
        ],
    }


def pair(sent: Sequence[Sent], case: Case) -> tuple[Sent, Sent]:
    """The error's first request, and the success that is most like it. Raises NotShown.

    Not every scenario of an error has a success of its own, or one that adds nothing; among equals
    its own is taken.
    """
    error = _first(sent, case, is_refused=True)
    successes = [one for one in sent if one.operation == case.operation and one.refusal is None]
    if not successes:
        raise NotShown(f"No scenario sent a {case.operation} that was answered.")
    return error, min(
        successes,
        key=lambda one: (len(differences(one, error)), one.scenario != error.scenario),
    )


def _first(sent: Iterable[Sent], case: Case, *, is_refused: bool) -> Sent:
    for one in sent:
        is_the_case = (one.scenario, one.operation) == (case.scenario, case.operation)
        if is_the_case and (one.refusal is not None) == is_refused:
            return one
    kind = "refused" if is_refused else "answered"
    raise NotShown(
        f"The scenario {case.scenario} sent no {case.operation} that was {kind}: look at its "
        f"outcome."
    )


def differences(success: Sent, error: Sent) -> list[Difference]:
    """The members in which they differ, the document by what it attests.

    Two scenarios have two keys: there the CiphertextBlob is compared by its length.
    """
    ours, theirs = dict(_leaves(success)), dict(_leaves(error))
    if success.scenario != error.scenario:
        for leaves in (ours, theirs):
            if _BLOB in leaves:
                leaves[_BLOB] = _placeholder(leaves[_BLOB])
    return [
        Difference(name, _text(ours.get(name, ABSENT)), _text(theirs.get(name, ABSENT)))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name, ABSENT) != theirs.get(name, ABSENT)
    ]


def shown(value: Any) -> Any:
    """Members as JSON values, each blob as a placeholder that tells its length."""
    match value:
        case bytes():
            return _placeholder(value)
        case Mapping():
            return {name: shown(item) for name, item in value.items()}
        case list() | tuple():
            return [shown(item) for item in value]
    return value


def _placeholder(blob: bytes) -> str:
    return f"<base64 of {len(blob):,} bytes>"


def _text(value: Any) -> str:
    shortened = shown(value)
    return shortened if isinstance(shortened, str) else json.dumps(shortened)


def _leaves(request: Sent, value: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every member that is no object, by its path; the document by what it attests."""
    value = request.members if not path else value
    if path == _DOCUMENT:
        for name, attested in _attested(request).items():
            yield f"{path}.{name}", attested
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(request, item, f"{path}.{name}" if path else name)
    else:
        yield path, value


def _attested(request: Sent) -> dict[str, str]:
    """What the request's document attests, each as text; without what is null."""
    document = request.members["Recipient"]["AttestationDocument"]
    sign1 = cbor2.loads(document)
    # COSE_Sign1 is an array of four, with a tag or without (RFC 9052, 4.2); the payload is third.
    _, _, payload, _ = getattr(sign1, "value", sign1)
    attested = {
        name: value
        for name, value in cbor2.loads(payload).items()
        if value is not None and name not in _OF_EACH_DOCUMENT
    }
    return {
        name: key_form(value) if name == "public_key" else _plain(value)
        for name, value in attested.items()
    }


def _plain(value: Any) -> str:
    match value:
        case bytes():
            return value.hex()
        case Mapping():
            return json.dumps({str(name): _plain(item) for name, item in value.items()})
        case list():
            return json.dumps([_plain(item) for item in value])
    return str(value)


def key_form(key: bytes) -> str:
    """What a public key of a document is, in words."""
    size = f"{len(key)} bytes"
    try:
        public = (load_pem_public_key if key.startswith(b"-----") else load_der_public_key)(key)
    except ValueError:
        return f"no public key that can be read ({size})"
    kind = f"RSA-{public.key_size}" if isinstance(public, rsa.RSAPublicKey) else "no RSA"
    # The reader takes both forms of an RSA key for one, so that it is written again to compare.
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key == spki:
        return f"DER SubjectPublicKeyInfo, {kind} ({size})"
    if key.startswith(b"-----"):
        return f"PEM, {kind} ({size})"
    return f"DER PKCS#1 RSAPublicKey, {kind} ({size})"
