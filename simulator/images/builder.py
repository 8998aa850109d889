"""Building an image from a Dockerfile as far as that needs no engine.

All instructions but RUN, which would run a program of the image, and ADD from the network. Stages,
COPY --from, variables and .dockerignore are followed; of the builder's own rules those that an
enclave notices: CMD [] and ENTRYPOINT [] leave nothing behind (BuildKit omits empty lists), and an
ENTRYPOINT clears the CMD of the base image, not one that the same stage has set (documented).

What is copied belongs to root and has the time that linuxkit gives to files, so that the same files
always make the same image.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from simulator.images.config import ImageConfig
from simulator.images.contents import Literal
from simulator.images.context import context_tree
from simulator.images.copying import Target, changed_by, matches, shared
from simulator.images.dockerfile import (
    BadDockerfile,
    Dockerfile,
    Instruction,
    Words,
    parse_dockerfile,
)
from simulator.images.errors import BadImage
from simulator.images.folders import MTIME
from simulator.images.image import ContainerImage, folder_image, host_architecture
from simulator.images.layers import Budget
from simulator.images.tree import Kind, Limits, Node, Tree

_SCRATCH = "scratch"
_DOCKERFILE = "Dockerfile"
_SHELL = ("/bin/sh", "-c")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What BuildKit sets where no base image has a PATH (inferred)."""


class Images(Protocol):
    """Where base images are looked up."""

    def find(self, uri: str) -> ContainerImage | None:
        """The image with this name."""


@dataclass(slots=True)
class _Stage:
    """A stage while it is built."""

    name: str | None
    config: ImageConfig
    tree: Tree
    shell: tuple[str, ...] = _SHELL
    sets_cmd: bool = False
    arguments: dict[str, str] = field(default_factory=dict)


