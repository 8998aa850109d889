"""The boot that an image would give, as far as it can be told."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from dataclasses import replace

from simulator.lint import boot_report
from simulator.lint.boot_report import BootReport
from simulator.lint.subject import Subject


def dropped(subject: Subject) -> tuple[str, ...]:
    """What of an image an enclave does not regard, each with its line."""
    return tuple(_dropped(subject))


def _dropped(subject: Subject) -> Iterator[str]:
    if subject.cmd is not None and subject.entrypoint is not None:
        yield str(subject.entrypoint.place)
    for text in (subject.working_dir, subject.user, *subject.ignored):
        if text is not None:
            yield str(text.place)


def living(subject: Subject) -> BootReport:
    """Of a command that comes to run."""
    return boot_report.runs(subject.argv, dropped=dropped(subject))


def ending(subject: Subject, status: int, *says: str) -> BootReport:
    """Of a command that may end."""
    return boot_report.ended(subject.argv, status, says=says, dropped=dropped(subject), may=True)


def unfound(subject: Subject, *, may: bool) -> BootReport:
    """Of a command that is not where it is looked for."""
    return boot_report.not_started(subject.argv, errno.ENOENT, dropped=dropped(subject), may=may)


def predicted(subject: Subject) -> BootReport | None:
    """What the files say of the boot; None where they are not known."""
    if subject.missing:
        return without(subject.missing[0])
    if subject.is_known and subject.command is None:
        return boot_report.not_built()
    execution = subject.execution
    if execution is None:
        return None
    if execution.stopped is None:
        return living(subject)
    return replace(execution.stopped.report(subject.argv), dropped=dropped(subject))


def without(path: str) -> BootReport:
    """Of an EIF whose ramdisk lacks something that init needs.

    init says /env of both files, and then closes what it has not opened.
    """
    if path in {"/cmd", "/env"}:
        return boot_report.init_dies(
            "Could not open /env file: No such file or directory", signal.SIGSEGV
        )
    inside = path.removeprefix("/rootfs")
    return boot_report.init_dies(f"mount: {inside}: No such file or directory", errno.ENOENT << 8)
