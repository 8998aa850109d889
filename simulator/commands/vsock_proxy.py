"""`attested-kms vsock-proxy`: the command vsock-proxy, without a shim of its name."""

from __future__ import annotations

import argparse

from simulator.vsock_proxy.main import main

HELP = "vsock-proxy of the simulated parent instance; all that follows is its own"

PARSER = {"prefix_chars": "\0", "add_help": False}
"""No word is an option here: all of them, --help too, are vsock-proxy's."""


def configure(parser: argparse.ArgumentParser) -> None:
    """All words, as they are."""
    parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run(options: argparse.Namespace) -> int:
    """Run the command line."""
    return main(options.arguments)
