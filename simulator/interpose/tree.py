"""The processes of a run: who gets its signals, and how all of them end."""

from __future__ import annotations

import itertools
import os
import random
import resource
import shutil
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

from simulator.interpose import kernel
from simulator.interpose.files import children

FORWARDED = frozenset(
    {
        *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
        *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM),
    }
)
"""What a run passes on to its program."""

_LAST_STANDARD = 2
_OPEN_TO_OWNER = 0o700
_FROM_KERNEL = 128
"""SI_KERNEL: from the terminal, say, to everybody in its group (sigaction(2))."""


def take_standard_numbers() -> list[int]:
    """Open the null device where a standard stream is closed; the descriptors, if any.

    Else something of ours would have its number, and get what is written there. They are not
    inherited: a program finds those streams as closed as they were.
    """
    taken = []
    while (descriptor := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= _LAST_STANDARD:
        taken.append(descriptor)
    os.close(descriptor)
    return taken


def inherited_descriptors() -> tuple[int, ...]:
    """The descriptors beside the standard ones that this process passes on to its programs."""
    kept = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # The listing's own.
            if int(name) > _LAST_STANDARD and os.get_inheritable(int(name)):
                kept.append(int(name))
    return tuple(sorted(kept))


def let_go_of_inherited() -> None:
    """Close those descriptors: the program has them, and what it closes shall be closed."""
    for descriptor in inherited_descriptors():
        os.close(descriptor)


def any_processor() -> int | None:
    """One of those that this process may run on; None where a system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return random.choice(sorted(os.sched_getaffinity(0)))  # noqa: S311  # Parallel runs spread.


def stay_on(processor: int | None) -> None:
    """Run this thread on one processor alone.

    The supervisor and the thread of the NSM wake each other for every request. On two processors
    each would first have to wake from its sleep: with both on one a request took half the time.
    """
    if processor is not None:
        with suppress(OSError):  # It has been taken from us: then anywhere.
            os.sched_setaffinity(0, {processor})


def adopt() -> None:
    """Become the parent of descendants that lose theirs, so that none is lost sight of."""
    kernel.adopt_orphans()


def was_sent_to_us(code: int) -> bool:
    """Whether a signal with this si_code was sent to this process, not to the whole group."""
    return code != _FROM_KERNEL


def end_descendants() -> None:
    """Kill every descendant of this process and wait for it. Needs `adopt` before."""
    while living := list(children(os.getpid())):
        for process in living:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for process in living:
            with suppress(ChildProcessError):
                os.waitpid(process, 0)


def reap_orphans(program: int) -> None:
    """Wait for adopted processes that have ended, but not for `program`."""
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == program:
                break
            os.waitpid(ended.si_pid, 0)


def raise_descriptor_limit() -> None:
    """Let this process have as many descriptors as it may: each who waits in accept takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def remove(folders: Iterable[str]) -> None:
    """Remove folders and what is in them, as far as that can be done."""
    for folder in folders:
        with suppress(RecursionError):
            shutil.rmtree(folder, ignore_errors=True)
        if os.path.isdir(folder):
            with suppress(OSError):
                _remove_stubborn(folder)


def _remove_stubborn(folder: str) -> None:
    """Remove a folder that programs have left folders in: closed to their owner, or too deep.

    What is in a folder of it comes up to it, so that no path is longer than two names.
    """
    numbers = itertools.count()
    while names := [entry.name for entry in os.scandir(folder)]:
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
                continue
            os.chmod(path, _OPEN_TO_OWNER)
            for below in os.listdir(path):
                inner = os.path.join(path, below)
                if os.path.isdir(inner) and not os.path.islink(inner):
                    os.chmod(inner, _OPEN_TO_OWNER)  # Else it cannot be moved.
                    os.rename(inner, os.path.join(folder, f"below.{next(numbers)}"))
                else:
                    os.unlink(inner)
            os.rmdir(path)
    os.rmdir(folder)


def end_as(status: int) -> NoReturn:
    """End this process as one with this wait status ended, without a second core file."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
        os._exit(128 + number)  # Somebody has made this process immune to it.
    os._exit(os.waitstatus_to_exitcode(status))
