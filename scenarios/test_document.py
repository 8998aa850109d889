"""Documents that KMS must not believe: damaged, foreign, or too old."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scenarios.target import Capability, Key, KmsError, Result, Target

pytestmark = pytest.mark.needs(Capability.ENCLAVE)

Flipped = Callable[[bytes, int], bytes]
RecipientOf = Callable[[bytes], Mapping[str, Any]]


@pytest.fixture
def decrypt(
    target: Target, attested_key: Key, recipient_of: RecipientOf
) -> Callable[[bytes], Result | KmsError]:
    """The parent sends Decrypt with a document of its choice."""
    blob = attested_key.encrypt(b"secret")

    def send(document: bytes) -> Result | KmsError:
        members = {"CiphertextBlob": blob, "Recipient": recipient_of(document)}
        return target.kms.call("Decrypt", members)

    return send


Decrypt = Callable[[bytes], Result | KmsError]


def refused(answer: Result | KmsError, by: str) -> bool:
    """Whether it is the error of a document that KMS does not believe; its text is unknown."""
    return isinstance(answer, KmsError) and answer.refused_by("ValidationException", by)


@pytest.mark.reported("EphemeralML audit: random bytes as document")
def test_random_bytes(decrypt: Decrypt) -> None:
    """Random bytes are a validation error, although the key's policy would deny them anyway."""
    assert refused(decrypt(os.urandom(4096)), by="document.structure")


@pytest.mark.reported("EphemeralML audit: one byte flipped")
def test_flipped_byte_in_the_payload(target: Target, decrypt: Decrypt, flipped: Flipped) -> None:
    """One changed byte of the payload and the signature no longer holds."""
    enclave = target.enclave()
    document = enclave.attest()
    assert isinstance(decrypt(document), Result)
    inside_pcr0 = document.index(bytes.fromhex(enclave.pcrs[0]))
    assert refused(decrypt(flipped(document, inside_pcr0)), by="document.signature")


@pytest.mark.inferred("EphemeralML audit: one byte flipped; the signature covers the payload")
def test_flipped_byte_in_the_signature(target: Target, decrypt: Decrypt, flipped: Flipped) -> None:
    """One changed byte of the signature itself."""
    assert refused(decrypt(flipped(target.enclave().attest(), -1)), by="document.signature")


@pytest.mark.inferred("EphemeralML audit: one byte flipped; attestation_process.md 3.2.3")
def test_flipped_byte_in_the_certificate(
    target: Target, decrypt: Decrypt, flipped: Flipped
) -> None:
    """One changed byte of the signing certificate."""
    document = target.enclave().attest()
    inside = document.index(b"Seattle")  # The first is in the name of the certificate's issuer.
    assert refused(decrypt(flipped(document, inside)), by="document.chain")


@pytest.mark.needs(Capability.FOREIGN_DOCUMENT)
@pytest.mark.inferred("AWS KMS Developer Guide: you cannot supply your own certificate to sign")
def test_foreign_chain(target: Target, decrypt: Decrypt) -> None:
    """A document as good as the enclave's, with its PCRs, signed under somebody else's root."""
    assert refused(decrypt(target.foreign_document(pcrs=target.enclave().pcrs)), by="document.root")


@pytest.mark.needs(Capability.PASS_MINUTES)
@pytest.mark.inferred("zama-ai/kms and bountynet: not older than five minutes")
def test_four_minutes_and_fifty_seconds_old(target: Target, decrypt: Decrypt) -> None:
    """A document of 4:50 is still taken."""
    document = target.enclave().attest()
    target.pass_time(290)
    assert isinstance(decrypt(document), Result)


@pytest.mark.needs(Capability.PASS_MINUTES)
@pytest.mark.inferred("zama-ai/kms and bountynet: not older than five minutes")
def test_five_minutes_and_ten_seconds_old(target: Target, decrypt: Decrypt) -> None:
    """A document of 5:10 is refused; a fresh one of the same enclave is taken."""
    document = target.enclave().attest()
    target.pass_time(310)
    assert refused(decrypt(document), by="document.age")
    assert isinstance(decrypt(target.enclave().attest()), Result)


@pytest.mark.needs(Capability.PASS_HOURS)
@pytest.mark.inferred("attestation_process.md 3.2.3: certificates valid at the time of the check")
def test_refused_after_its_certificate_expired(target: Target, decrypt: Decrypt) -> None:
    """A document that succeeded is refused when its signer's three hours are over.

    Whoever remembers the chain as good must look at its dates again. (It is too old by then as
    well; only a target that tells its rules shows which of the two stopped it.) The enclave then
    gets a new certificate without being asked.
    """
    document = target.enclave().attest()
    assert isinstance(decrypt(document), Result)
    target.pass_time(4 * 3600)
    assert refused(decrypt(document), by="document.validity")
    assert isinstance(decrypt(target.enclave().attest()), Result)
