"""CiphertextForRecipient as enclaves meet it: what opens it, what cannot, what must be refused."""

from __future__ import annotations

import pytest

from scenarios.target import Capability, Key, Opened, Opener, Refused, Target

pytestmark = pytest.mark.needs(Capability.ENCLAVE)


@pytest.mark.reported("EphemeralML before 39014f5: raw RSA-OAEP on the whole blob")
def test_raw_rsa_oaep_does_not_open_it(target: Target, open_key: Key) -> None:
    """The blob is a CMS envelope around an AES key, not an RSA ciphertext."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = target.enclave().run("Decrypt", members, opener=Opener.RAW_RSA_OAEP)
    assert isinstance(answer, Refused), answer
    assert answer.reason == "unreadable-envelope"


@pytest.mark.reported("EnclaviaIO/enclavia before 5de5804: indefinite length disallowed")
def test_a_strict_der_parser_does_not_open_it(target: Target, open_key: Key) -> None:
    """KMS writes BER with indefinite lengths, which a DER parser refuses."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = target.enclave().run("Decrypt", members, opener=Opener.STRICT_DER)
    assert isinstance(answer, Refused), answer
    assert answer.reason == "unreadable-envelope"


@pytest.mark.reported("samples of the real service, 2020 to 2026: the outer bytes are 30 80")
def test_it_is_ber_with_indefinite_lengths(target: Target, open_key: Key) -> None:
    """The envelope begins as every sample of the real service does, and opens."""
    answer = target.enclave().run("Decrypt", {"CiphertextBlob": open_key.encrypt(b"secret")})
    assert isinstance(answer, Opened), answer
    envelope = answer.response["CiphertextForRecipient"]
    assert envelope[:17].hex() == "308006092a864886f70d010703a0803080"
    assert envelope.endswith(bytes(10))


@pytest.mark.inferred("AWS KMS Developer Guide: attested calls; EphemeralML refuses the fallback")
def test_a_plaintext_where_an_envelope_was_due_is_refused(target: Target, open_key: Key) -> None:
    """A call that lost its Recipient succeeds in clear; the enclave must not take the answer."""
    members = {"CiphertextBlob": open_key.encrypt(b"secret")}
    answer = target.enclave().run("Decrypt", members, send_recipient=False)
    assert isinstance(answer, Refused), answer
    assert answer.reason == "plaintext"
