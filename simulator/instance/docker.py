"""`docker` of the instance: a stand-in, which builds and keeps images, and runs no container.

Its images are the machine's own, those of `attested-kms machine load` and of nitro-cli's
--docker-dir; what a Dockerfile may say is in `simulator.images.builder`. Its daemon is
docker.service. Texts are those of Docker 25.0 as its sources have them (docker/cli, moby/moby:
`inferred`); ones that are our own name attested-kms. Anything else ends with 70.
"""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.instance.docker_texts import BadTemplate, Listed, filled, names_of, no_image
from simulator.nitro_cli.main import NO_MACHINE
from simulator.nitro_cli.presence import NOT_FOUND, not_found
from simulator.nitro_cli.session import write
from simulator.packages import services
from simulator.packages.catalogue import CATALOGUE, DOCKER
from simulator.packages.machine import STDERR, Machine, command, complain, say

if TYPE_CHECKING:
    from simulator.images import ContainerImage
    from simulator.images.store import ImageStore

_FAILED = 1
_WRONG_USAGE = 125
_SHORT_ID = 12
_SERVICE = "docker.service"
_NO_DAEMON = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
    "running?"
)
_CONFLICT = (
    "Error response from daemon: conflict: unable to delete {} (must be forced) - image is "
    "referenced in multiple repositories"
)


