"""Names and their addresses, as the proxy's resolver (hickory 0.24) has them.

IPv6 addresses are asked for only where a name has no IPv4 one: `-6` refuses a name that has both.
Seen so with vsock-proxy 1.0.1 built from v1.4.4, without a name server.

The instance's /etc/hosts (below the machine's root) comes first; then this system is asked. It does
not say for how long its answer holds: that is taken to be `SYSTEM_SECONDS`.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simulator.vsock_proxy.failure import Failed

HOSTS = "/etc/hosts"

HOSTS_SECONDS = 86_400
"""How long an address holds that is none of DNS (hickory's MAX_TTL)."""
SYSTEM_SECONDS = 60

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str], Iterable[str]]
"""The addresses of an ASCII name. Raises OSError, ValueError."""


class Family(enum.Enum):
    """Which addresses may be used."""

    ANY = enum.auto()
    V4 = enum.auto()
    V6 = enum.auto()


@dataclass(frozen=True, slots=True)
class Resolved:
    """An address, and for how long it holds."""

    address: Address
    seconds: int


def system_lookup(name: str) -> list[str]:
    """What this system knows."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True, slots=True)
class Names:
    """The resolver of one instance."""

    hosts: Path
    lookup: Lookup = system_lookup

    def resolve(self, name: str, family: Family) -> list[Resolved]:
        """All addresses of a name, at least one. Raises Failed."""
        found = self._all(_to_ascii(name))
        if not found:
            raise Failed("DNS lookup failed!")
        accepted = [one for one in found if _is_of(one.address, family)]
        if not accepted:
            raise Failed("No accepted IP was found.")
        return accepted

    def _all(self, name: str) -> list[Resolved]:
        literal = _address(name)
        if literal is not None:
            return [Resolved(literal, HOSTS_SECONDS)]
        found = [Resolved(address, HOSTS_SECONDS) for address in self._of_hosts(name)]
        # What ends in a number is no name; this system may take 127.1 for an address all the same.
        if not found and not name.rpartition(".")[2].isdigit():
            with suppress(OSError, ValueError):
                found = [
                    Resolved(address, SYSTEM_SECONDS)
                    for text in self.lookup(name)
                    if (address := _address(text)) is not None
                ]
        v4 = [one for one in found if one.address.version == 4]
        return v4 or found

    def _of_hosts(self, name: str) -> Iterator[Address]:
        try:
            text = self.hosts.read_text(errors="replace")
        except OSError:
            return
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            if name in (word.lower() for word in words[1:]):
                address = _address(words[0])
                if address is not None:
                    yield address


def shown(address: Address, port: int) -> str:
    """A socket's address as Rust shows it."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _to_ascii(name: str) -> str:
    try:
        if name.isascii():
            if "xn--" in name:
                name.encode().decode("idna")
            return name.lower()
        return name.encode("idna").decode().lower()
    except UnicodeError as error:
        raise Failed("Could not parse domain name") from error


def _address(text: str) -> Address | None:
    """The address that a text is, without a zone."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _is_of(address: Address, family: Family) -> bool:
    return family is Family.ANY or address.version == (4 if family is Family.V4 else 6)
