"""The same fix in the words of each SDK, for fixes that several explanations share.

Names are those of aws-sdk-kms (Rust), aws-sdk-go-v2, boto3, the AWS SDK for Java 2.x,
@aws-sdk/client-kms, aws-nitro-enclaves-sdk-c and the AWS CLI.
"""

from __future__ import annotations

from simulator.explanations.model import Sdk

RECIPIENT = {
    Sdk.RUST: (
        ".recipient(RecipientInfo::builder()"
        ".key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)"
        ".attestation_document(Blob::new(document)).build())"
    ),
    Sdk.GO: (
        "Recipient: &types.RecipientInfo{KeyEncryptionAlgorithm: "
        "types.KeyEncryptionMechanismRsaesOaepSha256, AttestationDocument: document}"
    ),
    Sdk.PYTHON: (
        'Recipient={"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", '
        '"AttestationDocument": document}, document as bytes, not base64'
    ),
    Sdk.JAVA: (
        ".recipient(r -> r.keyEncryptionAlgorithm(KeyEncryptionMechanism.RSAES_OAEP_SHA_256)"
        ".attestationDocument(SdkBytes.fromByteArray(document)))"
    ),
    Sdk.JAVASCRIPT: (
        'Recipient: { KeyEncryptionAlgorithm: "RSAES_OAEP_SHA_256", '
        "AttestationDocument: document }, document as Uint8Array, not base64"
    ),
    Sdk.C: (
        "aws_kms_decrypt_blocking and kmstool send it themselves; in JSON of your own: "
        '"Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", '
        '"AttestationDocument": "<base64, once>"}'
    ),
    Sdk.CLI: (
        "--recipient KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,"
        "AttestationDocument@=fileb://document.bin"
    ),
}
"""Recipient, whole."""

DOCUMENT_BYTES = {
    Sdk.RUST: "Blob::new(document) of the raw bytes; the SDK encodes",
    Sdk.GO: "AttestationDocument: document, the raw []byte; the SDK encodes",
    Sdk.PYTHON: "bytes; a str of base64 is encoded again without a word: base64.b64decode it first",
    Sdk.JAVA: "SdkBytes.fromByteArray(document), not fromUtf8String(base64)",
    Sdk.JAVASCRIPT: "Uint8Array; Buffer.from(text, 'base64') for what is base64",
    Sdk.C: "in JSON of your own: base64 once, without line breaks",
    Sdk.CLI: (
        "--recipient KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,"
        "AttestationDocument@=fileb://doc.bin, with the raw bytes in the file; version 1 encodes "
        "whatever any other form gives it once more, without a word"
    ),
}
"""The document as its own bytes."""

SPKI = {
    Sdk.RUST: "rsa: to_public_key_der(), not to_pkcs1_der(); openssl: PKey::public_key_to_der()",
    Sdk.GO: "x509.MarshalPKIXPublicKey(&key.PublicKey), not MarshalPKCS1PublicKey",
    Sdk.PYTHON: "public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), not PKCS1, not PEM",
    Sdk.JAVA: "publicKey.getEncoded(), which is SPKI DER already",
    Sdk.JAVASCRIPT: 'publicKey.export({ type: "spki", format: "der" }), not "pkcs1", not "pem"',
    Sdk.C: "i2d_PUBKEY, not i2d_RSAPublicKey; aws-nitro-enclaves-sdk-c does it itself",
    Sdk.CLI: "openssl rsa -in key.pem -pubout -outform DER, not -RSAPublicKey_out",
}
"""A public key as SubjectPublicKeyInfo."""

NSM_PUBLIC_KEY = {
    Sdk.RUST: (
        "Request::Attestation { public_key: Some(spki.into()), user_data: None, nonce: None }"
    ),
    Sdk.GO: "hf/nsm: session.Send(&request.Attestation{PublicKey: spki})",
    Sdk.PYTHON: 'CBOR {"Attestation": {"public_key": spki, "user_data": None, "nonce": None}}',
    Sdk.JAVA: 'CBOR {"Attestation": {"public_key": spki}} to /dev/nsm, or a helper that sends it',
    Sdk.JAVASCRIPT: (
        'CBOR {"Attestation": {"public_key": spki}} to /dev/nsm, or a helper that sends it'
    ),
    Sdk.C: "nsm_get_attestation_doc's pub_key argument; aws-nitro-enclaves-sdk-c fills it itself",
    Sdk.CLI: "the program in the enclave must do it: the CLI only passes the document on",
}
"""The public key in the request to the NSM."""

ENVELOPE = {
    Sdk.RUST: (
        "openssl: CmsContentInfo::from_der reads it; RustCrypto's cms and der do not: turn BER "
        "into DER first"
    ),
    Sdk.GO: "edgebitio/nitro-enclaves-sdk-go crypto/cms; encoding/asn1 needs BER turned into DER",
    Sdk.PYTHON: "asn1crypto.cms, or the openssl command; cryptography's pkcs7_decrypt_der cannot",
    Sdk.JAVA: "Bouncy Castle's CMSEnvelopedData (inferred: KMS's bytes are those that it writes)",
    Sdk.JAVASCRIPT: "pkijs with asn1js; node-forge cannot: it wants issuer and serial number",
    Sdk.C: "aws_cms_parse_enveloped_data of aws-nitro-enclaves-sdk-c, or OpenSSL's d2i_CMS_bio",
    Sdk.CLI: "openssl cms -decrypt -inform DER -inkey key.pem -in ciphertext_for_recipient.bin",
}
"""A reader of CiphertextForRecipient."""

DATA_KEY_SIZE = {
    Sdk.RUST: ".key_spec(DataKeySpec::Aes256)",
    Sdk.GO: "KeySpec: types.DataKeySpecAes256",
    Sdk.PYTHON: 'KeySpec="AES_256"',
    Sdk.JAVA: ".keySpec(DataKeySpec.AES_256)",
    Sdk.JAVASCRIPT: 'KeySpec: "AES_256"',
    Sdk.C: "kmstool_enclave_cli genkey --key-spec AES-256 (with a hyphen, there only)",
    Sdk.CLI: "--key-spec AES_256",
}
"""The size of a data key."""

UPGRADE = {
    Sdk.RUST: "aws-sdk-kms 0.29 or later",
    Sdk.GO: "github.com/aws/aws-sdk-go-v2/service/kms v1.21.0 or later",
    Sdk.PYTHON: "pip install -U boto3 (botocore 1.29.124 or later)",
    Sdk.JAVA: "software.amazon.awssdk:kms 2.20.57 or later",
    Sdk.JAVASCRIPT: "@aws-sdk/client-kms 3.325.0 or later",
    Sdk.C: "aws-nitro-enclaves-sdk-c has always sent it",
    Sdk.CLI: "2.11.17 or later, or 1.27.124 or later",
}
"""The first versions that know Recipient (published 2023-05-01)."""
