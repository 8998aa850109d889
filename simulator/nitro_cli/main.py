"""The command `nitro-cli`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from simulator.nitro_cli.connection import request
from simulator.nitro_cli.places import MachineFolder


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    folder = MachineFolder.locate(os.environ)
    for message in request(folder, arguments[0].partition("-")[0]):
        if "answer" in message:
            sys.stdout.write(json.dumps(message["answer"], indent=2) + "\n")
    return 0
