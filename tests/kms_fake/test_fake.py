"""What KMS answers: members of responses, settings, states and names of keys, callers' policies."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from moto.kms.models import kms_backends

from kms_fake import ContentForm, KmsRefusal, PlaintextForm
from kms_fake.beside import check_key_policy, refuse_recipient
from kms_fake.request_model import request_shape
from kms_fake.shapes import SHAPES, Kind, Operation
from scenarios.workload.envelope import ContentForm as ReadForm
from scenarios.workload.envelope import open_cms, parse
from tests.kms_fake.world import (
    PCR0,
    PCRS,
    ROOT_PRINCIPAL,
    Document,
    caller,
    fake,
    moto_key,
    pkcs1,
    policy,
    rsa_key,
    sealed,
    spki,
    statement,
)

# RSA-512 as SubjectPublicKeyInfo, which cryptography reads and no longer makes.
SMALL_RSA = bytes.fromhex(
    "305c300d06092a864886f70d0101010500034b003048024100c0ffee" + "5a" * 60 + "01" + "0203010001"
)

ACCOUNT = "123456789012"
REGION = "us-east-1"


def arn(key_id: str) -> str:
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key_id}"


def recipient(**arguments: Any) -> dict[str, Any]:
    document = Document(**arguments).build()
    return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}


def refused(operation: str, members: object, **options: Any) -> KmsRefusal:
    settings = options.pop("settings", {})
    with pytest.raises(KmsRefusal) as caught:
        fake(**settings).call(operation, members, **options)
    return caught.value


def test_decrypt_with_recipient() -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient()}
    answer = fake().call("Decrypt", members)
    assert set(answer) == {"KeyId", "EncryptionAlgorithm", "CiphertextForRecipient"}
    assert answer["KeyId"] == arn(moto_key())
    assert answer["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert open_cms(answer["CiphertextForRecipient"], rsa_key()) == b"secret"


def test_decrypt_without_recipient() -> None:
    answer = fake().call("Decrypt", {"CiphertextBlob": sealed(moto_key())})
    assert set(answer) == {"KeyId", "EncryptionAlgorithm", "Plaintext", "KeyMaterialId"}
    assert answer["Plaintext"] == b"secret"
    assert len(bytes.fromhex(answer["KeyMaterialId"])) == 32


@pytest.mark.parametrize(
    ("size", "length"),
    [({"KeySpec": "AES_128"}, 16), ({"KeySpec": "AES_256"}, 32), ({"NumberOfBytes": 1024}, 1024)],
)
def test_generate_data_key(size: dict[str, Any], length: int) -> None:
    clear = fake().call("GenerateDataKey", {"KeyId": moto_key(), **size})
    assert set(clear) == {"KeyId", "CiphertextBlob", "Plaintext", "KeyMaterialId"}
    assert len(clear["Plaintext"]) == length
    attested = {"KeyId": moto_key(), **size, "Recipient": recipient()}
    answer = fake().call("GenerateDataKey", attested)
    assert set(answer) == {"KeyId", "CiphertextBlob", "CiphertextForRecipient"}
    data_key = open_cms(answer["CiphertextForRecipient"], rsa_key())
    again = fake().call("Decrypt", {"CiphertextBlob": answer["CiphertextBlob"]})
    assert again["Plaintext"] == data_key
    assert len(data_key) == length


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (PlaintextForm.ABSENT, {}),
        (PlaintextForm.NULL, {"Plaintext": None}),
        (PlaintextForm.EMPTY, {"Plaintext": b""}),
    ],
)
def test_the_form_of_the_absent_plaintext(form: PlaintextForm, expected: dict[str, Any]) -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient()}
    answer = fake(plaintext_form=form).call("Decrypt", members)
    found = {name: value for name, value in answer.items() if name == "Plaintext"}
    assert found == expected


@pytest.mark.parametrize("form", ContentForm)
def test_the_form_of_the_content(form: ContentForm) -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient()}
    answer = fake(content_form=form).call("Decrypt", members)
    assert parse(answer["CiphertextForRecipient"]).content_form is ReadForm(form.value)


def test_other_rsa_sizes_are_taken_where_the_setting_says_so() -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient(public_key=spki(3072))}
    assert refused("Decrypt", members).rule == "public-key.size"
    answer = fake(accept_unknown_keys=True).call("Decrypt", members)
    assert open_cms(answer["CiphertextForRecipient"], rsa_key(3072)) == b"secret"


def test_a_key_too_small_for_the_envelope_is_refused_whatever_the_setting() -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient(public_key=SMALL_RSA)}
    settings = {"accept_unknown_keys": True}
    assert refused("Decrypt", members, settings=settings).rule == "public-key.size"


def test_a_key_too_large_to_encrypt_with_is_refused_whatever_the_setting() -> None:
    large = RSAPublicNumbers(65537, 2**16384 + 1).public_key()
    der = large.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient(public_key=der)}
    settings = {"accept_unknown_keys": True}
    assert refused("Decrypt", members, settings=settings).rule == "public-key.size"


@pytest.mark.parametrize("setting", [False, True])
def test_an_even_modulus_is_no_public_key(setting: bool) -> None:
    even = spki()[:-6] + bytes([spki()[-6] ^ 1]) + spki()[-5:]
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient(public_key=even)}
    settings = {"accept_unknown_keys": setting}
    assert refused("Decrypt", members, settings=settings).message == "Invalid public key"


@given(position=st.integers(0, len(spki()) - 1), flip=st.integers(1, 255))
def test_a_public_key_with_any_changed_byte_is_refused_or_answered(
    position: int, flip: int
) -> None:
    key = bytearray(spki())
    key[position] ^= flip
    given_key = recipient(public_key=bytes(key))
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": given_key}
    for setting in (False, True):
        with contextlib.suppress(KmsRefusal):
            fake(accept_unknown_keys=setting).call("Decrypt", members)


def test_no_setting_makes_pkcs1_a_public_key() -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient(public_key=pkcs1())}
    settings = {"accept_unknown_keys": True}
    assert refused("Decrypt", members, settings=settings).message == "Invalid public key"


def non_canonical_spki() -> bytes:
    """The same key with a length octet more than DER allows."""
    der = spki()
    assert der[1] == 0x82
    return der[:1] + b"\x83\x00" + der[2:]


def test_a_key_that_does_not_encode_to_the_same_bytes_is_refused() -> None:
    for key in (non_canonical_spki(), spki() + b"\x00"):
        members = {"CiphertextBlob": sealed(moto_key()), "Recipient": recipient(public_key=key)}
        assert refused("Decrypt", members).message == "Invalid public key"


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_a_key_that_is_not_enabled_decrypts_nothing(state: str) -> None:
    texts = {"Disabled": "is disabled.", "PendingDeletion": "is pending deletion."}
    key = moto_key(state=state)
    refusal = refused("Decrypt", {"CiphertextBlob": sealed(key)})
    assert refusal.message == f"{arn(key)} {texts[state]}"


def test_a_key_without_material_is_pending_import() -> None:
    key = moto_key(origin="EXTERNAL")
    refusal = refused("GenerateDataKey", {"KeyId": key, "KeySpec": "AES_256"})
    assert refusal.exception == "KMSInvalidStateException"
    assert refusal.message == f"{arn(key)} is pending import."


def test_every_name_of_a_key_names_it() -> None:
    kms_backends[ACCOUNT][REGION].create_alias(moto_key(), "alias/one")
    names = [
        *(moto_key(), arn(moto_key()), "alias/one"),
        f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/one",
    ]
    for name in names:
        answer = fake().call("GenerateDataKey", {"KeyId": name, "KeySpec": "AES_256"})
        assert answer["KeyId"] == arn(moto_key())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fake-key-id", "Invalid keyId 'fake-key-id'"),
        (
            "00000000-0000-4000-8000-000000000000",
            f"Key '{arn('00000000-0000-4000-8000-000000000000')}' does not exist",
        ),
        (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/x", "Invalid arn eu-west-1"),
        ("alias/absent", f"Alias arn:aws:kms:{REGION}:{ACCOUNT}:alias/absent is not found."),
        ("arn:aws:s3:::bucket", "Invalid arn arn:aws:s3:::bucket"),
    ],
)
def test_names_of_no_key(name: str, text: str) -> None:
    refusal = refused("GenerateDataKey", {"KeyId": name, "KeySpec": "AES_256"})
    assert (refusal.exception, refusal.message) == ("NotFoundException", text)


def test_another_account_has_no_key_here() -> None:
    name = f"arn:aws:kms:{REGION}:999999999999:key/{moto_key()}"
    refusal = refused("GenerateDataKey", {"KeyId": name, "KeySpec": "AES_256"})
    assert refusal.exception == "NotFoundException"


def test_a_ciphertext_of_another_region_is_foreign() -> None:
    members = {"CiphertextBlob": sealed(moto_key())}
    refusal = refused("Decrypt", members, region="eu-west-1")
    assert refusal.rule == "ciphertext.foreign-key"
    assert refusal.exception == "AccessDeniedException"


def test_the_right_key_id_is_no_mismatch() -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "KeyId": arn(moto_key())}
    assert fake().call("Decrypt", members)["Plaintext"] == b"secret"


def test_a_region_there_is_not() -> None:
    refusal = refused("Decrypt", {"CiphertextBlob": sealed(moto_key())}, region="mars-north-1")
    assert refusal.exception == "InvalidSignatureException"
    assert "mars-north-1" in refusal.message


def test_govcloud_has_its_own_partition() -> None:
    region = "us-gov-west-1"
    key = kms_backends[ACCOUNT][region].create_key(None, None, None, "", None)
    members = {"KeyId": key.id, "KeySpec": "AES_256"}
    answer = fake().call("GenerateDataKey", members, region=region)
    assert answer["KeyId"].startswith("arn:aws-us-gov:kms:us-gov-west-1:")


def test_a_multi_region_key_decrypts() -> None:
    backend = kms_backends[ACCOUNT][REGION]
    key = backend.create_key(policy(statement()), None, None, "", None, multi_region=True)
    made = fake().call("GenerateDataKey", {"KeyId": key.id, "KeySpec": "AES_256"})
    answer = fake().call("Decrypt", {"CiphertextBlob": made["CiphertextBlob"]})
    assert answer["Plaintext"] == made["Plaintext"]
    assert answer["KeyId"] == key.arn


def test_the_encryption_context_is_pairs_and_not_their_concatenation() -> None:
    """moto alone opens with {"ab": "c"} what {"a": "bc"} sealed."""
    made = fake().call(
        "GenerateDataKey",
        {"KeyId": moto_key(), "KeySpec": "AES_256", "EncryptionContext": {"a": "bc"}},
    )
    blob = made["CiphertextBlob"]
    right = {"CiphertextBlob": blob, "EncryptionContext": {"a": "bc"}}
    assert fake().call("Decrypt", right)["Plaintext"] == made["Plaintext"]
    wrong = {"CiphertextBlob": blob, "EncryptionContext": {"ab": "c"}}
    refusal = refused("Decrypt", wrong)
    assert (refusal.exception, refusal.message) == ("InvalidCiphertextException", "")


RSA_ALGORITHMS = {
    "RSAES_OAEP_SHA_1": hashes.SHA1(),  # noqa: S303  # An algorithm of the KMS API.
    "RSAES_OAEP_SHA_256": hashes.SHA256(),
}


@pytest.mark.parametrize("algorithm", RSA_ALGORITHMS)
def test_an_rsa_key_decrypts_what_its_public_key_encrypted(algorithm: str) -> None:
    digest = RSA_ALGORITHMS[algorithm]
    key_id = moto_key(spec="RSA_2048")
    public = kms_backends[ACCOUNT][REGION].keys[key_id].private_key.private_key.public_key()
    blob = public.encrypt(b"secret", padding.OAEP(padding.MGF1(digest), digest, None))
    members = {"CiphertextBlob": blob, "KeyId": key_id, "EncryptionAlgorithm": algorithm}
    answer = fake().call("Decrypt", {**members, "Recipient": recipient()})
    assert answer["EncryptionAlgorithm"] == algorithm
    assert open_cms(answer["CiphertextForRecipient"], rsa_key()) == b"secret"
    assert "KeyMaterialId" not in fake().call("Decrypt", members)
    del members["EncryptionAlgorithm"]
    assert refused("Decrypt", members).exception == "InvalidCiphertextException"
    del members["KeyId"]
    assert refused("Decrypt", members).exception == "InvalidCiphertextException"


def test_a_symmetric_key_does_not_decrypt_with_an_rsa_algorithm() -> None:
    members = {
        "CiphertextBlob": sealed(moto_key()),
        "KeyId": moto_key(),
        "EncryptionAlgorithm": "RSAES_OAEP_SHA_256",
    }
    refusal = refused("Decrypt", members)
    assert refusal.exception == "InvalidKeyUsageException"
    text = "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."
    assert refusal.message == text


def test_an_rsa_key_generates_no_data_key() -> None:
    members = {"KeyId": moto_key(spec="RSA_2048"), "KeySpec": "AES_256"}
    refusal = refused("GenerateDataKey", members)
    assert refusal.exception == "InvalidKeyUsageException"
    text = "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."
    assert refusal.message == text


def test_null_members_are_absent_ones() -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "KeyId": None, "Recipient": None}
    assert fake().call("Decrypt", members)["Plaintext"] == b"secret"


def test_unknown_members_are_ignored() -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "Unknown": {"deep": [1]}}
    assert fake().call("Decrypt", members)["Plaintext"] == b"secret"


def test_several_violations_are_told_together() -> None:
    members = {"KeyId": "", "KeySpec": "AES_512", "Recipient": {"AttestationDocument": b""}}
    assert refused("GenerateDataKey", members).message == (
        "3 validation errors detected: "
        "Value '' at 'keyId' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1; "
        "Value 'AES_512' at 'keySpec' failed to satisfy constraint: "
        "Member must satisfy enum value set: [AES_256, AES_128]; "
        "Value at 'recipient.attestationDocument' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )


@pytest.mark.parametrize("token", ["", "x" * 8193])
def test_a_grant_token_has_bounds(token: str) -> None:
    members = {"CiphertextBlob": sealed(moto_key()), "GrantTokens": ["x" * 8192, token]}
    assert refused("Decrypt", members).rule == "request.constraint"


@pytest.mark.parametrize("operation", Operation)
def test_the_shapes_are_those_of_the_service_model(operation: Operation) -> None:
    """But for the two members that stand in the table by hand."""
    by_hand = {"CiphertextBlob", "DryRunModifiers"}
    shape, model = SHAPES[operation], request_shape(operation.value)
    assert set(shape) - set(model) <= {"DryRunModifiers"}  # Which the oldest boto3 has not.
    assert set(model) <= set(shape)
    for name in set(model) - by_hand:
        kind = Kind.ARRAY if shape[name].kind is Kind.STRINGS else shape[name].kind
        assert replace(shape[name], kind=kind) == model[name], name


@pytest.mark.parametrize("number", [0, 1025])
def test_the_number_of_bytes_has_bounds(number: int) -> None:
    members = {"KeyId": moto_key(), "NumberOfBytes": number}
    assert refused("GenerateDataKey", members).message.startswith(
        f"1 validation error detected: Value '{number}' at 'numberOfBytes' failed to satisfy"
    )


def test_a_policy_on_the_encryption_context_and_a_pcr() -> None:
    condition = {
        "StringEquals": {PCR0: PCRS[0].hex(), "kms:EncryptionContext:tenant": "a"},
    }
    key = moto_key(policy_text=policy(statement(Condition=condition)))
    for tenant, allowed in (("a", True), ("b", False)):
        members = {
            "CiphertextBlob": sealed(key, context={"tenant": tenant}),
            "EncryptionContext": {"tenant": tenant},
            "Recipient": recipient(),
        }
        if allowed:
            assert fake().call("Decrypt", members)["CiphertextForRecipient"]
        else:
            assert refused("Decrypt", members).rule == "authorization.key-policy"


def test_context_names_that_differ_by_case_only() -> None:
    """Harmless where no policy looks at them; where one does, the reading that allows less."""
    context = {"tenant": "a", "Tenant": "b"}
    open_key = {"KeyId": moto_key(), "KeySpec": "AES_256", "EncryptionContext": context}
    assert fake().call("GenerateDataKey", open_key)["Plaintext"]
    condition = {"StringEquals": {"kms:EncryptionContext:tenant": "a"}}
    key = moto_key(policy_text=policy(statement(Condition=condition)))
    refusal = refused("GenerateDataKey", {**open_key, "KeyId": key})
    assert refusal.rule == "authorization.key-policy"


def test_a_policy_that_got_into_moto_unchecked_allows_nothing() -> None:
    """CloudFormation, say, makes keys past CreateKey."""
    condition = {"Bool": {"aws:NoSuchKey": "true"}}
    key = moto_key(policy_text=policy(statement(Condition=condition)))
    refusal = refused("Decrypt", {"CiphertextBlob": sealed(key)})
    assert refusal.rule == "authorization.unreadable-policy"
    assert "NoSuchKey" in refusal.message


def test_denials_name_caller_action_and_key() -> None:
    key = moto_key(policy_text=policy(statement(Principal={"AWS": ROOT_PRINCIPAL})))
    refusal = refused("Decrypt", {"CiphertextBlob": sealed(key)}, caller=caller())
    assert refusal.message == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/EnclaveInstance/i-0a1b2c3d4e5f60718 is not "
        f"authorized to perform: kms:Decrypt on resource: {arn(key)} because no identity-based "
        "policy allows the kms:Decrypt action"
    )
    assert refusal.body() == {"__type": "AccessDeniedException", "Message": refusal.message}


def test_an_empty_message_is_left_out_of_the_body() -> None:
    refusal = refused("Decrypt", {"CiphertextBlob": b"junk"})
    assert refusal.body() == {"__type": "InvalidCiphertextException"}


def test_only_the_two_operations_are_answered() -> None:
    with pytest.raises(ValueError, match="Encrypt"):
        fake().call("Encrypt", {})


@pytest.mark.parametrize(
    "operation", ["GenerateRandom", "GenerateDataKeyPair", "DeriveSharedSecret"]
)
def test_recipient_of_other_operations_is_refused(operation: str) -> None:
    with pytest.raises(KmsRefusal, match=f"{operation} with Recipient is not simulated"):
        refuse_recipient(operation, {"Recipient": recipient()})
    with pytest.raises(KmsRefusal, match=f"{operation} with Recipient is not simulated"):
        refuse_recipient(operation, {"Recipient": {}})
    refuse_recipient(operation, {"Recipient": None})
    refuse_recipient("Encrypt", {"Recipient": {}})


@pytest.mark.parametrize(
    ("text", "exception", "named"),
    [
        ("not json", "MalformedPolicyDocumentException", "JSON"),
        (policy({"Effect": "Allow"}), "MalformedPolicyDocumentException", "Statement[0]"),
        (
            policy(statement(Condition={"Bool": {"aws:NoSuchKey": "true"}})),
            "UnsupportedOperationException",
            "NoSuchKey",
        ),
        (
            policy(statement(Condition={"StringEquals": {"kms:RecipientAttestation": "x"}})),
            "UnsupportedOperationException",
            "kms:RecipientAttestation",
        ),
        (policy().replace("2012", "\u20ac"), "MalformedPolicyDocumentException", "U+0020"),
    ],
)
def test_policies_that_cannot_be_enforced_are_refused_when_set(
    text: str, exception: str, named: str
) -> None:
    with pytest.raises(KmsRefusal) as caught:
        check_key_policy(text)
    assert caught.value.exception == exception
    assert named in caught.value.message
    assert "attested-kms" in caught.value.message


def test_a_good_key_policy_is_accepted() -> None:
    check_key_policy(policy(statement()))
