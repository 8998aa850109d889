"""The configuration of a container image, as far as an enclave or a check of it can need.

The form is that of the OCI image specification, which `docker save` writes too: an object with
`architecture`, `os` and `config`, whose members have capitals (`Cmd`, `Entrypoint`, `Env`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.images.errors import BadImage, NoCommand

_LARGEST = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says of the program in it."""

    cmd: tuple[str, ...] | None = None
    """None where the image has no Cmd; empty where it has the empty list: see `command`."""
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    """Lines of the form NAME=VALUE."""
    working_dir: str = ""
    user: str = ""
    architecture: str = "amd64"
    os: str = "linux"
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Mapping[str, Any] | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """What the enclave's init runs: Cmd, or else Entrypoint, and never both (reported).

        nitro-cli takes Cmd if it is not null, so that an Entrypoint beside it is dropped without a
        word. A Cmd that is the empty list counts as one: the list of arguments is then empty, and
        init runs its own default, `sh` (inferred). Engines that build with BuildKit leave an empty
        Cmd out.
        """
        if self.cmd is not None:
            return self.cmd
        if self.entrypoint is not None:
            return self.entrypoint
        raise NoCommand(
            "the image has neither CMD nor ENTRYPOINT, so there is no program to start; nitro-cli "
            'refuses it with E48 (UnsupportedEntryPoint). Give it a command: CMD ["/app"] in the '
            "Dockerfile"
        )

    def document(self) -> dict[str, Any]:
        """The configuration in OCI form, with what is empty left out, as BuildKit does."""
        config: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": list(self.env),
            "Volumes": {volume: {} for volume in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Healthcheck": None if self.healthcheck is None else dict(self.healthcheck),
        }
        kept = {name: value for name, value in config.items() if value}
        for name, words in (("Cmd", self.cmd), ("Entrypoint", self.entrypoint)):
            if words is not None:
                kept[name] = list(words)
        return {"architecture": self.architecture, "os": self.os, "config": kept}


def parse_config(text: bytes, source: str) -> ImageConfig:
    """Read an image's configuration; `source` says in messages where it stands."""
    return config_of(parse_json(text, source), source)


def parse_json(text: bytes, source: str) -> dict[str, Any]:
    """A JSON object, or a sentence that says why it is none."""
    if len(text) > _LARGEST:
        raise BadImage(f"{source} has more than {_LARGEST} bytes")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadImage(f"{source} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadImage(f"{source} is not a JSON object")
    return value


def config_of(document: Mapping[str, Any], source: str) -> ImageConfig:
    """The configuration that an OCI image document holds."""
    inner = document.get("config")
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        raise BadImage(f"{source}: `config` is not an object")
    healthcheck = inner.get("Healthcheck")
    return ImageConfig(
        cmd=_words(inner, "Cmd", source),
        entrypoint=_words(inner, "Entrypoint", source),
        env=_words(inner, "Env", source) or (),
        working_dir=_text(inner, "WorkingDir", source),
        user=_text(inner, "User", source),
        architecture=_text(document, "architecture", source) or "amd64",
        os=_text(document, "os", source) or "linux",
        labels=_labels(inner, source),
        exposed_ports=_names(inner, "ExposedPorts", source),
        volumes=_names(inner, "Volumes", source),
        stop_signal=_text(inner, "StopSignal", source),
        healthcheck=healthcheck if isinstance(healthcheck, dict) else None,
    )


def _words(of: Mapping[str, Any], name: str, source: str) -> tuple[str, ...] | None:
    value = of.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise BadImage(f"{source}: `{name}` is not a list of strings")
    return tuple(value)


def _text(of: Mapping[str, Any], name: str, source: str) -> str:
    value = of.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadImage(f"{source}: `{name}` is not a string")
    return value


def _names(of: Mapping[str, Any], name: str, source: str) -> tuple[str, ...]:
    value = of.get(name)
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise BadImage(f"{source}: `{name}` is not an object")
    return tuple(value)


def _labels(of: Mapping[str, Any], source: str) -> dict[str, str]:
    value = of.get("Labels")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise BadImage(f"{source}: `Labels` is not an object of strings")
    return dict(value)