def build_dockerfile(
    folder: Path,
    images: Images,
    *,
    limits: Limits | None = None,
    arguments: Mapping[str, str] | None = None,
    dockerfile: Path | None = None,
) -> ContainerImage:
    """Build the image of the `Dockerfile` in a folder, or of another; `arguments` are for its ARG.

    Raises BadImage, whose message names the line.
    """
    path = dockerfile or folder / _DOCKERFILE
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadImage(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadImage(f"{path} is not text in UTF-8") from error
    parsed = parse_dockerfile(text, str(path))
    return _Build(folder, parsed, images, Budget(limits or Limits()), arguments or {}).run()


class _Build:
    def __init__(
        self,
        folder: Path,
        dockerfile: Dockerfile,
        images: Images,
        budget: Budget,
        given: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._dockerfile = dockerfile
        self._images = images
        self._budget = budget
        self._given = given
        self._platform = {
            "TARGETPLATFORM": f"linux/{host_architecture()}",
            "TARGETOS": "linux",
            "TARGETARCH": host_architecture(),
        }
        self._global: dict[str, str] = dict(self._platform)
        self._stages: list[_Stage] = []
        self._context: Tree | None = None

    def run(self) -> ContainerImage:
        for instruction in self._dockerfile.instructions:
            try:
                self._follow(instruction)
            except BadDockerfile:
                raise
            except ValueError as error:
                raise self._bad(instruction, str(error)) from error
        if not self._stages:
            raise BadDockerfile(self._dockerfile.source, 1, "there is no FROM in it")
        last = self._stages[-1]
        return folder_image(str(self._folder), last.config, last.tree)

    def _bad(self, instruction: Instruction, message: str) -> BadDockerfile:
        return BadDockerfile(self._dockerfile.source, instruction.line, message)

    def _follow(self, instruction: Instruction) -> None:
        if instruction.keyword == "FROM":
            self._stages.append(self._new_stage(instruction))
        elif instruction.keyword == "ARG" and not self._stages:
            self._argument(instruction, self._global, self._global)
        elif not self._stages:
            raise self._bad(instruction, f"{instruction.keyword} stands before the first FROM")
        else:
            _INSTRUCTIONS[instruction.keyword](self, self._stages[-1], instruction)

    def _new_stage(self, instruction: Instruction) -> _Stage:
        words = self._words(self._global).split(instruction.arguments)
        match words:
            case [base]:
                name = None
            case [base, as_, name] if as_.upper() == "AS":
                name = name.lower()
            case _:
                raise self._bad(instruction, "FROM takes an image, and AS with a name")
        earlier = self._stage_named(base)
        if earlier is not None:
            return _Stage(name, earlier.config, earlier.tree.copy(), earlier.shell)
        if base == _SCRATCH:
            return _Stage(name, _scratch(), Tree())
        image = self._images.find(base)
        if image is None:
            raise self._bad(
                instruction,
                f"there is no image {base} here, and nothing is fetched; save it with `docker save "
                f"{base} -o base.tar`, and load it with `attested-kms machine load base.tar`",
            )
        return _Stage(name, image.config, image.tree.copy())

    def _stage_named(self, name: str) -> _Stage | None:
        return next((one for one in reversed(self._stages) if one.name == name.lower()), None)

    def _words(self, variables: Mapping[str, str]) -> Words:
        return Words(variables, self._dockerfile.escape)

    def _here(self, stage: _Stage) -> Words:
        """Words in a stage: what ENV sets goes before ARG."""
        environment = dict(line.split("=", 1) for line in stage.config.env if "=" in line)
        return self._words(stage.arguments | environment)

    def _argument(
        self, instruction: Instruction, variables: dict[str, str], seen: Mapping[str, str]
    ) -> None:
        for word in self._words(seen).split(instruction.arguments):
            name, has_default, default = word.partition("=")
            if name in self._given:
                variables[name] = self._given[name]
            elif has_default:
                variables[name] = default
            elif name in self._global:
                variables[name] = self._global[name]

    def arg(self, stage: _Stage, instruction: Instruction) -> None:
        environment = dict(line.split("=", 1) for line in stage.config.env if "=" in line)
        self._argument(instruction, stage.arguments, stage.arguments | environment)

    def env(self, stage: _Stage, instruction: Instruction) -> None:
        env = {line.partition("=")[0]: line for line in stage.config.env}
        for name, value in self._pairs(stage, instruction):
            env[name] = f"{name}={value}"
        stage.config = replace(stage.config, env=tuple(env.values()))

    def label(self, stage: _Stage, instruction: Instruction) -> None:
        labels = dict(stage.config.labels) | dict(self._pairs(stage, instruction))
        stage.config = replace(stage.config, labels=labels)

    def _pairs(self, stage: _Stage, instruction: Instruction) -> Iterator[tuple[str, str]]:
        words = self._here(stage)
        split = words.split(instruction.arguments)
        if "=" not in split[0]:
            # The old form, of one name and the rest of the line.
            name, _, value = instruction.arguments.partition(" ")
            yield name, words.replace(value.strip())
            return
        for word in split:
            name, has_value, value = word.partition("=")
            if not has_value or not name:
                raise self._bad(instruction, f"{word} is not of the form NAME=VALUE")
            yield name, value

    def cmd(self, stage: _Stage, instruction: Instruction) -> None:
        stage.config = replace(stage.config, cmd=self._command(stage, instruction) or None)
        stage.sets_cmd = True

    def entrypoint(self, stage: _Stage, instruction: Instruction) -> None:
        command = self._command(stage, instruction) or None
        cmd = stage.config.cmd if stage.sets_cmd else None
        stage.config = replace(stage.config, entrypoint=command, cmd=cmd)

    def _command(self, stage: _Stage, instruction: Instruction) -> tuple[str, ...]:
        if instruction.exec_form is not None:
            return instruction.exec_form
        return (*stage.shell, instruction.arguments)

    def workdir(self, stage: _Stage, instruction: Instruction) -> None:
        given = self._here(stage).replace(instruction.arguments)
        path = posixpath.normpath(posixpath.join("/", stage.config.working_dir, given))
        stage.config = replace(stage.config, working_dir=path)
        made = stage.tree.make_directory(path)
        made.mtime = MTIME

    def user(self, stage: _Stage, instruction: Instruction) -> None:
        user = self._here(stage).replace(instruction.arguments)
        stage.config = replace(stage.config, user=user)

    def expose(self, stage: _Stage, instruction: Instruction) -> None:
        ports = [
            port if "/" in port else f"{port}/tcp"
            for port in self._here(stage).split(instruction.arguments)
        ]
        known = stage.config.exposed_ports
        stage.config = replace(stage.config, exposed_ports=tuple(dict.fromkeys((*known, *ports))))

    def volume(self, stage: _Stage, instruction: Instruction) -> None:
        given = instruction.exec_form or self._here(stage).split(instruction.arguments)
        known = stage.config.volumes
        stage.config = replace(stage.config, volumes=tuple(dict.fromkeys((*known, *given))))

    def stopsignal(self, stage: _Stage, instruction: Instruction) -> None:
        signal = self._here(stage).replace(instruction.arguments)
        stage.config = replace(stage.config, stop_signal=signal)

    def healthcheck(self, stage: _Stage, instruction: Instruction) -> None:
        if instruction.arguments.upper() == "NONE":
            test = ["NONE"]
        elif instruction.exec_form is not None:
            test = ["CMD", *instruction.exec_form]
        else:
            test = ["CMD-SHELL", instruction.arguments.partition(" ")[2].strip()]
        stage.config = replace(stage.config, healthcheck={"Test": test})

    def shell(self, stage: _Stage, instruction: Instruction) -> None:
        if not instruction.exec_form:
            raise self._bad(instruction, 'SHELL needs the form ["program", "argument"]')
        stage.shell = instruction.exec_form

    def nothing(self, stage: _Stage, instruction: Instruction) -> None:
        """MAINTAINER, and ONBUILD for images that are built of this one."""

    def run_program(self, _: _Stage, instruction: Instruction) -> None:
        raise self._bad(
            instruction,
            "RUN runs a program of the image, which needs a Docker engine; build the image with "
            "one, and give what `docker save` writes",
        )

    def copy(self, stage: _Stage, instruction: Instruction) -> None:
        source = instruction.flag("from")
        tree = self._copied_from(stage, instruction, source)
        words = instruction.exec_form or instruction.arguments
        given = list(words) if isinstance(words, tuple) else self._here(stage).split(words)
        if isinstance(words, tuple):
            given = [self._here(stage).replace(word) for word in given]
        sources = [name for name in given[:-1] if not name.startswith("<<")]
        if len(given) < 2:
            raise self._bad(instruction, f"{instruction.keyword} needs a source and a target")
        target = Target.of(given[-1], stage.config.working_dir, len(given) > 2)
        change = changed_by(instruction)
        for heredoc in instruction.heredocs:
            text = self._here(stage).replace(heredoc.text) if heredoc.expand else heredoc.text
            node = Node(Kind.FILE, 0o644, mtime=MTIME, content=Literal(text.encode()))
            target.put(stage.tree, heredoc.name, change(node))
        for name in sources:
            self._copy(stage, instruction, (tree, name), target, change)

    def _copied_from(self, stage: _Stage, instruction: Instruction, source: str | None) -> Tree:
        if source is None:
            if self._context is None:
                self._context = context_tree(self._folder, self._budget)
            return self._context
        name = self._here(stage).replace(source)
        if name.isdecimal() and int(name) < len(self._stages) - 1:
            return self._stages[int(name)].tree
        earlier = self._stage_named(name)
        if earlier is not None:
            return earlier.tree
        image = self._images.find(name)
        if image is None:
            raise self._bad(instruction, f"there is no stage and no image {name}")
        return image.tree

    def _copy(
        self,
        stage: _Stage,
        instruction: Instruction,
        source: tuple[Tree, str],
        target: Target,
        change: Callable[[Node], Node],
    ) -> None:
        tree, name = source
        is_add = instruction.keyword == "ADD"
        if is_add and ("://" in name or name.startswith("git@")):
            raise self._bad(instruction, f"ADD {name} needs the network; nothing is fetched")
        found = list(matches(tree, name))
        if not found:
            raise self._bad(
                instruction, f"there is no {name} to copy (.dockerignore may leave it out)"
            )
        for path, node in found:
            if is_add and node.kind is Kind.FILE and path.endswith(_ARCHIVES):
                raise self._bad(
                    instruction, f"ADD unpacks {path}, which is not done here; unpack and COPY it"
                )
            if node.kind is Kind.DIRECTORY:
                target.put_all(stage.tree, node, change)
            else:
                target.put(stage.tree, posixpath.basename(path), change(shared(node)))


def _scratch() -> ImageConfig:
    return ImageConfig(env=(_PATH,), architecture=host_architecture())


_INSTRUCTIONS: dict[str, Callable[[_Build, _Stage, Instruction], None]] = {
    "ADD": _Build.copy,
    "ARG": _Build.arg,
    "CMD": _Build.cmd,
    "COPY": _Build.copy,
    "ENTRYPOINT": _Build.entrypoint,
    "ENV": _Build.env,
    "EXPOSE": _Build.expose,
    "HEALTHCHECK": _Build.healthcheck,
    "LABEL": _Build.label,
    "MAINTAINER": _Build.nothing,
    "ONBUILD": _Build.nothing,
    "RUN": _Build.run_program,
    "SHELL": _Build.shell,
    "STOPSIGNAL": _Build.stopsignal,
    "USER": _Build.user,
    "VOLUME": _Build.volume,
    "WORKDIR": _Build.workdir,
}
