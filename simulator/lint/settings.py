"""The settings of an image's configuration, each with the member that it stands in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from simulator.images import ImageConfig
from simulator.images.config import config_of, parse_json
from simulator.lint.subject import Place, Text, Words


def inspected(document: Mapping[str, Any], source: str) -> ImageConfig:
    """The configuration in the form of `docker inspect`, which has other names at the top."""
    inner = document.get("Config", document.get("config"))
    known = {
        "architecture": document.get("Architecture", document.get("architecture")),
        "os": document.get("Os", document.get("os")),
        "config": inner,
    }
    return config_of(parse_json(json.dumps(known).encode(), source), source)


def settings(config: ImageConfig) -> dict[str, Any]:
    """The settings of an image for a subject."""
    ignored = {
        "HEALTHCHECK": ("Healthcheck", config.healthcheck if _is_asked(config) else None),
        "VOLUME": ("Volumes", config.volumes),
        "EXPOSE": ("ExposedPorts", config.exposed_ports),
        "STOPSIGNAL": ("StopSignal", config.stop_signal),
    }
    return {
        "cmd": _words("Cmd", config.cmd),
        "entrypoint": _words("Entrypoint", config.entrypoint or None),
        "env": tuple(Text(value, _place("Env", value)) for value in config.env),
        "working_dir": _text("WorkingDir", config.working_dir),
        "user": _text("User", config.user),
        "ignored": tuple(
            Text(instruction, _place(member, value))
            for instruction, (member, value) in ignored.items()
            if value
        ),
    }


def _is_asked(config: ImageConfig) -> bool:
    return (config.healthcheck or {}).get("Test") not in (None, [], ["NONE"])


def _words(member: str, words: tuple[str, ...] | None) -> Words | None:
    return None if words is None else Words(words, _place(member, words))


def _text(member: str, value: str) -> Text | None:
    return Text(value, _place(member, value)) if value else None


def _place(member: str, value: object) -> Place:
    return Place(f"Config.{member} {json.dumps(value, ensure_ascii=False)}")
