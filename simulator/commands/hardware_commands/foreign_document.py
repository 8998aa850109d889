"""`attested-kms hardware foreign-document`."""

from __future__ import annotations

import argparse

from simulator.commands import CommandFailed, show

HELP = "print an attestation document that KMS must not believe"
DESCRIPTION = (
    "Print in base64 a fresh, well-made attestation document with the PCRs that are given and a "
    "usable public key of nobody's, signed under a root certificate that was made for it: the "
    "suite sends it to KMS, which must refuse it. Exit code: 0, or 2 for what is no PCR."
)
_DIGITS = 96


def configure(parser: argparse.ArgumentParser) -> None:
    """What it attests."""
    for index in range(3):
        parser.add_argument(
            f"--pcr{index}", required=True, metavar="HEX", help=f"PCR{index}, 96 digits"
        )


def run(options: argparse.Namespace) -> int:
    """Print it."""
    import base64

    import cbor2
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki
    from nsm_fake.clock import system_clock

    pcrs = [_digest(getattr(options, f"pcr{index}"), index) for index in range(3)]
    identity = EnclaveIdentity.create(clock=system_clock, pcr0=pcrs[0], pcr1=pcrs[1], pcr2=pcrs[2])
    module = NitroSecurityModule(identity, NsmPki(), system_clock)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    asked = {"Attestation": {"user_data": None, "nonce": None, "public_key": spki}}
    answer = cbor2.loads(module.handle(cbor2.dumps(asked)))
    show(base64.b64encode(answer["Attestation"]["document"]).decode("ascii"))
    return 0


def _digest(text: str, index: int) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(text) != _DIGITS or len(digest) != _DIGITS // 2:
        raise CommandFailed(f"--pcr{index} takes {_DIGITS} hexadecimal digits.", exit_code=2)
    return digest
