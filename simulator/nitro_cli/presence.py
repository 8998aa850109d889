"""Whether the commands of a package are on the machine at all.

A machine that keeps no list of packages, one of an older version, has them. The text is that of a
shell, which a shim cannot be: it is there though the command is not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from simulator.nitro_cli.places import VARIABLE, default_path

NOT_FOUND = 127
"""A shell's exit code."""


def is_missing(environ: Mapping[str, str], program: str) -> bool:
    """Whether the machine of the environment, if there is one yet, lacks the program."""
    named = environ.get(VARIABLE)
    folder = Path(named) if named else default_path()
    if not os.access(folder / "packages.json", os.F_OK):
        return False
    return not any(
        os.access(folder / "root/usr" / place / program, os.F_OK) for place in ("bin", "sbin")
    )


def not_found(program: str) -> str:
    """What bash says."""
    return f"bash: {program}: command not found\n"
