"""Rules on which command an enclave runs, and where it is looked for."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.lint import boot_report, boots
from simulator.lint.boot_report import LOOKUP, BootReport
from simulator.lint.execution import Obstacle, Stopped, absolute
from simulator.lint.files import MOUNTED
from simulator.lint.findings import Found, Severity
from simulator.lint.subject import Form, Place, Subject, Words

_FOLDERS = ", ".join(LOOKUP)


def no_command(subject: Subject) -> Iterator[Found]:
    """Neither CMD nor ENTRYPOINT."""
    if subject.is_known and subject.command is None and subject.form is not Form.EIF:
        yield Found(
            Severity.ERROR,
            "the image has neither CMD nor ENTRYPOINT",
            subject.empty_cmd,
            boot_report.not_built(boots.dropped(subject)),
        )


def entrypoint_dropped(subject: Subject) -> Iterator[Found]:
    """Bug 1 of the field notes."""
    cmd, entrypoint = subject.cmd, subject.entrypoint
    if not is_dropped(subject) or cmd is None or entrypoint is None:
        return
    wrong = f"{_shown(entrypoint)} is dropped, and {_shown(cmd)} is run alone"
    first = subject.argv[0]
    boot = boots.predicted(subject)
    if boot is not None:
        severity = Severity.ERROR if boot.is_dead else Severity.WARNING
        yield Found(severity, wrong, entrypoint.place, boot)
    elif first.startswith("-") or subject.has(first) is False:
        yield Found(Severity.ERROR, wrong, entrypoint.place, boots.unfound(subject, may=False))
    elif first.startswith("/"):
        yield Found(Severity.WARNING, wrong, entrypoint.place, boots.living(subject))
    else:
        yield Found(
            Severity.ERROR,
            f"{wrong}; {first} may be no program that init finds",
            entrypoint.place,
            boots.unfound(subject, may=True),
        )


def is_dropped(subject: Subject) -> bool:
    """Whether an ENTRYPOINT stands beside a CMD that has words."""
    return bool(subject.cmd and subject.cmd.words and subject.entrypoint)


def empty_command(subject: Subject) -> Iterator[Found]:
    """An empty list where a command should be."""
    command = subject.command
    if command is not None and not command.words:
        boot = boots.predicted(subject) or boots.living(subject)
        severity = Severity.ERROR if boot.is_dead else Severity.WARNING
        yield Found(severity, "the command is the empty list, so init runs sh", command.place, boot)
    elif subject.empty_cmd is not None and command is not None:
        yield Found(
            Severity.WARNING,
            "a builder may keep the empty CMD as an empty list instead of leaving it out, and "
            "then init runs sh",
            subject.empty_cmd,
            boot_report.runs(boot_report.DEFAULT_COMMAND, dropped=(str(command.place),)),
        )


def not_a_list(subject: Subject) -> Iterator[Found]:
    """A list that is no JSON, which Docker takes for the text of a shell."""
    command = subject.command
    if command is None or len(command.words) < 2:  # A shell and its text.
        return
    *shell, text = command.words
    if shell[-1] == "-c" and text.startswith("[") and text.rstrip().endswith("]"):
        yield Found(
            Severity.ERROR,
            f"{text} is no JSON list, so Docker gives it to a shell as a command; it may be the "
            "single quotes",
            command.place,
            boots.ending(subject, 127, f"<{shell[0]}: not found>"),
        )


def inherited_command(subject: Subject) -> Iterator[Found]:
    """The base image's command is what runs."""
    command = subject.command
    if command is not None and command.inherited:
        yield Found(
            Severity.WARNING,
            f"the command {'is' if subject.is_known else 'may be'} that of the base image, "
            f"{list(command.words)}",
            command.place,
            boots.living(subject),
        )


def argument_newline(subject: Subject) -> Iterator[Found]:
    """A line break in an argument or in the environment."""
    command = subject.command
    if command is not None and any("\n" in word for word in command.words):
        boot = boots.predicted(subject) or boots.living(subject)
        yield Found(
            Severity.ERROR if boot.is_dead else Severity.WARNING,
            f"an argument has a line break, so {len(command.words)} words become "
            f"{len(subject.argv)} arguments",
            command.place,
            boot,
        )
    for text in subject.env:
        if "\n" in text.value:
            name = text.value.partition("=")[0]
            yield Found(
                Severity.WARNING,
                f"the value of {name} has a line break: it ends there, and the rest becomes "
                "entries of their own",
                text.place,
                boots.living(subject),
            )


def relative_command(subject: Subject) -> Iterator[Found]:
    """A path that is not absolute."""
    command = _own_command(subject)
    if command is None or "/" not in subject.argv[0] or subject.argv[0].startswith("/"):
        return
    path = absolute(subject.argv[0])
    wrong = f"{subject.argv[0]} is looked for in /, as {path}"
    folder = subject.working_dir
    if folder is not None:
        wrong += f", and not in {folder.value}"
    match subject.has(path):
        case None:
            wrong += "; it may not be there"
            yield Found(Severity.WARNING, wrong, command.place, boots.unfound(subject, may=True))
        case False:
            yield Found(
                Severity.ERROR,
                f"{wrong}, where it is not",
                command.place,
                boots.unfound(subject, may=False),
            )


