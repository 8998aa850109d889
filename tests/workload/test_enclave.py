"""The enclave program as a process between a stub NSM, the real proxy program and a stub KMS."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from scenarios.target import PublicKeyForm as TargetPublicKeyForm
from scenarios.workload import frames, messages, transport
from scenarios.workload.enclave import Enclave, Keys, PublicKeyForm

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from pathlib import Path

    Ask = Callable[[dict[str, Any]], dict[str, Any]]
    KmsRequests = list[tuple[str, dict[str, Any]]]
    KmsAnswers = deque[tuple[int, bytes]]

PLAINTEXT = b"the plaintext of the stub KMS"
RUN = {"command": "run", "operation": "Decrypt", "members": {"CiphertextBlob": b"blob"}}

pytestmark = pytest.mark.usefixtures("proxy")


def public_key(ask_enclave: Ask, form: str) -> Any:
    document = ask_enclave({"command": "attest", "public_key": form})["ok"]["document"]
    return cbor2.loads(document)[2]["public_key"]


def test_public_key_forms_are_named_as_the_contract_names_them() -> None:
    assert {form.value for form in PublicKeyForm} == {form.value for form in TargetPublicKeyForm}


def test_one_rsa_key_a_boot_in_every_form(ask_enclave: Ask) -> None:
    spki = public_key(ask_enclave, "spki")
    key = load_der_public_key(spki)
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert public_key(ask_enclave, "spki") == spki
    assert public_key(ask_enclave, "pkcs1") == key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert load_pem_public_key(public_key(ask_enclave, "pem")) == key
    assert public_key(ask_enclave, "absent") is None


def test_rsa_keys_of_other_sizes_are_made_once_when_they_are_asked_for() -> None:
    keys = Keys()
    assert keys.other_sizes == {}
    spki = keys.public(PublicKeyForm.RSA_1024)
    assert spki == keys.public(PublicKeyForm.RSA_1024)
    assert spki is not None
    key = load_der_public_key(spki)
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 1024
    assert keys.private(PublicKeyForm.RSA_1024).public_key() == key
    assert set(keys.other_sizes) == {PublicKeyForm.RSA_1024}
    assert keys.private(PublicKeyForm.PEM) is keys.rsa


def test_one_ec_key_a_boot(ask_enclave: Ask) -> None:
    first = load_der_public_key(public_key(ask_enclave, "ec-p256"))
    assert isinstance(first, ec.EllipticCurvePublicKey)
    assert first.curve.name == "secp256r1"
    assert load_der_public_key(public_key(ask_enclave, "ec-p256")) == first


def test_attest_keeps_empty_and_null_apart(ask_enclave: Ask) -> None:
    request = {"command": "attest", "user_data": b"", "nonce": None}
    fields = cbor2.loads(ask_enclave(request)["ok"]["document"])[2]
    assert (fields["user_data"], fields["nonce"]) == (b"", None)


def test_describe_gives_the_nsm_and_its_locked_pcrs(ask_enclave: Ask) -> None:
    assert ask_enclave({"command": "describe"})["ok"] == {
        "nsm": {"module_id": "i-stub-enc1", "max_pcrs": 32, "locked_pcrs": [0, 1, 16]},
        "pcrs": {"0": bytes(48), "1": b"\1" * 48, "16": b"\x10" * 48},
    }


@pytest.mark.parametrize(
    ("user_data", "code"), [(b"refuse", "InvalidOperation"), (b"garbage", "BadNsmAnswer")]
)
def test_an_nsm_that_fails_is_an_error_of_the_enclave(
    ask_enclave: Ask, user_data: bytes, code: str
) -> None:
    error = ask_enclave({"command": "attest", "user_data": user_data})["error"]
    assert (error["kind"], error["code"], error["http_status"]) == ("enclave", code, None)


def test_a_request_too_large_for_the_nsm_is_an_error_of_the_enclave(ask_enclave: Ask) -> None:
    error = ask_enclave({"command": "attest", "nonce": bytes(4096)})["error"]
    assert (error["kind"], error["code"]) == ("enclave", "TransportError")
    assert "too large for the NSM" in error["message"]


def test_run_opens_what_kms_encrypts_for_it(ask_enclave: Ask, kms_requests: KmsRequests) -> None:
    context = {"purpose": "test", "data": "AAAA"}
    members = {"CiphertextBlob": b"\0\xff", "EncryptionContext": context, "KeyId": "alias/a"}
    result = ask_enclave(RUN | {"members": members})["ok"]
    assert (result["outcome"], result["plaintext"]) == ("opened", PLAINTEXT)
    assert set(result["response"]) == {"KeyId", "CiphertextForRecipient"}
    [(operation, sent)] = kms_requests
    recipient = sent.pop("Recipient")
    assert operation == "Decrypt"
    assert sent == {"CiphertextBlob": "AP8=", "EncryptionContext": context, "KeyId": "alias/a"}
    assert recipient["KeyEncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"
    fields = cbor2.loads(base64.b64decode(recipient["AttestationDocument"]))[2]
    assert isinstance(load_der_public_key(fields["public_key"]), rsa.RSAPublicKey)
    assert (fields["user_data"], fields["nonce"]) == (None, None)


def test_each_run_attests_anew(ask_enclave: Ask, kms_requests: KmsRequests) -> None:
    ask_enclave(RUN)
    ask_enclave(RUN)
    first, second = (sent["Recipient"]["AttestationDocument"] for _, sent in kms_requests)
    assert first != second


def test_many_run_at_once(ask_enclave: Ask, kms_requests: KmsRequests) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        results = list(pool.map(ask_enclave, [RUN] * 16))
    assert [result["ok"]["plaintext"] for result in results] == [PLAINTEXT] * 16
    assert len(kms_requests) == 16


def refusal(code: str = "ValidationException") -> tuple[int, bytes]:
    return 400, json.dumps({"__type": code, "message": "Invalid public key"}).encode()


def sent_recipient(
    ask_enclave: Ask, requests: KmsRequests, answers: KmsAnswers, **fields: Any
) -> Any:
    answers.append(refusal())
    assert ask_enclave(RUN | fields)["error"]["kind"] == "kms"
    return requests[-1][1].get("Recipient")


def test_recipient_overrides_replace_and_null_leaves_out(
    ask_enclave: Ask, kms_requests: KmsRequests, kms_answers: KmsAnswers
) -> None:
    def sent(recipient: dict[str, Any]) -> Any:
        return sent_recipient(ask_enclave, kms_requests, kms_answers, recipient=recipient)

    no_algorithm = sent({"KeyEncryptionAlgorithm": None})
    assert set(no_algorithm) == {"AttestationDocument"}
    assert sent({"AttestationDocument": None}) == {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert sent({"AttestationDocument": None, "KeyEncryptionAlgorithm": None}) == {}
    assert sent({"AttestationDocument": b"\1\2"})["AttestationDocument"] == "AQI="
    assert sent({"KeyEncryptionAlgorithm": "X"})["KeyEncryptionAlgorithm"] == "X"


def test_a_document_as_text_stays_text_and_is_encoded_again(
    ask_enclave: Ask, kms_requests: KmsRequests, kms_answers: KmsAnswers
) -> None:
    recipient = sent_recipient(
        ask_enclave, kms_requests, kms_answers, recipient={"AttestationDocument": "0oQ="}
    )
    assert recipient["AttestationDocument"] == base64.b64encode(b"0oQ=").decode()


@pytest.mark.parametrize("form", ["pkcs1", "pem", "ec-p256", "absent"])
def test_run_attests_the_key_form_that_it_is_told(
    ask_enclave: Ask, kms_requests: KmsRequests, kms_answers: KmsAnswers, form: str
) -> None:
    recipient = sent_recipient(ask_enclave, kms_requests, kms_answers, public_key=form)
    fields = cbor2.loads(base64.b64decode(recipient["AttestationDocument"]))[2]
    assert fields["public_key"] == public_key(ask_enclave, form)


def test_without_recipient_a_plaintext_is_refused(
    ask_enclave: Ask, kms_requests: KmsRequests, kms_answers: KmsAnswers
) -> None:
    kms_answers.append((200, b'{"KeyId": "k", "Plaintext": "c2VjcmV0"}'))
    result = ask_enclave(RUN | {"send_recipient": False})["ok"]
    assert "Recipient" not in kms_requests[0][1]
    assert (result["outcome"], result["reason"]) == ("refused", "plaintext")
    assert "plaintext" not in result
    assert result["response"] == {"KeyId": "k", "Plaintext": b"secret"}


@pytest.mark.parametrize("member", ["PrivateKeyPlaintext", "SharedSecret"])
def test_the_plaintexts_of_other_operations_are_refused_too(
    ask_enclave: Ask, kms_answers: KmsAnswers, member: str
) -> None:
    operation, members = {
        "PrivateKeyPlaintext": ("GenerateDataKeyPair", {"KeyId": "k", "KeyPairSpec": "RSA_2048"}),
        "SharedSecret": (
            "DeriveSharedSecret",
            {"KeyId": "k", "KeyAgreementAlgorithm": "ECDH", "PublicKey": b"p"},
        ),
    }[member]
    kms_answers.append((200, json.dumps({member: "c2VjcmV0"}).encode()))
    result = ask_enclave(RUN | {"operation": operation, "members": members})["ok"]
    assert (result["outcome"], result["reason"]) == ("refused", "plaintext")


@pytest.mark.parametrize(
    "body", ['{"KeyId": "k"}', '{"Plaintext": ""}', '{"Plaintext": null}', "{}"]
)
def test_a_response_without_envelope_is_refused(
    ask_enclave: Ask, kms_answers: KmsAnswers, body: str
) -> None:
    kms_answers.append((200, body.encode()))
    result = ask_enclave(RUN)["ok"]
    assert (result["outcome"], result["reason"]) == ("refused", "no-envelope")


def test_an_unreadable_envelope_is_refused_also_beside_a_plaintext(
    ask_enclave: Ask, kms_answers: KmsAnswers
) -> None:
    body = b'{"CiphertextForRecipient": "MIAG", "Plaintext": "c2VjcmV0"}'
    kms_answers.append((200, body))
    result = ask_enclave(RUN)["ok"]
    assert (result["outcome"], result["reason"]) == ("refused", "unreadable-envelope")
    assert "not the CMS EnvelopedData of KMS" in result["detail"]
    assert result["response"]["CiphertextForRecipient"] == b"\x30\x80\x06"


@pytest.mark.parametrize(
    ("opener", "detail"),
    [("strict-der", "indefinite length"), ("raw-rsa-oaep", "no RSA-2048 ciphertext")],
)
def test_the_wrong_openers_fail(ask_enclave: Ask, opener: str, detail: str) -> None:
    result = ask_enclave(RUN | {"opener": opener})["ok"]
    assert (result["outcome"], result["reason"]) == ("refused", "unreadable-envelope")
    assert detail in result["detail"]


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, {"__type": "ValidationException", "message": "A."}, "ValidationException", "A."),
        (400, {"__type": "AccessDeniedException", "Message": "B"}, "AccessDeniedException", "B"),
        (400, {"__type": "InvalidCiphertextException"}, "InvalidCiphertextException", ""),
        (500, {"__type": "KMSInternalException", "message": "C"}, "KMSInternalException", "C"),
    ],
)
def test_an_error_of_kms_comes_as_given_and_once(
    ask_enclave: Ask,
    kms_requests: KmsRequests,
    kms_answers: KmsAnswers,
    status: int,
    body: dict[str, str],
    code: str,
    message: str,
) -> None:
    kms_answers.append((status, json.dumps(body).encode()))
    error = ask_enclave(RUN)["error"]
    assert error == {"kind": "kms", "code": code, "message": message, "http_status": status}
    assert len(kms_requests) == 1


def test_what_boto3_refuses_comes_as_given(ask_enclave: Ask) -> None:
    members = {"CiphertextBlob": b"blob", "Recipient": b"document"}
    error = ask_enclave(RUN | {"members": members, "send_recipient": False})["error"]
    assert (error["kind"], error["code"]) == ("client", "ParamValidationError")
    assert "Invalid type for parameter Recipient, value: b'document'" in error["message"]


@pytest.mark.parametrize(
    ("request_", "code", "problem"),
    [
        ({"version": 2, "command": "describe"}, "UnsupportedVersion", "version 2"),
        ({}, "InvalidField", "command is absent"),
        ({"command": "reboot"}, "UnknownCommand", "attest, describe, run"),
        ({"command": ["run"]}, "InvalidField", "command is a list"),
        ({"command": "describe", "pcr": 0}, "UnknownField", "pcr"),
        ({"command": "attest", "public_key": "der"}, "InvalidField", "spki, pkcs1, pem"),
        ({"command": "attest", "nonce": "text"}, "InvalidField", "bytes or null"),
        ({"command": "run", "members": {}}, "InvalidField", "operation is absent"),
        (RUN | {"members": [1]}, "InvalidField", "members is a list"),
        (RUN | {"recipient": None}, "InvalidField", "recipient is absent"),
        (RUN | {"send_recipient": 1}, "InvalidField", "send_recipient is a int"),
        (RUN | {"opener": "der"}, "InvalidField", "cms, strict-der, raw-rsa-oaep"),
        (RUN | {"members": {"Recipient": {}}}, "InvalidField", "set send_recipient to false"),
        (RUN | {"operation": "Sing"}, "UnknownOperation", "no operation 'Sing'"),
    ],
)
def test_what_is_no_command_is_refused(
    ask_enclave: Ask, request_: dict[str, Any], code: str, problem: str
) -> None:
    error = ask_enclave(request_)["error"]
    assert (error["kind"], error["code"]) == ("protocol", code)
    assert problem in error["message"]


def test_a_request_too_large_for_the_proxy_is_refused(ask_enclave: Ask) -> None:
    # It fits into a frame by itself, but not with a document beside it.
    members = {"KeyId": "x" * (frames.MAX_BODY_BYTES - 200)}
    error = ask_enclave(RUN | {"members": members})["error"]
    assert (error["kind"], error["code"]) == ("protocol", "UnsendableRequest")


# --- A proxy that is absent or hostile: the program's code in this process -------------------

HOSTILE_PORT = 8666


@pytest.fixture
def enclave_here(nsm: Path, rsa_key: rsa.RSAPrivateKey) -> Enclave:
    assert nsm.is_socket()
    return Enclave(Keys(rsa=rsa_key), HOSTILE_PORT)


def run_against(enclave: Enclave, answer: bytes) -> messages.AnswerError | dict[str, Any]:
    """The outcome when the proxy answers with these bytes and closes."""

    def serve(listener: transport.Listener) -> None:
        with listener.accept() as connection:
            frames.receive(connection, wait_seconds=10)
            connection.sendall(answer)

    with transport.listen(HOSTILE_PORT, fabric_cid=transport.PARENT_CID) as listener:
        proxy = threading.Thread(target=serve, args=(listener,))
        proxy.start()
        try:
            return enclave.handle({"version": 1} | RUN)
        except messages.AnswerError as error:
            return error
        finally:
            proxy.join()


def test_an_absent_proxy_is_an_error_of_the_enclave(enclave_here: Enclave) -> None:
    with pytest.raises(messages.AnswerError) as caught:
        enclave_here.handle({"version": 1} | RUN)
    assert (caught.value.kind, caught.value.code) == (messages.Kind.ENCLAVE, "TransportError")
    assert f"3_{HOSTILE_PORT}.sock" in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\2[]",
        frames.encode({}),
        frames.encode({"version": 9, "ok": {}}),
        frames.encode({"version": 1, "ok": None}),
        frames.encode({"version": 1, "error": {"kind": "kms"}}),
    ],
)
def test_a_proxy_that_answers_nonsense_is_an_error_of_the_enclave(
    enclave_here: Enclave, answer: bytes
) -> None:
    error = run_against(enclave_here, answer)
    assert isinstance(error, messages.AnswerError)
    assert (error.kind, error.code) == (messages.Kind.ENCLAVE, "BadProxyAnswer")


def test_an_envelope_that_is_no_bytes_is_refused(enclave_here: Enclave) -> None:
    forged = frames.encode(messages.success({"CiphertextForRecipient": {"a": 1}}))
    result = run_against(enclave_here, forged)
    assert isinstance(result, dict)
    assert (result["reason"], result["detail"]) == (
        "unreadable-envelope",
        "CiphertextForRecipient is a dict, not bytes",
    )
