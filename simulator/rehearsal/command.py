"""A command on the world's instance: its terminal, its signals, its end.

It is in this process's group, so that Ctrl-C of a terminal reaches it by itself; a SIGINT that a
process has sent, and SIGTERM and SIGHUP, are passed on, each time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from simulator.machine_shell.layout import SEARCH_PATH
from simulator.machine_shell.shell import on_instance
from simulator.rehearsal.world import SIGNALS, World, command_variables

_OF_KERNEL = 0x80
"""SI_KERNEL: the terminal has sent it, to the whole group (sigaction(2))."""
_BY_SIGNAL = 128
_PAUSE_SECONDS = 1.0
_ASKED_FOR = frozenset({*SIGNALS, signal.SIGCHLD})
"""They wait until they are asked for: so it is known who has sent them."""

_T = TypeVar("_T")


def run(
    world: World, words: Sequence[str], environ: Mapping[str, str], look: Callable[[], _T]
) -> tuple[int, _T]:
    """Run the words; the exit code as a shell has it, and what `look` saw when they had ended.

    Afterwards this process takes none of these signals any more. Raises as `on_instance` does.
    """
    with (
        _kept() as early,
        on_instance(world.machine, words, _environment(world, environ)) as child,
    ):
        world.command.begin(child, world.machine)
        # For good: what comes while the world is taken down would leave half of it behind.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED_FOR)
        for number in early:
            child.send_signal(number)
        code = _waited(child)
        return code if code >= 0 else _BY_SIGNAL - code, look()


def _environment(world: World, environ: Mapping[str, str]) -> dict[str, str]:
    """Root's on the instance, with the programs of this Python's environment before its own."""
    own = str(Path(sys.executable).parent)
    return {
        **command_variables(world, environ),
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "PATH": f"{own}:{SEARCH_PATH}",
    }


@contextmanager
def _kept() -> Iterator[list[int]]:
    """Signals that come before there is somebody for whom they are meant."""
    early: list[int] = []

    def keep(number: int, _frame: object) -> None:
        if number != signal.SIGINT or not os.isatty(0):
            early.append(number)

    # Nohup's are not for the command either.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, keep) for number in heard}
    try:
        yield early
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _waited(child: subprocess.Popen[bytes]) -> int:
    while (code := child.poll()) is None:
        told = signal.sigtimedwait(_ASKED_FOR, _PAUSE_SECONDS)
        if told is None or told.si_signo == signal.SIGCHLD:
            continue
        if told.si_signo != signal.SIGINT or told.si_code != _OF_KERNEL:
            child.send_signal(told.si_signo)
    return code