def not_in_path(subject: Subject) -> Iterator[Found]:
    """A program that only the image's PATH finds."""
    command = _own_command(subject)
    if command is None or "/" in subject.argv[0]:
        return
    name = subject.argv[0]
    stopped = _stopped(subject, Obstacle.NOT_FOUND)
    if stopped is not None and subject.executor is not None:
        elsewhere = subject.executor.elsewhere(name)
        where = f"PATH of the image finds it as {elsewhere}" if elsewhere else "nor in PATH"
        yield _not_found(subject, command, f"{name} is not in {_FOLDERS}; {where}", may=False)
    elif subject.files is None:
        known = [subject.has(f"{folder}/{name}") for folder in LOOKUP]
        if all(has is False for has in known):
            yield _not_found(subject, command, f"{name} is not in {_FOLDERS}", may=False)
        elif (folder := _arrives_elsewhere(subject, name)) is not None:
            wrong = f"{name} may be in {folder} only, and not in {_FOLDERS}"
            yield _not_found(subject, command, wrong, may=True)


def _not_found(subject: Subject, command: Words, wrong: str, *, may: bool) -> Found:
    severity = Severity.WARNING if may else Severity.ERROR
    return Found(severity, wrong, command.place, boots.unfound(subject, may=may))


_IN_LOCAL_BIN = {
    "python": {"python", "python3", "pip", "gunicorn", "uvicorn", "flask"},
    "node": {"node", "npm", "npx", "yarn"},
    "golang": {"go"},
    "ruby": {"ruby", "bundle", "rails"},
}
"""What Docker's images of these languages have in /usr/local/bin (/usr/local/go/bin)."""


def _arrives_elsewhere(subject: Subject, name: str) -> str | None:
    """Where a Dockerfile is likely to put the program, if not where init looks."""
    if subject.base is None:
        return None
    for arrival in reversed(subject.base.arrivals):
        folder, _, last = arrival.rpartition("/")
        if last == name and folder not in LOOKUP:
            return folder or "/"
    language = subject.base.name.rpartition("/")[2].partition(":")[0]
    if name in _IN_LOCAL_BIN.get(language, set()) and not subject.base.is_empty:
        return "/usr/local/bin"
    return None


def command_missing(subject: Subject) -> Iterator[Found]:
    """A full path at which there is nothing."""
    command = _own_command(subject)
    if command is None or not subject.argv[0].startswith("/") or _is_shell_form(subject):
        return
    path = subject.argv[0]
    if _stopped(subject, Obstacle.MISSING) is not None or (
        subject.files is None and subject.has(path) is False and not _is_mounted_over(path)
    ):
        yield Found(
            Severity.ERROR,
            f"there is no {path} in the image",
            command.place,
            boots.unfound(subject, may=False),
        )


def command_hidden(subject: Subject) -> Iterator[Found]:
    """A program in a folder that init mounts over."""
    command = _own_command(subject)
    if command is None or not subject.argv[0].startswith("/"):
        return
    path = subject.argv[0]
    if _stopped(subject, Obstacle.HIDDEN) is not None or (
        subject.files is None and _is_mounted_over(path)
    ):
        yield Found(
            Severity.ERROR,
            f"{path} is hidden by an empty filesystem that init mounts",
            command.place,
            boots.unfound(subject, may=False),
        )


def _is_mounted_over(path: str) -> bool:
    return any(path.startswith(f"{mounted}/") for mounted in MOUNTED)


def not_executable(subject: Subject) -> Iterator[Found]:
    """A file without the permission, or a directory."""
    stopped = _stopped(subject, Obstacle.NOT_EXECUTABLE)
    if stopped is not None and subject.command is not None:
        yield Found(
            Severity.ERROR,
            f"{stopped.path} is a directory, or has no x in its mode",
            subject.command.place,
            _boot(subject),
        )


def shell_missing(subject: Subject) -> Iterator[Found]:
    """The shell form in an image without a shell."""
    command = _own_command(subject)
    if command is None or not _is_shell_form(subject):
        return
    shell = subject.argv[0]
    missing = _stopped(subject, Obstacle.MISSING) is not None
    if missing or (subject.files is None and subject.has(shell) is False):
        yield Found(
            Severity.ERROR,
            f"the command is in the shell form, and there is no {shell} in the image",
            command.place,
            boots.unfound(subject, may=False),
        )


def _is_shell_form(subject: Subject) -> bool:
    return len(subject.argv) > 2 and subject.argv[1] == "-c"  # And its text.


def _own_command(subject: Subject) -> Words | None:
    """The command, unless another rule speaks of it: it is empty or only a part of one."""
    command = subject.command
    if command is None or not command.words or is_dropped(subject):
        return None
    return command


def _stopped(subject: Subject, obstacle: Obstacle) -> Stopped | None:
    execution = subject.execution
    if execution is None or execution.stopped is None:
        return None
    return execution.stopped if execution.stopped.obstacle is obstacle else None


def _boot(subject: Subject) -> BootReport:
    return boots.predicted(subject) or boots.living(subject)


def _shown(words: Words) -> str:
    place = words.place
    return place.text if place.line is None else f"{place.text} (line {place.line})"


def stopped_by(subject: Subject, *obstacles: Obstacle) -> tuple[Stopped, Place | None] | None:
    """What stops the command, if it is one of these, and where the command stands."""
    for obstacle in obstacles:
        stopped = _stopped(subject, obstacle)
        if stopped is not None and not is_dropped(subject):
            return stopped, subject.command.place if subject.command else None
    return None
