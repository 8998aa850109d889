"""The verdicts on an image's signature: ours, and that of `nitro-cli run-enclave`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from nsm_fake.eif.errors import EifBadSignature
from nsm_fake.eif.layout import SectionType
from nsm_fake.eif.measuring import pcr_of_digest
from nsm_fake.eif.reading import Eif, Scan, read_content, read_header, section_headers
from nsm_fake.eif.signature import (
    SignatureReport,
    not_valid,
    parse_signature,
    read_signature,
    verify_section,
)
from nsm_fake.eif.source import Source


def verify_signature(path: Path) -> SignatureReport | None:
    """Verify the signature of an image against the image; None if it has none. Raises EifError.

    Whether the certificate is valid by now is for `SignatureReport.defects`.
    """
    eif = Eif.open(path)
    return verify_scanned(eif, eif.scan())


def verify_scanned(eif: Eif, scan: Scan) -> SignatureReport | None:
    """The same for an image that has been scanned."""
    section = read_signature(eif)
    if section is None:
        return None
    return verify_section(section, pcr_of_digest(scan.image), where=str(eif.path))


def check_before_boot(path: Path, at: dt.datetime) -> None:
    """What `run-enclave` checks of a signature before it boots an image. Raises EifError.

    As `PcrSignatureChecker` does: from section to section, blind for one that is cut short and for
    zeros that the file is padded with, and without a look at the image itself. EifBadSignature is
    its "Invalid signing certificate", with its reason in `real_text`; every other EifError its
    "Failed to create EIF signature checker".
    """
    with Source(path) as source:
        read_header(source)
        headers = section_headers(source, skips_padding=True)
        sections = [section for section in headers if section.type is SectionType.SIGNATURE]
    if not sections:
        return
    signature = parse_signature(read_content(path, sections[-1]), where=str(path))
    report = verify_section(signature, None, where=str(path))
    if not report.is_genuine:
        raise EifBadSignature(
            f"{path}: the signature was not made with the key of the certificate beside it.",
            real_text="The EIF signature is not valid",
        )
    for defect in not_valid(report.certificate, at):
        raise EifBadSignature(f"{path}: {defect}.", real_text="The signing certificate is expired")
