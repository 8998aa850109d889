"""A Dockerfile as a subject: what its last stage sets, over what is known of its base image.

It follows any Dockerfile, also one that only an engine can build; what RUN makes it does not know.
Source: Docker's Dockerfile reference, and BuildKit's dispatch of CMD and ENTRYPOINT (an ENTRYPOINT
clears a CMD that the same stage did not set).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from simulator.images import ContainerImage, ImageConfig
from simulator.images.dockerfile import (
    BadDockerfile,
    Instruction,
    parse_dockerfile,
    raw_words,
)
from simulator.images.dockerfile import Words as Replaced
from simulator.lint.settings import settings
from simulator.lint.subject import Base, Form, Place, Subject, Text, Words

_SCRATCH = "scratch"
_SHELL = ("/bin/sh", "-c")
_MOST_SCRIPT = 1 << 18

_DISTROLESS = r"gcr\.io/distroless/"
_BASES: tuple[tuple[str, tuple[str, ...] | None, tuple[str, ...] | None], ...] = (
    (r"alpine", ("/bin/sh",), None),
    (r"busybox", ("sh",), None),
    (r"(?:.*/)?debian", ("bash",), None),
    (r"(?:.*/)?(?:ubuntu|amazonlinux|fedora|rockylinux|almalinux|centos)", ("/bin/bash",), None),
    (r"(?:.*/)?python", ("python3",), None),
    (r"(?:.*/)?(?:golang|rust|gcc|buildpack-deps)", ("bash",), None),
    (_DISTROLESS + r"python3\S*", None, ("/usr/bin/python3",)),
    (_DISTROLESS + r"java\S*", None, ("/usr/bin/java", "-jar")),
    (_DISTROLESS + r"nodejs\S*", None, ("/nodejs/bin/node",)),
)
"""Name, CMD and ENTRYPOINT of base images in wide use (inferred from their published Dockerfiles;
tags differ, so that what follows from it is `may`)."""


@dataclass
class _State:
    """What is set, from the first instruction of a stage to where we are."""

    base: Base
    escape: str = "\\"
    context: Path | None = None
    given: ImageConfig | None = None
    """The configuration of the base image, if the user has it."""
    cmd: Words | None = None
    cmd_is_own: bool = False
    """Whether this stage set CMD: only then does an ENTRYPOINT leave it."""
    entrypoint: Words | None = None
    empty_cmd: Place | None = None
    is_known: bool = True
    env: dict[str, Text] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    working_dir: Text | None = None
    user: Text | None = None
    ignored: dict[str, Text] = field(default_factory=dict)
    shell: tuple[str, ...] = _SHELL
    scripts: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return self.working_dir.value if self.working_dir is not None else "/"

    def replaced(self, text: str) -> str:
        """With variables filled in; as it stands where Docker would refuse it."""
        values = {name: value.value.partition("=")[2] for name, value in self.env.items()}
        try:
            return Replaced({**self.arguments, **values}, self.escape).replace(text)
        except ValueError:
            return text

    def pairs(self, arguments: str) -> list[tuple[str, str]]:
        """`NAME=VALUE ...` of ENV and ARG, and the old form `NAME VALUE` of ENV."""
        first, _, rest = arguments.partition(" ")
        if "=" not in first:
            return [(first, self.replaced(rest.strip()))]
        words = raw_words(arguments, self.escape)
        parted = (word.partition("=") for word in words)
        return [(name, self.replaced(value)) for name, _, value in parted]


def from_dockerfile(
    name: str, text: str, context: Path | None, base: ContainerImage | None = None
) -> Subject:
    """The subject of a Dockerfile; `base` is the image that it builds on. Raises BadDockerfile."""
    dockerfile = parse_dockerfile(text, name)
    known: dict[str, _State] = {}
    state: _State | None = None
    before = _State(
        Base("", is_empty=True), dockerfile.escape, context, base.config if base else None
    )
    for instruction in dockerfile.instructions:
        if instruction.keyword == "FROM":
            state = _begin(instruction, before, known)
        elif state is not None:
            _FOLLOW.get(instruction.keyword, _pass)(state, instruction)
        elif instruction.keyword == "ARG":
            _argument(before, instruction)
        else:
            raise BadDockerfile(
                name, instruction.line, f"{instruction.keyword} stands before the first FROM"
            )
    if state is None:
        raise BadDockerfile(name, 1, "there is no FROM in it")
    return _subject(name, state)


def _begin(instruction: Instruction, before: _State, known: dict[str, _State]) -> _State:
    words = instruction.arguments.split()
    state = _based(instruction, before, before.replaced(words[0]), known)
    number = sum(key.isdigit() for key in known)
    known[str(number)] = state
    if len(words) == 3 and words[1].upper() == "AS":  # BASE AS NAME.
        known[words[2].lower()] = state
    return state


def _based(
    instruction: Instruction, before: _State, base: str, known: Mapping[str, _State]
) -> _State:
    stage = known.get(base.lower()) if not base.isdigit() else None
    if stage is not None:
        return replace(
            stage,
            cmd_is_own=False,
            arguments={},
            env=dict(stage.env),
            ignored=dict(stage.ignored),
            scripts=dict(stage.scripts),
        )
    if base == _SCRATCH:
        return _State(Base(_SCRATCH, is_empty=True), before.escape, before.context)
    state = _State(Base(base, is_empty=False), before.escape, before.context, is_known=False)
    place = Place(f"the base image {base}", instruction.line)
    if before.given is not None:
        _inherit(state, before.given, place)
        return state
    for pattern, cmd, entrypoint in _BASES:
        if re.fullmatch(rf"(?:docker\.io/)?(?:library/)?{pattern}(?:[:@]\S*)?", base):
            state.cmd = Words(cmd, place, inherited=True) if cmd else None
            state.entrypoint = Words(entrypoint, place, inherited=True) if entrypoint else None
    return state


def _inherit(state: _State, config: ImageConfig, place: Place) -> None:
    inherited = settings(config)
    for name in ("cmd", "entrypoint"):
        words = inherited[name]
        if words is not None:
            setattr(state, name, Words(words.words, place, inherited=True))
    for name in ("working_dir", "user"):
        text = inherited[name]
        if text is not None:
            setattr(state, name, Text(text.value, place))
    state.env = {text.value.partition("=")[0]: Text(text.value, place) for text in inherited["env"]}
    state.ignored = {text.value: Text(text.value, place) for text in inherited["ignored"]}
    state.is_known = True


def _pass(state: _State, instruction: Instruction) -> None:
    """LABEL and such."""


def _argument(state: _State, instruction: Instruction) -> None:
    for name, value in state.pairs(instruction.arguments):
        state.arguments[name] = value


def _environment(state: _State, instruction: Instruction) -> None:
    for name, value in state.pairs(instruction.arguments):
        state.env[name] = Text(f"{name}={value}", _place(instruction))


def _working_directory(state: _State, instruction: Instruction) -> None:
    path = posixpath.join(state.folder, state.replaced(instruction.arguments))
    state.working_dir = Text(posixpath.normpath(path), _place(instruction))


def _user(state: _State, instruction: Instruction) -> None:
    state.user = Text(state.replaced(instruction.arguments), _place(instruction))


def _shell(state: _State, instruction: Instruction) -> None:
    state.shell = instruction.exec_form or state.shell


def _run(state: _State, _: Instruction) -> None:
    state.base = replace(state.base, runs=True)


def _ignore(state: _State, instruction: Instruction) -> None:
    name = instruction.keyword
    if name == "HEALTHCHECK" and instruction.arguments.upper() == "NONE":
        state.ignored.pop(name, None)
    else:
        state.ignored[name] = Text(name, _place(instruction))


def _command(state: _State, instruction: Instruction) -> None:
    words = _words(state, instruction)
    state.cmd_is_own = True
    state.cmd = words if words.words else None
    state.empty_cmd = None if words.words else words.place


def _entrypoint(state: _State, instruction: Instruction) -> None:
    words = _words(state, instruction)
    state.entrypoint = words if words.words else None
    if not state.cmd_is_own:
        state.cmd = None
    # What the base image may have is settled by it.
    state.is_known = state.is_known or state.cmd is not None or state.entrypoint is not None


def _words(state: _State, instruction: Instruction) -> Words:
    words = instruction.exec_form
    return Words(
        (*state.shell, instruction.arguments) if words is None else words, _place(instruction)
    )


def _place(instruction: Instruction) -> Place:
    return Place(f"{instruction.keyword} {instruction.arguments}", instruction.line)


def _copy(state: _State, instruction: Instruction) -> None:
    words = instruction.exec_form or tuple(raw_words(instruction.arguments, state.escape))
    *sources, last = [state.replaced(word) for word in words]
    target = posixpath.normpath(posixpath.join(state.folder, last))
    into = last.endswith("/") or last in {".", ".."} or len(sources) > 1
    arrivals = [target]
    for source in sources:
        name = posixpath.basename(source.rstrip("/"))
        _keep_script(state, instruction, source, (target, posixpath.join(target, name)))
        if into:
            arrivals.append(posixpath.join(target, name))
    state.base = replace(state.base, arrivals=(*state.base.arrivals, *arrivals))


def _keep_script(
    state: _State, instruction: Instruction, source: str, paths: Sequence[str]
) -> None:
    """The text of a file that is copied from the folder, under the names it may get."""
    text = _context_file(state.context, instruction, source)
    for path in paths:
        state.scripts.pop(path, None)
        if text is not None:
            state.scripts[path] = text


def _context_file(context: Path | None, instruction: Instruction, source: str) -> str | None:
    if context is None or instruction.flag("from") is not None or "://" in source:
        return None
    try:
        root = context.resolve()
        path = (root / source.lstrip("/")).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        text = path.read_bytes().decode() if path.stat().st_size <= _MOST_SCRIPT else None
    except (OSError, ValueError):
        return None
    return None if text is None or "\0" in text else text


_FOLLOW: Mapping[str, Callable[[_State, Instruction], None]] = {
    "ADD": _copy,
    "ARG": _argument,
    "CMD": _command,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _environment,
    "EXPOSE": _ignore,
    "HEALTHCHECK": _ignore,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _ignore,
    "USER": _user,
    "VOLUME": _ignore,
    "WORKDIR": _working_directory,
}


def _subject(name: str, state: _State) -> Subject:
    return Subject(
        name,
        Form.DOCKERFILE,
        cmd=state.cmd,
        entrypoint=state.entrypoint,
        is_known=state.is_known,
        env=tuple(state.env.values()),
        working_dir=state.working_dir,
        user=state.user,
        ignored=tuple(state.ignored.values()),
        base=state.base,
        scripts=state.scripts,
        empty_cmd=state.empty_cmd,
        undecided=tuple(_undecided(state)),
    )


def _undecided(state: _State) -> Sequence[str]:
    if state.cmd is None or state.cmd.inherited or state.entrypoint is not None:
        return ()
    if state.is_known:
        return ()
    sentence = (
        f"Whether {state.base.name} has an ENTRYPOINT, which this CMD drops: docker inspect "
        f"{json.dumps(state.base.name)} shows it."
    )
    return (sentence,)
