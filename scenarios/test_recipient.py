"""Recipients that are incomplete or wrongly encoded, beyond the bugs of the field notes."""

from __future__ import annotations

import base64

import pytest

from scenarios.target import Capability, Key, KmsError, PublicKeyForm, Target

pytestmark = pytest.mark.needs(Capability.ENCLAVE)


def refused(answer: object, by: str) -> bool:
    """Whether it is a ValidationException whose real text nobody has published."""
    return isinstance(answer, KmsError) and answer.refused_by("ValidationException", by)


@pytest.mark.inferred("Recipient without KeyEncryptionAlgorithm: see bug 8.1")
def test_empty_recipient(target: Target, open_key: Key) -> None:
    """`Recipient={}`, which boto3 sends as it is, gets the text of bug 8.1."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret"), "Recipient": {}}
    assert target.kms.call("Decrypt", members) == KmsError(
        "ValidationException",
        "You must specify an encryption algorithm in this request.",
        400,
    )


@pytest.mark.inferred("RecipientRequest.md of aws-nitro-enclaves-sdk-c: Required: Yes")
def test_no_document(target: Target, open_key: Key) -> None:
    """Recipient without AttestationDocument is refused, not answered in clear."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = target.enclave().run("Decrypt", members, recipient={"AttestationDocument": None})
    assert refused(answer, by="recipient.attestation-document")


@pytest.mark.inferred("AWS's sample-mpc-app-using-aws-nitrotpm notes the trap; boto3 was run")
def test_base64_of_base64(target: Target, open_key: Key) -> None:
    """A document given as base64 text is encoded twice and is no document for KMS.

    So does boto3 with a str, and the AWS CLI with each form but `AttestationDocument@=fileb://`.
    """
    enclave = target.enclave()
    text = base64.b64encode(enclave.attest()).decode()
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = enclave.run("Decrypt", members, recipient={"AttestationDocument": text})
    assert refused(answer, by="document.structure")


@pytest.mark.inferred("RecipientRequest.md of aws-nitro-enclaves-sdk-c: DER; bug 8.3")
def test_pem_public_key(target: Target, open_key: Key) -> None:
    """The right key as PEM text is no public key for KMS."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = target.enclave().run("Decrypt", members, public_key=PublicKeyForm.PEM)
    assert refused(answer, by="public-key.encoding")


@pytest.mark.inferred("RecipientRequest.md of aws-nitro-enclaves-sdk-c: a RSA2048 key")
def test_elliptic_curve_public_key(target: Target, open_key: Key) -> None:
    """A P-256 key in the right encoding is refused: KMS encrypts with RSAES_OAEP."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = target.enclave().run("Decrypt", members, public_key=PublicKeyForm.EC_P256)
    assert refused(answer, by="public-key.algorithm")


@pytest.mark.inferred("AWS KMS API Reference, RecipientInfo: RSAES_OAEP_SHA_256 is the only value")
def test_unknown_key_encryption_algorithm(target: Target, open_key: Key) -> None:
    """Another KeyEncryptionAlgorithm, which boto3 lets through, is refused by its value."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_512"}
    answer = target.enclave().run("Decrypt", members, recipient=recipient)
    assert refused(answer, by="request.constraint")
