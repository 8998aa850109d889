"""The bugs of the field notes that KMS answers, by their numbers: symptom, true cause, fix."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scenarios.target import (
    Capability,
    Key,
    KmsError,
    NotSent,
    Opened,
    PublicKeyForm,
    Result,
    Target,
)

pytestmark = pytest.mark.needs(Capability.ENCLAVE)

NO_ALGORITHM = "You must specify an encryption algorithm in this request."
NO_PUBLIC_KEY = "You must specify a recipient public key in this request."
BAD_PUBLIC_KEY = "Invalid public key"
NO_SIZE = "Please specify either number of bytes or key spec."


def validation_error(message: str) -> KmsError:
    """A ValidationException with exactly this text."""
    return KmsError("ValidationException", message, 400)


@pytest.mark.documented("AWS KMS API Reference, Decrypt: Recipient is a RecipientInfo object")
def test_bug_6_recipient_as_a_blob_does_not_leave_the_sdk(
    target: Target, open_key: Key, recipient_of: Callable[[bytes], Mapping[str, Any]]
) -> None:
    """The document itself as Recipient is refused by boto3, as Rust refuses to compile it.

    What goes in is a RecipientInfo that holds the document and KeyEncryptionAlgorithm.
    """
    document = target.enclave().attest()
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    with pytest.raises(NotSent, match=r"Invalid type for parameter Recipient.*<class 'dict'>"):
        target.kms.call("Decrypt", {**members, "Recipient": document})
    fixed = target.kms.call("Decrypt", {**members, "Recipient": recipient_of(document)})
    assert isinstance(fixed, Result)
    assert "CiphertextForRecipient" in fixed.members


@pytest.mark.inferred("json 1.1 protocol of AWS services; no run on real KMS is published")
def test_bug_6_recipient_as_a_blob_on_the_wire(target: Target, open_key: Key) -> None:
    """A client without an SDK's checks that sends the document itself does not get through."""
    members = {
        "CiphertextBlob": base64.b64encode(open_key.encrypt(b"secret")).decode(),
        "Recipient": base64.b64encode(target.enclave().attest()).decode(),
    }
    answer = target.kms.send("Decrypt", members)
    assert isinstance(answer, KmsError)
    assert answer.refused_by("SerializationException", "request.member-type")


@pytest.mark.reported("field notes, bug 7")
def test_bug_7_data_key_without_size(target: Target, open_key: Key) -> None:
    """GenerateDataKey with neither KeySpec nor NumberOfBytes is refused; either one fixes it."""
    enclave = target.enclave()
    bare = {"KeyId": open_key.arn}
    assert enclave.run("GenerateDataKey", bare) == validation_error(NO_SIZE)
    by_spec = enclave.run("GenerateDataKey", {**bare, "KeySpec": "AES_128"})
    assert isinstance(by_spec, Opened), by_spec
    assert len(by_spec.plaintext) == 16
    by_number = enclave.run("GenerateDataKey", {**bare, "NumberOfBytes": 24})
    assert isinstance(by_number, Opened), by_number
    assert len(by_number.plaintext) == 24


@pytest.mark.inferred("moto; the field notes saw the text for neither")
def test_bug_7_data_key_with_both_sizes(target: Target, open_key: Key) -> None:
    """GenerateDataKey with both KeySpec and NumberOfBytes gets the same text."""
    members = {"KeyId": open_key.arn, "KeySpec": "AES_256", "NumberOfBytes": 32}
    assert target.enclave().run("GenerateDataKey", members) == validation_error(NO_SIZE)


@pytest.mark.inferred("commits behind the field notes; the notes blame EncryptionAlgorithm")
def test_bug_8_1_no_key_encryption_algorithm(target: Target, open_key: Key) -> None:
    """Recipient without KeyEncryptionAlgorithm gets the text of bug 8.1.

    Setting EncryptionAlgorithm, the fix that the notes tell, does not help.
    """
    enclave = target.enclave()
    members: dict[str, Any] = {"CiphertextBlob": open_key.encrypt(b"secret")}
    without = {"KeyEncryptionAlgorithm": None}
    assert enclave.run("Decrypt", members, recipient=without) == validation_error(NO_ALGORITHM)
    members["EncryptionAlgorithm"] = "SYMMETRIC_DEFAULT"
    assert enclave.run("Decrypt", members, recipient=without) == validation_error(NO_ALGORITHM)
    assert isinstance(enclave.run("Decrypt", members), Opened)


