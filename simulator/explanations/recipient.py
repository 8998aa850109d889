"""Explanations: Recipient, and the public key in the attestation document."""

from __future__ import annotations

from simulator.explanations import snippets
from simulator.explanations.model import Cause, Explanation

_NO_ALGORITHM = "You must specify an encryption algorithm in this request"
_CORRECTION_8_1 = (
    "The notes say that encryption_algorithm=SYMMETRIC_DEFAULT cured it. Their own commits show "
    "that it did not: Recipient's KeyEncryptionAlgorithm, set some minutes later, did."
)

EXPLANATIONS = (
    Explanation(
        id="recipient.key-encryption-algorithm",
        error="ValidationException: You must specify an encryption algorithm in this request.",
        texts=(_NO_ALGORITHM,),
        meaning="Recipient is there, and its KeyEncryptionAlgorithm is not.",
        fix="Set KeyEncryptionAlgorithm to RSAES_OAEP_SHA_256 inside Recipient.",
        per_sdk=snippets.RECIPIENT,
        causes=(
            Cause(
                "KeyEncryptionAlgorithm is missing in Recipient",
                "look at the request inside Recipient; EncryptionAlgorithm beside it is another "
                "member, and symmetric keys do not need it",
            ),
            Cause(
                "It is set on the request instead of on Recipient",
                "EncryptionAlgorithm is there, Recipient.KeyEncryptionAlgorithm is not",
            ),
        ),
        field_note="8.1",
        correction=_CORRECTION_8_1,
    ),
    Explanation(
        id="recipient.encryption-algorithm",
        error="ValidationException: You must specify an encryption algorithm in this request.",
        texts=(_NO_ALGORITHM,),
        meaning=(
            "The field notes' reading of the same text: EncryptionAlgorithm is missing beside "
            "Recipient. Only `attested-kms serve --rules field-notes` refuses for this."
        ),
        fix="Set KeyEncryptionAlgorithm in Recipient first. To be safe under both readings, set "
        "EncryptionAlgorithm to SYMMETRIC_DEFAULT as well.",
        causes=(
            Cause(
                "The server runs with the rules field-notes",
                'its ready line says "rules": "field-notes"',
            ),
        ),
        field_note="8.1",
        correction=_CORRECTION_8_1,
    ),
    Explanation(
        id="recipient.attestation-document",
        error="ValidationException: no AttestationDocument in Recipient",
        meaning="Recipient is there without a document; KMS documents both members as required.",
        fix="Put the document of the NSM into Recipient, or leave Recipient out.",
        per_sdk=snippets.RECIPIENT,
        causes=(
            Cause("The NSM was not asked, or its error was dropped", "log the document's length"),
            Cause("The member is misspelt", "AttestationDocument, with these capitals on the wire"),
        ),
    ),
    Explanation(
        id="recipient.operation",
        error="UnsupportedOperationException: Recipient of an operation that is not simulated",
        meaning="A limit of attested-kms, not of KMS: real KMS takes Recipient here.",
        fix="Test Decrypt or GenerateDataKey, or run this call on real KMS.",
    ),
    Explanation(
        id="public-key.missing",
        error="ValidationException: You must specify a recipient public key in this request.",
        texts=("You must specify a recipient public key in this request",),
        meaning="The attestation document is accepted, and holds no public key to encrypt to.",
        fix="Inside the enclave, make an RSA-2048 key and put its SPKI DER into public_key of the "
        "attestation request to the NSM.",
        per_sdk=snippets.NSM_PUBLIC_KEY,
        causes=(
            Cause(
                "public_key was null in the request to the NSM",
                "`attested-kms inspect document.bin` shows no public key",
            ),
            Cause("The key was put into user_data", "inspect shows user_data of 294 bytes"),
            Cause("A document of a health check or another service was sent", "compare nonces"),
        ),
        field_note="8.2",
    ),
    Explanation(
        id="public-key.encoding",
        error="ValidationException: Invalid public key",
        texts=("Invalid public key",),
        near=("kms", "validationexception", "recipient", "attestation", "spki"),
        meaning="The document's public_key is not a SubjectPublicKeyInfo in DER.",
        fix="Encode the RSA-2048 public key as SPKI DER (294 bytes, starts 30 82 01 22).",
        per_sdk=snippets.SPKI,
        causes=(
            Cause("PKCS#1 DER", "270 bytes, starts 30 82 01 0a"),
            Cause("PEM", "starts with -----BEGIN"),
            Cause("base64 text of the DER", "starts with MIIB"),
            Cause("A certificate, or a private key", "more than 600 bytes"),
        ),
        field_note="8.3",
        correction='The notes call the right form "SPKI/PKCS#8": PKCS#8 is for private keys; '
        "what KMS wants is SubjectPublicKeyInfo.",
    ),
    Explanation(
        id="public-key.algorithm",
        error="ValidationException: the recipient public key is no RSA key",
        meaning="public_key is well encoded and of another algorithm; KMS documents RSA-2048.",
        fix="Use an RSA key of 2048 bits for the recipient; keep EC keys for other purposes.",
        causes=(Cause("An EC or Ed25519 key was put into public_key", "91 or 44 bytes of DER"),),
    ),
    Explanation(
        id="public-key.size",
        error="ValidationException: the recipient public key has another size than 2048 bits",
        meaning="KMS documents RSA-2048 for the recipient; of other sizes nothing is known.",
        fix="Generate the recipient's key with 2048 bits.",
        causes=(Cause("A key of 3072 or 4096 bits", "422 or 550 bytes of SPKI instead of 294"),),
    ),
)
