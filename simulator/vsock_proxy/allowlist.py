"""Which targets the proxy may have: vsock-proxy.yaml, read as yaml-rust2 0.9 reads it.

The file is looked at entry by entry until one matches, so that what is wrong further below is not
found; and the target's name is resolved before the first entry is looked at. Compared, file by
file, with vsock-proxy 1.0.1 built from v1.4.4: it ran up to where it listens. Where the grammar of
YAML itself is broken PyYAML decides, which differs in rare cases; tags (`!!str`) are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.nitro_cli.rust_text import quoted
from simulator.vsock_proxy.failure import Failed, Panic
from simulator.vsock_proxy.names import Address, Family, Names
from simulator.vsock_proxy.rust_log import Log

if TYPE_CHECKING:
    from yaml import Node

_TARGET = "vsock_proxy::proxy"
_EMPTY = Panic(
    "vsock_proxy/src/proxy.rs:40:26",
    "index out of bounds: the len is 0 but the index is 0",
)
_NUMBER = re.compile(r"[+-]?[0-9]+|0x[+-]?[0-9a-fA-F]+|0o[+-]?[0-7]+")
_REAL = re.compile(
    r"[+-]?(\.?inf|infinity|\.?nan|([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?)", re.IGNORECASE
)
_OTHERS = {"", "~", "null", "true", "false"}
_PORTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """What the proxy is to reach."""

    host: str
    port: int
    family: Family


def check(target: Target, file: Path, names: Names, log: Log) -> Address:
    """The target's first address, if it may be reached. Raises Failed, Panic."""
    services = _services(_content(file))
    remote = names.resolve(target.host, target.family)[0].address
    for service in services:
        address, port = _entry(service)
        if port != target.port:
            continue
        if address == target.host:
            log.inform(_TARGET, f'Matched with host name "{address}" and port "{port}"')
            return remote
        if remote in _addresses(address, target.family, names):
            log.inform(_TARGET, f'Matched with host IP "{remote}" and port "{port}"')
            return remote
    log.caution(_TARGET, f"Unable to resolve allow listed host: {quoted(target.host)}.")
    raise Failed("The given address and port are not allowed")


def named(content: bytes) -> Iterator[tuple[str, int]]:
    """The addresses and ports of a file, without any lookup; Failed, Panic where the proxy ends."""
    yield from map(_entry, _services(_decoded(content)))


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read()
    except IsADirectoryError as error:
        raise Failed("Could not read the file") from error
    except (OSError, ValueError) as error:
        raise Failed("Could not open the file") from error
    return _decoded(content)


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Failed("Could not read the file") from error


def _services(text: str) -> list[Node]:
    import yaml

    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        for document in documents:
            _check_keys(document, set())
    # The last two of escapes that are no characters, which PyYAML does not expect.
    except (yaml.YAMLError, RecursionError, _Duplicate, ValueError, OverflowError) as error:
        raise Failed("Bad yaml format") from error
    if not documents:
        raise _EMPTY
    found = _member(documents[0], "allowlist")
    if not isinstance(found, yaml.SequenceNode):
        raise Failed("No allowlist field")
    return list(found.value)


def _entry(service: Node) -> tuple[str, int]:
    address = _text(_member(service, "address"))
    if address is None:
        raise Failed("No address field")
    port = _integer(_member(service, "port"))
    if port is None:
        raise Failed("No port field or invalid type")
    return address, port % _PORTS


def _addresses(host: str, family: Family, names: Names) -> list[Address]:
    try:
        return [one.address for one in names.resolve(host, family)]
    except Failed:
        return []


class _Duplicate(Exception):
    """A key stands twice in a mapping."""


def _check_keys(node: Node, seen: set[int]) -> None:
    import yaml

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _check_keys(one, seen)
    elif isinstance(node, yaml.MappingNode):
        keys = [text for key, _ in node.value if (text := _text(key)) is not None]
        if len(keys) != len(set(keys)):
            raise _Duplicate
        for key, value in node.value:
            _check_keys(key, seen)
            _check_keys(value, seen)


def _member(node: Node, name: str) -> Node | None:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return None
    found: list[Node] = [value for key, value in node.value if _text(key) == name]
    return found[0] if found else None


def _text(node: Node | None) -> str | None:
    """A string: what is quoted, or what is plain and nothing else."""
    plain = _plain(node)
    if plain is None:
        return _quoted(node)
    is_other = plain in _OTHERS or _number(plain) is not None or _REAL.fullmatch(plain)
    return None if is_other else plain


def _integer(node: Node | None) -> int | None:
    plain = _plain(node)
    return None if plain is None else _number(plain)


def _plain(node: Node | None) -> str | None:
    import yaml

    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return str(node.value) if node is not None and is_plain else None


def _quoted(node: Node | None) -> str | None:
    import yaml

    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _number(text: str) -> int | None:
    """An i64, of base 16 or 8 too."""
    if not _NUMBER.fullmatch(text) or len(text) > 64:
        return None
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    number = int(text[2:] if base != 10 else text, base)
    return number if -(1 << 63) <= number < 1 << 63 else None
