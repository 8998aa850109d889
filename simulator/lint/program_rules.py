"""Rules on the file that is run, and on what it needs beside it."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.lint import boots
from simulator.lint.boot_report import BootReport
from simulator.lint.command_rules import is_dropped, stopped_by
from simulator.lint.execution import Obstacle
from simulator.lint.findings import Found, Severity
from simulator.lint.subject import Subject


def interpreter_missing(subject: Subject) -> Iterator[Found]:
    """A dynamic program without its loader, a script without its shell."""
    found = stopped_by(subject, Obstacle.INTERPRETER)
    if found is not None:
        stopped, place = found
        wrong = f"{stopped.path} needs {stopped.what!r}, which is not in the image"
        if stopped.what.endswith("\r"):
            wrong += (
                ": the line ends as on Windows (CR LF), and the CR counts as a part of the name"
            )
        yield Found(Severity.ERROR, wrong, place, _boot(subject))
    elif subject.files is None and subject.argv and not is_dropped(subject):
        text = subject.text(subject.argv[0], MOST_TEXT)
        if text is not None and text.startswith("#!") and text.split("\n", 1)[0].endswith("\r"):
            yield Found(
                Severity.WARNING,
                f"{subject.argv[0]} has lines that end as on Windows (CR LF): the kernel may look "
                "for an interpreter whose name ends in CR",
                subject.command.place if subject.command else None,
                boots.unfound(subject, may=True),
            )


MOST_TEXT = 1 << 18
"""Bytes of a script that is looked into."""


def no_program(subject: Subject) -> Iterator[Found]:
    """A file that the kernel cannot run."""
    found = stopped_by(subject, Obstacle.NO_PROGRAM)
    if found is not None:
        stopped, place = found
        yield Found(
            Severity.ERROR,
            f"{stopped.path} is neither an ELF program nor a script whose first line begins "
            "with #!",
            place,
            _boot(subject),
        )
    execution = subject.execution
    if execution is not None and execution.by_shell and not is_dropped(subject):
        yield Found(
            Severity.WARNING,
            f"{execution.path} has no first line with #!: nitro-cli's init gives it to /bin/sh, "
            "and another init may refuse it",
            subject.command.place if subject.command else None,
            _boot(subject),
        )


def wrong_architecture(subject: Subject) -> Iterator[Found]:
    """A program for another processor."""
    found = stopped_by(subject, Obstacle.ARCHITECTURE)
    if found is not None:
        stopped, place = found
        yield Found(
            Severity.ERROR,
            f"{stopped.path} is for {stopped.what}, and the image for {subject.architecture}",
            place,
            _boot(subject),
        )


def library_missing(subject: Subject) -> Iterator[Found]:
    """A shared library that is nowhere in the image."""
    found = stopped_by(subject, Obstacle.LIBRARY)
    if found is not None:
        stopped, place = found
        yield Found(
            Severity.ERROR,
            f"{stopped.path} needs the shared library {stopped.what}, and no file of the image has "
            "this name",
            place,
            _boot(subject),
        )


def ramdisk_incomplete(subject: Subject) -> Iterator[Found]:
    """An EIF without what init needs of it."""
    for path in subject.missing:
        yield Found(
            Severity.ERROR,
            f"there is no {path} in the application's ramdisk",
            None,
            boots.without(path),
        )


def _boot(subject: Subject) -> BootReport:
    return boots.predicted(subject) or boots.living(subject)
