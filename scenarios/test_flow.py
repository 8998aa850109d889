"""The flow that works: attest, call KMS through the host proxy, open the envelope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scenarios.target import Capability, Key, KmsError, Opened, Result, Target

pytestmark = pytest.mark.needs(Capability.ENCLAVE)

RecipientOf = Callable[[bytes], Mapping[str, Any]]


@pytest.mark.reported("field notes, final outcome; EphemeralML audit: right PCR0, valid document")
def test_decrypt_opens_in_the_enclave(target: Target, attested_key: Key) -> None:
    """The enclave decrypts through the proxy and opens CiphertextForRecipient itself."""
    blob = attested_key.encrypt(b"a secret for one enclave")
    answer = target.enclave().run("Decrypt", {"CiphertextBlob": blob})
    assert isinstance(answer, Opened), answer
    assert answer.plaintext == b"a secret for one enclave"
    assert answer.response["KeyId"] == attested_key.arn
    assert answer.response["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"


@pytest.mark.reported("EphemeralML audit: GenerateDataKey with right PCR0, valid document")
def test_generate_data_key_opens_in_the_enclave(target: Target, attested_key: Key) -> None:
    """The enclave asks for a data key, opens it, and can decrypt its CiphertextBlob later."""
    members = {"KeyId": attested_key.arn, "KeySpec": "AES_256"}
    made = target.enclave().run("GenerateDataKey", members)
    assert isinstance(made, Opened), made
    assert len(made.plaintext) == 32
    again = target.enclave().run("Decrypt", {"CiphertextBlob": made.response["CiphertextBlob"]})
    assert isinstance(again, Opened), again
    assert again.plaintext == made.plaintext


@pytest.mark.documented("AWS KMS API Reference, Decrypt: Plaintext is null or empty, KeyMaterialId")
def test_the_parent_sees_no_plaintext(target: Target, attested_key: Key) -> None:
    """What the proxy passes on holds neither Plaintext nor KeyMaterialId."""
    blob = attested_key.encrypt(b"secret")
    answer = target.enclave().run("Decrypt", {"CiphertextBlob": blob})
    assert isinstance(answer, Opened), answer
    assert not answer.response.get("Plaintext")
    assert "KeyMaterialId" not in answer.response


@pytest.mark.documented("AWS KMS API Reference, Decrypt: EncryptionContext")
def test_the_encryption_context_must_be_the_same(target: Target, attested_key: Key) -> None:
    """With another encryption context the same attested call is an invalid ciphertext."""
    blob = attested_key.encrypt(b"secret", {"tenant": "a"})
    enclave = target.enclave()
    same = enclave.run("Decrypt", {"CiphertextBlob": blob, "EncryptionContext": {"tenant": "a"}})
    assert isinstance(same, Opened), same
    other = enclave.run("Decrypt", {"CiphertextBlob": blob, "EncryptionContext": {"tenant": "b"}})
    assert other == KmsError("InvalidCiphertextException", "", 400)


@pytest.mark.reported("EphemeralML audit: the same document again, seconds later")
def test_a_document_can_be_used_again_within_its_window(
    target: Target, attested_key: Key, recipient_of: RecipientOf
) -> None:
    """The parent sends one document twice: KMS has no replay check, both calls succeed."""
    recipient = recipient_of(target.enclave().attest())
    members = {"CiphertextBlob": attested_key.encrypt(b"secret"), "Recipient": recipient}
    for _ in range(2):
        answer = target.kms.call("Decrypt", members)
        assert isinstance(answer, Result), answer
        assert answer.members["CiphertextForRecipient"]


@pytest.mark.documented("EC2 User Guide, NitroTPM: nonce and user data are not used by AWS KMS")
def test_user_data_and_nonce_do_not_matter(
    target: Target, attested_key: Key, recipient_of: RecipientOf
) -> None:
    """A document with user data and nonce is as good as one without."""
    document = target.enclave().attest(user_data=b"user data", nonce=b"nonce")
    blob = attested_key.encrypt(b"secret")
    members = {"CiphertextBlob": blob, "Recipient": recipient_of(document)}
    assert isinstance(target.kms.call("Decrypt", members), Result)


@pytest.mark.documented("AWS KMS API Reference, Decrypt: without Recipient")
def test_without_recipient_the_caller_gets_the_plaintext(target: Target, open_key: Key) -> None:
    """On a key without conditions the parent itself can decrypt: nothing attested protects it."""
    answer = target.kms.call("Decrypt", {"CiphertextBlob": open_key.encrypt(b"secret")})
    assert isinstance(answer, Result), answer
    assert answer.members["Plaintext"] == b"secret"
    assert "CiphertextForRecipient" not in answer.members
