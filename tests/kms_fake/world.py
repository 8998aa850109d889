"""What the tests of the KMS fake ask with: documents of every kind, keys of every state, callers.

The documents come from a builder of their own, not from `nsm_fake`, so that each can be broken in
one place and stay well made in all others.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends

from kms_fake import KmsFake, RuleSet, Settings
from kms_fake.callers import Caller, default_caller, default_principal, identity_of_policies
from kms_fake.fake import DEFAULT_REGION
from kms_fake.keys import MotoKeys, NoSuchKey
from kms_fake.rules import RULES, Rule

NOW_MS = 1_770_091_506_000
"""2026-02-03T04:05:06Z. Not the time it is: it stands in tests' names, which must be the same in
every process that runs some of them."""
MINUTE_MS = 60_000
ROLE = default_principal(DEFAULT_ACCOUNT_ID).principal_arn
ROOT_PRINCIPAL = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:root"
PCR0 = "kms:RecipientAttestation:PCR0"
PCRS = {index: bytes([index + 1]) * 48 for index in range(16)}

MODULE_ID = "i-0a1b2c3d4e5f60718-enc0190123456789abc"


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key, made once for each size."""
    return _rsa_key(bits)


@cache
def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


_p384_keys: defaultdict[str, ec.EllipticCurvePrivateKey] = defaultdict(
    lambda: ec.generate_private_key(ec.SECP384R1())
)


def p384_key(name: str) -> ec.EllipticCurvePrivateKey:
    """A P-384 key, one for each name."""
    return _p384_keys[name]


def spki(bits: int = 2048) -> bytes:
    """The SubjectPublicKeyInfo of `rsa_key(bits)`."""
    key = rsa_key(bits).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pkcs1() -> bytes:
    """The same RSA-2048 key as PKCS#1."""
    return rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)


@cache
def ec_spki() -> bytes:
    """A P-256 key as SubjectPublicKeyInfo."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, kw_only=True)
class Link:
    """One certificate of a chain, well made unless an argument says otherwise."""

    subject: str
    issuer: str
    ca: bool = True
    path_length: int | None = None
    basic_constraints: bool = True
    key_usage: bool = True
    key_cert_sign: bool = True
    digital_signature: bool = True
    begins_ms: int = NOW_MS - 24 * 60 * MINUTE_MS
    ends_ms: int = NOW_MS + 24 * 60 * MINUTE_MS
    signed_by: str | None = None
    key: Any = None
    unknown_critical: bool = False
    sha256: bool = False


@cache
def certificate(link: Link) -> bytes:
    """The DER of a link."""

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def moment(ms: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)

    key = (link.key or p384_key(link.subject)).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(link.subject))
        .issuer_name(name(link.issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment(link.begins_ms))
        .not_valid_after(moment(link.ends_ms))
    )
    if link.basic_constraints:
        constraints = x509.BasicConstraints(link.ca, link.path_length)
        builder = builder.add_extension(constraints, critical=True)
    if link.key_usage:
        usage = x509.KeyUsage(
            digital_signature=link.digital_signature,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=link.ca and link.key_cert_sign,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    if link.unknown_critical:
        oid = x509.ObjectIdentifier("1.2.3.4")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=True)
    signer = p384_key(link.signed_by or link.issuer)
    algorithm = hashes.SHA256() if link.sha256 else hashes.SHA384()
    return builder.sign(signer, algorithm).public_bytes(Encoding.DER)


ROOT = Link(subject="root", issuer="root")
AUTHORITY = Link(subject="authority", issuer="root", path_length=0)
SIGNER = Link(subject="signer", issuer="authority", ca=False)
FOREIGN_ROOT = Link(subject="foreign root", issuer="foreign root")


@dataclass(frozen=True, kw_only=True)
class Document:
    """An attestation document; every argument has a valid default and may break one thing."""

    public_key: bytes | None = field(default_factory=spki)
    timestamp_ms: int = NOW_MS
    pcrs: Mapping[int, bytes] = field(default_factory=lambda: dict(PCRS))
    chain: Sequence[Link] = (ROOT, AUTHORITY)
    signer: Link = SIGNER
    fields: Mapping[str, Any] = field(default_factory=dict)
    without: Sequence[str] = ()
    protected: bytes = bytes.fromhex("a1013822")
    unprotected: Any = field(default_factory=dict)
    indefinite: bool = True
    tagged: bool = False
    flip_signature: bool = False
    raw: bytes | None = None

    def payload(self) -> bytes:
        """The payload's bytes."""
        fields = {
            "module_id": MODULE_ID,
            "digest": "SHA384",
            "timestamp": self.timestamp_ms,
            "pcrs": dict(self.pcrs),
            "certificate": certificate(self.signer),
            "cabundle": [certificate(link) for link in self.chain],
            "public_key": self.public_key,
            "user_data": None,
            "nonce": None,
            **self.fields,
        }
        kept = {name: value for name, value in fields.items() if name not in self.without}
        encoded = cbor2.dumps(kept)
        return b"\xbf" + encoded[1:] + b"\xff" if self.indefinite else encoded

    def build(self) -> bytes:
        """The COSE_Sign1 bytes."""
        if self.raw is not None:
            return self.raw
        payload = self.payload()
        signed = cbor2.dumps(["Signature1", self.protected, b"", payload])
        der = p384_key(self.signer.subject).sign(signed, ec.ECDSA(hashes.SHA384()))
        r, s = decode_dss_signature(der)
        signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        if self.flip_signature:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        cose = [self.protected, self.unprotected, payload, signature]
        return cbor2.dumps(cbor2.CBORTag(18, cose) if self.tagged else cose)


