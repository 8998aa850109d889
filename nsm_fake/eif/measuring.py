"""What the PCRs of an enclave will be that boots an image.

Every PCR is SHA-384(48 zero bytes || SHA-384(data)). PCR0 is of kernel, command line and all
ramdisks, PCR1 of kernel, command line and the first ramdisk, PCR2 of the other ramdisks, PCR8 of
the signing certificate in DER; metadata and signature are in none. Contents are hashed one after
the other in the order of the file, without their headers (documented: AWS's "Where to get an
enclave's measurements" names the parts; aws-nitro-enclaves-image-format has the formula).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nsm_fake.eif.errors import EifBadSignature, EifBadSigner
from nsm_fake.eif.reading import Eif, Scan
from nsm_fake.eif.signature import read_signature
from nsm_fake.eif.source import Source
from nsm_fake.pcrs import ZERO_PCR, extended, pcr_of_signing_certificate


@dataclass(frozen=True, slots=True)
class Measurements:
    """The PCRs that an image determines, 48 bytes each."""

    pcr0: bytes
    pcr1: bytes
    pcr2: bytes
    pcr8: bytes | None = None
    """None for an image that is not signed; the register is zero then."""

    def as_hex(self) -> dict[str, str]:
        """`PCR0` to `PCR8` in hexadecimal, as nitro-cli prints them; PCR8 only if signed."""
        values = {"PCR0": self.pcr0, "PCR1": self.pcr1, "PCR2": self.pcr2, "PCR8": self.pcr8}
        return {name: value.hex() for name, value in values.items() if value is not None}


def measure(path: Path) -> Measurements:
    """The PCRs of an image file, in one pass and without holding it in memory. Raises EifError.

    The checksum is not compared: it is none of a PCR's business.
    """
    eif = Eif.open(path)
    return measurements(eif, eif.scan())


def measurements(eif: Eif, scan: Scan) -> Measurements:
    """The PCRs of an image that has been scanned. Raises EifError for an unreadable signature."""
    pcr0, pcr1, pcr2 = map(pcr_of_digest, (scan.image, scan.bootstrap, scan.application))
    signature = read_signature(eif)
    if signature is None:
        return Measurements(pcr0, pcr1, pcr2)
    try:
        return Measurements(pcr0, pcr1, pcr2, certificate_pcr(signature.certificate_pem))
    except EifBadSigner as error:
        raise EifBadSignature(f"{eif.path}: {error}") from error


def file_pcr(path: Path) -> bytes:
    """The PCR of any one file, as `nitro-cli pcr --input` has it. Raises EifUnreadable."""
    hasher = hashlib.sha384()
    with Source(path) as source:
        for piece in source.pieces(source.size):
            hasher.update(piece)
    return pcr_of_digest(hasher.digest())


def certificate_pcr(pem: bytes) -> bytes:
    """PCR8 of an image signed with this certificate. Raises EifBadSigner."""
    try:
        return pcr_of_signing_certificate(pem)
    except ValueError as error:
        raise EifBadSigner(str(error)) from error


def pcr_of_digest(digest: bytes) -> bytes:
    """The PCR of data whose SHA-384 is `digest`."""
    return extended(ZERO_PCR, digest)
