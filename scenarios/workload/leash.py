"""Runs a module so that it ends with whoever started it.

    python -m scenarios.workload.leash MODULE ...

A run that is killed cannot end its programs. Its end closes the pipe that is their standard
input, on every system; this sees it and ends the program as SIGTERM does. The program itself has
no standard input to read.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from contextlib import suppress
from threading import Thread


def _end_with_the_pipe() -> None:
    with suppress(OSError):  # No standard input at all: nobody holds the other end.
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def put_on() -> None:
    """End this process, as SIGTERM does, when the pipe that is its standard input ends."""
    Thread(target=_end_with_the_pipe, name="leash", daemon=True).start()


def main() -> None:
    """Run the module named by the first argument as `python -m` would, with the others."""
    put_on()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