def policy(*statements: Mapping[str, Any]) -> str:
    """The JSON of a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(**elements: Any) -> dict[str, Any]:
    """An Allow of everything in KMS to the default caller's role, but for `elements`."""
    base = {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:*", "Resource": "*"}
    return {**base, **elements}


OPEN = policy(statement())


_made_keys: dict[tuple[str, ...], str] = {}


def moto_key(
    name: str = "",
    *,
    policy_text: str = OPEN,
    usage: str = "ENCRYPT_DECRYPT",
    spec: str = "SYMMETRIC_DEFAULT",
    state: str = "Enabled",
    origin: str = "AWS_KMS",
) -> str:
    """The id of a key in moto, made once for each set of arguments, until moto is reset."""
    backend = kms_backends[DEFAULT_ACCOUNT_ID][DEFAULT_REGION]
    arguments = (name, policy_text, usage, spec, state, origin)
    if _made_keys.get(arguments) not in backend.keys:
        key = backend.create_key(policy_text, usage, spec, name, None, origin=origin)
        key.key_state = state
        _made_keys[arguments] = key.id
    return _made_keys[arguments]


def sealed(key_id: str, plaintext: bytes = b"secret", context: Mapping[str, str] = {}) -> bytes:
    """A ciphertext under the key."""
    key = MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION).named(key_id)
    assert not isinstance(key, NoSuchKey)
    return key.seal(plaintext, context)


def caller(*identity_statements: Mapping[str, Any]) -> Caller:
    """The default caller with exactly these identity statements."""
    texts = [policy(*identity_statements)] if identity_statements else []
    return Caller(default_principal(DEFAULT_ACCOUNT_ID), identity_of_policies(texts))


@dataclass
class Request:
    """One call, well made unless something is replaced; parts may be broken one by one."""

    operation: str = "Decrypt"
    key: Callable[[], str] = moto_key
    members: dict[str, Any] = field(default_factory=dict)
    """Replaced members; None leaves one out."""
    recipient: dict[str, Any] | None = field(default_factory=dict)
    """Replaced members of Recipient; None sends no Recipient."""
    document: dict[str, Any] = field(default_factory=dict)
    """Arguments of Document."""
    caller: Callable[[], Caller] = lambda: default_caller(DEFAULT_ACCOUNT_ID)
    settings: dict[str, Any] = field(default_factory=dict)
    given: object = None
    """Sent instead of members."""

    def build(self) -> object:
        """What is given to `KmsFake.call`."""
        if self.given is not None:
            return self.given
        if self.operation == "Decrypt":
            members: dict[str, Any] = {"CiphertextBlob": None}
            if "CiphertextBlob" not in self.members:
                members["CiphertextBlob"] = sealed(self.key())
        else:
            members = {"KeyId": self.key(), "KeySpec": "AES_256"}
        if self.recipient is not None:
            base: dict[str, Any] = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
            if "AttestationDocument" not in self.recipient:
                base["AttestationDocument"] = Document(**self.document).build()
            members["Recipient"] = _present({**base, **self.recipient})
        return _present({**members, **self.members})


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def fake(rules: Sequence[Rule] = RULES, **settings: Any) -> KmsFake:
    """A KMS that trusts ROOT, at NOW_MS."""
    roots = [x509.load_der_x509_certificate(certificate(ROOT))]
    return KmsFake(roots, clock=lambda: NOW_MS, settings=Settings(**settings), rules=rules)


FIELD_NOTES = {"rule_set": RuleSet.FIELD_NOTES}
