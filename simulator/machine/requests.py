"""What may be asked of a machine: requests as they come over its socket, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

DEFAULT_VERSION = "1.4.4"

_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF


class BadRequest(ValueError):
    """Not a request; the message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArguments:
    """Of `run`, as nitro-cli's RunEnclavesArgs."""

    eif_path: str
    """As given: messages have it so."""
    directory: str
    """Where the command stands, for a relative path."""
    memory_mib: int
    cpu_count: int | None = None
    cpu_ids: tuple[int, ...] | None = None
    enclave_cid: int | None = None
    debug_mode: bool = False
    enclave_name: str | None = None
    logs: str | None = None
    """The folder of log files, where the environment of the command names one."""
    version: str = DEFAULT_VERSION
    """Of nitro-cli: its enclave process is that of the command."""

    @classmethod
    def parse(cls, arguments: Mapping[str, Any]) -> Self:
        """Raises BadRequest."""
        given = {name: value for name, value in arguments.items() if value is not None}
        unknown = set(given) - set(cls.__dataclass_fields__)
        if unknown:
            raise BadRequest(f"run takes no {min(unknown)}")
        return cls(
            eif_path=_text(given, "eif_path"),
            directory=_text(given, "directory"),
            memory_mib=_number(given.get("memory_mib"), "memory_mib", _U64),
            cpu_count=_optional(given.get("cpu_count"), "cpu_count", _U32),
            cpu_ids=_cpus(given.get("cpu_ids")),
            enclave_cid=_optional(given.get("enclave_cid"), "enclave_cid", _U64),
            debug_mode=given.get("debug_mode") is True,
            enclave_name=_text(given, "enclave_name") if "enclave_name" in given else None,
            logs=_text(given, "logs") if "logs" in given else None,
            version=_text({"version": DEFAULT_VERSION, **given}, "version"),
        )

    @property
    def memory(self) -> int:
        """In bytes; what 64 bits do not hold is lost, as in nitro-cli."""
        return self.memory_mib << 20 & _U64

    @property
    def path(self) -> str:
        """Of the image."""
        # As text: a slash at its end stays, by which no file is found.
        return os.path.join(self.directory, self.eif_path) if self.eif_path else ""  # noqa: PTH118

    @property
    def default_name(self) -> str:
        """The image's file name without its ending, however often it has it (src/lib.rs)."""
        name = self.eif_path.rpartition("/")[2]
        while name.endswith(".eif"):
            name = name.removesuffix(".eif")
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateArguments:
    """Of `allocate`."""

    install_dir: str = ""
    """NITRO_CLI_INSTALL_DIR of the command."""
    directory: str = "/"

    @classmethod
    def parse(cls, arguments: Mapping[str, Any]) -> Self:
        """Raises BadRequest."""
        given = {"install_dir": "", "directory": "/", **arguments}
        return cls(install_dir=_text(given, "install_dir"), directory=_text(given, "directory"))


def enclave_id_of(arguments: Mapping[str, Any]) -> str:
    """Of `terminate`. Raises BadRequest."""
    return _text(arguments, "enclave_id")


def user_of(asked: Mapping[str, Any]) -> int:
    """Who asks. Raises BadRequest."""
    return _number(asked.get("user"), "user", _U32)


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise BadRequest(f"{name} is not text")
    return value


def _number(value: Any, name: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise BadRequest(f"{name} is not a number up to {most}")
    return value


def _optional(value: Any, name: str, most: int) -> int | None:
    return None if value is None else _number(value, name, most)


def _cpus(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadRequest("cpu_ids is not a list")
    return tuple(_number(cpu, "cpu_ids", _U32) for cpu in value)
