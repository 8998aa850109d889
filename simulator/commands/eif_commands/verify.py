"""`attested-kms eif verify`."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from simulator.commands import CommandFailed, show
from simulator.commands.eif_commands import add_image

if TYPE_CHECKING:
    from nsm_fake.eif import Eif, Scan

HELP = "check the checksum and the signature of an image"
DESCRIPTION = (
    "Check that an enclave image file is whole, that its checksum is right and, if it is signed, "
    "that the signature is of this image, made with the key of the certificate beside it, and that "
    "the certificate is valid now. Exit code: 1 if something is wrong, 2 if it is no image."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The image."""
    add_image(parser)


def run(options: argparse.Namespace) -> int:
    """Verify one image."""
    from nsm_fake.eif import Eif, EifError

    try:
        eif = Eif.open(options.image)
        scan = eif.scan()
        checksum, signature = _checksum_defects(eif, scan), _signature_defects(eif, scan)
    except EifError as error:
        raise CommandFailed(str(error), exit_code=2) from error
    _tell("checksum", checksum, "right")
    _tell("signature", signature, "right" if eif.signature else "none, the image is not signed")
    return int(bool(checksum or signature))


def _checksum_defects(eif: Eif, scan: Scan) -> tuple[str, ...]:
    if scan.crc == eif.header.crc:
        return ()
    differ = f"it is {scan.crc:08x}, and the header says {eif.header.crc:08x}"
    return (f"{differ}; the file has changed since it was built: build or copy it again",)


def _signature_defects(eif: Eif, scan: Scan) -> tuple[str, ...]:
    from nsm_fake.eif import EifBadSignature, verify_scanned

    try:
        report = verify_scanned(eif, scan)
    except EifBadSignature as error:
        return (str(error),)
    return () if report is None else report.defects(dt.datetime.now(dt.UTC))


def _tell(what: str, defects: tuple[str, ...], otherwise: str) -> None:
    show(f"{what}: {'wrong: ' + '; '.join(defects) if defects else otherwise}")
