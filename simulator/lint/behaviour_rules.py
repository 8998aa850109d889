"""Rules on what the program is likely to do: end, be silent, look for files or a network.

All of them conclude from names and from the texts of scripts, so their findings say `may`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from simulator.lint import boots
from simulator.lint.behaviour import (
    INTERPRETERS,
    SHELLS,
    is_one_shot,
    reads_the_console,
    why_it_ends,
)
from simulator.lint.boot_report import BootReport
from simulator.lint.command_rules import is_dropped
from simulator.lint.execution import absolute
from simulator.lint.findings import Found, Severity
from simulator.lint.program_rules import MOST_TEXT
from simulator.lint.shell_text import Command, Shell, goes_on, read_shell, unwrapped
from simulator.lint.subject import Place, Subject

_DEEPEST = 3
_TO_CONSOLE = re.compile(
    r"/dev/(?:console|stdout|stderr|tty\w*|fd/[12]|kmsg)$|/proc/(?:1|self)/fd/[12]$|&"
)
_LOG_OPTION = re.compile(
    r"--(?:log-?file|logfile|error-?log|access-?log|log-path|log-dir)(?:=(?P<file>.*))?$"
)
_SYSLOG_OPTION = re.compile(r"--(?:use-)?syslog$|--log(?:-\w+)*=(?:syslog|journald)$")
_ADDRESS = re.compile(r"(?<![\w.])(?:127\.0\.0\.1|0\.0\.0\.0|localhost|\[::1?\])(?![\w.])")
_LOOPBACK_UP = re.compile(r"\b(?:ip\s+.*\blo\b.*\bup\b|ifconfig\s+lo\b|ifup\s+lo\b)")
_SOURCE_FILE = re.compile(r"[\w./-]+\.(?:py|js|mjs|cjs|ts|rb|pl|php|sh|jar)$")
_SOURCE_TAKERS = INTERPRETERS | {"java"}


def exits(subject: Subject) -> Iterator[Found]:
    """A main process that ends."""
    shell = _main(subject)
    if shell is None:
        return
    why = why_it_ends(shell)
    if why is not None:
        yield _found(subject, f"the main process may end soon: {why}", boots.ending(subject, 0))


def reads_console(subject: Subject) -> Iterator[Found]:
    """A shell without anything to do."""
    shell = _main(subject)
    command = subject.command
    if shell is None or command is None or command.inherited or not command.words:
        return
    if not shell.commands:
        return
    last = shell.commands[-1]
    if reads_the_console(last) and not last.background:
        yield _found(
            subject,
            f"{' '.join(last.words)} reads commands from the console, where nobody types; it may "
            "wait for ever or end",
            boots.living(subject),
        )


def relative_argument(subject: Subject) -> Iterator[Found]:
    """An interpreter whose program is named by a relative path."""
    shell = _main(subject)
    for command in shell.commands if shell is not None else ():
        path = _source_file(command)
        if path is None or path.startswith("/"):
            continue
        where = absolute(path)
        folder = subject.working_dir.value if subject.working_dir is not None else "/"
        has = subject.has(where)
        if has or (has is None and folder == "/"):
            continue
        said = f"<{command.name} says that it cannot open {where}>"
        there = "it is not there" if has is False else "it may not be there"
        yield _found(
            subject,
            f"{command.name} may look for {path} in /, as {where}, and {there}",
            boots.ending(subject, 2, said),
            Severity.ERROR if has is False else Severity.WARNING,
        )


def _source_file(command: Command) -> str | None:
    """The file that an interpreter is given as its program."""
    if command.name not in _SOURCE_TAKERS:
        return None
    for word in command.words[1:]:
        if word in {"-c", "-m", "-e", "-cp", "-classpath", "--eval"}:
            return None
        if _SOURCE_FILE.fullmatch(word):
            return word
        if not word.startswith("-"):
            return None
    return None


def output_elsewhere(subject: Subject) -> Iterator[Found]:
    """Output that never comes to the console."""
    shell = _main(subject)
    for command in shell.commands if shell is not None else ():
        where = _where_output_goes(command)
        if where is not None:
            yield _found(
                subject,
                f"the output of {command.name} may be only in {where}",
                boots.living(subject),
            )


def _where_output_goes(command: Command) -> str | None:
    if command.name == "exec" or not is_one_shot(command):
        for target in command.outputs:
            if not _TO_CONSOLE.match(target):
                return target
    words = command.words
    for number, word in enumerate(words):
        if _SYSLOG_OPTION.fullmatch(word):
            return "syslog, which nobody reads there"
        option = _LOG_OPTION.fullmatch(word)
        if option:
            following = words[number + 1] if number + 1 < len(words) else "-"
            file = option["file"] if option["file"] is not None else following
            if file.startswith(("/", ".")) and not _TO_CONSOLE.match(file):
                return file
    if command.piped_to == "logger":
        return "syslog, which nobody reads there"
    return None


def no_network(subject: Subject) -> Iterator[Found]:
    """An address of a network that is not there."""
    text = _whole_text(subject)
    found = _ADDRESS.search(text)
    if found is not None and not _LOOPBACK_UP.search(text):
        yield _found(
            subject,
            f"it uses {found[0]}: nothing outside reaches it there, and the loopback interface is "
            "down, so that it may fail inside too",
            boots.living(subject),
        )


def _whole_text(subject: Subject) -> str:
    texts = [" ".join(subject.argv)]
    for word in subject.argv[:3]:
        text = subject.text(word, MOST_TEXT) if "/" in word and "\n" not in word else None
        if text is not None and text.startswith("#!"):
            lines = text.splitlines()
            texts.append("\n".join(line for line in lines if not line.lstrip().startswith("#")))
    return "\n".join(texts)


def _found(
    subject: Subject,
    wrong: str,
    boot: BootReport,
    severity: Severity = Severity.WARNING,
) -> Found:
    place: Place | None = subject.command.place if subject.command is not None else None
    return Found(severity, wrong, place, boot)


def _main(subject: Subject) -> Shell | None:
    """What the main process does, as far as its command or its script tells.

    None where it never starts, so that other rules speak of it, or where it cannot be told.
    """
    if not subject.argv or (is_dropped(subject) and subject.argv[0].startswith("-")):
        return None
    execution = subject.execution
    if execution is not None and execution.stopped is not None:
        return None
    return _followed(subject, subject.argv)


def _followed(subject: Subject, argv: Sequence[str], depth: int = 0) -> Shell | None:
    command = unwrapped(Command(tuple(argv)))
    text = _script_of(subject, command)
    if text is None:
        return Shell((command,), goes_on(command), ends_in_block=False)
    shell = read_shell(text)
    if shell is not None and len(shell.commands) == 1 and depth < _DEEPEST:
        (only,) = shell.commands
        if not only.background and not only.outputs and not shell.is_endless:
            return _followed(subject, only.words, depth + 1)
    return shell


def _script_of(subject: Subject, command: Command) -> str | None:
    """The text that a shell is to run, given as an argument or in a file."""
    words = command.words
    if not words:
        return None
    if command.name in SHELLS:
        for number, word in enumerate(words[1:], 1):
            if word.startswith("-") and word.endswith("c") and not word.startswith("--"):
                return words[number + 1] if number + 1 < len(words) else None
            if not word.startswith("-"):
                return subject.text(absolute(word), MOST_TEXT)
        return None
    text = subject.text(words[0], MOST_TEXT) if "/" in words[0] else None
    if text is None or not text.startswith("#!"):
        return None
    interpreter = text[2:].split("\n", 1)[0].split()
    names = {word.rpartition("/")[2] for word in interpreter[:2]}
    return text if names & SHELLS else None