class _Unusable(Exception):
    """What is not simulated, or wrong usage."""

    def __init__(self, message: str, exit_code: int = NO_MACHINE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class _Asked:
    """A command line: what stands behind the command."""

    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """With their values, by their long names; of a switch none."""
    operands: Sequence[str] = ()

    def has(self, name: str) -> bool:
        return name in self.options

    def last(self, name: str) -> str | None:
        values = self.options.get(name, ())
        return values[-1] if values else None


_Run = Callable[[Machine, _Asked], int]


@dataclass(frozen=True, slots=True)
class _Command:
    run: _Run
    valued: Mapping[str, str] = field(default_factory=dict)
    """Options with a value, and their long names."""
    switches: Mapping[str, str] = field(default_factory=dict)
    needs_daemon: bool = True


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command("docker", lambda: _main(list(arguments)))


def _main(words: list[str]) -> int:
    machine = Machine.find(os.environ)
    if not machine.has("docker"):
        write(STDERR, not_found("docker"))
        return NOT_FOUND
    try:
        found, rest = _command(words)
        asked = _read(found, rest)
        if not found.needs_daemon or _is_running(machine):
            return found.run(machine, asked)
    except _Unusable as error:
        complain(str(error))
        return error.exit_code
    except BadTemplate as error:
        complain(f"docker (attested-kms): {error}")
        return NO_MACHINE
    complain(_NO_DAEMON)
    return _FAILED


def _command(words: list[str]) -> tuple[_Command, list[str]]:
    if words[:1] in (["--version"], ["-v"]):
        return _Command(_version_line, needs_daemon=False), []
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in _COMMANDS and len(words) >= length:
            return _COMMANDS[name], words[length:]
    shown = " ".join(words[:2]) or "no command"
    known = ", ".join(sorted(_COMMANDS))
    raise _Unusable(f"docker (attested-kms): {shown} is not simulated; those that are: {known}")


def _read(found: _Command, words: list[str]) -> _Asked:
    options: dict[str, list[str]] = {}
    operands = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            operands.append(word)
            continue
        name, equals, value = word.partition("=")
        if name in found.valued:
            if not equals and not rest:
                raise _Unusable(f"flag needs an argument: {name}", _WRONG_USAGE)
            values = options.setdefault(found.valued[name], [])
            values.append(value if equals else rest.pop(0))
        elif name in found.switches:
            options.setdefault(found.switches[name], [])
        else:
            known = ", ".join(sorted({**found.valued, **found.switches}))
            raise _Unusable(
                f"docker (attested-kms): the option {name} is not simulated; those that are: "
                f"{known or 'none'}"
            )
    return _Asked(options, operands)


def _is_running(machine: Machine) -> bool:
    outcome = services.current(machine.path, _SERVICE)
    return outcome is not None and outcome.state == "active"


def _store(machine: Machine) -> ImageStore:
    from simulator.images.store import ImageStore

    return ImageStore(machine.path / "images")


# Commands.


def _build(machine: Machine, asked: _Asked) -> int:
    from simulator.images import BadImage
    from simulator.images.builder import build_dockerfile
    from simulator.images.store import full_name

    if len(asked.operands) != 1:
        raise _Unusable('ERROR: "docker buildx build" requires exactly 1 argument.', _FAILED)
    folder = Path(asked.operands[0])
    if not folder.is_dir():
        raise _Unusable(
            f'ERROR: unable to prepare context: path "{asked.operands[0]}" not found', _FAILED
        )
    tags = asked.options.get("tag", ())
    if not tags:
        raise _Unusable(
            "docker (attested-kms): an image without a name is not simulated; give it --tag"
        )
    given = (text.partition("=") for text in asked.options.get("build-arg", ()))
    file = asked.last("file")
    if not (folder / "Dockerfile" if file is None else Path(file)).is_file():
        raise _Unusable(
            "ERROR: failed to solve: failed to read dockerfile: open "
            f"{Path(file or 'Dockerfile').name}: no such file or directory",
            _FAILED,
        )
    store = _store(machine)
    try:
        image = build_dockerfile(
            folder,
            store,
            arguments={name: value for name, _, value in given},
            dockerfile=None if file is None else Path(file),
        )
        for tag in tags:
            store.add(image, tag)
    except BadImage as error:
        raise _Unusable(
            f"ERROR: failed to solve: {error} [attested-kms: real text unknown]", _FAILED
        ) from error
    stored = store.identifiers()[full_name(tags[0])]
    if asked.has("quiet"):
        say(stored)
    else:
        names = "".join(f"\n => => naming to {tag}" for tag in tags)
        complain(f" => => writing image {stored}{names}")
    return 0


def _images(machine: Machine, asked: _Asked) -> int:
    found = [
        Listed(name, identifier)
        for name, identifier in _store(machine).identifiers().items()
        if _is_asked_for(name, asked)
    ]
    length = None if asked.has("no-trunc") else _SHORT_ID
    template = asked.last("format")
    if asked.has("quiet"):
        for identifier in dict.fromkeys(one.shown_id(length) for one in found):
            say(identifier)
    elif template not in (None, "table"):
        for one in found:
            say(filled(template or "", one.members(length)))
    else:
        say("REPOSITORY   TAG       IMAGE ID       CREATED   SIZE")
        for one in found:
            say(f"{one.repository}   {one.tag}    {one.shown_id(length)}   N/A       N/A")
    return 0


def _is_asked_for(name: str, asked: _Asked) -> bool:
    wanted = [*asked.operands[:1]]
    for text in asked.options.get("filter", ()):
        kind, _, value = text.partition("=")
        if kind != "reference":
            raise _Unusable(f"docker (attested-kms): the filter {kind} is not simulated")
        wanted.append(value)
    repository = name.rpartition(":")[0]
    return all(fnmatch.fnmatch(name if ":" in one else repository, one) for one in wanted)


def _remove(machine: Machine, asked: _Asked) -> int:
    """A name is taken off; of an identifier all names, which takes --force if they are several."""
    if not asked.operands:
        raise _Unusable('"docker image rm" requires at least 1 argument.', _FAILED)
    store = _store(machine)
    errors = []
    for operand in asked.operands:
        known = store.identifiers()
        names = names_of(known, operand)
        if not names:
            errors.append(no_image(operand))
            continue
        identifier = known[names[0]]
        if len(names) > 1 and not asked.has("force"):
            errors.append(_CONFLICT.format(operand))
            continue
        store.remove(names)
        for name in names:
            say(f"Untagged: {name}")
        if identifier not in store.identifiers().values():
            say(f"Deleted: {identifier}")
    for error in errors:
        complain(error)
    return _FAILED if errors and not asked.has("force") else 0


def _inspect(machine: Machine, asked: _Asked) -> int:
    store = _store(machine)
    found, errors = [], []
    for operand in asked.operands:
        names = names_of(store.identifiers(), operand)
        image = store.find(names[0]) if names else None
        if image is None:
            errors.append(no_image(operand))
        else:
            found.append(_described(image, names))
    template = asked.last("format")
    if template is None:
        say(json.dumps(found, indent=4))
    else:
        for one in found:
            say(filled(template, one))
    for error in errors:
        complain(error)
    return _FAILED if errors or not asked.operands else 0


def _described(image: ContainerImage, names: Sequence[str]) -> dict[str, Any]:
    return {
        "Id": image.identifier,
        "RepoTags": list(names),
        "RepoDigests": [],
        "Architecture": image.config.architecture,
        "Os": image.config.os,
        "Config": image.config.document()["config"],
    }


def _info(machine: Machine, asked: _Asked) -> int:
    identifiers = set(_store(machine).identifiers().values())
    version = _version_number()
    members = {
        "ServerVersion": version,
        "Images": len(identifiers),
        "OperatingSystem": "Amazon Linux 2023",
        "OSType": "linux",
        "Architecture": machine.rpm_architecture,
        "Name": "attested-kms",
    }
    template = asked.last("format")
    if template is not None:
        say(filled(template, members))
        return 0
    lines = "\n".join(
        f" {label}: {members[name]}"
        for label, name in (
            ("Images", "Images"),
            ("Server Version", "ServerVersion"),
            ("Operating System", "OperatingSystem"),
            ("OSType", "OSType"),
            ("Architecture", "Architecture"),
            ("Name", "Name"),
        )
    )
    say(f"Client:\n Version: {version}\n\nServer:\n Containers: 0\n{lines}")
    return 0


def _version(machine: Machine, asked: _Asked) -> int:
    version = _version_number()
    running = _is_running(machine)
    template = asked.last("format")
    if template is not None:
        if ".Server" in template and not running:
            raise _Unusable(_NO_DAEMON, _FAILED)
        say(filled(template, {"Client": {"Version": version}, "Server": {"Version": version}}))
        return 0
    say(f"Client:\n Version:           {version}")
    if not running:
        raise _Unusable(_NO_DAEMON, _FAILED)
    say(f"\nServer:\n Engine:\n  Version:          {version}")
    return 0


def _version_line(_: Machine, __: _Asked) -> int:
    say(f"Docker version {_version_number()}, build attested-kms")
    return 0


def _version_number() -> str:
    return CATALOGUE[DOCKER].version.partition("-")[0]


def _both(*pairs: tuple[str, str]) -> dict[str, str]:
    """Options by their short and long form, and the long names without dashes."""
    return {form: long for short, long in pairs for form in (short, f"--{long}") if form}


_FORMAT = _both(("-f", "format"))
_LISTING = _Command(
    _images,
    _both(("", "format"), ("-f", "filter")),
    _both(("-q", "quiet"), ("", "no-trunc"), ("-a", "all")),
)
_BUILDING = _Command(
    _build,
    _both(("-t", "tag"), ("-f", "file"), ("", "build-arg"), ("", "platform"), ("", "progress")),
    _both(("-q", "quiet"), ("", "no-cache"), ("", "pull"), ("", "load")),
)
_REMOVING = _Command(_remove, switches=_both(("-f", "force"), ("", "no-prune")))
_COMMANDS: Mapping[str, _Command] = {
    "build": _BUILDING,
    "buildx build": _BUILDING,
    "image build": _BUILDING,
    "images": _LISTING,
    "image ls": _LISTING,
    "image list": _LISTING,
    "rmi": _REMOVING,
    "image rm": _REMOVING,
    "image inspect": _Command(_inspect, _FORMAT),
    "info": _Command(_info, _FORMAT),
    "version": _Command(_version, _FORMAT, needs_daemon=False),
}
