"""A how-to, read as what its reader does: a server to start, files to write, commands to run.

In `docs/how-to/*.md` a fenced block after a line that is a file's name in backquotes and a colon is
that file. A `sh` block is run, and a `text` block after it is what it prints, where `...` stands
for what is left out: lines, where it is one. The `console` blocks are what the reader does by hand:
start the server, and hand its addresses over in the variables of the lines
`$ export NAME=URL # KEY`, KEY being one of the server's ready line. A page on which nothing is
handed over may do without a server.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "how-to"

_BLOCK = re.compile(
    r"^(?:`(?P<name>[\w.-]+)`:\n\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SERVER = re.compile(r"^\$ attested-kms (serve .+)\n(\{.+\})$", re.MULTILINE)
_HANDED_OVER = re.compile(r"^\$ export (\w+)=\S+ +# (\w+)$", re.MULTILINE)
_END_OF_STEP = "-- end of step --"
_LEFT_OUT = "..."

_EACH_TIME_OTHERS = (
    (r"\bi-0[0-9a-f]{16}(-enc[0-9a-f]{15,16})?", "i-0"),
    (r'"ProcessID": \d+', '"ProcessID": 1'),
    (r"(?<=/err)[\d:T.+-]+(?=\.log)", "TIME"),
    (r"(?m)^\[ *\d+\.\d{6}\] ", "[TIME] "),
)
"""What no page can foretell of a parent instance: ids, processes, times."""


class Unreadable(Exception):
    """What is wrong with a how-to, as a reader would stumble over it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One block of commands, and what it prints to both outputs; None where that is not shown."""

    commands: str
    shown: str | None


@dataclass(frozen=True, slots=True)
class HowTo:
    """What one page tells its reader to do."""

    server: tuple[str, ...] | None
    """The arguments of `attested-kms`, if there is a server to start."""
    ready: frozenset[str]
    """The keys of its ready line."""
    handed_over: Mapping[str, str]
    """From a variable of the environment to the key of the ready line that it holds."""
    files: Mapping[str, str]
    steps: tuple[Step, ...]


def read(page: Path) -> HowTo:
    """The how-to in a Markdown file. Raises Unreadable."""
    text = page.read_text()
    files: dict[str, str] = {}
    steps: list[Step] = []
    for block in _BLOCK.finditer(text):
        kind, content = block["kind"], block["text"]
        if block["name"] is not None:
            files[block["name"]] = content
        elif kind == "sh":
            steps.append(Step(content, None))
        elif kind == "text" and steps and steps[-1].shown is None:
            steps[-1] = Step(steps[-1].commands, content)
        elif kind != "console":
            line = text.count("\n", 0, block.start()) + 1
            raise Unreadable(f"{page.name}, line {line}: neither a file, commands nor their output")
    server = _SERVER.search(text)
    handed_over = dict(_HANDED_OVER.findall(text))
    if server is None and handed_over:
        raise Unreadable(f"{page.name} does not say how to start the server and what it prints")
    return HowTo(
        server=None if server is None else tuple(shlex.split(server[1])),
        ready=frozenset() if server is None else frozenset(json.loads(server[2])),
        handed_over=handed_over,
        files=files,
        steps=tuple(steps),
    )


def follow(how_to: HowTo, folder: Path, environment: Mapping[str, str]) -> list[Step]:
    """The steps as they went, in one shell: the outputs are the real ones.

    Output that the page does not show is left out, unless its commands fail: then the shell ends
    there, and that is the last step.
    """
    for name, content in how_to.files.items():
        (folder / name).write_text(content)
    output = _shell(_script(how_to.steps), folder, environment)
    printed = output.split(f"\n{_END_OF_STEP}\n")
    went = [
        Step(step.commands, None if step.shown is None else _without_edges(text))
        for step, text in zip(how_to.steps, printed[:-1], strict=False)
    ]
    if len(went) < len(how_to.steps):
        went.append(Step(how_to.steps[len(went)].commands, _without_edges(printed[-1])))
    return went


def _script(steps: Sequence[Step]) -> str:
    """All steps for one shell, so that a variable lives on; what shows no output must succeed."""
    lines = ["set -o pipefail"]
    for step in steps:
        checks = ("set -e", "set +e") if step.shown is None else ("", "")
        lines += [checks[0], step.commands, checks[1], f"printf '\\n%s\\n' '{_END_OF_STEP}'"]
    return "\n".join(lines)


def _shell(script: str, folder: Path, environment: Mapping[str, str]) -> str:
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            return shell.communicate()[0]
        finally:  # Also when the test's time is over: npm and its like would go on.
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)


def as_shown(how_to: HowTo) -> list[Step]:
    """The steps as the page shows them, to be compared with how they went."""
    return [
        Step(step.commands, None if step.shown is None else _without_edges(step.shown))
        for step in how_to.steps
    ]


def is_as_shown(printed: str | None, shown: str | None) -> bool:
    """Whether a step printed what the page shows, but for what is other each time."""
    if printed is None or shown is None:
        return printed == shown
    lines = _settled(shown).splitlines()
    pattern = "".join(
        r"(?:.*\n)*"
        if line == _LEFT_OUT
        else ".*".join(re.escape(part) for part in line.split(_LEFT_OUT)) + "\n"
        for line in lines
    )
    return re.fullmatch(pattern, f"{_settled(printed)}\n") is not None


def _settled(text: str) -> str:
    for pattern, constant in _EACH_TIME_OTHERS:
        text = re.sub(pattern, constant, text)
    return text


def _without_edges(text: str) -> str:
    """Without blank lines at the ends and blanks at the lines' ends: no page shows those."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
