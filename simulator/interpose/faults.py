"""What is to go wrong on purpose: refused, reset, slow or cut connections, an NSM that fails.

A fault is written TARGET=ACTION, as in `3:8000=refuse`. Targets are a vsock address CID:PORT that
the program dials, `nsm`, `heartbeat`, and `proxy`, which is 3:8000.
"""

from __future__ import annotations

import enum
import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self


def error_response(name: str) -> bytes:
    """`{"Error": name}` in CBOR, as the NSM refuses (aws-nitro-enclaves-nsm-api, src/api).

    `name` has fewer than 24 letters, as all its errors have.
    """
    return b"\xa1\x65Error" + bytes([0x60 | len(name)]) + name.encode()


PROXY = (3, 8000)
"""Where the host proxy or vsock-proxy listens by convention (AWS Nitro Enclaves User Guide)."""

GRAMMAR = (
    "CID:PORT=refuse|reset|delay:SECONDS|cut:BYTES, proxy=down, "
    "nsm=stall|delay:SECONDS|error:NAME|errno:NAME, heartbeat=lost"
)
"""What can be written, for messages."""

NSM_ERRORS = (
    *("InvalidArgument", "InvalidIndex", "InvalidResponse", "ReadOnlyIndex", "InvalidOperation"),
    *("BufferTooSmall", "InputTooLarge", "InternalError"),
)
"""What the NSM may answer (aws-nitro-enclaves-nsm-api, src/api/mod.rs, ErrorCode)."""

_SPEC = re.compile(r"(?P<target>[^=]+)=(?P<action>[a-z]+)(?::(?P<value>[A-Za-z0-9_.]+))?")
_ADDRESS = re.compile(r"(?P<cid>[0-9]{1,10}):(?P<port>[0-9]{1,10})", re.ASCII)


class BadFault(ValueError):
    """No fault is written so: the message says what is wrong and what can be written."""


class Breakage(enum.Enum):
    """What becomes of a connection."""

    REFUSE = "refuse"
    RESET = "reset"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class ConnectionFault:
    """What happens to connections that the program makes to one address."""

    breakage: Breakage | None = None
    delay_seconds: float = 0.0
    cut_after: int = 0
    """Bytes that pass, both directions together, before the connection ends."""


@dataclass(frozen=True, slots=True)
class NsmFault:
    """What happens to requests to the NSM."""

    delay_seconds: float = 0.0
    stall: bool = False
    error: str | None = None
    """The name of an error that the NSM answers."""
    errno: int | None = None
    """The error of the ioctl itself."""


@dataclass(frozen=True, slots=True)
class Faults:
    """All that is to go wrong."""

    connections: dict[tuple[int, int], ConnectionFault] = field(default_factory=dict)
    nsm: NsmFault = NsmFault()
    heartbeat_lost: bool = False

    def of(self, cid: int, port: int) -> ConnectionFault:
        """What happens to connections to (cid, port)."""
        return self.connections.get((cid, port), _NOTHING)

    @classmethod
    def parse(cls, specs: Iterable[str]) -> Self:
        """The faults of `specs`; a later one of the same target adds to the earlier.

        Raises BadFault.
        """
        connections: dict[tuple[int, int], ConnectionFault] = {}
        nsm, heartbeat_lost = NsmFault(), False
        for spec in specs:
            match = _SPEC.fullmatch(spec)
            if match is None:
                raise BadFault(f"{spec!r} is not a fault; write {GRAMMAR}.")
            target, action, value = match["target"], match["action"], match["value"]
            if target == "nsm":
                nsm = _nsm(spec, nsm, action, value)
            elif target == "heartbeat":
                _demand(action == "lost" and value is None, spec, "heartbeat=lost")
                heartbeat_lost = True
            elif target == "proxy":
                _demand(action == "down" and value is None, spec, "proxy=down")
                connections[PROXY] = ConnectionFault(Breakage.REFUSE)
            else:
                address = _address(spec, target)
                before = connections.get(address, _NOTHING)
                connections[address] = _connection(spec, before, action, value)
        return cls(connections, nsm, heartbeat_lost)


_NOTHING = ConnectionFault()


def _demand(right: bool, spec: str, form: str) -> None:
    if not right:
        raise BadFault(f"{spec!r} is not a fault; write {form}.")


def _address(spec: str, target: str) -> tuple[int, int]:
    match = _ADDRESS.fullmatch(target)
    if match is None:
        raise BadFault(f"{spec!r} names no target; write {GRAMMAR}.")
    address = int(match["cid"]), int(match["port"])
    _demand(max(address) < 1 << 32, spec, "CID and PORT below 4294967296")
    return address


def _seconds(spec: str, value: str | None) -> float:
    if value is None or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value, re.ASCII):
        raise BadFault(f"{spec!r} has no time; write a number of seconds, such as delay:0.5.")
    return float(value)


def _connection(
    spec: str, before: ConnectionFault, action: str, value: str | None
) -> ConnectionFault:
    if action == "delay":
        return ConnectionFault(before.breakage, _seconds(spec, value), before.cut_after)
    form = "CID:PORT=refuse|reset|delay:SECONDS|cut:BYTES"
    if action == "cut":
        _demand(value is not None and value.isdecimal() and value.isascii(), spec, "cut:BYTES")
        return ConnectionFault(Breakage.CUT, before.delay_seconds, int(value or 0))
    _demand(action in ("refuse", "reset") and value is None, spec, form)
    return ConnectionFault(Breakage(action), before.delay_seconds)


def _nsm(spec: str, before: NsmFault, action: str, value: str | None) -> NsmFault:
    form = "nsm=stall|delay:SECONDS|error:NAME|errno:NAME"
    if action == "delay":
        return NsmFault(_seconds(spec, value), before.stall, before.error, before.errno)
    if action == "stall":
        _demand(value is None, spec, "nsm=stall")
        return NsmFault(before.delay_seconds, stall=True)
    if action == "error":
        _demand(value in NSM_ERRORS, spec, f"nsm=error:NAME with one of {', '.join(NSM_ERRORS)}")
        return NsmFault(before.delay_seconds, error=value)
    _demand(action == "errno", spec, form)
    number = getattr(errno, value or "", None)
    _demand(isinstance(number, int), spec, "nsm=errno:NAME, as errno:EIO")
    return NsmFault(before.delay_seconds, errno=number)
