"""An enclave program whose TLS ends in the enclave: boto3 over ssl over vsock.

kms.py             Decrypt with an attestation document, and open what comes back
kms.py MISTAKE     one of the four mistakes that everybody makes, and what KMS says of it:
                   no-size, no-key-encryption-algorithm, no-public-key, pkcs1

CID 3, port 8000 leads to KMS, as AWS's vsock-proxy sets it up on a parent instance.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from typing import Any

import aws_nsm_interface
import boto3
import urllib3.util.connection
from asn1crypto import cms
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PARENT_CID = 3
KMS_PORT = 8000


def to_parent(*_: object, **__: object) -> socket.socket:
    """Connects to the parent, whatever host is asked for: TLS shows who is behind it."""
    parent = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    parent.connect((PARENT_CID, KMS_PORT))
    return parent


def attest(public_key: bytes | None) -> bytes:
    nsm = aws_nsm_interface.open_nsm_device()
    document: bytes = aws_nsm_interface.get_attestation_doc(nsm, public_key=public_key)["document"]
    aws_nsm_interface.close_nsm_device(nsm)
    return document


def open_envelope(envelope: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """What is in CiphertextForRecipient: CMS EnvelopedData in BER."""
    enveloped = cms.ContentInfo.load(envelope)["content"]
    (recipient,) = enveloped["recipient_infos"]
    encrypted = enveloped["encrypted_content_info"]
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
    content_key = key.decrypt(recipient.chosen["encrypted_key"].native, oaep)
    initial = encrypted["content_encryption_algorithm"].encryption_iv
    decryptor = Cipher(algorithms.AES(content_key), modes.CBC(initial)).decryptor()
    padded = decryptor.update(encrypted["encrypted_content"].native) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def refused(operation: Any, **request: Any) -> None:
    """Prints what KMS refused a request with; that it did not is an error."""
    try:
        operation(**request)
    except ClientError as error:
        refusal = error.response["Error"]
        print(f"error {refusal['Code']}: {refusal['Message']}")
    else:
        sys.exit("KMS refused nothing")


def main(mistake: str) -> None:
    urllib3.util.connection.create_connection = to_parent
    kms = boto3.client(
        "kms",
        region_name="us-east-1",
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "any"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "any"),
        aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        # The operating system's roots, or those of SSL_CERT_FILE: boto3 brings its own otherwise.
        verify=ssl.get_default_verify_paths().cafile,
    )
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pkcs1 = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)

    # A real parent hands the ciphertext over. This program makes its own, to need nobody.
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    encrypted = kms.encrypt(KeyId=key_id, Plaintext=b"only this enclave reads me")
    ciphertext = encrypted["CiphertextBlob"]

    public_key = {"no-public-key": None, "pkcs1": pkcs1}.get(mistake, spki)
    recipient = {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": attest(public_key),
    }
    if mistake == "no-key-encryption-algorithm":
        del recipient["KeyEncryptionAlgorithm"]
    if mistake == "no-size":
        refused(kms.generate_data_key, KeyId=key_id, Recipient=recipient)
    elif mistake:
        refused(kms.decrypt, CiphertextBlob=ciphertext, Recipient=recipient)
    else:
        answer = kms.decrypt(CiphertextBlob=ciphertext, Recipient=recipient)
        print("plaintext", len(answer.get("Plaintext", b"")))
        print("opened", open_envelope(answer["CiphertextForRecipient"], key).decode())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
