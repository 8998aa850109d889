"""Enclave image files (EIF): reading, measuring, writing, signing and verifying them.

What an enclave boots from, and what its PCRs 0, 1, 2 and 8 are made of. Not a builder of images
from containers, and no boot: those are the simulator's. Hostile files cost an EifError and little
memory.

Source of all of it: aws-nitro-enclaves-image-format at 935dc62, and its releases 0.5.0, which
nitro-cli 1.4.4 is built with, and 0.7.0 of nitro-cli 1.5.0. The two write the same bytes; they
differ in the KMS keys that they sign with, which are not simulated, and in how their hash shows
itself in what nitro-cli prints.
"""

from nsm_fake.eif.errors import (
    EifBadCrc,
    EifBadMagic,
    EifBadMetadata,
    EifBadSection,
    EifBadSignature,
    EifBadSigner,
    EifBadVersion,
    EifError,
    EifOversized,
    EifTooManySections,
    EifTruncated,
    EifUnreadable,
    EifUnwritable,
)
from nsm_fake.eif.layout import ARM64, MAX_SECTIONS, VERSION, Header, Section, SectionType
from nsm_fake.eif.measuring import (
    Measurements,
    certificate_pcr,
    file_pcr,
    measure,
    measurements,
)
from nsm_fake.eif.metadata import (
    encode_metadata,
    identity,
    kernel_identity,
    read_custom_metadata,
)
from nsm_fake.eif.reading import Eif, Reading, Scan
from nsm_fake.eif.signature import (
    SignatureReport,
    SignatureSection,
    Signer,
    read_signature,
    verify_section,
)
from nsm_fake.eif.verifying import check_before_boot, verify_scanned, verify_signature
from nsm_fake.eif.writing import replacing, sign_eif, write_eif

__all__ = [
    "ARM64",
    "MAX_SECTIONS",
    "VERSION",
    "Eif",
    "EifBadCrc",
    "EifBadMagic",
    "EifBadMetadata",
    "EifBadSection",
    "EifBadSignature",
    "EifBadSigner",
    "EifBadVersion",
    "EifError",
    "EifOversized",
    "EifTooManySections",
    "EifTruncated",
    "EifUnreadable",
    "EifUnwritable",
    "Header",
    "Measurements",
    "Reading",
    "Scan",
    "Section",
    "SectionType",
    "SignatureReport",
    "SignatureSection",
    "Signer",
    "certificate_pcr",
    "check_before_boot",
    "encode_metadata",
    "file_pcr",
    "identity",
    "kernel_identity",
    "measure",
    "measurements",
    "read_custom_metadata",
    "read_signature",
    "replacing",
    "sign_eif",
    "verify_scanned",
    "verify_section",
    "verify_signature",
    "write_eif",
]
