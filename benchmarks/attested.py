"""What every figure is measured with: one enclave, one key that only it may use, their requests."""

from __future__ import annotations

import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.core import DEFAULT_ACCOUNT_ID

from kms_fake.callers import default_principal
from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki, system_clock

SECRET = bytes(range(32))
"""What the ciphertexts hold: as long as a data key."""

_ACCOUNT = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:root"
_ROLE = default_principal(DEFAULT_ACCOUNT_ID).principal_arn


class Enclave:
    """An enclave with an RSA-2048 key; `attested-kms serve --seed SEED` trusts its documents."""

    def __init__(self) -> None:
        self.seed = secrets.token_hex(16)
        self.pki = NsmPki(self.seed.encode())
        identity = EnclaveIdentity.create(clock=system_clock, role_arn=_ROLE)
        self.module = NitroSecurityModule(identity, self.pki, system_clock)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        self.spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.pcr0 = identity.pcr0.hex()
        fields = {"user_data": None, "nonce": None, "public_key": self.spki}
        self.request = cbor2.dumps({"Attestation": fields})
        """The NSM's request for a document with its public key (294 bytes of SPKI)."""

    def document(self, module: NitroSecurityModule | None = None) -> bytes:
        """A fresh attestation document, of another module under the same PKI if one is given."""
        answer = (module or self.module).handle(self.request)
        document: bytes = cbor2.loads(answer)["Attestation"]["document"]
        return document

    def recipient(self) -> dict[str, Any]:
        """The member Recipient with a fresh document."""
        return {
            "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "AttestationDocument": self.document(),
        }

    def key_policy(self) -> str:
        """A key policy as AWS's guides build it: others administer, only this image decrypts."""
        administration = {
            "Sid": "Administer",
            "Effect": "Allow",
            "Principal": {"AWS": _ACCOUNT},
            "Action": ["kms:Create*", "kms:Describe*", "kms:Get*", "kms:List*", "kms:Put*"],
            "Resource": "*",
        }
        encryption = {
            "Sid": "Encrypt",
            "Effect": "Allow",
            "Principal": {"AWS": _ROLE},
            "Action": "kms:Encrypt",
            "Resource": "*",
        }
        decryption = {
            "Sid": "DecryptInTheEnclave",
            "Effect": "Allow",
            "Principal": {"AWS": _ROLE},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            "Condition": {
                "StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": self.pcr0},
            },
        }
        statements = [administration, encryption, decryption]
        return json.dumps({"Version": "2012-10-17", "Statement": statements})
