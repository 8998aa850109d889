"""What nobody has published about KMS with Recipient: asked, observed, and not asserted.

Each scenario sends what is in doubt and notes what came (`observe`); a run on real hardware turns
that into a record, to which the other targets are held from then on. The only thing that must
happen is that KMS answers. Most is asked four times: Decrypt and GenerateDataKey, each on a key
that anybody of the role may use and on one whose policy names another image, so that it is seen
which check comes first.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from scenarios.target import (
    Answer,
    Capability,
    Key,
    KmsError,
    MakeStatement,
    Observe,
    Opened,
    PublicKeyForm,
    RawAnswer,
    Result,
    Target,
)

pytestmark = pytest.mark.needs(Capability.ENCLAVE, Capability.POLICY_CHANGE)

Flipped = Callable[[bytes, int], bytes]
RecipientOf = Callable[[bytes], Mapping[str, Any]]

OPERATIONS = ("Decrypt", "GenerateDataKey")
PCR = "kms:RecipientAttestation:PCR"
OTHER_IMAGE = "11" * 48


@dataclass(slots=True)
class PreparedKey:
    """A key with a ciphertext under it."""

    key: Key
    blob: bytes

    def members(self, operation: str) -> dict[str, Any]:
        """A request that succeeds where the policy lets it, without Recipient."""
        if operation == "Decrypt":
            return {"CiphertextBlob": self.blob}
        return {"KeyId": self.key.arn, "KeySpec": "AES_256"}


@pytest.fixture(scope="module")
def kept() -> dict[str, PreparedKey]:
    """The keys of this module: a key is a key, and each costs money on AWS."""
    return {}


@pytest.fixture
def prepared(
    target: Target, statement: MakeStatement, kept: dict[str, PreparedKey]
) -> Callable[[str], PreparedKey]:
    """The key of a name: `open`, `other-image` or `disabled`."""

    def get(name: str) -> PreparedKey:
        if name not in kept:
            condition = {"StringEquals": {f"{PCR}0": OTHER_IMAGE}}
            statements = [statement(condition=condition if name == "other-image" else None)]
            if name == "disabled":
                # A policy of its own, so that nobody else has this key.
                statements.append(statement(actions=("kms:DescribeKey",)))
            key = target.key(statements)
            kept[name] = PreparedKey(key, key.encrypt(b"secret"))
            if name == "disabled":
                key.disable()
        return kept[name]

    return get


Prepared = Callable[[str], PreparedKey]


def answered(answer: Answer) -> None:
    """KMS answered, whatever it said."""
    assert not isinstance(answer, RawAnswer) or answer.http_status in {200, 400}, answer
    assert isinstance(answer, RawAnswer | Result | Opened | KmsError), answer


class Ask:
    """The parent sends a Recipient of its making, and what comes is observed."""

    def __init__(self, target: Target, observe: Observe, prepared: Prepared) -> None:
        self._target = target
        self._observe = observe
        self._prepared = prepared

    def __call__(
        self,
        name: str,
        recipient: Mapping[str, Any] | None,
        *,
        rules: tuple[str, ...],
        keys: tuple[str, ...] = ("open", "other-image"),
        operations: tuple[str, ...] = OPERATIONS,
        **more: Any,
    ) -> None:
        """Ask each operation with each key; `more` are further members of the request."""
        extra = {**more} if recipient is None else {**more, "Recipient": recipient}
        for key in keys:
            for operation in operations:
                members = {**self._prepared(key).members(operation), **extra}
                answer = self._target.kms.raw(operation, members)
                answered(answer)
                self._observe(f"{operation}, {key} key: {name}", answer, rules=rules)


@pytest.fixture
def ask(target: Target, observe: Observe, prepared: Prepared) -> Ask:
    """Sends and observes."""
    return Ask(target, observe, prepared)


@pytest.fixture
def bad_documents(target: Target, flipped: Flipped) -> Mapping[str, bytes]:
    """Documents that are damaged, by what was done to them."""
    document = target.enclave().attest()
    inside_pcr0 = document.index(bytes.fromhex(target.enclave().pcrs[0]))
    return {
        "base64 of base64": base64.b64encode(document),
        "truncated CBOR": document[: len(document) // 2],
        "bit flip in the payload": flipped(document, inside_pcr0),
        "bit flip in the signature": flipped(document, -1),
        # The first is in the name of the signing certificate's issuer.
        "bit flip in the certificate": flipped(document, document.index(b"Seattle")),
    }


@pytest.mark.inferred("aws-nitro-enclaves-sdk-c, RecipientRequest.md: both Required: Yes; no texts")
def test_recipient_without_its_members(target: Target, ask: Ask, recipient_of: RecipientOf) -> None:
    """Which text and type a Recipient gets that is empty, or lacks its document, or its algorithm.

    The API's model requires neither member, so each client is told only by KMS what it forgot.
    """
    complete = recipient_of(target.enclave().attest())
    algorithm = {"KeyEncryptionAlgorithm": complete["KeyEncryptionAlgorithm"]}
    no_algorithm = ("recipient.key-encryption-algorithm",)
    no_document = ("recipient.attestation-document",)
    ask("empty Recipient", {}, rules=(*no_algorithm, *no_document))
    ask("no document", algorithm, rules=no_document)
    ask("empty document", {**algorithm, "AttestationDocument": b""}, rules=("request.constraint",))
    document = {"AttestationDocument": complete["AttestationDocument"]}
    ask("no algorithm", document, rules=no_algorithm)


@pytest.mark.inferred("commits behind the field notes contradict the notes' own explanation")
def test_which_missing_member_gives_the_text_of_bug_8_1(
    target: Target, observe: Observe, prepared: Prepared, recipient_of: RecipientOf
) -> None:
    """Which of the two algorithms KMS misses when it says that one must be specified.

    The field notes blame EncryptionAlgorithm; their commits point to KeyEncryptionAlgorithm.
    """
    complete = recipient_of(target.enclave().attest())
    document = {"AttestationDocument": complete["AttestationDocument"]}
    rules = ("recipient.encryption-algorithm", "recipient.key-encryption-algorithm")
    members = prepared("open").members("Decrypt")
    both = {**members, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    for name, request in {
        "both algorithms": {**both, "Recipient": complete},
        "no EncryptionAlgorithm": {**members, "Recipient": complete},
        "no KeyEncryptionAlgorithm": {**both, "Recipient": document},
        "neither algorithm": {**members, "Recipient": document},
    }.items():
        answer = target.kms.raw("Decrypt", request)
        answered(answer)
        observe(name, answer, rules=rules)


@pytest.mark.inferred("EphemeralML audit: ValidationException for random bytes; no text published")
def test_documents_that_are_none(
    target: Target, ask: Ask, recipient_of: RecipientOf, bad_documents: Mapping[str, bytes]
) -> None:
    """Which text a document gets that is base64 twice, cut short, or tagged as COSE_Sign1.

    The first is what an SDK makes of base64 text, the third what RFC 9052 allows beside today's
    untagged form. Whoever meets the text should find it by searching.
    """
    rules = ("document.structure",)
    for name in ("base64 of base64", "truncated CBOR"):
        ask(name, recipient_of(bad_documents[name]), rules=rules)
    ask("CBOR tag 18", recipient_of(b"\xd2" + target.enclave().attest()), rules=rules)


@pytest.mark.inferred("EphemeralML audit: ValidationException for one flipped byte; no text")
def test_damaged_documents(
    ask: Ask, recipient_of: RecipientOf, bad_documents: Mapping[str, bytes]
) -> None:
    """Whether KMS tells a broken signature from a broken certificate, and before the policy.

    If the texts differ, they tell which part a bad proxy has touched.
    """
    for part, rule in {
        "payload": "document.signature",
        "signature": "document.signature",
        "certificate": "document.chain",
    }.items():
        name = f"bit flip in the {part}"
        ask(name, recipient_of(bad_documents[name]), rules=(rule,))


@pytest.mark.needs(Capability.FOREIGN_DOCUMENT)
@pytest.mark.inferred("AWS KMS Developer Guide: you cannot supply your own certificate to sign")
def test_a_document_under_a_foreign_root(
    target: Target, ask: Ask, recipient_of: RecipientOf
) -> None:
    """Which text a perfect document of somebody else gets: what every test on real KMS would see.

    Whoever sends a simulator's document to AWS by mistake should know it from the text.
    """
    foreign = target.foreign_document(pcrs=target.enclave().pcrs)
    ask("foreign root", recipient_of(foreign), rules=("document.root",))


@pytest.mark.needs(Capability.PASS_MINUTES)
@pytest.mark.inferred("zama-ai/kms and bountynet: not older than five minutes; no text published")
def test_how_old_a_document_may_be(target: Target, ask: Ask, recipient_of: RecipientOf) -> None:
    """Whether KMS takes a document of 4:50 and refuses one of 5:10, and with which text.

    Programs that attest once and keep the document fail after that time, and not before.
    """
    recipient = recipient_of(target.enclave().attest())
    target.pass_time(290)
    ask("4:50 old", recipient, rules=("document.age",))
    target.pass_time(20)
    ask("5:10 old", recipient, rules=("document.age",))


@pytest.mark.inferred(
    "clients of 2020 to 2022 sent RSAES_OAEP_SHA_1; today's model has SHA_256 only"
)
def test_other_key_encryption_algorithms(
    target: Target, ask: Ask, recipient_of: RecipientOf
) -> None:
    """Whether KMS still takes the SHA-1 of old clients, and how it refuses a value it never had."""
    recipient = recipient_of(target.enclave().attest())
    for value in ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_512", ""):
        other = {**recipient, "KeyEncryptionAlgorithm": value}
        ask(f"algorithm {value!r}", other, rules=("request.constraint",))


@pytest.mark.inferred("field notes, bugs 8.2 and 8.3: texts for two of them, on an open key only")
def test_public_keys_of_other_forms(target: Target, ask: Ask, recipient_of: RecipientOf) -> None:
    """Whether PEM and a P-256 key get the text of PKCS#1, and whether all come before the policy.

    `Invalid public key` sends people to the encoding; for a key that is not RSA it would mislead.
    """
    for form, rule in {
        PublicKeyForm.ABSENT: "public-key.missing",
        PublicKeyForm.PKCS1: "public-key.encoding",
        PublicKeyForm.PEM: "public-key.encoding",
        PublicKeyForm.EC_P256: "public-key.algorithm",
    }.items():
        document = target.enclave().attest(public_key=form)
        ask(f"public key {form.value}", recipient_of(document), rules=(rule,))


@pytest.mark.inferred("RecipientRequest.md says RSA2048; the C SDK's enum has 3072 and 4096")
def test_public_keys_of_other_sizes(target: Target, observe: Observe, prepared: Prepared) -> None:
    """Whether KMS encrypts to RSA keys of 1024, 3072 and 4096 bits, and the enclave can open it."""
    enclave = target.enclave()
    for form in (PublicKeyForm.RSA_1024, PublicKeyForm.RSA_3072, PublicKeyForm.RSA_4096):
        for key in ("open", "other-image"):
            for operation in OPERATIONS:
                members = prepared(key).members(operation)
                answer = enclave.run(operation, members, public_key=form)
                answered(answer)
                name = f"{operation}, {key} key: public key {form.value}"
                observe(name, answer, rules=("public-key.size",))


@pytest.mark.inferred("AWS KMS API Reference names the exceptions; no text tells their order")
def test_a_disabled_key_or_a_bad_document(
    target: Target, ask: Ask, recipient_of: RecipientOf, bad_documents: Mapping[str, bytes]
) -> None:
    """Which is told first: that the key is disabled, or that the document is bad.

    An operator who is told of the document looks at the enclave, and not at the key.
    """
    rules = ("key.disabled",)
    ask("good document", recipient_of(target.enclave().attest()), rules=rules, keys=("disabled",))
    ask("no Recipient", None, rules=rules, keys=("disabled",))
    for name, document in bad_documents.items():
        ask(name, recipient_of(document), rules=rules, keys=("disabled",))


@pytest.mark.inferred(
    "AWS-validated snapshots of LocalStack know InvalidCiphertext, without Recipient"
)
def test_a_wrong_ciphertext_or_a_bad_document(
    target: Target, ask: Ask, recipient_of: RecipientOf, bad_documents: Mapping[str, bytes]
) -> None:
    """Which is told first: that the ciphertext is none, or that the document is bad."""
    documents = {"good document": target.enclave().attest(), **bad_documents}
    for name, document in documents.items():
        ask(
            f"{name}, wrong ciphertext",
            recipient_of(document),
            rules=("ciphertext.unparsable", "ciphertext.decryption"),
            operations=("Decrypt",),
            CiphertextBlob=b"no ciphertext of KMS",
        )
        ask(
            f"{name}, wrong encryption context",
            recipient_of(document),
            rules=("ciphertext.decryption",),
            operations=("Decrypt",),
            EncryptionContext={"tenant": "another"},
        )


@pytest.mark.inferred("AWS KMS Developer Guide, DryRun; nothing says what it does with Recipient")
def test_dry_run(
    target: Target, ask: Ask, recipient_of: RecipientOf, bad_documents: Mapping[str, bytes]
) -> None:
    """Whether DryRun looks at the document, and at the policy's condition on it.

    If it does, a deployment can test its policy without any secret.
    """
    rules = ("request.dry-run",)
    ask("no Recipient", None, rules=rules, DryRun=True)
    ask("good document", recipient_of(target.enclave().attest()), rules=rules, DryRun=True)
    for name, document in bad_documents.items():
        ask(name, recipient_of(document), rules=rules, DryRun=True)


def observed_under(
    target: Target, observe: Observe, key: Key, name: str, rules: tuple[str, ...]
) -> None:
    """What the enclave gets with a good document on this key, by both operations."""
    prepared = PreparedKey(key, key.encrypt(b"secret"))
    for operation in OPERATIONS:
        answer = target.enclave().run(operation, prepared.members(operation))
        answered(answer)
        observe(f"{operation}: {name}", answer, rules=rules)


@pytest.mark.inferred(
    "AWS KMS Developer Guide: lower-case hexadecimal; its examples use IgnoreCase"
)
def test_upper_case_measurements_with_string_equals(
    target: Target, statement: MakeStatement, observe: Observe
) -> None:
    """Whether KMS compares a measurement in upper case as text, so that StringEquals never matches.

    Tools print SHA-384 in either case, and a policy that never matches locks its enclave out.
    """
    upper = target.enclave().pcrs[0].upper()
    key = target.key([statement(condition={"StringEquals": {f"{PCR}0": upper}})])
    observed_under(target, observe, key, "upper case", ("authorization.key-policy",))


@pytest.mark.inferred("the recipe for debug mode: zeros of PCR0 are there; nothing on the others")
def test_which_unused_pcrs_are_condition_keys(
    target: Target, statement: MakeStatement, observe: Observe
) -> None:
    """Whether PCR5 and PCR16, which nothing extends, exist for a policy: Null false lets in.

    A document carries PCR0 to PCR15 with zeros; a Deny on Null depends on which of them count.
    """
    for index in (5, 16):
        key = target.key([statement(condition={"Null": {f"{PCR}{index}": "false"}})])
        name = f"PCR{index} is not null"
        observed_under(target, observe, key, name, ("authorization.key-policy",))


@pytest.mark.inferred(
    "BouncyCastle cuts content into 1000 bytes; no such sample of KMS is published"
)
def test_how_long_plaintexts_are_enveloped(
    target: Target, observe: Observe, prepared: Prepared
) -> None:
    """Whether the envelope's content comes in pieces from 992 bytes on, padded to 1008.

    Parsers that take one OCTET STRING fail there, and only there. The envelope's length tells.
    """
    enclave = target.enclave()
    key = prepared("open").key
    for size in (983, 991, 992, 999, 1000, 1007, 1008, 1024, 1025):
        answer = enclave.run("Decrypt", {"CiphertextBlob": key.encrypt(bytes(size))})
        answered(answer)
        observe(f"Decrypt: {size} bytes", answer)
    for size in (991, 992, 1024):
        members = {"KeyId": key.arn, "NumberOfBytes": size}
        answer = enclave.run("GenerateDataKey", members)
        answered(answer)
        observe(f"GenerateDataKey: {size} bytes", answer)


@pytest.mark.inferred("AWS KMS API Reference: Plaintext is null or empty; the C SDK: eliminated")
def test_whether_plaintext_is_absent_null_or_empty(
    target: Target, ask: Ask, recipient_of: RecipientOf
) -> None:
    """What stands where Plaintext was, in the JSON itself: SDKs make the three the same.

    A client that looks for the name, or for null, takes the wrong one of them for a leak.
    """
    ask("good document", recipient_of(target.enclave().attest()), rules=())
    ask("no Recipient", None, rules=("authorization.key-policy",))


def wrong_members(good: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Changes of a request whose Recipient is `good`, by what is wrong with each."""
    document = good["AttestationDocument"]
    recipients: Mapping[str, object] = {
        "Recipient is text": document,
        "Recipient is a list": [good],
        "Recipient is null": None,
        "AttestationDocument is a number": {**good, "AttestationDocument": 1},
        "AttestationDocument is no base64": {**good, "AttestationDocument": "*"},
        "AttestationDocument is null": {**good, "AttestationDocument": None},
        "KeyEncryptionAlgorithm is a number": {**good, "KeyEncryptionAlgorithm": 256},
        "unknown member of Recipient": {**good, "attestationDocument": document},
    }
    return {
        **{name: {"Recipient": recipient} for name, recipient in recipients.items()},
        "GrantTokens is text": {"GrantTokens": "token"},
        "DryRun is text": {"DryRun": "true"},
    }


@pytest.mark.inferred(
    "json 1.1 protocol of AWS services: SerializationException; no text published"
)
def test_what_is_no_request(target: Target, observe: Observe, prepared: Prepared) -> None:
    """Which text a client without an SDK gets for members of a wrong type, or an unknown one."""
    document = base64.b64encode(target.enclave().attest()).decode()
    good = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}
    blob = base64.b64encode(prepared("open").blob).decode()
    decrypt = {"CiphertextBlob": blob, "Recipient": good}
    generate = {"KeyId": prepared("open").key.arn, "KeySpec": "AES_256", "Recipient": good}
    for operation, request in (("Decrypt", decrypt), ("GenerateDataKey", generate)):
        for name, change in wrong_members(good).items():
            answer = target.kms.send(operation, {**request, **change})
            answered(answer)
            observe(f"{operation}: {name}", answer, rules=("request.member-type",))
