"""`attested-kms eif sign`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path

from simulator.commands import CommandFailed, show
from simulator.commands.eif_commands import add_image, add_nitro_cli_version, read_file

HELP = "sign an image, or sign it anew"
DESCRIPTION = (
    "Sign an enclave image file in place, as nitro-cli sign-eif does, and print its PCRs as JSON. "
    "What nitro-cli signs without a word and no enclave ever runs is refused: a certificate that "
    "has expired, is not valid yet or belongs to another key. The file is replaced as a whole or "
    "not at all."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The image, and what to sign it with."""
    add_image(parser)
    parser.add_argument(
        "--signing-certificate", type=Path, required=True, metavar="PEM", help="its certificate"
    )
    parser.add_argument(
        "--private-key",
        type=Path,
        required=True,
        metavar="PEM",
        help="an unencrypted P-384, P-256 or P-521 key; keys in KMS are not simulated",
    )
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="sign with a certificate that will be refused later, as nitro-cli does",
    )
    add_nitro_cli_version(parser)


def run(options: argparse.Namespace) -> int:
    """Sign one image."""
    from nsm_fake.eif import EifError, Signer, sign_eif
    from simulator.eif_report import built

    try:
        signer = Signer.load(read_file(options.signing_certificate), read_file(options.private_key))
        defects = () if options.anyway else signer.defects(dt.datetime.now(dt.UTC))
        if defects:
            raise CommandFailed(
                f"{options.image} is not signed, since {' and '.join(defects)}: nitro-cli sign-eif "
                "would sign it all the same, and nitro-cli run-enclave refuse it with E59. Give a "
                "certificate that is valid now and its own key; --anyway signs nevertheless."
            )
        measured = sign_eif(options.image, signer)
    except EifError as error:
        raise CommandFailed(str(error), exit_code=2) from error
    except OSError as error:
        raise CommandFailed(
            f"{options.image} cannot be replaced ({error.strerror}); it is as it was."
        ) from error
    print("Enclave Image successfully signed.", file=sys.stderr, flush=True)
    show(built(measured, nitro_cli=options.nitro_cli_version))
    return 0