@pytest.mark.reported("yawn/ned README, a run on real KMS; AWS KMS API Reference, Decrypt")
def test_bug_8_1_encryption_algorithm_is_optional(target: Target, open_key: Key) -> None:
    """Decrypt with a complete Recipient and without EncryptionAlgorithm succeeds."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    assert isinstance(target.enclave().run("Decrypt", members), Opened)


@pytest.mark.needs(Capability.RULE_SETS)
@pytest.mark.inferred("field notes, bug 8.1, as they explain it; their commits contradict it")
def test_bug_8_1_as_the_field_notes_tell_it(target: Target, open_key: Key) -> None:
    """Under the rule set `field-notes` Decrypt with Recipient needs both algorithms."""
    enclave = target.enclave()
    members: dict[str, Any] = {"CiphertextBlob": open_key.encrypt(b"secret")}
    with target.rule_set("field-notes"):
        assert enclave.run("Decrypt", members) == validation_error(NO_ALGORITHM)
        members["EncryptionAlgorithm"] = "SYMMETRIC_DEFAULT"
        without = {"KeyEncryptionAlgorithm": None}
        assert enclave.run("Decrypt", members, recipient=without) == validation_error(NO_ALGORITHM)
        assert isinstance(enclave.run("Decrypt", members), Opened)


@pytest.mark.reported("field notes, bug 8.2")
def test_bug_8_2_no_public_key(target: Target, open_key: Key) -> None:
    """A document without a public key is refused; the NSM had signed it without complaint."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = target.enclave().run("Decrypt", members, public_key=PublicKeyForm.ABSENT)
    assert answer == validation_error(NO_PUBLIC_KEY)


@pytest.mark.reported("field notes, bug 8.3")
def test_bug_8_3_pkcs1_public_key(target: Target, open_key: Key) -> None:
    """The right key in PKCS#1 instead of SubjectPublicKeyInfo is refused; SPKI succeeds."""
    enclave = target.enclave()
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = enclave.run("Decrypt", members, public_key=PublicKeyForm.PKCS1)
    assert answer == validation_error(BAD_PUBLIC_KEY)
    assert isinstance(enclave.run("Decrypt", members, public_key=PublicKeyForm.SPKI), Opened)


@pytest.mark.reported("field notes, bug 8: each change advanced us to the next layer")
def test_bug_8_each_fix_advances_to_the_next_error(target: Target, open_key: Key) -> None:
    """The evening of the field notes, in order: three errors, one fix each, then the secret."""
    enclave = target.enclave()
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    first = enclave.run(
        "Decrypt",
        members,
        recipient={"KeyEncryptionAlgorithm": None},
        public_key=PublicKeyForm.ABSENT,
    )
    second = enclave.run("Decrypt", members, public_key=PublicKeyForm.ABSENT)
    third = enclave.run("Decrypt", members, public_key=PublicKeyForm.PKCS1)
    last = enclave.run("Decrypt", members, public_key=PublicKeyForm.SPKI)
    assert [first, second, third] == [
        validation_error(NO_ALGORITHM),
        validation_error(NO_PUBLIC_KEY),
        validation_error(BAD_PUBLIC_KEY),
    ]
    assert isinstance(last, Opened), last
    assert last.plaintext == b"secret"


@pytest.mark.inferred("field notes, bug 8, for the other operation; the rules are the same")
def test_bug_8_generate_data_key_meets_the_same_errors(target: Target, open_key: Key) -> None:
    """GenerateDataKey refuses the same three mistakes with the same texts."""
    enclave = target.enclave()
    members = {"KeyId": open_key.arn, "KeySpec": "AES_256"}
    without = {"KeyEncryptionAlgorithm": None}
    answers = [
        enclave.run("GenerateDataKey", members, recipient=without),
        enclave.run("GenerateDataKey", members, public_key=PublicKeyForm.ABSENT),
        enclave.run("GenerateDataKey", members, public_key=PublicKeyForm.PKCS1),
    ]
    texts = (NO_ALGORITHM, NO_PUBLIC_KEY, BAD_PUBLIC_KEY)
    assert answers == [validation_error(text) for text in texts]
