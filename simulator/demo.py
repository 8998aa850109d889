"""`attested-kms demo`: the attested flow step by step, then each of the four mistakes and its fix.

Everything shown really happens: the enclave program and the host proxy are processes, the document
is signed and verified, the secret travels in an envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scenarios.target import KmsError, Opened, PublicKeyForm, Refused
from simulator.target import SimulatedEnclave, SimulatorTarget

SECRET = b"only this enclave reads me"

Show = Callable[[str], None]


class DemoFailed(RuntimeError):
    """A step did not do what it is there to show."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One of the field notes' mistakes at KMS, and what puts it right."""

    bug: str
    what: str
    fix: str
    operation: str
    fixed_members: Mapping[str, Any] = field(default_factory=dict)
    recipient: Mapping[str, Any] = field(default_factory=dict)
    public_key: PublicKeyForm = PublicKeyForm.SPKI


MISTAKES = (
    Mistake(
        bug="7",
        what="GenerateDataKey without KeySpec and without NumberOfBytes",
        fix='KeySpec="AES_256"',
        operation="GenerateDataKey",
        fixed_members={"KeySpec": "AES_256"},
    ),
    Mistake(
        bug="8.1",
        what="Recipient without KeyEncryptionAlgorithm",
        fix='KeyEncryptionAlgorithm="RSAES_OAEP_SHA_256" in Recipient, not EncryptionAlgorithm',
        operation="Decrypt",
        recipient={"KeyEncryptionAlgorithm": None},
    ),
    Mistake(
        bug="8.2",
        what="an attestation document without a public key",
        fix="public_key in the NSM's Attestation request",
        operation="Decrypt",
        public_key=PublicKeyForm.ABSENT,
    ),
    Mistake(
        bug="8.3",
        what="the public key as PKCS#1",
        fix="the public key as SubjectPublicKeyInfo DER (SPKI)",
        operation="Decrypt",
        public_key=PublicKeyForm.PKCS1,
    ),
)


def run(show: Show) -> None:
    """Show the demonstration line by line. Raises DemoFailed if a step goes otherwise."""
    show("attested-kms demo: the attested flow on this machine, against fakes. No AWS is called.")
    show("")
    show("starting: KMS fake, host proxy, enclave ...")
    with SimulatorTarget() as target:
        enclave = target.enclave()
        blob, key_arn = _show_flow(target, enclave, show)
        show("")
        show("The same flow with four mistakes, and their fixes:")
        for mistake in MISTAKES:
            base = (
                {"CiphertextBlob": blob} if mistake.operation == "Decrypt" else {"KeyId": key_arn}
            )
            _show_mistake(enclave, mistake, base, show)
    show("")
    show("Done. Your own client: attested-kms serve, then AWS_ENDPOINT_URL_KMS=<kms_endpoint>.")


def _show_flow(target: SimulatorTarget, enclave: SimulatedEnclave, show: Show) -> tuple[bytes, str]:
    pcr0 = enclave.pcrs[0]
    show(f"  boot      an enclave whose image measures PCR0 {pcr0[:16]}...")
    document = enclave.attest()
    show(
        f"  attest    its NSM signed an attestation document: {len(document)} bytes of COSE_Sign1,"
    )
    show("            with the enclave's RSA-2048 public key as SubjectPublicKeyInfo")
    key = target.key(
        [
            {
                "Effect": "Allow",
                "Principal": {"AWS": target.role_arn},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "*",
                "Condition": {
                    "StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": pcr0}
                },
            }
        ]
    )
    show(f"  key       {key.arn}")
    show("            its policy allows Decrypt only to that PCR0")
    blob = key.encrypt(SECRET)
    parent = target.kms.call("Decrypt", {"CiphertextBlob": blob})
    if not isinstance(parent, KmsError):
        raise DemoFailed("the parent instance decrypted without a document")
    show(f"  parent    decrypts by itself: {parent.code}")
    show("  decrypt   enclave -> vsock 3:8000 -> host proxy -> KMS Decrypt with Recipient")
    answer = _opened(enclave.run("Decrypt", {"CiphertextBlob": blob}))
    envelope = answer.response["CiphertextForRecipient"]
    show(f"  envelope  CiphertextForRecipient: {len(envelope)} bytes of CMS; no Plaintext")
    if answer.plaintext != SECRET:
        raise DemoFailed("the envelope held something else")
    show(f'  open      inside the enclave: "{answer.plaintext.decode()}"')
    return blob, key.arn


def _show_mistake(
    enclave: SimulatedEnclave, mistake: Mistake, base: Mapping[str, Any], show: Show
) -> None:
    show("")
    show(f"  bug {mistake.bug}: {mistake.what}")
    wrong = enclave.run(
        mistake.operation,
        base,
        recipient=mistake.recipient,
        public_key=mistake.public_key,
    )
    if not isinstance(wrong, KmsError):
        raise DemoFailed(f"bug {mistake.bug} was not refused")
    show(f"    KMS     {wrong.code}: {wrong.message}")
    show(f"    fix     {mistake.fix}")
    answer = _opened(enclave.run(mistake.operation, {**base, **mistake.fixed_members}))
    show(f"    then    the enclave opens {len(answer.plaintext)} bytes")


def _opened(answer: Opened | KmsError | Refused) -> Opened:
    if not isinstance(answer, Opened):
        raise DemoFailed(f"the attested call did not open: {answer}")
    return answer
