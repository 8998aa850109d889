"""Processes of ours that outlive whoever started them: of which installation, and how they begin.

Standard library only.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
# This copy of the package before one that is installed, and nothing before the standard library.
_PROGRAM = """
import sys
root = sys.argv.pop(1)
places = [place for place, path in enumerate(sys.path) if path.endswith("-packages")]
sys.path.insert(min([*places, len(sys.path)]), root)
from {module} import {function}
{function}()
"""


class Detached(subprocess.Popen[bytes]):
    """A process that is to outlive whoever started it: that nobody waits for it is no mistake."""

    def __del__(self) -> None:
        """Say nothing."""


def words(module: str, function: str, arguments: Sequence[str]) -> list[str]:
    """The command that calls a function, without arguments; they are in `sys.argv[1:]`."""
    program = _PROGRAM.format(module=module, function=function)
    return [sys.executable, "-E", "-P", "-c", program, str(_ROOT), *arguments]
